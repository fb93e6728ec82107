//! The mutants of the statements. The permutations, or a named test, must find each. Each runs in its own
//! process, since a mutant applies to a whole process.

use abide_core::mutant::{FoundBy, Mutant, let_live};
use std::process::Command;

/// The environment variable that names the mutant to its process.
const ALIVE: &str = "ABIDE_MUTANT";

/// In such a process: turns the mutant on.
pub(crate) fn let_live_by_environment() {
    if let Ok(name) = std::env::var(ALIVE) {
        let_live(Some(name.parse().expect("a mutant's name")));
    }
}

const PAIRS: &str = "store::postgres::permutations::every_pair_in_every_order";
const TRIPLES: &str = "store::postgres::permutations::triples::a_parent_closes_while_its_child_goes_on";

/// Mutants of families, which the triples must find as well, whatever else finds them.
const OF_FAMILIES: [Mutant; 2] = [Mutant::ForgetOrphans, Mutant::ClearOrphansEarly];

#[test]
fn each_is_found() {
    let test = |mutant: &Mutant| match mutant.found_by() {
        FoundBy::Permutations => Some((*mutant, PAIRS)),
        FoundBy::Test(name) => Some((*mutant, name)),
        FoundBy::Simulation { .. } => None,
    };
    let mut mine: Vec<_> = Mutant::ALL.iter().filter_map(test).collect();
    assert!(mine.len() >= 11);
    mine.extend(OF_FAMILIES.map(|mutant| (mutant, TRIPLES)));
    std::thread::scope(|scope| {
        mine.iter().for_each(|(mutant, test)| drop(scope.spawn(|| is_found(*mutant, test))));
    });
}

fn is_found(mutant: Mutant, test: &str) {
    let played = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(ALIVE, mutant.name())
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&played.stdout);
    assert!(!played.status.success(), "`{}` was not noticed: {told}", mutant.name());
    // It ran, and a rule failed: not another trouble of that process.
    assert!(told.contains("running 1 test") && told.contains("1 failed"), "{}: {told}", mutant.name());
}
