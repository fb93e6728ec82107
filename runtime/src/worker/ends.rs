//! Ends without code: a run that is told to terminate, or whose time is up (PROTOCOL 40). The worker that owns it, or
//! claims it, writes the end at the next place of its journal, before any code of it runs: no type, queue or replay is
//! needed.

use super::claims::until;
use super::compose::{close_of, report_to};
use super::run::{InFlight, RowState, Run};
use super::session::Session;
use super::stored::Found;
use super::successor;
use super::thread::Thread;
use crate::status::ExecutionStatus;
use crate::store::{Append, ExecutionRow, RowChange};
use abide_core::exec::{Recorded, Standing};
use abide_core::{Event, EventId, Payload, StartContext, TimeoutKind};
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

/// What the run's journal says of it; that of a run without one, its row. `None`: neither is readable.
fn recorded(found: Found) -> Option<Recorded> {
    let journal = found.journal.ok()?;
    let context =
        found.row.context.map_or_else(|| Ok(StartContext::default()), |text| serde_json::from_str(&text));
    let context = context.ok()?;
    if !journal.rows.is_empty() {
        // Its first turn may have been suspended before it had taken in all that came with the start.
        return Some(Recorded::of(&found.row.run_id, &journal.rows)?.with_first(context.first));
    }
    let input = Payload::from_json(found.row.input?).ok()?;
    Some(Recorded::unbegun(input, context))
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
        Some(Event::TimedOut { kind, next: None })
    }

    /// Writes the end of a live run, whose history is durable.
    pub(super) fn end_live(&mut self, run: &mut Run, event: Event) {
        match run.exec() {
            // What another attempt begins with is in the journal (PROTOCOL 40).
            Some(exec) if exec.may_be_retried() && matches!(event, Event::TimedOut { .. }) => {
                self.read_again(run, None);
            }
            Some(exec) => {
                let history_len = exec.history_len();
                self.end(run, history_len, event, None);
            }
            None => {}
        }
    }

    /// Writes the end of a run that was read.
    pub(super) fn end_read(&mut self, run: &mut Run, found: Found, event: Event) {
        let history_len = found.row.history_len;
        let recorded = matches!(event, Event::TimedOut { .. }).then(|| recorded(found)).flatten();
        self.end(run, history_len, event, recorded);
    }

    /// Writes the end of a run whose history has `history_len` events, all of them durable. Nothing that waits for
    /// it is taken in: it is dropped, or moves to the next attempt. `recorded`: what its journal says for that one.
    fn end(&mut self, run: &mut Run, history_len: u64, mut event: Event, recorded: Option<Recorded>) {
        drop(run.phase.unload());
        self.session.attempts.drop_all(run.id);
        let at_ms = self.session.store().now_ms();
        let attempt = recorded.and_then(|recorded| recorded.next_attempt(at_ms, run.row.chain_by_ms));
        let successor = attempt.map(|attempt| {
            let (ids, successor) = successor::after_time_out(&self.session, run, attempt, at_ms);
            if let Event::TimedOut { next, .. } = &mut event {
                *next = Some(ids);
            }
            Box::new(successor)
        });
        let close = close_of(&event);
        let append = Append {
            seq: EventId(history_len + 1),
            n: 1,
            body: format!("[{}]", close.result),
            rev: Some(run.row.rev),
            close: Some(close),
            report: report_to(run, &event),
            scheduled: run.row.scheduled,
            successor,
            orphans: true,
            ..Append::bare(self.session.me, run.id, at_ms)
        };
        let in_flight =
            InFlight { close: Some(event), bears: append.bears(), ..InFlight::of(Standing::Closed) };
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
