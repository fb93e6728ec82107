//! Has the store correct, once a minute, what no other statement can keep right at all times.

use super::session::Session;
use crate::store::SWEEP_AT_ONCE;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Sweeps until the session ends. One worker of a process sweeps at a time.
pub(super) async fn sweep_loop(session: Arc<Session>) {
    let _turn = session.hub().sweeping.lock().await;
    for nth in 0_u64.. {
        tokio::time::sleep(spread(session.pace().sweep, (session.me.0, nth))).await;
        while !session.draining.load(Ordering::Acquire) {
            match session.store().sweep().await {
                Ok(corrected) if corrected >= SWEEP_AT_ONCE => {}
                Ok(_) => break,
                Err(error) => {
                    session.failed(&error);
                    break;
                }
            }
        }
    }
}

/// The delay, spread by a quarter either way, so that processes that began together do not sweep together.
/// The spread is taken from numbers, so that a simulation repeats it.
fn spread(every: Duration, of: (i64, u64)) -> Duration {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    let part = u32::try_from(hasher.finish() % 501).unwrap_or(0);
    every / 4 * 3 + every / 1_000 * part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_is_spread_by_a_quarter() {
        let every = Duration::from_secs(60);
        let delays: Vec<Duration> = (0..1_000).map(|nth| spread(every, (7, nth))).collect();
        assert!(delays.iter().all(|delay| (45..=75).contains(&delay.as_secs())));
        assert!(delays.iter().any(|delay| *delay < every) && delays.iter().any(|delay| *delay > every));
    }
}
