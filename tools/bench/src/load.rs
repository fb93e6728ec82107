//! Keeps a number of calls in flight for some time, and records how long each took.

use crate::AnyResult;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// The results of one side.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    took: Vec<Duration>,
    elapsed: Duration,
}

impl Measured {
    /// Adds a round.
    pub(crate) fn add(&mut self, round: Self) {
        self.took.extend(round.took);
        self.elapsed += round.elapsed;
    }

    /// One round of calls that took these times.
    pub(crate) fn of(took: Vec<Duration>, elapsed: Duration) -> Self {
        Self { took, elapsed }
    }

    /// How many calls ended.
    pub(crate) fn count(&self) -> usize {
        self.took.len()
    }

    /// How many calls ended per second.
    pub(crate) fn per_s(&self) -> f64 {
        self.count() as f64 / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }

    /// The time in ms below which this share of the calls stayed.
    pub(crate) fn percentile_ms(&mut self, share: f64) -> f64 {
        self.took.sort_unstable();
        let at = (self.took.len().saturating_sub(1) as f64 * share).round() as usize;
        self.took.get(at).map_or(0.0, |took| took.as_secs_f64() * 1_000.0)
    }
}

/// A side that can be measured.
pub(crate) trait Side: Clone + Send + Sync + 'static {
    /// Runs one workflow, from its start to its result.
    fn one(&self) -> impl Future<Output = AnyResult<()>> + Send;
}

/// Runs `side` repeatedly in `in_flight` tasks until `time` is over, and waits until the calls in progress
/// have ended.
pub(crate) async fn run(side: &impl Side, in_flight: usize, time: Duration) -> AnyResult<Measured> {
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..in_flight {
        let side = side.clone();
        tasks.spawn(async move {
            let mut took = Vec::new();
            while started.elapsed() < time {
                let begun = Instant::now();
                side.one().await?;
                took.push(begun.elapsed());
            }
            AnyResult::Ok(took)
        });
    }
    let mut measured = Measured::default();
    while let Some(ended) = tasks.join_next().await {
        measured.took.extend(ended??);
    }
    measured.elapsed = started.elapsed();
    Ok(measured)
}
