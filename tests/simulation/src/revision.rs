//! Two releases of a workflow's code: how the second one differs from the first, as data.

use crate::dice::Dice;
use crate::program::{Program, Step};
use serde::{Deserialize, Serialize};

/// The change of the second release, at this index of the outermost steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Revision {
    pub(crate) at: usize,
    pub(crate) change: Change,
}

/// How two releases differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Change {
    /// The second release also executes this step.
    Add(Step),
    /// The second release omits this step.
    LeaveOut,
    /// The first release panics there.
    Mend,
}

/// The panic message of the first release for [`Change::Mend`].
pub(crate) const BUG: &str = "a bug of the first release";

/// A build of the workflow's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Release {
    First,
    Second,
}

impl Release {
    /// The release that the process of this slot runs. The first two differ, so that every run finds the
    /// release of its history.
    pub(crate) fn draw(dice: &mut Dice, slot: u64, revised: bool) -> Self {
        match slot {
            1 if revised => Self::Second,
            2.. if revised && dice.chance(50) => Self::Second,
            _ => Self::First,
        }
    }
}

impl Program {
    /// The program as this release runs it.
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

    /// Whether a release may find the timer of a step that it does not have in the place of one of its own. It
    /// keeps the recorded time then, so that a changed duration does not break open runs.
    pub(crate) fn moves_timers(&self) -> bool {
        let has_none = |step: &Step| matches!(step, Step::Act { .. } | Step::Draw { .. } | Step::Cancelled);
        let step = self.revision.as_ref().and_then(|revision| match &revision.change {
            Change::Add(step) => Some(step),
            Change::LeaveOut => self.steps.get(revision.at),
            Change::Mend => None,
        });
        step.is_some_and(|step| !has_none(step))
    }

    /// The programs of its releases: one, or two.
    pub(crate) fn releases(&self) -> Vec<Self> {
        let second = self.revision.is_some().then_some(Release::Second);
        [Some(Release::First), second].into_iter().flatten().map(|release| self.clone().of(release)).collect()
    }
}
