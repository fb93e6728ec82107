//! Checks the attempts of workflows and their time limits, along each chain.

use crate::answers;
use crate::chains;
use crate::evidence::{Evidence, Findings, RunEvidence, Violation};
use crate::program::Step;
use crate::terms::Terms;
use abide::TimeoutKind;
use abide::history::Event;
use std::collections::{BTreeMap, BTreeSet};

/// How late a limit may end a run where nothing is slow, in ms.
const PROMPT_MS: i64 = 3_000;

/// The database's clock, in ms.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times {
    /// When each run was created.
    pub(crate) created: BTreeMap<String, i64>,
    /// The time of the fastest process when a limit had ended a run.
    pub(crate) timed_out: BTreeMap<String, i64>,
}

/// Checks all chains.
pub(crate) fn check(evidence: &Evidence, all: &mut Vec<Violation>) {
    let goes_on: BTreeSet<String> = evidence.runs.iter().filter_map(RunEvidence::next).collect();
    for run in evidence.runs.iter().filter(|run| !goes_on.contains(&run.run_id)) {
        let chain = chains::from(evidence, &run.run_id);
        let program = run.origin.as_ref().and_then(|origin| origin.program.as_ref());
        let terms = match program.or_else(|| evidence.scenario.program_of(&run.workflow_id)) {
            Some(program) => program.terms.clone(),
            None => Terms::default(),
        };
        let mut attempt = 1;
        for run in &chain {
            let mut findings = Findings { of: run.name(), all };
            findings.check(run.attempt().is_none_or(|found| found == attempt), "attempt", || {
                format!("it is attempt {:?} of its workflow, not {attempt}", run.attempt())
            });
            ended(run, (attempt, &terms), &mut findings);
            timed_out(evidence, (chain[0], run), &terms, &mut findings);
            attempt = if run.is_retried() { attempt + 1 } else { 1 };
        }
    }
}

/// An attempt is followed by another exactly where one may help and is left.
fn ended(run: &RunEvidence, (attempt, terms): (u32, &Terms), findings: &mut Findings<'_>) {
    let Some((_, last)) = run.events().last() else { return };
    let (fails, fixable) = match last {
        Event::Failed { failure, compensation_failures, .. } => {
            let error = answers::failed(failure);
            let fixable = error.is_none_or(|error| error.is_retryable());
            (true, fixable && compensation_failures.is_empty())
        }
        Event::TimedOut { kind, .. } => (true, *kind == TimeoutKind::Run),
        _ => (false, false),
    };
    let cancelled = run.events().any(|(_, event)| matches!(event, Event::CancelRequested { .. }));
    let may = fails && fixable && !cancelled && attempt < terms.attempts;
    findings.check(may || !run.is_retried(), "retry", || {
        format!("attempt {attempt} of {} must be the last, and another follows: {last:?}", terms.attempts)
    });
    // The limit of the chain leaves no time. A compensation that has failed before the limit of the run is no
    // event of its end.
    let program = run.program();
    let has_saga = program.is_none_or(|p| p.all().iter().any(|step| matches!(step, Step::Saga { .. })));
    let perhaps = terms.chain.is_some() || has_saga && matches!(last, Event::TimedOut { .. });
    findings.check(!may || perhaps || run.is_retried(), "retry", || {
        format!("no attempt follows attempt {attempt} of {}: {last:?}", terms.attempts)
    });
}

/// A limit ends a run only when it has passed, and soon after.
fn timed_out(
    evidence: &Evidence,
    (first, run): (&RunEvidence, &RunEvidence),
    terms: &Terms,
    findings: &mut Findings<'_>,
) {
    let Some((_, Event::TimedOut { kind, .. })) = run.events().last() else { return };
    let (limit, of) = match kind {
        TimeoutKind::Execution => (terms.chain, first),
        _ => (terms.run, run),
    };
    let Some(limit) = limit.and_then(|ms| i64::try_from(ms).ok()) else {
        return findings.add("time limit", format!("it has none, and has timed out: {kind:?}"));
    };
    let Some(times) = &evidence.times else { return };
    let created = times.created.get(&of.run_id).copied();
    let Some((created, at_ms)) = created.zip(times.timed_out.get(&run.run_id)) else { return };
    let due_ms = created + limit;
    findings.check(*at_ms >= due_ms, "time limit", || {
        format!("it ended by its limit {} ms too early: {kind:?}", due_ms - at_ms)
    });
    let prompt = *at_ms <= due_ms + PROMPT_MS || evidence.weather.delays || of.origin.is_some();
    findings.check(prompt, "time limit", || format!("it ended {} ms after its limit", at_ms - due_ms));
}
