//! A workflow definition behind an erased type, so that the executor is compiled only once.

use super::context::Context;
use crate::def::{SignalFn, WorkflowDef};
use crate::failure::{FailureKind, FailureRecord};
use crate::fault::Fault;
use crate::future::LocalBoxFuture;
use crate::graph::FnGraph;
use crate::outcome::{Arguments, Outcome};
use crate::payload::{Encoded, Payload, PayloadError};
use crate::state::{Slot, erase};
use crate::update::{UpdateFn, UpdateRun, Written};
use std::cell::OnceCell;
use std::rc::Rc;
use std::time::Duration;

/// How `run` ended: a result or an error, or a value that could not be encoded.
pub(crate) type RunEnd = Result<Result<Encoded, Failed>, PayloadError>;

/// The error that `run` has returned, and what it says of another attempt of the workflow (PROTOCOL 66).
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    pub(crate) failure: FailureRecord,
    /// Whether another attempt may succeed.
    pub(crate) retryable: bool,
    /// The wait before it, instead of the policy's.
    pub(crate) retry_after: Option<Duration>,
}

impl Failed {
    /// The engine refuses what `run` has returned. Another attempt would return the same.
    pub(crate) fn refused(error: &PayloadError) -> Self {
        let failure = FailureRecord::new(FailureKind::Invalid, error);
        Self { failure, retryable: false, retry_after: None }
    }
}

fn end_of<W: WorkflowDef>(returned: W::Returned) -> RunEnd {
    match W::Outcome::split(returned) {
        Ok(value) => Payload::write(&value).map(Ok),
        Err(error) => {
            let retryable = W::retryable(&error) && error.retryable();
            let retry_after = W::retry_after(&error).or_else(|| error.retry_after());
            Ok(Err(Failed { failure: error.to_record()?, retryable, retry_after }))
        }
    }
}

/// A registered workflow type.
#[derive(Clone, Copy)]
pub struct WorkflowType {
    /// Its name.
    pub name: &'static str,
    /// The await graphs of its functions.
    pub graphs: &'static [FnGraph],
    make: fn() -> Box<dyn Program>,
}

impl WorkflowType {
    /// The type that `W` defines.
    pub fn of<W: WorkflowDef>() -> Self {
        Self {
            name: W::NAME,
            graphs: W::GRAPHS,
            make: || {
                let made = (!W::FROM_INPUT).then(|| Slot::new(W::init()));
                Box::new(Typed::<W> { slot: made.map_or_else(OnceCell::new, OnceCell::from) })
            },
        }
    }

    /// A placeholder if the state could not be made. The execution is suspended and runs nothing.
    pub(crate) fn stateless() -> Box<dyn Program> {
        Box::new(Stateless)
    }

    pub(crate) fn make(&self) -> Box<dyn Program> {
        (self.make)()
    }
}

/// The result of delivering a signal.
pub(crate) enum SignalStep {
    /// No handler takes it: the name is unknown, or the payload does not decode as its arguments.
    Unhandled,
    /// A plain handler ran.
    Done,
    /// An async handler must run as a task.
    Task(LocalBoxFuture<()>),
}

/// What a validator says.
pub(crate) enum Validated {
    Accepted,
    Rejected(FailureRecord),
    /// The update cannot be run: its name is unknown, its arguments do not decode, or its error does not
    /// encode.
    Refused(String),
}

/// The result of delivering an update.
pub(crate) enum UpdateStep {
    /// No handler takes it: the name is unknown, or the payload does not decode as its arguments.
    Unhandled,
    /// A plain handler ran.
    Done(Written),
    /// An async handler must run as a task.
    Task(LocalBoxFuture<Written>),
}

/// Why a query has no answer.
#[derive(Debug)]
pub enum QueryFault {
    /// The query does not exist. Holds the known ones.
    Unknown(&'static [&'static str]),
    /// The arguments do not decode or the answer does not encode.
    Payload(PayloadError),
    /// The handler panicked, with this message.
    Panicked(String),
    /// The state is not available: the execution was suspended during a turn.
    Unavailable(String),
}

/// One execution's code and state.
pub(crate) trait Program {
    fn install(&self, ctx: &Rc<Context>);
    /// Whether its state must still be made from its input.
    fn wants_input(&self) -> bool;
    /// Makes the state if the type makes it from the input and it does not exist yet.
    fn make_state(&self, input: &Payload) -> Result<(), PayloadError>;
    fn run(&self, input: &Payload) -> Result<LocalBoxFuture<RunEnd>, PayloadError>;
    fn handles(&self, signal: &str) -> bool;
    /// Whether the workflow has a handler of signals or updates.
    fn has_handlers(&self) -> bool;
    fn signal(&self, name: &str, input: &Payload) -> SignalStep;
    fn validate(&self, name: &str, input: &Payload) -> Validated;
    fn update(&self, name: &str, input: &Payload) -> UpdateStep;
    fn query(&self, name: &str, input: &Payload) -> Result<Result<Payload, FailureRecord>, QueryFault>;
}

struct Stateless;

impl Program for Stateless {
    fn install(&self, _: &Rc<Context>) {}

    fn wants_input(&self) -> bool {
        false
    }

    fn make_state(&self, _: &Payload) -> Result<(), PayloadError> {
        Ok(())
    }

    fn run(&self, _: &Payload) -> Result<LocalBoxFuture<RunEnd>, PayloadError> {
        Ok(Box::pin(std::future::pending()))
    }

    fn handles(&self, _: &str) -> bool {
        false
    }

    fn has_handlers(&self) -> bool {
        false
    }

    fn signal(&self, _: &str, _: &Payload) -> SignalStep {
        SignalStep::Unhandled
    }

    fn validate(&self, _: &str, _: &Payload) -> Validated {
        Validated::Refused("its state could not be made".to_owned())
    }

    fn update(&self, _: &str, _: &Payload) -> UpdateStep {
        UpdateStep::Unhandled
    }

    fn query(&self, _: &str, _: &Payload) -> Result<Result<Payload, FailureRecord>, QueryFault> {
        Err(unmade())
    }
}

fn unmade() -> QueryFault {
    QueryFault::Unavailable("its state could not be made".to_owned())
}

struct Typed<W: WorkflowDef> {
    /// Empty until the state is made, if the type makes it from the input.
    slot: OnceCell<Slot<W::State>>,
}

impl<W: WorkflowDef> Program for Typed<W> {
    fn install(&self, ctx: &Rc<Context>) {
        if let Some(slot) = self.slot.get() {
            ctx.set_slot(erase(slot));
        }
    }

    fn wants_input(&self) -> bool {
        self.slot.get().is_none()
    }

    fn make_state(&self, input: &Payload) -> Result<(), PayloadError> {
        if self.slot.get().is_none() {
            let state = W::init_with(W::Args::decode(input)?);
            self.slot.get_or_init(|| Slot::new(state));
        }
        Ok(())
    }

    fn run(&self, input: &Payload) -> Result<LocalBoxFuture<RunEnd>, PayloadError> {
        // Decode again: `#[init]` consumed its own arguments, which need not be `Clone`.
        let args = W::Args::decode(input)?;
        let slot = self.slot.get().expect("the state is made before `run` is called").clone();
        let run = W::run(slot, args);
        Ok(Box::pin(async move { end_of::<W>(run.await) }))
    }

    fn handles(&self, signal: &str) -> bool {
        W::signal(signal).is_some()
    }

    fn has_handlers(&self) -> bool {
        !W::signal_names().is_empty() || !W::update_names().is_empty()
    }

    fn signal(&self, name: &str, input: &Payload) -> SignalStep {
        let step = match (W::signal(name), self.slot.get()) {
            (None, _) | (_, None) => None,
            (Some(SignalFn::Sync(handler)), Some(slot)) => {
                slot.with_mut(|state| handler(state, input).map(|()| SignalStep::Done))
            }
            (Some(SignalFn::Async(handler)), Some(slot)) => {
                slot.with(|state| handler(state, input).map(SignalStep::Task))
            }
        };
        step.and_then(Result::ok).unwrap_or(SignalStep::Unhandled)
    }

    fn validate(&self, name: &str, input: &Payload) -> Validated {
        let Some(UpdateFn { validate, .. }) = W::update(name) else {
            return Validated::Refused(format!("the workflow `{}` has no such update", W::NAME));
        };
        let said = self.slot.get().and_then(|slot| slot.with(|state| validate(state, input)));
        match said {
            None => Validated::Refused("its state is in use".to_owned()),
            Some(Ok(Ok(()))) => Validated::Accepted,
            Some(Ok(Err(failure))) => Validated::Rejected(failure),
            Some(Err(error)) => Validated::Refused(error.to_string()),
        }
    }

    fn update(&self, name: &str, input: &Payload) -> UpdateStep {
        let step = match (W::update(name).map(|update| update.run), self.slot.get()) {
            (None, _) | (_, None) => None,
            (Some(UpdateRun::Sync(run)), Some(slot)) => {
                slot.with_mut(|state| Ok(UpdateStep::Done(run(state, input))))
            }
            (Some(UpdateRun::Async(run)), Some(slot)) => {
                slot.with(|state| run(state, input).map(UpdateStep::Task))
            }
        };
        step.and_then(Result::ok).unwrap_or(UpdateStep::Unhandled)
    }

    fn query(&self, name: &str, input: &Payload) -> Result<Result<Payload, FailureRecord>, QueryFault> {
        let handler = W::query(name).ok_or(QueryFault::Unknown(W::query_names()))?;
        let answer = self.slot.get().ok_or_else(unmade)?.with(|state| handler(state, input));
        let busy = || QueryFault::Unavailable("its state is in use".to_owned());
        answer.ok_or_else(busy)?.map_err(QueryFault::Payload)
    }
}
