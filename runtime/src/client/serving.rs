//! Whether a worker can run an execution. Without this check, a task queue that no worker serves would give
//! no sign.

use super::Client;
use crate::error::Result;
use crate::status::ExecutionStatus;
use crate::store::{ExecutionRow, Find};
use abide_core::{Code, ExecutionId};
use std::fmt;
use std::time::Duration;

/// How long after a start that no worker of this process took its task queue is checked.
const LOOKED_AFTER: Duration = Duration::from_secs(5);

/// Whether a live worker can run an execution: [`Description::serving`](super::Description::serving).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Serving {
    /// A live worker of its task queue has its workflow type.
    Served,
    /// No live worker is on its task queue.
    NoWorker,
    /// The live workers of its task queue have activities only.
    ActivitiesOnly,
    /// The live workers of its task queue have other workflow types.
    OtherTypes,
}

impl fmt::Display for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Served => "a live worker serves it",
            Self::NoWorker => "no live worker is on its task queue",
            Self::ActivitiesOnly => "the live workers of its task queue have activities only",
            Self::OtherTypes => "no live worker of its task queue has its workflow type",
        })
    }
}

impl Client {
    /// Whether a worker can run it, according to the workers in the database.
    pub(super) async fn serving(&self, row: &ExecutionRow) -> Result<Serving> {
        // Its owner in this process is alive.
        if self.abide.hub().owner_of(row.id).is_some() {
            return Ok(Serving::Served);
        }
        let workers = self.abide.store().served(row.queue.clone()).await?;
        Ok(match () {
            () if workers.is_empty() => Serving::NoWorker,
            () if workers.iter().any(|types| types.contains(&row.workflow_type)) => Serving::Served,
            () if workers.iter().all(Vec::is_empty) => Serving::ActivitiesOnly,
            () => Serving::OtherTypes,
        })
    }

    /// Warns if it waits for a worker that does not exist. If the check fails, nothing is logged: the wait
    /// continues.
    pub(super) async fn warn_if_unserved(&self, row: &ExecutionRow) {
        let looks = self.abide.looks();
        if looks.take(&row.queue, &row.workflow_type) && !self.told_unserved(row).await {
            looks.give_back(&row.queue, &row.workflow_type);
        }
    }

    /// Checks after [`LOOKED_AFTER`] whether a worker can run the execution that was just started, unless
    /// this was checked recently: the caller may never wait for it. Not in tests, whose time is virtual;
    /// there the waits report it.
    pub(super) fn look_later(&self, execution: ExecutionId, queue: &str, workflow_type: &str) {
        if self.abide.host().is_test() || !self.abide.looks().take(queue, workflow_type) {
            return;
        }
        let (queue, workflow_type) = (queue.to_owned(), workflow_type.to_owned());
        let abide = self.abide.downgrade();
        tokio::spawn(async move {
            tokio::time::sleep(LOOKED_AFTER).await;
            let Some(abide) = abide.upgrade() else { return };
            let told = match abide.store().find(Find::Execution(execution)).await {
                Ok(Some(row)) => abide.client().told_unserved(&row).await,
                Ok(None) | Err(_) => false,
            };
            if !told {
                abide.looks().give_back(&queue, &workflow_type);
            }
        });
    }

    /// Whether no worker can run it; if so, logs a warning.
    async fn told_unserved(&self, row: &ExecutionRow) -> bool {
        if row.status != ExecutionStatus::Running || row.owner.is_some() {
            return false;
        }
        let Ok(serving) = self.serving(row).await else { return false };
        if serving == Serving::Served {
            return false;
        }
        tracing::warn!(
            target: "abide::workflow",
            code = Code::NoWorker.as_str(),
            workflow_id = row.workflow_id,
            workflow_type = row.workflow_type,
            task_queue = row.queue,
            "{}: workflow `{}` of type `{}` waits on task queue `{}`: {serving}",
            Code::NoWorker,
            row.workflow_id,
            row.workflow_type,
            row.queue
        );
        true
    }
}
