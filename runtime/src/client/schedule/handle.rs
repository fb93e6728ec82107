//! A schedule's handle, and what is done with it.

use super::options::{Options, millis, options};
use super::parts::Parts;
use super::{IntoStart, ScheduleDescription};
use crate::client::{Client, Handle, UntypedHandle, WorkflowHandle};
use crate::error::{Error, Result};
use crate::store::{Action, AskedOf, ScheduleParts, ScheduleRow, StoreError};
use abide_core::schedule::{Calendar, Input, Interval, Overlap};
use jiff::Timestamp;
use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// How often an update is tried while others change the schedule.
const UPDATED_AT_MOST: u32 = 8;

/// A handle of a schedule of workflow `W`. Cheap to clone; `Send` and `Sync`.
pub struct Schedule<W: WorkflowHandle> {
    client: Client,
    id: Arc<str>,
    workflow: PhantomData<fn() -> W>,
}

impl Client {
    /// Returns a handle of a schedule by its id: `client.schedule_handle::<nightly_report>("nightly")`. This call looks
    /// nothing up.
    pub fn schedule_handle<W: WorkflowHandle>(&self, id: impl AsRef<str>) -> Schedule<W> {
        Schedule::new(self.clone(), id.as_ref())
    }
}

impl<W: WorkflowHandle> Schedule<W> {
    pub(super) fn new(client: Client, id: impl AsRef<str>) -> Self {
        Self { client, id: Arc::from(id.as_ref()), workflow: PhantomData }
    }

    /// The schedule's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Starts one run now, whatever else runs, also of a paused schedule. The workflow id of the run is
    /// `<schedule>-<now>-<request>`. It is done once, also where the database's answer is lost.
    ///
    /// # Errors
    /// `AB0423` if there is no such schedule; `AB0416` if it starts another workflow.
    pub async fn trigger(&self) -> Result<Handle<W>> {
        let parts = Parts::of(&self.row().await?)?;
        self.check(&parts.action)?;
        let input = Input::Trigger {
            request_id: self.client.abide.host().fresh_id(),
            overlap: Some(Overlap::AllowAll),
        };
        let run = self.tell(input).await?.ok_or_else(|| Error::ScheduleRefused {
            message: super::coded(format!("schedule `{}` has started no run", self.id)),
        })?;
        let client = self.client.clone();
        Ok(Handle::new(UntypedHandle::of_run(client, &run.workflow_id, run.execution, &run.run_id)))
    }

    /// Starts runs for the slots of a time in the past, also of a paused schedule. It ends now at the latest: later
    /// slots come by themselves. The workflow ids of the runs are `<schedule>-<slot>-<request>`, so that slots that
    /// have had a run get another. `overlap` says what its slots do while a run is open.
    ///
    /// ```
    /// # use abide::prelude::*;
    /// # #[workflow] async fn nightly_report() {}
    /// # async fn demo(client: Client) -> Result<(), Failure> {
    /// let nightly = client.schedule_handle::<nightly_report>("nightly");
    /// let first = "2026-11-01T00:00:00Z".parse()?;
    /// let last = "2026-11-08T00:00:00Z".parse()?;
    /// nightly.backfill(first..=last, Overlap::BufferAll).await?; // one after the other
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `AB0423` if there is no such schedule; `AB0425` if it is refused: it begins after its end or later than now, or
    /// the schedule has 100 backfills that are not through.
    pub async fn backfill(&self, slots: RangeInclusive<Timestamp>, overlap: Overlap) -> Result<()> {
        let request_id = self.client.abide.host().fresh_id();
        let (from_ms, to_ms) = (slots.start().as_millisecond(), slots.end().as_millisecond());
        let input = Input::Backfill { request_id, from_ms, to_ms, overlap: Some(overlap) };
        self.tell(input).await.map(drop)
    }

    /// Starts no slot from now on, until it is resumed. Slots of that time are not caught up. Open runs go on.
    ///
    /// # Errors
    /// `AB0423` if there is no such schedule.
    pub async fn pause(&self, note: impl Into<String>) -> Result<()> {
        self.tell(Input::Pause { note: Some(note.into()) }).await.map(drop)
    }

    /// Starts slots again, from now on.
    ///
    /// # Errors
    /// `AB0423` if there is no such schedule.
    pub async fn resume(&self, note: impl Into<String>) -> Result<()> {
        self.tell(Input::Unpause { note: Some(note.into()) }).await.map(drop)
    }

    /// Changes the schedule. The closure gets it as it is, and is called again if another changes it meanwhile. The
    /// first of `cron`, `every` and `at` replaces all times that it has, and further ones add to it; so does the first
    /// `exclude`. Everything that the closure does not name stays. Slots up to now follow the old times, later ones the
    /// new.
    ///
    /// ```
    /// # use abide::prelude::*;
    /// # #[workflow] async fn nightly_report() {}
    /// # async fn demo(client: Client) -> Result<(), Failure> {
    /// let nightly = client.schedule_handle::<nightly_report>("nightly");
    /// nightly.update(|schedule| schedule.cron("0 4 * * *").overlap(Overlap::BufferOne)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `AB0423` if there is no such schedule; `AB0425` for times that cannot be read or never come; `AB0416` if it
    /// starts another workflow; `AB0515` if others change it all the time.
    pub async fn update(&self, change: impl Fn(ScheduleUpdate<W>) -> ScheduleUpdate<W>) -> Result<()> {
        for _ in 0..UPDATED_AT_MOST {
            let row = self.row().await?;
            let Parts { spec, policy, action, state } = Parts::of(&row)?;
            self.check(&action)?;
            let remaining = state.remaining;
            let options =
                Options { spec, policy, remaining, note: None, old_times: true, old_exclusions: true };
            let update = ScheduleUpdate {
                client: self.client.clone(),
                id: Arc::clone(&self.id),
                options,
                action: Ok(action),
                workflow: PhantomData,
            };
            let ScheduleUpdate { options, action, .. } = change(update);
            let Options { spec, policy, remaining, note, .. } = options;
            let new = Box::new(ScheduleParts { spec, policy, action: action?, note, remaining });
            let asked = AskedOf::Change { version: row.version, new };
            if self.client.ask_schedule(&self.id, asked).await?.is_ok() {
                return Ok(());
            }
        }
        let message =
            format!("schedule `{}` was changed by others at each of {UPDATED_AT_MOST} tries", self.id);
        Err(StoreError::Conflicting { message }.into())
    }

    /// Describes the schedule: its times, what comes next, what runs, and what has happened.
    ///
    /// # Errors
    /// `AB0423` if there is no such schedule.
    pub async fn describe(&self) -> Result<ScheduleDescription> {
        let row = self.row().await?;
        let parts = Parts::of(&row)?;
        Ok(ScheduleDescription::of(row, parts, self.client.abide.store().now_ms()))
    }

    /// Deletes the schedule. Its open runs go on. Its id is free again.
    ///
    /// # Errors
    /// `AB0423` if there is no such schedule.
    pub async fn delete(&self) -> Result<()> {
        self.client.ask_schedule(&self.id, AskedOf::Delete).await.map(drop)
    }

    async fn tell(&self, input: Input) -> Result<Option<crate::store::StartedRun>> {
        let answer = self.client.ask_schedule(&self.id, AskedOf::Tell(input)).await?;
        Ok(answer.unwrap_or_default())
    }

    async fn row(&self) -> Result<ScheduleRow> {
        let row = self.client.abide.store().schedule(self.id.as_ref().to_owned()).await?;
        row.ok_or_else(|| Error::NoSuchSchedule { id: self.id.as_ref().to_owned() })
    }

    fn check(&self, action: &Action) -> Result<()> {
        match action.workflow_type == W::NAME {
            true => Ok(()),
            false => Err(Error::TypeMismatch {
                workflow_id: self.id.as_ref().to_owned(),
                expected: W::NAME,
                found: action.workflow_type.clone(),
            }),
        }
    }
}

impl<W: WorkflowHandle> Clone for Schedule<W> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), id: Arc::clone(&self.id), workflow: PhantomData }
    }
}

impl<W: WorkflowHandle> fmt::Debug for Schedule<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule").field("id", &self.id()).finish_non_exhaustive()
    }
}

/// A schedule about to be changed: the argument of the closure of [`Schedule::update`].
#[must_use = "return it from the closure of `.update(..)`"]
pub struct ScheduleUpdate<W: WorkflowHandle> {
    client: Client,
    id: Arc<str>,
    options: Options,
    action: Result<Action>,
    workflow: PhantomData<fn() -> W>,
}

impl<W: WorkflowHandle> ScheduleUpdate<W> {
    options!();

    /// Starts this from now on: another call, or other options.
    pub fn start(mut self, what: impl IntoStart<W>) -> Self {
        self.action = what.into_start(&self.client).template(&self.id);
        self
    }

    /// It goes on when a run fails.
    pub fn go_on_after_failure(mut self) -> Self {
        self.options.policy.pause_on_failure = false;
        self
    }

    /// The number of slots has no limit any more.
    pub fn no_limit(mut self) -> Self {
        self.options.remaining = None;
        self
    }
}
