//! Steps schedules: starts the runs that are due (PROTOCOL 68, 73).

use super::claims::until;
use super::session::Session;
use crate::store::{RunKeys, STEPS_AT_ONCE, Stepped};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Steps what is due until the session ends: when the next schedule is due, when the store tells of one that is due
/// earlier or has a report, and once a poll. One worker of a process does it at a time. No lease is needed: any
/// process starts the same runs, and each slot once.
pub(super) async fn schedules_loop(session: Arc<Session>) {
    let _turn = session.hub().scheduling.lock().await;
    let mut news = session.store().schedule_news();
    let keys = keys(&session);
    while !session.draining.load(Ordering::Acquire) {
        let wait = step(&session, RunKeys::clone(&keys)).await;
        tokio::select! {
            biased;
            _ = news.changed() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

fn keys(session: &Session) -> RunKeys {
    let (store, host) = (Arc::clone(session.store()), session.abide.host().clone());
    Arc::new(move |now_ms| (store.execution_id(), host.run_id(now_ms)))
}

/// Returns how long to wait before the next step.
async fn step(session: &Arc<Session>, keys: RunKeys) -> Duration {
    let asked_ms = session.store().now_ms();
    match session.store().step_schedules(keys).await {
        Ok(Stepped { schedules, next_due_ms }) => {
            if schedules > 0 {
                session.hub().wake_workers();
            }
            // There is more: of other schedules, or of one that has many slots to catch up.
            let is_more = next_due_ms.is_some_and(|at_ms| at_ms <= asked_ms);
            match schedules >= STEPS_AT_ONCE as usize || schedules > 0 && is_more {
                true => Duration::ZERO,
                false => until(session, next_due_ms, asked_ms),
            }
        }
        Err(error) => {
            session.failed(&error);
            session.pace().poll
        }
    }
}
