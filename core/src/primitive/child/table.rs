//! The children of one execution.

use crate::child::{Birth, ChildEnd};
use crate::ids::EventId;
use crate::policy::CancellationType;
use crate::site::Site;
use std::collections::BTreeMap;
use std::task::{Poll, Waker};

/// How a child came to its end.
#[derive(Clone, Debug)]
pub(super) enum Ended {
    /// It ran, and ended so.
    Ran(ChildEnd),
    /// It was not started: another run has its workflow id.
    Taken,
}

/// Who still wants to know of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// The call that is awaited. It takes the end.
    Once,
    /// The handle, which can be asked again and again.
    Kept,
    /// Only the close, which waits for the end: the call was dropped.
    Stopping,
    /// No future, and not the close.
    No,
}

struct Child {
    /// What a drop of its call does.
    cancellation: CancellationType,
    wanted: Wanted,
    /// Its append may refuse it, and has not answered.
    in_doubt: bool,
    site: Option<&'static Site>,
    workflow_id: String,
    run_id: String,
    end: Option<Ended>,
    wakers: Vec<Waker>,
}

impl Child {
    fn wake(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }

    fn wait<T>(&mut self, waker: Waker) -> Poll<T> {
        if !self.wakers.iter().any(|known| known.will_wake(&waker)) {
            self.wakers.push(waker);
        }
        Poll::Pending
    }
}

/// The children that the workflow waits for, holds a handle of, or has not taken the end of; by the number of
/// their command.
#[derive(Default)]
pub(crate) struct Children(BTreeMap<EventId, Child>, /* whether there was one */ bool);

impl Children {
    pub(super) fn add(&mut self, birth: &Birth, cancellation: CancellationType, site: Option<&'static Site>) {
        let child = Child {
            cancellation,
            wanted: Wanted::Once,
            in_doubt: birth.named,
            site,
            workflow_id: birth.workflow_id.clone(),
            run_id: birth.ids.run_id.clone(),
            end: None,
            wakers: Vec::new(),
        };
        self.0.insert(birth.child, child);
        self.1 = true;
    }

    /// Its workflow id and its run id.
    pub(super) fn ids(&self, id: EventId) -> (String, String) {
        self.0.get(&id).map(|child| (child.workflow_id.clone(), child.run_id.clone())).unwrap_or_default()
    }

    /// Takes the end. Otherwise registers the waker.
    pub(super) fn poll(&mut self, id: EventId, waker: impl FnOnce() -> Waker) -> Poll<Ended> {
        let Some(child) = self.0.get_mut(&id) else { return Poll::Pending };
        match child.end.take() {
            Some(end) => {
                self.0.remove(&id);
                Poll::Ready(end)
            }
            None => child.wait(waker()),
        }
    }

    /// Looks at the end, which stays. Otherwise registers the waker; `site` is the await that waits.
    pub(super) fn look(
        &mut self,
        id: EventId,
        site: Option<&'static Site>,
        waker: impl FnOnce() -> Waker,
    ) -> Poll<Ended> {
        let Some(child) = self.0.get_mut(&id) else { return Poll::Pending };
        match &child.end {
            Some(end) => Poll::Ready(end.clone()),
            None => {
                child.site = site;
                child.wait(waker())
            }
        }
    }

    /// Whether it was started. `Ready(false)`: its id is taken, and it is forgotten. Otherwise registers the waker.
    pub(super) fn poll_start(&mut self, id: EventId, waker: impl FnOnce() -> Waker) -> Poll<bool> {
        let Some(child) = self.0.get_mut(&id) else { return Poll::Pending };
        match child.end {
            Some(Ended::Taken) => {
                self.0.remove(&id);
                Poll::Ready(false)
            }
            None if child.in_doubt => child.wait(waker()),
            _ => {
                child.wanted = Wanted::Kept;
                Poll::Ready(true)
            }
        }
    }

    /// What a drop of its call does. `None`: it has ended.
    pub(super) fn cancellation(&self, id: EventId) -> Option<CancellationType> {
        self.0.get(&id).filter(|child| child.end.is_none()).map(|child| child.cancellation)
    }

    /// No future waits for it any more.
    pub(super) fn forget(&mut self, id: EventId) {
        self.0.remove(&id);
    }

    /// The last handle was dropped. The child goes on.
    pub(super) fn release(&mut self, id: EventId) {
        match self.0.get_mut(&id) {
            Some(child) if child.end.is_none() => child.wanted = Wanted::No,
            _ => self.forget(id),
        }
    }

    /// It was asked to stop, and the close waits for its end.
    pub(super) fn stop(&mut self, id: EventId) {
        if let Some(child) = self.0.get_mut(&id) {
            child.wanted = Wanted::Stopping;
        }
    }

    /// Its append has answered: it was started, or its id is taken.
    pub(crate) fn answered(&mut self, id: EventId, taken: bool) {
        let Some(child) = self.0.get_mut(&id) else { return };
        child.in_doubt = false;
        match taken {
            true => self.ended(id, Ended::Taken),
            false => child.wake(),
        }
    }

    /// It has ended.
    pub(crate) fn end(&mut self, id: EventId, end: ChildEnd) {
        self.ended(id, Ended::Ran(end));
    }

    fn ended(&mut self, id: EventId, end: Ended) {
        let Some(child) = self.0.get_mut(&id) else { return };
        match child.wanted {
            Wanted::Once | Wanted::Kept => {
                child.end = Some(end);
                child.wake();
            }
            Wanted::Stopping | Wanted::No => self.forget(id),
        }
    }

    fn open(&self) -> impl Iterator<Item = (EventId, &Child)> {
        self.0.iter().filter(|(_, child)| child.end.is_none()).map(|(id, child)| (*id, child))
    }

    /// Whether it has not ended.
    pub(crate) fn is_open(&self, id: EventId) -> bool {
        self.0.get(&id).is_some_and(|child| child.end.is_none())
    }

    /// Whether a child was ever scheduled.
    pub(crate) fn had_any(&self) -> bool {
        self.1
    }

    /// How many have not ended.
    pub(crate) fn count(&self) -> usize {
        self.open().count()
    }

    /// Whether some child must end before the execution may close.
    pub(crate) fn must_wait(&self) -> bool {
        self.open().any(|(_, child)| child.wanted == Wanted::Stopping)
    }

    /// The awaits that wait for a child.
    pub(crate) fn sites(&self) -> impl Iterator<Item = &'static Site> {
        let waits = |child: &Child| child.wanted == Wanted::Once || !child.wakers.is_empty();
        self.open().filter(move |(_, child)| waits(child)).filter_map(|(_, child)| child.site)
    }
}
