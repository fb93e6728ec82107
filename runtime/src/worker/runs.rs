//! What a workflow thread does with one execution: it starts it, runs a turn, submits the append, and acts
//! once that is durable. It also releases and evicts executions.

use super::handed_in::HandedIn;
use super::handle::Busy;
use super::handle::Message;
use super::live::{BASE_BYTES, InFlight, Live, StartReply};
use super::session::lock;
use super::thread::Thread;
#[cfg(feature = "testing")]
use super::verify;
use super::{attempts, news, turn};
use crate::store::{Append, NewExecution, RowChange, StartAnswer};
use abide_core::ExecutionId;
use abide_core::exec::{Execution, Input, Standing, Suspension, Turn};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Thread {
    pub(super) fn start(&mut self, new: NewExecution, reply: StartReply) {
        let Some(workflow) = self.session.registry.workflow_type(&new.workflow_type) else {
            let _ = reply.send(Ok(None));
            return;
        };
        // The start is a retry whose first answer was lost. The execution was claimed meanwhile, and lives
        // here. The store knows the answer.
        if self.live.contains_key(&new.id) && !mutant!(StartOverLive) {
            return drop(reply.send(Ok(None)));
        }
        let mut live = Box::new(Live::starting(&new));
        let mut exec = Execution::new(workflow, live.info(), self.knows());
        let input = match abide_core::Payload::from_json(new.input.clone()) {
            Ok(input) => input,
            Err(error) => return drop(reply.send(Err(error.into()))),
        };
        let inputs = vec![Input::Start { input, seed: self.session.abide.host().seed() }];
        let first = self.run_turn(&mut live, &mut exec, inputs);
        if self.me.written_off.load(Ordering::Acquire) {
            return;
        }
        live.exec = Some(exec);
        let (append, mut in_flight) = turn::compose(&self.session, &mut live, first, turn::Taken::default());
        in_flight.start = Some(reply);
        // The new row already contains the change of its first turn.
        in_flight.known.iter_mut().for_each(|known| known.rev = 0);
        let Some(mut append) = append else { return };
        append.create = Some(Box::new(new));
        live.bytes += BASE_BYTES;
        self.bytes += live.bytes;
        self.submit(&mut live, append, in_flight);
        self.live.insert(live.id, live);
    }

    pub(super) fn turn(&mut self, live: &mut Live) {
        if self.reads_again(live) {
            return;
        }
        let Some(mut exec) = live.exec.take() else { return };
        let mut taken = turn::Taken::from(std::mem::take(&mut live.pending), &exec);
        let inputs = std::mem::take(&mut taken.inputs);
        let turn = self.run_turn(live, &mut exec, inputs);
        live.exec = Some(exec);
        if self.me.written_off.load(Ordering::Acquire) {
            return;
        }
        let before = live.bytes;
        let (append, in_flight) = turn::compose(&self.session, live, turn, taken);
        self.bytes += live.bytes - before;
        match append {
            Some(append) => self.submit(live, append, in_flight),
            None => self.done(live, in_flight),
        }
    }

    /// Reads an execution again, once, if its inbox has the outcome of an activity that the live state does
    /// not know. If the activity is still unknown then, the outcome is taken in with a warning: otherwise the
    /// execution would be read for ever.
    fn reads_again(&mut self, live: &mut Live) -> bool {
        let Some(activity) = live.unknown_activity() else {
            live.read_again = false;
            return false;
        };
        if std::mem::replace(&mut live.read_again, true) {
            tracing::warn!(execution = %live.id, %activity, "an outcome of an unknown activity is dropped");
            return false;
        }
        self.read_again(live);
        true
    }

    fn run_turn(&mut self, live: &mut Live, exec: &mut Execution, inputs: Vec<Input>) -> Turn {
        let _entered = news::span(live).entered();
        let now_ms = self.session.store().now_ms();
        #[cfg(feature = "testing")]
        if self.session.options.checks_replay {
            let given = inputs.clone();
            exec.format_everything();
            let mut turn = self.watched(live.id, exec, |exec| exec.turn(inputs, now_ms));
            if let Some(workflow) = self.session.registry.workflow_type(&live.names.workflow_type) {
                verify::turn(live, exec, workflow, &mut turn, given);
            }
            return turn;
        }
        self.watched(live.id, exec, |exec| exec.turn(inputs, now_ms))
    }

    /// Runs workflow code under the watchdog.
    pub(super) fn watched<T>(
        &mut self,
        execution: ExecutionId,
        exec: &mut Execution,
        run: impl FnOnce(&mut Execution) -> T,
    ) -> T {
        self.turns += 1;
        let busy = Busy { execution, turn: self.turns, position: exec.position() };
        *lock(&self.me.busy) = Some(busy);
        let result = run(exec);
        *lock(&self.me.busy) = None;
        result
    }

    pub(super) fn submit(&mut self, live: &mut Live, append: Append, in_flight: InFlight) {
        let in_flight = self.mutated(live, in_flight);
        live.in_flight = Some(in_flight);
        let Some(handed_in) = HandedIn::by(&self.me) else { return };
        let execution = live.id;
        let ack = move |result| drop(handed_in.thread().send(Message::Acked { execution, result }));
        self.session.store().submit(append, Box::new(ack));
    }

    /// What mutants do before an append is durable. Without mutants it does nothing.
    fn mutated(&mut self, live: &mut Live, mut in_flight: InFlight) -> InFlight {
        if mutant!(ActBeforeDurable) {
            let known = live.known;
            live.known = in_flight.known.unwrap_or(known);
            self.perform(live, in_flight.actions.clone());
            live.known = known;
        }
        if mutant!(AckBeforeCommit) {
            let replies = in_flight.origins.iter_mut().filter_map(|origin| origin.reply.take());
            replies.for_each(|reply| drop(reply.send(Ok(Some(())))));
        }
        in_flight
    }

    /// The append is durable, or there was nothing to write: its effects may now become visible.
    pub(super) fn done(&mut self, live: &mut Live, in_flight: InFlight) {
        let InFlight { actions, standing, origins, start, known, close, news, .. } = in_flight;
        news.tell(&self.session, live, close.as_ref());
        live.known = known.unwrap_or(live.known);
        for origin in &origins {
            if let Input::Attempt { activity, attempt, .. } = origin.input {
                self.session.attempts.settle(live.id, activity, attempt);
            }
            live.saw_no_more(origin.row);
        }
        // A suspect that only waits runs nothing that could end the process. So the next suspect may run.
        if live.known.crashes == 0 || !live.known.active {
            self.session.clear_suspect(live.id);
        }
        if standing == Standing::Open {
            if let Some(start) = start {
                self.session.set_owned(live.id, Arc::clone(&self.me));
                let _ = start.send(Ok(Some(StartAnswer::Started)));
            }
            self.perform(live, actions);
        } else {
            self.ended(live, actions, close);
            if let Some(start) = start {
                let _ = start.send(Ok(Some(StartAnswer::Started)));
            }
        }
        origins.into_iter().filter_map(|o| o.reply).for_each(|reply| drop(reply.send(Ok(Some(())))));
    }

    /// Suspends an execution whose live state cannot do it.
    pub(super) fn suspend(&mut self, live: &mut Live, reason: Suspension) {
        let at_ms = self.session.store().now_ms();
        let row = turn::suspension(&self.session, live, &reason, at_ms);
        let standing = Standing::Suspended(reason);
        self.finish_with(live, row, standing);
    }

    pub(super) fn release(&mut self, live: &mut Live) {
        let now_ms = self.session.store().now_ms();
        let outstanding = live.exec.as_ref().map(Execution::outstanding);
        let retry = outstanding
            .iter()
            .flatten()
            .chain(&live.delayed)
            .map(|start| start.not_before_ms.unwrap_or(now_ms))
            .min();
        // An attempt that was asked to stop, is waited for and runs nowhere ends when the next owner loads
        // the execution. So the execution is due at once (PROTOCOL 17).
        let stopping = live.exec.as_ref().is_some_and(|exec| !exec.cancelling().is_empty());
        let unknown = live.exec.is_none() && live.known.active || stopping && !mutant!(NeverDue);
        let timer = live.exec.as_ref().map_or(live.timer_ms, Execution::next_timer_ms);
        let wake = timer.into_iter().chain(retry).chain(unknown.then_some(now_ms)).min();
        // The next owner starts queued attempts without an append before. So the row must already say that an
        // attempt may be running, or its loss is not noticed.
        let active = live.exec.as_ref().map_or(live.known.active, |exec| exec.any_due(now_ms));
        let wake = wake.filter(|_| !mutant!(ForgetWakeAt));
        let row =
            RowChange { release: true, wake_at_ms: Some(wake), active: Some(active), ..RowChange::default() };
        self.finish_with(live, row, Standing::Open);
    }

    /// Writes a last change of the row, after which this worker does not own the execution.
    fn finish_with(&mut self, live: &mut Live, row: RowChange, standing: Standing) {
        let at_ms = self.session.store().now_ms();
        // The append includes outcomes that are not yet written. The next owner takes them in.
        let outcomes = self.session.attempts.outcomes(live.id);
        let origin = |(activity, attempt, outcome)| Input::Attempt { activity, attempt, outcome }.into();
        let origins = outcomes.iter().cloned().map(origin).collect();
        let messages = outcomes.into_iter().map(|outcome| attempts::message(live.id, outcome, at_ms));
        let append = Append {
            row: Some(row),
            rev: Some(live.known.rev),
            messages: messages.collect(),
            ..Append::bare(self.session.me, live.id, at_ms)
        };
        let in_flight = InFlight { releases: true, origins, ..InFlight::of(standing) };
        // Drop the live state first: a released execution must not be touched again.
        let gone = live.exec.take();
        #[cfg(feature = "mutants")]
        self.old.extend(gone.filter(|_| mutant!(RestoreOldState)).map(|exec| (live.id, exec)));
        #[cfg(not(feature = "mutants"))]
        drop(gone);
        self.submit(live, append, in_flight);
    }

    /// If live states exceed the memory budget, drops the least recently used, down to 7/8 of it. Those that
    /// run no activity are also released in the store.
    pub(super) fn evict(&mut self) {
        let budget = self.session.options.cache_bytes / self.session.options.threads;
        if self.bytes <= budget {
            return;
        }
        let idle = self.live.values().filter(|live| live.exec.is_some() && live.is_idle());
        let mut oldest: Vec<_> = idle.map(|live| (live.used, live.id)).collect();
        oldest.sort_unstable();
        for (_, execution) in oldest {
            if self.bytes <= budget / 8 * 7 {
                return;
            }
            let Some(mut live) = self.live.remove(&execution) else { continue };
            self.bytes -= live.bytes.min(self.bytes);
            live.bytes = 0;
            match live.exec.as_ref().is_some_and(Execution::has_activities) {
                true => live.unload(),
                false => self.release(&mut live),
            }
            self.live.insert(execution, live);
        }
    }
}
