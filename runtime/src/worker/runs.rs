//! What a workflow thread does with one execution: starts it, runs a turn, hands the append to the store, and acts once
//! that is durable; releases and evicts.

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
        // A start whose answer was lost, asked again: its execution was claimed meanwhile, and lives here. The store knows it.
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
        // The change of its first turn is in the row from the beginning.
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

    /// Reads a run again, once, whose inbox has the outcome of an activity that its live state does not know. An outcome that still
    /// fits nothing is taken in with a warning: else the run would be read for ever.
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

    /// Runs workflow code under the watchdog's eyes.
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

    /// What mutants do before an append is durable: nothing, but in a build that has them.
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

    /// The append is durable, or there was nothing to write: now the outside may see it.
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
        // A suspect that only waits runs nothing that could end the process: the next one may run.
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

    /// Suspends an execution whose live state cannot say so itself.
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
        // What was asked to stop, is waited for and runs nowhere: whoever loads it ends it, so it is due at once (PROTOCOL 17).
        let stopping = live.exec.as_ref().is_some_and(|exec| !exec.cancelling().is_empty());
        let unknown = live.exec.is_none() && live.known.active || stopping && !mutant!(NeverDue);
        let timer = live.exec.as_ref().map_or(live.timer_ms, Execution::next_timer_ms);
        let wake = timer.into_iter().chain(retry).chain(unknown.then_some(now_ms)).min();
        // What is queued is started by the next owner without an append before it: the row must say beforehand that
        // an attempt may be running there, or its loss is not noticed.
        let active = live.exec.as_ref().map_or(live.known.active, |exec| exec.any_due(now_ms));
        let wake = wake.filter(|_| !mutant!(ForgetWakeAt));
        let row =
            RowChange { release: true, wake_at_ms: Some(wake), active: Some(active), ..RowChange::default() };
        self.finish_with(live, row, Standing::Open);
    }

    /// Writes a last change of the row, after which the execution is not owned here.
    fn finish_with(&mut self, live: &mut Live, row: RowChange, standing: Standing) {
        let at_ms = self.session.store().now_ms();
        // Outcomes that nobody has written go along: whoever has the execution next takes them in.
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
        // The live state goes first: what is released must not be touched again.
        let gone = live.exec.take();
        #[cfg(feature = "mutants")]
        self.old.extend(gone.filter(|_| mutant!(RestoreOldState)).map(|exec| (live.id, exec)));
        #[cfg(not(feature = "mutants"))]
        drop(gone);
        self.submit(live, append, in_flight);
    }

    /// Drops the live state of the least recently used when there is more than the budget, down to 7/8 of it. What
    /// runs no activity is set free in the store as well.
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
