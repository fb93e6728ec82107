//! How executions end: with a result, an error or a cancellation. Compensations run before the latter two
//! (PROTOCOL 29, 30).

use super::command::Command;
use super::phase::{Ending, Verdict};
use super::program::Failed;
use super::spawned::TaskKind;
use super::suspension::Suspension;
use super::{Execution, context};
use crate::carried::MAX_CARRIED_BYTES;
use crate::code::Code;
use crate::event::Event;
use crate::guard::{block, guard};
use crate::primitive::continue_as_new::carry;
use crate::site::Site;
use std::rc::Rc;

static COMPENSATION: Site = Site { file: "saga", line: 0, column: 0, text: "compensation" };

impl Execution {
    /// Whether the execution is closed.
    pub fn is_closed(&self) -> bool {
        matches!(self.ending, Ending::Closed)
    }

    pub(super) fn is_decided(&self) -> bool {
        matches!(self.ending, Ending::Decided(_))
    }

    pub(super) fn ended_without_code(&mut self) {
        self.ending = Ending::Closed;
    }

    /// Whether the code has ended but the history has no closing event. A live run writes that event before
    /// anyone sees it.
    pub(super) fn ends_beyond_history(&self) -> bool {
        self.is_decided() && !self.is_compensating() && !self.must_wait()
    }

    /// Whether an activity or a child must end before the close.
    fn must_wait(&self) -> bool {
        self.ctx.tables.activities.borrow().must_wait() || self.ctx.tables.children.borrow().must_wait()
    }

    fn is_compensating(&self) -> bool {
        !self.tasks.ids(|kind| *kind == TaskKind::Compensation).is_empty()
    }

    /// Drops tasks for a cancellation request, or gives the request to a listening workflow.
    pub(super) fn cancel(&mut self, request_id: String, reason: String) {
        let drops = self.ctx.tables.cancellation.borrow_mut().request(request_id, reason, self.ctx.now_ms());
        if !drops || !matches!(self.ending, Ending::Running) {
            return;
        }
        for task in self.tasks.ids(|kind| *kind != TaskKind::Compensation) {
            if self.ctx.tables.cancellation.borrow_mut().doom(task) {
                self.drop_task(task);
            }
        }
    }

    /// Drops doomed tasks that have left their shielded blocks.
    pub(super) fn drop_ripe(&mut self) {
        loop {
            let ripe = self.ctx.tables.cancellation.borrow_mut().pop_ripe();
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
        self.ctx.watch.note_progress();
    }

    /// A task ended by itself.
    pub(super) fn task_ended(&mut self, kind: &TaskKind) {
        if *kind != TaskKind::Main {
            return;
        }
        let ended = match self.run_end.take() {
            Some(Ok(Ok(result))) if self.ctx.is_strict() => result.kept().map(Ok),
            Some(Ok(Ok(result))) => Ok(Ok(result.unchecked())),
            Some(Ok(Err(failed))) => Ok(Err(failed)),
            Some(Err(error)) => Err(error),
            None => return,
        };
        let verdict = match ended {
            Ok(Ok(result)) => Verdict::Completed(result),
            Ok(Err(failed)) => Verdict::Failed(failed),
            Err(error) => Verdict::Failed(Failed::refused(&error)),
        };
        let cancelled = self.ctx.tables.cancellation.borrow().dropping().map(str::to_owned);
        let verdict = cancelled.map_or(verdict, Verdict::Cancelled);
        self.decide(verdict);
    }

    /// Whether the run has decided to go on as another run, or has failed and another attempt is to follow. It takes
    /// in no message any more: the next run does.
    pub(crate) fn goes_on(&self) -> bool {
        match &self.ending {
            Ending::Decided(Verdict::ContinuedAsNew(_)) => true,
            Ending::Decided(Verdict::Failed(failed)) => self.next_attempt_ms(failed).is_some(),
            Ending::Decided(_) | Ending::Running | Ending::Closed => false,
        }
    }

    /// When the next attempt of the workflow begins after this end of the run. `None`: none follows. A run that was
    /// asked to cancel stays ended, and so does one that has left steps undone (PROTOCOL 66).
    fn next_attempt_ms(&self, failed: &Failed) -> Option<i64> {
        let (now_ms, begun) = (self.ctx.now_ms(), &self.begun);
        let due_ms = begun.context.next_attempt_ms(failed.retry_after, now_ms, begun.chain_by_ms)?;
        let stays = !failed.retryable && !mutant!(RetryNonRetryable)
            || self.ctx.tables.cancellation.borrow().is_requested()
            || self.ctx.tables.compensations.borrow().any_failed();
        let fits = || carry::of(&self.ctx.tables, &self.ctx.info.borrow().run_id, now_ms).fits();
        (!stays && fits()).then_some(due_ms)
    }

    /// A poll of this task may have asked to go on as a new run. True: it has, and the run is decided or
    /// suspended.
    pub(super) fn go_on_as_new(&mut self, task: &TaskKind) -> bool {
        let Some(again) = self.ctx.tables.again.take() else { return false };
        let carried = carry::of(&self.ctx.tables, &self.ctx.info.borrow().run_id, self.ctx.now_ms()).bytes();
        let refused = match &self.ending {
            Ending::Running if !self.ctx.tables.compensations.borrow().is_empty() => {
                Some(Suspension::uncompensated())
            }
            Ending::Running if carried > MAX_CARRIED_BYTES => Some(Suspension::too_much_carried(carried)),
            Ending::Running => {
                again.check(&self.ctx.info.borrow().workflow_type, *task == TaskKind::Main).err()
            }
            // A compensation asks for it: the other compensations would never run.
            Ending::Decided(_) | Ending::Closed => Some(Suspension::uncompensated()),
        };
        match refused {
            Some(reason) => self.ctx.suspend(reason.at(self.ctx.site())),
            None => self.decide(Verdict::ContinuedAsNew(again)),
        }
        true
    }

    fn decide(&mut self, verdict: Verdict) {
        self.ctx.history.borrow_mut().is_ending();
        for handler in self.tasks.ids(|kind| matches!(kind, TaskKind::Handler { .. })) {
            if let Some(TaskKind::Handler { of, name }) = self.tasks.kind(handler) {
                let info = self.ctx.info.borrow();
                let site = self.ctx.site().map_or_else(|| "an await".to_owned(), ToString::to_string);
                tracing::warn!(
                    target: "abide::workflow",
                    code = Code::HandlerUnfinished.as_str(),
                    workflow_id = info.workflow_id,
                    handler = %name,
                    "{}: workflow `{}` ends at {site} while its handler of {of} `{name}` is unfinished: \
                     the handler is dropped where it waits",
                    Code::HandlerUnfinished,
                    info.workflow_id
                );
            }
        }
        // After a result, the close ends all open activities and timers. Before compensations, they must be
        // cancelled.
        let completed = matches!(verdict, Verdict::Completed(_) | Verdict::ContinuedAsNew(_));
        self.ctx.evicting.set(completed);
        self.drop_tasks();
        self.ctx.evicting.set(false);
        if completed {
            self.forget_compensations();
        } else {
            self.start_compensations();
        }
        self.ending = Ending::Decided(verdict);
    }

    /// Drops all tasks but compensations: also those that were spawned and never polled, and those that a
    /// drop spawns. A task that is left would go on beside the compensations, and could register one that
    /// never runs.
    fn drop_tasks(&mut self) {
        loop {
            // An older run keeps its behaviour.
            if self.ctx.rules.get() >= 3 {
                self.add_spawned();
            }
            let tasks = self.tasks.ids(|kind| *kind != TaskKind::Compensation);
            if tasks.is_empty() {
                break;
            }
            tasks.into_iter().for_each(|task| self.drop_task(task));
        }
    }

    fn forget_compensations(&mut self) {
        let all = self.ctx.tables.compensations.borrow_mut().take_all();
        let _entered = context::enter(&self.ctx);
        // These futures were never polled, so their drop cannot cancel anything.
        drop(all);
    }

    fn start_compensations(&mut self) {
        if self.ctx.tables.compensations.borrow().is_empty() {
            return;
        }
        let ctx = Rc::clone(&self.ctx);
        let future = Box::pin(block(async move {
            loop {
                let next = ctx.tables.compensations.borrow_mut().pop(None);
                let Some(compensation) = next else { break };
                if let Some(failure) = guard(block(compensation), &COMPENSATION).await {
                    ctx.tables.compensations.borrow_mut().failed(failure);
                }
            }
        }));
        self.ctx.spawn(TaskKind::Compensation, future);
    }

    /// No task is ready. Decides a cancellation when its tasks are gone, closes a decided execution, and
    /// suspends a run that nothing can wake. True: something changed.
    pub(super) fn settle(&mut self) -> bool {
        match &self.ending {
            Ending::Running => self.settle_running(),
            Ending::Decided(verdict) => {
                let history = self.ctx.history.borrow();
                let held = match history.is_replaying() {
                    true => history.next_is_input(),
                    // A live turn writes the close that the history does not have. A message that waits goes to the
                    // next run, so a run that goes on as another waits for none. A failed run takes a request to
                    // cancel: each attempt would begin at once with it, and could fail before it takes it.
                    false => {
                        let cancels = self.cancel_waits && matches!(verdict, Verdict::Failed(_));
                        self.replays || self.hold_close && (cancels || !self.goes_on())
                    }
                };
                drop(history);
                if held || self.is_compensating() || self.must_wait() {
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
        let cancelled = self.ctx.tables.cancellation.borrow().dropping().map(str::to_owned);
        match cancelled {
            Some(reason) if !main && !self.ctx.tables.cancellation.borrow().has_doomed() => {
                self.decide(Verdict::Cancelled(reason));
                true
            }
            _ => {
                if main && self.nothing_can_wake() {
                    self.ctx.suspend(self.never_woken());
                }
                false
            }
        }
    }

    fn nothing_can_wake(&self) -> bool {
        let ctx = &self.ctx;
        ctx.tables.activities.borrow().len() == 0
            && ctx.tables.timers.borrow().next_at_ms().is_none()
            && ctx.tables.answers.borrow().unanswered() == 0
            && ctx.tables.children.borrow().count() == 0
            && !self.handlers_can_wake()
            && !ctx.tables.cancellation.borrow().is_waited_for()
    }

    fn never_woken(&self) -> Suspension {
        let waits = self.ctx.tables.waits.borrow();
        let condition = self.ctx.watch.sites().first().copied();
        match condition {
            _ if !waits.is_empty() => Suspension::never_given_back(waits.first_site()),
            Some(site) => Suspension::unchangeable(site),
            None => Suspension::stuck(self.ctx.site()),
        }
    }

    /// Whether a signal can change an open condition on the state, give back a lock, or send to a channel. During a
    /// replay, the comparison with history finds differences, so this check is less strict.
    fn handlers_can_wake(&self) -> bool {
        let is_replaying = self.ctx.history.borrow().is_replaying();
        let is_open = match is_replaying {
            true => self.ctx.watch.has_waiters(),
            false => self.ctx.watch.waits_for_handlers(),
        };
        let is_open = is_open || !self.ctx.tables.waits.borrow().is_empty();
        is_open && (is_replaying || self.program.has_handlers())
    }

    fn close(&mut self, verdict: Verdict) {
        let next_attempt_ms = match &verdict {
            Verdict::Failed(failed) => self.next_attempt_ms(failed),
            _ => None,
        };
        let compensation_failures = self.ctx.tables.compensations.borrow_mut().take_failures();
        let event = match verdict {
            Verdict::Completed(result) => Event::Completed { result },
            Verdict::Failed(Failed { failure, .. }) => {
                Event::Failed { failure, compensation_failures, next: None }
            }
            Verdict::Cancelled(reason) => Event::Cancelled { reason, compensation_failures },
            Verdict::ContinuedAsNew(again) => again.event(&self.ctx.info.borrow().workflow_type),
        };
        if self.ctx.issue(Close(event)).is_some() {
            self.ctx.draft().next_attempt_ms = next_attempt_ms;
            self.abort_updates();
            self.ending = Ending::Closed;
        }
    }
}

/// The closing event of the code.
struct Close(Event);

impl Command for Close {
    fn event(&self) -> Event {
        self.0.clone()
    }

    /// A replay may encode a result with its keys in another order. Only the kind is compared; the recorded event
    /// stays.
    fn same(&self, recorded: &Event) -> bool {
        std::mem::discriminant(&self.0) == std::mem::discriminant(recorded)
    }
}
