//! Runs that go on for others: the section of a batch that inserts them and moves messages to them.

use super::start::insert_successor;
use super::statement::{Looked, Statement};
use super::tables::Execution;
use super::write::Write;
use crate::status::ExecutionStatus;
use crate::store::{Append, ExecutionRow, InboxRow, MessageKind, Successor};
use abide_core::ExecutionId;
use abide_core::mutant;

/// Inserts the runs that go on, and moves messages to them. Each inherits from the row of the run before it
/// (PROTOCOL 39), whose lock the batch has. Whether all are in.
pub(super) fn follow_all(
    st: &mut Statement<'_>,
    appends: &[&Append],
    is_in: impl Fn(&Append) -> bool,
) -> Looked<bool> {
    let mut all = true;
    for append in appends.iter().filter(|append| is_in(append)) {
        let Some(next) = append.successor.as_deref() else { continue };
        let before = match append.own_start() {
            Some(new) => Some((ExecutionRow::of(new), None)),
            None => {
                let found = st.tables.executions.get(&append.execution);
                found.map(|execution| (execution.row.clone(), execution.child))
            }
        };
        let Some((before, child)) = before else { continue };
        if insert_successor(st, Execution { child, ..successor(append, next, before) })? {
            move_to(st, append, next.id)?;
        } else {
            all = false;
        }
    }
    Ok(all)
}

/// The row of a run that goes on.
fn successor(append: &Append, next: &Successor, before: ExecutionRow) -> Execution {
    let row = ExecutionRow {
        id: next.id,
        run_id: next.run_id.clone(),
        workflow_type: next.workflow_type.clone(),
        queue: next.queue.clone(),
        status: ExecutionStatus::Running,
        owner: next.owned.then_some(append.owner),
        rev: 0,
        wake_at_ms: Some(next.due_ms),
        active: false,
        retried_ms: 0,
        crashes: 0,
        recovered_from: None,
        suspension: None,
        input: Some(next.input.clone()),
        result: None,
        created_at_ms: next.created_at_ms,
        closed_at_ms: None,
        history_len: 0,
        close_by_ms: next.close_by_ms,
        context: next.context.clone(),
        chain: Some(before.chain()),
        next: None,
        attempt: next.attempt,
        // The workflow id, and all else that belongs to the chain.
        ..before
    };
    Execution {
        row,
        request_id: None,
        tried_builds: None,
        trying_builds: Vec::new(),
        child: None,
        orphans: false,
    }
}

/// What users and the engine have sent moves, in its order; what this turn has taken in does not.
fn move_to(st: &mut Statement<'_>, append: &Append, to: ExecutionId) -> Looked<()> {
    let tables = st.tables;
    let moves = |row: &&InboxRow| {
        let attempt = mutant!(MoveAttempts) && row.kind == MessageKind::Attempt;
        (row.kind.moves() || attempt) && !append.consumed.contains(&row.id) && !mutant!(MoveNothing)
    };
    for row in tables.inbox_of(append.execution).filter(moves) {
        st.write(Write::Moved(row.id, to));
        st.write(Write::Unparked(row.id));
    }
    Ok(())
}
