//! The append: one turn of one execution, as the writer writes it. The hot path has no other form.

use super::attempt::AttemptChange;
use super::child::NewChild;
use super::dispatch::Dispatch;
use super::error::StoreError;
use super::execution::{ExecutionRow, NewExecution, StartAnswer, Suspension};
use super::message::{NewMessage, Reply};
use super::stream::{NewItem, Publication};
use super::successor::Successor;
use super::task::TaskChange;
use crate::policy::IdReusePolicy;
use crate::status::ExecutionStatus;
use abide_core::{EventId, ExecutionId, Incarnation};

/// Called once by the writer when an append is durable or refused. Must not block: it runs between two commits.
pub(crate) type Ack = Box<dyn FnOnce(Result<AppendOutcome, StoreError>) + Send + Sync>;

/// One turn: its inputs and all the commands they led to, written together (PROTOCOL 1).
#[derive(Clone, Debug)]
pub(crate) struct Append {
    /// The incarnation that writes; the whole append is refused where its lease is gone.
    pub(crate) owner: Incarnation,
    /// The execution.
    pub(crate) execution: ExecutionId,
    /// The number of the first event.
    pub(crate) seq: EventId,
    /// How many events. 0: the append has no journal row, only the rest.
    pub(crate) n: u32,
    /// When the turn was polled.
    pub(crate) at_ms: i64,
    /// The events, a JSON array; empty where `n` is 0.
    pub(crate) body: String,
    /// Changes of the execution's row; `None` on most turns, which saves an update.
    pub(crate) row: Option<RowChange>,
    /// The revision of the row that `row` changes (PROTOCOL 93). A row with another revision, or another
    /// owner, makes the append [`AppendOutcome::Lost`]. `None`: `row` releases a run that is closed, whose
    /// revision does not matter.
    pub(crate) rev: Option<i64>,
    /// Inbox rows that this turn took in. They go with it.
    pub(crate) consumed: Vec<i64>,
    /// The end of the run.
    pub(crate) close: Option<Close>,
    /// Messages that this turn sends (to any execution); stores write [`sent`](Self::sent). One to a closed
    /// execution is dropped; one already there by its dedup key is not doubled.
    pub(crate) messages: Vec<NewMessage>,
    /// Messages to workflows that the commit finds. It makes `messages` of them, and of their answers.
    pub(crate) dispatches: Vec<Dispatch>,
    /// Changes of its tasks.
    pub(crate) tasks: Vec<TaskChange>,
    /// Changes of its failed attempts. One without events (`n` is 0) has a `row` as well, be it one that
    /// changes nothing: by the row it is known to be in (PROTOCOL 93).
    pub(crate) attempts: Vec<AttemptChange>,
    /// Rows of `execution` that this append inserts. One of them may be the append's own start: it has the
    /// append's `execution` as its id, is owned by `owner`, and `row` and `close` are applied to it. `n` is
    /// not 0 then: the first event holds the input.
    pub(crate) births: Vec<NewExecution>,
    /// Answers to clients of other processes, one for each key. They go forward only (PROTOCOL 93).
    pub(crate) replies: Vec<Reply>,
    /// Children of its run that it inserts.
    pub(crate) children: Vec<NewChild>,
    /// With a close: the run's end as its parent is told, a `ChildEnd` as JSON. Nothing is told where the row has no
    /// parent, or where the parent is closed (PROTOCOL 54).
    pub(crate) report: Option<String>,
    /// With a close: whether a schedule started the chain. It is told of the chain's end (PROTOCOL 71).
    pub(crate) scheduled: bool,
    /// The run that goes on for this one. There is one exactly if the close hands on.
    pub(crate) successor: Option<Box<Successor>>,
    /// With a close: whether it may have started children. Where an open one has a close policy, the row is marked
    /// (PROTOCOL 55).
    pub(crate) orphans: bool,
    /// Items that this turn publishes into streams of the run. `n` is not 0 then.
    pub(crate) published: Vec<NewItem>,
    /// How often it was put off because another session holds a lock that it needs.
    pub(crate) tries: u32,
}

/// A change of an execution's row. `Default` changes nothing; set only what differs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RowChange {
    /// An open status; [`Append::close`] closes. `Suspended` sets it free.
    pub(crate) status: Option<ExecutionStatus>,
    /// When it is next due while it has no owner. `Some(None)`: never. Needed before a release, and while owned if
    /// it should be known after a crash; a take-over makes `active` executions due by itself.
    pub(crate) wake_at_ms: Option<Option<i64>>,
    /// Whether an activity may be running in the owner (PROTOCOL 19); one that waits for its back-off is not.
    /// A claim sets it, so that a turn that ends the process is distinguished from one that did not run. With
    /// `ExecutionStatus::Suspended` the owner is kept as `recovered_from`: the next owner
    /// counts what ran there as lost, unless it runs there still.
    pub(crate) active: Option<bool>,
    /// Retries that are due by then may be started; written before they are, so that the next owner knows
    /// which attempts the dead one may have begun.
    pub(crate) retried_ms: Option<i64>,
    /// Why it is suspended; goes with `ExecutionStatus::Suspended`. Its build joins the builds that have tried.
    pub(crate) suspension: Option<Suspension>,
    /// Progress: crashes are counted from 0 again.
    pub(crate) reset_crashes: bool,
    /// `Recovered` is in the journal: forget `recovered_from`.
    pub(crate) clear_recovered: bool,
    /// The run has begun: what the row's context says is in the journal, and the row forgets it (PROTOCOL 42).
    pub(crate) begins: bool,
    /// This build has something that it cannot take and another may (a signal without a handler): it joins the builds
    /// that have tried, and each other build may claim the execution once, whenever it has no owner.
    pub(crate) offered_by: Option<String>,
    /// Release it: it has no owner then (PROTOCOL 17). Implied by closing and by suspending.
    pub(crate) release: bool,
}

/// What becomes of the messages that a run has not taken in when it closes (PROTOCOL 38).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseKind {
    /// By its own code. The append is a `Conflict` while the inbox holds an input that is not in `consumed`.
    Drained = 0,
    /// Without code: by a time limit, or terminated. What is unread is deleted, else the run could not be ended
    /// while messages keep coming.
    Discarded = 1,
    /// Another run of the chain goes on: the append has a [`successor`](Append::successor). What users and the
    /// engine have sent to the run moves to that run, in its order.
    HandedOn = 2,
}

/// The end of a run. The owner goes. What it has left (inbox rows, tasks, failed attempts) is deleted, but for
/// queries, which a closed run answers. `closed_at_ms` is the append's `at_ms`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Close {
    /// What becomes of unread messages.
    pub(crate) kind: CloseKind,
    /// A closed one.
    pub(crate) status: ExecutionStatus,
    /// The closing event, JSON.
    pub(crate) result: String,
}

/// The outcome of an append.
#[derive(Clone, Debug)]
pub(crate) enum AppendOutcome {
    /// It is durable.
    Done,
    /// The close raced with a message, or the attempt was already decided. Nothing was written. Take the inbox
    /// in and try again.
    Conflict,
    /// Its own start started nothing, and nothing of the append is in. Never `Started`.
    Duplicate(StartAnswer),
    /// The execution's row has another owner or another revision (terminated from outside, claimed elsewhere,
    /// or an earlier copy of this append is in). Read the row before anything else.
    Lost,
    /// The database refuses this row, by itself, for ever (PROTOCOL 11; AB0212): nothing was written. The text
    /// says why. Suspend the execution with an append that leaves the bad part out.
    BadRow(String),
}

impl RowChange {
    /// One that changes nothing.
    pub(crate) const NONE: &Self = &Self {
        status: None,
        wake_at_ms: None,
        active: None,
        retried_ms: None,
        suspension: None,
        reset_crashes: false,
        clear_recovered: false,
        begins: false,
        offered_by: None,
        release: false,
    };
}

impl Append {
    /// An append without events: only what is then set in it.
    pub(crate) fn bare(owner: Incarnation, execution: ExecutionId, at_ms: i64) -> Self {
        Self {
            owner,
            execution,
            seq: EventId(0),
            n: 0,
            at_ms,
            body: String::new(),
            row: None,
            close: None,
            rev: None,
            consumed: Vec::new(),
            messages: Vec::new(),
            dispatches: Vec::new(),
            tasks: Vec::new(),
            attempts: Vec::new(),
            births: Vec::new(),
            replies: Vec::new(),
            children: Vec::new(),
            report: None,
            scheduled: false,
            successor: None,
            orphans: false,
            published: Vec::new(),
            tries: 0,
        }
    }

    /// The same start once its policies have decided: the run that was terminated for it does not stand in its way.
    pub(crate) fn decided(&self) -> Self {
        let mut decided = self.clone();
        for new in &mut decided.births {
            new.reuse = IdReusePolicy::AllowDuplicate;
        }
        decided
    }

    /// The start of its own execution, where this append makes it. The other sections of the append depend on it.
    pub(crate) fn own_start(&self) -> Option<&NewExecution> {
        self.births.iter().find(|new| new.id == self.execution)
    }

    /// Whether it makes its own execution.
    pub(crate) fn starts(&self) -> bool {
        self.own_start().is_some()
    }

    /// Whether it changes its execution's row, or makes it so.
    pub(crate) fn changes_row(&self) -> bool {
        self.row.is_some() || self.close.is_some()
    }

    /// Whether this start may have put the row there: its owner has it, and a turn is written. Else a start
    /// of the same name did, unowned or another's by now, and nothing of this append is in.
    pub(crate) fn may_have_made(&self, row: &ExecutionRow) -> bool {
        row.id == self.execution && row.owner == Some(self.owner) && row.history_len > 0
    }

    /// Whether it changes a row whose revision it knows, and has no journal row that could tell whether it is in.
    pub(crate) fn is_known_by_revision(&self) -> bool {
        self.n == 0 && self.changes_row() && self.rev.is_some()
    }

    /// The children that are owned from their birth.
    pub(crate) fn owned_children(&self) -> Vec<ExecutionId> {
        self.children.iter().filter(|child| child.owner.is_some()).map(|child| child.id).collect()
    }

    /// Whether it inserts runs that a worker has to claim: children, or a run that goes on without an owner.
    pub(crate) fn bears(&self) -> bool {
        self.children.iter().any(|child| child.owner.is_none())
            || self.successor.as_ref().is_some_and(|next| !next.owned)
    }

    /// What it changes of tasks: nothing where it closes, since a close deletes them all. Whether an attempt
    /// was decided otherwise is asked of the inbox then, which holds its outcome and keeps the close out.
    pub(crate) fn task_changes(&self) -> &[TaskChange] {
        if self.is_closing() { &[] } else { &self.tasks }
    }

    /// What it changes of failed attempts: nothing where it closes, since a close deletes them all.
    pub(crate) fn attempt_changes(&self) -> &[AttemptChange] {
        if self.is_closing() { &[] } else { &self.attempts }
    }

    /// The messages that go out. A run that closes sends nothing to itself, since it would not be taken in
    /// (PROTOCOL 36).
    pub(crate) fn sent(&self) -> impl Iterator<Item = &NewMessage> {
        let closes = self.is_closing();
        self.messages.iter().filter(move |message| !closes || message.execution != self.execution)
    }

    /// Adds what it publishes.
    pub(crate) fn publish_to<'a>(&'a self, publication: &mut Publication<'a>) {
        publication.add(self.execution, self.owner, self.starts(), &self.published);
    }

    /// Whether it ends the execution.
    pub(crate) fn is_closing(&self) -> bool {
        self.close.is_some()
    }

    /// Whether it ends an execution whose row is there already: its row is locked, and what the run has left
    /// is deleted.
    pub(crate) fn closes_row(&self) -> bool {
        self.is_closing() && !self.starts()
    }

    /// How many bytes of text it brings.
    pub(crate) fn bytes(&self) -> usize {
        let message = |message: &NewMessage| message.request_id.len() + message.body.len();
        let rows = [
            self.close.as_ref().map_or(0, |close| close.result.len()),
            self.row.as_ref().and_then(|row| row.suspension.as_ref()).map_or(0, Suspension::bytes),
        ];
        self.body.len()
            + self.report.as_ref().map_or(0, String::len)
            + rows.iter().sum::<usize>()
            + self.messages.iter().map(message).sum::<usize>()
            + self.dispatches.iter().map(Dispatch::bytes).sum::<usize>()
            + self.tasks.iter().map(TaskChange::bytes).sum::<usize>()
            + self.attempts.iter().map(AttemptChange::bytes).sum::<usize>()
            + self.births.iter().map(NewExecution::bytes).sum::<usize>()
            + self.replies.iter().map(|reply| reply.request_id.len() + reply.body.len()).sum::<usize>()
            + self.children.iter().map(NewChild::bytes).sum::<usize>()
            + self.successor.as_ref().map_or(0, |next| next.bytes())
            + self.published.iter().map(NewItem::bytes).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::super::decide::tests::new;
    use super::super::successor::tests::successor;
    use super::*;
    use crate::store::attempt::AttemptRow;
    use crate::store::dispatch::Address;
    use crate::store::message::MessageKind;
    use crate::store::task::NewTask;

    #[test]
    fn every_text_counts() {
        let bare = || Append::bare(Incarnation(1), ExecutionId(1), 1);
        let with = |append: Append| append.bytes() - bare().bytes();
        let long = || "x".repeat(1_000);
        let task = NewTask {
            activity: EventId(2),
            attempt: 1,
            queue: None,
            name: String::new(),
            input: long(),
            limits: String::new(),
            run_at_ms: 1,
            start_by_ms: None,
            close_by_ms: None,
            details: None,
            place: crate::store::Place::default(),
        };
        let (execution, kind, request_id) = (ExecutionId(2), MessageKind::Signal, String::new());
        let message = NewMessage { execution, kind, request_id, body: long(), at_ms: 1 };
        let (command, to) = (EventId(2), Address::Name(String::new()));
        let dispatch = Dispatch { command, to, kind, body: long(), answered: true };
        let row = AttemptRow { activity: EventId(2), attempt: 1, next_at_ms: 1, failure: long() };
        let reply =
            Reply { request_id: String::new(), body: long(), stage: 0, expires_at_ms: 1, asker: None };
        let suspension = Suspension {
            code: String::new(),
            message: long(),
            site: None,
            build: String::new(),
            other_builds: false,
            at_ms: 1,
        };
        let (kind, status) = (CloseKind::Drained, ExecutionStatus::Completed);
        let close = Close { kind, status, result: long() };
        let suspended = RowChange { suspension: Some(suspension), ..RowChange::default() };
        for append in [
            Append { body: long(), ..bare() },
            Append { close: Some(close), ..bare() },
            Append { row: Some(suspended), ..bare() },
            Append { messages: vec![message], ..bare() },
            Append { dispatches: vec![dispatch], ..bare() },
            Append { tasks: vec![TaskChange::Insert(task.clone())], ..bare() },
            Append { tasks: vec![TaskChange::Replace { of: 1, with: task }], ..bare() },
            Append { attempts: vec![AttemptChange::Keep(row)], ..bare() },
            Append { replies: vec![reply], ..bare() },
            Append { births: vec![NewExecution { input: long(), ..new() }], ..bare() },
            Append { successor: Some(Box::new(Successor { input: long(), ..successor(1) })), ..bare() },
            Append {
                published: vec![NewItem { stream: String::new(), at_ms: 1, attempt: None, body: long() }],
                ..bare()
            },
        ] {
            assert!((1_000..1_100).contains(&with(append.clone())), "{append:?}");
        }
    }
}
