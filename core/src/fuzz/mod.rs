//! Random histories, inputs and payloads: what the journal gives back is what was written, what it cannot be is an
//! error, and an execution that is handed any of it stands somewhere, with numbers that join up.
//!
//! `PROPTEST_CASES` raises the number of cases; a failure prints the smallest case that was found, and the seed.

mod decode;

mod payload;
mod program;
mod replay;
mod run;

mod values;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::hash::{BuildHasher, RandomState};

/// `count` cases, or as many as `PROPTEST_CASES` says. The seed is in the output of a test that fails.
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
