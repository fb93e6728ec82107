//! A writer's FIFO: what waits for the next commit.
//!
//! Pushing never blocks and never allocates more than its place. There is no limit here because callers have
//! one: an execution has at most one append in flight, and a client's call waits for its answer. One writer
//! takes whatever there is; a store with a second connection gives it what is left over under load.

use super::group::Group;
use super::{Ack, Append, StoreError};
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The most appends in a batch.
pub(crate) const MAX_APPENDS: usize = 512;
/// The most bytes of text in a batch; one larger append goes alone.
pub(crate) const MAX_BYTES: usize = 1024 * 1024;
/// From so many waiting appends on a second writer takes some: fewer are done sooner in one commit than in two.
pub(crate) const FOR_TWO: usize = 96;

/// What a writer is woken for.
pub(crate) enum Taken {
    /// These appends (none: only the time has come, or jobs wait).
    Appends(Group),
    /// Nothing is left and nothing will come.
    Finished,
}

/// Which writer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Takes anything.
    First,
    /// Takes from [`FOR_TWO`] on.
    Second,
}

struct State<J> {
    appends: VecDeque<(Append, Ack)>,
    jobs: VecDeque<J>,
    waiting: [bool; 2],
    closed: bool,
}

/// The FIFO itself, of appends and of the store's own jobs `J`.
pub(crate) struct Queue<J> {
    state: Mutex<State<J>>,
    wake: [Condvar; 2],
}

impl<J> Default for Queue<J> {
    fn default() -> Self {
        let state =
            State { appends: VecDeque::new(), jobs: VecDeque::new(), waiting: [false; 2], closed: false };
        Self { state: Mutex::new(state), wake: [Condvar::new(), Condvar::new()] }
    }
}

impl<J> Queue<J> {
    /// Queues an append, or answers at once that the store is closed.
    pub(crate) fn append(&self, append: Append, ack: Ack) {
        let mut state = self.lock();
        if state.closed {
            drop(state);
            return ack(Err(StoreError::Closed));
        }
        state.appends.push_back((append, ack));
        self.notify(state);
    }

    /// Queues appends again that could not be written just now, before all others; gives them back where the
    /// store is closed.
    pub(crate) fn again(&self, group: Group) -> Result<(), Group> {
        let mut state = self.lock();
        if state.closed {
            return Err(group);
        }
        for back in group.into_iter().rev() {
            state.appends.push_front(back);
        }
        self.notify(state);
        Ok(())
    }

    /// Queues a job; gives it back where the store is closed.
    #[cfg(feature = "sqlite")]
    pub(crate) fn job(&self, job: J) -> Result<(), J> {
        let mut state = self.lock();
        if state.closed {
            return Err(job);
        }
        state.jobs.push_back(job);
        self.notify(state);
        Ok(())
    }

    /// Refuses what comes from now on; what is queued is still written.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        drop(state);
        self.wake.iter().for_each(Condvar::notify_all);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Takes the appends that fit one batch; waits for anything at all until `until` (without end: `None`).
    pub(crate) fn take(&self, turn: Turn, until: Option<Instant>) -> Taken {
        let mut state = self.lock();
        while !state.closed && !Self::is_for(&state, turn) {
            let index = turn as usize;
            state.waiting[index] = true;
            let wake = &self.wake[index];
            state = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                Some(left) if left.is_zero() => {
                    state.waiting[index] = false;
                    break;
                }
                Some(left) => wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => wake.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
            state.waiting[index] = false;
        }
        let second = turn == Turn::Second;
        if state.closed && (second || state.appends.is_empty() && state.jobs.is_empty()) {
            return Taken::Finished;
        }
        let count = Self::fitting(&state);
        let taken = state.appends.drain(..count).collect();
        // What this batch leaves may be enough for the other writer.
        if !second && state.waiting[1] && Self::is_for(&state, Turn::Second) {
            self.wake[1].notify_one();
        }
        Taken::Appends(taken)
    }

    /// Takes the appends that fit one batch, without waiting: for a writer that is a task and is woken otherwise.
    #[cfg(feature = "testing")]
    pub(crate) fn take_now(&self) -> Taken {
        let mut state = self.lock();
        if state.closed && state.appends.is_empty() {
            return Taken::Finished;
        }
        let count = Self::fitting(&state);
        Taken::Appends(state.appends.drain(..count).collect())
    }

    /// Takes up to `most` jobs. Apart from the appends, so that those that wait while an append waits for a
    /// lock are still here to be refused.
    #[cfg(feature = "sqlite")]
    pub(crate) fn take_jobs(&self, most: usize, fits: impl Fn(&J) -> bool) -> Vec<J> {
        let mut state = self.lock();
        let count = state.jobs.iter().take(most).take_while(|job| fits(job)).count();
        state.jobs.drain(..count).collect()
    }

    fn is_for(state: &State<J>, turn: Turn) -> bool {
        match turn {
            Turn::First => !state.appends.is_empty() || !state.jobs.is_empty(),
            Turn::Second => state.appends.len() >= FOR_TWO,
        }
    }

    fn fitting(state: &State<J>) -> usize {
        let mut bytes = 0;
        let fits = |(append, _): &&(Append, Ack)| {
            bytes += append.bytes();
            bytes <= MAX_BYTES
        };
        let count = state.appends.iter().take(MAX_APPENDS).take_while(fits).count();
        count.max(1).min(state.appends.len())
    }

    /// A syscall only where a writer sleeps that has something to do.
    fn notify(&self, state: MutexGuard<'_, State<J>>) {
        let first = state.waiting[0];
        let second = state.waiting[1] && Self::is_for(&state, Turn::Second);
        drop(state);
        if first {
            self.wake[0].notify_one();
        } else if second {
            self.wake[1].notify_one();
        }
    }

    /// The state is plain data, whole at every unlock, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
