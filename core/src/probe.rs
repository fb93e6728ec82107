//! Value probes: they refuse an expression of workflow code by its *inferred* type, whatever its name is
//! (layer V of `docs/determinism.md`). Only rustc reads the code that the macros emit here. It never runs.
//!
//! ```text
//! let (cell,);                                                     // declared at the top of the body
//! match (E,) { v => { if false { never(); cell = of(&v.0); } v.0 } }  // at the expression: takes its type
//! return TAIL;
//! ordered(cell.order());                                           // at the end: asks, when inference is done
//! ```
//! The borrow checker skips code after [`never`], so a cell extends no borrow although its type has the
//! borrow's lifetime. The question is an autoref specialisation. A trait's method with `self` answers for the
//! refused types, and the method of [`Otherwise`] with `&self` answers for all others. The answer is passed
//! to a function whose bound no refused type meets, and the message of that bound is ours. Each question is a
//! trait, and not inherent methods: for a type that rustc does not know (a misspelt name), all inherent
//! methods would be candidates, and rustc would list them.

use crate::outcome::never as value;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, hash_map, hash_set};
use std::marker::PhantomData;
use std::time::{Instant, SystemTime};

/// The type of a probed expression.
pub struct Seen<T: ?Sized>(PhantomData<Box<T>>);

/// Returns the type of a value.
pub fn of<T>(_: &T) -> Seen<T> {
    Seen(PhantomData)
}

/// Names a type.
pub fn named<T: ?Sized>() -> Seen<T> {
    Seen(PhantomData)
}

/// The code after it is unreachable, so the borrow checker skips it.
pub fn never() -> ! {
    unreachable!("generated code that only rustc reads")
}

/// An answer: `()` for an accepted type, or the refused type.
pub struct Is<T>(PhantomData<fn() -> T>);

/// Types whose iteration order is the same on every replay.
#[diagnostic::on_unimplemented(
    message = "iterating a hash map or set in a workflow: the order differs on every replay",
    label = "this is a `{Self}`",
    note = "use `BTreeMap` / `BTreeSet`, or collect and sort; `get`, `insert`, `contains` and `len` are fine",
    note = "AB0115, explained by `cargo abide explain AB0115`"
)]
pub trait Ordered {}

#[diagnostic::do_not_recommend]
impl Ordered for () {}

/// Values that are the same on every replay: no clock was read for them.
#[diagnostic::on_unimplemented(
    message = "a clock is read in a workflow: on replay it returns another time",
    label = "this comes from a clock: `{Self}`",
    note = "use the workflow's own clock: `workflow::now()`",
    note = "AB0101, explained by `cargo abide explain AB0101`"
)]
pub trait Timeless {}

#[diagnostic::do_not_recommend]
impl Timeless for () {}

/// Values that history always stores in the same order.
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

/// Refuses times from a clock.
pub fn timeless<T: Timeless>(_: Is<T>) {}

/// Refuses hash sets.
pub fn listed<T: Listed>(_: Is<T>) {}

/// The traits that a body with questions imports, without names: a user's own `Order` keeps its meaning.
pub mod questions {
    pub use super::{
        AnInstant as _, BareInstant as _, BareTime as _, List as _, Order as _, Otherwise as _, Sorted as _,
        Time as _,
    };
}

/// The answers for all accepted types.
pub trait Otherwise {
    /// Whether it is a hash map or set, or an iterator of one.
    fn order(&self) -> Is<()> {
        value()
    }

    /// Whether it is an `Instant` or a `SystemTime`, or one in an `Option` or `Result`.
    fn time(&self) -> Is<()> {
        value()
    }

    /// The same for `Instant` alone: a `SystemTime` can come from a recorded value.
    fn instant(&self) -> Is<()> {
        value()
    }

    /// Like `time`, but not in an `Option` or `Result`: their type may still be open where a closure or block
    /// ends.
    fn bare_time(&self) -> Is<()> {
        value()
    }

    /// Like `instant`, but not in an `Option` or `Result`.
    fn bare_instant(&self) -> Is<()> {
        value()
    }

    /// Whether its own order is independent of the order of insertion.
    fn sorts(&self) -> Keeps {
        value()
    }

    /// Whether it is a hash set.
    fn list(&self) -> Is<()> {
        value()
    }
}

impl<T: ?Sized> Otherwise for Seen<T> {}

/// The answer for a collection whose own order is independent of the order of insertion.
pub struct Sorts;

/// The answer of every other collection.
pub struct Keeps;

impl Sorts {
    /// Nothing needs to be asked about inserted values.
    pub fn takes<T>(self, _: Seen<T>) -> Seen<()> {
        named()
    }
}

impl Keeps {
    /// Inserted values must come in a deterministic order.
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
    ($([$($generics:tt)*] $ty:ty,)*) => {
        answers!(Order::order -> Is<Self::Answer>: $([$($generics)*] $ty => $ty,)*);
    };
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
