//! Ranges of numbers.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::RangeInclusive;

/// Numbers from `start` to `end`, each `step`-th of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalendarRange {
    /// The first number.
    pub start: u16,
    /// The last number.
    pub end: u16,
    /// The distance of two numbers: at least 1. Default: 1.
    #[serde(default = "one")]
    pub step: u16,
}

fn one() -> u16 {
    1
}

impl From<u16> for CalendarRange {
    fn from(at: u16) -> Self {
        Self { start: at, end: at, step: 1 }
    }
}

impl From<RangeInclusive<u16>> for CalendarRange {
    fn from(range: RangeInclusive<u16>) -> Self {
        Self { start: *range.start(), end: *range.end(), step: 1 }
    }
}

impl CalendarRange {
    /// Whether a number is in the range.
    pub(super) fn has(&self, value: u16) -> bool {
        (self.start..=self.end).contains(&value) && (value - self.start).is_multiple_of(self.step.max(1))
    }

    /// The first number of the range from `from` on.
    pub(super) fn next(&self, from: u16) -> Option<u16> {
        let step = self.step.max(1);
        let steps = from.saturating_sub(self.start).div_ceil(step);
        let found = self.start.checked_add(steps.checked_mul(step)?)?;
        (found <= self.end).then_some(found)
    }

    /// Its numbers below 64, as a set.
    pub(super) fn bits(&self) -> u64 {
        (0..64).filter(|bit| self.has(*bit)).fold(0, |set, bit| set | 1 << bit)
    }
}

impl fmt::Display for CalendarRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.start == self.end, self.step) {
            (true, _) => write!(f, "{}", self.start),
            (false, 1) => write!(f, "{}-{}", self.start, self.end),
            (false, step) => write!(f, "{}-{}/{step}", self.start, self.end),
        }
    }
}
