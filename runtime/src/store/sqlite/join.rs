//! Starts that bring messages, and find an open run (PROTOCOL 49).

use super::find::BY_ID;
use super::message::{put_reply, send};
use crate::store::decide;
use crate::store::row::execution;
use crate::store::{ExecutionRow, NewExecution};
use abide_core::ExecutionId;
use sqlx::SqliteConnection;

/// The run that an earlier try of this start has sent its messages to.
pub(super) async fn joined(
    connection: &mut SqliteConnection,
    new: &NewExecution,
) -> sqlx::Result<Option<ExecutionRow>> {
    let Some(key) = decide::joined_key(new) else { return Ok(None) };
    let note = sqlx::query_scalar::<_, String>("SELECT body FROM reply WHERE request_id = ?").bind(key);
    let note = note.fetch_optional(&mut *connection).await?;
    let Some(run) = note.as_deref().and_then(decide::joined_run) else { return Ok(None) };
    let row = sqlx::query(BY_ID).bind(run.0).fetch_optional(connection).await?;
    row.as_ref().map(execution).transpose()
}

/// Sends the messages of a start to the open run that it uses, and notes that (PROTOCOL 49).
pub(super) async fn join(
    connection: &mut SqliteConnection,
    new: &NewExecution,
    run: ExecutionId,
) -> sqlx::Result<()> {
    for message in decide::messages_to(new, run) {
        send(connection, &message).await?;
    }
    match decide::joined(new, run) {
        Some(note) => put_reply(connection, &note, new.created_at_ms).await,
        None => Ok(()),
    }
}
