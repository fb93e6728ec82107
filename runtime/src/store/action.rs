//! What a schedule starts: the template of its runs.

use super::execution::{NewExecution, Scheduled, Terms};
use crate::policy::{IdConflictPolicy, IdReusePolicy};
use abide_core::schedule::StartRun;
use abide_core::{ExecutionId, Payload, StartContext};
use serde::{Deserialize, Serialize};

/// The template of a schedule's runs, as its row has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Action {
    /// The workflow's registered name.
    pub(crate) workflow_type: String,
    /// The task queue.
    pub(crate) queue: String,
    /// What the workflow ids of its runs begin with.
    pub(crate) prefix: String,
    /// The arguments.
    pub(crate) input: Payload,
    /// How long after its start a run begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) delay_ms: Option<i64>,
    /// The time limit of all runs of a chain together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) execution_timeout_ms: Option<i64>,
    /// What each run begins with besides its arguments. Its time limit is in it.
    #[serde(default, skip_serializing_if = "StartContext::is_empty")]
    pub(crate) context: StartContext,
}

impl Action {
    /// The run of one slot of the schedule with this number.
    pub(crate) fn run(
        &self,
        number: i64,
        start: &StartRun,
        (id, run_id): (ExecutionId, String),
        now_ms: i64,
    ) -> NewExecution {
        let context = StartContext { scheduled_at_ms: Some(start.slot_ms), ..self.context.clone() };
        let scheduled = Some(Scheduled { number, slot_ms: start.slot_ms });
        NewExecution {
            id,
            workflow_id: start.workflow_id.clone(),
            run_id,
            request_id: None,
            workflow_type: self.workflow_type.clone(),
            queue: self.queue.clone(),
            input: self.input.as_json().to_owned(),
            created_at_ms: now_ms,
            terms: Terms {
                scheduled,
                ..Terms::of(&context, (self.delay_ms, self.execution_timeout_ms), now_ms)
            },
            reuse: IdReusePolicy::RejectDuplicate,
            conflict: IdConflictPolicy::Fail,
            terminate_event: None,
            with: Vec::new(),
        }
    }
}
