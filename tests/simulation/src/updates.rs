//! Checks updates: each is accepted once, its answer is the recorded one, a sync handler has run once for each,
//! and what a validator has refused left no event.

use crate::act::Act;
use crate::calls::{Answer, Call};
use crate::evidence::{Evidence, Findings, RunEvidence, Violation};
use crate::value::Uncounted;
use abide::history::Event;

/// An update in a history.
struct Recorded<'r> {
    name: &'r str,
    n: u64,
    request: &'r str,
    /// Its value, if it has one.
    outcome: Option<u64>,
    ended: bool,
}

fn recorded(run: &RunEvidence) -> Vec<Recorded<'_>> {
    let mut all: Vec<(u64, Recorded<'_>)> = Vec::new();
    for (number, event) in run.events() {
        match event {
            Event::UpdateAccepted { update_id, name, input, .. } => {
                let n = input.decode::<(u64,)>().map_or(0, |(n,)| n);
                all.push((number, Recorded { name, n, request: update_id, outcome: None, ended: false }));
            }
            Event::UpdateCompleted { update, .. } => {
                if let Some((_, recorded)) = all.iter_mut().find(|(accepted, _)| *accepted == update.0) {
                    (recorded.outcome, recorded.ended) = (value(event), true);
                }
            }
            _ => {}
        }
    }
    all.into_iter().map(|(_, recorded)| recorded).collect()
}

/// The value of an update, if it has one.
fn value(event: &Event) -> Option<u64> {
    let json = serde_json::to_value(event).ok()?;
    json.pointer("/update_completed/outcome/completed")?.as_u64()
}

/// Checks the histories alone.
pub(crate) fn check(evidence: &Evidence, all: &mut Vec<Violation>) {
    for run in &evidence.runs {
        let mut findings = Findings { of: run.name(), all };
        let mut counted = 0;
        for Recorded { name, n, request, outcome, ended } in recorded(run) {
            findings.check(!Uncounted::rejects(n), "rejected", || {
                format!("`{request}` is in the history, and the validator refuses {n}")
            });
            counted += u64::from(name == "count");
            let expected = if name == "count" { counted } else { Act::visit(n).result() };
            findings.check(!ended || outcome == Some(expected), "update", || {
                format!("`{request}` ({name} {n}) came to {outcome:?}, not to {expected}")
            });
            findings.check(ended || name != "count", "update", || {
                format!("`{request}`: a handler that does not wait has not ended")
            });
        }
    }
}

/// The answer is that of a history, or there is nothing of it in any. Another run under the same workflow id may
/// have accepted the update, too.
pub(crate) fn answered(
    runs: &[&RunEvidence],
    (wanted, n): (&str, u64),
    call: &Call,
    findings: &mut Findings<'_>,
) {
    let mut found = runs.iter().flat_map(|run| recorded(run)).filter(|recorded| recorded.request == wanted);
    let so = match &call.answer {
        Answer::Counted(value) => found.any(|found| found.outcome == Some(*value)),
        _ => found.next().is_none() && Uncounted::rejects(n),
    };
    findings.check(so, "update", || format!("no history says so: {call}"));
}

/// Whether an update may have had this error: a run has closed that had not accepted it, or whose handler had not
/// ended.
pub(crate) fn may_be_refused(runs: &[&RunEvidence], wanted: &str, code: &str) -> bool {
    let has = |run: &RunEvidence, is_open: &dyn Fn(bool) -> bool| {
        recorded(run).iter().any(|recorded| recorded.request == wanted && is_open(!recorded.ended))
    };
    match code {
        "AB0407" => runs.iter().any(|run| run.next().is_none() && !has(run, &|_| true)),
        "AB0420" => runs.iter().any(|run| has(run, &|is_open| is_open)),
        _ => false,
    }
}
