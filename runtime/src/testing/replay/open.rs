//! Replays every open run of a database, one after the other: one page of rows and one history are in memory
//! at a time.

use super::history::History;
use super::report::Reports;
use super::{Replayer, run, verdict};
use crate::abide::Abide;
use crate::error::{Error, Result};
use crate::status::ExecutionStatus;
use crate::store::{ExecutionRow, Filter};
use abide_core::Code;

pub(super) async fn replay(replayer: &Replayer, abide: &Abide) -> Result<Reports> {
    let mut reports = Reports::default();
    let mut filter =
        Filter { statuses: vec![ExecutionStatus::Running, ExecutionStatus::Suspended], ..Filter::default() };
    loop {
        let page = abide.store().list(filter.clone()).await?;
        for row in page.rows {
            one(replayer, abide, row, &mut reports).await?;
        }
        match page.next {
            Some(next) => filter.after = Some(next),
            None => return Ok(reports),
        }
    }
}

async fn one(replayer: &Replayer, abide: &Abide, row: ExecutionRow, reports: &mut Reports) -> Result<()> {
    let Some(known) = replayer.known(&row.workflow_type) else {
        reports.pass_over(row.workflow_type);
        return Ok(());
    };
    let history = match crate::client::journal(&abide.client(), row.id).await {
        Ok(rows) => History::recorded(&row, rows)?,
        // A damaged run is one failing run. A database that does not answer ends the replay.
        Err(Error::Store(failure)) if failure.code() == Code::Damaged => {
            let history = History::recorded(&row, Vec::new())?;
            reports.add(verdict::unreadable(&history, &failure.to_string()));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    // The thread drops its end of the channel when it is done. Joining it then does not block.
    let (running, done) = tokio::sync::oneshot::channel::<()>();
    let thread = run::begin(known, &history, running);
    let _ = done.await;
    let mut report = verdict::of(&history, &run::end(thread));
    if let Some(suspension) = row.suspension.filter(|_| row.status == ExecutionStatus::Suspended) {
        let code = &suspension.code;
        report.remark(match report.is_ok() {
            true => format!("it is suspended ({code}) in the database; this code repeats its history"),
            false => format!("it is suspended ({code}) in the database, and this code does not help it"),
        });
    }
    reports.add(report);
    Ok(())
}
