//! A workflow thread as others see it: its mailbox, the turn that it runs now, and its unanswered appends.
//!
//! When a thread is written off, another thread takes its runs and reads their journals. Before that, all
//! appends of the first thread must be answered. An append that is committed later would look like another
//! writer's, and its activities would be started twice.

use super::lock::lock;
use super::mailbox::Message;
use abide_core::ExecutionId;
use abide_core::exec::Position;
use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio_util::sync::CancellationToken;

/// The turn that a thread runs now.
#[derive(Clone)]
pub(super) struct Busy {
    pub(super) execution: ExecutionId,
    pub(super) turn: u64,
    pub(super) position: Position,
}

/// A thread, as the rest of the session knows it.
pub(super) struct ThreadHandle {
    pub(super) index: usize,
    sender: Mutex<Sender<Message>>,
    /// The executions in the thread's unread `Own` messages, each with its load permit if a claim took it.
    /// Kept outside of the mailbox, which is lost with a thread that blocks for good.
    pub(super) named: Mutex<HashMap<ExecutionId, Option<OwnedSemaphorePermit>>>,
    /// Wakes the thread when it is a task.
    pub(super) arrived: Notify,
    pub(super) busy: Mutex<Option<Busy>>,
    /// The thread blocked and another thread replaced it; its further output is ignored (PROTOCOL 25).
    pub(super) written_off: AtomicBool,
    unanswered: Unanswered,
    /// A panic occurred outside of the guarded code: the thread has ended.
    pub(super) panicked: AtomicBool,
    /// Cancelled when the thread is written off. Callers then stop waiting for its answers.
    pub(super) gone: CancellationToken,
}

impl ThreadHandle {
    pub(super) fn new(index: usize, sender: Sender<Message>) -> Self {
        Self {
            index,
            sender: Mutex::new(sender),
            named: Mutex::default(),
            arrived: Notify::new(),
            busy: Mutex::new(None),
            written_off: AtomicBool::new(false),
            unanswered: Unanswered::default(),
            panicked: AtomicBool::new(false),
            gone: CancellationToken::new(),
        }
    }

    /// Sends a message. Returns the message if the thread is gone.
    #[allow(clippy::result_large_err, reason = "what was not sent comes back, as from a channel")]
    pub(super) fn send(&self, message: Message) -> Result<(), Message> {
        if self.written_off.load(Ordering::Acquire) {
            return Err(message);
        }
        lock(&self.sender).send(message).map_err(|back| back.0)?;
        self.arrived.notify_one();
        Ok(())
    }

    /// Waits until all submitted appends of the thread are answered. The thread is written off, so no further
    /// ones follow.
    pub(super) async fn all_answered(&self) {
        loop {
            let mut fewer = pin!(self.unanswered.fewer.notified());
            fewer.as_mut().enable();
            if self.unanswered.count.load(Ordering::SeqCst) == 0 {
                return;
            }
            fewer.await;
        }
    }
}

/// The number of unanswered appends, and a notification when it drops to 0.
#[derive(Default)]
struct Unanswered {
    count: AtomicUsize,
    fewer: Notify,
}

/// One submitted append. Dropped with its answer.
pub(super) struct HandedIn(Arc<ThreadHandle>);

impl HandedIn {
    /// Counts an append of this thread. `None` if the thread is written off. It is counted before that check,
    /// so that a watchdog that writes the thread off and then waits either sees this append or knows that it
    /// is not submitted.
    pub(super) fn by(thread: &Arc<ThreadHandle>) -> Option<Self> {
        thread.unanswered.count.fetch_add(1, Ordering::SeqCst);
        let this = Self(Arc::clone(thread));
        (!thread.written_off.load(Ordering::SeqCst)).then_some(this)
    }

    pub(super) fn thread(&self) -> &ThreadHandle {
        &self.0
    }
}

impl Drop for HandedIn {
    fn drop(&mut self) {
        let unanswered = &self.0.unanswered;
        if unanswered.count.fetch_sub(1, Ordering::SeqCst) == 1 {
            unanswered.fewer.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test(start_paused = true)]
    async fn all_that_was_handed_in_is_waited_for_in_whatever_order_it_is_answered() {
        let thread = Arc::new(ThreadHandle::new(0, channel().0));
        let (first, second) = (HandedIn::by(&thread).unwrap(), HandedIn::by(&thread).unwrap());
        thread.written_off.store(true, Ordering::SeqCst);
        assert!(HandedIn::by(&thread).is_none(), "its further output is ignored");

        let waiting = tokio::spawn({
            let thread = Arc::clone(&thread);
            async move { thread.all_answered().await }
        });
        let answers = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(second);
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(!waiting.is_finished(), "the first is not answered");
            drop(first);
            waiting.await.unwrap();
        };
        timeout(Duration::from_secs(10), answers).await.unwrap();
    }
}
