//! The locks of open transactions, as Postgres has them: which transaction holds what, how, and which one
//! waits for which.
//!
//! A lock is held until its transaction ends. Three strengths are all that the store uses: `FOR KEY SHARE` (a
//! fence, a message), `FOR NO KEY UPDATE` (an update), `FOR UPDATE` (a delete, a close). A transaction that
//! inserts or deletes a key of a unique index locks it fully, so that a second insert waits for the first.

use crate::store::MessageKind;
use abide_core::{EventId, ExecutionId, Incarnation};
use std::collections::BTreeMap;

/// A transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tx(pub(super) u64);

/// What can be locked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    /// A row of `execution`.
    Execution(ExecutionId),
    /// Of its unique indexes.
    RunId(String),
    RequestId(String),
    /// The workflow id of an open run. A change of that run locks it too, since the change writes its index entry.
    OpenRun(String),
    /// The advisory locks of a start: of its workflow id, and of its request id.
    Starts(String),
    Requests(String),
    Turn(ExecutionId, EventId),
    /// A row of `inbox`, by its unique index.
    Message(ExecutionId, MessageKind, String),
    Worker(Incarnation),
    Lease(Incarnation),
    Task(ExecutionId, EventId),
    Attempt(ExecutionId, EventId),
    Reply(String),
    /// A row of `schedule`, by its id.
    Schedule(String),
    /// A row of `stream`.
    Stream(ExecutionId, String),
    /// A row of `queue_limit`.
    Limit(String, String),
}

/// How it is locked; the stronger mode is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mode {
    KeyShare,
    NoKeyUpdate,
    Update,
}

impl Mode {
    fn conflicts(self, other: Self) -> bool {
        match (self, other) {
            (Self::Update, _) | (_, Self::Update) => true,
            (Self::NoKeyUpdate, other) => other == Self::NoKeyUpdate,
            (Self::KeyShare, _) => false,
        }
    }
}

/// Which transaction holds which lock.
#[derive(Debug, Default)]
pub(super) struct Locks {
    held: BTreeMap<Key, BTreeMap<Tx, Mode>>,
}

impl Locks {
    /// The other transactions that hold it in a conflicting mode.
    pub(super) fn against(&self, key: &Key, mode: Mode, me: Tx) -> Vec<Tx> {
        let holders = self.held.get(key).into_iter().flatten();
        holders.filter(|(tx, held)| **tx != me && mode.conflicts(**held)).map(|(tx, _)| *tx).collect()
    }

    /// Adds locks that conflict with no other.
    pub(super) fn take(&mut self, me: Tx, taken: BTreeMap<Key, Mode>) {
        for (key, mode) in taken {
            let held = self.held.entry(key).or_default().entry(me).or_insert(mode);
            *held = mode.max(*held);
        }
    }

    /// The transaction has ended.
    pub(super) fn release(&mut self, tx: Tx) {
        self.held.retain(|_, holders| {
            holders.remove(&tx);
            !holders.is_empty()
        });
    }

    /// Whether it holds any.
    pub(super) fn holds_any(&self, tx: Tx) -> bool {
        self.held.values().any(|holders| holders.contains_key(&tx))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_conflict_as_postgres_says() {
        use Mode::{KeyShare, NoKeyUpdate, Update};
        let goes_together = [(KeyShare, KeyShare), (KeyShare, NoKeyUpdate)];
        for a in [KeyShare, NoKeyUpdate, Update] {
            for b in [KeyShare, NoKeyUpdate, Update] {
                let together = goes_together.contains(&(a, b)) || goes_together.contains(&(b, a));
                assert_eq!(a.conflicts(b), !together, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn a_lock_is_held_until_its_transaction_ends() {
        let (mut locks, key) = (Locks::default(), Key::Lease(Incarnation(1)));
        locks.take(Tx(1), BTreeMap::from([(key.clone(), Mode::KeyShare)]));
        locks.take(Tx(2), BTreeMap::from([(key.clone(), Mode::KeyShare)]));
        assert_eq!(locks.against(&key, Mode::Update, Tx(1)), [Tx(2)]);
        assert_eq!(locks.against(&key, Mode::Update, Tx(3)), [Tx(1), Tx(2)]);
        assert_eq!(locks.against(&key, Mode::NoKeyUpdate, Tx(3)), []);
        locks.release(Tx(2));
        assert_eq!(locks.against(&key, Mode::Update, Tx(1)), []);
        assert!(locks.holds_any(Tx(1)) && !locks.holds_any(Tx(2)));
    }
}
