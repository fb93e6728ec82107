//! What the operations of a pair find: an execution with its owner, its inbox, its attempts, its parent and its child;
//! others without an owner.

use super::ops::{Op, fresh};
use crate::policy::{IdConflictPolicy, IdReusePolicy};
use crate::store::postgres::options::OpenOptions;
use crate::store::postgres::shared::Shared;
use crate::store::postgres::store::PostgresStore;
use crate::store::postgres::{connection, lease, open};
use crate::store::{
    Append, AppendOutcome, Journal, MessageKind, NewChild, NewExecution, NewMessage, NewTask, Ownership,
    Starts, Successor, TaskChange, TaskClaim, TaskKey, Tasks, WorkerInfo,
};
use abide_core::{EventId, ExecutionId, Incarnation};
use sqlx::pool::PoolConnection;
use sqlx::{Executor, PgConnection, PgPool, Postgres};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The activity whose result commits with a user's rows, and the one that runs elsewhere.
pub(super) const LOCAL: EventId = EventId(2);
pub(super) const REMOTE: EventId = EventId(3);
/// One that waits for a worker.
pub(super) const WAITING: EventId = EventId(4);
/// The next event's number.
pub(super) const NEXT: u64 = 5;

/// The store that all scenes are played on.
pub(super) struct Opened {
    pub(super) store: PostgresStore,
    sessions: PgPool,
    /// Two workers that claim in each scene.
    claimants: [Incarnation; 2],
}

pub(super) async fn store() -> Opened {
    let url = cluster::shared_database();
    let store = open::open_store(&url, OpenOptions::default()).await.unwrap();
    let sessions = connection::pool(
        &OpenOptions { connections: 60, ..store.shared.options.clone() },
        "test",
        &Arc::default(),
    );
    let claimants = [register(&store, "claims").await, register(&store, "claims").await];
    Opened { store, sessions, claimants }
}

async fn register(store: &PostgresStore, queue: &str) -> Incarnation {
    let (build, name, queue) = ("b1".to_owned(), "test".to_owned(), queue.to_owned());
    store.register(WorkerInfo { build, name, queue, types: Vec::new() }).await.unwrap()
}

/// `$1` is suspended, `$5` with its time up, `$6` told to terminate. `$2` is the parent of `$3`, `$4` closed.
const STAND: &str = "WITH stopped AS (
    UPDATE {s}.execution SET status = 1, wake_at = NULL, tried_builds = ARRAY['b0'],
        close_by = CASE $5 WHEN 1 THEN 1 END
    WHERE id = $1),
told AS (
    INSERT INTO {s}.inbox (execution, kind, request_id, body, at) SELECT $1, 8, 'end', '{}', 1 WHERE $6 = 1),
closed AS (
    UPDATE {s}.execution SET status = 10, owner = NULL, wake_at = NULL, closed_at = 1, result = '{}', orphans = true
    WHERE id = $2 AND $4 = 1)
UPDATE {s}.execution SET parent = $2, child_no = 2, close_policy = 1 WHERE id = $3";

/// `$1` the runs.
const CLEAR: &str = "WITH inboxes AS (DELETE FROM {s}.inbox WHERE execution = ANY($1)),
tasks AS (DELETE FROM {s}.task WHERE execution = ANY($1)),
runs AS (DELETE FROM {s}.execution WHERE id = ANY($1) RETURNING 1)
SELECT count(*) FROM runs";

/// See the module's head.
pub(super) struct Scene {
    pub(super) shared: Arc<Shared>,
    sessions: PgPool,
    /// Names the scene's task queue and workflow ids.
    pub(super) name: String,
    /// Owns `owned`; its lease has run out where an operation takes it over.
    pub(super) owner: Incarnation,
    /// Runs `REMOTE`; claims.
    pub(super) other: Incarnation,
    /// Claims too.
    pub(super) third: Incarnation,
    pub(super) owned: ExecutionId,
    pub(super) free: ExecutionId,
    pub(super) suspended: ExecutionId,
    /// The parent of `owned`, which it asks to cancel when it closes. It has closed, and is marked, but where an
    /// operation closes it.
    pub(super) parent: ExecutionId,
    /// A child of `owned`, which is born owned and has not begun.
    pub(super) child: ExecutionId,
    /// The attempt that `other` runs.
    pub(super) remote: TaskKey,
}

impl Scene {
    pub(super) async fn set(opened: &Opened, ops: &[Op]) -> Self {
        static NEXT_SCENE: AtomicU32 = AtomicU32::new(0);
        let name = format!("scene-{}", NEXT_SCENE.fetch_add(1, Ordering::Relaxed));
        let store = &opened.store;
        let owner = register(store, &name).await;
        let [other, third] = opened.claimants;
        let mut scene = Self {
            shared: Arc::clone(&store.shared),
            sessions: opened.sessions.clone(),
            owned: store.execution_id(),
            free: store.execution_id(),
            suspended: store.execution_id(),
            parent: store.execution_id(),
            child: store.execution_id(),
            remote: TaskKey { execution: ExecutionId(0), activity: REMOTE, attempt: 1, nonce: 0 },
            name,
            owner,
            other,
            third,
        };
        scene.remote = scene.fill(store, ops).await;
        if ops.contains(&Op::LimitedClaim) {
            super::claims::limit_one(&scene, store).await;
        }
        let late = ops.iter().any(|op| matches!(op, Op::FenceOut | Op::SetFree | Op::LoseTasks));
        let mut connection = scene.connect().await;
        if late {
            let past = "UPDATE {s}.lease SET lease_until = 1, renewed_at = 0 WHERE worker = $1";
            scene.run(&mut connection, past, &[owner.0]).await;
        }
        if ops.iter().any(|op| matches!(op, Op::SetFree | Op::LoseTasks)) {
            lease::fence_out(&mut connection, &scene.shared, owner, false).await.unwrap();
        }
        scene
    }

    /// The executions and their rows, by the store's own calls.
    async fn fill(&self, store: &PostgresStore, ops: &[Op]) -> TaskKey {
        let (now, expires) = (store.now_ms(), ops.contains(&Op::Expire));
        let tasks = vec![
            TaskChange::Insert(self.task(LOCAL, 1, None)),
            TaskChange::Insert(self.task(REMOTE, 1, Some("elsewhere"))),
        ];
        let create = Append { births: vec![self.start(self.owned, "owned")], ..self.turn(self.owned, 1, 1) };
        let parent = NewExecution { queue: self.queue("parents"), ..self.start(self.parent, "parent") };
        let parent = Append { births: vec![parent], ..self.turn(self.parent, 1, 1) };
        tokio::join!(append(store, create), append(store, parent));
        let children = vec![self.new_child()];
        append(store, Append { tasks, children, ..self.turn(self.owned, 2, 2) }).await;
        let queues = vec![self.queue("elsewhere")];
        let claim = TaskClaim {
            owner: self.other,
            queues,
            names: vec!["step".into()],
            limit: 10,
            turn: Default::default(),
        };
        let taken = store.claim_tasks(claim).await.unwrap().tasks;
        assert_eq!(taken.len(), 1);
        let waiting = vec![TaskChange::Insert(NewTask {
            start_by_ms: expires.then_some(now - 1),
            ..self.task(WAITING, 1, Some("nobody"))
        })];
        append(store, Append { tasks: waiting, ..self.turn(self.owned, 4, 1) }).await;
        store.start(self.start(self.free, "free")).await.unwrap();
        store
            .start(NewExecution { queue: self.queue("parked"), ..self.start(self.suspended, "suspended") })
            .await
            .unwrap();
        let has = |op| i64::from(ops.contains(&op));
        let closed = 1 - has(Op::CloseParent);
        let runs = [self.suspended.0, self.parent.0, self.owned.0];
        let values = [&runs[..], &[closed, has(Op::EndByTimeout), has(Op::EndByMessage)]].concat();
        self.run(&mut *self.connect().await, STAND, &values).await;
        taken[0].key
    }

    pub(super) async fn connect(&self) -> PoolConnection<Postgres> {
        self.sessions.acquire().await.unwrap()
    }

    /// A session of an operation. On a slow machine its transaction may wait for long until its turn.
    pub(super) async fn session(&self) -> PoolConnection<Postgres> {
        let mut session = self.connect().await;
        let patient = sqlx::raw_sql("SET idle_in_transaction_session_timeout = '60s'");
        session.execute(patient).await.unwrap();
        session
    }

    pub(super) async fn run(&self, connection: &mut PgConnection, statement: &'static str, values: &[i64]) {
        let query =
            values.iter().fold(sqlx::query(self.shared.sql.of(statement)), |query, value| query.bind(*value));
        query.execute(connection).await.unwrap();
    }

    /// One number.
    pub(super) async fn number(&self, statement: &'static str, values: &[i64]) -> i64 {
        let query = sqlx::query_scalar::<_, i64>(self.shared.sql.of(statement));
        let query = values.iter().fold(query, |query, value| query.bind(*value));
        query.fetch_one(&mut *self.connect().await).await.unwrap()
    }

    /// All its runs, also those that its operations start.
    pub(super) fn runs(&self) -> Vec<i64> {
        let started = [fresh(self, 0), fresh(self, 1)];
        let runs = [self.owned, self.free, self.suspended, self.parent, self.child].into_iter();
        runs.chain(started).map(|id| id.0).collect()
    }

    /// One number about all its runs, `$1`.
    pub(super) async fn count(&self, statement: &'static str) -> i64 {
        let query = sqlx::query_scalar(self.shared.sql.of(statement)).bind(self.runs());
        query.fetch_one(&mut *self.connect().await).await.unwrap()
    }

    /// Deletes its rows, and lets its owner leave. Each claim looks at all inboxes, and each worker that registers at
    /// all locks of workers: with those of all scenes played so far they would take longer with every scene.
    pub(super) async fn clear(&self, opened: &Opened) {
        self.count(CLEAR).await;
        opened.store.unregister(self.owner).await.unwrap();
    }

    pub(super) fn queue(&self, of: &str) -> String {
        format!("{}-{of}", self.name)
    }

    pub(super) fn start(&self, id: ExecutionId, of: &str) -> NewExecution {
        NewExecution {
            id,
            workflow_id: format!("{}-{of}", self.name),
            run_id: format!("run-{id}"),
            request_id: None,
            workflow_type: "Order".to_owned(),
            queue: self.name.clone(),
            input: "[1]".to_owned(),
            created_at_ms: self.shared.clock.now_ms() - 1_000,
            terms: crate::store::Terms::default(),
            reuse: IdReusePolicy::default(),
            conflict: IdConflictPolicy::default(),
            terminate_event: None,
            with: Vec::new(),
        }
    }

    /// A start of the id of `owned` with a signal for the run that is open.
    pub(super) fn join(&self, id: ExecutionId, side: usize) -> NewExecution {
        let signal = NewMessage {
            execution: id,
            kind: MessageKind::Signal,
            request_id: format!("message-{side}"),
            body: "{}".to_owned(),
            at_ms: 1,
        };
        let (reuse, conflict) = (IdReusePolicy::RejectDuplicate, IdConflictPolicy::UseExisting);
        NewExecution { reuse, conflict, with: vec![signal], ..self.start(id, "owned") }
    }

    /// The run that goes on for `owned`.
    pub(super) fn successor(&self, id: ExecutionId) -> Successor {
        let NewExecution { workflow_id, run_id, workflow_type, queue, input, created_at_ms, .. } =
            self.start(id, "owned");
        Successor {
            id,
            workflow_id,
            run_id,
            workflow_type,
            // Not that of the scene's claims, which look for other runs.
            queue: format!("{queue}-next"),
            input,
            context: None,
            owned: true,
            due_ms: created_at_ms,
            created_at_ms,
            attempt: 1,
            close_by_ms: None,
        }
    }

    /// A child of `owned` that ends with it. It is no claim's.
    fn new_child(&self) -> NewChild {
        let NewExecution { workflow_id, run_id, workflow_type, input, created_at_ms, .. } =
            self.start(self.child, "child");
        NewChild {
            id: self.child,
            name: None,
            workflow_id,
            run_id,
            workflow_type,
            queue: self.queue("children"),
            owner: Some(self.owner),
            input,
            context: "{}".to_owned(),
            parent: self.owned,
            child_no: EventId(1),
            close_policy: 2,
            close_by: None,
            chain_by: None,
            created_at: created_at_ms,
            starts: false,
        }
    }

    pub(super) fn turn(&self, execution: ExecutionId, seq: u64, n: u32) -> Append {
        let events = vec![r#"{"timer_started":{"fire_at_ms":1}}"#; n as usize];
        Append {
            seq: EventId(seq),
            n,
            body: format!("[{}]", events.join(",")),
            rev: Some(0),
            ..Append::bare(self.owner, execution, self.shared.clock.now_ms())
        }
    }

    pub(super) fn task(&self, activity: EventId, attempt: u32, queue: Option<&str>) -> NewTask {
        NewTask {
            activity,
            attempt,
            queue: queue.map(|of| self.queue(of)),
            name: "step".to_owned(),
            input: "[]".to_owned(),
            limits: "{}".to_owned(),
            run_at_ms: 1,
            start_by_ms: None,
            close_by_ms: None,
            details: None,
            place: crate::store::Place::default(),
        }
    }
}

async fn append(store: &PostgresStore, append: Append) {
    let (tell, told) = tokio::sync::oneshot::channel();
    store.submit(append, Box::new(move |outcome| drop(tell.send(outcome))));
    assert!(matches!(told.await.unwrap(), Ok(AppendOutcome::Done)));
}
