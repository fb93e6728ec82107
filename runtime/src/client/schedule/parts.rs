//! A schedule's row, taken apart.

use super::coded;
use crate::error::{Error, Result};
use crate::store::{Action, ScheduleRow};
use abide_core::schedule::{Policy, Spec, State};
use serde::de::DeserializeOwned;

/// A row's texts.
pub(super) struct Parts {
    pub(super) spec: Spec,
    pub(super) policy: Policy,
    pub(super) action: Action,
    pub(super) state: State,
}

impl Parts {
    pub(super) fn of(row: &ScheduleRow) -> Result<Self> {
        Ok(Self {
            spec: read(row, &row.spec)?,
            policy: read(row, &row.policy)?,
            action: read(row, &row.action)?,
            state: read(row, &row.state)?,
        })
    }
}

fn read<T: DeserializeOwned>(row: &ScheduleRow, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::ScheduleRefused {
        message: coded(format!(
            "schedule `{}` cannot be read ({error}): a newer release may have written it",
            row.id
        )),
    })
}
