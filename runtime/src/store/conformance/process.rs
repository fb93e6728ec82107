//! A process of the suite: a store, and a worker that is registered in it.

use super::*;

/// A store and a worker registered in it.
pub(in crate::store) struct Process {
    pub(in crate::store) store: Arc<dyn Store>,
    pub(in crate::store) me: Incarnation,
}

impl Process {
    pub(in crate::store) async fn of(store: Arc<dyn Store>) -> Self {
        let (build, name, queue) = ("b1".to_owned(), "test".to_owned(), "q".to_owned());
        let me = store.register(WorkerInfo { build, name, queue, types: Vec::new() }).await.unwrap();
        Self { store, me }
    }

    /// Ends without a word, as by `kill -9`: locks are free, rows stay.
    pub(in crate::store) async fn die(self) {
        self.store.close().await.unwrap();
    }

    /// Submits and waits. A row change without a revision is of the row as it now is.
    pub(in crate::store) async fn append(&self, mut append: Append) -> Result<AppendOutcome, StoreError> {
        let (starts, of_closed) = (append.starts(), append.row == Some(let_go()));
        if append.changes_row() && append.rev.is_none() && !starts && !of_closed {
            append.rev = Some(self.row(append.execution).await.rev);
        }
        self.submit(append).await.unwrap()
    }

    /// All that is stored of a run.
    pub(in crate::store) async fn run(&self, id: ExecutionId) -> StoredRun {
        self.store.load(id).await.unwrap().unwrap()
    }

    pub(in crate::store) fn submit(
        &self,
        append: Append,
    ) -> oneshot::Receiver<Result<AppendOutcome, StoreError>> {
        let (tell, told) = oneshot::channel();
        self.store.submit(append, Box::new(move |outcome| drop(tell.send(outcome))));
        told
    }

    /// A start to be, of workflow id `name`.
    pub(in crate::store) fn new_execution(&self, name: &str) -> NewExecution {
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
    pub(in crate::store) fn turn(&self, execution: ExecutionId, seq: u64, n: u32) -> Append {
        let events = vec![r#"{"timer_started":{"fire_at_ms":1}}"#; n as usize];
        Append {
            seq: EventId(seq),
            n,
            body: if n == 0 { String::new() } else { format!("[{}]", events.join(",")) },
            ..Append::bare(self.me, execution, self.store.now_ms())
        }
    }

    /// The first append of a start already owned.
    pub(in crate::store) fn create(&self, new: NewExecution) -> Append {
        Append { births: vec![new.clone()], ..self.turn(new.id, 1, 1) }
    }

    /// A running execution that this process owns, with one event.
    pub(in crate::store) async fn running(&self, name: &str) -> ExecutionId {
        let new = self.new_execution(name);
        let id = new.id;
        assert!(matches!(self.append(self.create(new)).await, Ok(AppendOutcome::Done)));
        id
    }

    /// An append that closes.
    pub(in crate::store) fn close(&self, execution: ExecutionId, seq: u64) -> Append {
        Append {
            close: Some(closed(ExecutionStatus::Completed)),
            rev: Some(0),
            ..self.turn(execution, seq, 1)
        }
    }

    pub(in crate::store) fn message(&self, to: ExecutionId, request_id: &str) -> NewMessage {
        NewMessage {
            execution: to,
            kind: MessageKind::Signal,
            request_id: request_id.to_owned(),
            body: r#"{"name":"approve"}"#.to_owned(),
            at_ms: self.store.now_ms(),
        }
    }

    pub(in crate::store) async fn send(&self, to: ExecutionId, request_id: &str) -> SendAnswer {
        self.store.send(self.message(to, request_id)).await.unwrap()
    }

    pub(in crate::store) async fn row(&self, id: ExecutionId) -> ExecutionRow {
        self.store.find(Find::Execution(id)).await.unwrap().unwrap()
    }

    /// Claims up to ten of type `Order` in queue `q`.
    pub(in crate::store) async fn claim(&self) -> Claimed {
        self.store.claim(self.claim_of("b1", false)).await.unwrap()
    }

    /// Claims, also what is suspended and offered, as a worker does.
    pub(in crate::store) async fn take(&self, claim: Claim) -> Vec<ExecutionId> {
        let claimed = self.store.claim(claim.clone()).await.unwrap();
        let mut taken = ids(&claimed);
        if claimed.offered {
            let offered = self.store.claim_offered(claim).await.unwrap();
            taken.extend(offered.iter().map(|row| row.id));
        }
        taken
    }

    pub(in crate::store) fn claim_of(&self, build: &str, suspect: bool) -> Claim {
        let suspicion = Suspicion { suspect: suspect.then_some(u32::MAX), crash_limit: 5 };
        let queues = vec!["q".to_owned()];
        let types = Some(vec!["Order".to_owned()]);
        Claim { owner: self.me, queues, types, build: build.to_owned(), limit: 10, suspicion }
    }
}
