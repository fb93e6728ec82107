//! The time limits of an attempt.

use abide_core::{ActivityOptions, TimeoutKind};
use std::time::Duration;
use tokio::time::Instant;

/// The limits of one attempt, on this process's monotonic clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    start_to_close: Option<Duration>,
    schedule_to_close: Option<Instant>,
    schedule_to_start: Option<Instant>,
}

impl Limits {
    /// The limits of an attempt with these `options`: `elapsed` after the activity was scheduled (for
    /// schedule-to-close) and `waited` after this attempt became due (for schedule-to-start).
    pub(crate) fn new(options: &ActivityOptions, elapsed: Duration, waited: Duration) -> Self {
        let now = Instant::now();
        // A limit that the clock cannot represent is no limit.
        let left = |limit: Option<Duration>, spent| now.checked_add(limit?.saturating_sub(spent));
        Self {
            start_to_close: options.start_to_close,
            schedule_to_close: left(options.schedule_to_close, elapsed),
            schedule_to_start: left(options.schedule_to_start, waited),
        }
    }

    /// The limits of an attempt that was claimed from another execution's owner. It starts at once.
    pub(crate) fn claimed(start_to_close: Option<Duration>, left: Option<Duration>) -> Self {
        let schedule_to_close = left.and_then(|left| Instant::now().checked_add(left));
        Self { start_to_close, schedule_to_close, schedule_to_start: None }
    }

    /// The earlier limit of an attempt that starts now.
    pub(super) fn running(&self) -> Option<(Instant, TimeoutKind)> {
        let attempt = self.start_to_close.and_then(|limit| Instant::now().checked_add(limit));
        let attempt = attempt.map(|at| (at, TimeoutKind::StartToClose));
        let all = self.schedule_to_close.map(|at| (at, TimeoutKind::ScheduleToClose));
        [attempt, all].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// When the attempt itself is given up, if it starts now.
    pub(super) fn attempt_ends(&self) -> Option<Instant> {
        self.start_to_close.and_then(|limit| Instant::now().checked_add(limit))
    }

    /// The earlier limit of an attempt that waits for a slot.
    pub(super) fn waiting(&self) -> Option<(Instant, TimeoutKind)> {
        let start = self.schedule_to_start.map(|at| (at, TimeoutKind::ScheduleToStart));
        let all = self.schedule_to_close.map(|at| (at, TimeoutKind::ScheduleToClose));
        [start, all].into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}
