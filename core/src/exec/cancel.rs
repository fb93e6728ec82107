//! Cancellation as Rust does it: the future is dropped (PROTOCOL 29).
//!
//! A request drops every task at its current await, except that a task inside of `workflow::shielded` finishes that
//! block first, and except where the workflow took `workflow::cancelled()`: then the request is delivered there only.

use super::waker::TaskId;
use std::collections::{BTreeMap, BTreeSet};
use std::task::Waker;

/// See the module's head.
#[derive(Default)]
pub(crate) struct Cancellation {
    /// The reason of the request, once there is one.
    requested: Option<String>,
    /// The workflow decides for itself.
    listening: bool,
    listeners: Vec<Waker>,
    /// How many shielded blocks each task is in.
    shields: BTreeMap<TaskId, u32>,
    /// Tasks to drop when they leave their last shielded block.
    doomed: BTreeSet<TaskId>,
    /// Doomed tasks that have left it.
    ripe: BTreeSet<TaskId>,
}

impl Cancellation {
    /// Takes a request; true where tasks are to be dropped for it.
    pub(crate) fn request(&mut self, reason: String) -> bool {
        if self.requested.is_some() {
            return false;
        }
        self.requested = Some(reason);
        self.listeners.drain(..).for_each(Waker::wake);
        !self.listening
    }

    pub(crate) fn requested(&self) -> Option<&str> {
        self.requested.as_deref()
    }

    /// The reason that tasks were dropped for, if they were.
    pub(crate) fn dropping(&self) -> Option<&str> {
        self.requested.as_deref().filter(|_| !self.listening)
    }

    pub(crate) fn listen(&mut self) {
        self.listening |= self.requested.is_none();
    }

    pub(crate) fn add_listener(&mut self, waker: Waker) {
        if !self.listeners.iter().any(|w| w.will_wake(&waker)) {
            self.listeners.push(waker);
        }
    }

    pub(crate) fn is_waited_for(&self) -> bool {
        !self.listeners.is_empty()
    }

    /// Whether `task` may be dropped now; if it is shielded, it is dropped later.
    pub(crate) fn doom(&mut self, task: TaskId) -> bool {
        let shielded = self.shields.contains_key(&task);
        if shielded {
            self.doomed.insert(task);
        }
        !shielded
    }

    pub(crate) fn shield(&mut self, task: TaskId) {
        *self.shields.entry(task).or_insert(0) += 1;
    }

    /// Leaves one shielded block.
    pub(crate) fn unshield(&mut self, task: TaskId) {
        if let Some(depth) = self.shields.get_mut(&task) {
            *depth -= 1;
            if *depth == 0 {
                self.shields.remove(&task);
                if self.doomed.remove(&task) {
                    self.ripe.insert(task);
                }
            }
        }
    }

    /// Whether `task` has to stop here.
    pub(crate) fn is_ripe(&self, task: TaskId) -> bool {
        self.ripe.contains(&task)
    }

    /// A doomed task whose shielded blocks are done.
    pub(crate) fn pop_ripe(&mut self) -> Option<TaskId> {
        self.ripe.pop_first()
    }

    pub(crate) fn forget(&mut self, task: TaskId) {
        self.shields.remove(&task);
        self.doomed.remove(&task);
        self.ripe.remove(&task);
    }

    pub(crate) fn has_doomed(&self) -> bool {
        !self.doomed.is_empty() || !self.ripe.is_empty()
    }
}
