//! Sagas: steps that are undone, newest first, when the workflow fails or is cancelled (PROTOCOL 30).

pub(crate) mod table;

use crate::exec::context::{self, Context as Shared};
use crate::failure::{Failure, FailureKind, FailureRecord};
use crate::fault::Fault as _;
use crate::guard::{Block, WorkflowFuture, block, guard};
use crate::primitive::cancel::{Shielded, shielded};
use crate::site::Site;
use std::error::Error;
use std::fmt;
use std::future::IntoFuture;
use std::rc::Rc;

static COMPENSATION: Site = Site { file: "saga", line: 0, column: 0, text: "compensation" };

/// Begins a saga. Its compensations belong to the execution, so they run even if this value was dropped.
///
/// When `run` returns an error or is cancelled, the engine runs the registered compensations in reverse
/// order, shielded from cancellation, each with its own retries. If one fails, the others still run. A normal
/// return drops them all.
pub fn saga() -> Saga {
    let ctx = context::expect("workflow::saga");
    ctx.refuse_in_query(format_args!("began a saga"));
    let id = ctx.tables.compensations.borrow_mut().new_saga();
    Saga { ctx, id }
}

/// See [`saga`].
pub struct Saga {
    ctx: Rc<Shared>,
    id: u64,
}

impl Saga {
    /// Registers a compensation for the step just made: an activity call, or an `async move` block.
    pub fn on_failure<F>(&mut self, compensation: F)
    where
        F: IntoFuture,
        F::IntoFuture: WorkflowFuture + 'static,
        F::Output: Compensated,
    {
        let future = compensation.into_future();
        let boxed = Box::pin(block(async move { guard(future, &COMPENSATION).await.failure() }));
        self.ctx.tables.compensations.borrow_mut().push(self.id, boxed);
    }

    /// Runs this saga's compensations now, newest first. Returns the failures of those that failed.
    ///
    /// Shielded: a cancellation during it takes effect afterwards.
    pub fn compensate(
        &mut self,
    ) -> Shielded<Block<impl Future<Output = Result<(), CompensationError>> + use<>>> {
        let (ctx, id) = (Rc::clone(&self.ctx), self.id);
        shielded(block(async move {
            let mut failures = Vec::new();
            loop {
                let next = ctx.tables.compensations.borrow_mut().pop(Some(id));
                let Some(compensation) = next else { break };
                failures.extend(guard(block(compensation), &COMPENSATION).await);
            }
            if failures.is_empty() { Ok(()) } else { Err(CompensationError { failures }) }
        }))
    }

    /// Drops this saga's compensations: its steps are never undone.
    pub fn forget(&mut self) {
        let gone = self.ctx.tables.compensations.borrow_mut().forget(self.id);
        drop(gone);
    }
}

/// Some compensations failed. The others succeeded.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CompensationError {
    /// The failures, newest compensation first.
    pub failures: Vec<FailureRecord>,
}

impl fmt::Display for CompensationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} compensation(s) failed", self.failures.len())?;
        self.failures.iter().try_for_each(|failure| write!(f, "; {failure}"))
    }
}

impl Error for CompensationError {}

/// The output of a compensation: nothing, or a `Result`.
pub trait Compensated {
    #[doc(hidden)]
    fn failure(self) -> Option<FailureRecord>;
}

impl Compensated for () {
    fn failure(self) -> Option<FailureRecord> {
        None
    }
}

impl<T, E: fmt::Display + 'static> Compensated for Result<T, E> {
    fn failure(self) -> Option<FailureRecord> {
        let error = self.err()?;
        // If it cannot be encoded, keep its text.
        let whole = Failure::within(&error).and_then(|failure| failure.to_record().ok());
        Some(whole.unwrap_or_else(|| FailureRecord::new(FailureKind::Application, error)))
    }
}
