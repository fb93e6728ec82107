//! Checks what workflows say to others: each poke comes in once, and only if its sender was told so; and what
//! a run publishes can be read, in order and without a gap.

use crate::evidence::{Evidence, Findings, RunEvidence, Violation};
use crate::families;
use crate::program::{Program, Step};
use abide::__private::Recipient;
use abide::ExecutionStatus;
use abide::history::Event;
use std::collections::{BTreeMap, BTreeSet};

/// Checks all runs.
pub(crate) fn check(evidence: &Evidence, all: &mut Vec<Violation>) {
    let mut sent: BTreeMap<(String, u64), Sent> = BTreeMap::new();
    for run in &evidence.runs {
        let mut findings = Findings { of: run.name(), all };
        published(evidence, run, &mut findings);
        for poke in pokes(run) {
            let own = poke.to == run.workflow_id;
            findings.check(!own || poke.told != Some(false), "refused itself", || {
                format!("it was open when it poked itself with {}", poke.n)
            });
            let of = sent.entry((poke.to, poke.n)).or_default();
            match poke.told {
                Some(true) => of.told += 1,
                Some(false) => {}
                None => of.open += 1,
            }
        }
    }
    let came = came(evidence, &sent, all);
    for ((to, n), Sent { told, open }) in sent {
        let came = came.get(&(to.clone(), n)).copied().unwrap_or(0);
        let mut runs = evidence.runs.iter().filter(|run| run.workflow_id == to);
        let ended = [ExecutionStatus::Terminated, ExecutionStatus::TimedOut];
        let terminated = runs.any(|run| ended.contains(&run.status));
        let mut findings = Findings { of: to, all };
        findings.check(came <= told + open, "told twice", || {
            format!("poke {n} came in {came} times, of {told} that were told and {open} without an answer")
        });
        findings.check(came >= told || terminated, "lost message", || {
            format!("poke {n} came in {came} times, and {told} senders were told that it would")
        });
    }
}

#[derive(Default)]
struct Sent {
    /// How many senders were told that it was sent.
    told: usize,
    /// How many have ended without an answer.
    open: usize,
}

/// A poke that a run has sent.
struct Poke {
    to: String,
    n: u64,
    told: Option<bool>,
}

fn pokes(run: &RunEvidence) -> Vec<Poke> {
    let children = families::of(run);
    let mut pokes: BTreeMap<u64, Poke> = BTreeMap::new();
    for (number, event) in run.events() {
        match event {
            Event::SignalSent { to, input, .. } => {
                let n = input.decode::<(u64,)>().map_or(0, |(n,)| n);
                let to = match to {
                    Recipient::Workflow(id) => id.clone(),
                    Recipient::Child(child) => {
                        let child = children.iter().find(|scheduled| scheduled.number == child.0);
                        child.map_or_else(String::new, |child| child.workflow_id.to_owned())
                    }
                };
                pokes.insert(number, Poke { to, n, told: None });
            }
            Event::Answered { command, refused } => {
                if let Some(poke) = pokes.get_mut(&command.0) {
                    poke.told = Some(refused.is_none());
                }
            }
            _ => {}
        }
    }
    pokes.into_values().collect()
}

/// The answers to the pokes of a run, by their numbers.
pub(crate) fn answers(run: &RunEvidence) -> BTreeMap<u64, bool> {
    pokes(run).into_iter().filter_map(|poke| Some((poke.n, poke.told?))).collect()
}

/// How often each poke came in. One that no run has sent is a violation.
fn came(
    evidence: &Evidence,
    sent: &BTreeMap<(String, u64), Sent>,
    all: &mut Vec<Violation>,
) -> BTreeMap<(String, u64), usize> {
    let mut came = BTreeMap::new();
    let mut known = BTreeSet::new();
    for run in &evidence.runs {
        let mut findings = Findings { of: run.name(), all };
        for (number, event) in run.events().filter(|(_, event)| !run.leaves(event)) {
            let Event::Signaled { request_id, input, .. } = event else { continue };
            if !request_id.starts_with("abide/") || request_id.starts_with("abide/with/") {
                continue;
            }
            let key = (run.workflow_id.clone(), input.decode::<(u64,)>().map_or(0, |(n,)| n));
            findings.check(sent.contains_key(&key), "never sent", || {
                format!("event {number} is poke {} under `{request_id}`", key.1)
            });
            let new = known.insert((run.workflow_id.clone(), request_id.clone()));
            findings.check(new, "taken twice", || {
                format!("event {number}: `{request_id}` was taken in before, also by an earlier run")
            });
            *came.entry(key).or_insert(0) += 1;
        }
    }
    came
}

/// The stream of a run has the items that its history says, in order, and each once.
fn published(evidence: &Evidence, run: &RunEvidence, findings: &mut Findings<'_>) {
    let expected = run.events().filter(|(_, event)| matches!(event, Event::Published { .. })).count();
    let Some(items) = &run.published else { return };
    findings.check(items.len() == expected, "stream", || {
        format!("it has published {expected} items, and its stream has {items:?}")
    });
    let in_order = items.iter().zip(1..).all(|((seq, _), expected): (&(u64, u64), u64)| *seq == expected);
    findings.check(in_order, "stream", || {
        format!("its items have other numbers than 1 to {expected}: {items:?}")
    });
    let programs = evidence.scenario.programs.iter().flat_map(Program::family).collect::<Vec<_>>();
    let scripted: BTreeSet<u64> =
        programs.iter().flat_map(|program| program.all()).filter_map(number).collect();
    let distinct: BTreeSet<u64> = items.iter().map(|(_, n)| *n).collect();
    findings.check(distinct.len() == items.len() && distinct.is_subset(&scripted), "stream", || {
        format!("an item is there twice, or of nobody: {items:?}")
    });
}

fn number(step: &Step) -> Option<u64> {
    if let Step::Publish { n } = step { Some(*n) } else { None }
}
