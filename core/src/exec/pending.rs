//! The open commands of one kind, and who waits for their ends.

use crate::ids::EventId;
use crate::site::Site;
use std::collections::BTreeMap;
use std::task::{Poll, Waker};

/// Open commands by number. `T` is what the engine knows of one, `End` is what its future returns. An end
/// stays here until the future takes it.
pub(crate) struct Pending<T, End>(BTreeMap<EventId, Entry<T, End>>);

struct Entry<T, End> {
    what: T,
    site: Option<&'static Site>,
    end: Option<End>,
    waker: Option<Waker>,
}

impl<T, End> Default for Pending<T, End> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T, End> Pending<T, End> {
    /// Adds a command. `site` is the await that waits for it.
    pub(crate) fn add(&mut self, id: EventId, what: T, site: Option<&'static Site>) {
        self.0.insert(id, Entry { what, site, end: None, waker: None });
    }

    /// Takes the end, and removes the command. If it has not ended, registers the waker that `waker` makes.
    pub(crate) fn poll(&mut self, id: EventId, waker: impl FnOnce() -> Waker) -> Poll<End> {
        let Some(entry) = self.0.get_mut(&id) else { return Poll::Pending };
        match entry.end.take() {
            Some(end) => {
                self.0.remove(&id);
                Poll::Ready(end)
            }
            None => {
                entry.waker = Some(waker());
                Poll::Pending
            }
        }
    }

    /// Ends a command: wakes its future.
    pub(crate) fn end(&mut self, id: EventId, end: End) {
        if let Some(entry) = self.0.get_mut(&id) {
            entry.end = Some(end);
            if let Some(waker) = entry.waker.take() {
                waker.wake();
            }
        }
    }

    /// Removes a command. `None`: it had ended.
    pub(crate) fn remove(&mut self, id: EventId) -> Option<T> {
        self.0.remove(&id).filter(|entry| entry.end.is_none()).map(|entry| entry.what)
    }

    /// A command that has not ended.
    pub(crate) fn get(&self, id: EventId) -> Option<&T> {
        self.0.get(&id).filter(|entry| entry.end.is_none()).map(|entry| &entry.what)
    }

    /// A command that has not ended.
    pub(crate) fn get_mut(&mut self, id: EventId) -> Option<&mut T> {
        self.0.get_mut(&id).filter(|entry| entry.end.is_none()).map(|entry| &mut entry.what)
    }

    /// The commands that have not ended, by number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (EventId, &T)> {
        self.sites().map(|(id, what, _)| (id, what))
    }

    /// The commands that have not ended, by number, with the awaits that wait for them.
    pub(crate) fn sites(&self) -> impl Iterator<Item = (EventId, &T, Option<&'static Site>)> {
        self.0.iter().filter(|(_, entry)| entry.end.is_none()).map(|(id, e)| (*id, &e.what, e.site))
    }

    /// How many there are, with those whose end was not taken.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
