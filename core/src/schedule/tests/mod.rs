//! Tests of schedules.

mod brute;
mod cron;
mod cuts;
mod overlap;
mod requests;
mod slots;
mod time;

use super::*;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// An instant: `2026-03-29T01:00:00Z`.
fn at(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().expect("an instant").as_millisecond()
}

fn cron(pattern: &str, zone: &str) -> Spec {
    Spec { crons: vec![pattern.to_owned()], zone: zone.to_owned(), ..Spec::default() }
}

fn every(every_ms: i64) -> Spec {
    let every_ms = every_ms.unsigned_abs();
    Spec { every: vec![Interval { every_ms, offset_ms: 0 }], ..Spec::default() }
}

/// The next slots after an instant, as UTC.
fn after(spec: &Spec, after: &str, n: usize) -> Vec<String> {
    let found = next_slots(spec, at(after), n).expect("a spec");
    found
        .into_iter()
        .map(|slot| jiff::Timestamp::from_millisecond(slot).expect("in range").to_string())
        .collect()
}

/// A schedule that was made at 0.
fn schedule(spec: Spec, overlap: Overlap) -> Schedule {
    Schedule {
        id: "s".to_owned(),
        prefix: "s".to_owned(),
        spec,
        policy: Policy { overlap, ..Policy::default() },
        state: State::default(),
        last_slot_ms: 0,
        paused: false,
        note: None,
    }
}

impl Schedule {
    /// Steps, and goes on from what came out.
    fn go(&mut self, inputs: Vec<Input>, now_ms: i64) -> Step {
        let step = step(self, inputs, now_ms).expect("a spec");
        self.take(step)
    }

    fn change(&mut self, change: Change, now_ms: i64) -> Step {
        let step = update(self, change.clone(), now_ms).expect("a spec");
        self.spec = change.spec.unwrap_or(self.spec.clone());
        self.policy = change.policy.unwrap_or(self.policy.clone());
        self.take(step)
    }

    fn take(&mut self, step: Step) -> Step {
        self.state = step.state.clone();
        self.last_slot_ms = step.last_slot_ms;
        self.paused = step.paused;
        self.note = step.note.clone();
        step
    }
}

/// The slots of what a step starts.
fn started(step: &Step) -> Vec<i64> {
    step.starts.iter().map(|start| start.slot_ms).collect()
}

/// The end of the run of a slot.
fn ended(slot_ms: i64, end: RunEnd) -> Input {
    Input::Ended { workflow_id: super::ids::workflow_id("s", slot_ms, None), slot_ms, end, message: None }
}

fn trigger(request_id: &str, overlap: Option<Overlap>) -> Input {
    Input::Trigger { request_id: request_id.to_owned(), overlap }
}

fn backfill(from_ms: i64, to_ms: i64, overlap: Overlap) -> Input {
    Input::Backfill { request_id: "b".to_owned(), from_ms, to_ms, overlap: Some(overlap) }
}
