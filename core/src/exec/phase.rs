//! How far an execution is: before the first poll of `run`, and at its end.

use super::spawned::Spawned;
use super::turn::Input;
use crate::carried::{Carried, CarriedKind};
use crate::failure::FailureRecord;
use crate::payload::Payload;
use crate::primitive::continue_as_new::again::Again;
use crate::primitive::continue_as_new::carry::Taken;
use std::collections::HashSet;

/// `run`, called but not polled yet.
pub(super) struct Early {
    /// The number of signals that it still waits for.
    pub(super) left: u32,
    pub(super) run: Spawned,
}

/// The number of signals at the beginning of these inputs. A duplicate signal is one event, and one that an
/// earlier run has taken in is none.
pub(super) fn early(inputs: &[Taken], carried: &Carried) -> u32 {
    let known: HashSet<_> = carried
        .known
        .iter()
        .filter(|id| id.kind == CarriedKind::Signal)
        .map(|known| known.id.as_str())
        .collect();
    let mut ids = HashSet::new();
    for (input, _) in inputs {
        let Input::Signal { request_id, .. } = input else { break };
        if !known.contains(request_id.as_str()) {
            ids.insert(request_id.as_str());
        }
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
    /// Another run goes on.
    ContinuedAsNew(Again),
}
