//! Rows of the journal as they are stored, and how they are read.

use super::append::{Ack, Append};
use super::attempt::AttemptRow;
use super::error::{StoreError, StoreFuture};
use super::execution::ExecutionRow;
use super::message::InboxRow;
use super::task::BeatRow;
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

/// Everything that is stored of one run, read at one moment (PROTOCOL 34).
#[derive(Clone, Debug)]
pub(crate) struct StoredRun {
    /// Its row.
    pub(crate) row: ExecutionRow,
    /// Its journal, oldest first; or why it is damaged.
    pub(crate) journal: Result<Vec<StoredTurn>, String>,
    /// The last failed attempts of its open activities, by activity (PROTOCOL 4).
    pub(crate) attempts: Vec<AttemptRow>,
    /// Its inbox, in the order in which it was sent.
    pub(crate) inbox: Vec<InboxRow>,
    /// The last heartbeats of its open activities, by activity, where their rows know them (PROTOCOL 75).
    pub(crate) beats: Vec<BeatRow>,
}

/// Writes turns of executions to the journal and reads them.
pub(crate) trait Journal: Send + Sync {
    /// Queues one turn of one execution and returns at once. `ack` is called once, from the writer, when the turn
    /// is durable or refused; it must not block. Callers bound the queue: at most one append of an execution is in
    /// flight (PROTOCOL 2).
    ///
    /// Errors: `Fenced` (the owner's lease is gone: drop everything it owns), `Unknown` (read-back failed as well),
    /// or a fatal one. Locks and a full disk are waited out, with warnings: an append is never refused for them.
    fn submit(&self, append: Append, ack: Ack);

    /// A fresh execution id, without a round trip. It is never used again in this database.
    fn execution_id(&self) -> ExecutionId;

    /// Now, in ms since the Unix epoch, on the store's clock (PROTOCOL 20). Never goes back within a process.
    fn now_ms(&self) -> i64;

    /// The journal, oldest first. Its events are numbered from 1 without a gap, or it is `Damaged` (AB0209).
    fn journal(&self, execution: ExecutionId) -> StoreFuture<'_, Vec<StoredTurn>>;

    /// Row, journal, failed attempts, inbox and heartbeats of one run, read at one moment (PROTOCOL 34). `None`: there
    /// is no such run.
    fn load(&self, execution: ExecutionId) -> StoreFuture<'_, Option<StoredRun>>;
}

/// Checks that the rows of a journal, oldest first, have no gap.
///
/// # Errors
/// Names the missing event.
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
    /// No release writes such events.
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

/// Decodes one event: the closing one, which the row of a closed execution keeps.
pub(crate) fn read_event(body: &str) -> Result<Event, Unreadable> {
    read(body, format_args!("its result"))
}

fn read<T: DeserializeOwned>(body: &str, what: std::fmt::Arguments<'_>) -> Result<T, Unreadable> {
    serde_json::from_str(body).map_err(|error| {
        let text = error.to_string();
        // Only names that the engine writes are checked. Payloads are raw JSON and are not parsed.
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
