//! An artificial attempt around an activity's body, for unit tests of the body alone.

use crate::activity::context::{ActivityContext, CURRENT};
use crate::activity::info::AttemptInfo;
use abide_core::EventId;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// An environment for one activity's body: [`activity::context()`](crate::activity::context()) returns what
/// the test has set. Named after Temporal's `ActivityEnvironment`.
///
/// ```
/// use abide::testing::ActivityEnv;
/// use abide::{Failure, activity};
///
/// #[activity]
/// async fn charge(cents: u64) -> Result<String, Failure> {
///     let context = activity::context();
///     Ok(format!("{cents} cents, attempt {}, key {}", context.attempt(), context.idempotency_key()))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let env = ActivityEnv::new().attempt(3).run_id("run-1");
/// let receipt = env.run(charge::body(990)).await.unwrap();
/// assert_eq!(receipt, "990 cents, attempt 3, key run-1/1");
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ActivityEnv {
    info: AttemptInfo,
    name: &'static str,
    time_left: Option<Duration>,
    token: CancellationToken,
}

impl Default for ActivityEnv {
    fn default() -> Self {
        Self::new()
    }
}

impl ActivityEnv {
    /// Attempt 1 of activity 1 of workflow `test-workflow` of type `TestWorkflow`, run `test-run`, without a
    /// deadline.
    pub fn new() -> Self {
        let info = AttemptInfo {
            workflow_id: Arc::from("test-workflow"),
            run_id: Arc::from("test-run"),
            workflow_type: Arc::from("TestWorkflow"),
            activity: EventId(1),
            attempt: 1,
        };
        Self { info, name: "test", time_left: None, token: CancellationToken::new() }
    }

    /// Sets the number of the attempt, from 1.
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.info.attempt = attempt.max(1);
        self
    }

    /// Sets the workflow id of the calling execution.
    pub fn workflow_id(mut self, workflow_id: &str) -> Self {
        self.info.workflow_id = Arc::from(workflow_id);
        self
    }

    /// Sets the run id of the calling execution. The idempotency key begins with it.
    pub fn run_id(mut self, run_id: &str) -> Self {
        self.info.run_id = Arc::from(run_id);
        self
    }

    /// Sets the workflow type of the calling execution.
    pub fn workflow_type(mut self, workflow_type: &str) -> Self {
        self.info.workflow_type = Arc::from(workflow_type);
        self
    }

    /// Sets the activity's name that the body sees. Default: `test`.
    pub fn activity_type(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// Sets the time until the deadline that the body sees, from when it is run. The body is not stopped at
    /// the deadline. Default: no deadline.
    pub fn time_left(mut self, time_left: Duration) -> Self {
        self.time_left = Some(time_left);
        self
    }

    /// Asks the body to stop: now if it is running, otherwise as soon as it runs.
    pub fn cancel(&self) {
        self.token.cancel();
    }

    /// Runs a body: `charge::body(990)`, or a method of a host, `payments.charge(990)`.
    pub async fn run<F: Future>(&self, body: F) -> F::Output {
        CURRENT.scope(self.context(), body).await
    }

    /// Runs the body of a blocking activity, on this thread: `env.run_blocking(|| render::body(3))`.
    pub fn run_blocking<R>(&self, body: impl FnOnce() -> R) -> R {
        CURRENT.sync_scope(self.context(), body)
    }

    fn context(&self) -> ActivityContext {
        let deadline = self.time_left.and_then(|left| Instant::now().checked_add(left));
        ActivityContext::new(self.info.clone(), self.name, deadline, self.token.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activity::context;

    #[tokio::test]
    async fn a_body_sees_what_the_test_has_chosen_and_a_cancel_while_it_runs() {
        let env = ActivityEnv::new()
            .attempt(4)
            .workflow_id("order-42")
            .workflow_type("Order")
            .activity_type("charge")
            .time_left(Duration::from_secs(60));
        let body = async {
            let context = context();
            assert_eq!((context.attempt(), context.workflow_id()), (4, "order-42"));
            assert_eq!((context.workflow_type(), context.activity_type()), ("Order", "charge"));
            assert!(context.time_left().is_some_and(|left| left <= Duration::from_secs(60)));
            assert!(!context.is_cancelled());
            context.cancelled().await;
            "stopped"
        };
        let cancel = async { env.cancel() };
        let (ended, ()) = tokio::join!(env.run(body), cancel);
        assert_eq!(ended, "stopped");
        assert!(env.run(async { context().is_cancelled() }).await, "the next body is asked at once");
        assert!(!context().is_cancelled(), "nothing is left of it outside");
    }
}
