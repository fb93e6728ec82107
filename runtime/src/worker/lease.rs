//! Staying alive and noticing who is not: the lease, take-over, and the comparison of memory with the database.

use super::claims;
use super::session::{End, Session};
use crate::status::ExecutionStatus;
use crate::store::{Find, StoreError};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// How long after a lease has run out it is looked for.
const SOON: Duration = Duration::from_millis(20);

/// Renews the lease, on the engine's own thread: activities may block the user's runtime for longer than a lease. A worker that could not renew for two thirds of it stops starting activities and asks the
/// running ones to stop: soon another may run them (PROTOCOL 18).
pub(super) async fn renew_loop(session: Arc<Session>) {
    let (pace, mut renewed) = (session.pace(), Instant::now());
    let mut pause = pace.renew;
    loop {
        tokio::time::sleep(pause).await;
        if session.is_over() {
            return;
        }
        let asked = Instant::now();
        let answer = tokio::time::timeout_at(renewed + pace.lease / 3 * 2, renew(&session)).await;
        match answer {
            Ok(Ok(())) => {
                renewed = asked;
                pause = pace.renew;
                session.runner.renewed(asked);
            }
            Ok(Err(StoreError::Fenced)) => return session.finish(End::Fenced),
            Ok(Err(error)) => {
                session.failed(&error);
                // A connection that broke has let go of the lock that says that we live: there is less time than usual.
                pause = if pause == pace.renew { pace.renew / 8 } else { (pause * 2).min(pace.renew) };
            }
            Err(_) => {}
        }
        if renewed.elapsed() >= pace.lease / 3 * 2 {
            tracing::warn!(
                code = "AB0510",
                "AB0510: the lease could not be renewed in time: a new one is taken"
            );
            return session.finish(End::Fenced);
        }
    }
}

/// The renewal itself runs to its end even where nobody waits for it any more: a write is never cut off (PROTOCOL 7).
async fn renew(session: &Arc<Session>) -> Result<(), StoreError> {
    let renewing = Arc::clone(session);
    let renewal = tokio::spawn(async move { renewing.store().renew(renewing.me).await });
    renewal.await.unwrap_or_else(|error| Err(StoreError::Unknown { message: error.to_string() }))
}

/// Takes over from dead workers, and adopts what the database says is ours and memory does not know (PROTOCOL 14).
pub(super) async fn take_over_loop(session: Arc<Session>) {
    let mut compared = Instant::now();
    // At once, and soon again: who is started in the place of a process that was killed goes on with its work.
    let mut pause = session.pace().dead / 10;
    while !session.is_over() {
        let next = take_over(&session).await.unwrap_or_else(|error| {
            session.failed(&error);
            None
        });
        if session.doubtful.swap(false, Ordering::AcqRel) || compared.elapsed() >= session.pace().lease {
            compared = Instant::now();
            for compared in [adopt(&session).await, leave_attempts(&session).await] {
                compared.unwrap_or_else(|error| session.failed(&error));
            }
        }
        let until = next.map_or(pause, |next| (next + SOON).min(pause));
        tokio::time::sleep(until).await;
        pause = (pause * 2).min(session.pace().dead);
    }
}

/// When it may be worth to look again before it is time.
async fn take_over(session: &Session) -> Result<Option<Duration>, StoreError> {
    let deaths = session.store().dead().await?;
    for dead in deaths.dead {
        let freed = session.store().take_over(dead.incarnation).await?;
        if freed > 0 {
            tracing::info!(worker = %dead.incarnation, name = dead.name, freed, "took over from a dead worker");
            session.claim_hint.notify_one();
        }
    }
    Ok(deaths.next)
}

/// Attempts run on here when their execution is suspended, so that their outcomes are not lost. Once another has it, they are.
async fn leave_attempts(session: &Session) -> Result<(), StoreError> {
    let strangers = session.attempts.executions().into_iter().filter(|id| !session.owns(*id));
    for id in strangers {
        match session.store().find(Find::Execution(id)).await? {
            Some(row) if row.status == ExecutionStatus::Suspended || row.owner == Some(session.me) => {}
            _ => session.leave_attempts(id),
        }
    }
    Ok(())
}

/// A claim whose answer was lost leaves rows that are ours and nobody runs. They are only named here: their threads read them,
/// and leave alone what they have (PROTOCOL 34).
async fn adopt(session: &Arc<Session>) -> Result<(), StoreError> {
    for id in session.store().owned(session.me).await? {
        if !session.owns(id) {
            tracing::debug!(execution = %id, "an execution is owned and not loaded: its thread is asked to read it");
            claims::name_in_turn(session, id).await;
        }
    }
    Ok(())
}
