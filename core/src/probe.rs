//! Value probes: what refuses an expression of workflow code by its *inferred* type, whatever it is called (layer V of
//! the determinism catalogue). Only rustc reads what the macros emit here; nothing of it ever runs.
//!
//! ```text
//! let (cell,);                                                     // declared at the top of the body
//! match (E,) { v => { if false { never(); cell = of(&v.0); } v.0 } }  // at the expression: takes its type
//! return TAIL;
//! ordered(cell.order());                                           // at the end: asks, when inference is done
//! ```
//! Behind [`never`] the borrow checker does not look, so that a cell extends no borrow, although it bears the borrow's
//! lifetime. The question is an autoref specialisation: a trait's method with `self` answers for the types that are
//! refused, the method of [`Otherwise`] with `&self` for all others. The answer goes to a function whose bound nothing
//! refused fulfils, and whose message is ours. It is one trait for each question, not inherent methods: of a type that
//! rustc does not know (a misspelt name) all of those would be candidates, and rustc would list them.

use crate::outcome::never as value;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, hash_map, hash_set};
use std::marker::PhantomData;
use std::time::{Instant, SystemTime};

/// The type of a probed expression.
pub struct Seen<T: ?Sized>(PhantomData<Box<T>>);

/// Takes the type of a value.
pub fn of<T>(_: &T) -> Seen<T> {
    Seen(PhantomData)
}

/// Names a type.
pub fn named<T: ?Sized>() -> Seen<T> {
    Seen(PhantomData)
}

/// What follows is no part of the flow: the borrow checker skips it.
pub fn never() -> ! {
    unreachable!("generated code that only rustc reads")
}

/// An answer: `()` for what is fine, else the type that is refused.
pub struct Is<T>(PhantomData<fn() -> T>);

/// What is iterated in an order that every replay repeats.
#[diagnostic::on_unimplemented(
    message = "iterating a hash map or set in a workflow: the order differs on every replay",
    label = "this is a `{Self}`",
    note = "use `BTreeMap` / `BTreeSet`, or collect and sort; `get`, `insert`, `contains` and `len` are fine",
    note = "AB0115, explained by `cargo abide explain AB0115`"
)]
pub trait Ordered {}

#[diagnostic::do_not_recommend]
impl Ordered for () {}

/// What is the same on every replay: no clock was read for it.
#[diagnostic::on_unimplemented(
    message = "a clock is read in a workflow: on replay it returns another time",
    label = "this comes from a clock: `{Self}`",
    note = "use the workflow's own clock: `workflow::now()`",
    note = "AB0101, explained by `cargo abide explain AB0101`"
)]
pub trait Timeless {}

#[diagnostic::do_not_recommend]
impl Timeless for () {}

/// What is written to history in the same order every time.
#[diagnostic::on_unimplemented(
    message = "a hash set cannot be stored in a workflow's history: its order differs on every replay",
    label = "this is a `{Self}`",
    note = "use `BTreeSet`, or a sorted `Vec`; a `HashMap` is fine: its keys are compared sorted",
    note = "AB0115, explained by `cargo abide explain AB0115`"
)]
pub trait Listed {}

#[diagnostic::do_not_recommend]
impl Listed for () {}

/// Refuses hash maps, hash sets and their iterators.
pub fn ordered<T: Ordered>(_: Is<T>) {}

/// Refuses times of a clock.
pub fn timeless<T: Timeless>(_: Is<T>) {}

/// Refuses hash sets.
pub fn listed<T: Listed>(_: Is<T>) {}

/// What a body that asks imports, nameless: a user's own `Order` stays what it is.
pub mod questions {
    pub use super::{
        AnInstant as _, BareInstant as _, BareTime as _, List as _, Order as _, Otherwise as _, Sorted as _,
        Time as _,
    };
}

/// The answers for everything that is fine.
pub trait Otherwise {
    /// Whether it is a hash map or set, or an iterator of one.
    fn order(&self) -> Is<()> {
        value()
    }

    /// Whether it is an `Instant` or a `SystemTime`, or one in an `Option` or `Result`.
    fn time(&self) -> Is<()> {
        value()
    }

    /// The same of `Instant` alone: a `SystemTime` can come out of a recorded value.
    fn instant(&self) -> Is<()> {
        value()
    }

    /// As `time`, but not in an `Option` or `Result`, whose type may be open still where a closure or block ends.
    fn bare_time(&self) -> Is<()> {
        value()
    }

    /// As `instant`, but not in an `Option` or `Result`.
    fn bare_instant(&self) -> Is<()> {
        value()
    }

    /// Whether its own order does not tell in which order it was filled.
    fn sorts(&self) -> Keeps {
        value()
    }

    /// Whether it is a hash set.
    fn list(&self) -> Is<()> {
        value()
    }
}

impl<T: ?Sized> Otherwise for Seen<T> {}

/// The answer of a collection whose own order does not tell in which order it was filled.
pub struct Sorts;

/// The answer of every other collection.
pub struct Keeps;

impl Sorts {
    /// Nothing is left to ask about what goes into it.
    pub fn takes<T>(self, _: Seen<T>) -> Seen<()> {
        named()
    }
}

impl Keeps {
    /// What goes into it must be ordered.
    pub fn takes<T>(self, seen: Seen<T>) -> Seen<T> {
        seen
    }
}

macro_rules! answers {
    ($asks:ident::$ask:ident -> $all:ty: $([$($generics:tt)*] $ty:ty => $answer:ty,)*) => {
        #[doc = concat!("Answers `", stringify!($ask), "` for the types that it is about.")]
        pub trait $asks: Sized {
            /// The type in the answer.
            type Answer;

            #[doc = "Shadows the method of [`Otherwise`]."]
            fn $ask(self) -> $all {
                value()
            }
        }
        $(impl<$($generics)*> $asks for Seen<$ty> {
            type Answer = $answer;
        })*
    };
}

macro_rules! unordered {
    ($([$($generics:tt)*] $ty:ty,)*) => { answers!(Order::order -> Is<Self::Answer>: $([$($generics)*] $ty => $ty,)*); };
}

unordered! {
    [K, V, S] HashMap<K, V, S>,
    ['a, K, V, S] &'a HashMap<K, V, S>,
    ['a, K, V, S] &'a mut HashMap<K, V, S>,
    ['a, K, V] hash_map::Iter<'a, K, V>,
    ['a, K, V] hash_map::IterMut<'a, K, V>,
    [K, V] hash_map::IntoIter<K, V>,
    ['a, K, V] hash_map::Keys<'a, K, V>,
    ['a, K, V] hash_map::Values<'a, K, V>,
    ['a, K, V] hash_map::ValuesMut<'a, K, V>,
    [K, V] hash_map::IntoKeys<K, V>,
    [K, V] hash_map::IntoValues<K, V>,
    ['a, K, V] hash_map::Drain<'a, K, V>,
    ['a, K, V, F] hash_map::ExtractIf<'a, K, V, F>,
    [T, S] HashSet<T, S>,
    ['a, T, S] &'a HashSet<T, S>,
    ['a, T, S] &'a mut HashSet<T, S>,
    ['a, T] hash_set::Iter<'a, T>,
    [T] hash_set::IntoIter<T>,
    ['a, T] hash_set::Drain<'a, T>,
    ['a, T, F] hash_set::ExtractIf<'a, T, F>,
    ['a, T, S] hash_set::Union<'a, T, S>,
    ['a, T, S] hash_set::Intersection<'a, T, S>,
    ['a, T, S] hash_set::Difference<'a, T, S>,
    ['a, T, S] hash_set::SymmetricDifference<'a, T, S>,
}

answers! { Sorted::sorts -> Self::Answer:
    [K, V] BTreeMap<K, V> => Sorts,
    ['a, K, V] &'a mut BTreeMap<K, V> => Sorts,
    [T] BTreeSet<T> => Sorts,
    ['a, T] &'a mut BTreeSet<T> => Sorts,
    [T] BinaryHeap<T> => Sorts,
    ['a, T] &'a mut BinaryHeap<T> => Sorts,
    [K, V, S] HashMap<K, V, S> => Sorts,
    ['a, K, V, S] &'a mut HashMap<K, V, S> => Sorts,
    [T, S] HashSet<T, S> => Sorts,
    ['a, T, S] &'a mut HashSet<T, S> => Sorts,
}

answers! { List::list -> Is<Self::Answer>: [T, S] HashSet<T, S> => HashSet<T, S>, }

answers! { BareTime::bare_time -> Is<Self::Answer>:
    [] Instant => Instant,
    [] SystemTime => SystemTime,
}

answers! { BareInstant::bare_instant -> Is<Self::Answer>: [] Instant => Instant, }

answers! { Time::time -> Is<Self::Answer>:
    [] Instant => Instant,
    [] Option<Instant> => Instant,
    [E] Result<Instant, E> => Instant,
    [] SystemTime => SystemTime,
    [] Option<SystemTime> => SystemTime,
    [E] Result<SystemTime, E> => SystemTime,
}

answers! { AnInstant::instant -> Is<Self::Answer>:
    [] Instant => Instant,
    [] Option<Instant> => Instant,
    [E] Result<Instant, E> => Instant,
}
