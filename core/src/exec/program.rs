//! A workflow definition behind an erased type, so that the executor is compiled only once.

use super::context::Context;
use crate::def::{SignalFn, WorkflowDef};
use crate::failure::FailureRecord;
use crate::future::LocalBoxFuture;
use crate::graph::FnGraph;
use crate::outcome::{Arguments, Outcome};
use crate::payload::{Encoded, Payload, PayloadError};
use crate::state::{Slot, erase};
use std::cell::OnceCell;
use std::rc::Rc;

/// How `run` ended: a result or an error, or a value that could not be encoded.
pub(crate) type RunEnd = Result<Result<Encoded, FailureRecord>, PayloadError>;

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
    /// Whether the workflow has a signal handler.
    fn has_handlers(&self) -> bool;
    fn signal(&self, name: &str, input: &Payload) -> SignalStep;
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
        Ok(Box::pin(async move { W::Outcome::write(run.await) }))
    }

    fn handles(&self, signal: &str) -> bool {
        W::signal(signal).is_some()
    }

    fn has_handlers(&self) -> bool {
        !W::signal_names().is_empty()
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

    fn query(&self, name: &str, input: &Payload) -> Result<Result<Payload, FailureRecord>, QueryFault> {
        let handler = W::query(name).ok_or(QueryFault::Unknown(W::query_names()))?;
        let answer = self.slot.get().ok_or_else(unmade)?.with(|state| handler(state, input));
        let busy = || QueryFault::Unavailable("its state is in use".to_owned());
        answer.ok_or_else(busy)?.map_err(QueryFault::Payload)
    }
}
