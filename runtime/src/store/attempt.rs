//! Failed attempts that will be retried: kept beside the journal, so that retries do not make it grow (PROTOCOL 4).
//!
//! There is one row for each activity: its last failure. The append that takes the failure in writes it
//! before the back-off begins. The next failure replaces it, and the append with the activity's end deletes
//! it. A closing append and a terminate delete all rows of the run.

use abide_core::exec::{self, FailedAttempt};
use abide_core::{EventId, FailureRecord};
use serde::Deserialize;

/// A row: the last failed attempt of an open activity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AttemptRow {
    /// The activity: the number of its event in its execution.
    pub(crate) activity: EventId,
    /// Which attempt it was, from 1.
    pub(crate) attempt: u32,
    /// When the next one is due.
    pub(crate) next_at_ms: i64,
    /// How it failed: a [`FailureRecord`] as JSON, with `lost` where more than this attempt went down with
    /// their worker.
    pub(crate) failure: String,
}

/// A change of these rows by an append. At most one for each activity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AttemptChange {
    /// Inserts the row, or replaces the one before.
    Keep(AttemptRow),
    /// Deletes the row, if there is one.
    Drop(EventId),
}

/// What the JSON of a row holds beside the failure.
#[derive(Deserialize)]
struct Beside {
    #[serde(default)]
    lost: Option<u32>,
}

impl AttemptRow {
    fn of(failed: &FailedAttempt) -> Self {
        let mut failure =
            serde_json::to_string(&failed.failure).expect("texts and encoded payloads always encode");
        if failed.lost > 1 {
            failure.truncate(failure.len() - 1);
            failure.push_str(&format!(r#","lost":{}}}"#, failed.lost));
        }
        let FailedAttempt { activity, attempt, next_at_ms, .. } = *failed;
        Self { activity, attempt, next_at_ms, failure }
    }

    /// Decodes it.
    ///
    /// # Errors
    /// Names the row that does not decode.
    pub(crate) fn decode(&self) -> Result<FailedAttempt, String> {
        let Self { activity, attempt, next_at_ms, failure } = self;
        let wrong = |error| {
            let why = abide_core::unread(failure, &error);
            format!("its last failed attempt of activity {activity} does not decode: {why}")
        };
        let decoded: FailureRecord = serde_json::from_str(failure).map_err(wrong)?;
        let beside: Beside = serde_json::from_str(failure).map_err(wrong)?;
        let lost = u32::from(decoded.kind == abide_core::FailureKind::WorkerLost);
        Ok(FailedAttempt {
            activity: *activity,
            attempt: *attempt,
            next_at_ms: *next_at_ms,
            failure: decoded,
            lost: beside.lost.unwrap_or(lost),
        })
    }
}

impl From<&exec::AttemptChange> for AttemptChange {
    fn from(change: &exec::AttemptChange) -> Self {
        match change {
            exec::AttemptChange::Failed(failed) => Self::Keep(AttemptRow::of(failed)),
            exec::AttemptChange::Gone(activity) => Self::Drop(*activity),
        }
    }
}

impl AttemptChange {
    /// The length of its text, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Keep(row) => row.failure.len(),
            Self::Drop(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide_core::{FailureKind, Payload};

    #[test]
    fn a_row_comes_back_as_it_was() {
        let typed = FailureRecord {
            chain: vec!["timed out".to_owned()],
            data: Some(Payload::encode(&("lost", 7)).unwrap()),
            ..FailureRecord::new(FailureKind::Application, "declined \"again\"")
        };
        for (failure, lost) in [
            (typed, 0),
            (FailureRecord::new(FailureKind::WorkerLost, "gone"), 1),
            (FailureRecord::new(FailureKind::WorkerLost, "gone"), 3),
        ] {
            let failed = FailedAttempt { activity: EventId(2), attempt: 9, next_at_ms: -1, failure, lost };
            let AttemptChange::Keep(row) = (&exec::AttemptChange::Failed(failed.clone())).into() else {
                panic!()
            };
            assert_eq!(row.decode().unwrap(), failed);
            assert_eq!(row.failure.contains("\"lost\":"), lost == 3, "{}", row.failure);
        }
        let row = AttemptRow { activity: EventId(2), attempt: 1, next_at_ms: 1, failure: "{".to_owned() };
        assert!(row.decode().unwrap_err().contains("activity 2 does not decode"));
    }
}
