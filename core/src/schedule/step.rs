//! One step of a schedule.

use super::check::SpecError;
use super::inputs::Input;
use super::policy::Policy;
use super::spec::Spec;
use super::state::State;

/// The most slots that a step takes, those of backfills among them. If there are more, the next step is due at once.
pub const MAX_SLOTS: usize = 1_000;
/// The most slots that wait for the end of a run.
pub const MAX_BUFFERED: usize = 1_000;
/// The most backfills that are not through.
pub const MAX_BACKFILLS: usize = 100;
/// How many starts [`State::recent`] keeps.
pub const RECENT: usize = 10;

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
    /// Why it is paused, or not.
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

/// Steps a schedule: takes in what happened, in its order, and starts what is due at `now_ms`.
///
/// # Errors
/// [`SpecError`]: the spec cannot be read. A spec that [`check`](super::check()) has passed can be.
pub fn step(schedule: &Schedule, inputs: Vec<Input>, now_ms: i64) -> Result<Step, SpecError> {
    let _ = (inputs, now_ms);
    Ok(Step {
        state: schedule.state.clone(),
        last_slot_ms: schedule.last_slot_ms,
        paused: schedule.paused,
        note: schedule.note.clone(),
        next_at_ms: None,
        starts: Vec::new(),
        cancels: Vec::new(),
        terminates: Vec::new(),
        answers: Vec::new(),
    })
}

impl Step {
    /// Takes a start back: its workflow id is taken. A slot that waits for it makes the next step due at `now_ms`.
    pub fn refuse(&mut self, workflow_id: &str, why: &str, now_ms: i64) {
        let _ = (workflow_id, why, now_ms);
    }
}
