//! What a batch locks before it begins: rows that close, workflow ids and request ids of starts (PROTOCOL 16, 23, 98).
//!
//! A close must not pass a message that was acknowledged. It locks its row fully, and only then reads the inbox, in a
//! statement of its own, whose snapshot is younger than the lock. What another session holds is left for later: no
//! session waits here while it holds locks.

use super::dispatch::Receivers;
use crate::store::append::{Append, CloseKind};
use crate::store::dispatch::Address;
use crate::store::execution::NewExecution;
use crate::store::group::Committed;
use abide_core::ExecutionId;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// The most workflow ids and request ids that one batch locks: the server's table of locks is shared by all.
const MOST_IDS: usize = 64;

/// What a start locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StartName<'a> {
    Workflow(&'a str),
    Request(&'a str),
}

/// Its workflow id, unless that was made for it and meets no other run; and its request id, which a start
/// under another workflow id may have too (PROTOCOL 98).
pub(crate) fn start_names(new: &NewExecution) -> impl Iterator<Item = StartName<'_>> {
    let name = (!new.has_fresh_id()).then_some(StartName::Workflow(&new.workflow_id));
    name.into_iter().chain(new.request_id.as_deref().map(StartName::Request))
}

/// The locks of one batch; `K` names the lock of a start.
#[derive(Clone, Debug)]
pub(crate) struct Locks<K> {
    /// Starts for whose ids this batch has no room.
    over: HashSet<ExecutionId>,
    /// The executions that close. A drained one with the messages that its last turn has taken in: it meets others.
    closes: BTreeMap<ExecutionId, Option<HashSet<i64>>>,
    /// Closes whose executions receive a message of this batch. The statement would insert the message and close over
    /// it, so the close waits for a later batch, and meets the message in its inbox (PROTOCOL 36).
    with_send: HashSet<ExecutionId>,
    /// The starts of each locked id.
    ids: BTreeMap<K, Vec<ExecutionId>>,
    /// The workflows that messages go to.
    receivers: BTreeSet<Address>,
}

/// What the locks of a batch have come to.
#[derive(Clone, Debug)]
pub(crate) struct Guarded {
    /// What the batch leaves out.
    pub(crate) out: Committed,
    /// Who was found under the addresses of its dispatches.
    pub(crate) receivers: Receivers,
}

impl Guarded {
    /// The appends that the batch writes. One whose receiver is held goes later. A close whose run gets a message of
    /// the batch goes later too (PROTOCOL 36).
    pub(crate) fn admit<'a>(
        &mut self,
        appends: impl IntoIterator<Item = &'a Append>,
        closes: impl Iterator<Item = ExecutionId>,
    ) -> Vec<Cow<'a, Append>> {
        let appends: Vec<&'a Append> = appends.into_iter().collect();
        let closes: HashSet<ExecutionId> = closes.collect();
        // The names of this batch's starts and children, which no look sees.
        let starts = appends.iter().filter_map(|append| append.own_start());
        let mut names: HashSet<&str> = starts.map(|new| new.workflow_id.as_str()).collect();
        let mut admitted = Vec::new();
        for append in appends {
            let id = append.execution;
            if self.out.leaves_out(id) {
                continue;
            }
            if append.is_resolved() {
                admitted.push(Cow::Borrowed(append));
                continue;
            }
            let named = || append.children.iter().filter(|child| child.name.is_some());
            if named().any(|child| names.contains(child.workflow_id.as_str())) {
                self.out.locked.insert(id);
                continue;
            }
            names.extend(named().map(|child| child.workflow_id.as_str()));
            match append.resolved(&self.receivers) {
                None => drop(self.out.locked.insert(id)),
                Some(resolved) => {
                    let to = resolved.sent().map(|message| message.execution);
                    self.out.locked.extend(to.filter(|to| closes.contains(to) && !mutant!(CloseWithSend)));
                    admitted.push(Cow::Owned(resolved));
                }
            }
        }
        admitted.retain(|append| !self.out.leaves_out(append.execution));
        admitted
    }
}

impl<K: Ord> Locks<K> {
    /// `None`: nothing is to be locked, and the batch is one statement.
    pub(crate) fn of<'a>(
        appends: impl Iterator<Item = &'a Append>,
        key: impl Fn(StartName<'_>) -> K,
    ) -> Option<Self> {
        let mut locks = Self {
            over: HashSet::new(),
            closes: BTreeMap::new(),
            with_send: HashSet::new(),
            ids: BTreeMap::new(),
            receivers: BTreeSet::new(),
        };
        let mut receivers = HashSet::new();
        for append in appends {
            receivers.extend(append.sent().map(|message| message.execution));
            locks.receivers.extend(append.addresses().cloned());
            let children = append.children.iter().filter(|child| child.name.is_some());
            let children: Vec<_> = children.map(|child| StartName::Workflow(&child.workflow_id)).collect();
            if !children.is_empty() && !locks.ids.is_empty() && locks.ids.len() + children.len() > MOST_IDS {
                locks.over.insert(append.execution);
                continue;
            }
            for name in children {
                locks.ids.entry(key(name)).or_default().push(append.execution);
            }
            match append.own_start() {
                // A user's transaction that has started the same id (`within`) holds it for as long as the user likes.
                Some(new) if locks.ids.len() + start_names(new).count() > MOST_IDS => {
                    locks.over.insert(append.execution);
                }
                Some(new) => {
                    for name in start_names(new) {
                        locks.ids.entry(key(name)).or_default().push(append.execution);
                    }
                }
                // Who replaces an open run under a user's name holds the name's lock (PROTOCOL 37).
                None if append.successor.is_some() && locks.ids.len() + 1 > MOST_IDS => {
                    locks.over.insert(append.execution);
                }
                None => {
                    if let Some(next) = append.successor.as_ref().filter(|_| !mutant!(SkipNameLock)) {
                        let name = key(StartName::Workflow(&next.workflow_id));
                        locks.ids.entry(name).or_default().push(append.execution);
                    }
                    if let Some(close) = &append.close {
                        let taken_in = (close.kind == CloseKind::Drained || mutant!(TerminateDrained))
                            .then(|| append.consumed.iter().copied().collect());
                        locks.closes.insert(append.execution, taken_in);
                    }
                }
            }
        }
        if !mutant!(CloseWithSend) {
            locks.with_send.extend(locks.closes.keys().filter(|id| receivers.contains(id)));
            locks.closes.retain(|id, _| !receivers.contains(id));
        }
        let closes = !(locks.closes.is_empty() && locks.with_send.is_empty());
        let any = closes || !(locks.ids.is_empty() && locks.receivers.is_empty());
        any.then_some(locks)
    }

    /// The ids to lock, in order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &K> {
        self.ids.keys()
    }

    /// The rows to lock, in order.
    pub(crate) fn closes(&self) -> impl Iterator<Item = ExecutionId> {
        self.closes.keys().copied()
    }

    /// The workflows to look for.
    pub(crate) fn receivers(&self) -> impl Iterator<Item = &Address> {
        self.receivers.iter()
    }

    /// Once the locks were tried: what the batch leaves out if all of them were had and no inbox holds a message.
    pub(crate) fn tried(&self) -> Guarded {
        let out =
            Committed { over: self.over.clone(), locked: self.with_send.clone(), ..Committed::default() };
        Guarded { out, receivers: Receivers::default() }
    }

    /// Somebody else holds this id: its starts stay out.
    pub(crate) fn id_is_held(&self, key: &K, out: &mut Committed) {
        out.locked.extend(self.ids.get(key).into_iter().flatten());
    }

    /// The inbox of one that closes, whose row is locked, holds this message.
    pub(crate) fn meets(&self, execution: ExecutionId, message: i64, out: &mut Committed) {
        let Some(Some(taken_in)) = self.closes.get(&execution) else { return };
        if !taken_in.contains(&message) && !out.locked.contains(&execution) {
            out.conflicts.insert(execution);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::new;
    use super::*;
    use crate::status::ExecutionStatus;
    use crate::store::append::Close;
    use crate::store::message::{MessageKind, NewMessage};
    use abide_core::Incarnation;

    fn bare(id: i64) -> Append {
        Append::bare(Incarnation(1), ExecutionId(id), 1)
    }

    fn locks(appends: &[Append]) -> Option<Locks<String>> {
        Locks::of(appends.iter(), |name| format!("{name:?}"))
    }

    fn start(id: i64, request_id: Option<&str>) -> Append {
        let request_id = request_id.map(str::to_owned);
        let new = NewExecution { id: ExecutionId(id), workflow_id: format!("o{id}"), request_id, ..new() };
        Append { births: vec![new], ..bare(id) }
    }

    fn close(id: i64, consumed: Vec<i64>) -> Append {
        let (kind, status) = (CloseKind::Drained, ExecutionStatus::Completed);
        let close = Close { kind, status, result: String::new() };
        Append { close: Some(close), consumed, ..bare(id) }
    }

    #[test]
    fn only_closes_and_named_starts_lock() {
        assert!(locks(&[bare(1)]).is_none());
        let mut fresh = start(2, None);
        let new = &mut fresh.births[0];
        new.workflow_id.clone_from(&new.run_id);
        assert!(locks(&[fresh]).is_none(), "a workflow id that was made for it");
        let some = locks(&[start(2, Some("k")), close(1, vec![])]).unwrap();
        assert_eq!(some.ids().collect::<Vec<_>>(), ["Request(\"k\")", "Workflow(\"o2\")"]);
        assert_eq!(some.closes().collect::<Vec<_>>(), [ExecutionId(1)]);
    }

    #[test]
    fn a_message_that_was_not_taken_in_keeps_a_close_out() {
        let locks = locks(&[close(1, vec![8]), close(2, vec![])]).unwrap();
        let mut out = locks.tried().out;
        out.locked.insert(ExecutionId(2));
        locks.meets(ExecutionId(1), 8, &mut out);
        locks.meets(ExecutionId(2), 9, &mut out);
        assert!(out.conflicts.is_empty());
        locks.meets(ExecutionId(1), 9, &mut out);
        assert!(out.conflicts.contains(&ExecutionId(1)) && out.leaves_out(ExecutionId(2)));
    }

    #[test]
    fn no_message_keeps_an_end_without_code_out() {
        let mut end = close(1, vec![]);
        end.close.as_mut().unwrap().kind = CloseKind::Discarded;
        let locks = locks(&[end]).unwrap();
        assert_eq!(locks.closes().collect::<Vec<_>>(), [ExecutionId(1)], "its row is locked all the same");
        let mut out = locks.tried().out;
        locks.meets(ExecutionId(1), 9, &mut out);
        assert!(out.conflicts.is_empty());
    }

    fn message(to: i64) -> NewMessage {
        let (kind, request_id, body) = (MessageKind::Signal, "s".to_owned(), "{}".to_owned());
        NewMessage { execution: ExecutionId(to), kind, request_id, body, at_ms: 1 }
    }

    #[test]
    fn a_close_is_in_no_batch_with_a_message_to_its_run() {
        let sends = Append { messages: vec![message(2), message(3)], ..bare(1) };
        let some = locks(&[close(2, vec![]), sends, close(4, vec![])]).unwrap();
        assert_eq!(some.closes().collect::<Vec<_>>(), [ExecutionId(4)]);
        assert_eq!(some.tried().out.locked, HashSet::from([ExecutionId(2)]));
        assert!(locks(&[Append { messages: vec![message(9)], ..bare(1) }]).is_none());
        // What a run sends to itself as it closes is dropped.
        let own = Append { messages: vec![message(2), message(3)], ..close(2, vec![]) };
        assert_eq!(own.sent().map(|message| message.execution.0).collect::<Vec<_>>(), [3]);
        assert_eq!(locks(&[own]).unwrap().closes().collect::<Vec<_>>(), [ExecutionId(2)]);
    }

    #[test]
    fn starts_beyond_the_most_wait_for_the_next_batch() {
        let starts: Vec<Append> = (1..=33).map(|id| start(id, Some("k"))).collect();
        let all = locks(&starts).unwrap();
        assert!(all.tried().out.over.is_empty(), "one request id, 33 workflow ids");
        let starts: Vec<Append> = (1..=66).map(|id| start(id, None)).collect();
        let over = locks(&starts).unwrap().tried().out.over;
        assert_eq!(over, HashSet::from([ExecutionId(65), ExecutionId(66)]));
    }
}
