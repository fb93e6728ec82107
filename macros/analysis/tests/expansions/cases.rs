//! How many cases a property is tried with, and with which seed, so that a failure can be had again; and on which stack.

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

/// On a stack as large as that of rustc's own thread, which macros run on. Tests have a quarter of it.
pub(crate) fn on_rustcs_stack<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(8 * 1024 * 1024).spawn_scoped(scope, run);
        match thread.expect("a thread").join() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
