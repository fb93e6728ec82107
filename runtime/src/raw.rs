//! The store without an engine, only for `tools/bench`: it makes the same appends as a worker, through the
//! same writer.
//!
//! It measures the limit with which the engine is compared: no workflow code, no replay, no hub.

use crate::abide::Abide;
use crate::error::{Error, Result};
use crate::policy::{IdConflictPolicy, IdReusePolicy};
use crate::status::ExecutionStatus;
use crate::store::{Append, AppendOutcome, Close, CloseKind, NewExecution, Store};
use crate::store::{StoreError, WorkerInfo};
use abide_core::{EventId, Incarnation, JournalRow};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// An owner that only appends.
pub struct Raw {
    store: Arc<dyn Store>,
    owner: Incarnation,
    renewal: tokio::task::JoinHandle<()>,
}

/// The rows of one execution, which can be written many times.
pub struct Script {
    rows: Vec<(EventId, u32, String)>,
    workflow_type: String,
}

impl Script {
    /// Copies an execution's history: the same number of rows, with the same sizes.
    pub fn of(workflow_type: &str, history: &[JournalRow]) -> serde_json::Result<Self> {
        let rows = history.iter().map(|row| {
            let n = u32::try_from(row.events.len()).unwrap_or(u32::MAX);
            Ok((row.seq, n, serde_json::to_string(&row.events)?))
        });
        Ok(Self { rows: rows.collect::<serde_json::Result<_>>()?, workflow_type: workflow_type.to_owned() })
    }

    /// How many appends it makes.
    pub fn appends(&self) -> usize {
        self.rows.len()
    }
}

impl Raw {
    /// Registers an owner, and renews its lease until this value is dropped.
    pub async fn of(abide: &Abide) -> Result<Self> {
        let store = Arc::clone(abide.store());
        let info = WorkerInfo { name: "raw".into(), ..WorkerInfo::default() };
        let owner = store.register(info).await?;
        let renewing = Arc::clone(&store);
        let renewal = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(2)).await;
                if let Err(error) = renewing.renew(owner).await {
                    tracing::warn!("the raw driver lost its lease: {error}");
                }
            }
        });
        Ok(Self { store, owner, renewal })
    }

    /// Writes one execution, one append after the other: the first with the start, the last with the close.
    pub async fn run(&self, script: &Script) -> Result<()> {
        let execution = self.store.execution_id();
        let last = script.rows.len().saturating_sub(1);
        for (i, (seq, n, body)) in script.rows.iter().enumerate() {
            let at_ms = self.store.now_ms();
            let close = (i == last).then(|| Close {
                kind: CloseKind::Drained,
                status: ExecutionStatus::Completed,
                result: r#"{"completed":{"result":null}}"#.to_owned(),
            });
            let append = Append {
                owner: self.owner,
                execution,
                seq: *seq,
                n: *n,
                at_ms,
                body: body.clone(),
                row: None,
                close,
                // Only the close changes the row.
                rev: Some(0),
                consumed: Vec::new(),
                messages: Vec::new(),
                dispatches: Vec::new(),
                replies: Vec::new(),
                tasks: Vec::new(),
                attempts: Vec::new(),
                births: (i == 0).then(|| self.new_execution(execution, script, at_ms)).into_iter().collect(),
                children: Vec::new(),
                report: None,
                scheduled: false,
                successor: None,
                orphans: false,
                published: Vec::new(),
                tries: 0,
            };
            self.append(append).await?;
        }
        Ok(())
    }

    fn new_execution(&self, id: abide_core::ExecutionId, script: &Script, at_ms: i64) -> NewExecution {
        let name = uuid::Uuid::now_v7().to_string();
        NewExecution {
            id,
            workflow_id: name.clone(),
            run_id: name,
            request_id: None,
            workflow_type: script.workflow_type.clone(),
            queue: "raw".to_owned(),
            input: "[]".to_owned(),
            created_at_ms: at_ms,
            terms: crate::store::Terms::default(),
            reuse: IdReusePolicy::default(),
            conflict: IdConflictPolicy::default(),
            terminate_event: None,
            with: Vec::new(),
        }
    }

    async fn append(&self, append: Append) -> Result<()> {
        let (done, written) = oneshot::channel();
        let ack = Box::new(move |outcome| {
            // The receiver is dropped only if the bench itself was stopped.
            let _ = done.send(outcome);
        });
        self.store.submit(append, ack);
        match written.await {
            Ok(Ok(AppendOutcome::Done)) => Ok(()),
            Ok(Ok(other)) => Err(unknown(format!("a raw append came to {other:?}"))),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(unknown("the writer has stopped".to_owned())),
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

fn unknown(message: String) -> Error {
    StoreError::Unknown { message }.into()
}
