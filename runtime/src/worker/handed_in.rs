//! What a workflow thread has handed to the store and has no answer for yet.
//!
//! A thread that is written off gives its executions to another, which reads their journals. Before that, all that the first one
//! handed in must be answered: an append that comes in later would be met as somebody else's, and what it starts be started twice.

use super::handle::ThreadHandle;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// The count, and who waits for its end.
#[derive(Default)]
pub(super) struct Unanswered {
    count: AtomicUsize,
    fewer: Notify,
}

/// One append that was handed in. Dropped with its answer.
pub(super) struct HandedIn(Arc<ThreadHandle>);

impl HandedIn {
    /// Of this thread; nothing where it is written off. Counted before that is asked, so that whoever writes it off and
    /// then waits sees either this one or none.
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
    /// Waits until all that the thread handed in is answered. It has been written off: nothing is added.
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
