//! What a turn has produced so far.

use super::turn::{Action, UpdateNews};
use crate::child::{Birth, ParentClosePolicy};
use crate::event::Event;
use crate::ids::EventId;
use crate::primitive::activity::attempt::{AttemptChange, AttemptFailure};
use crate::primitive::stream::item::PublishedItem;

/// The events and effects of the current turn, each list in order.
///
/// If the execution is suspended in the turn, what came after the last delivered input is dropped: those
/// commands had no effect, and must not bind the fixed code. [`TurnDraft::mark`] sets the point up to which
/// the turn stays.
#[derive(Default)]
pub(crate) struct TurnDraft {
    pub(crate) events: Vec<Event>,
    /// To perform after the append.
    pub(crate) actions: Vec<Action>,
    /// The append writes them.
    pub(crate) attempts: Vec<AttemptChange>,
    /// The append inserts them.
    pub(crate) births: Vec<Birth>,
    /// Those of them that were given up, and are not inserted.
    pub(crate) unborn: Vec<EventId>,
    /// To log after the append.
    pub(crate) failures: Vec<AttemptFailure>,
    /// To tell after the append.
    pub(crate) updates: Vec<UpdateNews>,
    /// The append writes them.
    pub(crate) published: Vec<PublishedItem>,
    /// The run has failed, and this is when the next attempt of its workflow begins.
    pub(crate) next_attempt_ms: Option<i64>,
    mark: Mark,
}

/// A point of a turn: the length of each list.
#[derive(Clone, Copy, Default)]
pub(crate) struct Mark {
    events: usize,
    actions: usize,
    attempts: usize,
    births: usize,
    unborn: usize,
    failures: usize,
    updates: usize,
    published: usize,
}

impl TurnDraft {
    /// This point of the turn.
    pub(crate) fn here(&self) -> Mark {
        Mark {
            events: self.events.len(),
            actions: self.actions.len(),
            attempts: self.attempts.len(),
            births: self.births.len(),
            unborn: self.unborn.len(),
            failures: self.failures.len(),
            updates: self.updates.len(),
            published: self.published.len(),
        }
    }

    /// What is here stays in the turn, also if the execution is suspended later in it.
    pub(crate) fn mark(&mut self) {
        self.mark = self.here();
    }

    /// The point up to which the turn stays.
    pub(crate) fn marked(&self) -> Mark {
        self.mark
    }

    /// Drops what came after `to`, which is marked then. Returns the dropped events.
    pub(crate) fn rollback(&mut self, to: Mark) -> Vec<Event> {
        self.mark = to;
        self.actions.truncate(to.actions);
        self.attempts.truncate(to.attempts);
        self.births.truncate(to.births);
        self.unborn.truncate(to.unborn);
        self.failures.truncate(to.failures);
        self.updates.truncate(to.updates);
        self.published.truncate(to.published);
        self.events.split_off(to.events)
    }

    /// The last change of each activity, so that each row is written once. A close deletes all of an execution's rows.
    pub(crate) fn take_attempts(&mut self, closes: bool) -> Vec<AttemptChange> {
        let changes = std::mem::take(&mut self.attempts);
        if closes { Vec::new() } else { AttemptChange::last_of_each(changes) }
    }

    /// The children that the append inserts. Those that a closing append inserts go on alone: the close would end
    /// the others before they begin (PROTOCOL 51).
    pub(crate) fn take_births(&mut self, closes: bool) -> Vec<Birth> {
        let unborn = std::mem::take(&mut self.unborn);
        let mut births = std::mem::take(&mut self.births);
        births.retain(|birth| !unborn.contains(&birth.child));
        births.retain(|birth| !closes || birth.options.parent_close == ParentClosePolicy::Abandon);
        births
    }

    /// The event of this number, if it is of this turn. `len`: the number of the last event.
    pub(crate) fn event_mut(&mut self, id: EventId, len: u64) -> Option<&mut Event> {
        let first = len + 1 - self.events.len() as u64;
        self.events.get_mut(usize::try_from(id.0.checked_sub(first)?).ok()?)
    }
}
