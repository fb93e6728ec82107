//! Checks chains of runs: what goes on is what the run before said, with all pokes that came, and no message is
//! taken in twice along the chain or in another order than its sender sent it.

use crate::evidence::{Evidence, Findings, RunEvidence, Violation};
use abide::history::Event;
use std::collections::{BTreeMap, BTreeSet};

/// The run ids of the chain in which this run is, from this run on.
pub(crate) fn from<'e>(evidence: &'e Evidence, run_id: &str) -> Vec<&'e RunEvidence> {
    let mut chain: Vec<&RunEvidence> = Vec::new();
    let mut next = Some(run_id.to_owned());
    while let Some(run) = next.and_then(|run_id| evidence.runs.iter().find(|run| run.run_id == run_id)) {
        chain.push(run);
        next = run.next();
    }
    chain
}

/// Checks all chains.
pub(crate) fn check(evidence: &Evidence, all: &mut Vec<Violation>) {
    let goes_on: BTreeSet<String> = evidence.runs.iter().filter_map(RunEvidence::next).collect();
    for run in evidence.runs.iter().filter(|run| !goes_on.contains(&run.run_id)) {
        let chain = from(evidence, &run.run_id);
        let mut findings = Findings { of: run.name(), all };
        chain.windows(2).for_each(|pair| handed_on(pair[0], pair[1], &mut findings));
        let last = chain.last().and_then(|run| run.next());
        findings.check(last.is_none(), "chain", || format!("run {last:?} is nowhere"));
        once(&chain, &mut findings);
        in_order(&chain, &mut findings);
    }
}

/// The next run has the program that this one gave it, and this one gave it what it had to.
fn handed_on(run: &RunEvidence, next: &RunEvidence, findings: &mut Findings<'_>) {
    let of = |run: &RunEvidence| run.workflow_id.clone();
    findings.check(of(run) == of(next), "chain", || format!("{} goes on as {}", of(run), of(next)));
    let Some(program) = run.program() else { return };
    let mut pokes = program.carried.clone();
    pokes.extend(run.signals("poke"));
    let expected = program.next(pokes);
    // The next attempt begins as this one did.
    let retried = run.is_retried().then_some(program);
    let (expected, given) = match retried {
        Some(program) => (Some(program), next.origin.as_ref().and_then(|origin| origin.program.clone())),
        None => {
            let given = run.given().and_then(|input| input.decode().ok());
            (expected, given.map(|(program,)| program))
        }
    };
    findings.check(expected.is_some() && given == expected, "chain", || {
        format!("it goes on with {given:?}, and not with {expected:?}")
    });
    let taken = |request: &str| {
        let mut events = next.events();
        events.any(|(_, event)| matches!(event, Event::Signaled { request_id, .. } if request_id == request))
    };
    for (_, event) in run.events().filter(|(_, event)| run.leaves(event)) {
        let Event::Signaled { request_id, .. } = event else { continue };
        findings
            .check(taken(request_id), "lost message", || format!("`{request_id}` was left to the next run"));
    }
}

/// What the runs have taken in and done. A message that one has left to the next is that one's.
fn events<'e>(chain: &[&'e RunEvidence]) -> impl Iterator<Item = &'e Event> {
    let of = |run: &&'e RunEvidence| {
        let run: &'e RunEvidence = run;
        run.events().map(|(_, event)| event).filter(|event| !run.leaves(event))
    };
    chain.iter().flat_map(of)
}

/// No message is taken in twice. A request to cancel that a run has not obeyed is recorded by the next one, too.
fn once(chain: &[&RunEvidence], findings: &mut Findings<'_>) {
    let mut known = BTreeSet::new();
    for event in events(chain) {
        let key = match event {
            Event::Signaled { request_id, .. } => ("signal", request_id),
            Event::UpdateAccepted { update_id, .. } => ("update", update_id),
            _ => continue,
        };
        let new = known.insert(key);
        findings.check(new, "taken twice", || format!("{} `{}`, along its chain", key.0, key.1));
    }
}

/// The messages of a run come in the order in which it sent them. Those of a client need not: a process gives
/// to its own runs what it has, before it looks for what others have written.
fn in_order(chain: &[&RunEvidence], findings: &mut Findings<'_>) {
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for event in events(chain) {
        let Event::Signaled { request_id, .. } = event else { continue };
        let Some((sender, command)) = request_id.rsplit_once('/') else { continue };
        let (true, Ok(command)) = (sender.starts_with("abide/"), command.parse()) else { continue };
        let before = last.insert(sender, command).unwrap_or(0);
        findings.check(before < command, "out of order", || {
            format!("`{request_id}` was taken in after command {before} of that run")
        });
    }
}
