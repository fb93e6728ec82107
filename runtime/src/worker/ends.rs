//! Ends without code: a run that is told to terminate, or whose time is up (PROTOCOL 40). The worker that owns it, or
//! claims it, writes the end at the next place of its journal, before any code of it runs: no type, queue or replay is
//! needed.

use super::claims::until;
use super::compose::{close_of, report_of};
use super::run::{InFlight, RowState, Run};
use super::session::Session;
use super::thread::Thread;
use crate::status::ExecutionStatus;
use crate::store::{Append, ExecutionRow, RowChange};
use abide_core::exec::Standing;
use abide_core::{Event, EventId, TimeoutKind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The most runs that one claim takes.
const CLAIM_LIMIT: u32 = 100;

/// Claims runs that are to end and that no worker owns, until the session ends. Every worker does: such a run may be of
/// a type, or in a task queue, that no worker has.
pub(super) async fn claim_loop(session: Arc<Session>) {
    let mut changes = session.store().changes();
    while !session.draining.load(Ordering::Acquire) {
        let wait = claim(&session).await;
        tokio::select! {
            biased;
            () = session.ends_hint.notified() => {}
            _ = changes.changed() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Returns how long to wait before the next claim.
async fn claim(session: &Arc<Session>) -> Duration {
    let asked_ms = session.store().now_ms();
    match session.store().claim_ends(session.me, CLAIM_LIMIT).await {
        Ok(claimed) => {
            let is_full = claimed.runs.len() >= CLAIM_LIMIT as usize;
            for run in claimed.runs {
                session.name_in_turn(run).await;
            }
            if is_full { Duration::ZERO } else { until(session, claimed.next_due_ms, asked_ms) }
        }
        Err(error) => {
            session.failed(&error);
            session.pace().poll
        }
    }
}

impl RowState {
    /// The limit that has run out.
    fn ran_out(&self, now_ms: i64) -> Option<TimeoutKind> {
        let close_by_ms = self.close_by_ms.filter(|at_ms| *at_ms <= now_ms)?;
        let is_the_chains = self.chain_by_ms.is_some_and(|at_ms| at_ms <= close_by_ms);
        Some(if is_the_chains { TimeoutKind::Execution } else { TimeoutKind::Run })
    }
}

impl Thread {
    /// The end that the run has come to.
    pub(super) fn end_of(&self, run: &Run) -> Option<Event> {
        if let Some(reason) = &run.mailbox.terminate {
            return Some(Event::Terminated { reason: reason.clone() });
        }
        let kind = run.row.ran_out(self.session.store().now_ms())?;
        Some(Event::TimedOut { kind })
    }

    /// Writes the end of a run whose history has `history_len` events, all of them durable. Nothing that waits for
    /// it is taken in.
    pub(super) fn end(&mut self, run: &mut Run, history_len: u64, event: Event) {
        drop(run.phase.unload());
        self.session.attempts.drop_all(run.id);
        let close = close_of(&event);
        let append = Append {
            seq: EventId(history_len + 1),
            n: 1,
            body: format!("[{}]", close.result),
            rev: Some(run.row.rev),
            close: Some(close),
            // Nothing is told where the row has no parent.
            report: report_of(&event),
            orphans: true,
            ..Append::bare(self.session.me, run.id, self.session.store().now_ms())
        };
        let in_flight = InFlight { close: Some(event), ..InFlight::of(Standing::Closed) };
        self.submit(run, append, in_flight);
    }

    /// Whether this worker may run the run. It may own one for its end alone, which has not come yet by its own
    /// clock: of another task queue, of a type that it does not have, or suspended.
    pub(super) fn may_run(&self, row: &ExecutionRow) -> bool {
        let session = &self.session;
        // A claim that may run it, be it to suspend it for its type, has set `active`.
        let is_known = row.active || session.registry.workflow_type(&row.workflow_type).is_some();
        row.status == ExecutionStatus::Running && row.queue == session.queue && is_known
    }

    /// Gives a run back as it is.
    pub(super) fn give_back(&mut self, run: &mut Run) {
        self.leave(run, RowChange { release: true, ..RowChange::default() }, Standing::Open);
    }
}
