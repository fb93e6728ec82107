//! Checks the clients' answers against the histories: nothing acknowledged is lost, nothing is taken in
//! twice, and no answer is wrong.

use crate::calls::{Answer, Asked, Call, End};
use crate::chains;
use crate::evidence::{Evidence, Findings, RunEvidence, Violation};
use crate::scenario::{Ask, Brings, Conflict, Reuse};
use crate::value::{Output, Progress, ScriptFailed};
use crate::{updates, withs};
use abide::ExecutionStatus;
use abide::history::{Event, FailureRecord};
use std::collections::{BTreeMap, BTreeSet};

/// Checks all calls.
pub(crate) fn check(evidence: &Evidence, all: &mut Vec<Violation>) {
    let mut started: BTreeMap<&str, &str> = BTreeMap::new();
    let mut seen: BTreeMap<(usize, Option<&str>), &Progress> = BTreeMap::new();
    for call in &evidence.calls {
        let mut findings = Findings { of: call.workflow_id.clone(), all };
        let runs = runs_of(evidence, call);
        match (&call.what, &call.answer) {
            (Asked::Start { request, conflict, .. }, Answer::Started { run_id }) => {
                let there = runs.iter().any(|run| run.run_id == *run_id);
                findings.check(there, "lost start", || format!("run {run_id} is nowhere: {call}"));
                // A start that returned another client's run may return a different run later.
                let first = *started.entry(request).or_insert(run_id);
                let same = first == run_id || *conflict == Conflict::UseExisting;
                findings.check(same, "two runs", || format!("`{request}` was told {first} before: {call}"));
            }
            // `withs` checks which run has the message.
            (Asked::StartWith { .. }, Answer::Started { .. }) => {}
            (Asked::StartWith { request, n, own, brings }, Answer::Counted(_) | Answer::Rejected) => {
                updates::answered(&runs, (&brings.id(request, *own), *n), call, &mut findings);
            }
            (_, Answer::Taken) => taken(&runs, call, &mut findings),
            (Asked::Count { request, n, .. }, Answer::Counted(_) | Answer::Rejected) => {
                updates::answered(&runs, (request, *n), call, &mut findings);
            }
            (_, Answer::Refused { code, .. }) => refused(&runs, call, code, &mut findings),
            (Asked::Query, Answer::Progress(progress)) => {
                seen_before(&runs, progress, call, &mut findings);
                let before = seen.insert((call.actor, call.run_id.as_deref()), progress);
                let back = before.is_some_and(|before| !goes_on(before, progress));
                // A run that goes on for another has begun from its start.
                let calm = !evidence.weather.losses && call.run_id.is_some() && runs.len() == 1;
                findings.check(!(back && calm), "query", || format!("it went back from {before:?}: {call}"));
            }
            (Asked::Result, Answer::Ended(end)) => {
                let so = runs.iter().any(|run| is_end(run, end));
                findings.check(so, "result", || format!("no such end is recorded: {call}"));
            }
            _ => findings.add("answer", format!("of the wrong kind: {call}")),
        }
    }
    messages(evidence, all);
    updates::check(evidence, all);
    ids(evidence, all);
}

/// The runs that a call was for: one and those that go on for it, or all of its workflow id.
fn runs_of<'e>(evidence: &'e Evidence, call: &Call) -> Vec<&'e RunEvidence> {
    match &call.run_id {
        Some(run_id) => chains::from(evidence, run_id),
        None => evidence.runs.iter().filter(|run| run.workflow_id == call.workflow_id).collect(),
    }
}

fn has(run: &RunEvidence, request: &str) -> bool {
    run.events().any(|(_, event)| match event {
        Event::Signaled { request_id, .. } | Event::CancelRequested { request_id, .. } => {
            request_id == request
        }
        _ => false,
    })
}

/// An acknowledged message is in the history, unless the run was terminated before it could take the message
/// in.
fn taken(runs: &[&RunEvidence], call: &Call, findings: &mut Findings<'_>) {
    let terminated = |run: &&RunEvidence| run.status == ExecutionStatus::Terminated;
    let ended = |run: &RunEvidence| run.events().any(|(_, event)| event.is_end_without_code());
    let so = match &call.what {
        Asked::Terminate { .. } => runs.iter().any(terminated),
        what => {
            let Some(request) = what.message() else { return };
            runs.iter().any(|run| has(run, request) || ended(run))
        }
    };
    findings.check(so, "lost message", || format!("it was acknowledged and is in no history: {call}"));
}

/// A refused call had a reason for that, and had no effect.
fn refused(runs: &[&RunEvidence], call: &Call, code: &str, findings: &mut Findings<'_>) {
    let reason = match &call.what {
        Asked::Start { conflict, reuse, .. } => {
            code == "AB0401" && *conflict == Conflict::Fail || code == "AB0402" && *reuse != Reuse::Allow
        }
        Asked::Poke { .. } | Asked::Visit { .. } | Asked::Cancel { .. } | Asked::Terminate { .. } => {
            code == "AB0407"
        }
        Asked::Count { request, .. } => updates::may_be_refused(runs, request, code),
        Asked::StartWith { request, own, brings: brings @ Brings::Count { .. }, .. } => {
            updates::may_be_refused(runs, &brings.id(request, *own), code)
        }
        Asked::StartWith { .. } => false,
        Asked::Query | Asked::Result => false,
    };
    findings.check(reason, "refused", || format!("it should not have been: {call}"));
    // A call by workflow id may have met an earlier run at an earlier try. A chain that has ended knows what its
    // earlier runs have taken in for an hour only.
    if let (Some(request), Some(_)) = (call.what.message(), &call.run_id) {
        let happened = runs.last().is_some_and(|run| has(run, request));
        findings.check(!happened, "refused", || format!("it is in the history all the same: {call}"));
    }
}

/// A query shows only durable state.
fn seen_before(runs: &[&RunEvidence], progress: &Progress, call: &Call, findings: &mut Findings<'_>) {
    let durable = |run: &&RunEvidence| {
        let visits: BTreeSet<u64> = run.signals("visit").into_iter().collect();
        let carried = run.program().map_or_else(Vec::new, |program| program.carried);
        let pokes = [carried, run.signals("poke")].concat();
        pokes.starts_with(&progress.pokes) && progress.visits.iter().all(|n| visits.contains(n))
    };
    findings.check(runs.iter().any(durable), "query", || format!("no history has come to this: {call}"));
}

fn goes_on(before: &Progress, now: &Progress) -> bool {
    let more = now.pokes.starts_with(&before.pokes) && now.visits.starts_with(&before.visits);
    more && now.steps >= before.steps
}

/// Whether the run ended in this way.
fn is_end(run: &RunEvidence, end: &End) -> bool {
    let Some((_, last)) = run.events().last().filter(|_| run.next().is_none()) else { return false };
    match (last, end) {
        (Event::Completed { result }, End::Completed(output)) => {
            result.decode::<Output>().is_ok_and(|found| found == *output)
        }
        (Event::Failed { failure, compensation_failures, .. }, End::Failed { error, compensations }) => {
            failed(failure).is_some_and(|found| found == *error)
                && compensation_failures.len() == *compensations
        }
        (Event::Cancelled { compensation_failures, .. }, End::Cancelled { compensations }) => {
            compensation_failures.len() == *compensations
        }
        (Event::Terminated { .. }, End::Terminated) | (Event::TimedOut { .. }, End::TimedOut) => true,
        _ => false,
    }
}

/// The typed error of a failed run.
pub(crate) fn failed(failure: &FailureRecord) -> Option<ScriptFailed> {
    failure.data.as_ref()?.decode().ok()
}

/// Every message in a history was sent by a client, with this content.
fn messages(evidence: &Evidence, all: &mut Vec<Violation>) {
    for run in &evidence.runs {
        let mut findings = Findings { of: run.name(), all };
        for (number, event) in run.events() {
            let (request, text) = match event {
                Event::Signaled { request_id, name, input, .. } => {
                    (request_id, format!("{name} {}", input.as_json()))
                }
                Event::CancelRequested { request_id, .. } => (request_id, "cancel".to_owned()),
                Event::UpdateAccepted { update_id, name, input, .. } => {
                    (update_id, format!("{name} {}", input.as_json()))
                }
                _ => continue,
            };
            // Those of other workflows, and those that came with a start, have checks of their own.
            let with_start = withs::is_scripted(&evidence.scenario, &run.workflow_id, request);
            if with_start || request.starts_with("abide/") && !request.starts_with("abide/with/") {
                continue;
            }
            let sent = evidence.calls.iter().find(|call| call.what.request() == Some(request));
            let so = sent.is_none_or(|call| text == written(&call.what));
            findings
                .check(so, "other message", || format!("event {number} is {text}, and {sent:?} was sent"));
            let scripted = sent.is_some() || is_scripted(evidence, &run.workflow_id, request);
            findings.check(scripted, "never sent", || format!("event {number}: {text} under `{request}`"));
        }
    }
}

fn written(asked: &Asked) -> String {
    match asked {
        Asked::Poke { n, .. } => format!("poke [{n}]"),
        Asked::Visit { n, .. } => format!("visit [{n}]"),
        Asked::Count { n, weighs: false, .. } => format!("count [{n}]"),
        Asked::Count { n, weighs: true, .. } => format!("weigh [{n}]"),
        _ => "cancel".to_owned(),
    }
}

/// Whether a call that was never answered may have had this request id.
fn is_scripted(evidence: &Evidence, workflow_id: &str, wanted: &str) -> bool {
    wanted.contains("/top-")
        || evidence.scenario.asks(workflow_id, |ask| match ask {
            Ask::Poke { request, .. }
            | Ask::Visit { request, .. }
            | Ask::Count { request, .. }
            | Ask::Cancel { request } => request == wanted,
            _ => false,
        })
}

/// There are no more runs than starts, and at most one open run per workflow id.
fn ids(evidence: &Evidence, all: &mut Vec<Violation>) {
    let workflow_ids: BTreeSet<&str> = evidence.runs.iter().map(|run| run.workflow_id.as_str()).collect();
    for workflow_id in workflow_ids {
        let runs: Vec<_> = evidence.runs.iter().filter(|run| run.workflow_id == workflow_id).collect();
        let actors = evidence.scenario.actors.iter().filter(|actor| actor.workflow_id == workflow_id);
        let asks = actors.flat_map(|actor| &actor.lines).map(|line| &line.ask);
        let starts: BTreeSet<&str> = asks
            .filter_map(|ask| match ask {
                Ask::Start { request, .. } | Ask::StartWith { request, .. } => Some(request.as_str()),
                _ => None,
            })
            .collect();
        let mut findings = Findings { of: workflow_id.to_owned(), all };
        let open = runs.iter().filter(|run| run.status.is_open()).count();
        let begun = runs.iter().filter(|run| run.origin.is_none()).count();
        findings
            .check(begun <= starts.len(), "two runs", || format!("{begun} runs of {} starts", starts.len()));
        findings.check(open <= 1, "two runs", || format!("{open} runs are open"));
    }
}
