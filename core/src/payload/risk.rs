//! What may be lost between a value and its JSON, how often, and who wants to know where (`look` finds it).

use serde::Serialize;
use std::fmt;

/// What may not come back. The number is its place in [`Risks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Risk {
    NotANumber,
    Infinite,
    NegativeInfinite,
    SomeNull,
    Wide,
    Key,
    Raw,
    LeftOut,
}

const KINDS: usize = 8;

/// How often each risk was met. Two values that differ in nothing but the order of a hash map give the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Risks {
    pub(super) counts: [u32; KINDS],
    /// The wrapping sum of the 128-bit integers.
    pub(super) wide: u128,
}

impl Risks {
    pub(super) fn is_none(&self) -> bool {
        self.counts == [0; KINDS]
    }

    /// Whether the other value has this risk as often.
    pub(super) fn agree(&self, other: &Self, risk: Risk) -> bool {
        self.counts[risk as usize] == other.counts[risk as usize]
            && (risk != Risk::Wide || self.wide == other.wide)
    }
}

/// What a serialized value has become.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrote {
    Null,
    Text,
    Other,
}

/// The value's `Serialize` failed, although it did not when the JSON was written.
#[derive(Debug)]
pub(super) struct Unseen;

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its `Serialize` fails when it is asked again")
    }
}

impl std::error::Error for Unseen {}

impl serde::ser::Error for Unseen {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// Who wants to know where a risk is.
pub(super) trait Watch {
    /// Goes into a field, an element or an entry; gives what [`Watch::leave`] takes.
    fn enter(&mut self, step: Step<'_>) -> usize;
    fn leave(&mut self, mark: usize);
    fn met(&mut self, risk: Risk);
    /// The text of a map's key; called only where it is needed.
    fn key<K: Serialize + ?Sized>(&self, key: &K) -> String;
}

/// One step of a path.
#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    Field(&'static str),
    Index(usize),
    /// With its place among the keys, from 1.
    Key(&'a str, usize),
}

/// Nobody: the risks are only counted.
pub(super) struct Counted;

impl Watch for Counted {
    #[inline]
    fn enter(&mut self, _: Step<'_>) -> usize {
        0
    }

    #[inline]
    fn leave(&mut self, _: usize) {}

    #[inline]
    fn met(&mut self, _: Risk) {}

    #[inline]
    fn key<K: Serialize + ?Sized>(&self, _: &K) -> String {
        String::new()
    }
}
