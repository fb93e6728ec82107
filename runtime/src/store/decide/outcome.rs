//! The inbox row with an attempt's outcome: its dedup key and its body, built here or by a statement.

#[cfg(any(feature = "sqlite", feature = "testing"))]
use abide_core::EventId;
use abide_core::exec::AttemptOutcome;

/// The dedup key: an attempt has one outcome in an inbox.
#[cfg(any(feature = "sqlite", feature = "testing"))]
pub(crate) fn attempt_request_id(activity: EventId, attempt: u32) -> String {
    format!("attempt/{activity}/{attempt}")
}

/// An outcome as bodies have it, JSON.
pub(crate) fn outcome_json(outcome: &AttemptOutcome) -> String {
    serde_json::to_string(outcome).expect("an outcome is text and encoded payloads")
}

/// The body of the row, an [`AttemptBody`](crate::store::AttemptBody) as JSON; `outcome` and `details` as JSON.
#[cfg(feature = "testing")]
pub(crate) fn outcome_body(activity: EventId, attempt: u32, outcome: &str, details: Option<&str>) -> String {
    let details = details.map(|details| format!(r#","details":{details}"#)).unwrap_or_default();
    format!(r#"{{"activity":{activity},"attempt":{attempt},"outcome":{outcome}{details}}}"#)
}

/// [`attempt_request_id`] in SQL, of two expressions.
#[cfg(feature = "postgres")]
macro_rules! attempt_id {
    ($activity:literal, $attempt:literal) => {
        concat!("'attempt/' || ", $activity, " || '/' || ", $attempt)
    };
}
#[cfg(feature = "postgres")]
pub(crate) use attempt_id;

/// In SQL: the columns `execution, kind, request_id, body` of the row, for a row of `task` with this prefix
/// and an outcome, JSON. What the last heartbeat told goes with it (PROTOCOL 75).
#[cfg(any(feature = "sqlite", feature = "postgres"))]
macro_rules! outcome_row {
    ($task:literal, $outcome:literal) => {
        concat!(
            $task,
            "execution, 4, 'attempt/' || ",
            $task,
            "activity || '/' || ",
            $task,
            "attempt, '{\"activity\":' || ",
            $task,
            "activity || ',\"attempt\":' || ",
            $task,
            "attempt || ',\"outcome\":' || ",
            $outcome,
            " || CASE WHEN ",
            $task,
            "details IS NULL THEN '' ELSE ',\"details\":' || ",
            $task,
            "details END || '}'"
        )
    };
}
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use outcome_row;

#[cfg(test)]
#[cfg(all(feature = "testing", feature = "postgres"))]
mod tests {
    use super::*;
    use crate::store::{AttemptBody, MessageKind};

    #[test]
    fn rust_and_sql_say_the_same() {
        assert_eq!(MessageKind::Attempt.code(), 4, "the statements name it by its number");
        let outcome = outcome_json(&AttemptOutcome::Cancelled);
        let with = outcome_body(EventId(3), 2, &outcome, Some("[7]"));
        let read: AttemptBody = serde_json::from_str(&with).unwrap();
        assert_eq!(read.details.map(|details| details.as_json().to_owned()).as_deref(), Some("[7]"));
        let body = outcome_body(EventId(3), 2, &outcome, None);
        let read: AttemptBody = serde_json::from_str(&body).unwrap();
        assert_eq!((read.activity, read.attempt, read.kept), (EventId(3), 2, false));
        assert!(read.details.is_none());
        // The statement's result, concatenated by hand.
        let sql = outcome_row!("t.", "$1").replace("t.activity", "3").replace("t.attempt", "2");
        let (told, untold) = ("ELSE ',\"details\":' || t.details END", "CASE WHEN t.details IS NULL THEN ''");
        assert!(sql.contains(&format!("{untold} {told}")), "{sql}");
        let sql = sql.replace(&format!(" || {untold} {told}"), "");
        let sql =
            sql.replace("$1", "\"cancelled\"").replace("' || ", "").replace(" || '", "").replace('\'', "");
        let id = attempt_request_id(EventId(3), 2);
        assert_eq!(sql, format!("t.execution, 4, {id}, {body}"));
        assert_eq!(attempt_id!("$3", "$4"), "'attempt/' || $3 || '/' || $4");
    }
}
