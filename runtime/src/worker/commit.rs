//! The append of a turn: it is submitted, it is answered, and what it holds is acted on.
//!
//! No effect outside happens before the append that holds its command is durable (PROTOCOL 1). `done` is the
//! only place where that begins.

use super::attempts::Key;
use super::beats;
use super::handle::HandedIn;
use super::mailbox::Message;
use super::names::Names;
use super::outcomes;
use super::run::{InFlight, Run};
use super::thread::Thread;
use crate::activity::info::AttemptInfo;
use crate::activity::publisher::Outlet;
use crate::activity::runner::{Attempt, Limits};
use crate::activity::transaction::Transactions;
use crate::error::Error;
use crate::store::{Append, AppendOutcome, StartAnswer, StoreError, TaskKey};
use abide_core::exec::{Action, ActivityStart, AttemptOutcome, Execution, Input, Standing, Suspension};
use abide_core::{CancellationType, Code, Event, ExecutionId};
use std::sync::Arc;
use std::time::Duration;

/// What the thread does with a run whose append was answered.
pub(super) enum Next {
    /// Whatever waits for it.
    Advance,
    /// Its row, journal and inbox are read again.
    ReadAgain {
        /// The append, if its outcome is unknown.
        in_doubt: Option<Box<InFlight>>,
    },
    Suspend(Suspension),
    /// This worker does not own it any more. `claimable`: it is open, and may be due soon.
    LetGo {
        claimable: bool,
    },
}

impl Thread {
    /// Submits the append of a run.
    pub(super) fn submit(&mut self, run: &mut Run, append: Append, in_flight: InFlight) {
        let in_flight = self.mutated(run, in_flight);
        run.phase.write(in_flight);
        let Some(handed_in) = HandedIn::by(&self.me) else { return };
        let execution = run.id;
        let ack = move |result| drop(handed_in.thread().send(Message::Acked { execution, result }));
        self.session.store().submit(append, Box::new(ack));
    }

    /// What mutants do before an append is durable. Without mutants it does nothing.
    fn mutated(&mut self, run: &mut Run, mut in_flight: InFlight) -> InFlight {
        if mutant!(ActBeforeDurable) {
            let row = run.row;
            run.row = in_flight.row.unwrap_or(row);
            self.perform(run, in_flight.actions.clone());
            run.row = row;
        }
        if mutant!(RejectAtOnce) {
            self.session.hub().updates.tell(run.id, &in_flight.updates);
        }
        if mutant!(AckBeforeCommit) {
            let replies = in_flight.origins.iter_mut().filter_map(|origin| origin.reply.take());
            replies.for_each(|reply| drop(reply.send(Ok(Some(())))));
        }
        in_flight
    }

    /// Handles the answer to the append of a run.
    pub(super) fn acknowledge(&mut self, run: &mut Run, result: Result<AppendOutcome, StoreError>) -> Next {
        // The answer may be to an append of an earlier entry of the run, which was terminated meanwhile.
        let Some(in_flight) = run.phase.answered() else { return Next::Advance };
        match mutated(result) {
            Ok(AppendOutcome::Done) => {
                let releases = in_flight.releases;
                let claimable = in_flight.standing == Standing::Open;
                self.done(run, in_flight);
                run.named &= releases;
                if releases { Next::LetGo { claimable } } else { Next::Advance }
            }
            Ok(AppendOutcome::Conflict) => conflict(run, in_flight),
            Ok(AppendOutcome::Duplicate(answer)) => {
                if let Some(start) = in_flight.start {
                    let _ = start.send(Ok(Some(answer)));
                }
                Next::LetGo { claimable: false }
            }
            // The waiting client asks the store again, with the same request id.
            Ok(AppendOutcome::Lost) => self.doubt(run, in_flight, || Ok(None)),
            Ok(AppendOutcome::BadRow(text)) => match in_flight.start {
                Some(start) => {
                    let _ = start.send(Err(StoreError::BadRow { message: text }.into()));
                    Next::LetGo { claimable: false }
                }
                None => {
                    let reason = format!("the database refuses its row: {text}");
                    Next::Suspend(Suspension::new(Code::RowRefused, reason))
                }
            },
            // The outcome of the append is unknown, or the lease is lost.
            Err(error) => {
                self.session.failed(&error);
                let fenced = matches!(error, StoreError::Fenced);
                self.doubt(run, in_flight, || if fenced { Ok(None) } else { Err(error.clone().into()) })
            }
        }
    }

    /// The outcome of the append is unknown, or the row was not as expected. That never becomes a workflow's
    /// outcome (PROTOCOL 8): row and journal are read again, and the row tells whether this worker still owns
    /// the run (PROTOCOL 93). Outcomes of attempts are kept until they are written.
    fn doubt(
        &mut self,
        run: &mut Run,
        mut in_flight: InFlight,
        answer: impl Fn() -> Result<Option<()>, Error>,
    ) -> Next {
        if let Some(start) = in_flight.start.take() {
            let _ = start.send(answer().map(|_| None));
            return Next::LetGo { claimable: false };
        }
        for origin in &mut in_flight.origins {
            run.mailbox.forget_row(origin.row);
            if let Some(reply) = origin.reply.take() {
                let _ = reply.send(answer());
            }
        }
        match self.session.is_over() {
            true => Next::LetGo { claimable: false },
            false => Next::ReadAgain { in_doubt: Some(Box::new(in_flight)) },
        }
    }

    /// The append is durable, or there was nothing to write: its effects may now become visible.
    pub(super) fn done(&mut self, run: &mut Run, in_flight: InFlight) {
        let InFlight {
            actions, standing, origins, start, row, close, updates, news, bears, born, next, ..
        } = in_flight;
        // Most turns log nothing.
        if !news.is_empty() || close.is_some() {
            let limit = (&self.session.logged_failures, self.session.store().now_ms());
            news.log(&run.names, run.exec(), close.as_ref(), limit);
        }
        if close.is_some() && run.exec().is_none_or(Execution::had_children) {
            self.session.orphans_hint.notify_one();
        }
        if bears {
            // No worker is notified of its own process's commits.
            self.session.hub().wake_workers();
        }
        // Each goes to its own thread: the children of one run use all threads.
        born.into_iter().for_each(|child| self.session.name(child, None));
        run.row = row.unwrap_or(run.row);
        for origin in &origins {
            if let Input::Attempt { activity, attempt, .. } = origin.input {
                self.session.attempts.settle(Key::Own(run.id, activity), attempt);
            }
            run.mailbox.forget_row(origin.row);
        }
        // A suspect that only waits runs nothing that could end the process. So the next suspect may run.
        if run.row.crashes == 0 || !run.row.active {
            self.session.clear_suspect(run.id);
        }
        if standing == Standing::Open {
            if let Some(start) = start {
                self.session.set_owned(run.id, Arc::clone(&self.me));
                let _ = start.send(Ok(Some(StartAnswer::Started)));
            }
            self.perform(run, actions);
        } else {
            next.into_iter().for_each(|(next, due_ms)| self.takes_up(next, due_ms));
            self.ended(run, actions, close);
            if let Some(start) = start {
                let _ = start.send(Ok(Some(StartAnswer::Started)));
            }
        }
        self.session.hub().updates.tell(run.id, &updates);
        origins.into_iter().filter_map(|o| o.reply).for_each(|reply| drop(reply.send(Ok(Some(())))));
    }

    /// The run that goes on is this worker's from its birth. It waits here until it is due, or something comes for it.
    fn takes_up(&mut self, execution: ExecutionId, due_ms: i64) {
        // A comparison with the database may have named it already.
        if !self.runs.contains_key(&execution) {
            self.session.set_owned(execution, Arc::clone(&self.me));
            self.dirty.push(execution);
            self.put(Box::new(Run::going_on(execution, due_ms)));
        }
    }

    /// Performs the actions of an open run.
    fn perform(&mut self, run: &mut Run, actions: Vec<Action>) {
        if let Some(live) = run.phase.live_mut() {
            for action in actions {
                match action {
                    Action::Start(start) => live.delayed.push(start),
                    Action::Cancel(stop) => {
                        let waiting = live.delayed.iter().position(|start| start.activity == stop.activity);
                        match waiting.map(|at| live.delayed.remove(at)) {
                            Some(start) => run.mailbox.push(never_started(&start)),
                            None => self.session.attempts.cancel(run.id, stop.activity),
                        }
                    }
                    // The append has already deleted its row.
                    Action::Ended { .. } => {}
                    Action::Abandon(activity) => live.delayed.retain(|start| start.activity != activity),
                }
            }
        }
        self.start_due(run);
    }

    /// The run was closed, suspended or released. Disown it first, so that no message reaches it through this
    /// worker before the waiting clients are notified.
    fn ended(&mut self, run: &mut Run, actions: Vec<Action>, close: Option<Event>) {
        self.session.disown(run.id);
        match close {
            Some(close) => {
                self.session.attempts.leave(run.id);
                self.session.hub().closed(run.id, || Arc::new(close));
            }
            None => {
                // Activities that the run gave up before it was suspended stay given up. Started attempts run
                // on, and the worker that resumes the run finds their outcomes. An attempt that the row counts
                // as started is started now: one that never starts would count as lost.
                let until_ms = run.row.retried_ms;
                for action in actions {
                    match action {
                        Action::Cancel(stop) => self.session.attempts.cancel(run.id, stop.activity),
                        Action::Start(start) if start.not_before_ms.is_none_or(|at_ms| at_ms <= until_ms) => {
                            self.launch(run.id, &run.names, start);
                        }
                        _ => {}
                    }
                }
                self.session.hub().row_changed(run.id);
            }
        }
    }

    /// Starts the attempts whose back-off has ended, as the row says.
    pub(super) fn start_due(&mut self, run: &mut Run) {
        let Some(live) = run.phase.live_mut() else { return };
        if live.delayed.is_empty() || self.draining.is_some() {
            return;
        }
        let until_ms = if mutant!(RetryBeforeDurable) { i64::MAX } else { run.row.retried_ms };
        let due = live.delayed.extract_if(.., |start| start.not_before_ms.is_none_or(|at| at <= until_ms));
        due.for_each(|start| self.launch(run.id, &run.names, start));
    }

    /// Starts an attempt, unless it already runs here.
    fn launch(&self, run: ExecutionId, names: &Names, start: ActivityStart) {
        let session = &self.session;
        let (key, attempt) = (Key::Own(run, start.activity), start.attempt);
        let Some(entry) = session.registry.activity_entry(start.name) else { return };
        if session.attempts.has(key, attempt) && !mutant!(StartAgain) {
            return;
        }
        let now_ms = session.store().now_ms();
        let since = |at_ms: i64| Duration::from_millis(u64::try_from(now_ms - at_ms).unwrap_or(0));
        let due_ms = start.not_before_ms.unwrap_or(start.scheduled_at_ms);
        let limits = Limits::new(&start.options, since(start.scheduled_at_ms), since(due_ms));
        let info = AttemptInfo {
            workflow_id: Arc::clone(&names.workflow_id),
            run_id: Arc::clone(&names.run_id),
            workflow_type: Arc::clone(&names.workflow_type),
            activity: start.activity,
            attempt,
        };
        let transactions = start.options.transactional.then(|| Transactions {
            store: Arc::clone(session.store()),
            owner: session.me,
            key: TaskKey { execution: run, activity: start.activity, attempt, nonce: 0 },
        });
        let abandonable = start.options.cancellation == CancellationType::Abandon;
        let (entry, input) = (Arc::clone(entry), start.input);
        let report = outcomes::report(session, key, attempt);
        let outlet = Some(Outlet { store: Arc::clone(session.store()), owner: session.me, execution: run });
        let beats = beats::of_start(session, &start.options, start.details, entry.database());
        let attempt = Attempt { entry, info, input, limits, transactions, beats, outlet, task: None, report };
        session.attempts.launch(&session.runner, (key, abandonable), attempt, None);
    }
}

/// The close raced with a message, or the attempt was already decided. Reload, and apply all inputs again,
/// with that message or outcome.
fn conflict(run: &mut Run, in_flight: InFlight) -> Next {
    // If the turn held the start or the recovery, the load creates that input again.
    let again = in_flight.origins.into_iter().filter(|pending| !pending.made_by_load);
    run.mailbox.inputs.splice(0..0, again);
    Next::ReadAgain { in_doubt: None }
}

/// The store's answer as a mutant misreads it. In a build without mutants it is returned unchanged.
fn mutated(result: Result<AppendOutcome, StoreError>) -> Result<AppendOutcome, StoreError> {
    let misread = match result {
        Ok(AppendOutcome::Conflict) => mutant!(IgnoreConflict),
        Ok(AppendOutcome::Lost) => mutant!(IgnoreLost),
        Err(StoreError::Unknown { .. }) => mutant!(IgnoreUnknown),
        _ => false,
    };
    if misread { Ok(AppendOutcome::Done) } else { result }
}

/// The outcome of an attempt that was cancelled before it was due.
fn never_started(start: &ActivityStart) -> Input {
    Input::Attempt { activity: start.activity, attempt: start.attempt, outcome: AttemptOutcome::Cancelled }
}
