//! Finds work: claims runs that are due.

use super::lock::lock;
use super::session::Session;
use crate::store::{Claim, ExecutionRow, SUSPECT_FROM, Suspicion};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// The most rows that one claim takes.
const CLAIM_LIMIT: u32 = 100;
/// How long a suspect runs before the next suspect may start beside it.
const ALONE: Duration = Duration::from_secs(10);

/// When an arm is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rhythm {
    /// When something may have changed, when the next execution is due, and once a poll.
    Woken,
    /// Once in [`Pace::unknown`](crate::host::Pace::unknown).
    Slow,
}

/// One kind of work that workers claim.
struct Arm {
    rhythm: Rhythm,
    /// Whether this worker takes part. An arm for every worker, whatever it has registered, says `true`.
    takes_part: fn(&Session) -> bool,
    /// What it asks for.
    claim: fn(&Session) -> Claim,
}

/// All arms. A worker whose registrations give it no part in an arm never asks for it.
static ARMS: [Arm; 2] = [
    // Executions of its types.
    Arm {
        rhythm: Rhythm::Woken,
        takes_part: has_workflows,
        claim: |session| claim(session, Some(session.registry.workflow_names()), next_suspect(session)),
    },
    // Executions whose type no worker of the queue has. Their threads suspend them, so that a client gets the reason
    // instead of waiting in silence. A worker that has the type takes such an execution from there.
    Arm { rhythm: Rhythm::Slow, takes_part: has_workflows, claim: |session| claim(session, None, None) },
];

fn has_workflows(session: &Session) -> bool {
    !session.registry.workflow_names().is_empty()
}

/// The arms of this rhythm in which the worker takes part.
fn arms(session: &Session, rhythm: Rhythm) -> Vec<&'static Arm> {
    ARMS.iter().filter(|arm| arm.rhythm == rhythm && (arm.takes_part)(session)).collect()
}

/// Claims executions that are due, until the session ends. A worker that takes part in no arm has nothing to do here.
pub(super) async fn claim_loop(session: Arc<Session>) {
    let arms = arms(&session, Rhythm::Woken);
    if arms.is_empty() {
        return;
    }
    let mut changes = session.store().changes();
    while !session.draining.load(Ordering::Acquire) {
        let mut wait = session.pace().poll;
        for arm in &arms {
            wait = wait.min(ask(&session, arm).await);
        }
        tokio::select! {
            biased;
            () = session.claim_hint.notified() => {}
            _ = changes.changed() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Claims the work of one arm. Returns how long to wait before the next claim.
async fn ask(session: &Arc<Session>, arm: &Arm) -> Duration {
    let asked_ms = session.store().now_ms();
    match session.store().claim((arm.claim)(session)).await {
        Ok(claimed) => {
            let is_full = |rows: &[ExecutionRow]| rows.len() >= CLAIM_LIMIT as usize;
            let mut full = is_full(&claimed.rows);
            take(session, claimed.rows).await;
            if claimed.offered {
                match session.store().claim_offered((arm.claim)(session)).await {
                    Ok(rows) => {
                        full |= is_full(&rows);
                        take(session, rows).await;
                    }
                    Err(error) => session.failed(&error),
                }
            }
            if full { Duration::ZERO } else { until(session, claimed.next_due_ms, asked_ms) }
        }
        Err(error) => {
            session.failed(&error);
            session.pace().poll
        }
    }
}

/// The highest crash count that the next claimed suspect may have; `None` while no further suspect may run
/// (PROTOCOL 19). A suspect that has run for `ALONE` without harm no longer holds up the others. Suspects
/// that died alone with their worker wait until this worker has lived for a while without them. Then a death
/// that follows is evidence, and killing workers within seconds of their start never incriminates an innocent
/// execution.
fn next_suspect(session: &Session) -> Option<u32> {
    let busy = lock(&session.suspects).values().any(|since| since.elapsed() < ALONE);
    (!busy).then(|| most_crashes(session.since.elapsed()))
}

fn most_crashes(age: Duration) -> u32 {
    match age.as_secs() {
        0 => SUSPECT_FROM,
        1..4 => SUSPECT_FROM + 1,
        4..16 => SUSPECT_FROM + 2,
        16..64 => SUSPECT_FROM + 3,
        _ => u32::MAX,
    }
}

fn claim(session: &Session, types: Option<Vec<String>>, suspect: Option<u32>) -> Claim {
    Claim {
        owner: session.me,
        queues: vec![session.queue.clone()],
        types,
        build: session.options.build.clone(),
        limit: CLAIM_LIMIT,
        suspicion: Suspicion { suspect, crash_limit: session.options.max_crashes },
    }
}

/// How long to wait after a claim that was sent at `asked_ms` and returned the next due time `due_ms`.
pub(super) fn until(session: &Session, due_ms: Option<i64>, asked_ms: i64) -> Duration {
    wait(due_ms, asked_ms, session.store().now_ms(), session.pace().poll)
}

/// If `due_ms` is not after `asked_ms`, the execution was due but not taken: this worker may not run it now,
/// so wait a full poll instead of looping. If it became due since then, it was too late for that claim: the
/// next claim follows at once.
fn wait(due_ms: Option<i64>, asked_ms: i64, now_ms: i64, poll: Duration) -> Duration {
    let next = due_ms.filter(|at_ms| *at_ms > asked_ms);
    let left = |at_ms: i64| Duration::from_millis(u64::try_from(at_ms.saturating_sub(now_ms)).unwrap_or(0));
    next.map_or(poll, |at_ms| left(at_ms).min(poll))
}

/// Tells each thread which of its executions were claimed; the thread reads them. Waits while enough are
/// being read.
async fn take(session: &Arc<Session>, rows: Vec<ExecutionRow>) {
    for row in rows {
        if (SUSPECT_FROM..session.options.max_crashes).contains(&row.crashes) {
            lock(&session.suspects).insert(row.id, Instant::now());
        }
        session.name_in_turn(row.id).await;
    }
}

/// Claims what need not be found at once, until the session ends.
pub(super) async fn slow_claim_loop(session: Arc<Session>) {
    let arms = arms(&session, Rhythm::Slow);
    while !arms.is_empty() && !session.draining.load(Ordering::Acquire) {
        tokio::time::sleep(session.pace().unknown).await;
        for arm in &arms {
            ask(&session, arm).await;
        }
    }
}

#[cfg(test)]
#[cfg(feature = "testing")]
#[path = "claims_tests.rs"]
mod tests;
