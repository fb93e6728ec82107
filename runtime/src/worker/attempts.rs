//! The attempts that this worker runs: of activities of its own runs, and of tasks that it has claimed from its
//! task queue. They are kept apart from the live states, which may be evicted, moved to another thread or
//! suspended while their activities run on.
//!
//! An outcome stays here until the write that holds it is durable. So a thread that loads the run finds it,
//! and a shutdown waits for it.

use super::lock::lock;
use crate::activity::blocking::Slot;
use crate::activity::heartbeat::{Beats, Due, Told};
use crate::activity::runner::{Attempt, Runner};
use crate::store::{OwnedTask, TaskKey};
use abide_core::exec::{ActivityStart, AttemptOutcome};
use abide_core::{EventId, ExecutionId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The place of an attempt in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// An activity of a run that this worker owns, or owned: it has one attempt at a time.
    Own(ExecutionId, EventId),
    /// A task: the database arbitrates who runs it.
    Claimed(TaskKey),
}

/// One attempt that this worker started.
struct Entry {
    attempt: u32,
    cancel: CancellationToken,
    /// The workflow may give the activity up, and may end, while the attempt runs on.
    abandonable: bool,
    beats: Arc<Beats>,
    state: State,
}

enum State {
    Running,
    /// Its outcome is not written yet.
    Ended(AttemptOutcome),
    /// Its outcome is being written to the store.
    Writing,
}

impl State {
    fn outcome(&self) -> Option<&AttemptOutcome> {
        match self {
            Self::Ended(outcome) => Some(outcome),
            Self::Running | Self::Writing => None,
        }
    }
}

/// See the module documentation.
#[derive(Default)]
pub(super) struct Attempts {
    table: Mutex<BTreeMap<Key, Entry>>,
    /// A claim of tasks holds this until they are in the table. So code that holds it sees in the table all
    /// tasks that the database assigns to this worker, unless the answer to a claim was lost.
    pub(super) claiming: tokio::sync::Mutex<()>,
    /// The answer to a claim was lost: the claim may have taken tasks that are not in the table.
    pub(super) doubtful: AtomicBool,
    /// Notified by the first heartbeat after a write of heartbeats.
    pub(super) beats_hint: Arc<Notify>,
}

/// The range of all keys of a run.
fn all_of(run: ExecutionId) -> RangeInclusive<Key> {
    Key::Own(run, EventId(0))..=Key::Own(run, EventId(u64::MAX))
}

impl Attempts {
    /// Enters an attempt and runs it, in `slot` or as soon as a slot is free. `abandonable`: the workflow may
    /// give it up while it runs on. Must be called in the context of a tokio runtime.
    pub(super) fn launch(
        &self,
        runner: &Runner,
        (key, abandonable): (Key, bool),
        attempt: Attempt,
        slot: Option<Slot>,
    ) {
        // The entry comes first: an attempt that ends at once must find it.
        let cancel = self.enter(key, attempt.info.attempt, abandonable, &attempt.beats);
        match slot {
            Some(slot) => runner.run_in(slot, attempt, cancel),
            None => runner.run(attempt, cancel),
        }
    }

    /// Enters an attempt. The token asks it to stop.
    pub(super) fn enter(
        &self,
        key: Key,
        attempt: u32,
        abandonable: bool,
        beats: &Arc<Beats>,
    ) -> CancellationToken {
        let (cancel, beats) = (CancellationToken::new(), Arc::clone(beats));
        let entry = Entry { attempt, cancel: cancel.clone(), abandonable, beats, state: State::Running };
        lock(&self.table).insert(key, entry);
        cancel
    }

    /// The attempt has ended. False if it is not in the table any more: its outcome is discarded.
    pub(super) fn ended(&self, key: Key, attempt: u32, outcome: &AttemptOutcome) -> bool {
        match lock(&self.table).get_mut(&key).filter(|entry| entry.attempt == attempt) {
            Some(entry) => {
                entry.state = match key {
                    Key::Own(..) => State::Ended(outcome.clone()),
                    Key::Claimed(_) => State::Writing,
                };
                true
            }
            None => false,
        }
    }

    /// A task has ended without an outcome of this worker's. False if it is not in the table any more.
    pub(super) fn writing(&self, key: Key) -> bool {
        lock(&self.table).get_mut(&key).map(|entry| entry.state = State::Writing).is_some()
    }

    /// Forgets the attempt: its outcome is written, or is no longer needed.
    pub(super) fn settle(&self, key: Key, attempt: u32) {
        let mut table = lock(&self.table);
        if table.get(&key).is_some_and(|entry| entry.attempt == attempt) {
            table.remove(&key);
        }
    }

    pub(super) fn has(&self, key: Key, attempt: u32) -> bool {
        lock(&self.table).get(&key).is_some_and(|entry| entry.attempt == attempt)
    }

    /// How many attempts of its own runs there are, and how many tasks.
    pub(super) fn count(&self) -> (usize, usize) {
        let table = lock(&self.table);
        let own = table.keys().filter(|key| matches!(key, Key::Own(..))).count();
        (own, table.len() - own)
    }

    /// Whether an outcome is still to be written.
    pub(super) fn unwritten(&self) -> bool {
        lock(&self.table).values().any(|entry| !matches!(entry.state, State::Running))
    }
}

/// Attempts of the runs that this worker owns.
impl Attempts {
    /// The activities of the run with an attempt here: running, or ended with an outcome that is not yet
    /// written.
    pub(super) fn of(&self, run: ExecutionId) -> Vec<EventId> {
        let table = lock(&self.table);
        table.range(all_of(run)).filter_map(|(key, _)| activity(*key)).collect()
    }

    /// The outcomes that arrived while the run could not take them.
    pub(super) fn outcomes(&self, run: ExecutionId) -> Vec<(EventId, u32, AttemptOutcome)> {
        let table = lock(&self.table);
        let own = table.range(all_of(run)).filter(|_| !mutant!(DropOutcome));
        own.filter_map(|(key, e)| Some((activity(*key)?, e.attempt, e.state.outcome()?.clone()))).collect()
    }

    pub(super) fn cancel(&self, run: ExecutionId, activity: EventId) {
        if let Some(entry) = lock(&self.table).get(&Key::Own(run, activity)) {
            entry.cancel.cancel();
        }
    }

    /// The run was terminated: its attempts are asked to stop, and their outcomes are discarded.
    pub(super) fn drop_all(&self, run: ExecutionId) {
        self.remove_all(run).for_each(|entry| entry.cancel.cancel());
    }

    /// The run has closed, or continues elsewhere without these attempts. They are forgotten. Those that may
    /// not be abandoned are asked to stop.
    pub(super) fn leave(&self, run: ExecutionId) {
        let stopped = self.remove_all(run).filter(|entry| !entry.abandonable);
        stopped.for_each(|entry| entry.cancel.cancel());
    }

    fn remove_all(&self, run: ExecutionId) -> impl Iterator<Item = Entry> {
        let mut table = lock(&self.table);
        let own: Vec<_> = table.range(all_of(run)).map(|(key, _)| *key).collect();
        let removed: Vec<Entry> = own.iter().filter_map(|key| table.remove(key)).collect();
        removed.into_iter()
    }

    /// The run was read again, and waits for the attempts in `wanted`. The other attempts are asked to stop,
    /// unless they may be abandoned: a turn whose outcome was unknown for a while gave them up.
    pub(super) fn stop_others(&self, run: ExecutionId, wanted: &[ActivityStart]) {
        let is_wanted = |key: Key, attempt: u32| {
            wanted.iter().any(|start| (Some(start.activity), start.attempt) == (activity(key), attempt))
        };
        for (key, entry) in lock(&self.table).range(all_of(run)) {
            if !entry.abandonable && !is_wanted(*key, entry.attempt) {
                entry.cancel.cancel();
            }
        }
    }

    /// The runs with attempts here.
    pub(super) fn runs(&self) -> BTreeSet<ExecutionId> {
        let table = lock(&self.table);
        let run = |key: &Key| match key {
            Key::Own(run, _) => Some(*run),
            Key::Claimed(_) => None,
        };
        table.keys().filter_map(run).collect()
    }
}

fn activity(key: Key) -> Option<EventId> {
    match key {
        Key::Own(_, activity) => Some(activity),
        Key::Claimed(_) => None,
    }
}

/// Heartbeats.
impl Attempts {
    /// The heartbeats to be written now, those that wait longest first, and when the next one is due.
    pub(super) fn due_beats(&self, now: Instant) -> (Vec<(TaskKey, Told)>, Option<Instant>) {
        let (mut due, mut next) = (Vec::new(), None);
        for (key, entry) in
            lock(&self.table).iter().filter(|(_, entry)| matches!(entry.state, State::Running))
        {
            match entry.beats.due(now) {
                Due::Nothing => {}
                Due::At(at) => next = Some(next.map_or(at, |next: Instant| next.min(at))),
                Due::Now(told) => due.push((row_of(*key, entry.attempt), told)),
            }
        }
        due.sort_by_key(|(_, told)| told.since);
        (due, next)
    }

    /// The database has this heartbeat.
    pub(super) fn beat_written(&self, key: &TaskKey, told: &Told, cancel: bool, now: Instant) {
        self.with_row(key, |entry| {
            entry.beats.written(told.count, now);
            if cancel {
                entry.cancel.cancel();
            }
        });
    }

    /// The attempt has no row any more: it was decided otherwise, and is asked to stop. One that its workflow has
    /// abandoned goes on.
    pub(super) fn beat_gone(&self, key: &TaskKey, told: &Told, now: Instant) {
        self.with_row(key, |entry| {
            entry.beats.written(told.count, now);
            if !entry.abandonable {
                entry.cancel.cancel();
            }
        });
    }

    fn with_row(&self, key: &TaskKey, act: impl FnOnce(&Entry)) {
        let table = lock(&self.table);
        let at = match key.nonce {
            0 => Key::Own(key.execution, key.activity),
            _ => Key::Claimed(*key),
        };
        let entry = table.get(&at);
        if let Some(entry) = entry.filter(|entry| entry.attempt == key.attempt) {
            act(entry);
        }
    }
}

/// Names the row of an attempt. That of an own one has no nonce.
fn row_of(key: Key, attempt: u32) -> TaskKey {
    match key {
        Key::Own(execution, activity) => TaskKey { execution, activity, attempt, nonce: 0 },
        Key::Claimed(key) => key,
    }
}

/// Tasks.
impl Attempts {
    pub(super) fn tasks(&self) -> Vec<TaskKey> {
        lock(&self.table).keys().filter_map(|key| task(*key)).collect()
    }

    /// Stops and removes the tasks of `known` that this worker no longer owns, and asks cancelled tasks to
    /// stop.
    pub(super) fn compare(&self, known: &[TaskKey], owned: &[OwnedTask]) {
        let ours: HashMap<TaskKey, bool> = owned.iter().map(|task| (task.key, task.cancel)).collect();
        let mut table = lock(&self.table);
        for key in known {
            let entry = Key::Claimed(*key);
            match ours.get(key) {
                Some(false) => {}
                Some(true) => table.get(&entry).iter().for_each(|entry| entry.cancel.cancel()),
                None => table.remove(&entry).iter().for_each(|entry| entry.cancel.cancel()),
            }
        }
    }

    /// Removes the tasks that never began, once none can begin any more.
    pub(super) fn take_unbegun(&self) -> Vec<TaskKey> {
        let mut table = lock(&self.table);
        let unbegun = table.iter().filter(|(_, entry)| matches!(entry.state, State::Running));
        let keys: Vec<TaskKey> = unbegun.filter_map(|(key, _)| task(*key)).collect();
        keys.iter().for_each(|key| drop(table.remove(&Key::Claimed(*key))));
        keys
    }
}

fn task(key: Key) -> Option<TaskKey> {
    match key {
        Key::Claimed(task) => Some(task),
        Key::Own(..) => None,
    }
}

#[cfg(test)]
#[path = "attempts_tests.rs"]
mod tests;
