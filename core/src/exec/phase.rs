//! How far an execution is: before the first poll of `run`, and at its end.

use super::spawned::Spawned;
use super::turn::Input;
use crate::failure::FailureRecord;
use crate::payload::Payload;
use std::collections::HashSet;

/// `run`, called but not polled yet.
pub(super) struct Early {
    /// The number of signals that it still waits for.
    pub(super) left: u32,
    pub(super) run: Spawned,
}

/// The number of signals at the beginning of these inputs. A duplicate signal is one event.
pub(super) fn early(inputs: &[Input]) -> u32 {
    let mut ids = HashSet::new();
    for input in inputs {
        let Input::Signal { request_id, .. } = input else { break };
        ids.insert(request_id.as_str());
    }
    if mutant!(SignalsAfterRun) { 0 } else { u32::try_from(ids.len()).unwrap_or(u32::MAX) }
}

/// The progress of the end.
#[derive(Default, Debug)]
pub(super) enum Ending {
    /// `run` is running.
    #[default]
    Running,
    /// `run` has ended or was dropped. Compensations may be running. The closing event follows when no task
    /// is ready.
    Decided(Verdict),
    /// The closing event was emitted.
    Closed,
}

/// The content of the closing event.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    Completed(Payload),
    Failed(FailureRecord),
    Cancelled(String),
}
