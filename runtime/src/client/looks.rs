//! Which task queues were looked at lately: the log tells of each once a minute, and not at each start.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How often one task queue is told of, at most.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// How many task queues are remembered. Beyond them nothing is told until one is forgotten.
const REMEMBERED: usize = 256;

/// Which task queues and workflow types this process has looked at lately, so that the log tells of each once a minute
/// and not at each start.
#[derive(Default)]
pub(crate) struct Looks(Mutex<HashMap<(String, String), Instant>>);

impl Looks {
    /// Whether the caller is the one to look: nobody has within [`TOLD_EVERY`].
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

    /// There was nothing to tell: the next one looks again.
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
