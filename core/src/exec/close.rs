//! How executions end: a result, an error, a cancellation; compensations before the latter two (PROTOCOL 29, 30).

use super::{Execution, Spawned, Suspension, TaskKind, context};
use crate::event::Event;
use crate::failure::{FailureKind, FailureRecord};
use crate::guard::{Site, block, guard};
use std::rc::Rc;

/// How far the end has come.
#[derive(Default, Debug)]
pub(super) enum Ending {
    /// `run` is under way.
    #[default]
    Running,
    /// `run` is over, or was dropped; compensations may be under way. The closing event comes when all is quiet.
    Decided(Verdict),
    /// The closing event is emitted.
    Closed,
}

/// What the closing event will say.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    Completed(crate::Payload),
    Failed(FailureRecord),
    Cancelled(String),
}

static COMPENSATION: Site = Site { file: "saga", line: 0, column: 0, text: "compensation" };

impl Execution {
    /// Whether nothing more can happen.
    pub fn is_closed(&self) -> bool {
        matches!(self.ending, Ending::Closed)
    }

    pub(super) fn is_decided(&self) -> bool {
        matches!(self.ending, Ending::Decided(_))
    }

    pub(super) fn terminated(&mut self) {
        self.ending = Ending::Closed;
    }

    /// Whether the code has come to an end that no event has: a live run writes it before anybody sees it.
    pub(super) fn ends_beyond_history(&self) -> bool {
        self.is_decided() && !self.is_compensating() && !self.ctx.activities.borrow().must_wait()
    }

    fn is_compensating(&self) -> bool {
        !self.tasks.ids(|kind| *kind == TaskKind::Compensation).is_empty()
    }

    /// Drops tasks for a cancellation request, or hands it to those that listen.
    pub(super) fn cancel(&mut self, reason: String) {
        let drops = self.ctx.cancellation.borrow_mut().request(reason);
        if !drops || !matches!(self.ending, Ending::Running) {
            return;
        }
        for task in self.tasks.ids(|kind| *kind != TaskKind::Compensation) {
            if self.ctx.cancellation.borrow_mut().doom(task) {
                self.drop_task(task);
            }
        }
    }

    /// Drops doomed tasks that have left their shielded blocks.
    pub(super) fn drop_ripe(&mut self) {
        loop {
            let ripe = self.ctx.cancellation.borrow_mut().pop_ripe();
            match ripe {
                Some(task) => self.drop_task(task),
                None => break,
            }
        }
    }

    fn drop_task(&mut self, task: usize) {
        if let Some(message) = self.tasks.drop_task(task, &self.ctx) {
            self.ctx.suspend(Suspension::panicked(&message, self.ctx.site()));
        }
        self.ctx.note_progress();
    }

    /// A task came to its own end.
    pub(super) fn task_ended(&mut self, kind: &TaskKind) {
        if *kind != TaskKind::Main {
            return;
        }
        let ended = match self.run_end.take() {
            Some(Ok(Ok(result))) if self.ctx.is_strict.get() => result.kept().map(Ok),
            Some(Ok(Ok(result))) => Ok(Ok(result.unchecked())),
            Some(Ok(Err(failure))) => Ok(Err(failure)),
            Some(Err(error)) => Err(error),
            None => return,
        };
        let verdict = match ended {
            Ok(Ok(result)) => Verdict::Completed(result),
            Ok(Err(failure)) => Verdict::Failed(failure),
            Err(error) => Verdict::Failed(FailureRecord::new(FailureKind::Invalid, error)),
        };
        let cancelled = self.ctx.cancellation.borrow().dropping().map(str::to_owned);
        let verdict = cancelled.map_or(verdict, Verdict::Cancelled);
        self.decide(verdict);
    }

    fn decide(&mut self, verdict: Verdict) {
        self.ctx.history.borrow_mut().is_ending();
        for handler in self.tasks.ids(|kind| matches!(kind, TaskKind::Handler(_))) {
            if let Some(TaskKind::Handler(name)) = self.tasks.kind(handler) {
                let info = self.ctx.info.borrow();
                let site = self.ctx.site().map_or_else(|| "an await".to_owned(), ToString::to_string);
                tracing::warn!(
                    target: "abide::workflow",
                    code = "AB0628",
                    workflow_id = info.workflow_id,
                    signal = %name,
                    "AB0628: workflow `{}` ends at {site} while its handler of signal `{name}` is unfinished: the handler is dropped \
                     where it waits",
                    info.workflow_id
                );
            }
        }
        // After a result the close itself ends whatever still runs; before compensations it has to be cancelled.
        let completed = matches!(verdict, Verdict::Completed(_));
        self.ctx.evicting.set(completed);
        for task in self.tasks.ids(|kind| *kind != TaskKind::Compensation) {
            self.drop_task(task);
        }
        self.ctx.evicting.set(false);
        if completed {
            self.forget_compensations();
        } else {
            self.start_compensations();
        }
        self.ending = Ending::Decided(verdict);
    }

    fn forget_compensations(&mut self) {
        let all = self.ctx.compensations.borrow_mut().take_all();
        let _entered = context::enter(&self.ctx);
        // They were never polled, so there is nothing that their drop could cancel.
        drop(all);
    }

    fn start_compensations(&mut self) {
        if self.ctx.compensations.borrow().is_empty() {
            return;
        }
        let ctx = Rc::clone(&self.ctx);
        let future = Box::pin(block(async move {
            loop {
                let next = ctx.compensations.borrow_mut().pop(None);
                let Some(compensation) = next else { break };
                if let Some(failure) = guard(block(compensation), &COMPENSATION).await {
                    ctx.compensations.borrow_mut().failed(failure);
                }
            }
        }));
        let id = self.ctx.reserve_task();
        self.ctx.spawned.borrow_mut().push(Spawned { id, kind: TaskKind::Compensation, future });
    }

    /// Nothing is ready. Decides a cancellation whose tasks are gone, closes what is decided, and tells a run that
    /// nothing can wake. True where something moved.
    pub(super) fn settle(&mut self) -> bool {
        match &self.ending {
            Ending::Running => self.settle_running(),
            Ending::Decided(verdict) => {
                let history = self.ctx.history.borrow();
                let held = (self.hold_close && !history.is_replaying()) || history.next_is_input();
                drop(history);
                if held || self.is_compensating() || self.ctx.activities.borrow().must_wait() {
                    return false;
                }
                let verdict = verdict.clone();
                self.close(verdict);
                true
            }
            Ending::Closed => false,
        }
    }

    fn settle_running(&mut self) -> bool {
        let main = !self.tasks.ids(|kind| *kind == TaskKind::Main).is_empty();
        let cancelled = self.ctx.cancellation.borrow().dropping().map(str::to_owned);
        match cancelled {
            Some(reason) if !main && !self.ctx.cancellation.borrow().has_doomed() => {
                self.decide(Verdict::Cancelled(reason));
                true
            }
            _ => {
                if main && self.nothing_can_wake() {
                    let condition = self.ctx.state_waiter_sites().first().copied();
                    self.ctx.suspend(match condition {
                        Some(site) => Suspension::unchangeable(site),
                        None => Suspension::stuck(self.ctx.site()),
                    });
                }
                false
            }
        }
    }

    fn nothing_can_wake(&self) -> bool {
        let ctx = &self.ctx;
        ctx.activities.borrow().len() == 0
            && ctx.timers.borrow().next_at_ms().is_none()
            && !self.handlers_can_wake()
            && !ctx.cancellation.borrow().is_waited_for()
    }

    /// Whether a condition on the state is open that a signal may change. While history is repeated, what differs is told by
    /// comparing, not by this.
    fn handlers_can_wake(&self) -> bool {
        let is_replaying = self.ctx.history.borrow().is_replaying();
        let is_open = match is_replaying {
            true => self.ctx.has_state_waiters(),
            false => self.ctx.waits_for_handlers(),
        };
        is_open && (is_replaying || self.program.has_handlers())
    }

    fn close(&mut self, verdict: Verdict) {
        let compensation_failures = self.ctx.compensations.borrow_mut().take_failures();
        let event = match verdict {
            Verdict::Completed(result) => Event::Completed { result },
            Verdict::Failed(failure) => Event::Failed { failure, compensation_failures },
            Verdict::Cancelled(reason) => Event::Cancelled { reason, compensation_failures },
        };
        let wanted = event.clone();
        let same = move |recorded: &Event| same_close(&wanted, recorded);
        if self.ctx.command(event, &same).is_some() {
            self.ending = Ending::Closed;
        }
    }
}

/// Results may be encoded in another order of keys on replay: the kind decides, and the recorded one stays.
fn same_close(wanted: &Event, recorded: &Event) -> bool {
    std::mem::discriminant(wanted) == std::mem::discriminant(recorded)
}
