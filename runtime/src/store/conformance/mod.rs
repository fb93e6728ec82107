//! One suite for every store: what the worker and the client rely on, tried through `dyn Store` alone.
//!
//! A [`Lab`] is a database that several "processes" (stores of their own) open. Only [`Lab`] knows which
//! store it is. `suite` is the list: each test on each store.

mod appends;
mod attempts;
pub(super) mod chains;
mod closes;
mod dispatches;
mod ends;
mod faults;
mod lab;
mod list_fuzz;
mod messages;
mod newer;
pub(super) mod orphans;
mod ownership;
pub(super) mod parked;
mod revisions;
pub(super) mod schedules;
mod starts;
mod streams;
mod suite;
mod tasks;
pub(super) mod transactions;
mod wakes;
mod with_start;

pub(super) use lab::{Lab, Settings};

use super::*;
use crate::policy::{IdConflictPolicy, IdReusePolicy};
use crate::status::ExecutionStatus;
use abide_core::{EventId, ExecutionId, Incarnation};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// A store and a worker registered in it.
pub(super) struct Process {
    pub(super) store: Arc<dyn Store>,
    pub(super) me: Incarnation,
}

impl Process {
    pub(super) async fn of(store: Arc<dyn Store>) -> Self {
        let (build, name, queue) = ("b1".to_owned(), "test".to_owned(), "q".to_owned());
        let me = store.register(WorkerInfo { build, name, queue, types: Vec::new() }).await.unwrap();
        Self { store, me }
    }

    /// Ends without a word, as by `kill -9`: locks are free, rows stay.
    pub(super) async fn die(self) {
        self.store.close().await.unwrap();
    }

    /// Submits and waits. A row change without a revision is of the row as it now is.
    pub(super) async fn append(&self, mut append: Append) -> Result<AppendOutcome, StoreError> {
        let (starts, of_closed) = (append.starts(), append.row == Some(let_go()));
        if append.changes_row() && append.rev.is_none() && !starts && !of_closed {
            append.rev = Some(self.row(append.execution).await.rev);
        }
        self.submit(append).await.unwrap()
    }

    /// All that is stored of a run.
    pub(super) async fn run(&self, id: ExecutionId) -> StoredRun {
        self.store.load(id).await.unwrap().unwrap()
    }

    pub(super) fn submit(&self, append: Append) -> oneshot::Receiver<Result<AppendOutcome, StoreError>> {
        let (tell, told) = oneshot::channel();
        self.store.submit(append, Box::new(move |outcome| drop(tell.send(outcome))));
        told
    }

    /// A start to be, of workflow id `name`.
    pub(super) fn new_execution(&self, name: &str) -> NewExecution {
        let id = self.store.execution_id();
        NewExecution {
            id,
            workflow_id: name.to_owned(),
            // As the host makes them: in the order of their starts, whichever process makes one.
            run_id: uuid::Uuid::now_v7().to_string(),
            request_id: None,
            workflow_type: "Order".to_owned(),
            queue: "q".to_owned(),
            input: "[1]".to_owned(),
            created_at_ms: self.store.now_ms(),
            terms: Terms::default(),
            reuse: IdReusePolicy::default(),
            conflict: IdConflictPolicy::default(),
            terminate_event: None,
            with: Vec::new(),
        }
    }

    /// An append of `n` events at `seq`.
    pub(super) fn turn(&self, execution: ExecutionId, seq: u64, n: u32) -> Append {
        let events = vec![r#"{"timer_started":{"fire_at_ms":1}}"#; n as usize];
        Append {
            seq: EventId(seq),
            n,
            body: if n == 0 { String::new() } else { format!("[{}]", events.join(",")) },
            ..Append::bare(self.me, execution, self.store.now_ms())
        }
    }

    /// The first append of a start already owned.
    pub(super) fn create(&self, new: NewExecution) -> Append {
        Append { births: vec![new.clone()], ..self.turn(new.id, 1, 1) }
    }

    /// A running execution that this process owns, with one event.
    pub(super) async fn running(&self, name: &str) -> ExecutionId {
        let new = self.new_execution(name);
        let id = new.id;
        assert!(matches!(self.append(self.create(new)).await, Ok(AppendOutcome::Done)));
        id
    }

    /// An append that closes.
    pub(super) fn close(&self, execution: ExecutionId, seq: u64) -> Append {
        Append {
            close: Some(closed(ExecutionStatus::Completed)),
            rev: Some(0),
            ..self.turn(execution, seq, 1)
        }
    }

    pub(super) fn message(&self, to: ExecutionId, request_id: &str) -> NewMessage {
        NewMessage {
            execution: to,
            kind: MessageKind::Signal,
            request_id: request_id.to_owned(),
            body: r#"{"name":"approve"}"#.to_owned(),
            at_ms: self.store.now_ms(),
        }
    }

    pub(super) async fn send(&self, to: ExecutionId, request_id: &str) -> SendAnswer {
        self.store.send(self.message(to, request_id)).await.unwrap()
    }

    pub(super) async fn row(&self, id: ExecutionId) -> ExecutionRow {
        self.store.find(Find::Execution(id)).await.unwrap().unwrap()
    }

    /// Claims up to ten of type `Order` in queue `q`.
    pub(super) async fn claim(&self) -> Claimed {
        self.store.claim(self.claim_of("b1", false)).await.unwrap()
    }

    /// Claims, also what is suspended and offered, as a worker does.
    pub(super) async fn take(&self, claim: Claim) -> Vec<ExecutionId> {
        let claimed = self.store.claim(claim.clone()).await.unwrap();
        let mut taken = ids(&claimed);
        if claimed.offered {
            let offered = self.store.claim_offered(claim).await.unwrap();
            taken.extend(offered.iter().map(|row| row.id));
        }
        taken
    }

    pub(super) fn claim_of(&self, build: &str, suspect: bool) -> Claim {
        let suspicion = Suspicion { suspect: suspect.then_some(u32::MAX), crash_limit: 5 };
        let queues = vec!["q".to_owned()];
        let types = Some(vec!["Order".to_owned()]);
        Claim { owner: self.me, queues, types, build: build.to_owned(), limit: 10, suspicion }
    }
}

/// The release of a run that is known to be closed.
pub(super) fn let_go() -> RowChange {
    RowChange { release: true, ..RowChange::default() }
}

pub(super) fn closed(status: ExecutionStatus) -> Close {
    Close { kind: CloseKind::Drained, status, result: r#"{"completed":{"result":7}}"#.to_owned() }
}

pub(super) fn ids(claimed: &Claimed) -> Vec<ExecutionId> {
    claimed.rows.iter().map(|row| row.id).collect()
}
