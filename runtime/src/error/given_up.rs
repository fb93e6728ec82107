//! Waits in a test environment that were given up, as errors.

use super::Error;
use crate::host::{Endless, Standstill};

impl From<Endless> for Error {
    fn from(endless: Endless) -> Self {
        let Endless { activity, workflow_id, attempts, failure } = endless;
        Self::RetriedWithoutEnd { activity, workflow_id, attempts, failure }
    }
}

impl From<Standstill> for Error {
    fn from(standstill: Standstill) -> Self {
        let names = standstill.activities.iter().map(|name| format!("`{name}`"));
        let activities = names.collect::<Vec<_>>().join(", ");
        Self::Standstill { activities, seconds: standstill.lasted.as_secs() }
    }
}
