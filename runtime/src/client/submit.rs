//! Submits a start: to a worker of this process, or to the store.

use super::Client;
use crate::error::{Error, Result};
use crate::store::{NewExecution, StartAnswer};
use std::time::Duration;

/// The most times that a start is submitted while its outcome is unknown.
const ASKED_AT_MOST: u32 = 3;

/// The wait between two submissions.
const BETWEEN_ASKING: Duration = Duration::from_millis(100);

/// Submits the start, and again while its outcome is unknown. The run id makes a repeated start return the
/// first answer.
pub(super) async fn submit(client: &Client, new: NewExecution) -> Result<StartAnswer> {
    let mut doubt = String::new();
    for _ in 0..ASKED_AT_MOST {
        match submit_once(client, &new).await {
            Err(error) if error.is_unknown() => doubt = error.to_string(),
            known => return known,
        }
        tokio::time::sleep(BETWEEN_ASKING).await;
    }
    Err(Error::OutcomeUnknown { request_id: new.request_id.unwrap_or(new.run_id), message: doubt })
}

/// Gives the start to a worker of this process, which then owns it; otherwise to the store, for any worker to
/// claim.
async fn submit_once(client: &Client, new: &NewExecution) -> Result<StartAnswer> {
    let (store, hub) = (client.abide.store(), client.abide.hub());
    // A delayed start waits without an owner, and messages may go to another run.
    let by_store = new.terms.due_at_ms.is_some() || !new.with.is_empty();
    let here = hub.server_of(&new.workflow_type, Some(&new.queue)).filter(|_| !by_store);
    if let Some(worker) = here {
        match worker.start(new.clone()).await {
            Ok(Some(answer)) => return Ok(answer),
            // The worker is stopping, or has lost its lease: nothing was written, and another worker may take
            // the start.
            Ok(None) => {}
            Err(error) if error.is_fenced() => {}
            Err(error) => return Err(error),
        }
    }
    let answer = store.start(new.clone()).await?;
    if matches!(answer, StartAnswer::Started) {
        client.look_later(new.id, &new.queue, &new.workflow_type);
    }
    // A worker of this process may have been registered meanwhile, and is not notified of this process's own
    // commits.
    hub.wake_workers();
    Ok(answer)
}
