//! Waits in a test environment that were given up, as errors.

use super::Error;
use crate::host::{Endless, Standstill};

impl From<Endless> for Error {
    fn from(endless: Endless) -> Self {
        let Endless { activity, workflow_id, attempts, failure } = endless;
        Self::RetriedWithoutEnd { activity, workflow_id, attempts, failure }
    }
}

/// What is retried.
pub(super) fn retried(activity: Option<&str>, workflow_id: &str) -> String {
    match activity {
        Some(activity) => format!("activity `{activity}` of workflow `{workflow_id}`"),
        None => format!("workflow `{workflow_id}`"),
    }
}

/// What ends it.
pub(super) fn help(activity: &Option<String>) -> &'static str {
    match activity {
        Some(_) => "Let it succeed, give it `max_attempts` or a `schedule_to_close`",
        None => "Let it succeed, give it `max_attempts` or an `execution_timeout`",
    }
}

impl From<Standstill> for Error {
    fn from(standstill: Standstill) -> Self {
        let names = standstill.activities.iter().map(|name| format!("`{name}`"));
        let activities = names.collect::<Vec<_>>().join(", ");
        Self::Standstill { activities, seconds: standstill.lasted.as_secs() }
    }
}
