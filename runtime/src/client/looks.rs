//! Remembers which task queues the log has warned about, so that it warns about each once a minute, not at
//! each start.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The least time between two warnings about one task queue.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// How many task queues are remembered. Above this, further ones are not checked until an entry is removed.
const REMEMBERED: usize = 256;

/// The task queues and workflow types that this process has recently warned about, or is checking now.
#[derive(Default)]
pub(crate) struct Looks(Mutex<HashMap<(String, String), Instant>>);

impl Looks {
    /// Whether the caller should check this task queue. If so, no other caller does within [`TOLD_EVERY`],
    /// unless [`Looks::give_back`] is called.
    pub(super) fn take(&self, queue: &str, workflow_type: &str) -> bool {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        taken.retain(|_, since| now.duration_since(*since) < TOLD_EVERY);
        let key = (queue.to_owned(), workflow_type.to_owned());
        let free = taken.len() < REMEMBERED && !taken.contains_key(&key);
        if free {
            taken.insert(key, now);
        }
        free
    }

    /// There was nothing to warn about: the next caller checks again.
    pub(super) fn give_back(&self, queue: &str, workflow_type: &str) {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.remove(&(queue.to_owned(), workflow_type.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_looks_in_a_minute_and_what_is_remembered_is_bounded() {
        let looks = Looks::default();
        assert!(looks.take("orders", "Order"));
        assert!(!looks.take("orders", "Order"));
        assert!(looks.take("orders", "Bill"));
        looks.give_back("orders", "Order");
        assert!(looks.take("orders", "Order"));
        let taken = (0..1_000).filter(|n| looks.take(&n.to_string(), "Order")).count();
        assert_eq!(taken, REMEMBERED - 2);
        tokio::time::advance(TOLD_EVERY).await;
        assert!(looks.take("orders", "Order"));
    }
}
