//! Whom to notify after a commit. A hint in each case: who misses it looks by itself within a second.

use crate::store::append::Append;
use crate::store::message::{MessageKind, NewMessage};
use crate::store::task::TaskChange;
use abide_core::{ExecutionId, Incarnation};
use std::collections::BTreeSet;

/// Whom the statement of a batch has found at the other end of what it wrote: who owns a receiver, who runs an
/// attempt that must stop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Concerned {
    /// These workers must look.
    pub(crate) owners: BTreeSet<Incarnation>,
    /// The task queues of receivers without an owner.
    pub(crate) queues: BTreeSet<String>,
}

impl Concerned {
    /// A receiver, with its owner and its task queue.
    pub(crate) fn add(&mut self, owner: Option<Incarnation>, queue: Option<String>) {
        match owner {
            Some(owner) => drop(self.owners.insert(owner)),
            None => self.queues.extend(queue),
        }
    }
}

/// Those whom some durable writes concern.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Notices<'a> {
    /// Clients: an execution may have closed or been suspended.
    pub(crate) clients: bool,
    /// Clients of these processes, by their blocks: an answer.
    pub(crate) askers: BTreeSet<i64>,
    /// All workers: something for one of them, and it is not known for which.
    pub(crate) workers: bool,
    /// These workers: a message, or an attempt to stop.
    pub(crate) owners: Vec<Incarnation>,
    /// The workers of these task queues: something to claim.
    pub(crate) queues: Vec<&'a str>,
    /// Readers of these runs' streams.
    pub(crate) published: Vec<ExecutionId>,
    /// Those who step schedules: one of them has a report.
    pub(crate) schedules: bool,
}

impl<'a> Notices<'a> {
    /// Of appends that are committed. `concerned` is what their statement returned; `None`: its answer was lost, and
    /// all workers look.
    pub(crate) fn of(
        appends: impl IntoIterator<Item = &'a Append>,
        concerned: Option<&'a Concerned>,
    ) -> Self {
        let mut notices = Self::default();
        for append in appends {
            notices.add(append, concerned.is_none());
        }
        if let Some(Concerned { owners, queues }) = concerned {
            notices.owners.extend(owners);
            queues.iter().for_each(|queue| notices.queue(queue));
        }
        notices
    }

    fn add(&mut self, append: &'a Append, is_unknown: bool) {
        self.clients |= append.is_closing();
        self.schedules |= append.is_closing() && append.scheduled;
        for reply in &append.replies {
            self.clients |= reply.asker.is_none();
            self.askers.extend(reply.asker);
        }
        append.successor.iter().filter(|next| !next.owned).for_each(|next| self.queue(&next.queue));
        if !append.published.is_empty() {
            self.published.push(append.execution);
        }
        if let Some(row) = &append.row {
            self.clients |= row.status.is_some();
            // The owner keeps an old run that it offers; of a new one other builds learn here.
            if let (Some(_), Some(new)) = (&row.offered_by, append.own_start()) {
                self.queue(&new.queue);
            }
        }
        for change in append.task_changes() {
            match change {
                TaskChange::Insert(task) | TaskChange::Replace { with: task, .. } => {
                    task.queue.iter().for_each(|queue| self.queue(queue));
                }
                // The worker that runs it must stop.
                TaskChange::Drop(_) | TaskChange::Cancel(_) => self.workers |= is_unknown,
                TaskChange::Settle { .. } => {}
            }
        }
        // An outcome kept for a suspended execution concerns its next owner, whom a claim finds.
        let tells = |message: &NewMessage| message.kind != MessageKind::Attempt;
        let sends = append.sent().any(tells) || !append.dispatches.is_empty();
        self.workers |= is_unknown && sends;
        // Any worker may end a run that has no owner.
        self.workers |= append.sent().any(|message| message.kind == MessageKind::Terminate);
    }

    fn queue(&mut self, name: &'a str) {
        if !self.queues.contains(&name) {
            self.queues.push(name);
        }
    }

    /// Whether a worker of this process has to look. `is_here`: whether a worker is one of this process.
    #[cfg(feature = "sqlite")]
    pub(crate) fn concern_workers(&self, is_here: impl Fn(Incarnation) -> bool) -> bool {
        self.workers || !self.queues.is_empty() || self.owners.iter().any(|owner| is_here(*owner))
    }
}

/// Whom something for one execution concerns: its owner, or who may claim it.
#[cfg(any(feature = "postgres", feature = "testing"))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Receiver {
    pub(crate) owner: Option<Incarnation>,
    pub(crate) queue: String,
}

/// A run that was ended from outside.
#[cfg(any(feature = "postgres", feature = "testing"))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) owner: Option<Incarnation>,
    /// Its open parent, which was sent a report.
    pub(crate) parent: Option<Receiver>,
    /// Its schedule was sent a report.
    pub(crate) scheduled: bool,
}

/// Who brings notices to the workers and clients of all processes.
#[cfg(any(feature = "postgres", feature = "testing"))]
pub(crate) trait Notify {
    /// Something that a client may wait for.
    fn notify_clients(&self);
    /// Something for a worker, and it is not known which.
    fn notify_workers(&self);
    /// Something for this worker.
    fn notify_worker(&self, worker: Incarnation);
    /// Something to claim in this task queue.
    fn notify_queue(&self, queue: &str);
    /// An answer for a client of the process with this block of ids ([`Store::block`](crate::store::Store::block)).
    fn notify_process(&self, block: i64);

    /// This run has published into a stream.
    fn notify_readers(&self, execution: ExecutionId);

    /// A schedule is due earlier than was known, or has a report.
    fn notify_schedules(&self);

    /// Something for an execution.
    fn notify_receiver(&self, receiver: &Receiver) {
        match receiver.owner {
            Some(owner) => self.notify_worker(owner),
            None => self.notify_queue(&receiver.queue),
        }
    }

    /// A reply, for the process that asked; for every client if the request does not say which that is.
    fn notify_asker(&self, asker: Option<i64>) {
        match asker {
            Some(block) => self.notify_process(block),
            None => self.notify_clients(),
        }
    }

    /// Those whom a statement has named.
    fn notify_concerned(&self, concerned: &Concerned) {
        concerned.owners.iter().for_each(|owner| self.notify_worker(*owner));
        concerned.queues.iter().for_each(|queue| self.notify_queue(queue));
    }

    /// These runs were ended from outside: their owners have to drop them.
    fn notify_ended(&self, ended: &[Ended]) {
        for ended in ended {
            ended.owner.into_iter().for_each(|owner| self.notify_worker(owner));
            ended.parent.iter().for_each(|parent| self.notify_receiver(parent));
            if ended.scheduled {
                self.notify_schedules();
            }
            self.notify_clients();
        }
    }

    /// What some appends have to tell.
    fn notify(&self, notices: &Notices<'_>) {
        notices.queues.iter().for_each(|queue| self.notify_queue(queue));
        notices.owners.iter().for_each(|owner| self.notify_worker(*owner));
        if notices.workers {
            self.notify_workers();
        }
        notices.askers.iter().for_each(|block| self.notify_process(*block));
        if notices.clients {
            self.notify_clients();
        }
        notices.published.iter().for_each(|execution| self.notify_readers(*execution));
        if notices.schedules {
            self.notify_schedules();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::ExecutionStatus;
    use crate::store::append::{Close, CloseKind, RowChange};
    use crate::store::message::NewMessage;
    use crate::store::task::NewTask;
    use abide_core::{EventId, ExecutionId};

    fn append() -> Append {
        Append::bare(Incarnation(1), ExecutionId(1), 1)
    }

    fn task(queue: Option<&str>) -> NewTask {
        NewTask {
            activity: EventId(2),
            attempt: 1,
            queue: queue.map(str::to_owned),
            name: "charge".to_owned(),
            input: String::new(),
            limits: "{}".to_owned(),
            run_at_ms: 1,
            start_by_ms: None,
            close_by_ms: None,
            details: None,
            place: crate::store::Place::default(),
        }
    }

    fn message(kind: MessageKind) -> NewMessage {
        let (request_id, body) = ("r".to_owned(), "{}".to_owned());
        NewMessage { execution: ExecutionId(2), kind, request_id, body, at_ms: 1 }
    }

    #[test]
    fn a_turn_of_its_own_concerns_nobody() {
        let settle = TaskChange::Settle { activity: EventId(2), attempt: 1 };
        let row = RowChange { wake_at_ms: Some(Some(1)), ..RowChange::default() };
        let quiet = Append {
            row: Some(row),
            tasks: vec![settle, TaskChange::Insert(task(None))],
            messages: vec![message(MessageKind::Attempt)],
            ..append()
        };
        assert_eq!(Notices::of([&append(), &quiet], None), Notices::default());
    }

    #[test]
    fn each_is_told_what_concerns_it_once() {
        let with = |tasks| Append { tasks, ..append() };
        let gpu = with(vec![TaskChange::Insert(task(Some("gpu")))]);
        let again = with(vec![TaskChange::Replace { of: 1, with: task(Some("gpu")) }]);
        let mut concerned = Concerned::default();
        concerned.add(None, Some("gpu".to_owned()));
        let notices = Notices::of([&gpu, &again], Some(&concerned));
        assert_eq!(notices, Notices { queues: vec!["gpu"], ..Notices::default() });
        let status = Some(ExecutionStatus::Suspended);
        let suspends = Append { row: Some(RowChange { status, ..RowChange::default() }), ..append() };
        assert_eq!(Notices::of([&suspends], None), Notices { clients: true, ..Notices::default() });
        let (kind, status) = (CloseKind::Drained, ExecutionStatus::Failed);
        let close = Some(Close { kind, status, result: String::new() });
        let closes = Append { close, ..append() };
        assert_eq!(Notices::of([&closes], None), Notices { clients: true, ..Notices::default() });
    }

    #[test]
    fn only_whom_the_statement_names_is_told_and_everybody_where_its_answer_was_lost() {
        let mut concerned = Concerned::default();
        concerned.add(Some(Incarnation(7)), Some("not told: it is owned".to_owned()));
        let drops = Append { tasks: vec![TaskChange::Drop(EventId(2))], ..append() };
        let cancels = Append { tasks: vec![TaskChange::Cancel(EventId(2))], ..append() };
        let sends = Append { messages: vec![message(MessageKind::Signal)], ..append() };
        for append in [drops, cancels, sends] {
            let told = Notices::of([&append], Some(&concerned));
            assert_eq!(told, Notices { owners: vec![Incarnation(7)], ..Notices::default() });
            let lost = Notices::of([&append], None);
            assert_eq!(lost, Notices { workers: true, ..Notices::default() });
        }
    }
}
