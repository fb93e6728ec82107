//! How executions stand, read by tests; and a gate that holds a workflow until its test lets it through.

use super::support::eventually;
use abide::prelude::*;
use std::fmt::Debug;
use std::sync::Arc;
use tokio::sync::watch;

/// Why `result()` says that the execution is suspended.
pub fn reason<T: Debug, E: abide::Fault>(ended: Result<T, WorkflowError<E>>) -> abide::Reason {
    match ended {
        Err(WorkflowError::Suspended(reason)) => reason,
        other => panic!("not suspended, but {other:?}"),
    }
}

/// The code of what the client was told.
pub fn refused<T: Debug>(answer: abide::Result<T>) -> &'static str {
    answer.expect_err("it is refused").code()
}

/// Checks that `text` speaks of each of `parts`.
pub fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
}

/// How many events its history has.
pub async fn events(run: &abide::UntypedHandle) -> u64 {
    run.describe().await.unwrap().history_length
}

/// An activity that ends when the test says so, and a worker that shuts down stops at once.
#[derive(Clone)]
pub struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    pub fn closed() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Waits until the execution has come to the gate.
    pub async fn reached(run: &abide::UntypedHandle) {
        eventually("it comes to the gate", async || {
            let pending = run.describe().await.unwrap().pending_activities;
            pending.iter().any(|activity| activity.activity_type == "Gate.pass")
        })
        .await;
    }
}

#[activity]
impl Gate {
    /// Ends when the gate is open.
    pub async fn pass(&self) -> Result<(), Failure> {
        let mut open = self.0.subscribe();
        let context = abide::activity::context();
        tokio::select! {
            _ = open.wait_for(|open| *open) => Ok(()),
            () = context.cancelled() => Err(Failure::new("asked to stop at the gate")),
        }
    }
}
