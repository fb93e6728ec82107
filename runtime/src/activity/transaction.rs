//! Attempts whose SQL commits together with their result: the transaction around the body (PROTOCOL 22).
//!
//! The body runs. Its value is written into the transaction as the outcome, and the transaction is committed.
//! Then nothing is reported through memory: the inbox holds the outcome. Everything else (an error, a panic,
//! a cancellation, a time limit) drops the transaction, and the attempt ends like any other. If the database
//! aborts the transaction, the body runs again in a new one. The retry policy does not count that as an
//! attempt, because a storage error is never an outcome.

use crate::future::BoxFuture;
use crate::store::{AttemptBody, AttemptTransaction, INSIDE, Store, StoreError, TaskKey, may_succeed_again};
use crate::wire::to_json;
use abide_core::exec::AttemptOutcome;
use abide_core::{Code, FailureKind, FailureRecord, Incarnation, Payload, TimeoutKind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

tokio::task_local! {
    /// The transaction of the attempt that runs in this task.
    pub(super) static LENT: Arc<Place>;
}

/// The first wait before the body runs again in a new transaction. It doubles each time, up to
/// `LONGEST_PAUSE`.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Holds the transaction while the body does not have it.
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
pub(crate) enum AttemptEnd {
    /// With this outcome, which is still to be reported.
    Outcome(AttemptOutcome),
    /// Its outcome is in the inbox.
    Stored,
    /// The attempt was already decided: its result does not count.
    Superseded,
    /// By the holder of its token, later.
    Later(HandedOut),
    /// The store failed permanently, or the lease is lost: the worker cannot continue.
    Fatal(StoreError),
}

/// What an attempt leaves to the holder of its token.
#[derive(Debug)]
pub(crate) struct HandedOut {
    /// How long the attempt may still take.
    pub(crate) ends_in: Option<Duration>,
    /// How long the wait for its next heartbeat may take, and for each one after that.
    pub(crate) beats_in: Option<Duration>,
    /// What its body told by its last heartbeat.
    pub(crate) details: Option<Payload>,
}

impl From<AttemptOutcome> for AttemptEnd {
    fn from(outcome: AttemptOutcome) -> Self {
        Self::Outcome(outcome)
    }
}

/// The transactions of one attempt.
pub(crate) struct Transactions {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) owner: Incarnation,
    pub(crate) key: TaskKey,
}

impl Transactions {
    /// Runs the body in a transaction, and again if the database aborted it, until the body has ended or is
    /// asked to stop.
    pub(crate) async fn run(
        self,
        name: &'static str,
        token: CancellationToken,
        body: impl Fn() -> BoxFuture<'static, AttemptOutcome>,
    ) -> AttemptEnd {
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
    ) -> Result<AttemptEnd, StoreError> {
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
        // After a panic the transaction is gone: the body had it.
        let Some(transaction) = place.take() else { return Ok(outcome.into()) };
        match outcome {
            AttemptOutcome::Completed(_) => {
                let TaskKey { activity, attempt, .. } = self.key;
                let body = to_json(&AttemptBody { activity, attempt, outcome, kept: false, details: None });
                let complete = tokio::spawn(transaction.complete(body));
                // In a task of its own: a commit that has begun must run to its end (PROTOCOL 7).
                let unknown =
                    |error: tokio::task::JoinError| StoreError::Unknown { message: error.to_string() };
                Ok(match complete.await.map_err(unknown)?? {
                    true => AttemptEnd::Stored,
                    false => AttemptEnd::Superseded,
                })
            }
            failed => {
                if let Err(error) = transaction.roll_back().await {
                    // If it is not rolled back now, it is when the connection closes.
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

/// What an error means for the attempt, if running the body again would not help.
fn after(error: StoreError, name: &str) -> AttemptEnd {
    let (kind, retryable) = match error {
        // If the commit did happen, the task's row is deleted: the append of this outcome is refused, and the
        // inbox is read.
        StoreError::Unknown { .. } => (FailureKind::WorkerLost, true),
        StoreError::TooLong { .. } => (FailureKind::TimedOut(TimeoutKind::StartToClose), true),
        StoreError::CommitRefused { .. } => (FailureKind::Invalid, true),
        // What the body committed by itself stays. Doing it again would duplicate it.
        StoreError::TransactionEnded { .. } => (FailureKind::Invalid, false),
        error if error.is_fatal() || matches!(error, StoreError::Fenced) => return AttemptEnd::Fatal(error),
        // No connection was available. The next attempt may get one.
        _ => (FailureKind::WorkerLost, true),
    };
    let message = format!("{}: activity `{name}`: {error}", error.code());
    tracing::warn!(code = error.code(), activity = name, "{message}");
    AttemptOutcome::Failed {
        failure: FailureRecord::new(kind, message),
        retryable,
        retry_after: None,
        details: None,
    }
    .into()
}

/// The outcome of a call that was scheduled before its activity became transactional, so that no row
/// arbitrates it. Nothing is lost: it fails as often as its policy allows, until a build runs that can
/// execute it.
pub(super) fn unplanned(name: &str) -> AttemptEnd {
    let message = format!(
        "{}: activity `{name}` was scheduled before it became transactional",
        Code::BecameTransactional
    );
    tracing::warn!(code = Code::BecameTransactional.as_str(), activity = name, "{message}");
    let failure = FailureRecord::new(FailureKind::Invalid, message);
    AttemptOutcome::Failed { failure, retryable: true, retry_after: None, details: None }.into()
}

/// The body was dropped because it was asked to stop. The runner knows the reason.
fn stopped(name: &str) -> AttemptEnd {
    let failure =
        FailureRecord::new(FailureKind::Cancelled, format!("activity `{name}` was stopped, and rolled back"));
    AttemptOutcome::Failed { failure, retryable: true, retry_after: None, details: None }.into()
}
