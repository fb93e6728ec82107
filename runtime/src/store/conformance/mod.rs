//! One suite for every store: what the worker and the client rely on, tried through `dyn Store` alone.
//!
//! A [`Lab`] is a database that several "processes" (stores of their own) open. Only [`Lab`] knows which store it is.

mod appends;
mod faults;
mod messages;
mod ownership;
mod starts;
mod tasks;
mod transactions;

use super::*;
use abide_core::EventId;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

/// A database of its own, removed at the end.
pub(super) struct Lab {
    folder: PathBuf,
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

impl Lab {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("abide-store-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self { folder }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.join("test.db")
    }

    pub(super) fn url(&self) -> String {
        format!("sqlite://{}", self.path().display())
    }

    /// One more process on this database.
    pub(super) async fn process(&self) -> Process {
        self.process_with(sqlite::OpenOptions::default()).await
    }

    pub(super) async fn process_with(&self, options: sqlite::OpenOptions) -> Process {
        let store = sqlite::open(&self.url(), options).await.unwrap();
        let me = store.register(WorkerInfo { build: "b1".into(), name: "test".into(), queue: "q".into() });
        let me = me.await.unwrap();
        Process { store, me }
    }
}

/// A store and a worker registered in it.
pub(super) struct Process {
    pub(super) store: Arc<dyn Store>,
    pub(super) me: Incarnation,
}

impl Process {
    /// Ends without a word, as by `kill -9`: the lock is free, rows stay.
    pub(super) async fn die(self) {
        self.store.close().await.unwrap();
    }

    /// Submits and waits.
    pub(super) async fn append(&self, append: Append) -> Result<AppendOutcome, StoreError> {
        self.submit(append).await.unwrap()
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
            run_id: format!("run-{id}"),
            request_id: None,
            workflow_type: "Order".to_owned(),
            queue: "q".to_owned(),
            input: "[1]".to_owned(),
            created_at_ms: self.store.now_ms(),
            reuse: ReusePolicy::default(),
            conflict: ConflictPolicy::default(),
            terminate_event: None,
        }
    }

    /// An append of `n` events at `seq`.
    pub(super) fn turn(&self, execution: ExecutionId, seq: u64, n: u32) -> Append {
        let events = vec![r#"{"timer_started":{"fire_at_ms":1}}"#; n as usize];
        Append {
            owner: self.me,
            execution,
            seq: EventId(seq),
            n,
            at_ms: self.store.now_ms(),
            body: if n == 0 { String::new() } else { format!("[{}]", events.join(",")) },
            row: None,
            consumed: Vec::new(),
            messages: Vec::new(),
            tasks: Vec::new(),
            create: None,
        }
    }

    /// The first append of a start already owned.
    pub(super) fn create(&self, new: NewExecution) -> Append {
        Append { create: Some(Box::new(new.clone())), ..self.turn(new.id, 1, 1) }
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
        Append { row: Some(closed(Status::Completed)), ..self.turn(execution, seq, 1) }
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

    pub(super) fn claim_of(&self, build: &str, suspect: bool) -> Claim {
        let suspicion = Suspicion { suspect: suspect.then_some(u32::MAX), guilty: 5 };
        let queues = vec!["q".to_owned()];
        let types = Some(vec!["Order".to_owned()]);
        Claim { owner: self.me, queues, types, build: build.to_owned(), limit: 10, suspicion }
    }
}

pub(super) fn closed(status: Status) -> RowChange {
    let result = Some(r#"{"completed":{"result":7}}"#.to_owned());
    RowChange { status: Some(status), result, ..RowChange::default() }
}

pub(super) fn ids(claimed: &Claimed) -> Vec<ExecutionId> {
    claimed.rows.iter().map(|row| row.id).collect()
}
