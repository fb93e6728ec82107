//! Starts that bring messages, and find an open run (PROTOCOL 49).

use super::message::{keep, send};
use super::session::{Failure, Session};
use super::statement::Statement;
use crate::store::decide::{self, Receiver};
use crate::store::{ExecutionRow, NewExecution, SendAnswer};
use abide_core::ExecutionId;

/// The run that an earlier try of this start has sent its messages to.
pub(super) fn joined(st: &Statement<'_>, new: &NewExecution) -> Option<ExecutionRow> {
    let note = st.tables.replies.get(&decide::joined_key(new)?)?;
    let run = decide::joined_run(&note.body)?;
    st.tables.executions.get(&run).map(|run| st.tables.read(run))
}

/// Sends the messages of a start to the open run that it uses, and notes that (PROTOCOL 49). False: the run has
/// closed since it was read, and nothing is sent. The first message locks the row until the commit.
pub(super) async fn join(
    session: &mut Session,
    new: &NewExecution,
    run: ExecutionId,
) -> Result<(bool, Option<Receiver>), Failure> {
    let (mut is_in, mut told) = (false, None);
    for message in decide::messages_to(new, run) {
        let (answer, receiver) = send(session, &message).await?;
        is_in |= matches!(answer, SendAnswer::Sent | SendAnswer::Known);
        if !is_in {
            return Ok((false, None));
        }
        told = told.or(receiver);
    }
    if let Some(note) = decide::joined(new, run) {
        session.run(|st| keep(st, &note, new.created_at_ms)).await?;
    }
    Ok((true, told))
}
