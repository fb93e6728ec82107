//! Checks the log against the histories: each activity that ran was scheduled, each attempt ran once, and
//! each recorded outcome really happened.
//!
//! Not checked: that attempts of one activity do not overlap, and that each recorded attempt has begun. A
//! worker that others consider dead may run on, and one that dies may never have begun its attempts.

use crate::act::Act;
use crate::effects::{Entry, What};
use crate::evidence::{Evidence, Failures, Findings, RunEvidence, Violation};
use abide::history::{Event, FailureKind};
use std::collections::{BTreeMap, BTreeSet};

/// One attempt: the run, the activity, the attempt's number.
type Key<'e> = (&'e str, u64, u32);

/// Checks all runs.
pub(crate) fn check(evidence: &Evidence, all: &mut Vec<Violation>) {
    let mut ran: BTreeMap<Key<'_>, Vec<&Entry>> = BTreeMap::new();
    for entry in &evidence.log {
        ran.entry((&entry.run_id, entry.activity, entry.attempt)).or_default().push(entry);
    }
    let known: BTreeSet<&str> = evidence.runs.iter().map(|run| run.run_id.as_str()).collect();
    for entry in evidence.log.iter().filter(|entry| !known.contains(entry.run_id.as_str())) {
        let of = entry.workflow_id.clone();
        all.push(Violation { rule: "never asked for", of, text: format!("no such run: {entry}") });
    }
    for run in &evidence.runs {
        let mut findings = Findings { of: run.name(), all };
        begun(run, evidence, &ran, &mut findings);
        recorded(run, evidence, &ran, &mut findings);
        transactions(run, evidence, &mut findings);
    }
    too_late(evidence, all);
}

/// Every attempt that began was scheduled with this input, began once, and came after the failures of earlier
/// attempts.
fn begun(
    run: &RunEvidence,
    evidence: &Evidence,
    ran: &BTreeMap<Key<'_>, Vec<&Entry>>,
    findings: &mut Findings<'_>,
) {
    let (acts, transactional) = (run.acts(), transactional(run));
    let failed = Failed::of(run, evidence);
    for ((_, activity, attempt), entries) in ran.iter().filter(|((of, ..), _)| *of == run.run_id) {
        let begins = entries.iter().filter(|entry| entry.what == What::Begin).count();
        // If it is unknown whether its transaction has committed, a transactional body runs again within the
        // same attempt.
        let again = transactional.contains(activity);
        findings.check(begins == 1 || again, "began twice", || {
            format!("attempt {attempt} of activity {activity} began {begins} times")
        });
        let Some(first) = entries.first() else { continue };
        let Some(act) = acts.get(activity) else {
            findings.add("never asked for", format!("it is not in the history: {first}"));
            continue;
        };
        let same = act.label == first.label && act.note == first.note;
        findings.check(same, "other input", || format!("the history has {act:?}, and it ran: {first}"));
        let most = act.options.max_attempts;
        findings.check(most == 0 || *attempt <= most, "attempts", || format!("of {most}: {first}"));
        // Each retry waits until the failure before it is durable.
        if let Some(last) = failed.last(*activity) {
            findings.check(last >= *attempt, "not durable", || {
                format!("{} failed attempts were kept before it: {first}", last - 1)
            });
        }
    }
}

/// The attempts of a run that failed and were followed by another.
struct Failed<'e> {
    run_id: &'e str,
    /// `None`: unknown.
    all: Option<&'e Failures>,
}

impl<'e> Failed<'e> {
    fn of(run: &'e RunEvidence, evidence: &'e Evidence) -> Self {
        Self { run_id: &run.run_id, all: evidence.failures.as_ref() }
    }

    /// The failed attempts of each activity.
    fn each(&self) -> impl Iterator<Item = (u64, u32, FailureKind)> {
        let mine = self.all.into_iter().flatten().filter(|((run, _), _)| run == self.run_id);
        mine.flat_map(|((_, activity), failed)| {
            failed.iter().map(|(attempt, kind)| (*activity, *attempt, *kind))
        })
    }

    /// The highest possible attempt of an activity, if it is known.
    fn last(&self, activity: u64) -> Option<u32> {
        let failed = self.all?.get(&(self.run_id.to_owned(), activity));
        Some(failed.map_or(1, |failed| failed.len() as u32 + 1))
    }
}

/// A recorded outcome is the outcome that the attempt reported.
fn recorded(
    run: &RunEvidence,
    evidence: &Evidence,
    ran: &BTreeMap<Key<'_>, Vec<&Entry>>,
    findings: &mut Findings<'_>,
) {
    let (acts, failed) = (run.acts(), Failed::of(run, evidence));
    // By this attempt, or by any attempt if it is unknown which one it was.
    let told = |activity: u64, attempt: Option<u32>, what: &dyn Fn(What) -> bool| {
        let of = |key: &Key<'_>| {
            key.0 == run.run_id && key.1 == activity && attempt.is_none_or(|attempt| attempt == key.2)
        };
        let mut entries = ran.iter().filter(|(key, _)| of(key)).flat_map(|(_, entries)| entries);
        entries.any(|entry| what(entry.what))
    };
    let number =
        |attempt: Option<u32>| attempt.map_or_else(|| "one".to_owned(), |attempt| attempt.to_string());
    for (_, event) in run.events() {
        match event {
            Event::ActivityCompleted { activity, result } => {
                let attempt = failed.last(activity.0);
                let value = result.decode::<u64>().ok();
                let expected = acts.get(&activity.0).map(Act::result);
                let happened =
                    value.is_some_and(|value| told(activity.0, attempt, &|what| what == What::Return(value)));
                findings.check(happened && value == expected, "made up", || {
                    let attempt = number(attempt);
                    format!(
                        "activity {activity} is recorded as completed by attempt {attempt} with {result:?}"
                    )
                });
            }
            Event::ActivityFailed { activity, failure } => {
                let attempt = failed.last(activity.0);
                let happened =
                    failure.kind != FailureKind::Application || told(activity.0, attempt, &is_failure);
                findings.check(happened, "made up", || {
                    let attempt = number(attempt);
                    format!("activity {activity} is recorded as failed by attempt {attempt}: {failure}")
                });
            }
            _ => {}
        }
    }
    for (activity, attempt, kind) in failed.each() {
        let happened = kind != FailureKind::Application || told(activity, Some(attempt), &is_failure);
        findings.check(happened, "made up", || {
            format!("attempt {attempt} of activity {activity} is recorded as failed: {kind:?}")
        });
    }
}

fn transactional(run: &RunEvidence) -> BTreeSet<u64> {
    let so = |event: &Event| matches!(event, Event::ActivityScheduled { transactional: true, .. });
    run.events().filter(|(_, event)| so(event)).map(|(number, _)| number).collect()
}

/// A transaction's write is there exactly once if its activity has completed, and is not there if the
/// activity has failed. If the activity was given up, or was open when its run ended, the transaction may
/// have committed.
fn transactions(run: &RunEvidence, evidence: &Evidence, findings: &mut Findings<'_>) {
    let (mut completed, mut failed, mut given_up) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (_, event) in run.events() {
        match event {
            Event::ActivityCompleted { activity, .. } => drop(completed.insert(activity.0)),
            Event::ActivityFailed { activity, .. } => drop(failed.insert(activity.0)),
            Event::ActivityCancelRequested { activity } => drop(given_up.insert(activity.0)),
            _ => {}
        }
    }
    for number in transactional(run) {
        let rows = evidence.written.get(&(run.run_id.clone(), number)).copied().unwrap_or(0);
        let fits = match rows {
            0 => !completed.contains(&number),
            1 => !failed.contains(&number) || given_up.contains(&number),
            _ => false,
        };
        findings.check(fits, "not once", || format!("activity {number} has written {rows} times"));
    }
}

fn is_failure(what: What) -> bool {
    what == What::Fail
}

/// No attempt begins after the end of its activity, or the close of its run, was durable. Exceptions: an
/// attempt elsewhere was claimed before that, and the claim's answer may have been in flight. And an owner
/// does not learn of an end that was written by a worker which considered it dead.
fn too_late(evidence: &Evidence, all: &mut Vec<Violation>) {
    let mut told = BTreeSet::new();
    let elsewhere: BTreeSet<(&str, u64)> = evidence.runs.iter().flat_map(RunEvidence::elsewhere).collect();
    let taken = |run: &&RunEvidence| run.events().any(|(_, event)| matches!(event, Event::Recovered { .. }));
    let taken: BTreeSet<&str> = evidence.runs.iter().filter(taken).map(|run| run.run_id.as_str()).collect();
    for look in &evidence.looks {
        for (at, entry) in evidence.log.iter().enumerate().skip(look.log) {
            let ended = look.ended.contains(&(entry.run_id.clone(), entry.activity));
            let closed = look.closed.contains(&entry.run_id);
            let untold = !closed && taken.contains(entry.run_id.as_str())
                || elsewhere.contains(&(entry.run_id.as_str(), entry.activity));
            if entry.what != What::Begin || untold || !(ended || closed) || !told.insert(at) {
                continue;
            }
            let what = if ended { "its end" } else { "the close of its run" };
            let text = format!("{what} was in the history before: {entry}");
            all.push(Violation { rule: "too late", of: entry.workflow_id.clone(), text });
        }
    }
}
