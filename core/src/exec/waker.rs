//! Wakers of one execution: which task is ready, and which wakers a foreign future must not keep.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Wake, Waker};

/// The key of a task in its execution.
pub(crate) type TaskId = usize;

/// The ready tasks, in the order they were woken. A replay repeats that order.
#[derive(Default)]
pub(crate) struct ReadyQueue(Mutex<VecDeque<TaskId>>);

impl ReadyQueue {
    pub(crate) fn pop(&self) -> Option<TaskId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    fn push(&self, task: TaskId) {
        let mut ready = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if mutant!(LoseWakeUp) && !ready.is_empty() {
            return;
        }
        ready.push_back(task);
    }
}

/// Wakes one task. Waking twice before the poll queues it once.
pub(crate) struct TaskWaker {
    task: TaskId,
    queued: AtomicBool,
    ready: Arc<ReadyQueue>,
}

impl TaskWaker {
    pub(crate) fn new(task: TaskId, ready: Arc<ReadyQueue>) -> Arc<Self> {
        Arc::new(Self { task, queued: AtomicBool::new(false), ready })
    }

    /// Clears the flag just before the poll, so that a wake during the poll queues the task again.
    pub(crate) fn clear(&self) {
        self.queued.store(false, Ordering::Relaxed);
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.ready.push(self.task);
        }
    }
}

/// The strict waker of one async body. It wakes nothing. Only a future that the engine does not own keeps a
/// clone of it, and the count of clones shows that.
pub(crate) struct Strict {
    mark: Arc<Mark>,
    waker: Waker,
}

struct Mark;

impl Wake for Mark {
    fn wake(self: Arc<Self>) {}
}

impl Strict {
    pub(crate) fn new() -> Self {
        let mark = Arc::new(Mark);
        let waker = Waker::from(Arc::clone(&mark));
        Self { mark, waker }
    }

    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    pub(crate) fn frame(&self, outer: Waker) -> Frame {
        Frame { mark: Arc::clone(&self.mark), outer }
    }
}

impl fmt::Debug for Strict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Strict")
    }
}

/// The body being polled: the mark of its strict waker, and the waker that wakes its task.
pub(crate) struct Frame {
    mark: Arc<Mark>,
    pub(crate) outer: Waker,
}

impl Frame {
    /// Whether `waker` is this body's strict waker. Compares data pointers, because vtables may be
    /// duplicated.
    pub(crate) fn is_strict(&self, waker: &Waker) -> bool {
        waker.data() == Arc::as_ptr(&self.mark).cast()
    }

    /// How many clones of the strict waker exist.
    pub(crate) fn holders(&self) -> usize {
        Arc::strong_count(&self.mark)
    }
}
