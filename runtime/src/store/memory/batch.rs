//! The statement of a group commit: all that some appends write, by leases that are there.
//!
//! The sections of `postgres/batch.rs`. Their order does not count here: a statement takes all of its locks at once, or waits with none. Each looks at the tables as they were before the statement, so that what a batch does
//! twice is found out, as there, and told from its appends by halving. Each part that changes something passes the fence (PROTOCOL 13).

use super::attempt;
use super::locks::{Key, Mode};
use super::start::{bare_row, drop_tasks, insert, write_turn};
use super::statement::{Looked, Statement};
use super::tables::Execution;
use super::tokens;
use crate::policy::IdReusePolicy;
use crate::status::ExecutionStatus;
use crate::store::group::Kind;
use crate::store::{Append, ExecutionRow, NewExecution, RowChange, StoredTurn, Suspension};
use abide_core::{ExecutionId, Incarnation};
use std::collections::{BTreeMap, BTreeSet};

/// One batch under way.
struct Batch {
    /// Those of its owners whose leases are there.
    alive: BTreeSet<Incarnation>,
    /// Its starts that are in.
    created: BTreeMap<ExecutionId, ExecutionStatus>,
}

impl Batch {
    /// Whether an append's parts happen: its owner lives, and its start, if it is one, is in.
    fn is_in(&self, append: &Append) -> bool {
        let started = append.create.is_none() || self.created.contains_key(&append.execution);
        self.alive.contains(&append.owner) && started
    }
}

/// Writes a batch: the ids of its starts that are in.
pub(super) fn write(st: &mut Statement<'_>, appends: &[&Append]) -> Looked<BTreeSet<ExecutionId>> {
    let mut batch = Batch { alive: BTreeSet::new(), created: BTreeMap::new() };
    let owners: BTreeSet<Incarnation> = appends.iter().map(|append| append.owner).collect();
    for owner in &owners {
        if st.fence(*owner)? {
            batch.alive.insert(*owner);
        }
    }
    create_all(st, &mut batch, appends)?;
    write_turns(st, &batch, appends)?;
    consume(st, &batch, appends)?;
    send(st, &batch, appends)?;
    let changed = change_all(st, &batch, appends)?;
    let decided = tokens::change_all(st, appends, |append| batch.is_in(append))?;
    attempt::change_all(st, appends, |append| batch.is_in(append))?;
    for append in appends {
        if append.is_closing() && append.create.is_none() && batch.is_in(append) {
            drop_tasks(st, append.execution)?;
            attempt::drop_all(st, append.execution)?;
        }
    }
    match () {
        () if batch.alive.len() < owners.len() => st.raise(Kind::Fenced, "the lease is gone"),
        () if !changed => st.raise(Kind::Lost, "an execution is not its owner's any more"),
        () if !decided => st.raise(Kind::Conflict, "an attempt was decided otherwise"),
        () => Ok(batch.created.into_keys().collect()),
    }
}

fn create_all(st: &mut Statement<'_>, batch: &mut Batch, appends: &[&Append]) -> Looked<()> {
    let mut workflow_ids = BTreeSet::new();
    for append in appends {
        let Some(new) = &append.create else { continue };
        // A second start of a workflow id is decided alone.
        let first = workflow_ids.insert(&new.workflow_id);
        if !batch.alive.contains(&append.owner) || !first {
            continue;
        }
        let execution = created(append, new);
        let status = execution.row.status;
        if is_allowed(st, new, status) && insert(st, new, execution)? {
            batch.created.insert(new.id, status);
        }
    }
    Ok(())
}

/// Reuse policies other than the default look at the newest closed run. A start that closes at once has to look for an open run
/// itself, and so has one with such a policy. Both are asked under the lock of the workflow id (see `guard`).
fn is_allowed(st: &Statement<'_>, new: &NewExecution, status: ExecutionStatus) -> bool {
    let closed = st.tables.newest_closed(&new.workflow_id).map(|closed| closed.row.status);
    let reuses = match (new.reuse, closed) {
        (IdReusePolicy::AllowDuplicate, _) | (_, None) => true,
        (IdReusePolicy::AllowDuplicateFailedOnly, Some(closed)) => closed != ExecutionStatus::Completed,
        (IdReusePolicy::RejectDuplicate, Some(_)) => false,
    };
    let plain = status.is_open() && new.reuse == IdReusePolicy::AllowDuplicate;
    reuses && (plain || st.tables.open_run(&new.workflow_id).is_none())
}

/// The row of a start already owned, with the changes of its first turn.
fn created(append: &Append, new: &NewExecution) -> Execution {
    let none = RowChange::default();
    let change = append.row.as_ref().unwrap_or(&none);
    let status = change.status.unwrap_or(ExecutionStatus::Running);
    let frees = change.release || status != ExecutionStatus::Running;
    let running = status == ExecutionStatus::Running;
    let row = ExecutionRow {
        owner: (!frees).then_some(append.owner),
        wake_at_ms: change.wake_at_ms.flatten().filter(|_| running),
        active: running && change.active == Some(true),
        suspension: change.suspension.clone(),
        result: change.result.clone(),
        closed_at_ms: append.is_closing().then_some(append.at_ms),
        ..bare_row(new, status)
    };
    let tried_builds = offered(change).map(|build| vec![build.to_owned()]);
    Execution { row, request_id: new.request_id.clone(), tried_builds, trying_builds: Vec::new() }
}

/// The build to note, if others may try what it had to suspend.
fn offered(change: &RowChange) -> Option<&str> {
    let suspension = change.suspension.as_ref().filter(|suspension| suspension.other_builds);
    suspension.map(|Suspension { build, .. }| build.as_str())
}

fn write_turns(st: &mut Statement<'_>, batch: &Batch, appends: &[&Append]) -> Looked<()> {
    for append in appends.iter().filter(|append| append.n > 0 && batch.is_in(append)) {
        let (seq, n, at_ms, writer) = (append.seq, append.n, append.at_ms, append.owner);
        if seq.0 == 0 {
            return st.raise(Kind::Refused, "events are numbered from 1");
        }
        let turn = StoredTurn { seq, n, at_ms, writer, body: append.body.clone() };
        write_turn(st, append.execution, turn)?;
    }
    Ok(())
}

fn consume(st: &mut Statement<'_>, batch: &Batch, appends: &[&Append]) -> Looked<()> {
    let tables = st.tables;
    for append in appends.iter().filter(|append| batch.alive.contains(&append.owner)) {
        let rows = append.consumed.iter().filter_map(|id| tables.inbox.get(id));
        rows.into_iter().try_for_each(|row| st.take_out(row))?;
    }
    Ok(())
}

/// The lock on the receiver's row keeps it from closing meanwhile, and nothing else (PROTOCOL 16). A receiver may be one of the batch's
/// starts, which no other statement sees yet.
fn send(st: &mut Statement<'_>, batch: &Batch, appends: &[&Append]) -> Looked<()> {
    for append in appends.iter().filter(|append| batch.is_in(append)) {
        for message in &append.messages {
            let started = batch.created.get(&message.execution).is_some_and(|status| status.is_open());
            if started || st.receiver(message.execution)?.is_some() {
                let body = message.body.clone();
                st.put(message.execution, message.kind, &message.request_id, body, message.at_ms)?;
            }
        }
    }
    Ok(())
}

/// A row of another owner or revision, or closed meanwhile, is left alone (PROTOCOL 93). Whether all are changed.
fn change_all(st: &mut Statement<'_>, batch: &Batch, appends: &[&Append]) -> Looked<bool> {
    let (mut all, mut seen) = (true, BTreeSet::new());
    for append in appends.iter().filter(|append| append.create.is_none()) {
        let Some(change) = &append.row else { continue };
        let execution = st.tables.executions.get(&append.execution).filter(|execution| {
            let row = &execution.row;
            let fits = match append.rev {
                Some(rev) => row.status.is_open() && (row.rev == rev || mutant!(ChangeWithoutRev)),
                None => !row.status.is_open(),
            };
            row.owner == Some(append.owner) && fits
        });
        match execution {
            Some(execution) if batch.alive.contains(&append.owner) && seen.insert(append.execution) => {
                st.update(changed(execution.clone(), append, change))?;
            }
            _ => all = false,
        }
    }
    Ok(all)
}

fn changed(mut execution: Execution, append: &Append, change: &RowChange) -> Execution {
    let stops = change.status.is_some_and(|status| status != ExecutionStatus::Running);
    let row = &mut execution.row;
    row.rev += 1;
    // What runs for a suspended execution may die with this owner, who is forgotten then.
    if change.status == Some(ExecutionStatus::Suspended) && change.active == Some(true) {
        row.recovered_from = row.owner;
    } else if change.clear_recovered {
        row.recovered_from = None;
    }
    if change.release || stops {
        row.owner = None;
    }
    match change.wake_at_ms {
        _ if stops => row.wake_at_ms = None,
        Some(wake_at_ms) => row.wake_at_ms = wake_at_ms,
        None => {}
    }
    row.active = change.active.unwrap_or(row.active) && !stops;
    if let Some(status) = change.status {
        (row.status, row.suspension) = (status, change.suspension.clone());
    }
    if change.result.is_some() {
        row.result.clone_from(&change.result);
    }
    if append.is_closing() {
        row.closed_at_ms = Some(append.at_ms);
    }
    if change.reset_crashes {
        row.crashes = 0;
    }
    row.retried_ms = change.retried_ms.unwrap_or(row.retried_ms);
    match offered(change).or(change.offered_by.as_deref()) {
        Some(build) => {
            execution.trying_builds.clear();
            let tried = execution.tried_builds.get_or_insert_default();
            // An empty build is nobody's: each may try.
            if build.is_empty() {
                tried.clear();
            }
            if !tried.iter().any(|tried| tried == build) {
                tried.push(build.to_owned());
            }
        }
        None if change.reset_crashes || change.status.is_some() => {
            (execution.tried_builds, execution.trying_builds) = (None, Vec::new());
        }
        None => {}
    }
    execution
}

/// The keys that a batch would have to wait for before it begins, see `guard`.
pub(super) fn locks_row(st: &mut Statement<'_>, id: ExecutionId) -> bool {
    st.tables.executions.contains_key(&id) && st.try_lock(Key::Execution(id), Mode::Update)
}
