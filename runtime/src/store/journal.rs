//! Rows of the journal as they are stored, and how they are read.

use super::error::StoreError;
use abide_core::{Event, EventId, ExecutionId, Incarnation, JournalRow};
use serde::de::DeserializeOwned;

/// One journal row, undecoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredTurn {
    /// The number of its first event.
    pub(crate) seq: EventId,
    /// How many events.
    pub(crate) n: u32,
    /// When the turn was polled.
    pub(crate) at_ms: i64,
    /// The incarnation that wrote it; 0 for the store itself (a terminate).
    pub(crate) writer: Incarnation,
    /// The events, a JSON array.
    pub(crate) body: String,
}

/// Checks that the rows of a journal, oldest first, join up.
///
/// # Errors
/// Which event is missing.
pub(crate) fn joined(turns: Vec<StoredTurn>) -> Result<Vec<StoredTurn>, String> {
    let mut next = 1;
    for StoredTurn { seq, n, .. } in &turns {
        if seq.0 != next || *n < 1 {
            return Err(format!(
                "event {next} should come next, the row found begins at {seq} with {n} events"
            ));
        }
        next += u64::from(*n);
    }
    Ok(turns)
}

/// Why stored events cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// A newer release of abide wrote them: there is an event, or something in one, that this release has no name for.
    Newer(String),
    /// They are not what any release writes.
    Damaged(String),
}

impl Unreadable {
    pub(crate) fn of(self, execution: ExecutionId) -> StoreError {
        match self {
            Self::Newer(message) => StoreError::NewerHistory { execution, message },
            Self::Damaged(message) => StoreError::Damaged { execution, message },
        }
    }
}

impl StoredTurn {
    /// Its events.
    pub(crate) fn read(&self) -> Result<JournalRow, Unreadable> {
        let events = read(&self.body, format_args!("the row of event {}", self.seq))?;
        Ok(JournalRow { seq: self.seq, at_ms: self.at_ms, events })
    }
}

/// One event, the closing one that the row of a closed execution keeps.
pub(crate) fn read_event(body: &str) -> Result<Event, Unreadable> {
    read(body, format_args!("its result"))
}

fn read<T: DeserializeOwned>(body: &str, what: std::fmt::Arguments<'_>) -> Result<T, Unreadable> {
    serde_json::from_str(body).map_err(|error| {
        let text = error.to_string();
        // Names of events and of what is in one are the engine's own; payloads are raw JSON, and are not looked into.
        match text.strip_prefix("unknown variant `").and_then(|rest| rest.split_once('`')) {
            Some((name, _)) => {
                Unreadable::Newer(format!("{what} has `{name}`, which this release does not know"))
            }
            None => {
                Unreadable::Damaged(format!("{what} does not decode: {}", abide_core::unread(body, &error)))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_a_newer_release_is_no_damage() {
        let turn = |body: &str| StoredTurn {
            seq: EventId(4),
            n: 1,
            at_ms: 1,
            writer: Incarnation(1),
            body: body.to_owned(),
        };
        let newer = turn(r#"[{"moved_to_mars":{"ship":"Ares"}}]"#).read().unwrap_err();
        let message = "the row of event 4 has `moved_to_mars`, which this release does not know";
        assert_eq!(newer, Unreadable::Newer(message.to_owned()));
        assert_eq!(newer.of(ExecutionId(7)).code(), "AB0213");
        for body in ["[", r#"[{"timer_fired":{}}]"#, "[3]"] {
            assert!(matches!(turn(body).read(), Err(Unreadable::Damaged(_))), "{body}");
        }
        assert_eq!(turn(r#"[{"timer_fired":{"timer":2}}]"#).read().unwrap().events.len(), 1);
    }

    #[test]
    fn damage_is_told_without_what_is_recorded() {
        for body in [
            r#"[{"cancel_requested":{"request_id":"r","reason":["secret"]}}]"#,
            r#"[{"timer_fired":{"timer":"secret"}}]"#,
            r#"[{"activity_failed":{"activity":2,"failure":{"kind":"application","message":"no","chain":"secret"}}}]"#,
        ] {
            let Err(Unreadable::Damaged(told)) = read::<Vec<Event>>(body, format_args!("it")) else {
                panic!("{body}")
            };
            assert!(
                told.starts_with("it does not decode: invalid type: ") && !told.contains("secret"),
                "{told}"
            );
        }
    }
}
