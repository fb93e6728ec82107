//! What a step is told, and whom it ends.

use super::parts::Parts;
use crate::status::ExecutionStatus;
use crate::store::message::{InboxRow, MessageKind};
use crate::store::schedule::{ScheduleParts, ScheduleRow};
use abide_core::schedule::{Change, Input, RunEnd, Step, step, update};
use serde::Deserialize;

/// The keys of the messages.
const CANCEL: &str = "abide/schedule/cancel";
const TERMINATE: &str = "abide/schedule/terminate";

/// Their body.
const BODY: &str = "{\"reason\":\"its schedule starts the next run\"}";

/// A message to the open run of a chain that a schedule has started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChainEnd<'a> {
    /// The schedule's number: a run that another has started under this id is not meant.
    pub(crate) number: i64,
    pub(crate) workflow_id: &'a str,
    /// Else it is asked to cancel.
    pub(crate) terminates: bool,
    /// The message's dedup key.
    pub(crate) request_id: &'static str,
    /// The message's body.
    pub(crate) body: &'static str,
}

impl ChainEnd<'_> {
    /// The message's kind.
    pub(crate) fn kind(&self) -> MessageKind {
        if self.terminates { MessageKind::Terminate } else { MessageKind::Cancel }
    }
}

/// What a schedule is told besides its reports.
#[derive(Clone, Copy)]
pub(super) enum Told<'a> {
    Nothing,
    Input(&'a Input),
    Change(&'a ScheduleParts),
}

/// The body of a report, as the statements that close write it.
#[derive(Debug, Deserialize)]
struct Report {
    workflow_id: String,
    slot_ms: i64,
    status: i64,
    message: Option<String>,
}

impl Told<'_> {
    /// Steps the schedule.
    ///
    /// # Errors
    /// Its row or its spec cannot be read.
    pub(super) fn step(
        self,
        row: &ScheduleRow,
        reports: &[InboxRow],
        now_ms: i64,
    ) -> Result<(Parts, Step), String> {
        let mut parts = Parts::of(row)?;
        let mut inputs = reports.iter().map(ended).collect::<Result<Vec<Input>, String>>()?;
        let mut schedule = parts.schedule(row);
        let Self::Change(new) = self else {
            inputs.extend(match self {
                Self::Input(input) => Some(input.clone()),
                _ => None,
            });
            let step = step(&schedule, inputs, now_ms).map_err(|error| error.to_string())?;
            return Ok((parts, step));
        };
        debug_assert!(inputs.is_empty(), "what has come before the change is taken in before it");
        if row.halted {
            // Its own may be what cannot be stepped.
            schedule.spec.clone_from(&new.spec);
        }
        if new.note.is_some() {
            schedule.note.clone_from(&new.note);
        }
        let remaining = (new.remaining != parts.state.remaining).then_some(new.remaining);
        let change = Change { spec: Some(new.spec.clone()), policy: Some(new.policy.clone()), remaining };
        let step = update(&schedule, change, now_ms).map_err(|error| error.to_string())?;
        (parts.spec, parts.policy) = (new.spec.clone(), new.policy.clone());
        (parts.action, parts.changed) = (new.action.clone(), true);
        Ok((parts, step))
    }
}

/// The end of a run as its report says it.
fn ended(row: &InboxRow) -> Result<Input, String> {
    let report: Report =
        serde_json::from_str(&row.body).map_err(|error| format!("a report cannot be read: {error}"))?;
    let Report { workflow_id, slot_ms, status, message } = report;
    let end = match ExecutionStatus::from_code(status) {
        ExecutionStatus::Completed => RunEnd::Completed,
        ExecutionStatus::Cancelled => RunEnd::Cancelled,
        ExecutionStatus::Terminated => RunEnd::Terminated,
        ExecutionStatus::TimedOut => RunEnd::TimedOut,
        _ => RunEnd::Failed,
    };
    Ok(Input::Ended { workflow_id, slot_ms, end, message })
}

/// The runs that a step ends. A run is asked once for each.
pub(super) fn ends(number: i64, step: &Step) -> impl Iterator<Item = ChainEnd<'_>> {
    let cancels = step.cancels.iter().map(|id| (id, false, CANCEL));
    let terminates = step.terminates.iter().map(|id| (id, true, TERMINATE));
    cancels.chain(terminates).map(move |(workflow_id, terminates, request_id)| ChainEnd {
        number,
        workflow_id,
        terminates,
        request_id,
        body: BODY,
    })
}
