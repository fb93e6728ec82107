//! Random histories, inputs and payloads. The journal returns what was written. Anything else is an error. An
//! execution that gets any of them is in a defined state, and the numbers of its events are consecutive.
//!
//! `PROPTEST_CASES` raises the number of cases. A failure prints the smallest case found, and the seed.

mod decode;

mod payload;
mod program;
mod replay;
mod run;

mod values;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::hash::{BuildHasher, RandomState};

/// `count` cases, or the number in `PROPTEST_CASES`. A failed test prints the seed.
pub(crate) fn cases(count: u32) -> ProptestConfig {
    let given = ProptestConfig::default();
    let seed = match given.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => RandomState::new().hash_one(()),
    };
    println!("the same cases again: PROPTEST_RNG_SEED={seed}");
    ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").map_or(count, |_| given.cases),
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..given
    }
}
