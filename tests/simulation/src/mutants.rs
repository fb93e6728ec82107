//! The engine's mutants by name: the list, and the one that is active in this run.

use std::process::ExitCode;

#[cfg(feature = "mutants")]
use abide::__private::mutant::{self, FoundBy, Mutant};

/// Activates this mutant.
#[cfg(feature = "mutants")]
pub(crate) fn let_live(name: &str) -> Result<(), String> {
    let found: Mutant = name.parse()?;
    match found.found_by() {
        FoundBy::Simulation { .. } => {
            mutant::let_live(Some(found));
            Ok(())
        }
        FoundBy::Permutations => {
            Err(format!("`{name}` is in the SQL of a store: the permutations of its statements find it"))
        }
        FoundBy::Test(test) => Err(format!("`{name}` is found by the test `{test}`")),
    }
}

/// Prints all mutants.
#[cfg(feature = "mutants")]
pub(crate) fn list() -> ExitCode {
    for mutant in Mutant::ALL {
        let by = match mutant.found_by() {
            FoundBy::Simulation { from, runs } => format!("{runs} from {from}"),
            FoundBy::Permutations => "permutations".to_owned(),
            FoundBy::Test(_) => "a test".to_owned(),
        };
        println!("{:<28} {by:<14} {}", mutant.name(), mutant.what());
    }
    ExitCode::SUCCESS
}

#[cfg(not(feature = "mutants"))]
pub(crate) fn let_live(_: &str) -> Result<(), String> {
    Err("this build has no mutants: build it with its feature `mutants`".to_owned())
}

#[cfg(not(feature = "mutants"))]
pub(crate) fn list() -> ExitCode {
    ExitCode::SUCCESS
}
