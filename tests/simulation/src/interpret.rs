//! The only workflow of the simulation: it does what its program says, with the engine's API.
//!
//! This is workflow code: it may depend only on the program, the engine's answers, and signals.
//!
//! It is compiled twice, as `interpret` and as `revised`: two releases of one workflow.

use crate::act::Act;
use crate::effects::{Effects, HOME};
use crate::parts::{call, configured, draw, fan, millis, once, publish, saga, seen_child, told};
use crate::program::{Child, Hold, Program, Step, Then};
use crate::revision::{BUG, Release};
use crate::value::{Output, Progress, ScriptFailed, Seen, Stop, Uncounted, Value};
use abide::prelude::*;
use futures::FutureExt;
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
    counted: u64,
}

/// Which of the two releases this is.
fn release() -> Release {
    if module_path!().ends_with("revised") { Release::Second } else { Release::First }
}

#[workflow(retry_if = ScriptFailed::is_retryable)]
impl Scripted {
    #[run]
    pub(crate) async fn run(&mut self, program: Program) -> Result<Output, ScriptFailed> {
        // Pokes from before its first poll are there already.
        self.pokes.splice(0..0, program.carried.iter().copied());
        let lives = Program { steps: Vec::new(), revision: None, ..program.clone() };
        let value = self.sequence(program.of(release()).steps).await;
        let next = if value.stops().is_none() { lives.next(self.pokes.clone()) } else { None };
        if let Some(next) = next {
            return workflow::continue_as_new(Self::run(next)).await;
        }
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
            Step::Tell { to, n } => told(workflow::handle::<Self>(to).poke(n).await),
            Step::Child(child) => self.child(*child).await,
            Step::Publish { n } => publish(n),
            Step::Return => Value::Return,
            Step::Fail { code } => Value::Fail { code },
            Step::Falter { before, code } if workflow::info().attempt < before => Value::Fail { code },
            Step::Falter { .. } => Value::Done,
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

    async fn child(&mut self, child: Child) -> Value {
        let (hold, call) = (child.hold, configured(Self::run(child.program.clone()), &child));
        let n = match hold {
            Hold::Await => return Value::Child(seen_child(call.await)),
            Hold::Handle { n } => Some(n),
            Hold::Leave => None,
        };
        let handle = match call.start().await {
            Ok(handle) => handle,
            Err(error) => return Value::Child(seen_child(Err(error))),
        };
        let Some(n) = n else { return Value::Child(Seen::Left) };
        let _told = handle.poke(n).await;
        Value::Child(seen_child(handle.result().await))
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

    /// Returns which of the counted numbers this one is, from 1.
    #[update(validate = Self::counts)]
    pub(crate) fn count(&mut self, n: u64) -> Result<u64, Uncounted> {
        let _ = n;
        self.counted += 1;
        Ok(self.counted)
    }

    /// Returns the result of an activity.
    #[update(validate = Self::counts)]
    pub(crate) async fn weigh(&mut self, n: u64) -> Result<u64, Uncounted> {
        call(Act::visit(n)).await.map_err(|_| Uncounted { n, rejected: false })
    }

    fn counts(&self, n: &u64) -> Result<(), Uncounted> {
        if Uncounted::rejects(*n) { Err(Uncounted { n: *n, rejected: true }) } else { Ok(()) }
    }

    #[query]
    pub(crate) fn progress(&self) -> Progress {
        Progress { steps: self.steps, pokes: self.pokes.clone(), visits: self.visits.clone() }
    }
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

/// Builds a worker for this release of the workflow, and for its activities.
pub(crate) fn home(abide: &Abide, effects: Effects) -> abide::WorkerBuilder {
    let build = match release() {
        Release::First => "first",
        Release::Second => "second",
    };
    abide.worker(HOME).workflow(Scripted::run).activities(effects).build_id(build)
}
