//! The updates that an execution has accepted.

use crate::carried::CarriedUpdate;
use crate::event::UpdateOutcome;
use crate::exec::turn::{UpdateNews, UpdateState};
use crate::ids::EventId;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The most open updates of one execution.
pub(super) const MAX_OPEN: usize = 100;

/// The most accepted updates of one execution.
pub(super) const MAX_ACCEPTED: usize = 2_000;

/// An accepted update.
pub(super) struct Accepted {
    pub(super) update_id: String,
    /// The processes that have asked and are not told of its end yet. Those that asked this owner only: a
    /// client that still waits asks again (PROTOCOL 46).
    askers: BTreeSet<i64>,
    outcome: Option<UpdateOutcome>,
    at_ms: i64,
}

/// The updates of one execution.
#[derive(Default)]
pub(crate) struct Updates {
    ids: HashMap<String, EventId>,
    accepted: BTreeMap<EventId, Accepted>,
    open: usize,
    /// What earlier runs of the chain have accepted, in that order (PROTOCOL 61).
    earlier: Vec<CarriedUpdate>,
}

impl Updates {
    /// The acceptance of the update with this id.
    pub(super) fn find(&self, update_id: &str) -> Option<EventId> {
        self.ids.get(update_id).copied()
    }

    /// Whether the update with this id is accepted.
    pub(crate) fn knows(&self, update_id: &str) -> bool {
        self.ids.contains_key(update_id)
    }

    /// How many have been accepted so far.
    pub(crate) fn len(&self) -> u64 {
        self.accepted.len() as u64
    }

    /// The run id of the earlier run that has accepted the update with this id.
    pub(super) fn earlier(&self, update_id: &str) -> Option<&str> {
        let found = self.earlier.iter().find(|earlier| earlier.update_id == update_id);
        found.map(|earlier| earlier.run_id.as_str())
    }

    /// What the runs before have accepted, the newest first.
    pub(crate) fn know(&mut self, carried: &[CarriedUpdate]) {
        self.earlier = carried.iter().rev().cloned().collect();
    }

    /// What the next run has to know, in the order in which it was accepted. `run_id`: of this run.
    pub(crate) fn carried(&self, run_id: &str) -> Vec<CarriedUpdate> {
        let here = self.accepted.values().map(|accepted| CarriedUpdate {
            update_id: accepted.update_id.clone(),
            run_id: run_id.to_owned(),
            at_ms: accepted.at_ms,
        });
        self.earlier.iter().cloned().chain(here).collect()
    }

    pub(super) fn is_full(&self) -> bool {
        self.open >= MAX_OPEN || self.accepted.len() >= MAX_ACCEPTED
    }

    pub(super) fn accept(&mut self, id: EventId, update_id: String, asker: Option<i64>, at_ms: i64) {
        self.ids.insert(update_id.clone(), id);
        let askers = asker.into_iter().collect();
        self.accepted.insert(id, Accepted { update_id, askers, outcome: None, at_ms });
        self.open += 1;
    }

    /// A process has asked for an accepted update. Returns how far it is.
    pub(super) fn asked(&mut self, id: EventId, asker: Option<i64>) -> UpdateState {
        let Some(accepted) = self.accepted.get_mut(&id) else { return UpdateState::Unknown };
        match &accepted.outcome {
            Some(outcome) => UpdateState::Completed(outcome.clone()),
            None => {
                accepted.askers.extend(asker);
                UpdateState::Accepted
            }
        }
    }

    /// The handler has ended. Returns the news for those who wait.
    pub(super) fn complete(&mut self, id: EventId, outcome: UpdateOutcome) -> Option<UpdateNews> {
        let oldest = self.accepted.iter().find(|(_, accepted)| accepted.outcome.is_none());
        let id = oldest.filter(|_| mutant!(AnswerOldest)).map_or(id, |(oldest, _)| *oldest);
        let accepted = self.accepted.get_mut(&id).filter(|accepted| accepted.outcome.is_none())?;
        accepted.outcome = Some(outcome.clone());
        self.open -= 1;
        Some(accepted.news(UpdateState::Completed(outcome)))
    }

    /// The execution ends: the news of all updates that are accepted and not completed.
    pub(super) fn abort(&self) -> Vec<UpdateNews> {
        let open = self.accepted.values().filter(|accepted| accepted.outcome.is_none());
        open.map(|accepted| accepted.news(UpdateState::Aborted)).collect()
    }
}

impl Accepted {
    fn news(&self, state: UpdateState) -> UpdateNews {
        let askers = self.askers.iter().copied().collect();
        UpdateNews { update_id: self.update_id.clone(), ask: None, askers, state }
    }
}
