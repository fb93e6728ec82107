//! The mutants of the statements, each of which the permutations must find: played in a process of its own, since a
//! mutant lives in a whole process.

use abide_core::mutant::{FoundBy, Mutant, let_live};
use std::process::Command;

/// Names the mutant to the process that plays with it.
const ALIVE: &str = "ABIDE_MUTANT";

/// In such a process: makes it live.
pub(super) fn let_live_by_environment() {
    if let Ok(name) = std::env::var(ALIVE) {
        let_live(Some(name.parse().expect("a mutant's name")));
    }
}

#[test]
fn each_is_found() {
    let mine = Mutant::ALL.iter().filter(|mutant| mutant.found_by() == FoundBy::Permutations);
    let playing: Vec<_> = mine
        .map(|mutant| {
            let test = "store::postgres::permutations::every_pair_in_every_order";
            let child = Command::new(std::env::current_exe().unwrap())
                .args([test, "--exact", "--nocapture"])
                .env(ALIVE, mutant.name())
                .env("RUST_BACKTRACE", "0")
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped())
                .spawn();
            (mutant.name(), child.unwrap())
        })
        .collect();
    assert_eq!(playing.len(), 4);
    for (name, child) in playing {
        let played = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&played.stdout);
        assert!(!played.status.success(), "nobody noticed `{name}`: {told}");
        // It was played, and failed by a rule: no other trouble of that process.
        assert!(told.contains("running 1 test") && told.contains("1 failed"), "{name}: {told}");
    }
}
