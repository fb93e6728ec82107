//! What the end of an attempt means: of its body, of a limit, of its worker, or that it is completed later.

use super::heartbeat::Beats;
use super::later::Later;
use super::running::{ReportFn, Running};
use super::transaction::{AttemptEnd, HandedOut};
use crate::store::TaskKey;
use abide_core::exec::AttemptOutcome;
use abide_core::{Code, FailureKind, FailureRecord, TimeoutKind};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Runs a body until it ends, or says that it is completed later. It is dropped then, and its slot with it.
pub(super) async fn until_later(
    body: impl Future<Output = AttemptEnd>,
    later: &Later,
    handed_out: impl FnOnce() -> AttemptEnd,
) -> AttemptEnd {
    tokio::select! {
        biased;
        ended = body => ended,
        () = later.said() => handed_out(),
    }
}

/// The end of a body that is completed later. Only a task has a row that waits for its token.
pub(super) fn handed_out(
    name: &str,
    task: Option<TaskKey>,
    ends_at: Option<Instant>,
    beats: &Beats,
) -> AttemptEnd {
    if task.is_some() {
        let ends_in = ends_at.map(|at| at.saturating_duration_since(Instant::now()));
        return AttemptEnd::Later(HandedOut { ends_in, beats_in: beats.limit(), details: beats.details() });
    }
    let message = format!(
        "{}: activity `{name}` is completed later, but this attempt has no token: write \
         `#[activity(complete_later)]`; a call that was scheduled before the word was written cannot be completed \
         later",
        Code::ActivityToken
    );
    tracing::warn!(code = Code::ActivityToken.as_str(), activity = name, "{message}");
    let failure = FailureRecord::new(FailureKind::Invalid, message);
    AttemptOutcome::Failed { failure, retryable: true, retry_after: None, details: None }.into()
}

/// Adds to a failure what the next attempt gets.
pub(super) fn with_details(report: ReportFn, beats: Arc<Beats>) -> ReportFn {
    Box::new(move |mut end| {
        if let AttemptEnd::Outcome(AttemptOutcome::Failed { retryable: true, details, .. }) = &mut end {
            *details = beats.details();
        }
        report(end);
    })
}

/// The meaning of a body's end: a body that failed after it was asked to stop counts as stopped.
pub(super) fn settle(ended: AttemptEnd, running: &Running) -> AttemptEnd {
    match ended {
        AttemptEnd::Outcome(AttemptOutcome::Failed { .. }) if running.is_shut_down() => {
            lost_to_shutdown(running.name).into()
        }
        AttemptEnd::Outcome(AttemptOutcome::Failed { .. }) if running.token.is_cancelled() => {
            AttemptOutcome::Cancelled.into()
        }
        other => other,
    }
}

pub(super) fn lost_to_shutdown(name: &str) -> AttemptOutcome {
    let message = format!("the worker stopped before activity `{name}` ended");
    let failure = FailureRecord::new(FailureKind::WorkerShutdown, message);
    AttemptOutcome::Failed { failure, retryable: true, retry_after: Some(Duration::ZERO), details: None }
}

pub(super) fn timed_out(name: &str, kind: TimeoutKind) -> AttemptOutcome {
    let failure =
        FailureRecord::new(FailureKind::TimedOut(kind), format!("activity `{name}` timed out ({kind})"));
    let retryable = matches!(kind, TimeoutKind::StartToClose | TimeoutKind::Heartbeat);
    AttemptOutcome::Failed { failure, retryable, retry_after: None, details: None }
}
