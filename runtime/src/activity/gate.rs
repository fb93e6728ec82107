//! Limits of one worker for one activity, in its memory: how many attempts run at once, and how often one begins
//! (PROTOCOL 80). An attempt passes its activity's gate before it waits for a slot, so that it holds up no other
//! activity.

use abide_core::Rate;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// The limits of one activity, as the worker's builder has them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OwnLimit {
    /// How many run at once.
    pub(crate) most: Option<usize>,
    /// How often one begins.
    pub(crate) rate: Option<Rate>,
}

/// The gates of a worker, by the names of activities. An activity without one passes freely.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    by_name: BTreeMap<&'static str, Gate>,
    /// Told when an attempt that passed a gate has ended.
    freed: Arc<Notify>,
}

#[derive(Debug)]
struct Gate {
    most: Arc<Semaphore>,
    bucket: Option<Bucket>,
    /// Those who wait for a token do so one after the other.
    turn: tokio::sync::Mutex<()>,
}

/// The right to run an attempt of an activity with a gate. Dropping it makes room for another.
#[derive(Debug)]
pub(crate) struct Pass {
    permit: Option<OwnedSemaphorePermit>,
    freed: Option<Arc<Notify>>,
}

impl Pass {
    /// Nothing ran with it.
    fn unneeded(mut self) {
        self.freed = None;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        // First the room, then the news of it.
        drop(self.permit.take());
        self.freed.iter().for_each(|freed| freed.notify_one());
    }
}

/// What a claim may take of an activity now.
#[derive(Debug, Default)]
pub(crate) struct Reserved {
    pub(crate) passes: Vec<Pass>,
    /// When to look for more, if the rate does not allow more now.
    pub(crate) wait: Option<Duration>,
}

impl Gates {
    pub(crate) fn new(limits: &BTreeMap<&'static str, OwnLimit>) -> Self {
        let gate = |limit: &OwnLimit| Gate {
            most: Arc::new(Semaphore::new(
                limit.most.unwrap_or(Semaphore::MAX_PERMITS).clamp(1, Semaphore::MAX_PERMITS),
            )),
            bucket: limit.rate.map(Bucket::new),
            turn: tokio::sync::Mutex::default(),
        };
        let by_name = limits.iter().map(|(name, limit)| (*name, gate(limit))).collect();
        Self { by_name, freed: Arc::default() }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Waits until an attempt of this activity may run, first come, first served. `None`: it has no gate.
    pub(super) async fn pass(&self, name: &str) -> Option<Pass> {
        let gate = self.by_name.get(name)?;
        let permit = Arc::clone(&gate.most).acquire_owned().await.ok();
        if let Some(bucket) = &gate.bucket {
            let _turn = gate.turn.lock().await;
            while let Err(wait) = bucket.take() {
                tokio::time::sleep(wait).await;
            }
        }
        Some(Pass { permit, freed: Some(Arc::clone(&self.freed)) })
    }

    /// Takes the right to run `most` attempts at most, as far as they may begin now.
    pub(crate) fn reserve(&self, name: &str, most: usize) -> Reserved {
        let mut reserved = Reserved::default();
        let Some(gate) = self.by_name.get(name) else { return reserved };
        // Attempts of this worker's own runs that wait for a token were first.
        let turn = gate.turn.try_lock();
        while turn.is_ok() && reserved.passes.len() < most {
            let Ok(permit) = Arc::clone(&gate.most).try_acquire_owned() else { break };
            if let Some(Err(wait)) = gate.bucket.as_ref().map(Bucket::take) {
                reserved.wait = Some(wait);
                break;
            }
            reserved.passes.push(Pass { permit: Some(permit), freed: Some(Arc::clone(&self.freed)) });
        }
        reserved
    }

    /// Gives back what a claim did not need: the tokens of these attempts were not spent.
    pub(crate) fn give_back(&self, name: &str, passes: Vec<Pass>) {
        if let Some(bucket) = self.by_name.get(name).and_then(|gate| gate.bucket.as_ref()) {
            bucket.refund(passes.len());
        }
        // Nothing was freed that a claim has not just seen.
        passes.into_iter().for_each(Pass::unneeded);
    }

    /// Resolves when an attempt that passed a gate has ended, since the last call or later.
    pub(crate) async fn freed(&self) {
        self.freed.notified().await;
    }
}

/// A token bucket on this process's clock.
#[derive(Debug)]
struct Bucket {
    a_second: f64,
    burst: f64,
    state: Mutex<(f64, Instant)>,
}

impl Bucket {
    fn new(rate: Rate) -> Self {
        let burst = f64::from(rate.default_burst());
        Self { a_second: rate.in_a_second(), burst, state: Mutex::new((burst, Instant::now())) }
    }

    /// Takes a token, or says when the next one is there.
    fn take(&self) -> Result<(), Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let passed = now.saturating_duration_since(state.1).as_secs_f64();
        let tokens = (state.0 + passed * self.a_second).min(self.burst);
        let has_one = tokens + 1e-6 >= 1.0;
        *state = (if has_one { tokens - 1.0 } else { tokens }, now);
        match has_one {
            true => Ok(()),
            // At least the timer's resolution.
            false => {
                Err(Duration::from_secs_f64((1.0 - tokens) / self.a_second).max(Duration::from_millis(1)))
            }
        }
    }

    fn refund(&self, tokens: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 = (state.0 + tokens as f64).min(self.burst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gates(most: Option<usize>, rate: Option<Rate>) -> Gates {
        Gates::new(&BTreeMap::from([("charge", OwnLimit { most, rate })]))
    }

    #[tokio::test(start_paused = true)]
    async fn a_gate_lets_so_many_through_and_says_when_there_is_room() {
        let gates = gates(Some(2), None);
        assert!(gates.pass("refund").await.is_none() && !gates.has("refund"));
        let (one, two) = (gates.pass("charge").await, gates.pass("charge").await);
        let third = tokio::time::timeout(Duration::from_secs(9), gates.pass("charge"));
        assert!(third.await.is_err());
        assert!(gates.reserve("charge", 5).passes.is_empty());
        drop(one);
        gates.freed().await;
        let reserved = gates.reserve("charge", 5);
        assert_eq!((reserved.passes.len(), reserved.wait), (1, None));
        gates.give_back("charge", reserved.passes);
        assert!(gates.pass("charge").await.is_some());
        drop(two);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_lets_one_through_after_the_other() {
        let (gates, since) = (gates(None, Some(Rate::per_second(10))), Instant::now());
        for _ in 0..21 {
            gates.pass("charge").await.unwrap();
        }
        let took = since.elapsed();
        assert!(took >= Duration::from_secs(2) && took < Duration::from_millis(2_100), "{took:?}");
        tokio::time::advance(Duration::from_secs(60)).await;
        let reserved = gates.reserve("charge", 5);
        assert_eq!(reserved.passes.len(), 1, "a rest brings the burst, not the minute");
        assert!(reserved.wait.is_some_and(|wait| wait <= Duration::from_millis(100)));
        gates.give_back("charge", reserved.passes);
        assert_eq!(gates.reserve("charge", 5).passes.len(), 1, "an unspent token comes back");
    }
}
