//! Checks starts that bring a message: it is taken in once, by the run that was started or found, and before all others
//! where its start has made the run.

use crate::calls::{Answer, Asked};
use crate::chains;
use crate::evidence::{Evidence, Findings, RunEvidence, Violation};
use crate::scenario::{Ask, Brings, Scenario};
use crate::value::Uncounted;
use abide::history::Event;

/// A start of a scenario that brings a message.
#[derive(Clone, Debug, PartialEq)]
struct With<'s> {
    workflow_id: &'s str,
    request: &'s str,
    n: u64,
    brings: Brings,
    id: String,
}

fn all(scenario: &Scenario) -> Vec<With<'_>> {
    let mut found: Vec<With<'_>> = Vec::new();
    for actor in &scenario.actors {
        for line in &actor.lines {
            let Ask::StartWith { request, n, brings, own } = &line.ask else { continue };
            let (workflow_id, id) = (actor.workflow_id.as_str(), brings.id(request, *own));
            let with = With { workflow_id, request, n: *n, brings: *brings, id };
            if !found.contains(&with) {
                found.push(with);
            }
        }
    }
    found
}

/// Whether the message of a start of this workflow id has this id.
pub(crate) fn is_scripted(scenario: &Scenario, workflow_id: &str, id: &str) -> bool {
    all(scenario).iter().any(|with| with.workflow_id == workflow_id && with.id == id)
}

/// Checks all such starts.
pub(crate) fn check(evidence: &Evidence, violations: &mut Vec<Violation>) {
    for with in all(&evidence.scenario) {
        let mut findings = Findings { of: with.workflow_id.to_owned(), all: violations };
        once(evidence, &with, &mut findings);
        first(evidence, &with, &mut findings);
        acknowledged(evidence, &with, &mut findings);
    }
}

/// The name and the content of a message in a history, if it has this id.
fn message<'e>(event: &'e Event, id: &str) -> Option<(&'e str, &'e str)> {
    match event {
        Event::Signaled { name, input, request_id, .. } if request_id == id => Some((name, input.as_json())),
        Event::UpdateAccepted { name, input, update_id, .. } if update_id == id => {
            Some((name, input.as_json()))
        }
        _ => None,
    }
}

/// It is taken in at most once by all runs of its workflow id, as it was sent.
fn once(evidence: &Evidence, with: &With<'_>, findings: &mut Findings<'_>) {
    let mut count = 0;
    for run in evidence.runs.iter().filter(|run| run.workflow_id == with.workflow_id) {
        for (number, event) in run.events().filter(|(_, event)| !run.leaves(event)) {
            let Some((name, input)) = message(event, &with.id) else { continue };
            count += 1;
            let same = name == with.brings.name() && input == format!("[{}]", with.n);
            findings.check(same, "start with", || format!("event {number} of {}, of {with:?}", run.name()));
        }
    }
    findings.check(count <= 1, "start with", || format!("it was taken in {count} times: {with:?}"));
}

/// The run that it has made takes it in first. It may be the next attempt of a run that has not begun.
fn first(evidence: &Evidence, with: &With<'_>, findings: &mut Findings<'_>) {
    let made = |run: &&RunEvidence| run.request.as_deref() == Some(with.request);
    let Some(run) = evidence.runs.iter().find(made) else { return };
    let chain = chains::from(evidence, &run.run_id);
    let mut taken = chain
        .iter()
        .flat_map(|run| run.events())
        .map(|(_, event)| event)
        .filter(|event| matches!(event, Event::Signaled { .. } | Event::UpdateAccepted { .. }));
    let ended = chain
        .last()
        .and_then(|run| run.events().last())
        .is_some_and(|(_, event)| event.is_end_without_code());
    let rejected = matches!(with.brings, Brings::Count { .. }) && Uncounted::rejects(with.n);
    let next = taken.next();
    let so = next.map_or(ended, |event| message(event, &with.id).is_some());
    findings.check(so || rejected, "start with", || {
        format!("{} took in {next:?} first, of {with:?}", run.name())
    });
}

/// A signal whose start was acknowledged is taken in by that run or by one that goes on for it, unless it was ended
/// before.
fn acknowledged(evidence: &Evidence, with: &With<'_>, findings: &mut Findings<'_>) {
    for call in &evidence.calls {
        let (Asked::StartWith { request, .. }, Answer::Started { run_id }) = (&call.what, &call.answer)
        else {
            continue;
        };
        if request != with.request || call.workflow_id != with.workflow_id {
            continue;
        }
        let chain = chains::from(evidence, run_id);
        findings.check(!chain.is_empty(), "lost start", || format!("run {run_id} is nowhere: {call}"));
        let mut events = chain.iter().flat_map(|run| run.events());
        let so = events.any(|(_, event)| message(event, &with.id).is_some() || event.is_end_without_code());
        findings.check(so, "lost message", || format!("no run of its chain has it: {call}"));
    }
}
