//! A schedule about to be created.

use super::options::{Options, millis, options};
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
    /// At the `.await`: `AB0424` if there is a schedule of this id; `AB0425` for times that cannot be read or never
    /// come, an option of the start that a schedule cannot have, or an id of more than 900 characters; those of a
    /// start, such as `AB0411` where no task queue is known.
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
