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
    /// The reasons of the requests, in their order.
    requested: Vec<String>,
    /// How many of them `workflow::cancelled()` has given.
    given: usize,
    /// Whether each call waits for the next request; else all of them give the first.
    pub(crate) counts_requests: bool,
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
        self.requested.push(reason);
        self.listeners.drain(..).for_each(Waker::wake);
        self.requested.len() == 1 && !self.listening
    }

    /// The reason of this request. A later call of `workflow::cancelled()` waits for the one behind it.
    pub(crate) fn give(&mut self, request: usize) -> Option<&str> {
        let reason = self.requested.get(request)?;
        self.given = self.given.max(request + 1);
        Some(reason)
    }

    /// The reason that tasks were dropped for, if they were.
    pub(crate) fn dropping(&self) -> Option<&str> {
        self.requested.first().map(String::as_str).filter(|_| !self.listening)
    }

    /// Listens from now on. Gives the number of the request that is next, from 0: one that came in between counts.
    pub(crate) fn listen(&mut self) -> usize {
        self.listening |= self.requested.is_empty();
        if self.counts_requests { self.given } else { 0 }
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
