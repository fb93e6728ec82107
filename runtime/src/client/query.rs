//! Queries an execution: its live state if it is loaded here, a read-only replay if its code is here,
//! otherwise its owner, through a request row and a reply row (PROTOCOL 26).

use super::UntypedHandle;
use super::execution::TypeCheck;
use crate::error::{Error, Result};
use crate::store::{ExecutionRow, MessageKind, NewMessage, SendAnswer};
use crate::wire::QueryAnswer;
use crate::wire::{QueryBody, ReplyBody, to_json};
use abide_core::Payload;
use std::time::Duration;
use tokio::time::Instant;

/// How long a client waits for another process to answer: longer than a lease, because a restart may be in
/// progress.
const ANSWER_WAIT: Duration = Duration::from_secs(20);

impl UntypedHandle {
    /// Calls the query `name`, first in this process.
    pub(super) async fn ask(&self, name: &str, input: Payload, check: TypeCheck) -> Result<QueryAnswer> {
        self.client.abide.outside()?;
        let hub = self.client.abide.hub();
        // If this handle knows the run, ask the owner directly: the usual case costs no read.
        if let Some(execution) = self.bound()
            && let Some(owner) = hub.owner_of(execution)
            && let Some(answer) = owner.query(execution, name, input.clone()).await?
        {
            return Ok(answer);
        }
        let row = self.newest().await?;
        self.accepts(&row, check).await?;
        let here = hub.owner_of(row.id).or_else(|| hub.server_of(&row.workflow_type, None));
        if let Some(worker) = here
            && let Some(answer) = worker.query(row.id, name, input.clone()).await?
        {
            return Ok(answer);
        }
        self.ask_elsewhere(&row, name, input, ANSWER_WAIT).await
    }

    /// Queries the owner through a request row, and waits for its reply row.
    pub(super) async fn ask_elsewhere(
        &self,
        row: &ExecutionRow,
        name: &str,
        input: Payload,
        wait: Duration,
    ) -> Result<QueryAnswer> {
        let store = self.client.abide.store();
        // Before the request is written, so that an answer that comes at once counts as a change.
        let mut changes = store.news();
        changes.mark_unchanged();
        let (asked, request_id) = (Instant::now(), self.client.abide.host().fresh_id());
        let message = NewMessage {
            execution: row.id,
            kind: MessageKind::Query,
            request_id: request_id.clone(),
            body: to_json(&QueryBody { name: name.to_owned(), input, asker: Some(store.block()) }),
            at_ms: store.now_ms(),
        };
        match store.send(message).await? {
            SendAnswer::Sent | SendAnswer::Known => {}
            SendAnswer::Closed => {
                return Err(Error::ExecutionClosed { workflow_id: row.workflow_id.clone() });
            }
            SendAnswer::NoSuchExecution => {
                return Err(Error::NoSuchExecution { id: row.workflow_id.clone() });
            }
        }
        self.client.abide.hub().wake_workers();
        // No look at exactly the end of the time: with a clock that stands still the loop would never end.
        while let Some(left) = wait.checked_sub(asked.elapsed()).filter(|left| !left.is_zero()) {
            // A worker of this process may answer too, and its reply is not a foreign change. So check at
            // least once a second.
            let next = tokio::time::timeout(left.min(Duration::from_secs(1)), changes.changed()).await;
            if let Some(body) = store.take_reply(request_id.clone()).await? {
                return read_reply(name, &body);
            }
            if matches!(next, Ok(Err(_))) {
                break; // the store is closed
            }
        }
        let waited_ms = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
        Err(Error::QueryTimeout { query: name.to_owned(), task_queue: row.queue.clone(), waited_ms })
    }
}

fn read_reply(query: &str, body: &str) -> Result<QueryAnswer> {
    serde_json::from_str::<ReplyBody>(body)
        .unwrap_or_else(|error| ReplyBody::Refused {
            query: query.to_owned(),
            message: format!(
                "its answer is of another version of abide: {}",
                abide_core::unread(body, &error)
            ),
        })
        .into_answer()
}

#[cfg(test)]
#[cfg(feature = "testing")]
#[path = "query_tests.rs"]
mod tests;
