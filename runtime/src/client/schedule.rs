//! Schedules: what starts runs at certain times, and its handle.
//!
//! `new` creates one of `options` (when and how) and an `action` (what); `handle` is what is done with one;
//! `describe` and `list` are what is known of them.

mod action;
mod describe;
mod handle;
mod list;
mod new;
mod options;
mod parts;

pub use action::IntoStart;
pub use describe::{ScheduleDescription, ScheduledRun};
pub use handle::{Schedule, ScheduleUpdate};
pub use list::{ListSchedules, ScheduleCursor, SchedulePage, ScheduleSummary};
pub use new::NewSchedule;

use super::{Client, check_id};
use crate::error::{Error, Result};
use crate::store::{AskedOf, RunKeys, ScheduleAnswer, ScheduleAsk, StartedRun, StoreError};
use std::sync::Arc;
use std::time::Duration;

/// The most times that a request is submitted while its outcome is unknown.
const ASKED_AT_MOST: u32 = 3;

/// The wait between two submissions.
const BETWEEN_ASKING: Duration = Duration::from_millis(100);

/// The greatest length of a schedule's id, in characters: the workflow ids of its runs begin with it, and add the slot
/// and the id of a request.
const MAX_SCHEDULE_ID_CHARS: usize = 900;

/// Refuses an id that is empty or too long.
pub(super) fn check_schedule_id(what: &'static str, id: &str) -> Result<()> {
    check_id(what, id)?;
    match id.chars().count() {
        ..=MAX_SCHEDULE_ID_CHARS => Ok(()),
        chars => Err(Error::ScheduleRefused {
            message: format!(
                "{}: a {what} of a schedule has at most {MAX_SCHEDULE_ID_CHARS} characters, this one has {chars}",
                abide_core::Code::ScheduleSpec
            ),
        }),
    }
}

impl Client {
    /// Asks something of a schedule, and again while the outcome is unknown: the request's id makes a repeated request
    /// return the first answer. `Ok(Err)`: it was changed meanwhile.
    async fn ask_schedule(
        &self,
        id: &str,
        what: AskedOf,
    ) -> Result<std::result::Result<Option<StartedRun>, Changed>> {
        let request_id = self.abide.host().fresh_id();
        let ask = ScheduleAsk { id: id.to_owned(), request_id, what };
        match self.ask_patiently(&ask).await? {
            ScheduleAnswer::Done(run) => {
                self.abide.hub().wake_workers();
                Ok(Ok(run))
            }
            ScheduleAnswer::Changed => Ok(Err(Changed)),
            ScheduleAnswer::NoSuchSchedule => Err(Error::NoSuchSchedule { id: ask.id }),
            ScheduleAnswer::Exists => Err(Error::ScheduleExists { id: ask.id }),
            ScheduleAnswer::Refused(message) => Err(Error::ScheduleRefused { message: coded(message) }),
        }
    }

    async fn ask_patiently(&self, ask: &ScheduleAsk) -> Result<ScheduleAnswer> {
        let (store, host) = (Arc::clone(self.abide.store()), self.abide.host().clone());
        let keys: RunKeys = Arc::new(move |now_ms| (store.execution_id(), host.run_id(now_ms)));
        let mut doubt = String::new();
        for _ in 0..ASKED_AT_MOST {
            match self.abide.store().ask_schedule(ask.clone(), RunKeys::clone(&keys)).await {
                Err(StoreError::Unknown { message }) => doubt = message,
                known => return Ok(known?),
            }
            tokio::time::sleep(BETWEEN_ASKING).await;
        }
        Err(Error::OutcomeUnknown { request_id: ask.request_id.clone(), message: doubt })
    }
}

/// A schedule was changed since it was read.
struct Changed;

/// A refusal with its code.
fn coded(message: String) -> String {
    match abide_core::Code::split(&message) {
        Some(_) => message,
        None => format!("{}: {message}", abide_core::Code::ScheduleSpec),
    }
}
