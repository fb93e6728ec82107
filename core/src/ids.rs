//! Id types for things that must not be confused. Plain data: this crate has no randomness, so it creates no
//! ids.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The key of one execution (one run) in one database. It consists of a block that the store gives to a
/// process and a counter. It is unique without a round trip, and runs that start at about the same time are
/// close in the index.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExecutionId(pub i64);

/// The id of a worker process's incarnation. It is never used twice, so an owner needs no epoch
/// (PROTOCOL 12).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub i64);

/// The number of an event in its execution's history, from 1. A command's number is also its id: event 7
/// schedules activity 7.
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
