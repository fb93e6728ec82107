//! One execution as a client holds it, without its type: its identity, and how it is found.
//!
//! The operations are in modules of their own: `request` (signal, cancel, terminate), `query`, `wait`,
//! `describe`.

use super::Client;
use crate::error::{Error, Result};
use crate::hub::CloseWatch;
use crate::store::{ExecutionRow, Find, NewExecution, ResumeAnswer};
use abide_core::{ExecutionId, NextRun};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// A handle of an execution whose type is not known here. It has everything except the typed result, signals
/// and queries. Cheap to clone.
#[derive(Clone)]
pub struct UntypedHandle {
    pub(super) client: Client,
    workflow_id: Arc<str>,
    /// One run. `None`: the newest run of the workflow id at each use.
    run: Option<Run>,
}

/// Refuses a row whose workflow type differs from the handle's: AB0416.
pub(super) type TypeCheck = fn(&ExecutionRow) -> Result<()>;

#[derive(Clone)]
struct Run {
    execution: ExecutionId,
    run_id: Arc<str>,
    /// Taken before the start, so that the close cannot be missed.
    watch: Option<Arc<CloseWatch>>,
    /// The run of its chain that messages go to: the newest that this handle has found.
    current: Arc<AtomicI64>,
}

impl Run {
    fn new(execution: ExecutionId, run_id: &str, watch: Option<Arc<CloseWatch>>) -> Self {
        Self { execution, run_id: run_id.into(), watch, current: Arc::new(AtomicI64::new(execution.0)) }
    }
}

impl Client {
    /// Returns a handle by workflow id, for a type that is not known or whose code is not available.
    pub fn execution(&self, workflow_id: impl AsRef<str>) -> UntypedHandle {
        UntypedHandle::by_workflow_id(self.clone(), Arc::from(workflow_id.as_ref()))
    }
}

impl UntypedHandle {
    fn by_workflow_id(client: Client, workflow_id: Arc<str>) -> Self {
        Self { client, workflow_id, run: None }
    }

    pub(super) fn of_start(client: Client, new: &NewExecution, watch: Arc<CloseWatch>) -> Self {
        let run = Run::new(new.id, &new.run_id, Some(watch));
        Self { client, workflow_id: new.workflow_id.as_str().into(), run: Some(run) }
    }

    pub(super) fn of_row(client: Client, row: &ExecutionRow) -> Self {
        let run = Run::new(row.id, &row.run_id, None);
        Self { client, workflow_id: row.workflow_id.as_str().into(), run: Some(run) }
    }

    /// A run that a schedule has started.
    pub(super) fn of_run(client: Client, workflow_id: &str, execution: ExecutionId, run_id: &str) -> Self {
        Self { client, workflow_id: workflow_id.into(), run: Some(Run::new(execution, run_id, None)) }
    }

    /// The run of a chain that goes on after a run of this handle.
    pub(super) fn of_next(&self, next: &NextRun) -> Self {
        let run = Run::new(next.execution, &next.run_id, None);
        Self { client: self.client.clone(), workflow_id: Arc::clone(&self.workflow_id), run: Some(run) }
    }

    /// The workflow id.
    pub fn id(&self) -> &str {
        &self.workflow_id
    }

    /// The run id of the run that this handle is bound to: the one that it started. `None` for a handle by
    /// workflow id, which means the newest run at each use.
    pub fn run_id(&self) -> Option<&str> {
        self.run.as_ref().map(|run| run.run_id.as_ref())
    }

    /// Lets a suspended execution run again, after its cause was fixed. `AB0414` if it is not suspended.
    pub async fn resume(&self) -> Result<()> {
        let execution = self.newest().await?.id;
        let abide = &self.client.abide;
        match abide.store().resume(execution).await? {
            ResumeAnswer::Resumed => {
                abide.hub().row_changed(execution);
                abide.hub().wake_workers();
                Ok(())
            }
            ResumeAnswer::NotSuspended(status) => {
                let workflow_id = self.id().to_owned();
                Err(Error::NotSuspended { workflow_id, status })
            }
            ResumeAnswer::NoSuchExecution => Err(Error::NoSuchExecution { id: self.id().to_owned() }),
        }
    }

    /// The key of the run that this handle sends to, as far as it knows. `None` for a handle by workflow id.
    pub(super) fn bound(&self) -> Option<ExecutionId> {
        self.run.as_ref().map(|run| ExecutionId(run.current.load(Ordering::Relaxed)))
    }

    /// The row of the run that messages go to: the one that this handle is bound to, or the newest of its chain, if
    /// other runs have gone on for it (PROTOCOL 64).
    pub(super) async fn newest(&self) -> Result<ExecutionRow> {
        let row = match self.bound() {
            Some(execution) => self.row_by(Find::Execution(execution)).await?,
            None => self.row().await?,
        };
        if row.next.is_none() {
            return Ok(row);
        }
        let newest = self.row_by(Find::Chain(row.chain())).await?;
        if let Some(run) = &self.run {
            run.current.store(newest.id.0, Ordering::Relaxed);
        }
        Ok(newest)
    }

    /// Whether a row is of the handle's type: its own type, or that of the first run of its chain. A run may go on as
    /// another workflow that returns the same.
    pub(super) async fn accepts(&self, row: &ExecutionRow, check: TypeCheck) -> Result<()> {
        match (check(row), row.chain) {
            (Err(_), Some(first)) => check(&self.row_by(Find::Execution(first)).await?),
            (checked, _) => checked,
        }
    }

    /// Returns the execution's key. A handle by workflow id needs a look-up.
    pub(super) async fn locate(&self) -> Result<ExecutionId> {
        match &self.run {
            Some(run) => Ok(run.execution),
            None => self.row().await.map(|row| row.id),
        }
    }

    /// The execution that a message goes to first.
    pub(super) async fn sends_to(&self) -> Result<ExecutionId> {
        match self.bound() {
            Some(execution) => Ok(execution),
            None => self.locate().await,
        }
    }

    /// The same for a message of a typed handle. A handle that is bound to a run came from its start or its
    /// row, so its type is already known.
    pub(super) async fn locate_as(&self, check: TypeCheck) -> Result<ExecutionId> {
        if let Some(run) = self.bound() {
            return Ok(run);
        }
        let row = self.row().await?;
        self.accepts(&row, check).await?;
        Ok(row.id)
    }

    /// The execution's row, as it is now.
    pub(super) async fn row(&self) -> Result<ExecutionRow> {
        match &self.run {
            Some(run) => self.row_by(Find::Execution(run.execution)).await,
            None => self.row_by(Find::WorkflowId(self.workflow_id.as_ref().to_owned())).await,
        }
    }

    /// Finds the row.
    pub(super) async fn row_by(&self, by: Find) -> Result<ExecutionRow> {
        let row = self.client.abide.store().find(by).await?;
        row.ok_or_else(|| Error::NoSuchExecution { id: self.id().to_owned() })
    }

    /// Returns the run that this handle means now, with a watch on it.
    pub(super) async fn watched(&self) -> Result<(ExecutionId, Arc<CloseWatch>)> {
        let execution = self.locate().await?;
        let held = self.run.as_ref().and_then(|run| run.watch.clone());
        let watch = held.unwrap_or_else(|| Arc::new(self.client.abide.hub().watch(execution)));
        Ok((execution, watch))
    }
}

impl fmt::Debug for UntypedHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("id", &self.id()).field("run_id", &self.run_id()).finish()
    }
}
