//! One step of a schedule: what happened is taken in, then due slots, then backfills; then each slot meets the
//! overlap policy.

use super::buffer::{Waiting, settle};
use super::error::SpecError;
use super::ids::{delay, workflow_id};
use super::inputs::{Input, RunEnd};
use super::policy::Overlap;
use super::row::{
    Answer, MAX_BACKFILLS, MAX_BUFFERED, MAX_SLOTS, MIN_CATCH_UP_MS, Outcome, Schedule, Step, short,
};
use super::state::{Backfill, LastRun};
use super::walk::{Compiled, Next};

/// Steps a schedule: takes in what happened, in its order, and starts what is due at `now_ms`.
///
/// A slot that is due passes the overlap policy, or counts as missed if it is older than the catch-up window. After a
/// pause nothing of it starts, the slots that are due at this moment included; triggers and backfills do.
///
/// ```
/// # use abide_core::schedule::*;
/// let spec = Spec { crons: vec!["0 3 * * *".into()], ..Spec::default() };
/// let schedule = Schedule {
///     id: "nightly".into(),
///     prefix: "nightly".into(),
///     spec,
///     policy: Policy::default(),
///     state: State::default(),
///     last_slot_ms: 0, // made at midnight, in 1970
///     paused: false,
///     note: None,
/// };
/// let three = 3 * 3_600_000;
/// assert_eq!(step(&schedule, vec![], 0)?.next_at_ms, Some(three));
/// let step = step(&schedule, vec![], three + 5)?;
/// assert_eq!(step.starts[0].workflow_id, "nightly-1970-01-01T03:00:00Z");
/// assert_eq!((step.last_slot_ms, step.next_at_ms), (three, Some(three + 24 * 3_600_000)));
/// # Ok::<(), SpecError>(())
/// ```
///
/// # Errors
/// [`SpecError`]: the spec cannot be read. A spec that [`check`](super::check()) has passed can be.
pub fn step(schedule: &Schedule, inputs: Vec<Input>, now_ms: i64) -> Result<Step, SpecError> {
    let compiled = Compiled::new(&schedule.spec)?;
    let mut work =
        Work { schedule, compiled, now_ms, step: Step::idle(schedule), queue: Vec::new(), budget: MAX_SLOTS };
    for waiting in std::mem::take(&mut work.step.state.buffered) {
        work.queue.push(Waiting { entry: waiting, answer: None });
    }
    let mut triggers = Vec::new();
    for input in inputs {
        work.take(input, &mut triggers);
    }
    work.due();
    work.queue.append(&mut triggers);
    work.backfill();
    let Work { mut step, queue, .. } = work;
    settle(schedule, &mut step, queue, now_ms);
    if step.state.remaining == Some(0) {
        step.next_at_ms = None;
    }
    if !step.state.backfills.is_empty() && step.state.buffered.len() < MAX_BUFFERED {
        step.next_at_ms = Some(now_ms);
    }
    Ok(step)
}

/// What a search costs of the budget: one that passed much excluded time took as long as some slots.
fn cost(found: Option<i64>) -> usize {
    if found.is_some() { 1 } else { 10 }
}

struct Work<'a> {
    schedule: &'a Schedule,
    compiled: Compiled,
    now_ms: i64,
    step: Step,
    queue: Vec<Waiting>,
    /// How many slots this step may still take.
    budget: usize,
}

impl Work<'_> {
    fn take(&mut self, input: Input, triggers: &mut Vec<Waiting>) {
        match input {
            Input::Ended { workflow_id, slot_ms, end, message } => {
                self.ended(workflow_id, slot_ms, end, message)
            }
            Input::Trigger { request_id, overlap } => triggers.push(self.trigger(request_id, overlap)),
            Input::Backfill { request_id, from_ms, to_ms, overlap } => {
                self.add_backfill(Backfill { request_id, from_ms, to_ms, overlap });
            }
            Input::Pause { note } => self.pause(note),
            Input::Unpause { note } => {
                if self.step.paused {
                    self.step.paused = false;
                    self.step.last_slot_ms = self.step.last_slot_ms.max(self.now_ms);
                }
                self.remark(note);
            }
        }
    }

    fn remark(&mut self, note: Option<String>) {
        if let Some(note) = note {
            self.step.note = Some(short(&note));
        }
    }

    fn pause(&mut self, note: Option<String>) {
        self.step.paused = true;
        self.remark(note);
    }

    fn ended(&mut self, workflow_id: String, slot_ms: i64, end: RunEnd, message: Option<String>) {
        let state = &mut self.step.state;
        state.ended(&workflow_id);
        if let Some(recent) = state.recent.iter_mut().rfind(|recent| recent.workflow_id == workflow_id) {
            recent.end = Some(end);
        }
        if self.schedule.policy.pause_on_failure && end.is_failure() && !self.step.paused {
            let why = message
                .unwrap_or_else(|| if end == RunEnd::TimedOut { "it timed out" } else { "it failed" }.into());
            self.pause(Some(format!("paused, since `{workflow_id}` failed: {why}")));
        }
        self.step.state.last = Some(LastRun { workflow_id, slot_ms, end, at_ms: self.now_ms });
    }

    fn trigger(&mut self, request_id: String, overlap: Option<Overlap>) -> Waiting {
        let id = workflow_id(&self.schedule.prefix, self.now_ms, Some(&request_id));
        let answer = self.step.answers.len();
        self.step.answers.push(Answer {
            request_id: request_id.clone(),
            workflow_id: Some(id),
            outcome: Outcome::Skipped,
        });
        Waiting { answer: Some(answer), ..Waiting::new(self.now_ms, Some(request_id), overlap) }
    }

    fn add_backfill(&mut self, mut backfill: Backfill) {
        // Later slots come by themselves. The caller's clock may be ahead of the database's.
        backfill.to_ms = backfill.to_ms.min(self.now_ms);
        let backfills = &mut self.step.state.backfills;
        let outcome = if backfill.from_ms > backfill.to_ms {
            Outcome::Refused("a backfill begins before its end, and in the past".to_owned())
        } else if backfills.len() >= MAX_BACKFILLS {
            Outcome::Refused(format!("{MAX_BACKFILLS} backfills are not through yet: wait for one of them"))
        } else {
            backfills.push(backfill.clone());
            Outcome::Waits
        };
        self.step.answers.push(Answer { request_id: backfill.request_id, workflow_id: None, outcome });
    }

    /// Takes the slots that are due, and tells when the next one is.
    fn due(&mut self) {
        if self.step.paused || self.step.state.remaining == Some(0) {
            return;
        }
        let Schedule { id, spec, policy, .. } = self.schedule;
        let catch_up = i64::try_from(policy.catch_up_ms.max(MIN_CATCH_UP_MS)).unwrap_or(i64::MAX);
        let mut slots = self.compiled.after(self.step.last_slot_ms);
        let mut next = slots.next();
        loop {
            let (slot, after) = match next {
                Next::Never => return,
                // Nothing is due up to there. When the time has come, the search goes on.
                Next::NoneUntil(until) => (None, until),
                Next::At(slot) => (Some(slot), slot),
            };
            // With jitter, a slot is due before the one after it.
            let following = (after <= self.now_ms || spec.jitter_ms > 0).then(|| slots.next());
            let due = match (slot, following) {
                (Some(slot), Some(Next::At(next) | Next::NoneUntil(next))) => {
                    slot + delay(id, slot, Some(next), spec.jitter_ms)
                }
                (Some(slot), _) => slot + delay(id, slot, None, spec.jitter_ms),
                (None, _) => after,
            };
            if due > self.now_ms {
                self.step.next_at_ms = Some(due);
                return;
            }
            if self.budget == 0 {
                self.step.next_at_ms = Some(self.now_ms);
                return;
            }
            self.budget = self.budget.saturating_sub(cost(slot));
            if !crate::mutant!(FireWithoutLastSlot) {
                self.step.last_slot_ms = after;
            }
            match slot {
                Some(_) if self.now_ms.saturating_sub(due) > catch_up => self.step.state.counts.missed += 1,
                Some(slot) => self.queue.push(Waiting::new(slot, None, None)),
                None => {}
            }
            next = following.unwrap_or(Next::Never);
        }
    }

    /// Takes slots of backfills, as many as the step may take. Slots that are to wait are taken as there is room.
    fn backfill(&mut self) {
        let mut room = MAX_BUFFERED.saturating_sub(self.queue.len());
        let mut backfills = std::mem::take(&mut self.step.state.backfills);
        backfills.retain_mut(|backfill| {
            let overlap = backfill.overlap.unwrap_or(self.schedule.policy.overlap);
            let waits = overlap == Overlap::BufferAll;
            let mut slots = self.compiled.after(backfill.from_ms.saturating_sub(1));
            loop {
                let next = slots.next();
                let (slot, after) = match next {
                    Next::At(slot) => (Some(slot), slot),
                    Next::NoneUntil(until) => (None, until),
                    Next::Never => return false,
                };
                if after > backfill.to_ms {
                    return false;
                }
                // The end of a run makes room, and its report is a step.
                if self.budget == 0 || waits && room == 0 {
                    return true;
                }
                self.budget = self.budget.saturating_sub(cost(slot));
                backfill.from_ms = after.saturating_add(1);
                if let Some(slot) = slot {
                    room = room.saturating_sub(usize::from(waits));
                    let request_id = Some(backfill.request_id.clone());
                    self.queue.push(Waiting::new(slot, request_id, Some(overlap)));
                }
            }
        });
        self.step.state.backfills = backfills;
    }
}
