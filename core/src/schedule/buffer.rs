//! What becomes of slots while a run is open: the overlap policies.

use super::ids::workflow_id;
use super::policy::Overlap;
use super::row::{MAX_BUFFERED, Outcome, RECENT, Schedule, StartRun, Step};
use super::state::{Asked, Buffered, Recent, Running};

/// A slot on its way to a start.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) entry: Buffered,
    /// Where its answer is in [`Step::answers`]: of a trigger.
    pub(super) answer: Option<usize>,
}

impl Waiting {
    /// A slot that no trigger asked for.
    pub(super) fn new(slot_ms: i64, request_id: Option<String>, overlap: Option<Overlap>) -> Self {
        Self { entry: Buffered { slot_ms, request_id, overlap }, answer: None }
    }
}

fn stops(overlap: Overlap) -> bool {
    matches!(overlap, Overlap::CancelOther | Overlap::TerminateOther)
}

/// Decides about each slot in turn: those that waited are first.
pub(super) fn settle(schedule: &Schedule, step: &mut Step, queue: Vec<Waiting>, now_ms: i64) {
    let overlap_of = |waiting: &Waiting| waiting.entry.overlap.unwrap_or(schedule.policy.overlap);
    // Only the newest slot waits for a run that was asked to stop: it would stop the others at once.
    let newest = queue.iter().rposition(|waiting| stops(overlap_of(waiting)));
    for (place, waiting) in queue.into_iter().enumerate() {
        let is_regular = waiting.entry.request_id.is_none();
        let outcome = match overlap_of(&waiting) {
            _ if is_regular && (step.paused || step.state.remaining == Some(0)) => {
                step.state.counts.dropped += 1;
                Outcome::Skipped
            }
            Overlap::AllowAll => start(schedule, step, &waiting, now_ms, false),
            overlap if stops(overlap) && newest != Some(place) => skip(step),
            _ if step.state.running.is_empty() => start(schedule, step, &waiting, now_ms, true),
            Overlap::BufferOne if step.state.buffered.is_empty() => wait(step, &waiting),
            Overlap::Skip | Overlap::BufferOne => skip(step),
            Overlap::BufferAll => wait(step, &waiting),
            Overlap::CancelOther => {
                ask(step, Asked::Cancel);
                wait(step, &waiting)
            }
            Overlap::TerminateOther => {
                ask(step, Asked::Terminate);
                wait(step, &waiting)
            }
        };
        if let Some(answer) = waiting.answer.and_then(|answer| step.answers.get_mut(answer)) {
            answer.outcome = outcome;
        }
    }
}

fn skip(step: &mut Step) -> Outcome {
    step.state.counts.skipped += 1;
    Outcome::Skipped
}

fn wait(step: &mut Step, waiting: &Waiting) -> Outcome {
    if step.state.buffered.len() >= MAX_BUFFERED {
        step.state.counts.dropped += 1;
        return Outcome::Refused(format!("{MAX_BUFFERED} slots wait already"));
    }
    step.state.buffered.push(waiting.entry.clone());
    Outcome::Waits
}

/// Asks each open run once. One that was asked to cancel may still be terminated.
fn ask(step: &mut Step, what: Asked) {
    for run in step.state.running.iter_mut().filter(|run| run.asked < Some(what)) {
        run.asked = Some(what);
        let asked = match what {
            Asked::Cancel => &mut step.cancels,
            Asked::Terminate => &mut step.terminates,
        };
        asked.push(run.workflow_id.clone());
    }
}

fn start(schedule: &Schedule, step: &mut Step, waiting: &Waiting, now_ms: i64, in_turn: bool) -> Outcome {
    let Buffered { slot_ms, request_id, .. } = waiting.entry.clone();
    let workflow_id = workflow_id(&schedule.prefix, slot_ms, request_id.as_deref());
    let state = &mut step.state;
    state.counts.started += 1;
    if request_id.is_none() {
        state.remaining = state.remaining.map(|remaining| remaining.saturating_sub(1));
    }
    if in_turn {
        state.running.push(Running { workflow_id: workflow_id.clone(), slot_ms, asked: None });
    } else {
        state.overlapping += 1;
    }
    if state.recent.len() >= RECENT {
        state.recent.remove(0);
    }
    state.recent.push(Recent {
        workflow_id: workflow_id.clone(),
        slot_ms,
        at_ms: now_ms,
        end: None,
        refused: None,
    });
    step.starts.push(StartRun { workflow_id, slot_ms, request_id });
    Outcome::Started
}
