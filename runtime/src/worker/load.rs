//! Brings runs into memory: a thread asks for the row, journal and inbox of a run, and makes it live, unless
//! the row says that it is not this worker's (PROTOCOL 34, 93).

use super::handle::ThreadHandle;
use super::inbox;
use super::inputs::Pending;
use super::lock::lock;
use super::mailbox::Message;
use super::run::{BASE_BYTES, InFlight, Live, Phase, Run};
use super::session::Session;
use super::stored::{Found, Journal, Loaded, decode};
use super::thread::Thread;
use crate::status::ExecutionStatus;
use crate::store::StoredRun;
use abide_core::exec::{ActivityStart, Execution, Input, Standing, Suspension};
use abide_core::{Code, ExecutionId, Payload, StartContext};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// Reads all of a run, and retries storage errors: they are never a workflow's outcome. The outer `None`: the
/// session is over. The inner `None`: there is no such run.
async fn read(session: &Session, execution: ExecutionId) -> Option<Option<StoredRun>> {
    let mut wait = Duration::from_millis(10);
    while !session.is_over() {
        match session.store().load(execution).await {
            Ok(run) => return Some(run),
            Err(error) => {
                session.failed(&error);
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(5));
            }
        }
    }
    None
}

/// Reads a run for the thread that has an entry for it and waits for this load. Must be called in the context
/// of a tokio runtime.
fn begin(
    session: &Arc<Session>,
    thread: &Arc<ThreadHandle>,
    (execution, load): (ExecutionId, u64),
    permit: Option<OwnedSemaphorePermit>,
) {
    let (session, thread) = (Arc::clone(session), Arc::clone(thread));
    tokio::spawn(async move {
        let Some(run) = read(&session, execution).await else { return };
        let found = run.map(|StoredRun { row, journal, attempts, inbox, beats }| {
            let mine = row.owner == Some(session.me);
            let inbox = if mine { inbox::set_aside(&session, inbox) } else { Vec::new() };
            let damaged = |message: String| Err(Suspension::new(Code::Damaged, message));
            let journal = journal.map_or_else(damaged, |turns| decode(turns, &attempts, beats));
            Found { journal, inbox, row }
        });
        let _ = thread.send(Message::Load(Box::new(Loaded { execution, load, found })));
        drop(permit);
    });
}

impl Thread {
    /// The database says that this worker owns the run. If the thread already has it, nothing is read. If it
    /// is being written or read, its row is checked again afterwards (PROTOCOL 34).
    pub(super) fn own(&mut self, execution: ExecutionId) {
        let permit = lock(&self.me.named).remove(&execution).flatten();
        if let Some(run) = self.runs.get_mut(&execution) {
            run.named |= !run.phase.is_free();
            return;
        }
        let mut run = Box::new(Run::named(execution));
        self.session.set_owned(execution, Arc::clone(&self.me));
        self.read(&mut run, None, permit);
        self.put(run);
    }

    /// Requests the run's row, journal and inbox. `in_doubt`: the append that the load has to resolve.
    pub(super) fn read(
        &mut self,
        run: &mut Run,
        in_doubt: Option<Box<InFlight>>,
        permit: Option<OwnedSemaphorePermit>,
    ) {
        self.loads += 1;
        run.phase.load(self.loads, in_doubt);
        begin(&self.session, &self.me, (run.id, self.loads), permit);
    }

    /// Drops the live state, and reads the run.
    pub(super) fn read_again(&mut self, run: &mut Run, in_doubt: Option<Box<InFlight>>) {
        drop(run.phase.unload());
        self.read(run, in_doubt, None);
    }

    /// The requested load has arrived. The run becomes live (again), or turns out not to belong to this worker.
    pub(super) fn loaded(&mut self, loaded: Loaded) {
        let Loaded { execution, load, found } = loaded;
        // Drop the answer to an earlier load: no entry waits for it (PROTOCOL 34).
        let waits = |run: &Run| match run.phase {
            Phase::Loading { load: awaited, .. } => awaited == load || mutant!(LoadTwice),
            _ => false,
        };
        if !self.runs.get(&execution).is_some_and(|run| waits(run)) {
            return;
        }
        let Some(mut run) = self.runs.remove(&execution) else { return };
        let (in_doubt, delayed) = run.phase.loaded();
        let mut found = match found {
            Some(found) if self.is_mine(&found) => found,
            found => return self.not_mine(run, in_doubt, found.map(|found| found.row.status)),
        };
        run.know(&found.row);
        run.mailbox.take_loaded(std::mem::take(&mut found.inbox));
        if let Some(end) = self.end_of(&run) {
            self.end_read(&mut run, found, end);
            return self.put(run);
        }
        let Found { row, journal, .. } = found;
        if !self.may_run(&row) {
            self.give_back(&mut run);
            return self.put(run);
        }
        let live = match journal {
            _ if run.row.crashes >= self.session.options.max_crashes => Err(crash_loop(run.row.crashes)),
            Ok(journal) => self.revive(&mut run, (row.input, row.context, journal), delayed),
            Err(reason) => Err(reason),
        };
        match live {
            Ok(live) if live.exec.is_closed() => {
                self.session.attempts.leave(execution);
                self.session.hub().row_changed(execution);
                return self.let_go(run);
            }
            Ok(live) => run.phase = Phase::Idle(live),
            Err(reason) => self.suspend(&mut run, reason),
        }
        for (activity, attempt, outcome) in self.session.attempts.outcomes(execution) {
            run.mailbox.push(Input::Attempt { activity, attempt, outcome });
        }
        self.dirty.push(execution);
        self.put(run);
    }

    fn is_mine(&self, found: &Found) -> bool {
        let row = &found.row;
        mutant!(ReviveWithoutRow) || row.owner == Some(self.session.me) && row.status.is_open()
    }

    /// The row says that this worker may not run the run (any more).
    fn not_mine(
        &mut self,
        mut run: Box<Run>,
        in_doubt: Option<Box<InFlight>>,
        status: Option<ExecutionStatus>,
    ) {
        match status {
            Some(ExecutionStatus::Suspended) => {}
            Some(ExecutionStatus::Terminated) => {
                self.session.attempts.drop_all(run.id);
                return self.lost(run);
            }
            _ => return self.lost(run),
        }
        // Its attempts run on, and the worker that resumes it finds their outcomes. This worker itself may
        // have suspended it.
        if let Some(in_flight) = in_doubt.filter(|it| matches!(it.standing, Standing::Suspended(_))) {
            self.done(&mut run, *in_flight);
        }
        self.let_go(run);
    }

    /// Replays the journal. The first inputs of the live run go into its mailbox. `input` and `context`: the
    /// arguments and what else it begins with, while the journal is empty. `delayed`: the attempts that waited for
    /// their back-off before the load.
    fn revive(
        &mut self,
        run: &mut Run,
        (input, context, mut journal): (Option<String>, Option<String>, Journal),
        mut delayed: Vec<ActivityStart>,
    ) -> Result<Live, Suspension> {
        let Some(workflow) = self.session.registry.workflow_type(&run.names.workflow_type).copied() else {
            return Err(unknown_type(&run.names.workflow_type));
        };
        let started = !journal.rows.is_empty();
        let make = if started { Execution::again } else { Execution::new };
        let mut live = Live::of(make(&workflow, run.names.info(), self.knows()));
        live.exec.lend(self.lends());
        live.exec.chain_ends(run.row.chain_by_ms);
        self.bytes -= run.bytes.min(self.bytes);
        run.bytes = BASE_BYTES + journal.bytes * 2;
        self.bytes += run.bytes;
        #[cfg(feature = "testing")]
        if self.session.options.checks_replay {
            live.recorded = super::verify::Recorded::of(&journal);
        }
        let told = std::mem::take(&mut journal.told);
        self.replay(run.id, &mut live.exec, journal)?;
        live.exec.resume_heartbeats(told);
        let outstanding = live.exec.outstanding();
        if let Some(start) = outstanding.iter().find(|start| !(self.knows())(start.name)) {
            return Err(Suspension::unknown_activity(start.name));
        }
        // An append in doubt may have given some up.
        let same = |a: &ActivityStart, b: &ActivityStart| (a.activity, a.attempt) == (b.activity, b.attempt);
        delayed.retain(|start| outstanding.iter().any(|open| same(open, start)));
        live.delayed = delayed;
        if mutant!(ForgetTimerOnTakeOver) {
            run.armed_ms = Some(i64::MIN);
        }
        live.restart = true;
        if started {
            run.mailbox.inputs.splice(0..0, first_left(&live.exec, context.as_deref()));
            if run.row.recovered && !mutant!(SkipRecovered) {
                let mut running = self.session.attempts.of(run.id);
                running.extend(run.mailbox.ended(&live.exec));
                let retried_ms = run.row.retried_ms;
                run.mailbox.inputs.insert(0, Input::Recovered { running, retried_ms }.into());
            }
        } else {
            let Some(input) = input.and_then(|input| Payload::from_json(input).ok()) else {
                return Err(Suspension::new(Code::Undecodable, "its recorded input is not JSON"));
            };
            let seed = self.session.abide.host().seed();
            let context =
                context.map_or_else(|| Ok(Box::default()), |context| serde_json::from_str(&context));
            let Ok(context) = context else {
                return Err(Suspension::new(Code::Undecodable, "what it begins with is not readable"));
            };
            run.mailbox.inputs.splice(0..0, Pending::of_start(input, seed, context));
        }
        Ok(live)
    }

    fn replay(&mut self, id: ExecutionId, exec: &mut Execution, journal: Journal) -> Result<(), Suspension> {
        #[cfg(feature = "mutants")]
        if let Some(old) = self.old.remove(&id).filter(|_| !journal.rows.is_empty()) {
            *exec = old;
            return Ok(());
        }
        if !mutant!(ForgetFailed) {
            exec.resume_attempts(journal.attempts);
        }
        match self.watched(id, exec, |exec| exec.replay(journal.rows)) {
            Standing::Suspended(reason) => Err(reason),
            Standing::Open | Standing::Closed => Ok(()),
        }
    }
}

/// The messages of the start that a first turn has not taken in, because it was suspended. They come before all others,
/// as they were sent before.
fn first_left(exec: &Execution, context: Option<&str>) -> Vec<Pending> {
    let context = context.and_then(|context| serde_json::from_str::<StartContext>(context).ok());
    let first = context.map(|context| context.first).unwrap_or_default();
    first.into_iter().filter(|message| !exec.has_taken_in(message)).map(Pending::of_first).collect()
}

fn crash_loop(crashes: u32) -> Suspension {
    let message = format!(
        "its worker died {crashes} times in a row while it ran, without progress: it, or an activity of its own, \
         seems to end the process"
    );
    Suspension::new(Code::CrashLoop, message)
}

/// The reason to suspend a run whose type this worker does not have.
fn unknown_type(name: &str) -> Suspension {
    let message = format!(
        "no worker on its task queue has workflow type `{name}`: register it with `.workflow({name})`; it goes on as \
         soon as a worker that has it starts"
    );
    Suspension::new(Code::UnknownWorkflow, message)
}

#[cfg(test)]
#[cfg(feature = "testing")]
#[path = "load_tests.rs"]
mod tests;
