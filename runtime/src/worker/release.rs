//! How a run leaves the thread: it is released, suspended, let go or evicted.

use super::compose;
use super::inputs::{Pending, outcome_message};
use super::run::{InFlight, Phase, Run};
use super::thread::Thread;
use super::{news, outcomes, query};
use crate::store::{Append, RowChange};
use abide_core::ExecutionId;
use abide_core::exec::{Execution, Input, Outlook, Standing, Suspension};

impl Thread {
    /// Suspends a run whose live state cannot do it.
    pub(super) fn suspend(&mut self, run: &mut Run, reason: Suspension) {
        let at_ms = self.session.store().now_ms();
        let row = compose::suspension(&self.session, (run.id, &run.names, run.exec()), &reason, at_ms);
        self.leave(run, row, Standing::Suspended(reason));
    }

    /// Releases a run in the store, with the time when it is next due. Its live state is durable, or not in
    /// memory.
    pub(super) fn release(&mut self, run: &mut Run) {
        let now_ms = self.session.store().now_ms();
        let (wake, active) = match &run.phase {
            Phase::Idle(live) => {
                let Outlook { active, wake_at_ms } = live.exec.outlook(now_ms);
                // The next owner starts queued attempts without an append before. So the row must already say
                // that an attempt may be running, or its loss is not noticed.
                let at_once = (active && !mutant!(NeverDue)).then_some(now_ms);
                (wake_at_ms.into_iter().chain(at_once).min(), active)
            }
            Phase::Evicted { .. } => {
                let unknown = run.row.active.then_some(now_ms);
                (run.phase.due_ms().into_iter().chain(unknown).min(), run.row.active)
            }
            // Neither is asked for, and nothing may be written now.
            Phase::Loading { .. } | Phase::Writing(..) | Phase::Leaving(_) => return,
        };
        let wake = wake.filter(|_| !mutant!(ForgetWakeAt));
        let row =
            RowChange { release: true, wake_at_ms: Some(wake), active: Some(active), ..RowChange::default() };
        self.leave(run, row, Standing::Open);
    }

    /// Writes a last change of the row, after which this worker does not own the run.
    pub(super) fn leave(&mut self, run: &mut Run, row: RowChange, standing: Standing) {
        let at_ms = self.session.store().now_ms();
        // The append includes outcomes that are not yet written. The next owner takes them in.
        let outcomes = self.session.attempts.outcomes(run.id);
        let origin = |(activity, attempt, outcome)| Input::Attempt { activity, attempt, outcome }.into();
        let origins: Vec<Pending> = outcomes.iter().cloned().map(origin).collect();
        let messages = outcomes.into_iter().map(|outcome| outcome_message(run.id, outcome, at_ms));
        let append = Append {
            row: Some(row),
            rev: Some(run.row.rev),
            messages: messages.collect(),
            ..Append::bare(self.session.me, run.id, at_ms)
        };
        let in_flight = InFlight { releases: true, origins, ..InFlight::of(standing) };
        // Drop the live state first: a released run must not be touched again.
        let exec = run.phase.unload();
        #[cfg(feature = "mutants")]
        self.old.extend(exec.filter(|_| mutant!(RestoreOldState)).map(|exec| (run.id, exec)));
        #[cfg(not(feature = "mutants"))]
        drop(exec);
        self.submit(run, append, in_flight);
    }

    /// The run was terminated from outside.
    pub(super) fn terminated(&mut self, execution: ExecutionId) {
        if let Some(run) = self.runs.remove(&execution) {
            news::terminated(&run.names);
            self.session.attempts.drop_all(execution);
            self.lost(run);
        }
    }

    /// The run is closed, or another worker owns it. Its activities are asked to stop, except those that it may
    /// abandon, and nothing more is written.
    pub(super) fn lost(&mut self, mut run: Box<Run>) {
        let execution = run.id;
        self.session.attempts.leave(execution);
        if let Some(in_flight) = run.phase.answered() {
            in_flight.start.into_iter().for_each(|start| drop(start.send(Ok(None))));
            let replies = in_flight.origins.into_iter().filter_map(|origin| origin.reply);
            replies.for_each(|reply| drop(reply.send(Ok(None))));
        }
        self.let_go(run);
        self.session.hub().row_changed(execution);
    }

    /// Drops a run. All that waits for it is answered: it is not here.
    pub(super) fn let_go(&mut self, run: Box<Run>) {
        let run = *run;
        self.bytes -= run.bytes.min(self.bytes);
        for pending in run.mailbox.inputs {
            if let Some(reply) = pending.reply {
                let _ = reply.send(Ok(None));
            }
            // The outcome arrived while the run's last append was in flight.
            if let Input::Attempt { activity, attempt, outcome } = pending.input {
                outcomes::not_taken(&self.session, (run.id, activity), attempt, outcome);
            }
        }
        run.mailbox.reads.into_iter().for_each(query::not_here);
        self.session.disown(run.id);
        if run.named {
            self.session.name(run.id, None);
        }
    }

    /// If live states exceed the memory budget, drops the least recently used, down to 7/8 of it. Those that
    /// run no activity are also released in the store.
    pub(super) fn evict(&mut self) {
        let budget = self.session.options.cache_bytes / self.session.options.threads;
        if self.bytes <= budget {
            return;
        }
        let idle = self.runs.values().filter(|run| matches!(run.phase, Phase::Idle(_)) && run.is_idle());
        let mut oldest: Vec<_> = idle.map(|run| (run.used, run.id)).collect();
        oldest.sort_unstable();
        for (_, execution) in oldest {
            if self.bytes <= budget / 8 * 7 {
                return;
            }
            let Some(mut run) = self.runs.remove(&execution) else { continue };
            self.bytes -= run.bytes.min(self.bytes);
            run.bytes = 0;
            match run.exec().is_some_and(Execution::has_activities) {
                true => drop(run.phase.unload()),
                false => self.release(&mut run),
            }
            self.put(run);
        }
    }
}
