//! Appends that a workflow thread has submitted to the store and that are not answered yet.
//!
//! When a thread is written off, another thread takes its executions and reads their journals. Before that,
//! all appends of the first thread must be answered. An append that is committed later would look like
//! another writer's, and its activities would be started twice.

use super::handle::ThreadHandle;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// The number of unanswered appends, and a notification when it drops to 0.
#[derive(Default)]
pub(super) struct Unanswered {
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

impl ThreadHandle {
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
        assert!(HandedIn::by(&thread).is_none(), "what it makes now is nobody's");

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
