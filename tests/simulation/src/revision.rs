//! Two releases of a workflow's code: what the second one does otherwise than the first, as data.

use crate::dice::Dice;
use crate::program::{Program, Step};
use serde::{Deserialize, Serialize};

/// What the second release does otherwise, at this place of the outermost steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Revision {
    pub(crate) at: usize,
    pub(crate) change: Change,
}

/// How two releases differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Change {
    /// The second one does this as well.
    Add(Step),
    /// The second one leaves this step out.
    LeaveOut,
    /// The first one panics there.
    Mend,
}

/// What the first release panics with where the second is [`Change::Mend`].
pub(crate) const BUG: &str = "a bug of the first release";

/// A build of the workflow's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Release {
    First,
    Second,
}

impl Release {
    /// Which one the process of this slot runs. The first two differ, so that no run lacks the release that its history is of.
    pub(crate) fn draw(dice: &mut Dice, slot: u64, revised: bool) -> Self {
        match slot {
            1 if revised => Self::Second,
            2.. if revised && dice.chance(50) => Self::Second,
            _ => Self::First,
        }
    }
}

impl Program {
    /// What this release makes of it.
    pub(crate) fn of(mut self, release: Release) -> Self {
        let Some(Revision { at, change }) = self.revision.take() else { return self };
        match (change, release) {
            (Change::Add(step), Release::Second) => self.steps.insert(at, step),
            (Change::LeaveOut, Release::Second) => drop(self.steps.remove(at)),
            (Change::Mend, Release::First) => self.steps.insert(at, Step::Panic),
            _ => {}
        }
        self
    }

    /// What its releases make of it: one, or two.
    pub(crate) fn releases(&self) -> Vec<Self> {
        let second = self.revision.is_some().then_some(Release::Second);
        [Some(Release::First), second].into_iter().flatten().map(|release| self.clone().of(release)).collect()
    }
}
