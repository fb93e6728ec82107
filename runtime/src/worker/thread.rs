//! A workflow thread: runs the turns of the executions that it owns.
//!
//! It takes all messages that have arrived, then advances each execution that they concern. So a burst of
//! outcomes becomes one turn and one append. It never waits for the store: acknowledgements arrive as
//! messages too.

use super::attempts;
use super::handle::{Message, ThreadHandle};
use super::live::{Live, Look, Pending, SendReply, input_of};
use super::load;
use super::session::{Session, lock};
use crate::store::NewMessage;
use abide_core::ExecutionId;
use abide_core::exec::{ActivityStart, AttemptOutcome, Input};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

pub(super) struct Thread {
    pub(super) session: Arc<Session>,
    pub(super) me: Arc<ThreadHandle>,
    /// Boxed, because each turn takes its execution out and puts it back.
    pub(super) live: HashMap<ExecutionId, Box<Live>>,
    timers: BinaryHeap<Reverse<(i64, ExecutionId)>>,
    dirty: Vec<ExecutionId>,
    draining: Option<CancellationToken>,
    /// The state that a mutant restores for executions that come back.
    #[cfg(feature = "mutants")]
    pub(super) old: HashMap<ExecutionId, abide_core::exec::Execution>,
    knows: Rc<dyn Fn(&str) -> bool>,
    pub(super) bytes: usize,
    clock: u64,
    pub(super) turns: u64,
    /// How many loads the thread has requested.
    loads: u64,
}

impl Thread {
    pub(super) fn new(session: Arc<Session>, me: Arc<ThreadHandle>) -> Self {
        let registry = Arc::clone(&session.registry);
        Self {
            session,
            me,
            live: HashMap::new(),
            timers: BinaryHeap::new(),
            dirty: Vec::new(),
            draining: None,
            #[cfg(feature = "mutants")]
            old: HashMap::new(),
            knows: Rc::new(move |activity| registry.activity_entry(activity).is_some()),
            bytes: 0,
            clock: 0,
            turns: 0,
            loads: 0,
        }
    }

    /// Runs until the thread is stopped.
    pub(super) fn run(mut self, receiver: &Receiver<Message>) {
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
    #[cfg(feature = "testing")]
    pub(super) async fn run_beside(mut self, receiver: Receiver<Message>) {
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

    /// Takes in the messages that have arrived, and advances each execution that they concern.
    fn round(&mut self, first: Option<Message>, receiver: &Receiver<Message>) -> ControlFlow<()> {
        if let Some(first) = first {
            for message in std::iter::once(first).chain(receiver.try_iter().take(1_024)) {
                if matches!(message, Message::Stop) || self.me.written_off.load(Ordering::Acquire) {
                    return ControlFlow::Break(());
                }
                self.take(message);
            }
        }
        self.wake_due();
        // An advanced execution may have more to do at once. Nothing else would wake the thread for it.
        while !self.dirty.is_empty() {
            for execution in std::mem::take(&mut self.dirty) {
                self.advance(execution);
                if self.me.written_off.load(Ordering::Acquire) {
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
            if let Some(live) = self.live.get_mut(&execution).filter(|live| live.armed_ms == Some(at_ms)) {
                live.armed_ms = None;
                self.dirty.push(execution);
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Start { new, reply } => self.start(*new, reply),
            Message::Own { execution } => self.own(execution),
            Message::Load(loaded) => self.load(*loaded),
            Message::Send { message, reply } => self.message(message, reply),
            Message::Inbox { execution, rows } => {
                if let Some(live) = self.touch(execution) {
                    live.take_rows(rows);
                }
            }
            Message::Attempt { execution, activity, attempt, outcome } => match self.touch(execution) {
                Some(live) => live.pending.push(Input::Attempt { activity, attempt, outcome }.into()),
                // The execution was released while this message was on its way.
                None => attempts::not_taken(&self.session, (execution, activity), attempt, outcome),
            },
            Message::Acked { execution, result } => self.acked(execution, result),
            Message::Look { execution, look } => self.look(execution, look),
            Message::Gone { execution } => self.forget(execution),
            Message::Drain(done) => {
                self.draining = Some(done);
                let mut all: Vec<ExecutionId> = self.live.keys().copied().collect();
                all.sort_unstable();
                self.dirty.extend(all);
            }
            Message::Stop => {}
        }
    }

    /// The database says that this worker owns the execution. If the thread already has it, nothing is read.
    /// If it is being released or read, its row is checked again afterwards (PROTOCOL 34).
    fn own(&mut self, execution: ExecutionId) {
        let permit = lock(&self.me.named).remove(&execution).flatten();
        if let Some(live) = self.live.get_mut(&execution) {
            live.named |= live.in_flight.is_some() || live.loading.is_some();
            return;
        }
        let mut live = Box::new(Live::named(execution));
        self.session.set_owned(execution, Arc::clone(&self.me));
        self.read(&mut live, permit);
        self.live.insert(execution, live);
    }

    /// Requests the execution's row, journal and inbox.
    pub(super) fn read(&mut self, live: &mut Live, permit: Option<OwnedSemaphorePermit>) {
        self.loads += 1;
        live.loading = Some(self.loads);
        load::begin(&self.session, &self.me, (live.id, self.loads), permit);
    }

    /// Returns the live execution, and marks it as having something to do.
    fn touch(&mut self, execution: ExecutionId) -> Option<&mut Live> {
        self.clock += 1;
        let live = self.live.get_mut(&execution)?;
        live.used = self.clock;
        self.dirty.push(execution);
        Some(live)
    }

    fn message(&mut self, message: NewMessage, reply: SendReply) {
        match self.touch(message.execution) {
            Some(live) => {
                let input = input_of(message.kind, &message.body, message.request_id);
                live.pending.push(Pending { reply: Some(reply), ..input.into() });
            }
            None => drop(reply.send(Ok(None))),
        }
    }

    fn look(&mut self, execution: ExecutionId, look: Look) {
        match self.touch(execution) {
            Some(live) => live.looks.push(look),
            None => load::not_here(look),
        }
    }

    /// Does what can be done now: a turn, starts that are due, looks, a release.
    fn advance(&mut self, execution: ExecutionId) {
        let Some(mut live) = self.live.remove(&execution) else { return };
        if (live.in_flight.is_none() || mutant!(TwoInFlight)) && live.loading.is_none() {
            self.advance_free(&mut live);
        }
        self.arm(&mut live);
        self.live.insert(execution, live);
    }

    fn advance_free(&mut self, live: &mut Live) {
        let now_ms = self.session.store().now_ms();
        let Some(exec) = live.exec.as_ref() else {
            let due = live.due_ms().is_some_and(|at_ms| at_ms <= now_ms);
            if self.draining.is_some() && live.pending.is_empty() {
                self.release(live);
            } else if due || !live.pending.is_empty() || !live.looks.is_empty() {
                self.read(live, None);
            }
            return;
        };
        if !exec.has_more() && !exec.wants_input() {
            // The live state is durable now, so a look need not wait for the next append.
            for look in live.looks.drain(..) {
                load::answer(exec, look, &live.names.workflow_type);
            }
        }
        let due = exec.next_timer_ms().is_some_and(|at_ms| at_ms <= now_ms);
        let behind = self.draining.is_none() && live.is_row_behind(now_ms);
        if due || !live.pending.is_empty() || exec.has_more() || behind {
            self.turn(live);
        }
        // Output of a written-off thread is in no journal: none of its activities may start.
        if live.in_flight.is_none() && !self.me.written_off.load(Ordering::Acquire) {
            self.settled(live);
        }
    }

    /// No append is in flight: does the work that waited for that.
    fn settled(&mut self, live: &mut Live) {
        if let Some(exec) = live.exec.as_ref() {
            if std::mem::take(&mut live.restart) {
                live.delayed = exec.outstanding();
                self.session.attempts.stop_others(live.id, &live.delayed);
                // These were asked to stop before, and do not run any more: they have stopped.
                let here = self.session.attempts.of(live.id);
                for (activity, attempt) in exec.cancelling().into_iter().filter(|(id, _)| !here.contains(id))
                {
                    let outcome = AttemptOutcome::Cancelled;
                    live.pending.push(Input::Attempt { activity, attempt, outcome }.into());
                    self.dirty.push(live.id);
                }
            }
            for look in live.looks.drain(..) {
                load::answer(exec, look, &live.names.workflow_type);
            }
        }
        self.start_due(live);
        if self.draining.is_some() && live.is_idle() {
            self.release(live);
        }
    }

    pub(super) fn start_due(&mut self, live: &mut Live) {
        if live.delayed.is_empty() || self.draining.is_some() {
            return;
        }
        let until_ms = if mutant!(RetryBeforeDurable) { i64::MAX } else { live.known.retried_ms };
        let (due, later): (Vec<ActivityStart>, Vec<_>) =
            live.delayed.drain(..).partition(|start| start.not_before_ms.is_none_or(|at| at <= until_ms));
        live.delayed = later;
        due.into_iter().for_each(|start| attempts::start(&self.session, live.id, &live.names, start));
    }

    /// Puts the execution's next due time into the heap, if it is earlier than its entry there.
    fn arm(&mut self, live: &mut Live) {
        let Some(due_ms) = live.due_ms() else { return };
        let free = live.in_flight.is_none() && live.loading.is_none();
        if free && live.armed_ms.is_none_or(|armed| due_ms < armed) {
            live.armed_ms = Some(due_ms);
            self.timers.push(Reverse((due_ms, live.id)));
        }
        // Entries of closed executions stay until they are due. They are removed when the heap is more than
        // twice as long as the table of live executions (plus 1,024).
        if self.timers.len() > 2 * self.live.len() + 1_024 {
            let armed =
                |at_ms, id: &ExecutionId| self.live.get(id).is_some_and(|l| l.armed_ms == Some(at_ms));
            self.timers.retain(|Reverse((at_ms, id))| *id == live.id || armed(*at_ms, id));
        }
    }

    fn drained(&mut self) {
        if let Some(done) = self.draining.as_ref().filter(|_| self.live.is_empty()) {
            done.cancel();
        }
    }

    pub(super) fn remove(&mut self, execution: ExecutionId) -> Option<Box<Live>> {
        self.live.remove(&execution)
    }

    pub(super) fn mark(&mut self, execution: ExecutionId) {
        self.dirty.push(execution);
    }

    pub(super) fn knows(&self) -> Rc<dyn Fn(&str) -> bool> {
        Rc::clone(&self.knows)
    }
}

#[cfg(test)]
#[cfg(feature = "testing")]
#[path = "thread_tests.rs"]
pub(super) mod tests;
