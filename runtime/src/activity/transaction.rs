//! Attempts whose SQL commits together with their result: the transaction around the body (PROTOCOL 22).
//!
//! The body runs; its value goes into the transaction as the outcome, and the transaction is committed. Then nothing is
//! reported through memory: the inbox holds the outcome. Everything else (an error, a panic, a cancel, a time limit) drops
//! the transaction, and the attempt ends like any other. Where the database breaks the transaction off, the body runs
//! again in a new one: that is no attempt of the retry policy, since a storage error is never an outcome.

use crate::future::BoxFuture;
use crate::store::{AttemptBody, AttemptTransaction, INSIDE, Store, StoreError, TaskKey, may_succeed_again};
use crate::wire::to_json;
use abide_core::exec::AttemptOutcome;
use abide_core::{FailureKind, FailureRecord, Incarnation, TimeoutKind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

tokio::task_local! {
    /// The transaction of the attempt that runs in this task.
    pub(super) static LENT: Arc<Place>;
}

/// The wait before the body is run again in a new transaction: doubled each time, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Where a transaction lies while the body does not have it.
#[derive(Default)]
pub(super) struct Place(Mutex<Option<Box<dyn AttemptTransaction>>>);

impl Place {
    pub(super) fn take(&self) -> Option<Box<dyn AttemptTransaction>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn put(&self, transaction: Box<dyn AttemptTransaction>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(transaction);
    }
}

/// How an attempt has ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// With this outcome, which nobody knows yet.
    Told(AttemptOutcome),
    /// Its outcome is in the inbox.
    Stored,
    /// It was decided otherwise: nothing of it counts.
    Overtaken,
    /// The store failed for good, or the lease is lost: the worker cannot go on.
    Broken(StoreError),
}

impl From<AttemptOutcome> for Ended {
    fn from(outcome: AttemptOutcome) -> Self {
        Self::Told(outcome)
    }
}

/// The transactions of one attempt.
pub(crate) struct Transactions {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) owner: Incarnation,
    pub(crate) key: TaskKey,
}

impl Transactions {
    /// Runs the body in a transaction, again where the database broke it off, until it has ended or is asked to stop.
    pub(crate) async fn run(
        self,
        name: &'static str,
        token: CancellationToken,
        body: impl Fn() -> BoxFuture<'static, AttemptOutcome>,
    ) -> Ended {
        let (since, mut pause) = (Instant::now(), FIRST_PAUSE);
        loop {
            let error = match self.once(name, &token, &body).await {
                Ok(ended) => return ended,
                Err(error) if may_succeed_again(&error) => error,
                Err(error) => return after(error, name),
            };
            if since.elapsed() > Duration::from_secs(1) {
                tracing::warn!(
                    code = error.code(),
                    activity = name,
                    "activity `{name}` is run again: {error}"
                );
            }
            tokio::select! {
                biased;
                () = token.cancelled() => return stopped(name),
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
            }
        }
    }

    async fn once(
        &self,
        name: &'static str,
        token: &CancellationToken,
        body: impl Fn() -> BoxFuture<'static, AttemptOutcome>,
    ) -> Result<Ended, StoreError> {
        let transaction = tokio::select! {
            biased;
            begun = self.store.begin_attempt(self.owner, self.key) => begun?,
            () = token.cancelled() => return Ok(stopped(name)),
        };
        let (held, cut_off, place) = (transaction.holds(), transaction.cut_off(), Arc::new(Place::default()));
        place.put(transaction);
        let outcome = tokio::select! {
            biased;
            outcome = INSIDE.scope(held, LENT.scope(Arc::clone(&place), body())) => outcome,
            // The body is dropped, and the transaction with it.
            error = cut_off => return Err(error),
            () = token.cancelled() => return Ok(stopped(name)),
        };
        // After a panic it is gone: the body had it.
        let Some(transaction) = place.take() else { return Ok(outcome.into()) };
        match outcome {
            AttemptOutcome::Completed(_) => {
                let TaskKey { activity, attempt, .. } = self.key;
                let body = to_json(&AttemptBody { activity, attempt, outcome, kept: false });
                let complete = tokio::spawn(transaction.complete(body));
                // In a task of its own, since a commit that was begun must run to its end (PROTOCOL 7).
                let unknown =
                    |error: tokio::task::JoinError| StoreError::Unknown { message: error.to_string() };
                Ok(match complete.await.map_err(unknown)?? {
                    true => Ended::Stored,
                    false => Ended::Overtaken,
                })
            }
            failed => {
                if let Err(error) = transaction.roll_back().await {
                    // It is rolled back when the connection goes, if not now.
                    tracing::warn!(
                        code = error.code(),
                        activity = name,
                        "a transaction was not rolled back: {error}"
                    );
                }
                Ok(failed.into())
            }
        }
    }
}

/// What an error that no repetition mends means for the attempt.
fn after(error: StoreError, name: &str) -> Ended {
    let (kind, retryable) = match error {
        // Where the commit did happen, the token is gone: the append that tells this is refused, and the inbox is read.
        StoreError::Unknown { .. } => (FailureKind::WorkerLost, true),
        StoreError::TooLong { .. } => (FailureKind::TimedOut(TimeoutKind::StartToClose), true),
        StoreError::CommitRefused { .. } => (FailureKind::Invalid, true),
        // What the body committed by itself stays: doing it again would double it.
        StoreError::TransactionEnded { .. } => (FailureKind::Invalid, false),
        error if error.is_fatal() || matches!(error, StoreError::Fenced) => return Ended::Broken(error),
        // No connection could be had: the next attempt may have one.
        _ => (FailureKind::WorkerLost, true),
    };
    let message = format!("{}: activity `{name}`: {error}", error.code());
    tracing::warn!(code = error.code(), activity = name, "{message}");
    AttemptOutcome::Failed { failure: FailureRecord::new(kind, message), retryable, retry_after: None }.into()
}

/// An activity that has become transactional since this call of it was scheduled, without a token that could decide
/// it. Nothing is lost: it fails as often as its policy allows, until a build comes that can run it.
pub(super) fn unplanned(name: &str) -> Ended {
    let message = format!("AB0615: activity `{name}` was scheduled before it became transactional");
    tracing::warn!(code = "AB0615", activity = name, "{message}");
    let failure = FailureRecord::new(FailureKind::Invalid, message);
    AttemptOutcome::Failed { failure, retryable: true, retry_after: None }.into()
}

/// Dropped because it was asked to stop; the runner knows why it was.
fn stopped(name: &str) -> Ended {
    let failure =
        FailureRecord::new(FailureKind::Cancelled, format!("activity `{name}` was stopped, and rolled back"));
    AttemptOutcome::Failed { failure, retryable: true, retry_after: None }.into()
}
