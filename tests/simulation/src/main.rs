//! Random workflows under random faults, checked against a model of their possible results:
//! `cargo run -p simulation -- --store sqlite --runs 20`.
//!
//! A seed gives a scenario: programs, and what clients do with them. It is played on several processes over
//! one database, while processes are paused and killed. Then the oracle checks the histories against what ran
//! and what the clients were told. The first seed that violates a rule is printed with all its data, and with
//! the command that plays it again.

mod act;
mod answers;
mod attempts;
mod calls;
mod chains;
mod client;
mod describe;
mod dice;
mod effects;
mod evidence;
mod families;
mod generate;
mod history;
mod interpret;
mod items;
mod limits;
mod model;
mod more;
mod mutants;
mod oracle;
mod parts;
mod program;
mod real;
mod report;
/// The workflow's code once more, as another release.
#[allow(clippy::duplicate_mod)]
#[path = "interpret.rs"]
mod revised;
mod revision;
mod sagas;
mod scenario;
mod script;
mod talk;
mod terms;
mod told;
mod updates;
mod value;
mod withs;
mod world;

#[cfg(test)]
mod chains_tests;
#[cfg(test)]
mod doctored;
#[cfg(test)]
mod generate_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod terms_tests;
#[cfg(test)]
mod told_tests;

use clap::{Parser, ValueEnum};
use real::Store;
use report::Outcome;
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(Parser)]
#[command(about = "Random workflows under random faults, against a model of what they may come to")]
struct Args {
    /// How many seeds to play, one after the other.
    #[arg(long, default_value_t = 100)]
    runs: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Begins no further seed after this many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// The store. `memory` uses virtual time, the others real time.
    #[arg(long, value_enum, default_value = "memory")]
    store: StoreKind,
    /// Plays each seed twice. Both traces must be the same to the last line.
    #[arg(long)]
    twice: bool,
    /// On real stores: no faults, no killed processes, no interrupted calls.
    #[arg(long)]
    calm: bool,
    /// Continues after a seed that violates a rule, and prints only its violations.
    #[arg(long)]
    keep_going: bool,
    /// Prints each scenario before it is played.
    #[arg(long)]
    show: bool,
    /// Plays against an engine with this known bug, which must be found.
    #[arg(long)]
    mutant: Option<String>,
    /// Prints the names of the known bugs.
    #[arg(long)]
    list_mutants: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StoreKind {
    Memory,
    Sqlite,
    Postgres,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // A panic of a program is expected, so it is not printed.
        if panic.payload_as_str() != Some(revision::BUG) {
            hook(panic);
        }
    }));
    if args.list_mutants {
        return mutants::list();
    }
    if let Some(name) = &args.mutant
        && let Err(error) = mutants::let_live(name)
    {
        return unusable(&error);
    }
    match args.store {
        StoreKind::Memory => all(&args, |seed| {
            let outcome = world::run(seed, false);
            // Play it again, with a trace for people.
            if outcome.violations.is_empty() { outcome } else { world::run(seed, true) }
        }),
        StoreKind::Sqlite => on_real(&args, &Store::Sqlite),
        StoreKind::Postgres => {
            let options = cluster::Options { max_connections: 2_000, ..cluster::Options::default() };
            match cluster::Cluster::start(options) {
                Ok(cluster) => on_real(&args, &Store::Postgres(cluster)),
                Err(error) => unusable(&error),
            }
        }
    }
}

fn unusable(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(2)
}

fn on_real(args: &Args, store: &Store) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => all(args, |seed| runtime.block_on(real::run(store, seed, !args.calm))),
        Err(error) => unusable(&error),
    }
}

fn all(args: &Args, run: impl Fn(u64) -> Outcome) -> ExitCode {
    let (mut totals, mut failed) = (report::Totals::begin(), 0);
    let began = Instant::now();
    let every = (args.runs / 10).clamp(1, 1_000);
    for seed in args.seed..args.seed.saturating_add(args.runs) {
        if args.seconds.is_some_and(|seconds| began.elapsed() >= Duration::from_secs(seconds)) {
            break;
        }
        if args.show {
            println!("seed {seed}\n{}", scenario::Scenario::generate(seed));
        }
        let outcome = run(seed);
        totals.add(&outcome);
        if args.twice && run(seed).digest != outcome.digest {
            println!("seed {seed} does not repeat itself");
            return ExitCode::FAILURE;
        }
        if !outcome.violations.is_empty() {
            failed += 1;
            if !args.keep_going {
                report::failure(seed, &command(args, seed), &outcome);
                break;
            }
            report::violations(seed, &outcome.violations);
        }
        totals.progress(seed, every);
    }
    println!("{totals}");
    if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn command(args: &Args, seed: u64) -> String {
    let mut command = format!("cargo run --release -p simulation -- --runs 1 --seed {seed}");
    if args.store != StoreKind::Memory {
        command += &format!(" --store {}", format!("{:?}", args.store).to_lowercase());
    }
    if args.calm {
        command += " --calm";
    }
    if let Some(mutant) = &args.mutant {
        command += &format!(" --mutant {mutant}");
    }
    command
}
