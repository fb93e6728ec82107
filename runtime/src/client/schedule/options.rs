//! When and how a schedule starts runs.

use abide_core::schedule::{Calendar, Policy, Spec};
use std::time::Duration;

/// What is said of a schedule besides what it starts.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) spec: Spec,
    pub(super) policy: Policy,
    pub(super) remaining: Option<u64>,
    pub(super) note: Option<String>,
    /// In an update: the times, or the exclusions, are still those of before.
    pub(super) old_times: bool,
    pub(super) old_exclusions: bool,
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Options {
    /// The first time that an update names replaces those of before.
    pub(super) fn times(&mut self) -> &mut Spec {
        if std::mem::take(&mut self.old_times) {
            self.spec.crons.clear();
            self.spec.every.clear();
            self.spec.calendars.clear();
        }
        &mut self.spec
    }

    pub(super) fn exclusions(&mut self) -> &mut Vec<Calendar> {
        if std::mem::take(&mut self.old_exclusions) {
            self.spec.exclude.clear();
        }
        &mut self.spec.exclude
    }
}

/// The options that a new schedule and an update share.
macro_rules! options {
    () => {
        /// Starts a run at the times of a cron pattern, in the [`zone`](Self::zone) of the schedule. It has 5 fields
        /// (minute, hour, day of month, month, day of week), 6 (seconds first) or 7 (a year last). Call it again for
        /// more patterns. `AB0425` at the `.await` for a pattern that cannot be read or never fires.
        pub fn cron(mut self, pattern: impl AsRef<str>) -> Self {
            self.options.times().crons.push(pattern.as_ref().to_owned());
            self
        }

        /// Starts a run at each multiple of this time since 1970, UTC: `every(hours(1))` at each full hour. At least 1
        /// s (`AB0425`). Call it again for more.
        pub fn every(self, every: Duration) -> Self {
            self.every_offset(every, Duration::ZERO)
        }

        /// The same, moved by an offset: `every_offset(hours(1), mins(5))` at five past each full hour. The offset is
        /// less than the distance (`AB0425`).
        pub fn every_offset(mut self, every: Duration, offset: Duration) -> Self {
            let interval = Interval { every_ms: millis(every), offset_ms: millis(offset) };
            self.options.times().every.push(interval);
            self
        }

        /// Starts a run at the times of a calendar, in the [`zone`](Self::zone) of the schedule. Call it again for
        /// more.
        pub fn at(mut self, calendar: Calendar) -> Self {
            self.options.times().calendars.push(calendar);
            self
        }

        /// Starts no run at the times of a calendar. Call it again for more. Default: none.
        pub fn exclude(mut self, calendar: Calendar) -> Self {
            self.options.exclusions().push(calendar);
            self
        }

        /// The IANA zone of patterns and calendars: `Europe/Berlin`. `AB0425` at the `.await` for one that is unknown.
        /// Default: `UTC`.
        pub fn zone(mut self, zone: impl AsRef<str>) -> Self {
            self.options.spec.zone = zone.as_ref().to_owned();
            self
        }

        /// Starts each run up to this much later than its slot, so that many schedules do not start at one moment. The
        /// delay of a slot is always the same, and never reaches the next slot. Default: none.
        pub fn jitter(mut self, most: Duration) -> Self {
            self.options.spec.jitter_ms = millis(most);
            self
        }

        /// The earliest slot. Default: none.
        pub fn start_at(mut self, time: Timestamp) -> Self {
            self.options.spec.start_at_ms = Some(time.as_millisecond());
            self
        }

        /// The latest slot. Default: none.
        pub fn end_at(mut self, time: Timestamp) -> Self {
            self.options.spec.end_at_ms = Some(time.as_millisecond());
            self
        }

        /// What happens at a slot while the run of an earlier slot is open. Default: [`Overlap::Skip`].
        pub fn overlap(mut self, overlap: Overlap) -> Self {
            self.options.policy.overlap = overlap;
            self
        }

        /// How late a slot may be started when no worker ran at its time. Older slots are counted as missed. Default:
        /// 365 days.
        pub fn catch_up(mut self, window: Duration) -> Self {
            self.options.policy.catch_up_ms = millis(window);
            self
        }

        /// Pauses the schedule when a run of it fails or times out. Default: it goes on.
        pub fn pause_on_failure(mut self) -> Self {
            self.options.policy.pause_on_failure = true;
            self
        }

        /// How many more slots are started; then it starts nothing any more. Triggers and backfills do not count.
        /// Default: no limit.
        pub fn remaining(mut self, slots: u64) -> Self {
            self.options.remaining = Some(slots);
            self
        }

        /// A note for people, which [`describe`](super::Schedule::describe) shows.
        pub fn note(mut self, note: impl Into<String>) -> Self {
            self.options.note = Some(note.into());
            self
        }
    };
}
pub(super) use options;
