//! Writes the heartbeats of this worker's attempts: one fenced statement a second for all that are due (PROTOCOL 74).
//!
//! Its answer says which attempts should stop. While nothing beats, this loop sleeps.

use super::session::Session;
use crate::activity::heartbeat::{Beats, Kept, Told};
use crate::store::{Beat, Beaten, StoreError, TaskKey};
use abide_core::{ActivityOptions, Database, Payload};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// The least time between two statements.
const EVERY: Duration = Duration::from_secs(1);

/// The most heartbeats of a statement, and the most bytes of their details. Others wait for the next one.
const AT_ONCE: usize = 10_000;
const BYTES_AT_ONCE: usize = 8 * 1024 * 1024;

/// The heartbeats of an attempt of a run that this worker owns.
pub(super) fn of_start(
    session: &Session,
    options: &ActivityOptions,
    before: Option<Payload>,
    database: Option<Database>,
) -> Arc<Beats> {
    // On SQLite, the transaction of a body holds the database's lock.
    let is_kept = options.runs().has_row() && database != Some(Database::Sqlite);
    Beats::new(options.heartbeat_timeout, before, is_kept.then(|| kept(session)))
}

/// The heartbeats of a claimed task. `before`: JSON.
pub(super) fn of_task(session: &Session, limit_ms: Option<u64>, before: Option<String>) -> Arc<Beats> {
    let before = before.and_then(|details| Payload::from_json(details).ok());
    Beats::new(limit_ms.map(Duration::from_millis), before, Some(kept(session)))
}

fn kept(session: &Session) -> Kept {
    let store = Arc::clone(session.store());
    Kept { now_ms: Box::new(move || store.now_ms()), writer: Arc::clone(&session.attempts.beats_hint) }
}

/// Writes heartbeats as they become due.
pub(super) async fn beats_loop(session: Arc<Session>) {
    while !session.is_over() {
        let (due, next) = session.attempts.due_beats(Instant::now());
        if due.is_empty() {
            tokio::select! {
                biased;
                () = session.attempts.beats_hint.notified() => {}
                () = until(next) => {}
            }
            continue;
        }
        let began = Instant::now();
        if let Err(error) = write(&session, due).await {
            session.failed(&error);
        }
        sleep_until(began + EVERY).await;
    }
}

async fn until(next: Option<Instant>) {
    match next {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn write(session: &Session, mut due: Vec<(TaskKey, Told)>) -> Result<(), StoreError> {
    let mut bytes = 0;
    let fitting = due.iter().take(AT_ONCE).take_while(|(_, told)| {
        let is_first = bytes == 0;
        bytes += told.details.as_json().len();
        is_first || bytes <= BYTES_AT_ONCE
    });
    due.truncate(fitting.count());
    let beats = due.iter().map(|(key, told)| Beat {
        key: *key,
        details: told.details.as_json().to_owned(),
        at_ms: told.at_ms,
    });
    let answers = session.store().beat(session.me, beats.collect()).await?;
    let now = Instant::now();
    for ((key, told), answer) in due.iter().zip(answers) {
        match answer {
            Beaten::Kept { cancel } => session.attempts.beat_written(key, told, cancel, now),
            // Another session has its row: it is written with the next statement.
            Beaten::Locked => {}
            Beaten::Gone => session.attempts.beat_gone(key, told, now),
        }
    }
    Ok(())
}
