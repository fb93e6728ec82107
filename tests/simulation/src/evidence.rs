//! What a simulation leaves behind: plain data for the oracle, from real and virtual processes.

use crate::act::Act;
use crate::calls::Call;
use crate::effects::{Entry, HOME};
use crate::interpret::Scripted;
use crate::items::Said;
use crate::limits::Times;
use crate::program::{HEARD, Program, SAID};
use crate::scenario::{Ask, Scenario};
use abide::__private::{ExecutionId, simulation};
use abide::history::{Event, FailureKind, JournalRow, Payload};
use abide::{Client, Error, ExecutionStatus, Failure, Handle, IdReusePolicy, ListFilter, StreamOffset};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// All evidence of one simulation.
#[derive(Clone, Debug)]
pub(crate) struct Evidence {
    pub(crate) scenario: Scenario,
    pub(crate) weather: Weather,
    pub(crate) log: Vec<Entry>,
    /// The client's calls that were answered.
    pub(crate) calls: Vec<Call>,
    /// All runs, as they are at the end.
    pub(crate) runs: Vec<RunEvidence>,
    /// What was seen during the simulation.
    pub(crate) looks: Vec<Look>,
    /// The failed attempts that were followed by another, if each commit was seen. (A database keeps only the
    /// last failed attempt of each activity.)
    pub(crate) failures: Option<Failures>,
    /// How many rows the transactions of each activity have written, by run and activity.
    pub(crate) written: BTreeMap<(String, u64), u64>,
    /// What the database's clock showed, if each commit was seen.
    pub(crate) times: Option<Times>,
}

/// Failed attempts, by run, activity and attempt number.
pub(crate) type Failures = BTreeMap<(String, u64), BTreeMap<u32, FailureKind>>;

/// What may have happened beside what the scenario says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weather {
    /// Workers may have been lost, or considered dead, and their attempts with them.
    pub(crate) losses: bool,
    /// Things may have taken longer than planned, because of pauses or a slow machine.
    pub(crate) delays: bool,
}

/// One run of a workflow, as it is at the end.
#[derive(Clone, Debug)]
pub(crate) struct RunEvidence {
    pub(crate) workflow_id: String,
    pub(crate) run_id: String,
    pub(crate) status: ExecutionStatus,
    /// Why it is suspended, if it is.
    pub(crate) suspension: Option<String>,
    pub(crate) history: Vec<JournalRow>,
    /// The items of its stream, with their numbers there. `None`: not read.
    pub(crate) published: Option<Vec<(u64, u64)>>,
    /// What its activities have published. `None`: not read.
    pub(crate) said: Option<Vec<Said>>,
    /// The request id of the start that has made it, if it was a client's.
    pub(crate) request: Option<String>,
    /// Which run has started it: as its child, or because it goes on for it. `None`: a client.
    pub(crate) origin: Option<Origin>,
}

/// How a run was started by another.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The program that it was given.
    pub(crate) program: Option<Program>,
    pub(crate) is_child: bool,
}

/// The durable state at a moment, with the length of the log at that moment. Attempts that begin later begin
/// too late.
#[derive(Clone, Debug, Default)]
pub(crate) struct Look {
    /// How many lines the log had when the reading had ended.
    pub(crate) log: usize,
    /// Activities whose end was in the history, by run and activity.
    pub(crate) ended: BTreeSet<(String, u64)>,
    /// Runs that had closed.
    pub(crate) closed: BTreeSet<String>,
}

/// A violated rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The rule's name, in a few words.
    pub(crate) rule: &'static str,
    /// The workflow id, or another subject of the violation.
    pub(crate) of: String,
    pub(crate) text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}: {}", self.rule, self.of, self.text.replace('\n', " "))
    }
}

/// Collects violations of one run.
pub(crate) struct Findings<'v> {
    pub(crate) of: String,
    pub(crate) all: &'v mut Vec<Violation>,
}

impl Findings<'_> {
    pub(crate) fn add(&mut self, rule: &'static str, text: impl Into<String>) {
        self.all.push(Violation { rule, of: self.of.clone(), text: text.into() });
    }

    /// Adds a violation unless `holds`.
    pub(crate) fn check(&mut self, holds: bool, rule: &'static str, text: impl FnOnce() -> String) {
        if !holds {
            self.add(rule, text());
        }
    }
}

impl RunEvidence {
    /// A run as the list tells it, with its history.
    fn of((run_id, (workflow_id, status, suspension)): (String, Row), history: Vec<JournalRow>) -> Self {
        let (published, said, request, origin) = (None, None, None, None);
        Self { workflow_id, run_id, status, suspension, history, published, said, request, origin }
    }

    /// The events with their numbers.
    pub(crate) fn events(&self) -> impl Iterator<Item = (u64, &Event)> {
        (1..).zip(self.history.iter().flat_map(|row| &row.events))
    }

    /// A name for people: the workflow id, and the end of the run id.
    pub(crate) fn name(&self) -> String {
        let run = &self.run_id;
        format!("{} (run ..{})", self.workflow_id, run.get(run.len().saturating_sub(6)..).unwrap_or(run))
    }

    /// The program in its history.
    pub(crate) fn program(&self) -> Option<Program> {
        let Some((_, Event::Started { input, .. })) = self.events().next() else { return None };
        input.decode::<(Program,)>().ok().map(|(program,)| program)
    }

    /// The run that goes on for it.
    pub(crate) fn next(&self) -> Option<String> {
        self.events().last()?.1.next_run().map(|next| next.run_id.clone())
    }

    /// Whether the run that goes on for it is the next attempt of its workflow.
    pub(crate) fn is_retried(&self) -> bool {
        let continued = |(_, event): (u64, &Event)| matches!(event, Event::ContinuedAsNew { .. });
        self.next().is_some() && !self.events().last().is_some_and(continued)
    }

    /// Which attempt of its workflow it says it is.
    pub(crate) fn attempt(&self) -> Option<u32> {
        match self.events().next() {
            Some((_, Event::Started { context, .. })) => Some(context.attempt()),
            _ => None,
        }
    }

    /// The input that it has given to the run that goes on for it.
    pub(crate) fn given(&self) -> Option<&Payload> {
        match self.events().last() {
            Some((_, Event::ContinuedAsNew { input, .. })) => Some(input),
            _ => None,
        }
    }

    /// The runs that it has started: their keys, their run ids, and what it gave to them.
    fn started(&self) -> Vec<(ExecutionId, String, Origin)> {
        let origin = |input: &Payload, is_child| {
            let program = input.decode::<(Program,)>().ok().map(|(program,)| program);
            Origin { program, is_child }
        };
        let started = self.events().filter_map(|(_, event)| match event {
            Event::ContinuedAsNew { next: Some(next), input, .. } => {
                Some((next.execution, next.run_id.clone(), origin(input, false)))
            }
            // The next attempt begins with the same input, also where this one has not begun.
            Event::Failed { next: Some(next), .. } | Event::TimedOut { next: Some(next), .. } => {
                let program = self.program().or_else(|| self.origin.as_ref()?.program.clone());
                Some((next.execution, next.run_id.clone(), Origin { program, is_child: false }))
            }
            Event::ChildScheduled { execution, run_id, input, .. } => {
                Some((*execution, run_id.clone(), origin(input, true)))
            }
            _ => None,
        });
        started.collect()
    }

    /// The input of each activity.
    pub(crate) fn acts(&self) -> BTreeMap<u64, Act> {
        let told = |(number, event): (u64, &Event)| match event {
            Event::ActivityScheduled { input, .. } => Some((number, input.decode::<(Act,)>().ok()?.0)),
            _ => None,
        };
        self.events().filter_map(told).collect()
    }

    /// Whether this is a message that the run has left to the run that goes on for it, since its own code had ended. A
    /// run that is ended without code while it waits for its activities leaves them to none.
    pub(crate) fn leaves(&self, event: &Event) -> bool {
        let ended = |(_, event): (u64, &Event)| event.is_end_without_code();
        matches!(event, Event::Signaled { handled: false, .. })
            && (self.next().is_some() || self.events().last().is_some_and(ended))
    }

    /// Whether it was to be followed by another attempt until a compensation failed or the time of its chain was up.
    pub(crate) fn may_leave(&self) -> bool {
        let retried = self.program().is_some_and(|program| program.terms.attempts > 1);
        retried && matches!(self.events().last(), Some((_, Event::Failed { next: None, .. })))
    }

    /// The numbers in the signals of this name that its handlers have taken, in their order.
    pub(crate) fn signals(&self, wanted: &str) -> Vec<u64> {
        let number = |(_, event): (u64, &Event)| match event {
            Event::Signaled { name, input, handled: true, .. } if name == wanted => {
                input.decode::<(u64,)>().ok().map(|(n,)| n)
            }
            _ => None,
        };
        self.events().filter_map(number).collect()
    }

    /// How many signals of this name came before `run` was first polled.
    pub(crate) fn early(&self, wanted: &str) -> usize {
        let Some((_, Event::Started { early, .. })) = self.events().next() else { return 0 };
        let names = self.events().filter_map(|(_, event)| match event {
            Event::Signaled { name, .. } | Event::UpdateAccepted { name, .. } => Some(name),
            _ => None,
        });
        names.take(*early as usize).filter(|name| *name == wanted).count()
    }

    /// The activities that were sent to another task queue.
    pub(crate) fn elsewhere(&self) -> impl Iterator<Item = (&str, u64)> {
        let sent = |event: &Event| matches!(event, Event::ActivityScheduled { task_queue: Some(_), .. });
        self.events().filter(move |(_, event)| sent(event)).map(|(number, _)| (self.run_id.as_str(), number))
    }

    /// The activities whose end is in its history.
    pub(crate) fn ended(&self) -> BTreeSet<(String, u64)> {
        let ended = self.events().filter_map(|(_, event)| match event {
            Event::ActivityCompleted { activity, .. } | Event::ActivityFailed { activity, .. } => {
                Some(activity.0)
            }
            _ => None,
        });
        ended.map(|activity| (self.run_id.clone(), activity)).collect()
    }
}

impl Look {
    /// The state of these runs. `log`: the length of the log after they were read.
    pub(crate) fn of(runs: &[RunEvidence], log: usize) -> Self {
        let closed = runs.iter().filter(|run| !run.status.is_open()).map(|run| run.run_id.clone());
        Self { log, ended: runs.iter().flat_map(RunEvidence::ended).collect(), closed: closed.collect() }
    }
}

/// What the list says of each run, by its run id.
type Listed = BTreeMap<String, Row>;

/// A workflow id, a status, and why it is suspended.
type Row = (String, ExecutionStatus, Option<String>);

/// Reads all runs: those in the list. Each is found again by the start that created it, or in the history of
/// the run that started it.
///
/// # Errors
/// Those of the database, and a run that has no creator.
pub(crate) async fn gather(client: &Client, scenario: &Scenario) -> Result<Vec<RunEvidence>, Failure> {
    let mut listed = list(client).await?;
    let mut runs = Vec::new();
    for actor in &scenario.actors {
        for line in &actor.lines {
            let (Ask::Start { request, .. } | Ask::StartWith { request, .. }) = &line.ask else { continue };
            if !listed.values().any(|(workflow_id, ..)| *workflow_id == actor.workflow_id) {
                continue;
            }
            // A request that started nothing must not start anything now.
            let program = scenario.programs[actor.program].clone();
            let streams = program.publishes() || program.has_items();
            let start = client.start(Scripted::run(program)).id(actor.workflow_id.clone()).task_queue(HOME);
            let start = start.request_id(request).id_reuse_policy(IdReusePolicy::RejectDuplicate).await;
            let handle = match start {
                Ok(handle) => handle,
                Err(Error::IdReuseRefused { .. } | Error::WorkflowIdTaken { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            let run_id = handle.run_id().unwrap_or_default().to_owned();
            let Some((workflow_id, status, suspension)) = listed.remove(&run_id) else { continue };
            let history = handle.history().await?;
            let run = RunEvidence::of((run_id, (workflow_id, status, suspension)), history);
            let run = RunEvidence { request: Some(request.clone()), ..run };
            follow(client, run, &mut listed, &mut runs, streams.then_some(&handle)).await?;
        }
    }
    match listed.into_iter().next() {
        Some((run_id, (workflow_id, ..))) => {
            Err(Failure::new(format!("nobody has started run {run_id} of {workflow_id}")))
        }
        None => Ok(runs),
    }
}

async fn list(client: &Client) -> Result<Listed, Error> {
    let mut listed = Listed::new();
    let mut filter = ListFilter::new();
    loop {
        let page = client.list(filter.clone()).await?;
        for run in page.executions {
            listed
                .insert(run.run_id, (run.workflow_id, run.status, run.suspension.map(|why| why.to_string())));
        }
        match page.next {
            Some(next) => filter = ListFilter::new().after(next),
            None => return Ok(listed),
        }
    }
}

/// Adds a run and all that it has led to. `stream`: its stream is read, too.
async fn follow(
    client: &Client,
    run: RunEvidence,
    listed: &mut Listed,
    runs: &mut Vec<RunEvidence>,
    stream: Option<&Handle<Scripted>>,
) -> Result<(), Error> {
    let (first, mut at) = (runs.len(), runs.len());
    runs.push(run);
    // The runs that go on after the first one, by their keys.
    let mut chain = BTreeMap::new();
    while let Some(run) = runs.get(at).cloned() {
        let goes_on = at == first || chain.values().any(|of| *of == at);
        for (execution, run_id, origin) in run.started() {
            let Some(row) = listed.remove(&run_id) else { continue };
            if goes_on && !origin.is_child {
                chain.insert(execution.to_string(), runs.len());
            }
            let history = simulation::history(client, execution).await?;
            runs.push(RunEvidence { origin: Some(origin), ..RunEvidence::of((run_id, row), history) });
        }
        at += 1;
    }
    // The stream of an open run has no end.
    let of_chain = || [first].into_iter().chain(chain.values().copied());
    if let Some(handle) = stream
        && of_chain().all(|at| !runs[at].status.is_open())
    {
        of_chain().for_each(|at| (runs[at].published, runs[at].said) = (Some(Vec::new()), Some(Vec::new())));
        let of = |offset: &StreamOffset| {
            let offset = offset.to_string();
            offset.split('-').next().and_then(|run| chain.get(run)).copied().unwrap_or(first)
        };
        let mut stream = handle.stream::<u64>(HEARD);
        while let Some(item) = stream.next().await {
            let item = item?;
            let items = runs[of(&item.offset)].published.get_or_insert_default();
            items.push((item.offset.seq(), item.value));
        }
        let mut stream = handle.stream::<u64>(SAID);
        while let Some(item) = stream.next().await {
            let item = item?;
            let items = runs[of(&item.offset)].said.get_or_insert_default();
            items.push(Said { seq: item.offset.seq(), attempt: item.attempt, item: item.value });
        }
    }
    Ok(())
}
