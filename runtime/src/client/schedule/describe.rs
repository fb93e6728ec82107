//! What is known of one schedule.

use super::parts::Parts;
use crate::client::time::timestamp;
use crate::store::ScheduleRow;
use abide_core::schedule::{Calendar, Counts, Overlap, Recent, RunEnd, next_slots};
use jiff::Timestamp;
use std::time::Duration;

/// How many of the next slots a description has.
const NEXT: usize = 10;

/// A description of a schedule, as [`describe()`](super::Schedule::describe) returned it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ScheduleDescription {
    /// Its id.
    pub id: String,
    /// The name of the workflow type that it starts.
    pub workflow_type: String,
    /// The task queue of its runs.
    pub task_queue: String,
    /// Its cron patterns.
    pub crons: Vec<String>,
    /// Its distances, each with its offset.
    pub every: Vec<(Duration, Duration)>,
    /// Its calendars.
    pub calendars: Vec<Calendar>,
    /// The calendars that it leaves out.
    pub exclude: Vec<Calendar>,
    /// The zone of patterns and calendars.
    pub zone: String,
    /// The longest delay of a run after its slot.
    pub jitter: Duration,
    /// The earliest slot.
    pub start_at: Option<Timestamp>,
    /// The latest slot.
    pub end_at: Option<Timestamp>,
    /// What happens at a slot while an earlier run is open.
    pub overlap: Overlap,
    /// How late a slot may be started.
    pub catch_up: Duration,
    /// Whether a run that fails pauses it.
    pub pause_on_failure: bool,
    /// How many more slots are started. `None`: no limit.
    pub remaining: Option<u64>,
    /// Whether it is paused.
    pub paused: bool,
    /// The last note: why it is paused, or not.
    pub note: Option<String>,
    /// The next ten slots, without jitter. Empty if it is paused, or no slot is left.
    pub next: Vec<Timestamp>,
    /// Its open runs that slots wait for, each with its slot. Runs that were started under [`Overlap::AllowAll`] are
    /// not among them.
    pub running: Vec<(String, Timestamp)>,
    /// How many runs are open that were started under [`Overlap::AllowAll`].
    pub overlapping: u64,
    /// How many slots wait for the end of an open run.
    pub waiting: usize,
    /// The last ten starts, oldest first.
    pub recent: Vec<ScheduledRun>,
    /// How often what has happened.
    pub counts: Counts,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A start of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScheduledRun {
    /// The workflow id of the run.
    pub workflow_id: String,
    /// Its slot.
    pub slot: Timestamp,
    /// When it was started.
    pub started_at: Timestamp,
    /// How it ended. `None`: it is open, or could not be started.
    pub end: Option<RunEnd>,
    /// Why it could not be started.
    pub refused: Option<String>,
}

impl ScheduledRun {
    fn of(recent: Recent) -> Self {
        Self {
            workflow_id: recent.workflow_id,
            slot: timestamp(recent.slot_ms),
            started_at: timestamp(recent.at_ms),
            end: recent.end,
            refused: recent.refused,
        }
    }
}

impl ScheduleDescription {
    pub(super) fn of(row: ScheduleRow, parts: Parts, now_ms: i64) -> Self {
        let Parts { spec, policy, action, state } = parts;
        let ends = row.paused || state.remaining == Some(0);
        // The spec was checked when it was written; one of a newer release has no times here.
        let next = if ends { Vec::new() } else { next_slots(&spec, now_ms, NEXT).unwrap_or_default() };
        let ms = Duration::from_millis;
        Self {
            id: row.id,
            workflow_type: action.workflow_type,
            task_queue: action.queue,
            every: spec.every.iter().map(|every| (ms(every.every_ms), ms(every.offset_ms))).collect(),
            crons: spec.crons,
            calendars: spec.calendars,
            exclude: spec.exclude,
            zone: spec.zone,
            jitter: ms(spec.jitter_ms),
            start_at: spec.start_at_ms.map(timestamp),
            end_at: spec.end_at_ms.map(timestamp),
            overlap: policy.overlap,
            catch_up: ms(policy.catch_up_ms),
            pause_on_failure: policy.pause_on_failure,
            remaining: state.remaining,
            paused: row.paused,
            note: row.note,
            next: next.into_iter().map(timestamp).collect(),
            running: state.running.into_iter().map(|run| (run.workflow_id, timestamp(run.slot_ms))).collect(),
            overlapping: state.overlapping,
            waiting: state.buffered.len(),
            recent: state.recent.into_iter().map(ScheduledRun::of).collect(),
            counts: state.counts,
            created_at: timestamp(row.created_at_ms),
        }
    }
}
