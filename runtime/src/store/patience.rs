//! Retries: for how long, and the pauses between.

use super::error::StoreError;
use std::time::Duration;
use tokio::time::Instant;

/// How a try of a call ended.
#[cfg(any(feature = "postgres", feature = "testing"))]
pub(crate) enum Tried<T> {
    Done(T),
    Failed(StoreError),
    /// A retry may succeed.
    Again(StoreError),
}

/// How long a caller still waits.
pub(crate) struct Patience {
    since: Instant,
    limit: Duration,
    pause: Duration,
    longest: Duration,
}

impl Patience {
    /// For calls: 1 ms, doubled up to 200 ms, until `limit` is over.
    #[cfg(any(feature = "postgres", feature = "testing"))]
    pub(crate) fn of_call(limit: Duration) -> Self {
        Self { longest: Duration::from_millis(200), ..Self::steady(limit, Duration::from_millis(1)) }
    }

    /// The same pause each time, until `limit` is over.
    pub(crate) fn steady(limit: Duration, pause: Duration) -> Self {
        Self { since: Instant::now(), limit, pause, longest: pause }
    }

    /// Waits before the next try.
    ///
    /// # Errors
    /// Returns `error` if the time is over.
    pub(crate) async fn again(&mut self, error: StoreError) -> Result<(), StoreError> {
        if self.since.elapsed() >= self.limit {
            return Err(error);
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(self.longest);
        Ok(())
    }
}

/// The pause before a broken connection is opened again, by the number of failures: 40 ms, doubled up to 2 s.
#[cfg(any(feature = "postgres", feature = "testing"))]
pub(crate) fn reconnect_after(failures: u32) -> Duration {
    Duration::from_millis(20 << failures.min(7)).min(Duration::from_secs(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_last_error_is_told_after_the_limit() {
        let mut patience = Patience::steady(Duration::from_millis(50), Duration::from_millis(20));
        for _ in 0..3 {
            assert!(patience.again(StoreError::Fenced).await.is_ok());
        }
        assert!(matches!(patience.again(StoreError::Closed).await, Err(StoreError::Closed)));
    }

    #[cfg(any(feature = "postgres", feature = "testing"))]
    #[tokio::test(start_paused = true)]
    async fn a_call_pauses_longer_each_time() {
        let (since, mut patience) = (Instant::now(), Patience::of_call(Duration::from_secs(10)));
        for expected in [1, 3, 7, 15, 31, 63, 127, 255, 455, 655] {
            patience.again(StoreError::Fenced).await.unwrap();
            assert_eq!(since.elapsed().as_millis(), expected);
        }
        assert_eq!(reconnect_after(1).as_millis(), 40);
        assert_eq!(reconnect_after(99).as_secs(), 2);
    }
}
