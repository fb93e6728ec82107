//! A schedule, and what a step makes of it.

use super::policy::Policy;
use super::spec::Spec;
use super::state::State;

/// The shortest catch-up window: a shorter one would miss slots whenever a worker is a moment late.
pub const MIN_CATCH_UP_MS: u64 = 10_000;
/// The most slots that a step takes, those of backfills among them. If there are more, the next step is due at once.
pub const MAX_SLOTS: usize = 1_000;
/// The most slots that wait for the end of a run.
pub const MAX_BUFFERED: usize = 1_000;
/// The most backfills that are not through.
pub const MAX_BACKFILLS: usize = 100;
/// How many starts [`State::recent`] keeps.
pub const RECENT: usize = 10;

/// The longest note and reason, in characters.
const MAX_NOTE: usize = 1_000;

/// Cuts a note or a reason.
pub(super) fn short(text: &str) -> String {
    text.chars().take(MAX_NOTE).collect()
}

/// A schedule, as its row has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Its id: a part of the hash that jitter is.
    pub id: String,
    /// What the workflow ids of its runs begin with.
    pub prefix: String,
    /// When it starts runs.
    pub spec: Spec,
    /// How it starts them.
    pub policy: Policy,
    /// What it remembers.
    pub state: State,
    /// No slot up to this time is ever started again, in Unix milliseconds. At first: when the schedule was made.
    pub last_slot_ms: i64,
    /// Whether it is paused.
    pub paused: bool,
    /// Why it is paused, or not.
    pub note: Option<String>,
}

/// What a step came to: the whole new row, and what goes with it in its transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What the schedule remembers.
    pub state: State,
    /// Up to where slots are done, in Unix milliseconds.
    pub last_slot_ms: i64,
    /// Whether it is paused.
    pub paused: bool,
    /// Why it is paused, or not. At most 1,000 characters.
    pub note: Option<String>,
    /// When the next step is due, in Unix milliseconds; up to now: at once. `None`: not before the next input.
    pub next_at_ms: Option<i64>,
    /// The runs to start.
    pub starts: Vec<StartRun>,
    /// The workflow ids whose chains are to be asked to cancel. One of `starts` may be among them.
    pub cancels: Vec<String>,
    /// The workflow ids whose chains are to be terminated. One of `starts` may be among them.
    pub terminates: Vec<String>,
    /// What became of each trigger and backfill, in their order.
    pub answers: Vec<Answer>,
}

/// A run to start, with `RejectDuplicate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartRun {
    /// `<prefix>-<slot>`, with the slot as UTC; of a trigger or a backfill, `<prefix>-<slot>-<request id>`.
    pub workflow_id: String,
    /// Its slot, in Unix milliseconds: what `info().scheduled_at` says, and what its report brings back.
    pub slot_ms: i64,
    /// The request that asked for it: of a trigger or a backfill.
    pub request_id: Option<String>,
}

/// What became of a trigger or a backfill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The id of the request.
    pub request_id: String,
    /// The workflow id of the run. Of a trigger only.
    pub workflow_id: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a trigger or a backfill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The run is in [`Step::starts`].
    Started,
    /// It waits for the end of the open run; a backfill is taken in.
    Waits,
    /// A run is open, and the policy skips it.
    Skipped,
    /// It is refused: why.
    Refused(String),
}

impl Step {
    /// The schedule as it is, and nothing to do.
    pub(super) fn idle(schedule: &Schedule) -> Self {
        Self {
            state: schedule.state.clone(),
            last_slot_ms: schedule.last_slot_ms,
            paused: schedule.paused,
            note: schedule.note.clone(),
            next_at_ms: None,
            starts: Vec::new(),
            cancels: Vec::new(),
            terminates: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// Takes a start back: its workflow id is taken. This is to be called before the row is written. A slot that
    /// waits for the run makes the next step due at `now_ms`.
    pub fn refuse(&mut self, workflow_id: &str, why: &str, now_ms: i64) {
        let before = self.starts.len();
        self.starts.retain(|start| start.workflow_id != workflow_id);
        if self.starts.len() == before {
            return;
        }
        self.cancels.retain(|id| id != workflow_id);
        self.terminates.retain(|id| id != workflow_id);
        self.state.ended(workflow_id);
        self.state.counts.started = self.state.counts.started.saturating_sub(1);
        self.state.counts.failed += 1;
        let why = short(why);
        if let Some(recent) = self.state.recent.iter_mut().rfind(|recent| recent.workflow_id == workflow_id) {
            recent.refused = Some(why.clone());
        }
        for answer in
            self.answers.iter_mut().filter(|answer| answer.workflow_id.as_deref() == Some(workflow_id))
        {
            answer.outcome = Outcome::Refused(why.clone());
        }
        if !self.state.buffered.is_empty() {
            self.next_at_ms = Some(now_ms);
        }
    }
}
