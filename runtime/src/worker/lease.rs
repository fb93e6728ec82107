//! Keeps the worker's lease, takes over from dead workers, and compares memory with the database.

use super::session::{End, Session};
use crate::status::ExecutionStatus;
use crate::store::{Find, StoreError};
use abide_core::Code;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// Extra delay after a lease expires before we look for its dead worker.
const SOON: Duration = Duration::from_millis(20);

/// Renews the lease. Runs on the engine's own thread, because activities may block the user's runtime for
/// longer than a lease. A worker that could not renew for two thirds of the lease starts no more activities
/// and asks the running ones to stop: another worker may soon run them (PROTOCOL 18).
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
                // A broken connection has released the lock that shows that this worker lives. So there is
                // less time than usual.
                pause = if pause == pace.renew { pace.renew / 8 } else { (pause * 2).min(pace.renew) };
            }
            Err(_) => {}
        }
        if renewed.elapsed() >= pace.lease / 3 * 2 {
            tracing::warn!(
                code = Code::LeaseLost.as_str(),
                "{}: the lease could not be renewed in time: a new one is taken",
                Code::LeaseLost
            );
            return session.finish(End::Fenced);
        }
    }
}

/// Renews once. The renewal runs to its end even after the caller's timeout: a write is never cancelled
/// (PROTOCOL 7).
async fn renew(session: &Arc<Session>) -> Result<(), StoreError> {
    let renewing = Arc::clone(session);
    let renewal = tokio::spawn(async move { renewing.store().renew(renewing.me).await });
    renewal.await.unwrap_or_else(|error| Err(StoreError::Unknown { message: error.to_string() }))
}

/// Takes over from dead workers, and adopts executions that this worker owns in the database but not in
/// memory (PROTOCOL 14).
pub(super) async fn take_over_loop(session: Arc<Session>) {
    let mut compared = Instant::now();
    // Look at once, and again soon: a worker that replaces a killed process then continues its work without
    // delay.
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

/// Returns how soon the next death can be seen, if that may be before the next regular look.
async fn take_over(session: &Session) -> Result<Option<Duration>, StoreError> {
    let deaths = session.store().dead().await?;
    for dead in deaths.dead {
        let freed = session.store().take_over(dead.incarnation).await?;
        if freed > 0 {
            tracing::info!(worker = %dead.incarnation, name = dead.name, freed, "took over from a dead worker");
            session.look_for_work();
        }
    }
    Ok(deaths.next)
}

/// Attempts run on here while their execution is suspended, so that their outcomes are not lost. Attempts of
/// other executions that this worker does not own are left.
async fn leave_attempts(session: &Session) -> Result<(), StoreError> {
    let unowned = session.attempts.runs().into_iter().filter(|id| !session.owns(*id));
    for id in unowned {
        match session.store().find(Find::Execution(id)).await? {
            Some(row) if row.status == ExecutionStatus::Suspended || row.owner == Some(session.me) => {}
            _ => session.leave_attempts(id),
        }
    }
    Ok(())
}

/// If the answer to a claim was lost, this worker owns rows that it does not run. This only tells their
/// threads, which read the executions, and ignore those that they already have (PROTOCOL 34).
async fn adopt(session: &Arc<Session>) -> Result<(), StoreError> {
    for id in session.store().owned(session.me).await? {
        if !session.owns(id) {
            tracing::debug!(execution = %id, "an execution is owned and not loaded: its thread is asked to read it");
            session.name_in_turn(id).await;
        }
    }
    Ok(())
}
