//! Claims of runs that end without code (PROTOCOL 40): the statements of `postgres/ends.rs`.

use super::locks::{Key, Mode};
use super::session::{Failure, Session};
use super::statement::{Looked, Statement};
use super::tables::Execution;
use crate::status::ExecutionStatus;
use crate::store::{ClaimedEnds, MessageKind};
use abide_core::{ExecutionId, Incarnation};
use std::collections::BTreeMap;

/// Open, without an owner.
fn is_nobodys(execution: &Execution) -> bool {
    execution.row.owner.is_none() && execution.row.status.is_open()
}

fn take(st: &mut Statement<'_>, owner: Incarnation, (now, limit): (i64, usize)) -> Looked<Vec<ExecutionId>> {
    let tables = st.tables;
    let mut found: BTreeMap<ExecutionId, i64> = BTreeMap::new();
    for execution in tables.executions.values().filter(|execution| is_nobodys(execution)) {
        let told = tables.inbox_of(execution.row.id).find(|row| row.kind == MessageKind::Terminate);
        let late = execution.row.close_by_ms.filter(|at_ms| *at_ms <= now);
        if let Some(due) = told.map(|row| row.at_ms).into_iter().chain(late).min() {
            found.insert(execution.row.id, due);
        }
    }
    let mut found: Vec<_> = found.into_iter().map(|(id, due)| (due, id)).collect();
    found.sort_unstable();
    found.retain(|(_, id)| st.try_lock(Key::Execution(*id), Mode::NoKeyUpdate));
    found.truncate(limit);
    let mut runs = Vec::new();
    if found.is_empty() || !st.try_fence(owner) {
        return Ok(runs);
    }
    for (_, id) in found {
        let Some(mut execution) = tables.executions.get(&id).cloned() else { continue };
        execution.row.rev += 1;
        execution.row.owner = Some(owner);
        if mutant!(UnsuspendByEnd) {
            (execution.row.status, execution.row.suspension) = (ExecutionStatus::Running, None);
        }
        st.update(execution)?;
        runs.push(id);
    }
    runs.sort_unstable();
    Ok(runs)
}

/// Takes what can be taken now.
pub(super) async fn claim_ends(
    session: &mut Session,
    owner: Incarnation,
    (now, limit): (i64, u32),
) -> Result<ClaimedEnds, Failure> {
    let runs = session.run(|st| take(st, owner, (now, limit as usize))).await?;
    let next = |st: &mut Statement<'_>| {
        let nobodys = st.tables.executions.values().filter(|execution| is_nobodys(execution));
        Ok(nobodys.filter_map(|execution| execution.row.close_by_ms).min())
    };
    match session.run(next).await {
        Ok(next_due_ms) => Ok(ClaimedEnds { runs, next_due_ms }),
        // These runs are claimed already: return them despite the error.
        Err(failure) if runs.is_empty() || matches!(failure, Failure::Gone) => Err(failure),
        Err(_) => Ok(ClaimedEnds { runs, next_due_ms: None }),
    }
}
