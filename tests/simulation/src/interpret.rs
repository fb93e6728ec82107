//! The only workflow of the simulation: it does what its program says, with the engine's API.
//!
//! This is workflow code: it may depend only on the program, the engine's answers, and signals.
//!
//! It is compiled twice, as `interpret` and as `revised`: two releases of one workflow.

use crate::act::{Act, Cancellation, OnError, Options, Place};
use crate::effects::{AWAY, Effects, HOME, NOWHERE, OnSqlite, Refused};
use crate::program::{Draw, Fan, Leg, Program, SagaEnd, Step, Then};
use crate::revision::{BUG, Release};
use crate::value::{Output, Progress, ScriptFailed, Stop, Trouble, Value};
use abide::__private::{ActivityCall, ActivityDef};
use abide::prelude::*;
use futures::stream::{FuturesOrdered, FuturesUnordered};
use futures::{FutureExt, StreamExt};
use std::pin::Pin;
use std::time::Duration;
use workflow::WorkflowFuture;

/// Running steps. Boxed, because steps contain steps.
type Flow = Pin<Box<dyn WorkflowFuture<Output = Value>>>;

/// The state: the data of received signals, and the number of begun steps.
#[derive(Default)]
pub(crate) struct Scripted {
    steps: u64,
    pokes: Vec<u64>,
    visits: Vec<u64>,
}

/// Which of the two releases this is.
fn release() -> Release {
    if module_path!().ends_with("revised") { Release::Second } else { Release::First }
}

#[workflow]
impl Scripted {
    #[run]
    pub(crate) async fn run(&mut self, program: Program) -> Result<Output, ScriptFailed> {
        let value = self.sequence(program.of(release()).steps).await;
        let output = Output { value, pokes: self.pokes.clone() };
        match output.value.stops() {
            Some(Stop::Error) => Err(ScriptFailed { output }),
            Some(Stop::Return) | None => Ok(output),
        }
    }

    fn sequence(&mut self, steps: Vec<Step>) -> Flow {
        Box::pin(async move {
            let mut values = Vec::new();
            for step in steps {
                self.steps += 1;
                let value = self.step(step).await;
                let stops = value.stops().is_some();
                values.push(value);
                if stops {
                    break;
                }
            }
            Value::Seq(values)
        })
    }

    async fn step(&mut self, step: Step) -> Value {
        match step {
            Step::Act(act) => once(act).await,
            Step::Sleep { ms } => {
                workflow::sleep(millis(ms)).await;
                Value::Done
            }
            Step::Timeout { ms, body } => {
                let body = self.sequence(body);
                limited(workflow::timeout(millis(ms), body).await)
            }
            Step::Until { pokes, ms } => self.until(pokes as usize, ms).await,
            Step::Join { branches } => self.join(branches).await,
            Step::TryJoin { branches } => self.try_join(branches).await,
            Step::Fan { how, acts } => fan(how, acts).await,
            Step::Select { branches } => self.select(branches).await,
            Step::Spawn { body, then } => self.spawn(body, then).await,
            Step::Draw { what, act } => draw(what, act).await,
            Step::Saga { legs, end, .. } => saga(legs, end).await,
            Step::Shield { body } => {
                let body = self.sequence(body);
                workflow::shielded(body).await
            }
            Step::Cancelled => Value::Reason(workflow::cancelled().await),
            Step::Return => Value::Return,
            Step::Fail { code } => Value::Fail { code },
            Step::Panic => panic!("{BUG}"),
        }
    }

    async fn until(&mut self, pokes: usize, ms: Option<u64>) -> Value {
        match ms {
            None => {
                workflow::until!(self.pokes.len() >= pokes).await;
                Value::Done
            }
            Some(ms) => {
                let waited = workflow::until!(self.pokes.len() >= pokes).timeout(millis(ms)).await;
                limited(waited.map(|()| Value::Done))
            }
        }
    }

    async fn join(&mut self, branches: Vec<Vec<Step>>) -> Value {
        let mut flows: Vec<Flow> = branches.into_iter().map(|branch| self.sequence(branch)).collect();
        let values = match (flows.pop(), flows.pop(), flows.pop()) {
            (Some(second), Some(first), None) => {
                let (first, second) = workflow::join!(first, second);
                vec![first, second]
            }
            (Some(third), Some(second), Some(first)) if flows.is_empty() => {
                let (first, second, third) = workflow::join!(first, second, third);
                vec![first, second, third]
            }
            (last, before, first) => {
                flows.extend([first, before, last].into_iter().flatten());
                futures::future::join_all(flows).await
            }
        };
        Value::All(values)
    }

    async fn try_join(&mut self, branches: Vec<Vec<Step>>) -> Value {
        let mut flows: Vec<_> =
            branches.into_iter().map(|branch| self.sequence(branch)).enumerate().collect();
        let joined = match (flows.pop(), flows.pop(), flows.pop()) {
            (Some(second), Some(first), None) => {
                let joined = workflow::try_join!(unbroken(first), unbroken(second));
                joined.map(|(first, second)| vec![first, second])
            }
            (Some(third), Some(second), Some(first)) if flows.is_empty() => {
                let joined = workflow::try_join!(unbroken(first), unbroken(second), unbroken(third));
                joined.map(|(first, second, third)| vec![first, second, third])
            }
            (last, before, first) => {
                flows.extend([first, before, last].into_iter().flatten());
                futures::future::try_join_all(flows.into_iter().map(unbroken)).await
            }
        };
        joined.map_or_else(|broke| broke, Value::All)
    }

    async fn select(&mut self, branches: Vec<Vec<Step>>) -> Value {
        let mut flows: Vec<Flow> = branches.into_iter().map(|branch| self.sequence(branch)).collect();
        if flows.len() > 3 {
            let (value, branch, losers) = futures::future::select_all(flows).await;
            drop(losers);
            return Value::Won { branch, value: Box::new(value) };
        }
        let third = if flows.len() > 2 { flows.pop() } else { None };
        let (Some(second), Some(first)) = (flows.pop(), flows.pop()) else { return Value::Done };
        let is_third = third.is_some();
        let third = third.unwrap_or_else(idle);
        let (branch, value) = workflow::select! {
            value = first => (0, value),
            value = second => (1, value),
            value = third, if is_third => (2, value),
        };
        Value::Won { branch, value: Box::new(value) }
    }

    async fn spawn(&mut self, body: Vec<Step>, then: Then) -> Value {
        let body = self.sequence(body);
        let task = workflow::spawn(body);
        match then {
            Then::Await => {}
            Then::Detach => return Value::Done,
            Then::Abort { ms } => {
                workflow::sleep(millis(ms)).await;
                task.abort();
            }
        }
        task.await.unwrap_or(Value::Aborted)
    }

    /// Records the poke.
    #[signal]
    pub(crate) fn poke(&mut self, n: u64) {
        self.pokes.push(n);
    }

    /// Runs an activity, then records the visit.
    #[signal]
    pub(crate) async fn visit(&mut self, n: u64) {
        let visited = call(Act::visit(n)).await;
        if visited.is_ok() {
            self.visits.push(n);
        }
    }

    #[query]
    pub(crate) fn progress(&self) -> Progress {
        Progress { steps: self.steps, pokes: self.pokes.clone(), visits: self.visits.clone() }
    }
}

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn limited(ended: Result<Value, Elapsed>) -> Value {
    ended.map_or(Value::Elapsed, |value| Value::In(Box::new(value)))
}

/// A branch that never wins a race.
fn idle() -> Flow {
    Box::pin(workflow::sleep(Duration::MAX).map(|()| Value::Done))
}

/// A branch of a `try_join!`. It is an error if it ends the run.
#[workflow::helper]
async fn unbroken((branch, flow): (usize, Flow)) -> Result<Value, Value> {
    let value = flow.await;
    match value.stops() {
        Some(_) => Err(Value::Won { branch, value: Box::new(value) }),
        None => Ok(value),
    }
}

/// A running activity. Boxed, because there are two types.
type Calling = Pin<Box<dyn WorkflowFuture<Output = Result<u64, ActivityError<Refused>>>>>;

/// The activity's call with all its options.
#[workflow::helper]
fn call(act: Act) -> Calling {
    let options = act.options.clone();
    match options.place {
        Place::Here => Box::pin(with(options, Effects::act(act))),
        Place::Away => Box::pin(with(options, Effects::act(act)).task_queue(AWAY)),
        Place::Nowhere => Box::pin(with(options, Effects::act(act)).task_queue(NOWHERE)),
        // The activity is identified by its name, which is the same on both databases.
        Place::Within => Box::pin(with(options, OnSqlite::act(act))),
    }
}

fn with<D: ActivityDef>(options: Options, call: ActivityCall<D>) -> ActivityCall<D> {
    let retry = RetryPolicy {
        initial_interval: millis(options.backoff),
        backoff_coefficient: 1.5,
        max_interval: Some(millis(options.backoff * 4)),
        max_attempts: options.max_attempts,
    };
    let cancellation = match options.cancellation {
        Cancellation::Try => CancellationType::TryCancel,
        Cancellation::Wait => CancellationType::WaitCancellationCompleted,
        Cancellation::Abandon => CancellationType::Abandon,
    };
    let mut call = call.retry(retry).cancellation(cancellation);
    if let Some(ms) = options.start_to_close {
        call = call.start_to_close(millis(ms));
    }
    if let Some(ms) = options.schedule_to_close {
        call = call.schedule_to_close(millis(ms));
    }
    if let Some(ms) = options.schedule_to_start {
        call = call.schedule_to_start(millis(ms));
    }
    call
}

#[workflow::helper]
async fn once(act: Act) -> Value {
    let on_error = act.on_error;
    seen(on_error, call(act).await)
}

fn seen(on_error: OnError, ended: Result<u64, ActivityError<Refused>>) -> Value {
    let error = match ended {
        Ok(number) => return Value::Number(number),
        Err(error) => error,
    };
    let trouble = match error {
        ActivityError::Failed(Refused { label, attempt, stopped, .. }) => {
            Trouble::Refused { label, attempt, stopped }
        }
        ActivityError::TimedOut { kind: TimeoutKind::StartToClose, .. } => Trouble::StartToClose,
        ActivityError::TimedOut { kind: TimeoutKind::ScheduleToClose, .. } => Trouble::ScheduleToClose,
        ActivityError::TimedOut { kind: TimeoutKind::ScheduleToStart, .. } => Trouble::ScheduleToStart,
        ActivityError::WorkerLost => Trouble::WorkerLost,
        ActivityError::Cancelled => Trouble::Cancelled,
        other => Trouble::Other(other.to_string()),
    };
    match on_error {
        OnError::Keep => Value::Failed(trouble),
        OnError::Raise => Value::Raised(trouble),
    }
}

/// Many activities at once. The results are in the order of the calls, however they end.
#[workflow::helper]
async fn fan(how: Fan, acts: Vec<Act>) -> Value {
    let calls = acts.into_iter().enumerate().map(|(at, act)| {
        let on_error = act.on_error;
        call(act).map(move |ended| (at, seen(on_error, ended)))
    });
    let mut all: Vec<(usize, Value)> = match how {
        Fan::JoinAll => futures::future::join_all(calls).await,
        Fan::Unordered => {
            let (mut all, mut running) = (Vec::new(), calls.collect::<FuturesUnordered<_>>());
            while let Some(one) = running.next().await {
                all.push(one);
            }
            all
        }
        Fan::Ordered => calls.collect::<FuturesOrdered<_>>().collect().await,
        Fan::Buffered { width } => futures::stream::iter(calls).buffered(width.max(1)).collect().await,
        Fan::BufferUnordered { width } => {
            futures::stream::iter(calls).buffer_unordered(width.max(1)).collect().await
        }
    };
    if matches!(how, Fan::Unordered | Fan::BufferUnordered { .. }) {
        all.sort_by_key(|(at, _)| *at);
    }
    // Not sorted if the combinator guarantees the order: the model then sees a wrong order.
    let at = |place: usize, (at, value): (usize, Value)| match place == at {
        true => value,
        false => Value::Failed(Trouble::Other(format!("result {at} came in place {place}"))),
    };
    Value::All(all.into_iter().enumerate().map(|(place, one)| at(place, one)).collect())
}

#[workflow::helper]
async fn draw(what: Draw, mut act: Act) -> Value {
    let note = match what {
        Draw::Random => workflow::random::<u64>().to_string(),
        Draw::Range => workflow::random_range(10..1_000_000).to_string(),
        Draw::Uuid => workflow::uuid().to_string(),
        Draw::Now => workflow::now().as_millisecond().to_string(),
        Draw::SideEffect => {
            // The closure's result differs on a replay, which must use the recorded value instead.
            let info = workflow::info();
            workflow::side_effect(move || format!("{} {}", info.history_len, info.is_replaying)).await
        }
    };
    act.note = Some(note.clone());
    Value::Drawn { note, result: Box::new(once(act).await) }
}

#[workflow::helper]
async fn saga(legs: Vec<Leg>, end: SagaEnd) -> Value {
    let mut saga = workflow::saga();
    let mut values = Vec::new();
    for leg in legs {
        let value = once(leg.act).await;
        if matches!(value, Value::Number(_)) {
            saga.on_failure(call(leg.undo));
        }
        let stops = value.stops().is_some();
        values.push(value);
        if stops {
            return Value::Saga { legs: values, failures: None };
        }
    }
    let failures = match end {
        SagaEnd::Keep => None,
        SagaEnd::Compensate => {
            let compensated = saga.compensate().await;
            Some(compensated.map_or_else(|error| error.failures.len(), |()| 0))
        }
        SagaEnd::Forget => {
            saga.forget();
            None
        }
    };
    Value::Saga { legs: values, failures }
}

/// Builds a worker for this release of the workflow, and for its activities.
pub(crate) fn home(abide: &Abide, effects: Effects) -> abide::WorkerBuilder {
    let build = match release() {
        Release::First => "first",
        Release::Second => "second",
    };
    abide.worker(HOME).workflow(Scripted::run).activities(effects).build_id(build)
}
