//! The loop of a workflow thread. It takes all messages that have arrived, then advances each run that they
//! concern. So a burst of outcomes becomes one turn and one append. It never waits for the store:
//! acknowledgements arrive as messages too.
//!
//! In a program the thread is one of the operating system. In a simulated process of a test it is a task on
//! the only thread, and waits for its mailbox without blocking. Everything else is the same code.

use super::commit::Next;
use super::handle::ThreadHandle;
use super::inputs::{Pending, SendReply};
use super::mailbox::Message;
use super::run::{Phase, Run};
use super::session::Session;
use super::thread::Thread;
use super::{outcomes, query};
use crate::store::{AppendOutcome, NewMessage, StoreError};
use abide_core::ExecutionId;
use abide_core::exec::{AttemptOutcome, Input};
use std::cmp::Reverse;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// Begins all threads of a session.
pub(super) fn spawn_all(session: &Arc<Session>) {
    session.put_threads((0..session.options.threads).map(|index| spawn(session, index)).collect());
}

/// Begins a thread.
pub(super) fn spawn(session: &Arc<Session>, index: usize) -> Arc<ThreadHandle> {
    let (sender, receiver) = channel();
    let handle = Arc::new(ThreadHandle::new(index, sender));
    let (session, me) = (Arc::clone(session), Arc::clone(&handle));
    if session.abide.host().test().is_some() {
        tokio::task::spawn_local(async move { Thread::new(session, me).run_beside(receiver).await });
        return handle;
    }
    // The watchdog, which replaces threads, calls this on the engine's own runtime; the threads use the
    // user's.
    let tokio = session.runtime.clone();
    let named = std::thread::Builder::new().name(format!("abide-workflow-{index}"));
    let spawned = named.spawn(move || {
        let _tokio = tokio.enter();
        run(session, me, &receiver);
    });
    if let Err(error) = spawned {
        tracing::error!("a workflow thread could not be started: {error}");
        handle.gone.cancel();
    }
    handle
}

fn run(session: Arc<Session>, me: Arc<ThreadHandle>, receiver: &Receiver<Message>) {
    let handle = Arc::clone(&me);
    let ran = catch_unwind(AssertUnwindSafe(|| Thread::new(session, me).run(receiver)));
    if ran.is_err() {
        // The watchdog gives its runs to another thread.
        handle.panicked.store(true, Ordering::Release);
    }
}

impl Thread {
    /// Runs until the thread is stopped.
    fn run(mut self, receiver: &Receiver<Message>) {
        loop {
            let first = match self.next_due() {
                None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(wait) => receiver.recv_timeout(wait),
            };
            let first = match first {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if self.round(first, receiver).is_break() {
                return;
            }
        }
    }

    /// The same for a thread that is a task among others: it waits without blocking.
    async fn run_beside(mut self, receiver: Receiver<Message>) {
        loop {
            let first = receiver.try_recv().ok();
            if first.is_some() || self.next_due() == Some(Duration::ZERO) {
                if self.round(first, &receiver).is_break() {
                    return;
                }
                tokio::task::yield_now().await;
                continue;
            }
            let (due, me) = (self.next_due(), Arc::clone(&self.me));
            tokio::select! {
                biased;
                () = me.arrived.notified() => {}
                () = tokio::time::sleep(due.unwrap_or_default()), if due.is_some() => {}
            }
        }
    }

    /// Takes in the messages that have arrived, and advances each run that they concern.
    pub(super) fn round(&mut self, first: Option<Message>, receiver: &Receiver<Message>) -> ControlFlow<()> {
        if let Some(first) = first {
            for message in std::iter::once(first).chain(receiver.try_iter().take(1_024)) {
                if matches!(message, Message::Stop) || self.is_written_off() {
                    return ControlFlow::Break(());
                }
                self.take(message);
            }
        }
        self.wake_due();
        // An advanced run may have more to do at once. Nothing else would wake the thread for it.
        while !self.dirty.is_empty() {
            for execution in std::mem::take(&mut self.dirty) {
                self.advance(execution);
                if self.is_written_off() {
                    return ControlFlow::Break(());
                }
            }
            if mutant!(LeaveDirty) {
                break;
            }
        }
        self.evict();
        self.drained();
        ControlFlow::Continue(())
    }

    fn next_due(&self) -> Option<Duration> {
        let Reverse((at_ms, _)) = self.timers.peek()?;
        let left_ms = u64::try_from(at_ms - self.session.store().now_ms()).unwrap_or(0);
        Some(Duration::from_millis(left_ms).min(self.session.pace().clock))
    }

    fn wake_due(&mut self) {
        let now_ms = self.session.store().now_ms();
        while let Some(Reverse((at_ms, execution))) = self.timers.peek().copied() {
            if at_ms > now_ms {
                break;
            }
            self.timers.pop();
            if let Some(run) = self.runs.get_mut(&execution).filter(|run| run.armed_ms == Some(at_ms)) {
                run.armed_ms = None;
                self.dirty.push(execution);
            }
        }
    }

    pub(super) fn take(&mut self, message: Message) {
        match message {
            Message::Start { new, reply } => self.start(*new, reply),
            Message::Own { execution } => self.own(execution),
            Message::Load(loaded) => self.loaded(*loaded),
            Message::Send { message, reply } => self.message(message, reply),
            Message::Inbox { execution, rows } => {
                if let Some(run) = self.touch(execution) {
                    run.mailbox.take_rows(rows);
                }
            }
            Message::Attempt { execution, activity, attempt, outcome } => match self.touch(execution) {
                Some(run) => run.mailbox.push(Input::Attempt { activity, attempt, outcome }),
                // The run was released while this message was on its way.
                None => outcomes::not_taken(&self.session, (execution, activity), attempt, outcome),
            },
            Message::Acked { execution, result } => self.acked(execution, result),
            Message::Read { execution, read } => match self.touch(execution) {
                Some(run) => run.mailbox.reads.push(read),
                None => query::not_here(read),
            },
            Message::Terminated { execution } => self.terminated(execution),
            Message::Drain(done) => {
                self.draining = Some(done);
                let mut all: Vec<ExecutionId> = self.runs.keys().copied().collect();
                all.sort_unstable();
                self.dirty.extend(all);
            }
            Message::Stop => {}
        }
    }

    fn message(&mut self, message: NewMessage, reply: SendReply) {
        match self.touch(message.execution) {
            Some(run) => {
                let input = Pending::read(message.kind, &message.body, message.request_id);
                run.mailbox.inputs.push(Pending { reply: Some(reply), ..input });
            }
            None => drop(reply.send(Ok(None))),
        }
    }

    /// An append was answered.
    fn acked(&mut self, execution: ExecutionId, result: Result<AppendOutcome, StoreError>) {
        let Some(mut run) = self.runs.remove(&execution) else { return };
        match self.acknowledge(&mut run, result) {
            Next::Advance => {}
            Next::ReadAgain { in_doubt } => self.read_again(&mut run, in_doubt),
            Next::Suspend(reason) => self.suspend(&mut run, reason),
            Next::LetGo { claimable } => {
                let has_limit = run.row.close_by_ms.is_some();
                self.let_go(run);
                if claimable {
                    // The run may be due soon. A claim then picks it up.
                    self.session.claim_hint.notify_one();
                }
                if has_limit {
                    // Its time may be up while no worker owns it, be it suspended.
                    self.session.ends_hint.notify_one();
                }
                return;
            }
        }
        self.dirty.push(execution);
        self.put(run);
    }

    /// Does what can be done now: a turn, starts that are due, reads, a release.
    fn advance(&mut self, execution: ExecutionId) {
        let Some(mut run) = self.runs.remove(&execution) else { return };
        match &run.phase {
            Phase::Evicted { .. } => {
                let due = run.due_ms().is_some_and(|at_ms| at_ms <= self.session.store().now_ms());
                if self.draining.is_some() && run.mailbox.inputs.is_empty() {
                    self.release(&mut run);
                } else if due || !run.mailbox.is_empty() {
                    self.read(&mut run, None, None);
                }
            }
            Phase::Idle(_) => self.advance_idle(&mut run),
            Phase::Writing(..) if mutant!(TwoInFlight) => self.advance_idle(&mut run),
            Phase::Loading { .. } | Phase::Writing(..) | Phase::Leaving(_) => {}
        }
        self.arm(&mut run);
        self.put(run);
    }

    fn advance_idle(&mut self, run: &mut Run) {
        let now_ms = self.session.store().now_ms();
        let Some(live) = run.phase.live_mut() else { return };
        let exec = &live.exec;
        if !exec.has_more() && !exec.wants_input() {
            // The live state is durable now, so a read need not wait for the next append.
            for read in run.mailbox.reads.drain(..) {
                query::answer(exec, read, &run.names.workflow_type);
            }
        }
        if let Some(end) = self.end_of(run) {
            return self.end_live(run, end);
        }
        let Some(live) = run.phase.live_mut() else { return };
        let exec = &live.exec;
        let due = exec.next_timer_ms().is_some_and(|at_ms| at_ms <= now_ms);
        let behind = self.draining.is_none() && live.is_row_behind(&run.row, now_ms);
        if due || !run.mailbox.inputs.is_empty() || exec.has_more() || behind {
            self.turn(run);
        }
        // Output of a written-off thread is in no journal: none of its activities may start.
        if matches!(run.phase, Phase::Idle(_)) && !self.is_written_off() {
            self.settled(run);
        }
    }

    /// No append is in flight: does the work that waited for that.
    fn settled(&mut self, run: &mut Run) {
        let Some(live) = run.phase.live_mut() else { return };
        if std::mem::take(&mut live.restart) {
            live.delayed = live.exec.outstanding();
            self.session.attempts.stop_others(run.id, &live.delayed);
            // These were asked to stop before, and do not run any more: they have stopped.
            let here = self.session.attempts.of(run.id);
            for (activity, attempt) in live.exec.cancelling().into_iter().filter(|(id, _)| !here.contains(id))
            {
                let outcome = AttemptOutcome::Cancelled;
                run.mailbox.push(Input::Attempt { activity, attempt, outcome });
                self.dirty.push(run.id);
            }
        }
        for read in run.mailbox.reads.drain(..) {
            query::answer(&live.exec, read, &run.names.workflow_type);
        }
        self.start_due(run);
        if self.draining.is_some() && run.is_idle() {
            self.release(run);
        }
    }

    /// Puts the run's next due time into the heap, if it is earlier than its entry there.
    fn arm(&mut self, run: &mut Run) {
        let Some(due_ms) = run.due_ms() else { return };
        if run.armed_ms.is_none_or(|armed| due_ms < armed) {
            run.armed_ms = Some(due_ms);
            self.timers.push(Reverse((due_ms, run.id)));
        }
        // Entries of closed runs stay until they are due. They are removed when the heap is more than twice
        // as long as the table of runs (plus 1,024).
        if self.timers.len() > 2 * self.runs.len() + 1_024 {
            let armed =
                |at_ms, id: &ExecutionId| self.runs.get(id).is_some_and(|run| run.armed_ms == Some(at_ms));
            self.timers.retain(|Reverse((at_ms, id))| *id == run.id || armed(*at_ms, id));
        }
    }

    fn drained(&mut self) {
        if let Some(done) = self.draining.as_ref().filter(|_| self.runs.is_empty()) {
            done.cancel();
        }
    }
}

#[cfg(test)]
#[cfg(feature = "testing")]
#[path = "rounds_tests.rs"]
mod tests;
