//! Checks what activities publish: each stream has no gap, the items of an attempt are in order, and an attempt whose
//! result is in the history has all of its items there. A write whose answer is lost is repeated, so items may be there
//! twice, but only then.

use crate::effects::What;
use crate::evidence::{Evidence, Findings, RunEvidence, Violation};
use abide::history::Event;
use std::collections::BTreeMap;

/// An item of an activity, as its stream has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) seq: u64,
    /// The attempt that the stream tells.
    pub(crate) attempt: Option<u32>,
    pub(crate) item: u64,
}

/// The item with this index of an attempt.
pub(crate) fn item(activity: u64, attempt: u32, index: u64) -> u64 {
    (activity * 10_000 + u64::from(attempt)) * 1_000 + index
}

/// Checks all runs.
pub(crate) fn check(evidence: &Evidence, all: &mut Vec<Violation>) {
    for run in &evidence.runs {
        let Some(said) = &run.said else { continue };
        let mut findings = Findings { of: run.name(), all };
        let in_order = (1..).zip(said).all(|(seq, said): (u64, _)| said.seq == seq);
        findings.check(in_order, "items", || format!("a number is missing or there twice: {said:?}"));
        let per_attempt = counted(said, evidence.weather.losses, &mut findings);
        complete(evidence, run, &per_attempt, &mut findings);
    }
}

/// How many items each attempt has, by activity and attempt.
fn counted(said: &[Said], repeats: bool, findings: &mut Findings<'_>) -> BTreeMap<(u64, u32), u64> {
    let mut counts: BTreeMap<(u64, u32), u64> = BTreeMap::new();
    for Said { attempt: told, item, .. } in said {
        let (of, index) = (item / 1_000, item % 1_000);
        let (activity, attempt) = (of / 10_000, u32::try_from(of % 10_000).unwrap_or(0));
        let next = counts.entry((activity, attempt)).or_default();
        let fits = index == *next || repeats && index < *next;
        findings.check(*told == Some(attempt) && fits, "items", || {
            format!(
                "item {index} of attempt {attempt} of activity {activity}, told as {told:?}, follows {next}"
            )
        });
        *next = (*next).max(index + 1);
    }
    counts
}

/// A completed activity has an attempt that has returned, and all of its items.
fn complete(
    evidence: &Evidence,
    run: &RunEvidence,
    counts: &BTreeMap<(u64, u32), u64>,
    findings: &mut Findings<'_>,
) {
    let acts = run.acts();
    for (_, event) in run.events() {
        let Event::ActivityCompleted { activity, .. } = event else { continue };
        let wanted = acts.get(&activity.0).map_or(0, |act| act.items);
        let mine =
            evidence.log.iter().filter(|entry| entry.run_id == run.run_id && entry.activity == activity.0);
        let mut returned = mine.filter(|entry| matches!(entry.what, What::Return(_)));
        let whole = |attempt| counts.get(&(activity.0, attempt)).copied().unwrap_or(0) == wanted;
        findings.check(wanted == 0 || returned.any(|entry| whole(entry.attempt)), "items", || {
            format!("activity {activity} has completed and published {wanted}, and its stream has {counts:?}")
        });
    }
}
