//! Starts that bring messages, and find an open run (PROTOCOL 49).

use super::find::BY_ID;
use super::message::{put_reply, send};
use super::shared::Shared;
use crate::store::decide::{self, Receiver};
use crate::store::row::execution;
use crate::store::{ExecutionRow, NewExecution, SendAnswer};
use abide_core::ExecutionId;
use sqlx::PgConnection;

/// The run that an earlier try of this start has sent its messages to.
pub(super) async fn joined(
    connection: &mut PgConnection,
    shared: &Shared,
    new: &NewExecution,
) -> sqlx::Result<Option<ExecutionRow>> {
    const NOTE: &str = "SELECT body FROM {s}.reply WHERE request_id = $1";
    let Some(key) = decide::joined_key(new) else { return Ok(None) };
    let note = sqlx::query_scalar::<_, String>(shared.sql.of(NOTE)).bind(key);
    let note = note.fetch_optional(&mut *connection).await?;
    let Some(run) = note.as_deref().and_then(decide::joined_run) else { return Ok(None) };
    let row = sqlx::query(shared.sql.of(BY_ID)).bind(run.0).fetch_optional(connection).await?;
    row.as_ref().map(execution).transpose()
}

/// Sends the messages of a start to the open run that it uses, and notes that (PROTOCOL 49). False: the run has
/// closed since it was read, and nothing is sent. The first message locks the row until the commit.
pub(super) async fn join(
    connection: &mut PgConnection,
    shared: &Shared,
    new: &NewExecution,
    run: ExecutionId,
) -> sqlx::Result<(bool, Option<Receiver>)> {
    let (mut is_in, mut told) = (false, None);
    for message in decide::messages_to(new, run) {
        let (answer, receiver) = send(connection, shared, &message).await?;
        is_in |= matches!(answer, SendAnswer::Sent | SendAnswer::Known);
        if !is_in {
            return Ok((false, None));
        }
        told = told.or(receiver);
    }
    if let Some(note) = decide::joined(new, run) {
        put_reply(connection, shared, &note, new.created_at_ms).await?;
    }
    Ok((true, told))
}
