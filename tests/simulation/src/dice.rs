//! The only source of randomness: all random values come from a seed through this.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// A seeded generator.
#[derive(Debug)]
pub(crate) struct Dice(StdRng);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// A number from 0 to `end - 1`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0.random_range(0..end.max(1))
    }

    /// A number from `first` to `last`, both included.
    pub(crate) fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last.saturating_sub(first) + 1)
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap_or(0)]
    }

    /// Mostly small, rarely large: each doubling is half as likely.
    pub(crate) fn tail(&mut self, first: u64, last: u64) -> u64 {
        let mut end = first.max(1);
        while end < last && self.chance(50) {
            end *= 2;
        }
        self.between(first, end.min(last))
    }

    /// A time: each power of two between the two limits is equally likely.
    pub(crate) fn ms(&mut self, least: u64, most: u64) -> u64 {
        let least = least.max(1);
        let doublings = u64::from((most / least).max(1).ilog2());
        let end = least << self.between(0, doublings);
        self.between((end / 2).max(least), (end * 2).min(most).max(least))
    }

    /// An index into a list of weights.
    pub(crate) fn weighted(&mut self, weights: &[u64]) -> usize {
        let mut at = self.below(weights.iter().sum());
        for (place, weight) in weights.iter().enumerate() {
            match at.checked_sub(*weight) {
                Some(left) => at = left,
                None => return place,
            }
        }
        0
    }
}
