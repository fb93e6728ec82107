//! How far an execution is: before the first poll of `run`, and at its end.

use super::program::Failed;
use super::spawned::Spawned;
use super::turn::Input;
use crate::carried::{Carried, CarriedKind};
use crate::payload::Payload;
use crate::primitive::continue_as_new::again::Again;
use crate::primitive::continue_as_new::carry::Taken;
use crate::start_context::StartContext;
use std::collections::HashSet;

/// What a run began with, as far as the run that goes on needs it.
#[derive(Default)]
pub(crate) struct Begun {
    /// Its arguments, if another attempt of the workflow may follow.
    pub(super) input: Option<Payload>,
    /// What it began with besides, but for what was carried.
    pub(super) context: StartContext,
    /// When the time of its chain is up.
    pub(super) chain_by_ms: Option<i64>,
}

/// `run`, called but not polled yet.
pub(super) struct Early {
    /// The number of signals and updates that it still waits for.
    pub(super) left: u32,
    pub(super) run: Spawned,
}

/// The number of signals and updates at the beginning of these inputs. A duplicate is one event, and what an
/// earlier run has taken in is none.
pub(super) fn early(inputs: &[Taken], carried: &Carried) -> u32 {
    let known: HashSet<_> = carried
        .known
        .iter()
        .filter(|id| id.kind == CarriedKind::Signal)
        .map(|known| known.id.as_str())
        .collect();
    let updates: HashSet<_> = carried.updates.iter().map(|update| update.update_id.as_str()).collect();
    let mut ids = HashSet::new();
    for (input, _) in inputs {
        match input {
            Input::Signal { request_id, .. } if known.contains(request_id.as_str()) => {}
            Input::Signal { request_id, .. } => drop(ids.insert((false, request_id.as_str()))),
            Input::Update(ask) if updates.contains(ask.update_id.as_str()) => {}
            Input::Update(ask) if ask.input.is_some() => drop(ids.insert((true, ask.update_id.as_str()))),
            Input::Update(_) => {}
            _ => break,
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
    Failed(Failed),
    Cancelled(String),
    /// Another run goes on.
    ContinuedAsNew(Again),
}
