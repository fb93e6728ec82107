//! An artificial attempt around an activity's body, for unit tests of the body alone.

use crate::activity::context::{ActivityContext, CURRENT};
use crate::activity::heartbeat::Beats;
use crate::activity::info::AttemptInfo;
use abide_core::{EventId, Persist, heartbeat_details};
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
    stopping: CancellationToken,
    beats: Arc<Beats>,
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
        let (token, stopping) = (CancellationToken::new(), CancellationToken::new());
        Self { info, name: "test", time_left: None, token, stopping, beats: Beats::unheard() }
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

    /// Sets what the last heartbeat of the attempts before told.
    ///
    /// # Panics
    /// If the details are none that a heartbeat can tell.
    pub fn last_heartbeat<T: Persist>(mut self, details: &T) -> Self {
        let details = heartbeat_details(details).unwrap_or_else(|error| panic!("{error}"));
        self.beats = Beats::new(None, Some(details), None);
        self
    }

    /// What the last heartbeat of a body told: `env.heartbeat::<u64>()`. `None` if there was none, or if it is no `T`.
    pub fn heartbeat<T: Persist>(&self) -> Option<T> {
        self.beats.last()?.decode().ok()
    }

    /// Tells the body that its worker begins to stop: now if it is running, otherwise as soon as it runs.
    pub fn shut_down_worker(&self) {
        self.stopping.cancel();
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
        let context = ActivityContext::new(self.info.clone(), self.name, deadline, self.token.clone());
        context.beating(Arc::clone(&self.beats), self.stopping.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activity::{HeartbeatError, context};

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

    #[tokio::test]
    async fn a_body_goes_on_from_a_heartbeat_and_is_told_that_its_worker_goes() {
        let body = async || {
            let context = context();
            let mut done = context.last_heartbeat::<u32>().unwrap_or(0);
            while done < 5 && !context.is_worker_shutting_down() {
                done += 1;
                context.heartbeat(&done)?;
            }
            Ok(done)
        };
        let env = ActivityEnv::new().last_heartbeat(&3);
        assert_eq!(env.heartbeat::<u32>(), None);
        assert_eq!(env.run(body()).await, Ok(5));
        assert_eq!((env.heartbeat::<u32>(), env.heartbeat::<String>()), (Some(5), None));
        env.shut_down_worker();
        assert_eq!(env.run(body()).await, Ok(3), "it tells where it is");
        env.run(async { context().worker_shutting_down().await }).await;
        let env = ActivityEnv::new();
        env.cancel();
        assert_eq!(env.run(body()).await, Err(HeartbeatError::Cancelled));
        assert_eq!(env.heartbeat::<u32>(), Some(1), "it is kept nevertheless");
        assert_eq!(context().heartbeat(&1), Ok(()), "outside of an attempt it does nothing");
    }
}
