//! The run that goes on for a run that ends here: which it is, who owns it, and when it begins (PROTOCOL 59, 63).

use super::run::Run;
use super::session::Session;
use crate::store::Successor;
use crate::wire::to_json;
use abide_core::exec::{Execution, Turn};
use abide_core::{Event, NextRun};

/// A run that lived for less than this is followed by one that begins this long after its start. Code that goes on
/// at once, for ever, must not fill the disk.
const SHORTEST_MS: i64 = 1_000;

/// A run that begins later is claimed by any worker then.
const OWNED_WITHIN_MS: i64 = 10_000;

/// Names the run that goes on, in the turn's last event, and describes it. `None`: none goes on.
pub(super) fn of(session: &Session, run: &Run, turn: &mut Turn) -> Option<Successor> {
    if !turn.hands_on() {
        return None;
    }
    let id = session.store().execution_id();
    let run_id = session.abide.host().run_id(turn.at_ms);
    turn.hand_on(NextRun { execution: id, run_id: run_id.clone() });
    let Some(Event::ContinuedAsNew { workflow_type, task_queue, delay_ms, input, .. }) = turn.events.last()
    else {
        return None;
    };
    let workflow_type = workflow_type.clone().unwrap_or_else(|| run.names.workflow_type.to_string());
    let queue = task_queue.clone().unwrap_or_else(|| run.names.queue.clone());
    let due_ms = due_ms(run.created_ms, turn.at_ms, delay_ms.unwrap_or(0));
    let stays = session.serves(&workflow_type, &queue);
    let context = run.exec().map(Execution::hands_on).unwrap_or_default();
    // Its own time begins when it does; that of the chain goes on.
    let own = context.run_timeout_ms.map(|limit_ms| due_ms.saturating_add(limit_ms));
    let close_by_ms = own.into_iter().chain(run.row.chain_by_ms).min();
    Some(Successor {
        id,
        workflow_id: run.names.workflow_id.to_string(),
        run_id,
        workflow_type,
        queue,
        input: input.as_json().to_owned(),
        context: (!context.is_empty()).then(|| to_json(&context)),
        owned: stays && due_ms <= turn.at_ms.saturating_add(OWNED_WITHIN_MS),
        due_ms,
        created_at_ms: turn.at_ms,
        attempt: 1,
        close_by_ms,
    })
}

/// When the next run begins, of a run that began at `created_ms` and ends now.
fn due_ms(created_ms: i64, now_ms: i64, delay_ms: i64) -> i64 {
    let earliest = created_ms.saturating_add(SHORTEST_MS);
    let earliest = if now_ms < earliest { earliest } else { now_ms };
    earliest.max(now_ms.saturating_add(delay_ms))
}

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
