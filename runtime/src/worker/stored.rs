//! What a load brings: the row, the journal and the inbox of one run, decoded.

use crate::store::{AttemptRow, BeatRow, ExecutionRow, InboxRow, StoredTurn, Unreadable};
use abide_core::exec::{FailedAttempt, Suspension};
use abide_core::{Code, EventId, ExecutionId, JournalRow, Payload};

/// A decoded journal, with the failed attempts that are kept beside it.
pub(super) struct Journal {
    pub(super) rows: Vec<JournalRow>,
    pub(super) bytes: usize,
    /// The last failed attempts of open activities.
    pub(super) attempts: Vec<FailedAttempt>,
    /// What the last heartbeats of open activities told.
    pub(super) told: Vec<(EventId, Payload)>,
}

/// The answer to a thread's load of one run.
pub(super) struct Loaded {
    pub(super) execution: ExecutionId,
    /// The number of the load. The thread drops the answer to a load that it no longer waits for.
    pub(super) load: u64,
    /// `None`: there is no such run.
    pub(super) found: Option<Found>,
}

/// What a thread needs to make a run live, all read at one moment.
pub(super) struct Found {
    pub(super) row: ExecutionRow,
    pub(super) journal: Result<Journal, Suspension>,
    /// The rows that are inputs.
    pub(super) inbox: Vec<InboxRow>,
}

/// Decodes a journal's rows, and those of failed attempts and of heartbeats.
pub(super) fn decode(
    turns: Vec<StoredTurn>,
    attempts: &[AttemptRow],
    beats: Vec<BeatRow>,
) -> Result<Journal, Suspension> {
    let bytes = turns.iter().map(|turn| turn.body.len()).sum();
    let rows = turns.iter().map(|turn| {
        turn.read().map_err(|unreadable| match unreadable {
            Unreadable::Newer(message) => Suspension::new(
                Code::OtherRelease,
                format!("a newer release of abide wrote its history: {message}"),
            ),
            Unreadable::Damaged(message) => {
                Suspension::new(Code::Damaged, format!("its journal is damaged: {message}"))
            }
        })
    });
    let rows = rows.collect::<Result<_, _>>()?;
    let attempts = attempts.iter().map(AttemptRow::decode).collect::<Result<_, _>>();
    let told = |BeatRow { activity, details, .. }| Some((activity, Payload::from_json(details).ok()?));
    Ok(Journal {
        rows,
        bytes,
        told: beats.into_iter().filter_map(told).collect(),
        attempts: attempts.map_err(|message| Suspension::new(Code::Damaged, message))?,
    })
}
