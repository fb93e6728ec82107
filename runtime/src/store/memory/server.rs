//! The database itself: the tables, the locks, and the open transactions.
//!
//! Everything is one state behind one mutex, which is never held across an await. A transaction keeps its
//! writes to itself until its commit, which applies them at one instant and releases its locks. A transaction
//! that waits for a lock is woken by the end of any other, in the order of waiting, and tries again.

use super::conditions::{Call, Conditions};
use super::locks::{Locks, Tx};
use super::shared::{Notification, Shared};
use super::statement::{Halt, Looked, Sequences, Sessions, Statement};
use super::tables::Tables;
use super::write::Write;
use crate::store::failure::Kind;
use abide_core::Incarnation;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// A clock: ms since the Unix epoch.
pub(crate) type NowMs = Arc<dyn Fn() -> i64 + Send + Sync>;

/// How a database behaves.
#[derive(Clone)]
pub(crate) struct ServerOptions {
    /// The database's clock. Each process's runtime reads it too, so it must not be tokio's clock.
    pub(crate) now_ms: NowMs,
    /// What happens to calls. Default: nothing.
    pub(crate) conditions: Option<Arc<dyn Conditions>>,
    /// Where calls run, by its clock: each is a task there. Default: they run in the caller, each to its end at once.
    pub(crate) runtime: Option<Handle>,
    /// Whether a commit whose connection broke may still be under way when its outcome is read back, as with
    /// a server that was stopped for longer than its clients wait. Default: it has ended by then.
    pub(crate) overtaken: bool,
}

impl ServerOptions {
    /// Answers at once, by this clock.
    pub(crate) fn new(now_ms: NowMs) -> Self {
        Self { now_ms, conditions: None, runtime: None, overtaken: false }
    }
}

/// A database that any number of processes share.
pub(crate) struct Server {
    pub(super) options: ServerOptions,
    state: Mutex<State>,
    /// One call at a time, where there is no runtime.
    whole: Mutex<()>,
}

#[derive(Default)]
struct State {
    tables: Tables,
    locks: Locks,
    sequences: Sequences,
    sessions: Sessions,
    open: BTreeMap<Tx, Open>,
    transactions: u64,
    /// Which transaction waits for which.
    waits: BTreeMap<Tx, Vec<Tx>>,
    /// The waiting, to be woken at the next end, in this order.
    waiting: Vec<oneshot::Sender<()>>,
    processes: BTreeMap<u32, Peer>,
    calls: u64,
    /// Calls that have not ended.
    under_way: BTreeMap<u64, Call>,
}

/// An open transaction.
struct Open {
    call: Call,
    /// Whether its commit was sent to the server: it goes on without its process then.
    sent: bool,
    writes: Vec<Write>,
}

/// A process that is connected.
struct Peer {
    shared: Weak<Shared>,
    killed: bool,
}

/// Why a statement of a transaction has no answer, or not yet.
pub(super) enum Asked {
    /// It waits: repeat it when this is notified.
    Blocked(oneshot::Receiver<()>),
    /// It has raised this.
    Raised(Kind, String),
    /// The transaction is gone: its process was killed.
    Gone,
}

impl Server {
    pub(crate) fn new(options: ServerOptions) -> Arc<Self> {
        Arc::new(Self { options, state: Mutex::default(), whole: Mutex::default() })
    }

    /// Reads what is committed.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Tables) -> T) -> T {
        look(&self.state().tables)
    }

    /// Ends a process as `kill -9` does. Its locks are free at once. Transactions whose commit was not sent
    /// are rolled back, the others are committed. Its calls never end.
    pub(crate) fn kill(&self, process: u32) {
        let mut state = self.state();
        if let Some(peer) = state.processes.get_mut(&process) {
            peer.killed = true;
        }
        state.sessions.lives.retain(|_, holder| *holder != process);
        let unsent = state.open.iter().filter(|(_, open)| open.call.process == process && !open.sent);
        let unsent: Vec<Tx> = unsent.map(|(tx, _)| *tx).collect();
        for tx in unsent {
            state.open.remove(&tx);
            state.end(tx);
        }
    }

    /// Ends all sessions at once, as a restart of the server does. Each process opens its own again when it needs it.
    #[cfg(test)]
    pub(super) fn restart(&self) {
        let mut state = self.state();
        state.sessions.lives.clear();
        state.sessions.server += 1;
    }

    pub(super) fn is_killed(&self, process: u32) -> bool {
        self.state().processes.get(&process).is_some_and(|peer| peer.killed)
    }

    pub(super) fn now_ms(&self) -> i64 {
        (self.options.now_ms)()
    }

    /// Whether calls run where they are made.
    pub(super) fn is_inline(&self) -> bool {
        self.options.runtime.is_none()
    }

    /// Held during a call without a runtime, so that calls do not overlap.
    pub(super) fn whole(&self) -> MutexGuard<'_, ()> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A process's number, which is also its block of execution ids.
    pub(super) fn new_process(&self) -> u32 {
        let mut state = self.state();
        state.sequences.process += 1;
        state.sequences.process
    }

    pub(super) fn connected(&self, shared: &Arc<Shared>) {
        let peer = Peer { shared: Arc::downgrade(shared), killed: false };
        self.state().processes.insert(shared.process, peer);
    }

    /// Holds the advisory locks of these workers while the process's session exists.
    pub(super) fn hold(&self, process: u32, workers: impl Iterator<Item = Incarnation>) {
        let mut state = self.state();
        if state.processes.get(&process).is_some_and(|peer| !peer.killed) {
            state.sessions.lives.extend(workers.map(|worker| (worker, process)));
        }
    }

    /// The session of a process has ended, or one of its workers has left.
    pub(super) fn let_go(&self, process: u32, worker: Option<Incarnation>) {
        let lives = &mut self.state().sessions.lives;
        lives.retain(|life, holder| *holder != process || worker.is_some_and(|worker| worker != *life));
    }

    /// A call arrives. `None`: its process was killed.
    pub(super) fn arrives(&self, process: u32, name: &'static str, writes: bool) -> Option<Call> {
        let mut state = self.state();
        if state.processes.get(&process).is_none_or(|peer| peer.killed) {
            return None;
        }
        state.calls += 1;
        let call = Call { name, writes, process, nth: state.calls };
        state.under_way.insert(call.nth, call);
        Some(call)
    }

    /// A call has ended on the server.
    pub(super) fn ended(&self, call: &Call) {
        let mut state = self.state();
        state.under_way.remove(&call.nth);
        state.wake();
    }

    /// The earlier calls of a process, of these names, that have not ended: to be waited for.
    pub(super) fn earlier(&self, call: &Call, names: &[&str]) -> Option<oneshot::Receiver<()>> {
        let mut state = self.state();
        let earlier = |other: &Call| other.process == call.process && names.contains(&other.name);
        state.under_way.range(..call.nth).any(|(_, other)| earlier(other)).then(|| state.wait())
    }

    pub(super) fn begin(&self, call: Call, sent: bool) -> Tx {
        let mut state = self.state();
        state.transactions += 1;
        let tx = Tx(state.transactions);
        state.open.insert(tx, Open { call, sent, writes: Vec::new() });
        tx
    }

    /// Runs a statement of a transaction.
    pub(super) fn ask<T>(
        &self,
        tx: Tx,
        statement: &mut dyn FnMut(&mut Statement<'_>) -> Looked<T>,
    ) -> Result<T, Asked> {
        let now_ms = self.now_ms();
        let mut guard = self.state();
        let State { tables, locks, sequences, sessions, open, waits, .. } = &mut *guard;
        let Some(open) = open.get_mut(&tx) else { return Err(Asked::Gone) };
        let own;
        let seen = match open.writes.as_slice() {
            [] => &*tables,
            writes => {
                own = tables.with(writes);
                &own
            }
        };
        let mut asked = Statement::new(seen, sessions, now_ms, sequences, locks, tx);
        let answer = statement(&mut asked);
        let (taken, writes) = asked.into_parts();
        waits.remove(&tx);
        match answer {
            Ok(answer) => {
                locks.take(tx, taken);
                open.writes.extend(writes);
                Ok(answer)
            }
            Err(Halt::Blocked(by)) => {
                waits.insert(tx, by);
                Err(Asked::Blocked(guard.wait()))
            }
            Err(Halt::Raised(kind, text)) => Err(Asked::Raised(kind, text)),
        }
    }

    /// How many changes a transaction has made so far.
    pub(super) fn written(&self, tx: Tx) -> usize {
        self.state().open.get(&tx).map_or(0, |open| open.writes.len())
    }

    /// `ROLLBACK TO SAVEPOINT`: of its changes, only the first so many stay. Its locks stay.
    pub(super) fn undo(&self, tx: Tx, written: usize) {
        if let Some(open) = self.state().open.get_mut(&tx) {
            open.writes.truncate(written);
        }
    }

    /// Whether a transaction waits for itself.
    pub(super) fn is_deadlocked(&self, tx: Tx) -> bool {
        let state = self.state();
        let (mut seen, mut next) = (Vec::new(), vec![tx]);
        while let Some(waiting) = next.pop() {
            for by in state.waits.get(&waiting).into_iter().flatten() {
                if *by == tx {
                    return true;
                }
                if !seen.contains(by) {
                    seen.push(*by);
                    next.push(*by);
                }
            }
        }
        false
    }

    /// Whether a transaction has neither written nor locked anything, so that no other notices its end.
    pub(super) fn is_idle(&self, tx: Tx) -> bool {
        let state = self.state();
        let writes = state.open.get(&tx).is_some_and(|open| !open.writes.is_empty());
        !writes && !state.locks.holds_any(tx)
    }

    /// The commit is sent. False: the transaction is gone.
    pub(super) fn sent(&self, tx: Tx) -> bool {
        self.state().open.get_mut(&tx).map(|open| open.sent = true).is_some()
    }

    /// Applies all writes at one instant.
    pub(super) fn commit(&self, tx: Tx) {
        let mut state = self.state();
        let Some(open) = state.open.remove(&tx) else { return };
        open.writes.iter().for_each(|write| state.tables.apply(write));
        if let Some(conditions) = self.options.conditions.as_ref().filter(|_| !open.writes.is_empty()) {
            conditions.committed(&open.call, &open.writes, &state.tables);
        }
        state.end(tx);
    }

    pub(super) fn roll_back(&self, tx: Tx) {
        let mut state = self.state();
        state.open.remove(&tx);
        state.end(tx);
    }

    /// Notifies all other processes, each after its own delay.
    pub(super) fn notify(&self, from: u32, notification: &Notification) {
        let state = self.state();
        let others = state.processes.iter().filter(|(process, peer)| **process != from && !peer.killed);
        let others: Vec<_> = others.map(|(process, peer)| (*process, peer.shared.clone())).collect();
        drop(state);
        for (_, peer) in others {
            let after = match &self.options.conditions {
                Some(conditions) => conditions.notify_after(),
                None => Some(std::time::Duration::ZERO),
            };
            let (Some(after), notification) = (after, notification.clone()) else { continue };
            let hear = move || {
                if let Some(shared) = peer.upgrade() {
                    shared.hear(&notification);
                }
            };
            match &self.options.runtime {
                Some(runtime) => drop(runtime.spawn(async move {
                    if !after.is_zero() {
                        tokio::time::sleep(after).await;
                    }
                    hear();
                })),
                None => hear(),
            }
        }
    }

    /// The state is consistent at every unlock, except after a panic of the simulation itself, which ends it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn end(&mut self, tx: Tx) {
        self.waits.remove(&tx);
        self.locks.release(tx);
        self.wake();
    }

    fn wait(&mut self) -> oneshot::Receiver<()> {
        let (wake, woken) = oneshot::channel();
        self.waiting.push(wake);
        woken
    }

    fn wake(&mut self) {
        for waiting in self.waiting.drain(..) {
            // A waiter that has given up is not woken.
            let _ = waiting.send(());
        }
    }
}
