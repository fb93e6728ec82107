//! The run that goes on for a run that ends here: which it is, who owns it, and when it begins (PROTOCOL 59, 63, 66).

use super::run::Run;
use super::session::Session;
use crate::store::Successor;
use crate::wire::to_json;
use abide_core::exec::{Execution, Turn};
use abide_core::{Event, NextAttempt, NextRun, Payload, StartContext};
use std::fmt::Display;

/// A run that lived for less than this is followed by one that begins this long after its start. Code that goes on
/// at once, for ever, must not fill the disk.
const SHORTEST_MS: i64 = 1_000;

/// A run that begins later is claimed by any worker then.
const OWNED_WITHIN_MS: i64 = 10_000;

/// What the run that goes on is.
struct Next {
    ids: NextRun,
    workflow_type: String,
    queue: String,
    input: Payload,
    context: StartContext,
    due_ms: i64,
    created_ms: i64,
    /// It is this worker's from its birth, if this worker can run it.
    may_stay: bool,
}

/// Names the run that goes on, in the turn's last event, and describes it. `None`: none goes on.
pub(super) fn of(session: &Session, run: &Run, turn: &mut Turn) -> Option<Successor> {
    if !turn.hands_on() {
        return None;
    }
    let ids = fresh(session, turn.at_ms);
    turn.hand_on(ids.clone());
    let attempt = turn.next_attempt_ms.and_then(|due_ms| run.exec()?.next_attempt(due_ms));
    let next = match (turn.events.last(), attempt) {
        (Some(Event::ContinuedAsNew { workflow_type, task_queue, delay_ms, input, .. }), _) => Next {
            ids,
            workflow_type: workflow_type.clone().unwrap_or_else(|| run.names.workflow_type.to_string()),
            queue: task_queue.clone().unwrap_or_else(|| run.names.queue.clone()),
            input: input.clone(),
            context: run.exec().map(Execution::hands_on).unwrap_or_default(),
            due_ms: due_ms(run.created_ms, turn.at_ms, delay_ms.unwrap_or(0)),
            created_ms: turn.at_ms,
            may_stay: true,
        },
        (Some(Event::Failed { failure, .. }), Some(attempt)) => {
            tell_test(session, run, &attempt, failure);
            Next { may_stay: true, ..Next::attempt(run, ids, attempt, turn.at_ms) }
        }
        _ => return None,
    };
    Some(next.successor(session, run))
}

/// The next attempt of a run whose time is up now. No worker owns it: this one may not have its code (PROTOCOL 40).
pub(super) fn after_time_out(
    session: &Session,
    run: &Run,
    attempt: NextAttempt,
    now_ms: i64,
) -> (NextRun, Successor) {
    let ids = fresh(session, now_ms);
    tell_test(session, run, &attempt, &"its run limit");
    (ids.clone(), Next::attempt(run, ids, attempt, now_ms).successor(session, run))
}

/// A test environment says with what the last attempt has failed.
fn tell_test(session: &Session, run: &Run, attempt: &NextAttempt, failure: &dyn Display) {
    if let Some(test) = session.abide.host().test() {
        test.workflow_failed(&run.names.workflow_id, attempt.context.failed_runs, &failure.to_string());
    }
}

fn fresh(session: &Session, now_ms: i64) -> NextRun {
    NextRun { execution: session.store().execution_id(), run_id: session.abide.host().run_id(now_ms) }
}

impl Next {
    fn attempt(run: &Run, ids: NextRun, attempt: NextAttempt, created_ms: i64) -> Self {
        let NextAttempt { due_ms, input, context } = attempt;
        let (workflow_type, queue) = (run.names.workflow_type.to_string(), run.names.queue.clone());
        Self { ids, workflow_type, queue, input, context, due_ms, created_ms, may_stay: false }
    }

    fn successor(self, session: &Session, run: &Run) -> Successor {
        let Self { ids, workflow_type, queue, input, context, due_ms, created_ms, may_stay } = self;
        let stays = may_stay && session.serves(&workflow_type, &queue);
        // Its own time begins when it does; that of the chain goes on.
        let own = context.run_timeout_ms.map(|limit_ms| due_ms.saturating_add(limit_ms));
        Successor {
            id: ids.execution,
            workflow_id: run.names.workflow_id.to_string(),
            run_id: ids.run_id,
            workflow_type,
            queue,
            input: input.as_json().to_owned(),
            attempt: context.attempt(),
            context: (!context.is_empty()).then(|| to_json(&context)),
            owned: stays && due_ms <= created_ms.saturating_add(OWNED_WITHIN_MS),
            due_ms,
            created_at_ms: created_ms,
            close_by_ms: own.into_iter().chain(run.row.chain_by_ms).min(),
        }
    }
}

/// When the next run begins, of a run that began at `created_ms` and ends now.
fn due_ms(created_ms: i64, now_ms: i64, delay_ms: i64) -> i64 {
    let earliest = created_ms.saturating_add(SHORTEST_MS);
    let earliest = if now_ms < earliest { earliest } else { now_ms };
    earliest.max(now_ms.saturating_add(delay_ms))
}

#[cfg(test)]
#[cfg(feature = "testing")]
#[path = "successor_tests.rs"]
mod tests;

#[test]
fn a_short_run_is_followed_a_second_after_its_start() {
    assert_eq!(due_ms(1_000, 1_000, 0), 2_000);
    assert_eq!(due_ms(1_000, 1_999, 0), 2_000);
    assert_eq!(due_ms(1_000, 2_000, 0), 2_000);
    assert_eq!(due_ms(1_000, 9_000, 0), 9_000);
    assert_eq!(due_ms(1_000, 9_000, 500), 9_500);
    assert_eq!(due_ms(1_000, 1_000, 500), 2_000);
    assert_eq!(due_ms(1_000, 1_000, i64::MAX), i64::MAX);
}
