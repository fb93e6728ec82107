//! The statement of a group commit: all that some appends write, by leases that are there.
//!
//! The sections of `postgres/batch.rs`. Their order does not count here: a statement takes all of its locks
//! at once, or waits with none. Each looks at the tables as they were before the statement, so that what a
//! batch does twice is found out, as there, and told from its appends by halving. Each part that changes
//! something passes the fence (PROTOCOL 13).

use super::message::keep;
use super::start::{drop_tasks, empty_inbox, insert, write_turn};
use super::statement::{Looked, Statement};
use super::tables::Execution;
use super::tokens;
use super::{attempt, followed, reports, stream};
use crate::policy::{IdConflictPolicy, IdReusePolicy};
use crate::status::ExecutionStatus;
use crate::store::decide::{Concerned, NewRow, Recovered, RowWrite, allows_reuse, parks};
use crate::store::failure::Kind;
use crate::store::{Append, ChildOf, ExecutionRow, MessageKind, NewChild, NewExecution, StoredTurn, Terms};
use abide_core::{ExecutionId, Incarnation};
use std::collections::{BTreeMap, BTreeSet};

/// One batch under way.
struct Batch {
    /// Those of its owners whose leases are there.
    alive: BTreeSet<Incarnation>,
    /// Its starts that are in.
    born: BTreeMap<ExecutionId, ExecutionStatus>,
    /// Whom it concerns.
    concerned: Concerned,
}

/// What a batch has written.
pub(super) struct Written {
    /// The ids of its starts that are in.
    pub(super) born: BTreeSet<ExecutionId>,
    /// Whom it concerns.
    pub(super) concerned: Concerned,
}

impl Batch {
    /// Whether an append's parts happen: its owner lives, and its start, if it is one, is in.
    fn is_in(&self, append: &Append) -> bool {
        let started = !append.starts() || self.born.contains_key(&append.execution);
        self.alive.contains(&append.owner) && started
    }
}

/// Writes a batch.
pub(super) fn write(st: &mut Statement<'_>, appends: &[&Append]) -> Looked<Written> {
    let mut batch = Batch { alive: BTreeSet::new(), born: BTreeMap::new(), concerned: Concerned::default() };
    let owners: BTreeSet<Incarnation> = appends.iter().map(|append| append.owner).collect();
    for owner in &owners {
        if st.fence(*owner)? {
            batch.alive.insert(*owner);
        }
    }
    insert_births(st, &mut batch, appends)?;
    insert_children(st, &mut batch, appends)?;
    write_turns(st, &batch, appends)?;
    consume(st, &batch, appends)?;
    send(st, &mut batch, appends)?;
    let changed = change_all(st, &batch, appends)?;
    report(st, &mut batch, appends)?;
    let mut concerned = std::mem::take(&mut batch.concerned);
    let decided = tokens::change_all(st, appends, |append| batch.is_in(append), &mut concerned)?;
    attempt::change_all(st, appends, |append| batch.is_in(append))?;
    for append in appends.iter().filter(|append| batch.is_in(append)) {
        append.replies.iter().try_for_each(|reply| keep(st, reply, append.at_ms))?;
    }
    let followed = followed::follow_all(st, appends, |append| batch.is_in(append))?;
    stream::publish_all(st, appends, |append| batch.is_in(append))?;
    for append in appends {
        if append.closes_row() && batch.is_in(append) {
            empty_inbox(st, append.execution, append.successor.is_some())?;
            drop_tasks(st, append.execution)?;
            attempt::drop_all(st, append.execution)?;
        }
    }
    match () {
        () if batch.alive.len() < owners.len() => st.raise(Kind::Fenced, "the lease is gone"),
        () if !changed => st.raise(Kind::Lost, "an execution is not its owner's any more"),
        () if !followed => st.raise(Kind::Conflict, "the run that is to go on has no room"),
        () if !decided => st.raise(Kind::Conflict, "an attempt was decided otherwise"),
        () => Ok(Written { born: batch.born.into_keys().collect(), concerned }),
    }
}

fn insert_births(st: &mut Statement<'_>, batch: &mut Batch, appends: &[&Append]) -> Looked<()> {
    let mut workflow_ids = BTreeSet::new();
    for (append, new) in appends.iter().flat_map(|append| append.births.iter().map(move |new| (append, new)))
    {
        // A second start of a workflow id is decided alone.
        let first = workflow_ids.insert(&new.workflow_id);
        if !batch.alive.contains(&append.owner) || !first {
            continue;
        }
        let execution = created(NewRow::of(append, new));
        let status = execution.row.status;
        if is_allowed(st, new, status) && insert(st, new, execution)? {
            batch.born.insert(new.id, status);
        }
    }
    Ok(())
}

/// No child without its parent. Names that may be taken were looked for under their locks.
fn insert_children(st: &mut Statement<'_>, batch: &mut Batch, appends: &[&Append]) -> Looked<()> {
    for append in appends {
        if !batch.is_in(append) {
            continue;
        }
        for child in &append.children {
            let new = NewExecution {
                id: child.id,
                workflow_id: child.workflow_id.clone(),
                run_id: child.run_id.clone(),
                request_id: None,
                workflow_type: child.workflow_type.clone(),
                queue: child.queue.clone(),
                input: child.input.clone(),
                created_at_ms: child.created_at,
                terms: Terms {
                    due_at_ms: None,
                    close_by_ms: child.close_by,
                    chain_by_ms: child.chain_by,
                    context: Some(child.context.clone()),
                    scheduled: None,
                },
                reuse: IdReusePolicy::AllowDuplicate,
                conflict: IdConflictPolicy::Fail,
                terminate_event: None,
                with: Vec::new(),
            };
            let row = ExecutionRow {
                wake_at_ms: Some(child.created_at),
                input: Some(child.input.clone()),
                owner: child.owner,
                context: new.terms.context.clone(),
                parent: Some(child.parent),
                ..ExecutionRow::of(&new)
            };
            let NewChild { parent, child_no, close_policy, .. } = *child;
            let execution = Execution {
                row,
                request_id: None,
                tried_builds: None,
                trying_builds: Vec::new(),
                child: Some(ChildOf { parent, child_no, close_policy }),
                orphans: false,
            };
            if !insert(st, &new, execution)? {
                return st.raise(Kind::Refused, "a child's id is taken");
            }
            batch.born.insert(child.id, ExecutionStatus::Running);
            if child.owner.is_none() {
                batch.concerned.add(None, Some(child.queue.clone()));
            }
        }
    }
    Ok(())
}

/// Reuse policies other than the default look at the newest closed run. A start that closes at once has to
/// look for an open run itself, and so has one with such a policy. Both are asked under the lock of the
/// workflow id (see `guard`).
fn is_allowed(st: &Statement<'_>, new: &NewExecution, status: ExecutionStatus) -> bool {
    let closed = st.tables.newest_closed(&new.workflow_id);
    let reuses = closed.is_none_or(|closed| allows_reuse(new.reuse, closed.row.status));
    let plain = status.is_open() && new.reuse == IdReusePolicy::AllowDuplicate;
    reuses && (plain || st.tables.open_run(&new.workflow_id).is_none())
}

fn created(row: NewRow<'_>) -> Execution {
    let NewRow { new, status, owner, wake_at_ms, active, suspension, build, closed_at_ms, result, next } =
        row;
    let row = ExecutionRow {
        status,
        owner,
        wake_at_ms,
        active,
        suspension: suspension.cloned(),
        result: result.map(str::to_owned),
        closed_at_ms,
        context: new.terms.context.clone(),
        next,
        ..ExecutionRow::of(new)
    };
    let tried_builds = build.map(|build| vec![build.to_owned()]);
    Execution {
        row,
        request_id: new.request_id.clone(),
        tried_builds,
        trying_builds: Vec::new(),
        child: None,
        orphans: false,
    }
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

/// The lock on the receiver's row keeps it from closing meanwhile, and nothing else (PROTOCOL 16). A receiver
/// may be one of the batch's starts, which no other statement sees yet.
fn send(st: &mut Statement<'_>, batch: &mut Batch, appends: &[&Append]) -> Looked<()> {
    let mut concerned = std::mem::take(&mut batch.concerned);
    for append in appends.iter().filter(|append| batch.is_in(append)) {
        let next = append.successor.as_ref().map(|next| next.id);
        for message in append.sent() {
            let started = batch.born.get(&message.execution).is_some_and(|status| status.is_open())
                || next == Some(message.execution);
            let receiver = st.receiver(message.execution)?;
            if started || receiver.is_some() {
                let body = message.body.clone();
                let sent =
                    st.put(message.execution, message.kind, &message.request_id, body, message.at_ms)?;
                // A parked one concerns no worker yet.
                let is_parked = receiver.is_some_and(|receiver| parks(receiver.row.status, message.kind));
                if sent && !is_parked {
                    // A start of this batch has the sender's owner.
                    let owner = receiver.map_or(Some(append.owner), |receiver| receiver.row.owner);
                    concerned.add(owner, receiver.map(|receiver| receiver.row.queue.clone()));
                }
            }
        }
    }
    batch.concerned = concerned;
    Ok(())
}

/// A row of another owner or revision, or closed meanwhile, is left alone (PROTOCOL 93). Whether all are changed.
fn change_all(st: &mut Statement<'_>, batch: &Batch, appends: &[&Append]) -> Looked<bool> {
    let (mut all, mut seen) = (true, BTreeSet::new());
    for append in appends {
        let Some(write) = RowWrite::of(append) else { continue };
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
                let orphans = st.tables.has_bound_child(append.execution);
                st.update(changed(execution.clone(), write, orphans))?;
            }
            _ => all = false,
        }
    }
    Ok(all)
}

/// Tells parents of ends. The parent is not locked (PROTOCOL 54).
fn report(st: &mut Statement<'_>, batch: &mut Batch, appends: &[&Append]) -> Looked<()> {
    let closes: BTreeSet<ExecutionId> =
        appends.iter().filter(|append| append.closes_row()).map(|append| append.execution).collect();
    for append in appends.iter().filter(|append| append.closes_row()) {
        if !batch.is_in(append) {
            continue;
        }
        if let (Some(message), None, Some(close)) = (&append.report, &append.successor, &append.close) {
            reports::report(st, append.execution, close.status, message, append.at_ms)?;
        }
        let child = st.tables.executions.get(&append.execution).and_then(|execution| execution.child);
        let (Some(end), Some(ChildOf { parent, child_no, .. })) = (&append.report, child) else { continue };
        let Some(receiver) = st.tables.open(parent).filter(|_| !closes.contains(&parent)) else { continue };
        let body = format!("{{\"child\":{child_no},\"end\":{end}}}");
        if st.put(parent, MessageKind::ChildEnded, &format!("child/{child_no}"), body, append.at_ms)? {
            batch.concerned.add(receiver.row.owner, Some(receiver.row.queue.clone()));
        }
    }
    Ok(())
}

fn changed(mut execution: Execution, write: RowWrite<'_>, orphans: bool) -> Execution {
    execution.orphans |= write.marks_orphans && orphans;
    let row = &mut execution.row;
    row.rev += 1;
    match write.recovered {
        Recovered::Keep => {}
        Recovered::Forget => row.recovered_from = None,
        Recovered::Owner => row.recovered_from = row.owner,
    }
    if write.releases {
        row.owner = None;
    }
    row.wake_at_ms = write.wake_at_ms.unwrap_or(row.wake_at_ms);
    row.active = write.active.unwrap_or(row.active);
    if let Some(status) = write.status {
        (row.status, row.suspension) = (status, write.suspension.cloned());
    }
    if let Some(result) = write.result {
        row.result = Some(result.to_owned());
    }
    row.closed_at_ms = write.closed_at_ms.or(row.closed_at_ms);
    row.next = write.next.or(row.next);
    if write.begins {
        row.context = None;
    }
    if write.resets_crashes {
        row.crashes = 0;
    }
    row.retried_ms = write.retried_ms.unwrap_or(row.retried_ms);
    match write.build {
        Some(build) => {
            execution.trying_builds.clear();
            let tried = execution.tried_builds.get_or_insert_default();
            // An empty build is no worker's: each may try.
            if build.is_empty() {
                tried.clear();
            }
            if !tried.iter().any(|tried| tried == build) {
                tried.push(build.to_owned());
            }
        }
        None if write.resets_crashes || write.status.is_some() => {
            (execution.tried_builds, execution.trying_builds) = (None, Vec::new());
        }
        None => {}
    }
    execution
}
