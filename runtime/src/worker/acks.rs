//! What a workflow thread does when the store has answered: it performs the turn's actions, ends the
//! execution, or loads it again.

use super::attempts;
use super::live::{InFlight, Live};
use super::load::{self, Loaded};
use super::news;
use super::thread::Thread;
use crate::error::Error;
use crate::status::ExecutionStatus;
use crate::store::{AppendOutcome, StoreError};
use abide_core::exec::{Action, ActivityStart, AttemptOutcome, Execution, Input, Standing, Suspension};
use abide_core::{Event, ExecutionId};
use std::sync::Arc;

impl Thread {
    pub(super) fn acked(&mut self, execution: ExecutionId, result: Result<AppendOutcome, StoreError>) {
        let Some(mut live) = self.remove(execution) else { return };
        let Some(in_flight) = live.in_flight.take() else { return };
        match mutated(result) {
            Ok(AppendOutcome::Done) => {
                let releases = in_flight.releases;
                let open = in_flight.standing == Standing::Open;
                self.done(&mut live, in_flight);
                live.named &= releases;
                if releases {
                    self.let_go(live);
                    if open {
                        // The execution may be due soon. A claim then picks it up.
                        self.session.claim_hint.notify_one();
                    }
                    return;
                }
            }
            Ok(AppendOutcome::Conflict) => self.conflict(&mut live, in_flight),
            Ok(AppendOutcome::Duplicate(answer)) => {
                if let Some(start) = in_flight.start {
                    let _ = start.send(Ok(Some(answer)));
                }
                return self.let_go(live);
            }
            // The waiting client asks the store again, with the same request id.
            Ok(AppendOutcome::Lost) => return self.doubt(live, in_flight, || Ok(None)),
            Ok(AppendOutcome::BadRow(text)) => match in_flight.start {
                Some(start) => {
                    let _ = start.send(Err(StoreError::BadRow { message: text }.into()));
                    return self.let_go(live);
                }
                None => {
                    let reason = Suspension::new("AB0212", format!("the database refuses its row: {text}"));
                    self.suspend(&mut live, reason);
                }
            },
            Err(error) => return self.refused(live, in_flight, &error),
        }
        self.mark(execution);
        self.live.insert(execution, live);
    }

    /// The close raced with a message, or the attempt was already decided. Reload, and apply all inputs
    /// again, with that message or outcome.
    fn conflict(&mut self, live: &mut Live, in_flight: InFlight) {
        // If the turn held the start or the recovery, the load creates that input again.
        let again = in_flight.origins.into_iter();
        let again = again.filter(|p| !matches!(p.input, Input::Start { .. } | Input::Recovered { .. }));
        live.pending.splice(0..0, again);
        self.read_again(live);
    }

    pub(super) fn read_again(&mut self, live: &mut Live) {
        live.unload();
        self.read(live, None);
    }

    /// The outcome of the append is unknown, or the row was not as expected. That never becomes a workflow's
    /// outcome (PROTOCOL 8): row and journal are read again, and the row tells whether this worker still owns
    /// the execution (PROTOCOL 93). Outcomes of attempts are kept until they are written.
    fn doubt(
        &mut self,
        mut live: Box<Live>,
        mut in_flight: InFlight,
        told: impl Fn() -> Result<Option<()>, Error>,
    ) {
        if let Some(start) = in_flight.start.take() {
            let _ = start.send(told().map(|_| None));
            return self.let_go(live);
        }
        for origin in &mut in_flight.origins {
            live.saw_no_more(origin.row);
            if let Some(reply) = origin.reply.take() {
                let _ = reply.send(told());
            }
        }
        if self.session.is_over() {
            return self.let_go(live);
        }
        live.in_doubt = Some(in_flight);
        self.read_again(&mut live);
        self.live.insert(live.id, live);
    }

    /// The outcome of the append is unknown, or the lease is lost.
    fn refused(&mut self, live: Box<Live>, in_flight: InFlight, error: &StoreError) {
        self.session.failed(error);
        let fenced = matches!(error, StoreError::Fenced);
        self.doubt(live, in_flight, || if fenced { Ok(None) } else { Err(Error::from(error.clone())) });
    }

    /// The execution was terminated from outside.
    pub(super) fn forget(&mut self, execution: ExecutionId) {
        if let Some(live) = self.remove(execution) {
            news::terminated(&live);
            self.session.attempts.drop_all(execution);
            self.gone(live);
        }
    }

    /// The execution is closed, or another worker owns it. Its activities are asked to stop, except those
    /// that it may abandon, and nothing more is written.
    fn gone(&mut self, mut live: Box<Live>) {
        let execution = live.id;
        self.session.attempts.leave(execution);
        if let Some(in_flight) = live.in_flight.take() {
            in_flight.start.into_iter().for_each(|start| drop(start.send(Ok(None))));
            let replies = in_flight.origins.into_iter().filter_map(|origin| origin.reply);
            replies.for_each(|reply| drop(reply.send(Ok(None))));
        }
        self.let_go(live);
        self.session.hub().look(execution);
    }

    fn let_go(&mut self, live: Box<Live>) {
        let live = *live;
        self.bytes -= live.bytes.min(self.bytes);
        for pending in live.pending {
            if let Some(reply) = pending.reply {
                let _ = reply.send(Ok(None));
            }
            // The outcome arrived while the execution's last append was in flight.
            if let Input::Attempt { activity, attempt, outcome } = pending.input {
                attempts::not_taken(&self.session, (live.id, activity), attempt, outcome);
            }
        }
        live.looks.into_iter().for_each(load::not_here);
        self.session.disown(live.id);
        if live.named {
            load::name(&self.session, live.id, None);
        }
    }

    pub(super) fn perform(&mut self, live: &mut Live, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Start(start) => live.delayed.push(start),
                Action::Cancel(stop) => {
                    let waiting = live.delayed.iter().position(|start| start.activity == stop.activity);
                    match waiting.map(|at| live.delayed.remove(at)) {
                        Some(start) => live.pending.push(never_started(&start).into()),
                        None => self.session.attempts.cancel(live.id, stop.activity),
                    }
                }
                // The append has already deleted its row.
                Action::Ended { .. } => {}
                Action::Abandon(activity) => live.delayed.retain(|start| start.activity != activity),
            }
        }
        self.start_due(live);
    }

    /// The execution closed, was suspended or was released. Disown it first, so that no message reaches it
    /// through this worker before the waiting clients are notified.
    pub(super) fn ended(&mut self, live: &mut Live, actions: Vec<Action>, close: Option<Event>) {
        self.session.disown(live.id);
        match close {
            Some(close) => {
                self.session.attempts.leave(live.id);
                self.session.hub().closed(live.id, || Arc::new(close));
            }
            None => {
                // Activities that the execution gave up before it was suspended stay given up. Started
                // attempts run on, and the worker that resumes the execution finds their outcomes. An attempt
                // that the row counts as started is started now: one that never starts would count as lost.
                let until_ms = live.known.retried_ms;
                for action in actions {
                    match action {
                        Action::Cancel(stop) => self.session.attempts.cancel(live.id, stop.activity),
                        Action::Start(start) if start.not_before_ms.is_none_or(|at_ms| at_ms <= until_ms) => {
                            attempts::start(&self.session, live.id, &live.names, start);
                        }
                        _ => {}
                    }
                }
                self.session.hub().look(live.id);
            }
        }
    }

    /// The requested load has arrived. The execution becomes live (again), or turns out not to belong to this
    /// worker.
    pub(super) fn load(&mut self, loaded: Loaded) {
        let Loaded { execution, load, found } = loaded;
        // Drop the answer to an earlier load: no entry waits for it (PROTOCOL 34).
        let waits = |live: &Live| live.loading == Some(load) || live.loading.is_some() && mutant!(LoadTwice);
        if !self.live.get(&execution).is_some_and(|live| waits(live)) {
            return;
        }
        let Some(mut live) = self.remove(execution) else { return };
        live.loading = None;
        let in_doubt = live.in_doubt.take();
        let found = match found {
            Some(found) if self.is_mine(&found) => found,
            found => return self.not_mine(live, in_doubt, found.map(|found| found.row.status)),
        };
        live.know(&found.row);
        live.take_rows(found.inbox);
        match found.journal {
            _ if live.known.crashes >= self.session.options.max_crashes => {
                let reason = crash_loop(live.known.crashes);
                self.suspend(&mut live, reason);
            }
            Ok(rows) => self.revive(&mut live, rows),
            Err(reason) => self.suspend(&mut live, reason),
        }
        if live.exec.as_ref().is_some_and(Execution::is_closed) {
            self.session.attempts.leave(execution);
            self.session.hub().look(execution);
            return self.let_go(live);
        }
        for (activity, attempt, outcome) in self.session.attempts.outcomes(execution) {
            live.pending.push(Input::Attempt { activity, attempt, outcome }.into());
        }
        self.mark(execution);
        self.live.insert(execution, live);
    }

    fn is_mine(&self, found: &load::Found) -> bool {
        let row = &found.row;
        mutant!(ReviveWithoutRow) || row.owner == Some(self.session.me) && row.status.is_open()
    }

    /// The row says that this worker may not run the execution (any more).
    fn not_mine(&mut self, mut live: Box<Live>, in_doubt: Option<InFlight>, status: Option<ExecutionStatus>) {
        match status {
            Some(ExecutionStatus::Suspended) => {}
            Some(ExecutionStatus::Terminated) => {
                self.session.attempts.drop_all(live.id);
                return self.gone(live);
            }
            _ => return self.gone(live),
        }
        // Its attempts run on, and the worker that resumes it finds their outcomes. This worker itself may
        // have suspended it.
        if let Some(in_flight) = in_doubt.filter(|it| matches!(it.standing, Standing::Suspended(_))) {
            self.done(&mut live, in_flight);
        }
        self.let_go(live);
    }

    fn revive(&mut self, live: &mut Live, rows: load::Journal) {
        let Some(workflow) = self.session.registry.workflow_type(&live.names.workflow_type).copied() else {
            let reason = load::unknown_type(&live.names.workflow_type);
            return self.suspend(live, reason);
        };
        let started = !rows.rows.is_empty();
        let make = if started { Execution::again } else { Execution::new };
        let mut exec = make(&workflow, live.info(), self.knows());
        self.bytes -= live.bytes.min(self.bytes);
        live.bytes = super::live::BASE_BYTES + rows.bytes * 2;
        self.bytes += live.bytes;
        #[cfg(feature = "testing")]
        if self.session.options.checks_replay {
            live.recorded = super::verify::Recorded::of(&rows);
        }
        #[cfg(feature = "mutants")]
        let old = self.old.remove(&live.id).filter(|_| started);
        #[cfg(not(feature = "mutants"))]
        let old: Option<Execution> = None;
        let standing = match old {
            Some(old) => {
                exec = old;
                Standing::Open
            }
            None => {
                if !mutant!(ForgetFailed) {
                    exec.resume_attempts(rows.attempts);
                }
                self.watched(live.id, &mut exec, |exec| exec.replay(rows.rows))
            }
        };
        if let Standing::Suspended(reason) = standing {
            return self.suspend(live, reason);
        }
        if let Some(start) = exec.outstanding().iter().find(|start| !(self.knows())(start.name)) {
            let reason = Suspension::unknown_activity(start.name);
            return self.suspend(live, reason);
        }
        if mutant!(ForgetTimerOnTakeOver) {
            live.armed_ms = Some(i64::MIN);
        }
        live.exec = Some(exec);
        live.restart = true;
        if started {
            if live.known.recovered && !mutant!(SkipRecovered) {
                let mut running = self.session.attempts.of(live.id);
                running.extend(live.kept());
                let retried_ms = live.known.retried_ms;
                live.pending.insert(0, Input::Recovered { running, retried_ms }.into());
            }
        } else {
            match live.unstarted.clone() {
                Some(input) => {
                    let seed = self.session.abide.host().seed();
                    live.pending.insert(0, Input::Start { input, seed }.into());
                }
                None => self.suspend(live, Suspension::new("AB0203", "its recorded input is not JSON")),
            }
        }
    }
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

fn crash_loop(crashes: u32) -> Suspension {
    let message = format!(
        "its worker died {crashes} times in a row while it ran, without progress: it, or an activity of its own, \
         seems to end the process"
    );
    Suspension::new("AB0205", message)
}

/// The outcome of an attempt that was cancelled before it was due.
fn never_started(start: &ActivityStart) -> Input {
    Input::Attempt { activity: start.activity, attempt: start.attempt, outcome: AttemptOutcome::Cancelled }
}
