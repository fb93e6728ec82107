//! The output: totals, and all data of the first run that violated a rule.

use crate::evidence::{Evidence, RunEvidence, Violation};
use std::fmt;
use std::time::Instant;

/// The outcome of a run.
pub(crate) struct Outcome {
    pub(crate) evidence: Evidence,
    pub(crate) violations: Vec<Violation>,
    /// How many faults were injected.
    pub(crate) faults: u64,
    /// In virtual time: the same for any two runs of one seed.
    pub(crate) digest: u64,
    /// What happened, one line per event, if it was requested.
    pub(crate) trace: Vec<String>,
}

/// Totals of all runs.
pub(crate) struct Totals {
    begin: Instant,
    runs: u64,
    executions: u64,
    calls: u64,
    attempts: u64,
    faults: u64,
}

impl Totals {
    pub(crate) fn begin() -> Self {
        Self { begin: Instant::now(), runs: 0, executions: 0, calls: 0, attempts: 0, faults: 0 }
    }

    pub(crate) fn add(&mut self, outcome: &Outcome) {
        let evidence = &outcome.evidence;
        self.runs += 1;
        self.faults += outcome.faults;
        self.executions += evidence.runs.len() as u64;
        self.calls += evidence.calls.len() as u64;
        let begun = evidence.log.iter().filter(|entry| entry.what == crate::effects::What::Begin);
        self.attempts += begun.count() as u64;
    }

    /// Prints a line every `every` runs.
    pub(crate) fn progress(&self, seed: u64, every: u64) {
        if self.runs.is_multiple_of(every) {
            println!("seed {seed}: {self}");
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { begin, runs, executions, calls, attempts, faults } = self;
        let rate = *runs as f64 / begin.elapsed().as_secs_f64().max(0.001);
        write!(
            f,
            "{runs} runs ({rate:.1} a second), {executions} executions, {attempts} attempts, {calls} calls, \
             {faults} faults"
        )
    }
}

/// Prints the violations of a seed, one per line.
pub(crate) fn violations(seed: u64, violations: &[Violation]) {
    println!("seed {seed} breaks {} rules", violations.len());
    violations.iter().for_each(|violation| println!("  {violation}"));
}

/// Prints all data of a run that violated a rule.
pub(crate) fn failure(seed: u64, command: &str, outcome: &Outcome) {
    let Outcome { evidence, violations, trace, .. } = outcome;
    self::violations(seed, violations);
    println!("\nthe scenario\n{}", evidence.scenario);
    println!("the calls");
    evidence.calls.iter().for_each(|call| println!("  {call}"));
    println!("\nthe log");
    (1..).zip(&evidence.log).for_each(|(line, entry): (usize, _)| println!("{line:>5} {entry}"));
    evidence.runs.iter().for_each(history);
    if !trace.is_empty() {
        println!("\nwhat befell it, by virtual ms");
        trace.iter().for_each(|line| println!("{line}"));
    }
    println!("\nagain: {command}");
}

fn history(run: &RunEvidence) {
    println!("\nhistory of {}, {}", run.name(), run.status);
    for row in &run.history {
        for (number, event) in (row.seq.0..).zip(&row.events) {
            println!("  {number:>4} at {} {event:?}", row.at_ms);
        }
    }
}
