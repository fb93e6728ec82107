//! Whether anybody can run an execution: a task queue that nobody serves is silent by itself.

use super::UntypedHandle;
use crate::error::Result;
use crate::store::{ExecutionRow, Status};
use std::fmt;

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

impl UntypedHandle {
    /// Who may run it, as the database knows its workers.
    pub(super) async fn serving(&self, row: &ExecutionRow) -> Result<Serving> {
        // Its owner in this process lives.
        if self.client.abide.hub().owner_of(row.id).is_some() {
            return Ok(Serving::Served);
        }
        let workers = self.client.abide.store().served(row.queue.clone()).await?;
        Ok(match () {
            () if workers.is_empty() => Serving::NoWorker,
            () if workers.iter().any(|types| types.contains(&row.workflow_type)) => Serving::Served,
            () if workers.iter().all(Vec::is_empty) => Serving::ActivitiesOnly,
            () => Serving::OtherTypes,
        })
    }

    /// Warns where it waits for a worker that is not there. A look that fails says nothing: the wait goes on.
    pub(super) async fn warn_if_unserved(&self, row: &ExecutionRow) {
        if row.status != Status::Running || row.owner.is_some() {
            return;
        }
        let Ok(serving) = self.serving(row).await else { return };
        if serving != Serving::Served {
            tracing::warn!(
                target: "abide::workflow",
                code = "AB0627",
                workflow_id = row.workflow_id,
                workflow_type = row.workflow_type,
                queue = row.queue,
                "AB0627: workflow `{}` of type `{}` waits on task queue `{}`: {serving}",
                row.workflow_id,
                row.workflow_type,
                row.queue
            );
        }
    }
}
