//! One registered activity without its types: payload in, one [`AttemptOutcome`] out.
//!
//! Every mistake of user code becomes an outcome here: input that does not decode, a panic, an error, a
//! result that does not encode. Retries and time limits are not handled here, but by the runner and the
//! worker.

use super::context::ActivityContext;
use crate::future::BoxFuture;
use abide_core::exec::{AttemptOutcome, panic_message, shown};
use abide_core::{ActivityDef, Code, Database, Fault, Outcome};
use abide_core::{FailureKind, FailureRecord, Payload, PayloadError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

type Run = dyn Fn(ActivityContext, Payload) -> BoxFuture<'static, AttemptOutcome> + Send + Sync;

/// A registered activity.
pub(crate) struct ActivityEntry {
    name: &'static str,
    database: Option<Database>,
    run: Box<Run>,
}

impl ActivityEntry {
    /// Registers `D` with `host`, the value on which its methods are called.
    pub(crate) fn new<D: ActivityDef>(host: Arc<D::Host>) -> Self {
        let run = move |input| {
            let host = Arc::clone(&host);
            async move {
                match decoded::<D>(input) {
                    Ok(args) if D::BLOCKING => {
                        let body = move || outcome::<D>(D::Outcome::split(D::block(&host, args)));
                        super::blocking::run(body).await
                    }
                    Ok(args) => outcome::<D>(D::Outcome::split(D::call(&host, args).await)),
                    Err(refused) => refused,
                }
            }
        };
        Self::of(D::NAME, D::DATABASE, run)
    }

    /// Registers any code under an activity's name.
    pub(crate) fn of<F>(
        name: &'static str,
        database: Option<Database>,
        run: impl Fn(Payload) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = AttemptOutcome> + Send + 'static,
    {
        let run = move |context, input| -> BoxFuture<'static, AttemptOutcome> {
            Box::pin(super::context::CURRENT.scope(context, caught(name, run(input))))
        };
        Self { name, database, run: Box::new(run) }
    }

    /// The same entry in a test's simulated process, which counts its attempts. If it is not a mock, the
    /// process runs its body.
    pub(crate) fn through(self: &Arc<Self>, test: &Arc<dyn crate::host::TestHost>, is_mock: bool) -> Self {
        let (this, test) = (Arc::clone(self), Arc::clone(test));
        let run = move |context: ActivityContext, input| -> BoxFuture<'static, AttemptOutcome> {
            test.attempt_begins(&context);
            let (this, host, name) = (Arc::clone(&this), Arc::clone(&test), this.name);
            // Its limits are on the test's clock. A body that is not a mock runs on another clock.
            let left = context.time_left();
            let body = async move {
                let context = if is_mock { context } else { context.with_time_left(left) };
                let outcome = this.run(context.clone(), input).await;
                if let AttemptOutcome::Failed { failure, .. } = &outcome {
                    host.attempt_failed(&context, failure);
                }
                outcome
            };
            if is_mock { Box::pin(body) } else { test.run_activity(name, Box::pin(body)) }
        };
        Self { name: self.name, database: self.database, run: Box::new(run) }
    }

    /// The activity's name in history.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// The database that it needs, if its SQL commits together with its result.
    pub(crate) fn database(&self) -> Option<Database> {
        self.database
    }

    /// Runs one attempt. Never panics.
    pub(crate) fn run(&self, context: ActivityContext, input: Payload) -> BoxFuture<'static, AttemptOutcome> {
        (self.run)(context, input)
    }
}

/// The decoded arguments, or the outcome of an attempt that cannot decode them.
pub(crate) fn decoded<D: ActivityDef>(input: Payload) -> Result<D::Args, AttemptOutcome> {
    abide_core::decode_args::<D::Args>(&input).map_err(|error| {
        let value = super::context::shows_values().then(|| format!(". Recorded: {}", shown(&input)));
        let told = format!("{error}{}", value.unwrap_or_default());
        refused(Code::ActivityInput, "input", D::NAME, &told)
    })
}

/// The outcome that history keeps of a body's return value.
pub(crate) fn outcome<D: ActivityDef>(
    returned: Result<<D::Outcome as Outcome>::Ok, <D::Outcome as Outcome>::Err>,
) -> AttemptOutcome {
    encoded::<D>(returned)
        .unwrap_or_else(|(what, error)| refused(Code::UnstorableResult, what, D::NAME, &error))
}

/// The same. `Err`: its result, or its error, cannot be stored.
pub(crate) fn encoded<D: ActivityDef>(
    returned: Result<<D::Outcome as Outcome>::Ok, <D::Outcome as Outcome>::Err>,
) -> Result<AttemptOutcome, (&'static str, PayloadError)> {
    match returned {
        Ok(value) => Payload::keep(&value).map(AttemptOutcome::Completed).map_err(|error| ("result", error)),
        Err(error) => {
            let retryable = D::retryable(&error) && error.retryable();
            let retry_after = D::retry_after(&error).or_else(|| error.retry_after());
            let failure = error.to_record().map_err(|error| ("error", error))?;
            Ok(AttemptOutcome::Failed { failure, retryable, retry_after, details: None })
        }
    }
}

/// The outcome if the engine cannot read or write a value. A retry would give the same, so it is not
/// retryable.
fn refused(code: Code, what: &str, name: &str, error: &dyn std::fmt::Display) -> AttemptOutcome {
    let message = format!("{code}: the {what} of activity `{name}`: {error}");
    let failure = FailureRecord::new(FailureKind::Invalid, message);
    tracing::warn!(code = code.as_str(), activity = name, "{}", failure.message);
    AttemptOutcome::Failed { failure, retryable: false, retry_after: None, details: None }
}

/// Turns a panic of the body into a failure of this attempt, instead of ending the worker.
async fn caught(name: &'static str, body: impl Future<Output = AttemptOutcome>) -> AttemptOutcome {
    // The caller has already boxed it. It is pinned here so that a body that panicked is dropped and never
    // polled again.
    let mut body = std::pin::pin!(body);
    std::future::poll_fn(move |cx| {
        let body: Pin<&mut _> = body.as_mut();
        match catch_unwind(AssertUnwindSafe(|| body.poll(cx))) {
            Ok(poll) => poll,
            Err(panic) => {
                let message = panic_message(panic.as_ref());
                tracing::warn!(
                    code = Code::ActivityPanicked.as_str(),
                    activity = name,
                    "{}: activity `{name}` panicked: {message}",
                    Code::ActivityPanicked
                );
                let failure = FailureRecord::new(FailureKind::Panicked, message);
                Poll::Ready(AttemptOutcome::Failed {
                    failure,
                    retryable: true,
                    retry_after: None,
                    details: None,
                })
            }
        }
    })
    .await
}
