//! The risks between a value and its JSON, their counts, and the trait that records their places (`look`
//! finds them).

use serde::Serialize;
use std::fmt;

/// A part that may not come back. The number is its index in [`Risks`].
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

/// How often each risk occurs. Two values that differ only in the order of a hash map have the same counts.
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

    /// Whether the other value has this risk equally often.
    pub(super) fn agree(&self, other: &Self, risk: Risk) -> bool {
        self.counts[risk as usize] == other.counts[risk as usize]
            && (risk != Risk::Wide || self.wide == other.wide)
    }
}

/// The result of serializing a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrote {
    Null,
    Text,
    Other,
}

/// The value's `Serialize` failed, although it succeeded when the JSON was written.
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

/// Receives the risks and their places.
pub(super) trait Watch {
    /// Enters a field, an element or an entry. Returns the argument for [`Watch::leave`].
    fn enter(&mut self, step: Step<'_>) -> usize;
    fn leave(&mut self, mark: usize);
    fn met(&mut self, risk: Risk);
    /// Returns the text of a map's key. Called only if it is needed.
    fn key<K: Serialize + ?Sized>(&self, key: &K) -> String;
}

/// One step of a path.
#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    Field(&'static str),
    Index(usize),
    /// A key, with its position among the keys, from 1.
    Key(&'a str, usize),
}

/// Ignores the places: the risks are only counted.
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
