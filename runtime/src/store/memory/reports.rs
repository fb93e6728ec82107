//! The ends of chains, as the schedules that have started them are told (PROTOCOL 71).

use super::statement::{Looked, Statement};
use crate::status::ExecutionStatus;
use crate::store::{InboxRow, MessageKind};
use abide_core::ExecutionId;

/// Tells its schedule of the end of a run that no other goes on for. Whether it has one.
pub(super) fn report(
    st: &mut Statement<'_>,
    id: ExecutionId,
    status: ExecutionStatus,
    message: &str,
    at_ms: i64,
) -> Looked<bool> {
    let Some(run) = st.tables.executions.get(&id) else { return Ok(false) };
    let Some(scheduled) = run.row.scheduled else { return Ok(false) };
    if !st.tables.schedules.values().any(|schedule| schedule.number == scheduled.number) {
        return Ok(false);
    }
    let workflow_id = serde_json::Value::from(run.row.workflow_id.clone());
    let (slot_ms, status) = (scheduled.slot_ms, status.code());
    let body = format!(
        r#"{{"workflow_id":{workflow_id},"slot_ms":{slot_ms},"status":{status},"message":{message}}}"#
    );
    let request_id = format!("run/{}", run.row.chain());
    st.put(ExecutionId(scheduled.number), MessageKind::ChildEnded, &request_id, body, at_ms)
}

/// Deletes reports that no schedule takes in any more: it was deleted while its run closed.
pub(super) fn sweep(st: &mut Statement<'_>) -> Looked<()> {
    let tables = st.tables;
    let is_late = |row: &&InboxRow| {
        row.execution.0 < 0 && !tables.schedules.values().any(|schedule| schedule.number == row.execution.0)
    };
    tables.inbox.values().filter(is_late).try_for_each(|row| st.take_out(row))
}
