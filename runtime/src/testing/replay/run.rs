//! One replay: its own thread, an execution that observes itself, and the facts that result.
//!
//! It has no store, no worker and no clock, so it cannot change anything or run an activity. `verdict`
//! interprets the facts.

use super::history::History;
use abide_core::exec::{Execution, Standing, Suspension, Trace, WorkflowType};
use abide_core::flow::Info;
use abide_core::{
    Code, Event, EventId, FailureKind, Fault, JournalRow, Outcome, Payload, PayloadError, Site, WorkflowDef,
};
use std::rc::Rc;
use std::thread::JoinHandle;

/// A workflow type that the replayer was given.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub(super) workflow: WorkflowType,
    /// Decodes a recorded end as the current types and encodes it again, so that an added optional field is
    /// no difference.
    read: fn(&Event) -> Result<Payload, PayloadError>,
}

impl Known {
    pub(super) fn of<W: WorkflowDef>() -> Self {
        Self { workflow: WorkflowType::of::<W>(), read: read::<W::Outcome> }
    }

    fn ends(&self, recorded: &Event, now: &Event) -> Result<(Payload, Payload), String> {
        let read = |end| (self.read)(end).map_err(|error| error.to_string());
        Ok((read(recorded)?, read(now)?))
    }
}

fn read<O: Outcome>(end: &Event) -> Result<Payload, PayloadError> {
    let mut again = match end {
        Event::Completed { result } => {
            Event::Completed { result: Payload::encode(&result.decode::<O::Ok>()?)? }
        }
        Event::Failed { failure, compensation_failures, .. } => Event::Failed {
            failure: match failure.kind {
                FailureKind::Application => O::Err::from_record(failure)?.to_record()?,
                _ => failure.clone(),
            },
            compensation_failures: compensation_failures.clone(),
            next: None,
        },
        other => other.clone(),
    };
    match &mut again {
        // An error that was decoded may have lost its sources, which are only text for people. The worker names the
        // run that goes on.
        Event::Failed { failure, next, .. } => {
            failure.chain.clear();
            *next = None;
        }
        Event::ContinuedAsNew { next, .. } => *next = None,
        _ => {}
    }
    Payload::encode(&again)
}

/// The facts of a replay.
pub(super) struct Facts {
    /// The execution's standing at the end.
    pub(super) standing: Standing,
    /// How many of the given events it has repeated.
    pub(super) met: u64,
    /// How many commands it issued after them.
    pub(super) beyond: u64,
    pub(super) trace: Trace,
    /// The awaits at which it waits.
    pub(super) awaiting: Vec<&'static Site>,
    pub(super) unknown_signals: Vec<(EventId, String)>,
    /// For a run that reached its recorded end: the recorded end and the current code's end, encoded with the
    /// current types. `Err`: the recorded end cannot be decoded.
    pub(super) ends: Option<Result<(Payload, Payload), String>>,
}

impl Facts {
    /// The facts if the thread panicked: user code panicked where the executor could not catch it.
    fn lost(panic: &(dyn std::any::Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Self {
            standing: Standing::Suspended(Suspension::new(
                Code::Panicked,
                format!("its code panicked: {text}"),
            )),
            met: 0,
            beyond: 0,
            trace: Trace::default(),
            awaiting: Vec::new(),
            unknown_signals: Vec::new(),
            ends: None,
        }
    }
}

/// Starts a replay on a new thread, whose thread-locals no other replay has used. `done` is dropped at its
/// end.
pub(super) fn begin(known: Known, history: &History, done: impl Send + 'static) -> JoinHandle<Facts> {
    let names = [history.workflow_id(), history.run_id(), history.workflow_type(), history.task_queue()];
    let [workflow_id, run_id, workflow_type, task_queue] = names.map(str::to_owned);
    let rows = given(history);
    std::thread::spawn(move || {
        let info = Info::new(workflow_id, run_id, workflow_type, task_queue);
        let facts = run(&known, info, rows);
        drop(done);
        facts
    })
}

pub(super) fn end(thread: JoinHandle<Facts>) -> Facts {
    thread.join().unwrap_or_else(|panic| Facts::lost(&*panic))
}

/// The rows to replay. An end without code is removed: what the code does then is beyond its history.
fn given(history: &History) -> Vec<JournalRow> {
    let mut rows = history.rows().to_vec();
    let ends = history.last().is_some_and(Event::is_end_without_code);
    if let Some(last) = rows.last_mut().filter(|_| ends) {
        last.events.pop();
        rows.retain(|row| !row.events.is_empty());
    }
    rows
}

fn run(known: &Known, info: Info, rows: Vec<JournalRow>) -> Facts {
    let given = rows.iter().map(|row| row.events.len() as u64).sum();
    let last = rows.last().and_then(|row| row.events.last()).cloned();
    // Every activity counts as known, because none is run.
    let mut execution = Execution::again(&known.workflow, info, Rc::new(|_: &str| true));
    execution.observe();
    let standing = execution.replay(rows);
    let (events, trace) = (execution.history_len(), execution.take_trace());
    let ends = match (&standing, last, &trace.last) {
        (Standing::Closed, Some(recorded), Some((_, now))) => Some(known.ends(&recorded, now)),
        _ => None,
    };
    Facts {
        standing,
        met: events.min(given),
        beyond: events.saturating_sub(given),
        trace,
        awaiting: execution.awaiting(),
        unknown_signals: execution.unknown_signals(),
        ends,
    }
}
