//! What a schedule is made of: when, how and what.

use super::{IntoStart, Schedule, check_schedule_id};
use crate::client::{Client, Start, WorkflowHandle};
use crate::error::Result;
use crate::future::BoxFuture;
use crate::store::{AskedOf, ScheduleParts};
use abide_core::schedule::{Calendar, Interval, Overlap, Policy, Spec};
use jiff::Timestamp;
use std::future::IntoFuture;
use std::time::Duration;

/// A schedule about to be created. Say when it starts runs, set the options that differ from the defaults, then
/// `.await` it for its [`Schedule`].
#[must_use = "a schedule does nothing until it is awaited"]
pub struct NewSchedule<W: WorkflowHandle> {
    client: Client,
    id: String,
    start: Start<W>,
    pub(super) options: Options,
    paused: bool,
}

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

        /// Starts a run at each multiple of this time since 1970, UTC: `every(hours(1))` at each full hour. At least 1 s
        /// (`AB0425`). Call it again for more.
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

        /// Starts a run at the times of a calendar, in the [`zone`](Self::zone) of the schedule. Call it again for more.
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

        /// How many more slots are started; then it starts nothing any more. Triggers and backfills do not count. Default:
        /// no limit.
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

impl Client {
    /// Creates a schedule, which starts runs of a workflow at certain times. It is durable once it is awaited. Any
    /// worker of the database keeps it going, whichever task queue it serves.
    ///
    /// `what` is a call of the workflow. Or it is a start that is not awaited: its options are then those of each run.
    /// The workflow id of a run is `<schedule>-<slot>`, with the slot in UTC: `nightly-2026-12-24T02:00:00Z`; `.id(..)`
    /// of the start takes the place of the schedule's id in it. A run that had the same id before is not started again.
    /// The workflow reads its slot from
    /// [`workflow::info().scheduled_at`](crate::workflow::Info::scheduled_at).
    ///
    /// ```
    /// # use abide::prelude::*;
    /// # #[workflow] async fn nightly_report() {}
    /// # #[workflow] async fn bill(customer: u64) {}
    /// # async fn demo(client: Client) -> Result<(), Failure> {
    /// let nightly = client
    ///     .schedule("nightly", nightly_report())
    ///     .cron("0 3 * * *")
    ///     .zone("Europe/Berlin")
    ///     .overlap(Overlap::Skip)
    ///     .await?;
    /// nightly.trigger().await?.result().await?; // one run now
    ///
    /// let bills = client.start(bill(7)).task_queue("bills").run_timeout(hours(2));
    /// client.schedule("billing", bills).every(days(1)).jitter(mins(5)).pause_on_failure().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// At the `.await`: `AB0424` if there is a schedule of this id; `AB0425` for times that cannot be read or never come,
    /// an option of the start that a schedule cannot have, or an id of more than 900 characters; those of a start, such
    /// as `AB0411` where no task queue is known.
    pub fn schedule<W: WorkflowHandle>(
        &self,
        id: impl Into<String>,
        what: impl IntoStart<W>,
    ) -> NewSchedule<W> {
        let options = Options {
            spec: Spec::default(),
            policy: Policy::default(),
            remaining: None,
            note: None,
            old_times: false,
            old_exclusions: false,
        };
        let start = what.into_start(self);
        NewSchedule { client: self.clone(), id: id.into(), start, options, paused: false }
    }
}

impl<W: WorkflowHandle> NewSchedule<W> {
    options!();

    /// Creates it paused, with this note. Default: it is not paused.
    pub fn paused(mut self, note: impl Into<String>) -> Self {
        self.paused = true;
        self.note(note)
    }
}

impl<W: WorkflowHandle> IntoFuture for NewSchedule<W> {
    type Output = Result<Schedule<W>>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { client, id, start, options, paused } = self;
            start.outside()?;
            check_schedule_id("schedule id", &id)?;
            let action = start.template(&id)?;
            let Options { spec, policy, remaining, note, .. } = options;
            let new = Box::new(ScheduleParts { spec, policy, action, note, remaining });
            // Execution ids are never used again, and positive.
            let number = -client.abide.store().execution_id().0;
            // No version: a schedule that is there is never changed by this.
            let _created = client.ask_schedule(&id, AskedOf::Create { number, new, paused }).await?;
            Ok(Schedule::new(client, id))
        })
    }
}
