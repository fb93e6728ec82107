//! What a workflow thread does when the store has answered: perform, end, or begin again.

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
                        // It may be due soon, and then by a claim.
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
            // Whoever waits asks again by the store, under the same request id.
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

    /// It closes, but a message came first, or it decides an attempt that was decided otherwise: everything is taken in again,
    /// with the message, with the outcome.
    fn conflict(&mut self, live: &mut Live, in_flight: InFlight) {
        // Its start or recovery, if that was in it, is made again by the load.
        let again = in_flight.origins.into_iter();
        let again = again.filter(|p| !matches!(p.input, Input::Start { .. } | Input::Recovered { .. }));
        live.pending.splice(0..0, again);
        self.read_again(live);
    }

    pub(super) fn read_again(&mut self, live: &mut Live) {
        live.unload();
        self.read(live, None);
    }

    /// Nobody knows what became of the append, or the row was not as it had to be. Never a workflow's outcome (PROTOCOL 8): row and
    /// journal are read, and the row tells whether the execution is still this worker's (PROTOCOL 93). Outcomes of attempts are kept
    /// until they are written.
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

    /// The outcome is unknown, or the lease is gone.
    fn refused(&mut self, live: Box<Live>, in_flight: InFlight, error: &StoreError) {
        self.session.failed(error);
        let fenced = matches!(error, StoreError::Fenced);
        self.doubt(live, in_flight, || if fenced { Ok(None) } else { Err(Error::from(error.clone())) });
    }

    /// It was terminated from outside.
    pub(super) fn forget(&mut self, execution: ExecutionId) {
        if let Some(live) = self.remove(execution) {
            news::terminated(&live);
            self.session.attempts.drop_all(execution);
            self.gone(live);
        }
    }

    /// It is closed, or another's: its activities stop, but those that it has abandoned, and nothing more is written.
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
            // It came while its execution's last append was on its way.
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
                // Its row went with the append.
                Action::Ended { .. } => {}
                Action::Abandon(activity) => live.delayed.retain(|start| start.activity != activity),
            }
        }
        self.start_due(live);
    }

    /// It closed, was suspended or released: nobody may reach it through this worker before the others are told.
    pub(super) fn ended(&mut self, live: &mut Live, actions: Vec<Action>, close: Option<Event>) {
        self.session.disown(live.id);
        match close {
            Some(close) => {
                self.session.attempts.leave(live.id);
                self.session.hub().closed(live.id, || Arc::new(close));
            }
            None => {
                // What it gave up before it had to stop stays given up; what it had begun runs on, and whoever resumes it finds the
                // outcomes. An attempt that nobody started would count as lost.
                let now_ms = self.session.store().now_ms();
                for action in actions {
                    match action {
                        Action::Cancel(stop) => self.session.attempts.cancel(live.id, stop.activity),
                        Action::Start(start) if start.not_before_ms.is_none_or(|at_ms| at_ms <= now_ms) => {
                            attempts::start(&self.session, live.id, &live.names, start);
                        }
                        _ => {}
                    }
                }
                self.session.hub().look(live.id);
            }
        }
    }

    /// What was asked for was read: the execution lives (again), or turns out not to be this worker's.
    pub(super) fn load(&mut self, loaded: Loaded) {
        let Loaded { execution, load, found } = loaded;
        // An answer that no entry waits for is of another time (PROTOCOL 34).
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

    /// The row says that nobody here may run it (any more).
    fn not_mine(&mut self, mut live: Box<Live>, in_doubt: Option<InFlight>, status: Option<ExecutionStatus>) {
        match status {
            Some(ExecutionStatus::Suspended) => {}
            Some(ExecutionStatus::Terminated) => {
                self.session.attempts.drop_all(live.id);
                return self.gone(live);
            }
            _ => return self.gone(live),
        }
        // Its attempts run on: whoever resumes it finds their outcomes. It may have been this worker that suspended it.
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

/// An answer as a mutant understands it: as it is, but in a build that has them.
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
