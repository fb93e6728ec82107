//! The commands of one execution whose answers have not come.

use crate::exec::pending::Pending;
use crate::ids::EventId;
use crate::site::Site;
use std::task::{Poll, Waker};

/// What became of a command: `Err` has the reason of its refusal.
pub(crate) type Answer = Result<(), String>;

/// The unanswered commands.
#[derive(Default)]
pub(crate) struct Answers(Pending<Wanted, Answer>);

/// Whether a future waits for the answer.
#[derive(PartialEq, Eq)]
enum Wanted {
    Yes,
    /// The future was dropped. The answer still comes, and is taken in as an event.
    No,
}

impl Answers {
    pub(super) fn add(&mut self, command: EventId, site: Option<&'static Site>) {
        self.0.add(command, Wanted::Yes, site);
    }

    pub(super) fn poll(&mut self, command: EventId, waker: impl FnOnce() -> Waker) -> Poll<Answer> {
        self.0.poll(command, waker)
    }

    pub(super) fn dropped(&mut self, command: EventId) {
        match self.0.get_mut(command) {
            Some(wanted) => *wanted = Wanted::No,
            None => drop(self.0.remove(command)),
        }
    }

    /// The command had no effect, so that no answer comes.
    pub(crate) fn forget(&mut self, command: EventId) {
        self.0.remove(command);
    }

    /// Whether the command's answer has not come.
    pub(crate) fn awaits(&self, command: EventId) -> bool {
        self.0.get(command).is_some()
    }

    pub(crate) fn end(&mut self, command: EventId, answer: Answer) {
        match self.0.get(command) {
            Some(Wanted::Yes) => self.0.end(command, answer),
            Some(Wanted::No) => drop(self.0.remove(command)),
            None => {}
        }
    }

    /// How many commands have no answer.
    pub(crate) fn unanswered(&self) -> usize {
        self.0.iter().count()
    }

    pub(crate) fn sites(&self) -> impl Iterator<Item = &'static Site> {
        let waits = self.0.sites().filter(|(_, wanted, _)| **wanted == Wanted::Yes);
        waits.filter_map(|(_, _, site)| site)
    }
}
