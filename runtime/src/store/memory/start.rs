//! Starts and ends from outside: id policies, unowned starts, terminate, resume. Each in a transaction.
//!
//! A start holds the lock of its workflow id (PROTOCOL 23), an end holds its execution's row.

use super::attempt;
use super::family::report;
use super::guard::start_keys;
use super::join::{join, joined};
use super::locks::{Key, Mode};
use super::reports;
use super::session::{Failure, Session};
use super::statement::{Looked, Statement};
use super::store::MemoryStore;
use super::sweep::unpark;
use super::tables::Execution;
use super::write::Write;
use crate::status::ExecutionStatus;
use crate::store::decide::{
    Ended, Found, Notify, OutsideEnd, Receiver, StartDecision, TERMINATED_END, TOLD, joins, remembered,
    terminates,
};
use crate::store::failure::Kind;
use crate::store::{
    ExecutionRow, InboxRow, MessageKind, NewExecution, ResumeAnswer, SendAnswer, StartAnswer, Starts,
    StoreFuture, StoredTurn,
};
use abide_core::ExecutionId;

/// Takes the locks of a start's workflow id and request id, if they are free.
pub(super) async fn try_lock(session: &mut Session, new: &NewExecution) -> Result<bool, Failure> {
    session.run(|st| Ok(start_keys(new).all(|key| st.try_lock(key, Mode::Update)))).await
}

/// Decides a start by its request id and policies. `Started`: nothing is in the way (any more), insert it.
pub(super) async fn decide(
    session: &mut Session,
    new: &NewExecution,
) -> Result<(StartAnswer, Option<Ended>), Failure> {
    for key in start_keys(new) {
        session.run(|st| st.lock(key.clone(), Mode::Update)).await?;
    }
    let open = match StartDecision::of(new, found(session, new).await?) {
        StartDecision::Answer(answer) => return Ok((answer, None)),
        StartDecision::Start => return Ok((StartAnswer::Started, None)),
        StartDecision::Replace(open) => open,
    };
    // It may have closed by itself meanwhile, which is as good.
    let ended = match lock(session, open.id).await? {
        Some(open) if open.status.is_open() => Some(end(session, OutsideEnd::replaced(&open, new)).await?),
        _ => None,
    };
    Ok((StartAnswer::Started, ended))
}

/// The runs that a start meets.
async fn found(session: &mut Session, new: &NewExecution) -> Result<Found, Failure> {
    let known = session.run(|st| Ok(known(st, new))).await?;
    let known = if known.is_none() { session.run(|st| Ok(joined(st, new))).await? } else { known };
    if known.is_some() {
        return Ok(Found { known, ..Found::default() });
    }
    let read = |st: &Statement<'_>, found: Option<&Execution>| found.map(|found| st.tables.read(found));
    let open = session.run(|st| Ok(read(st, st.tables.open_run(&new.workflow_id)))).await?;
    let closed = session.run(|st| Ok(read(st, st.tables.newest_closed(&new.workflow_id)))).await?;
    Ok(Found { known, open, closed })
}

fn known(st: &Statement<'_>, new: &NewExecution) -> Option<ExecutionRow> {
    let by_request = |id: &String| st.tables.of_run_id(id).or_else(|| st.tables.of_request_id(id));
    let known = st.tables.of_run_id(&new.run_id).or_else(|| new.request_id.as_ref().and_then(by_request));
    known.map(|known| st.tables.read(known))
}

/// The keys of a new execution's row in its unique indexes.
pub(super) fn keys(new: &NewExecution, open: bool) -> Vec<Key> {
    let mut keys = vec![Key::Execution(new.id), Key::RunId(new.run_id.clone())];
    keys.extend(new.request_id.clone().map(Key::RequestId));
    keys.extend(open.then(|| Key::OpenRun(new.workflow_id.clone())));
    keys
}

/// `INSERT .. ON CONFLICT DO NOTHING`: waits for a transaction that is about to insert one of its keys, or to
/// change the open run. False: one of them is taken.
pub(super) fn insert(st: &mut Statement<'_>, new: &NewExecution, execution: Execution) -> Looked<bool> {
    let open = execution.row.status.is_open();
    for key in keys(new, open) {
        if st.has_taken(&key) {
            return Ok(false);
        }
        let taken = match &key {
            Key::Execution(id) => st.tables.executions.contains_key(id),
            Key::RunId(id) => st.tables.of_run_id(id).is_some(),
            Key::RequestId(id) => st.tables.of_request_id(id).is_some(),
            _ => {
                st.wait(&key, Mode::Update)?;
                st.tables.open_run(&new.workflow_id).is_some()
            }
        };
        if taken {
            return Ok(false);
        }
        st.wait(&key, Mode::Update)?;
    }
    for key in keys(new, open) {
        st.lock(key, Mode::Update)?;
    }
    st.write(Write::Execution(Box::new(execution)));
    Ok(true)
}

/// Inserts the run that goes on for one that this statement closes, whose workflow id's lock and row it has.
pub(super) fn insert_successor(st: &mut Statement<'_>, execution: Execution) -> Looked<bool> {
    let row = &execution.row;
    if st.tables.executions.contains_key(&row.id) || st.tables.of_run_id(&row.run_id).is_some() {
        return Ok(false);
    }
    let keys =
        [Key::Execution(row.id), Key::RunId(row.run_id.clone()), Key::OpenRun(row.workflow_id.clone())];
    for key in keys {
        st.lock(key, Mode::Update)?;
    }
    st.write(Write::Execution(Box::new(execution)));
    Ok(true)
}

/// An unowned row that is due at once, its input in the row.
pub(super) fn unowned(new: &NewExecution) -> Execution {
    let row = ExecutionRow {
        wake_at_ms: Some(new.due_at_ms()),
        input: Some(new.input.clone()),
        context: new.terms.context.clone(),
        ..ExecutionRow::of(new)
    };
    Execution {
        row,
        request_id: new.request_id.clone(),
        tried_builds: None,
        trying_builds: Vec::new(),
        child: None,
        orphans: false,
    }
}

/// Whom a start concerns besides the workers of its task queue.
#[derive(Default)]
pub(super) struct Concerns {
    /// The runs that it has ended.
    pub(super) ended: Vec<Ended>,
    /// The run that it has sent its messages to.
    pub(super) receiver: Option<Receiver>,
}

pub(super) async fn start(
    session: &mut Session,
    new: &NewExecution,
) -> Result<(StartAnswer, Concerns), Failure> {
    let mut concerns = Concerns::default();
    // Twice only where an owned start, or one of the same request id and another workflow id, came between. Or where
    // the open run has closed before it got the messages.
    loop {
        let (answer, ended) = decide(session, new).await?;
        concerns.ended.extend(ended);
        let is_done = match &answer {
            StartAnswer::Started => session.run(|st| insert(st, new, unowned(new))).await?,
            StartAnswer::Existing(open) if joins(new, open) => {
                let (is_in, receiver) = join(session, new, open.id).await?;
                concerns.receiver = receiver;
                is_in
            }
            _ => true,
        };
        if is_done {
            return Ok((answer, concerns));
        }
    }
}

/// The row, locked against a close and other ends. Read by a statement of its own, whose snapshot is younger
/// than the lock.
async fn lock(session: &mut Session, id: ExecutionId) -> Result<Option<ExecutionRow>, Failure> {
    let lock = |st: &mut Statement<'_>| match st.tables.executions.contains_key(&id) {
        true => st.lock(Key::Execution(id), Mode::Update).map(|()| true),
        false => Ok(false),
    };
    if !session.run(lock).await? {
        return Ok(None);
    }
    session.run(|st| Ok(st.tables.executions.get(&id).map(|execution| st.tables.read(execution)))).await
}

/// Inserts a row of the journal; the key raises.
pub(super) fn write_turn(st: &mut Statement<'_>, execution: ExecutionId, turn: StoredTurn) -> Looked<()> {
    let key = Key::Turn(execution, turn.seq);
    let twice = st.has_taken(&key);
    st.lock(key, Mode::Update)?;
    if twice || st.tables.journal.contains_key(&(execution, turn.seq)) {
        return st.raise(Kind::Duplicate, "the journal has a row there");
    }
    st.write(Write::Turn(execution, turn));
    Ok(())
}

/// Executes an end from outside.
async fn end(session: &mut Session, end: OutsideEnd<'_>) -> Result<Ended, Failure> {
    let (id, event, at_ms) = (end.execution, end.event, end.at_ms);
    session.run(|st| write_turn(st, id, end.turn.clone())).await?;
    let close = |st: &mut Statement<'_>| {
        let orphans = st.tables.has_bound_child(id);
        let Some(mut execution) = st.tables.executions.get(&id).cloned() else { return Ok(None) };
        let ended = &mut execution.row;
        (ended.status, ended.result) = (OutsideEnd::STATUS, Some(event.to_owned()));
        (ended.closed_at_ms, ended.wake_at_ms) = (Some(at_ms), None);
        (ended.active, ended.suspension) = (false, None);
        (execution.tried_builds, execution.trying_builds) = (None, Vec::new());
        execution.orphans = orphans;
        let owner = execution.row.owner;
        st.update(execution).map(|()| owner)
    };
    let owner = session.run(close).await?;
    session.run(|st| empty_inbox(st, id, false)).await?;
    session.run(|st| drop_tasks(st, id)).await?;
    session.run(|st| attempt::drop_all(st, id)).await?;
    let parent = session.run(|st| report(st, id, TERMINATED_END, at_ms)).await?;
    let scheduled = session.run(|st| reports::report(st, id, OutsideEnd::STATUS, "null", at_ms)).await?;
    if owner.is_some() {
        session.run(|st| st.put(id, MessageKind::Terminated, TOLD, event.to_owned(), at_ms)).await?;
    }
    Ok(Ended { owner, parent, scheduled })
}

/// Deletes what an execution that closes has not taken in, but queries, which it still answers, and what moves to
/// the run that goes on, if it is handed on.
pub(super) fn empty_inbox(st: &mut Statement<'_>, id: ExecutionId, handed_on: bool) -> Looked<()> {
    let tables = st.tables;
    let moves = |message: &InboxRow| {
        let attempt = mutant!(MoveAttempts) && message.kind == MessageKind::Attempt;
        handed_on && (message.kind.moves() || attempt)
    };
    let mut left = tables.inbox_of(id).filter(|message| !message.kind.reaches_closed() && !moves(message));
    left.try_for_each(|message| st.take_out(message))
}

/// Deletes all tasks of an execution.
pub(super) fn drop_tasks(st: &mut Statement<'_>, id: ExecutionId) -> Looked<()> {
    for row in st.tables.tasks_of(id) {
        st.lock(Key::Task(id, row.task.activity), Mode::Update)?;
        st.write(Write::TaskGone(id, row.task.activity));
    }
    Ok(())
}

/// Ends an execution from outside. A request id that did so before is `Known`.
pub(super) async fn terminate(
    session: &mut Session,
    id: ExecutionId,
    request_id: &str,
    event: &str,
    at_ms: i64,
) -> Result<(SendAnswer, Option<Ended>), Failure> {
    let remembered = remembered(id, request_id, at_ms);
    let row = lock(session, id).await?;
    let known = session.run(|st| Ok(st.tables.replies.contains_key(&remembered.request_id))).await?;
    let row = match terminates(known, row) {
        Ok(row) => row,
        Err(answer) => return Ok((answer, None)),
    };
    let ended = end(session, OutsideEnd::of(&row, event, at_ms)).await?;
    let remember = |st: &mut Statement<'_>| {
        st.lock(Key::Reply(remembered.request_id.clone()), Mode::Update)?;
        if !st.tables.replies.contains_key(&remembered.request_id) {
            st.write(Write::Reply(remembered.clone()));
        }
        Ok(())
    };
    session.run(remember).await?;
    Ok((SendAnswer::Sent, Some(ended)))
}

/// Lets a suspended execution run again. Its task queue comes back, for those who may claim it. The row is
/// locked fully: a sender that has seen it suspended has committed its message by then, or waits (PROTOCOL
/// 97).
pub(super) async fn resume(
    session: &mut Session,
    id: ExecutionId,
    now: i64,
) -> Result<(ResumeAnswer, Option<String>), Failure> {
    let read = |st: &mut Statement<'_>| {
        let Some(execution) = st.tables.executions.get(&id) else { return Ok(None) };
        let mode = if mutant!(ResumeWithoutLock) { Mode::NoKeyUpdate } else { Mode::Update };
        st.lock(Key::Execution(id), mode)?;
        Ok(Some((execution.row.status, execution.row.queue.clone())))
    };
    let (status, queue) = session.run(read).await?.unzip();
    let answer = ResumeAnswer::of(status);
    if answer != ResumeAnswer::Resumed {
        return Ok((answer, None));
    }
    let set = |st: &mut Statement<'_>| {
        let Some(mut execution) = st.tables.executions.get(&id).cloned() else { return Ok(()) };
        let row = &mut execution.row;
        row.rev += 1;
        (row.status, row.owner, row.wake_at_ms) = (ExecutionStatus::Running, None, Some(now));
        (row.crashes, row.suspension) = (0, None);
        (execution.tried_builds, execution.trying_builds) = (None, Vec::new());
        st.update(execution)
    };
    session.run(set).await?;
    session.run(|st| unpark(st, id)).await?;
    Ok((answer, queue))
}

impl Starts for MemoryStore {
    fn start(&self, new: NewExecution) -> StoreFuture<'_, StartAnswer> {
        Box::pin(async move {
            let queue = new.queue.clone();
            // One whose workflow id was made for it meets no other run. False: it is in already, by a call
            // whose answer was lost.
            if new.has_fresh_id() && new.request_id.is_none() {
                let new = new.clone();
                let fresh = self.once("start", move |session| {
                    Box::pin(async move { session.run(|st| insert(st, &new, unowned(&new))).await })
                });
                if fresh.await? {
                    self.shared.notify_queue(&queue);
                    return Ok(StartAnswer::Started);
                }
            }
            let started =
                self.call("start", move |session| Box::pin(async move { start(session, &new).await }));
            let (answer, Concerns { ended, receiver }) = started.await?;
            self.shared.notify_ended(ended.as_slice());
            receiver.iter().for_each(|receiver| self.shared.notify_receiver(receiver));
            self.shared.notify_queue(&queue);
            Ok(answer)
        })
    }

    fn terminate(
        &self,
        execution: ExecutionId,
        request_id: String,
        event: String,
    ) -> StoreFuture<'_, SendAnswer> {
        let now = self.shared.now_ms();
        Box::pin(async move {
            let terminated = self.call("terminate", move |session| {
                Box::pin(async move { terminate(session, execution, &request_id, &event, now).await })
            });
            let (answer, ended) = terminated.await?;
            self.shared.notify_ended(ended.as_slice());
            Ok(answer)
        })
    }

    fn resume(&self, execution: ExecutionId) -> StoreFuture<'_, ResumeAnswer> {
        let now = self.shared.now_ms();
        Box::pin(async move {
            let resumed = self.call("resume", move |session| {
                Box::pin(async move { resume(session, execution, now).await })
            });
            let (answer, queue) = resumed.await?;
            queue.iter().for_each(|queue| self.shared.notify_queue(queue));
            self.shared.notify_clients();
            Ok(answer)
        })
    }
}
