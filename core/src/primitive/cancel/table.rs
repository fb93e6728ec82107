//! Cancellation as Rust does it: the future is dropped (PROTOCOL 29).
//!
//! A request drops every task at its current await, with two exceptions. A task inside `workflow::shielded`
//! finishes that block first. A workflow that called `workflow::cancelled()` gets the request there, and no
//! task is dropped.

use crate::carried::CarriedCancel;
use crate::exec::waker::TaskId;
use crate::primitive::known::KnownIds;
use std::collections::{BTreeMap, BTreeSet};
use std::task::Waker;

/// The cancellation state of one execution; see the head of this module.
#[derive(Default)]
pub(crate) struct Cancellation {
    /// The request ids. A signal and a cancel request may share an id (PROTOCOL 41).
    pub(crate) known: KnownIds,
    /// The requests, in order of arrival.
    requested: Vec<CarriedCancel>,
    /// How many requests `workflow::cancelled()` has returned.
    given: usize,
    /// True: each call waits for the next request. False: every call returns the first one.
    pub(crate) counts_requests: bool,
    /// The workflow called `workflow::cancelled()`, so no task is dropped.
    listening: bool,
    listeners: Vec<Waker>,
    /// How many shielded blocks each task is in.
    shields: BTreeMap<TaskId, u32>,
    /// Tasks to drop when they leave their last shielded block.
    doomed: BTreeSet<TaskId>,
    /// Doomed tasks that have left their last shielded block.
    ripe: BTreeSet<TaskId>,
}

impl Cancellation {
    /// Whether a request with this id was taken in.
    pub(crate) fn knows(&self, request_id: &str) -> bool {
        self.known.has(request_id)
    }

    /// Records a request. True: tasks must be dropped for it.
    pub(crate) fn request(&mut self, request_id: String, reason: String, now_ms: i64) -> bool {
        self.known.note(request_id.clone(), now_ms);
        self.requested.push(CarriedCancel { request_id, reason });
        self.listeners.drain(..).for_each(Waker::wake);
        self.requested.len() == 1 && !self.listening
    }

    /// Whether the run was asked to cancel, whatever came of it.
    pub(crate) fn is_requested(&self) -> bool {
        !self.requested.is_empty()
    }

    /// Returns the reason of this request. A later call of `workflow::cancelled()` waits for the next one.
    pub(crate) fn give(&mut self, request: usize) -> Option<&str> {
        let asked = self.requested.get(request)?;
        self.given = self.given.max(request + 1);
        Some(&asked.reason)
    }

    /// The reason that tasks were dropped for, if any were.
    pub(crate) fn dropping(&self) -> Option<&str> {
        self.requested.first().map(|asked| asked.reason.as_str()).filter(|_| !self.listening)
    }

    /// The oldest request that the workflow has not taken: no call has returned it, or tasks are dropped for it
    /// and have not all ended.
    pub(crate) fn pending(&self) -> Option<CarriedCancel> {
        let taken = if self.listening { self.given } else { 0 };
        self.requested.get(taken).cloned()
    }

    /// Listens from now on. Returns the number of the next request, from 0. Earlier requests count if
    /// no call has returned them.
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

    /// Whether `task` may be dropped now. A shielded task is dropped later.
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

    /// Whether `task` must stop here.
    pub(crate) fn is_ripe(&self, task: TaskId) -> bool {
        self.ripe.contains(&task)
    }

    /// Takes a doomed task that has left its last shielded block.
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
