//! Waits until an execution closes or is suspended, without polling if memory can tell.
//!
//! In the owner's process the hub tells. Elsewhere the store tells that *something* has changed, and the row
//! is read again: after a few milliseconds at first, and later at most four times a second. The row is always
//! read after the watch was taken, so that no change is missed.

use super::UntypedHandle;
use super::execution::TypeCheck;
use crate::error::Result;
use crate::host::GivenUp;
use crate::outcome::Reason;
use crate::status::ExecutionStatus;
use crate::store::{ExecutionRow, Find, StoreError, read_event};
use abide_core::{Event, ExecutionId, NextRun};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The row is read again after this time in any case, in case a notification was missed.
const SAFETY_NET: Duration = Duration::from_secs(5);

/// The longest pause between two reads of the row while other processes keep committing.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// A worker that starts takes up what another build has suspended: at once, or soon after if there is much of
/// it.
const TRIED_WITHIN: Duration = Duration::from_secs(10);

/// Why the wait ended.
pub(super) enum End {
    /// It has closed, with this event.
    Closed(Arc<Event>),
    /// It is suspended and will not move until it is resumed.
    Suspended(Reason),
}

/// What woke the wait.
enum News {
    /// A change that this process knows of.
    Here,
    /// A write of another process.
    Elsewhere,
    /// Nothing for a while.
    None,
}

/// From so many runs on it is asked for the newest run of the chain, instead of each next one.
const FEW: u32 = 4;

impl UntypedHandle {
    /// Waits until the execution has closed or is suspended, and follows its chain: a run that goes on as another is
    /// no end (PROTOCOL 64). `check` is applied to its row.
    pub(super) async fn end(&self, check: TypeCheck) -> Result<(ExecutionId, End)> {
        let (mut execution, mut end) = self.end_of_run(Some(check)).await?;
        let mut steps = 0;
        loop {
            let next = match &end {
                End::Closed(event) => event.next_run().cloned(),
                End::Suspended(_) => None,
            };
            let Some(mut next) = next else { return Ok((execution, end)) };
            steps += 1;
            if steps >= FEW {
                next = self.newest_after(next).await?;
            }
            (execution, end) = self.of_next(&next).end_of_run(None).await?;
        }
    }

    /// The newest run of the chain, if this one has gone on as well.
    async fn newest_after(&self, next: NextRun) -> Result<NextRun> {
        let row = self.row_by(Find::Execution(next.execution)).await?;
        if row.next.is_none() {
            return Ok(next);
        }
        let newest = self.row_by(Find::Chain(row.chain())).await?;
        Ok(NextRun { execution: newest.id, run_id: newest.run_id })
    }

    /// Waits until one run has closed or is suspended.
    async fn end_of_run(&self, check: Option<TypeCheck>) -> Result<(ExecutionId, End)> {
        let abide = &self.client.abide;
        abide.outside()?;
        let (execution, watch) = self.watched().await?;
        // A handle by workflow id may be of another type, so its row is checked. A handle from a start needs
        // no read.
        let mut known = self.run_id().is_some();
        let mut changes = abide.store().news();
        let (mut pause, mut waiting) = (Duration::ZERO, None);
        // Checked once, after the first wait without news: perhaps no worker can run it.
        let (mut silent, mut looked) = (false, false);
        loop {
            if let Some(event) = watch.closed() {
                return Ok((execution, End::Closed(event)));
            }
            changes.mark_unchanged();
            let seen = watch.changes();
            if !known || abide.hub().owner_of(execution).is_none() {
                let row = self.row_by(Find::Execution(execution)).await?;
                if let Some(check) = check {
                    self.accepts(&row, check).await?;
                }
                known = true;
                if silent && !std::mem::replace(&mut looked, true) {
                    self.client.warn_if_unserved(&row).await;
                }
                let tried_soon = self.is_tried_soon(&row);
                match end_of(row)? {
                    Some(End::Suspended(_)) if tried_soon => known = false,
                    Some(end) => return Ok((execution, end)),
                    None => {}
                }
            }
            // An activity that waits here holds its slot meanwhile.
            let _waiting = waiting.get_or_insert_with(|| crate::activity::context::wait_for(self.id()));
            let news = async {
                tokio::select! {
                    biased;
                    () = watch.changed(seen) => News::Here,
                    () = self.foreign_change(execution, &mut changes) => News::Elsewhere,
                    () = tokio::time::sleep(SAFETY_NET) => News::None,
                }
            };
            match abide.host().wait(news).await {
                Ok(News::Here) => pause = Duration::ZERO,
                Ok(News::Elsewhere) => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).clamp(Duration::from_millis(5), LONGEST_PAUSE);
                }
                Ok(News::None) => (known, silent) = (false, true),
                Err(GivenUp::NothingLeft) => return Err(self.nothing_left().await),
                Err(GivenUp::Endless(endless)) => return Err(endless.into()),
                Err(GivenUp::Standstill(standstill)) => return Err(standstill.into()),
            }
        }
    }

    /// Whether a worker of this process is about to try an execution that another build has suspended
    /// (PROTOCOL 21). Otherwise a program that starts its worker and immediately waits for the result would
    /// get a suspension that is already fixed.
    pub(super) fn is_tried_soon(&self, row: &ExecutionRow) -> bool {
        let Some(suspension) = row.suspension.as_ref().filter(|suspension| suspension.other_builds) else {
            return false;
        };
        let worker = self.client.abide.hub().server_of(&row.workflow_type, Some(&row.queue));
        worker.is_some_and(|worker| {
            let (build, age) = worker.build();
            build != suspension.build && age < TRIED_WITHIN
        })
    }

    /// Waits until another process has written something, while this process does not own the execution.
    async fn foreign_change(&self, execution: ExecutionId, changes: &mut watch::Receiver<u64>) {
        loop {
            if changes.changed().await.is_err() {
                // The store is closed: no change will come, and the next read of the row returns that error.
                return;
            }
            if self.client.abide.hub().owner_of(execution).is_none() {
                return;
            }
        }
    }
}

fn end_of(row: ExecutionRow) -> Result<Option<End>> {
    match row.status {
        ExecutionStatus::Suspended => Ok(Some(End::Suspended(Reason::of(row.suspension.as_ref())))),
        status if status.is_open() => Ok(None),
        _ => closing_event(&row).map(|event| Some(End::Closed(Arc::new(event)))),
    }
}

/// The closing event that the row of a closed execution keeps.
pub(super) fn closing_event(row: &ExecutionRow) -> Result<Event> {
    let damaged = |message| StoreError::Damaged { execution: row.id, message };
    let body = row.result.as_deref().ok_or_else(|| damaged("it is closed and has no result".into()))?;
    read_event(body).map_err(|unreadable| unreadable.of(row.id).into())
}
