//! What a workflow thread has: its runs, their timers, and what they have to do.
//!
//! Each phase of a run is a file with an `impl Thread` of its own; `rounds` calls them.

use super::handle::{Busy, ThreadHandle};
use super::lock::lock;
use super::run::Run;
use super::session::Session;
use abide_core::exec::Execution;
use abide_core::{ChildIds, ExecutionId};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio_util::sync::CancellationToken;

/// See the module documentation.
pub(super) struct Thread {
    pub(super) session: Arc<Session>,
    pub(super) me: Arc<ThreadHandle>,
    /// Boxed, because each step takes its run out and puts it back.
    pub(super) runs: HashMap<ExecutionId, Box<Run>>,
    pub(super) timers: BinaryHeap<Reverse<(i64, ExecutionId)>>,
    /// Runs that may have something to do.
    pub(super) dirty: Vec<ExecutionId>,
    pub(super) draining: Option<CancellationToken>,
    /// The state that a mutant restores for runs that come back.
    #[cfg(feature = "mutants")]
    pub(super) old: HashMap<ExecutionId, Execution>,
    knows: Rc<dyn Fn(&str) -> bool>,
    lends: Rc<dyn Fn() -> ChildIds>,
    /// The estimated memory of its runs.
    pub(super) bytes: usize,
    clock: u64,
    turns: u64,
    /// How many loads the thread has requested.
    pub(super) loads: u64,
}

impl Thread {
    pub(super) fn new(session: Arc<Session>, me: Arc<ThreadHandle>) -> Self {
        let registry = Arc::clone(&session.registry);
        let abide = session.abide.clone();
        let lends = move || {
            let (store, host) = (abide.store(), abide.host());
            ChildIds { execution: store.execution_id(), run_id: host.run_id(store.now_ms()) }
        };
        Self {
            session,
            me,
            runs: HashMap::new(),
            timers: BinaryHeap::new(),
            dirty: Vec::new(),
            draining: None,
            #[cfg(feature = "mutants")]
            old: HashMap::new(),
            knows: Rc::new(move |activity| registry.activity_entry(activity).is_some()),
            lends: Rc::new(lends),
            bytes: 0,
            clock: 0,
            turns: 0,
            loads: 0,
        }
    }

    /// Returns the run, and marks it as having something to do.
    pub(super) fn touch(&mut self, execution: ExecutionId) -> Option<&mut Run> {
        self.clock += 1;
        let run = self.runs.get_mut(&execution)?;
        run.used = self.clock;
        self.dirty.push(execution);
        Some(run)
    }

    /// Puts back a run that a step has taken out.
    pub(super) fn put(&mut self, run: Box<Run>) {
        self.runs.insert(run.id, run);
    }

    /// Whether the thread was replaced: its further output is in no journal.
    pub(super) fn is_written_off(&self) -> bool {
        self.me.written_off.load(Ordering::Acquire)
    }

    /// Runs workflow code under the watchdog.
    pub(super) fn watched<T>(
        &mut self,
        execution: ExecutionId,
        exec: &mut Execution,
        code: impl FnOnce(&mut Execution) -> T,
    ) -> T {
        self.turns += 1;
        let busy = Busy { execution, turn: self.turns, position: exec.position() };
        *lock(&self.me.busy) = Some(busy);
        let result = code(exec);
        *lock(&self.me.busy) = None;
        result
    }

    /// Whether this worker has an activity of that name.
    pub(super) fn knows(&self) -> Rc<dyn Fn(&str) -> bool> {
        Rc::clone(&self.knows)
    }

    /// The ids that runs of this thread use for their children.
    pub(super) fn lends(&self) -> Rc<dyn Fn() -> ChildIds> {
        Rc::clone(&self.lends)
    }
}

#[cfg(test)]
#[cfg(feature = "testing")]
#[path = "thread_tests.rs"]
pub(super) mod tests;
