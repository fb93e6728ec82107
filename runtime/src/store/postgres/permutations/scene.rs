//! What the operations of a pair find: an execution with its owner, its inbox, its attempts; another without an owner.

use super::ops::Op;
use crate::policy::{IdConflictPolicy, IdReusePolicy};
use crate::store::postgres::options::OpenOptions;
use crate::store::postgres::shared::Shared;
use crate::store::postgres::store::PostgresStore;
use crate::store::postgres::{connection, lease, open};
use crate::store::{
    Append, AppendOutcome, Journal, MessageKind, NewExecution, NewMessage, NewTask, Ownership, Starts,
    Successor, TaskChange, TaskClaim, TaskKey, Tasks, WorkerInfo,
};
use abide_core::{EventId, ExecutionId, Incarnation};
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};
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
}

pub(super) async fn store() -> Opened {
    let url = cluster::shared_database();
    let store = open::open_store(&url, OpenOptions::default()).await.unwrap();
    let sessions = connection::pool(
        &OpenOptions { connections: 60, ..store.shared.options.clone() },
        "test",
        &Arc::default(),
    );
    Opened { store, sessions }
}

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
    /// The attempt that `other` runs.
    pub(super) remote: TaskKey,
}

impl Scene {
    pub(super) async fn set(opened: &Opened, ops: [Op; 2]) -> Self {
        static NEXT_SCENE: AtomicU32 = AtomicU32::new(0);
        let name = format!("scene-{}", NEXT_SCENE.fetch_add(1, Ordering::Relaxed));
        let store = &opened.store;
        let worker = async || {
            let info = WorkerInfo {
                build: "b1".into(),
                name: "test".into(),
                queue: name.clone(),
                types: Vec::new(),
            };
            store.register(info).await.unwrap()
        };
        let (owner, other, third) = (worker().await, worker().await, worker().await);
        let mut scene = Self {
            shared: Arc::clone(&store.shared),
            sessions: opened.sessions.clone(),
            owned: store.execution_id(),
            free: store.execution_id(),
            suspended: store.execution_id(),
            remote: TaskKey { execution: ExecutionId(0), activity: REMOTE, attempt: 1, nonce: 0 },
            name,
            owner,
            other,
            third,
        };
        scene.remote = scene.fill(store, ops.contains(&Op::Expire)).await;
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
    async fn fill(&self, store: &PostgresStore, expires: bool) -> TaskKey {
        let now = store.now_ms();
        let tasks = vec![
            TaskChange::Insert(self.task(LOCAL, 1, None)),
            TaskChange::Insert(self.task(REMOTE, 1, Some("elsewhere"))),
        ];
        let create = Append { births: vec![self.start(self.owned, "owned")], ..self.turn(self.owned, 1, 1) };
        append(store, create).await;
        append(store, Append { tasks, ..self.turn(self.owned, 2, 2) }).await;
        let queues = vec![self.queue("elsewhere")];
        let claim = TaskClaim { owner: self.other, queues, names: vec!["step".into()], limit: 10 };
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
        let mut connection = self.connect().await;
        let stop =
            "UPDATE {s}.execution SET status = 1, wake_at = NULL, tried_builds = ARRAY['b0'] WHERE id = $1";
        self.run(&mut connection, stop, &[self.suspended.0]).await;
        taken[0].key
    }

    pub(super) async fn connect(&self) -> PoolConnection<Postgres> {
        self.sessions.acquire().await.unwrap()
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
            owned: false,
            due_ms: created_at_ms,
            created_at_ms,
            attempt: 1,
            close_by_ms: None,
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
        }
    }
}

async fn append(store: &PostgresStore, append: Append) {
    let (tell, told) = tokio::sync::oneshot::channel();
    store.submit(append, Box::new(move |outcome| drop(tell.send(outcome))));
    assert!(matches!(told.await.unwrap(), Ok(AppendOutcome::Done)));
}
