//! The heartbeats of one attempt: what it told last, and what the database has of it (PROTOCOL 74).
//!
//! A heartbeat waits for nothing. It notes the details here, and wakes the attempt's limit and the worker's writer. The
//! writer takes what is due, of all attempts at once (`worker/beats.rs`).

use abide_core::{Code, HeartbeatError, Payload, Persist, heartbeat_details};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How often details are written where the activity has no heartbeat limit. As in Temporal.
const WITHOUT_LIMIT: Duration = Duration::from_secs(30);

/// The heartbeats of one attempt.
pub(crate) struct Beats {
    /// The longest time between two heartbeats.
    limit: Option<Duration>,
    /// What the attempt before told.
    before: Option<Payload>,
    kept: Option<Kept>,
    state: Mutex<State>,
    /// There was a heartbeat.
    heard: Notify,
}

/// Where heartbeats are kept.
pub(crate) struct Kept {
    /// The store's clock, in ms.
    pub(crate) now_ms: Box<dyn Fn() -> i64 + Send + Sync>,
    /// Wakes the writer.
    pub(crate) writer: Arc<Notify>,
}

#[derive(Default)]
struct State {
    /// The details of the last heartbeat, when it came (ms, the store's clock), and its number.
    last: Option<(Payload, i64)>,
    count: u64,
    /// The number of the last heartbeat that is written, or does not have to be.
    written: u64,
    /// When the writer last wrote one.
    written_at: Option<Instant>,
}

/// What the writer has to do for an attempt.
#[derive(Debug, PartialEq)]
pub(crate) enum Due {
    /// Nothing, before the next heartbeat.
    Nothing,
    /// Nothing before this time.
    At(Instant),
    /// Write this.
    Now(Told),
}

/// The last heartbeat of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) details: Payload,
    pub(crate) at_ms: i64,
    /// Its number in the attempt.
    pub(crate) count: u64,
    /// When the writer last wrote one of the attempt.
    pub(crate) since: Option<Instant>,
}

impl Beats {
    /// `before`: what the attempts before told. `kept`: where heartbeats are kept; without, they stay in memory.
    pub(crate) fn new(limit: Option<Duration>, before: Option<Payload>, kept: Option<Kept>) -> Arc<Self> {
        Arc::new(Self { limit, before, kept, state: Mutex::default(), heard: Notify::new() })
    }

    /// Of an attempt that nothing listens to.
    pub(crate) fn unheard() -> Arc<Self> {
        Self::new(None, None, None)
    }

    /// Notes a heartbeat.
    pub(super) fn beat<T: Persist>(&self, details: &T) -> Result<(), HeartbeatError> {
        let details = heartbeat_details(details)?;
        let at_ms = self.kept.as_ref().map_or(0, |kept| (kept.now_ms)());
        let mut state = self.state();
        state.last = Some((details, at_ms));
        state.count += 1;
        // The writer looks at all attempts, so one wake-up is enough until it has written.
        let wakes = state.count == state.written + 1;
        drop(state);
        self.heard.notify_one();
        if let Some(kept) = self.kept.as_ref().filter(|_| wakes) {
            kept.writer.notify_one();
        }
        Ok(())
    }

    /// What the attempt before told, if it is a `T`.
    pub(super) fn before<T: Persist>(&self, activity: &str) -> Option<T> {
        let before = self.before.as_ref()?;
        match before.decode() {
            Ok(details) => Some(details),
            Err(error) => {
                tracing::warn!(
                    code = Code::PayloadType.as_str(),
                    activity,
                    "{}: the attempt begins without the details of the last heartbeat, which another version of \
                     activity `{activity}` has told: {error}",
                    Code::PayloadType
                );
                None
            }
        }
    }

    /// What the next attempt gets: what this one told last, or else what the one before told.
    pub(crate) fn details(&self) -> Option<Payload> {
        let last = self.state().last.as_ref().map(|(details, _)| details.clone());
        last.or_else(|| self.before.clone())
    }

    /// What this attempt told last.
    #[cfg(feature = "testing")]
    pub(crate) fn last(&self) -> Option<Payload> {
        self.state().last.as_ref().map(|(details, _)| details.clone())
    }

    /// Resolves when the attempt has been silent for longer than its limit. Never without a limit.
    pub(super) async fn silent(&self) {
        let Some(limit) = self.limit else { return std::future::pending().await };
        loop {
            tokio::select! {
                biased;
                () = self.heard.notified() => {}
                () = tokio::time::sleep(limit) => return,
            }
        }
    }

    /// The longest time between two heartbeats.
    pub(super) fn limit(&self) -> Option<Duration> {
        self.limit
    }

    /// Whether the attempt has a heartbeat limit.
    pub(super) fn is_limited(&self) -> bool {
        self.limit.is_some()
    }

    /// What the writer has to do, by its own clock.
    pub(crate) fn due(&self, now: Instant) -> Due {
        let state = self.state();
        let Some((details, at_ms)) = &state.last else { return Due::Nothing };
        if self.kept.is_none() || state.count == state.written {
            return Due::Nothing;
        }
        match state.written_at.map(|at| at + throttle(self.limit)) {
            Some(next) if next > now => Due::At(next),
            _ => Due::Now(Told {
                details: details.clone(),
                at_ms: *at_ms,
                count: state.count,
                since: state.written_at,
            }),
        }
    }

    /// The heartbeat of this number is written.
    pub(crate) fn written(&self, count: u64, now: Instant) {
        let mut state = self.state();
        (state.written, state.written_at) = (count, Some(now));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Beats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Beats")
    }
}

/// The least time between two writes of one attempt's heartbeats: 0.8 of its limit, 1 to 60 s.
fn throttle(limit: Option<Duration>) -> Duration {
    limit.map_or(WITHOUT_LIMIT, |limit| limit / 5 * 4).clamp(Duration::from_secs(1), Duration::from_secs(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_throttle_is_four_fifths_of_the_limit_within_bounds() {
        let throttled = |limit: Option<u64>| throttle(limit.map(Duration::from_secs)).as_secs();
        let limits = [None, Some(0), Some(1), Some(10), Some(30), Some(600)];
        assert_eq!(limits.map(throttled), [30, 1, 1, 8, 24, 60]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_heartbeat_is_due_at_once_and_of_the_next_the_last_after_the_throttle() {
        let kept = Kept { now_ms: Box::new(|| 7), writer: Arc::default() };
        let beats = Beats::new(Some(Duration::from_secs(10)), None, Some(kept));
        let now = Instant::now();
        assert_eq!(beats.due(now), Due::Nothing);
        beats.beat(&1).unwrap();
        let Due::Now(told) = beats.due(now) else { panic!() };
        assert_eq!((told.details.as_json(), told.at_ms, told.count), ("1", 7, 1));
        // One comes while the first is written.
        beats.beat(&2).unwrap();
        beats.written(told.count, now);
        let after = now + Duration::from_secs(8);
        assert_eq!(beats.due(now), Due::At(after));
        beats.beat(&3).unwrap();
        let Due::Now(told) = beats.due(after) else { panic!() };
        assert_eq!((told.details.as_json(), told.count), ("3", 3));
        beats.written(3, after);
        assert_eq!(beats.due(after + Duration::from_secs(99)), Due::Nothing, "nothing new");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_place_they_stay_in_memory() {
        let beats = Beats::new(None, Some(Payload::encode(&5).unwrap()), None);
        assert_eq!((beats.before::<u32>("act"), beats.before::<String>("act")), (Some(5), None));
        assert_eq!(beats.details().unwrap().as_json(), "5", "an attempt without a heartbeat keeps it");
        beats.beat(&6).unwrap();
        assert_eq!(beats.due(Instant::now()), Due::Nothing);
        assert_eq!((beats.details().unwrap().as_json(), beats.before("act")), ("6", Some(5)));
        assert!(matches!(beats.beat(&f32::NAN), Err(HeartbeatError::Invalid(_))));
        assert_eq!(beats.details().unwrap().as_json(), "6");
    }

    #[tokio::test(start_paused = true)]
    async fn each_heartbeat_begins_the_limit_again() {
        let beats = Beats::new(Some(Duration::from_secs(10)), None, None);
        let (since, silent) = (Instant::now(), Arc::clone(&beats));
        let silent = tokio::spawn(async move { silent.silent().await });
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(9)).await;
            beats.beat(&()).unwrap();
        }
        silent.await.unwrap();
        assert_eq!(since.elapsed().as_secs(), 37);
    }
}
