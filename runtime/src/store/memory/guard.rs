//! What a batch locks before it begins: rows that close, workflow ids whose policies look at other runs, and request ids of starts
//! (PROTOCOL 16, 23, 98).
//!
//! A close locks its row fully, and only then looks into the inbox, by a statement of its own, whose snapshot is younger than the lock. What
//! a stranger holds is left for later, never waited for.

use super::batch::locks_row;
use super::locks::{Key, Mode};
use super::session::{Failure, Session};
use super::statement::Statement;
use crate::store::{Append, NewExecution};
use abide_core::ExecutionId;
use std::collections::{BTreeMap, BTreeSet};

/// The most workflow ids that one batch locks.
const MOST_IDS: usize = 64;

/// What is to be locked.
#[derive(Clone, Default)]
pub(super) struct Locks {
    /// Starts for whose ids there was no room.
    over: BTreeSet<ExecutionId>,
    /// The executions that close, each with the messages that its last turn has taken in.
    closes: BTreeMap<ExecutionId, BTreeSet<i64>>,
    /// The starts of each locked id.
    ids: BTreeMap<Key, Vec<ExecutionId>>,
}

/// What must stay out of the batch.
#[derive(Clone, Default)]
pub(super) struct Guarded {
    /// A message waits for them.
    pub(super) conflicts: BTreeSet<ExecutionId>,
    /// Somebody holds their row or id.
    pub(super) locked: BTreeSet<ExecutionId>,
    /// There was no room for their locks.
    pub(super) over: BTreeSet<ExecutionId>,
}

impl Guarded {
    pub(super) fn leaves_out(&self, id: ExecutionId) -> bool {
        [&self.conflicts, &self.locked, &self.over].iter().any(|out| out.contains(&id))
    }
}

/// What a start locks: its workflow id, unless that is of our own making, and its request id.
pub(super) fn start_keys(new: &NewExecution) -> Vec<Key> {
    let name = (!new.has_fresh_id()).then(|| Key::Starts(new.workflow_id.clone()));
    name.into_iter().chain(new.request_id.clone().map(Key::Requests)).collect()
}

impl Locks {
    /// `None`: nothing is to be locked, and the batch is one statement.
    pub(super) fn of<'a>(appends: impl Iterator<Item = &'a Append>) -> Option<Self> {
        let mut locks = Self::default();
        for append in appends {
            match &append.create {
                Some(new) => {
                    let keys = start_keys(new);
                    if locks.ids.len() + keys.len() > MOST_IDS {
                        locks.over.insert(append.execution);
                        continue;
                    }
                    for key in keys {
                        locks.ids.entry(key).or_default().push(append.execution);
                    }
                }
                None if append.is_closing() => {
                    locks.closes.insert(append.execution, append.consumed.iter().copied().collect());
                }
                _ => {}
            }
        }
        (!locks.closes.is_empty() || !locks.ids.is_empty()).then_some(locks)
    }

    /// Takes the locks.
    pub(super) async fn take(self, session: &mut Session) -> Result<Guarded, Failure> {
        let mut guarded = Guarded { over: self.over, ..Guarded::default() };
        if !self.ids.is_empty() {
            let lock = |st: &mut Statement<'_>| {
                let held = self.ids.iter().filter(|(id, _)| !st.try_lock((*id).clone(), Mode::Update));
                Ok(held.flat_map(|(_, starts)| starts.iter().copied()).collect::<Vec<_>>())
            };
            guarded.locked.extend(session.run(lock).await?);
        }
        if self.closes.is_empty() {
            return Ok(guarded);
        }
        let lock = |st: &mut Statement<'_>| {
            let held = self.closes.keys().filter(|id| !locks_row(st, **id));
            Ok(held.copied().collect::<Vec<_>>())
        };
        guarded.locked.extend(session.run(lock).await?);
        let look = |st: &mut Statement<'_>| {
            let holds_up = |id: &ExecutionId, taken_in: &BTreeSet<i64>| {
                st.tables.inbox_of(*id).any(|row| row.kind.is_input() && !taken_in.contains(&row.id))
            };
            let held_up = self.closes.iter().filter(|(id, taken_in)| holds_up(id, taken_in));
            Ok(held_up.map(|(id, _)| *id).collect::<Vec<_>>())
        };
        let held_up = session.run(look).await?;
        let locked = &guarded.locked;
        guarded.conflicts = held_up.into_iter().filter(|id| !locked.contains(id)).collect();
        Ok(guarded)
    }
}
