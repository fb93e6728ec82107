//! The database itself: the tables, the locks, and the transactions that are under way.
//!
//! Everything is one state behind one mutex, which is held only in plain code. A transaction keeps what it writes to itself until its
//! commit, which makes all of it at one instant; its locks go then. Whoever waits for a lock is woken by any end, in the order of
//! waiting, and looks again.

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
    /// The database's clock. It is asked from each process's runtime as well, so it must not be what tokio says there.
    pub(crate) now_ms: NowMs,
    /// What calls meet. Default: nothing.
    pub(crate) conditions: Option<Arc<dyn Conditions>>,
    /// Where calls run, by its clock: each is a task there. Default: they run where they are made, each to its end at once.
    pub(crate) runtime: Option<Handle>,
    /// Whether a commit that broke may still be on its way when its outcome is read back, as at a server that was stopped for longer than
    /// its clients wait. Default: it has ended by then.
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
    /// Who waits for whom.
    waits: BTreeMap<Tx, Vec<Tx>>,
    /// To be woken at the next end, in this order.
    waiting: Vec<oneshot::Sender<()>>,
    processes: BTreeMap<u32, Peer>,
    calls: u64,
    /// Calls that have not ended.
    under_way: BTreeMap<u64, Call>,
}

/// A transaction that is under way.
struct Open {
    call: Call,
    /// Whether the word to commit is on its way to the server: its process is not needed any more.
    sent: bool,
    writes: Vec<Write>,
}

/// A process that is connected.
struct Peer {
    shared: Weak<Shared>,
    killed: bool,
}

/// Why a statement of a transaction has no answer yet, or none at all.
pub(super) enum Asked {
    /// To be asked again when this is told.
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

    /// Looks at what is committed.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Tables) -> T) -> T {
        look(&self.state().tables)
    }

    /// Ends a process as `kill -9` does. Its lock is free at once; what it had not yet sent to be committed is rolled back; what it had
    /// sent is committed. It is told nothing any more: its calls never end.
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

    /// All sessions end at once, as when the server restarts; each process opens its own again when it next has need of it.
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

    /// Nobody else's call is under way, where there is no runtime.
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

    /// Holds the locks of these workers' lives, for as long as the process's session is there.
    pub(super) fn hold(&self, process: u32, workers: impl Iterator<Item = Incarnation>) {
        let mut state = self.state();
        if state.processes.get(&process).is_some_and(|peer| !peer.killed) {
            state.sessions.lives.extend(workers.map(|worker| (worker, process)));
        }
    }

    /// The session of a process has ended, or one worker of it has left.
    pub(super) fn let_go(&self, process: u32, worker: Option<Incarnation>) {
        let lives = &mut self.state().sessions.lives;
        lives.retain(|life, holder| *holder != process || worker.is_some_and(|worker| worker != *life));
    }

    /// A call comes in. `None`: its process was killed.
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

    /// A call has ended, on the server at least.
    pub(super) fn ended(&self, call: &Call) {
        let mut state = self.state();
        state.under_way.remove(&call.nth);
        state.wake();
    }

    /// What a process had asked before this call and has not ended, of these names: to be waited for.
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

    /// Asks a statement of a transaction.
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

    /// Whether a transaction has neither written nor locked anything: nobody notices when it ends.
    pub(super) fn is_idle(&self, tx: Tx) -> bool {
        let state = self.state();
        let writes = state.open.get(&tx).is_some_and(|open| !open.writes.is_empty());
        !writes && !state.locks.holds_any(tx)
    }

    /// The word to commit is on its way. False: the transaction is gone.
    pub(super) fn sent(&self, tx: Tx) -> bool {
        self.state().open.get_mut(&tx).map(|open| open.sent = true).is_some()
    }

    /// All at one instant.
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

    /// Tells all other processes, each after a time of its own.
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

    /// The state is whole at every unlock, but for a panic of a simulation's own, after which nothing counts any more.
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
            // Whoever has given up hears nothing.
            let _ = waiting.send(());
        }
    }
}
