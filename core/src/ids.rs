//! Names for things that must not be mixed up. Plain data: no id is drawn here, since `core` has no randomness.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The key of one execution (one run) inside one database. Made of a block that the store hands to a process and
/// a counter, so that it is unique without a round trip and close in time means close in the index.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExecutionId(pub i64);

/// A worker's incarnation: an id never used twice, so that an owner needs no epoch (PROTOCOL 12).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub i64);

/// The number of an event in its execution's history, from 1. A command's number is also its id: the activity
/// that event 7 scheduled is activity 7.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(pub u64);

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
