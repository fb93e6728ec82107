//! Attempts that the holder of a token ends, not a worker (PROTOCOL 77). The statements of `postgres/handed.rs`.

use super::locks::{Key, Mode};
use super::session::Failure;
use super::statement::{Looked, Statement};
use super::store::MemoryStore;
use super::task::delete;
use super::write::{TaskRow, Write};
use crate::store::decide::{Concerned, Notify, attempt_request_id};
use crate::store::handed::{HandOut, Handed, TokenBeat, with_details};
use crate::store::{MessageKind, StoreError, StoreFuture, TaskKey};
use abide_core::Incarnation;

/// The row that a token names, if it is valid.
fn token<'a>(st: &Statement<'a>, key: TaskKey) -> Option<&'a TaskRow> {
    let row = st.tables.tasks.get(&(key.execution, key.activity));
    row.filter(|row| row.key() == key && (row.owner.is_some() || row.handed))
}

/// Leaves the end to the token's holder. `None`: fenced.
pub(super) fn hand_out(
    st: &mut Statement<'_>,
    owner: Incarnation,
    HandOut { key, end_in_ms, beat_in_ms, details }: &HandOut,
) -> Looked<Option<bool>> {
    if !st.fence(owner)? {
        return Ok(None);
    }
    let Some(row) = token(st, *key).filter(|row| row.owner == Some(owner)) else { return Ok(Some(false)) };
    st.lock(Key::Task(key.execution, key.activity), Mode::NoKeyUpdate)?;
    let (mut row, now) = (row.clone(), st.now_ms);
    (row.owner, row.handed, row.task.start_by_ms) = (None, true, None);
    row.end_by_ms = end_in_ms.map(|ms| now.saturating_add(ms));
    row.beat_by_ms = beat_in_ms.map(|ms| now.saturating_add(ms));
    row.beat_at_ms = beat_in_ms.map_or(row.beat_at_ms, |_| Some(now));
    row.task.details = details.clone().or(row.task.details);
    st.write(Write::Task(Box::new(row)));
    Ok(Some(true))
}

/// Ends an attempt: whom that concerns, or `None` where it was decided otherwise.
pub(super) fn end(st: &mut Statement<'_>, key: TaskKey, body: &str) -> Looked<Option<Concerned>> {
    let Some(receiver) = st.receiver(key.execution)? else { return Ok(None) };
    let Some(row) = token(st, key) else { return Ok(None) };
    delete(st, row)?;
    let (id, now) = (attempt_request_id(key.activity, key.attempt), st.now_ms);
    st.put(
        key.execution,
        MessageKind::Attempt,
        &id,
        with_details(body.to_owned(), row.task.details.as_deref()),
        now,
    )?;
    let mut concerned = Concerned::default();
    concerned.add(receiver.row.owner, Some(receiver.row.queue.clone()));
    concerned.add(row.owner, None);
    concerned.add(None, row.frees());
    Ok(Some(concerned))
}

fn beat(st: &mut Statement<'_>, key: TaskKey, details: &str) -> Looked<TokenBeat> {
    let Some(row) = token(st, key) else { return Ok(TokenBeat::Void) };
    st.lock(Key::Task(key.execution, key.activity), Mode::NoKeyUpdate)?;
    let (mut row, now) = (row.clone(), st.now_ms);
    row.beat_by_ms = row.beat_by_ms.zip(row.beat_at_ms).map(|(by, at)| now.saturating_add(by - at));
    (row.beat_at_ms, row.task.details) = (Some(now), Some(details.to_owned()));
    let cancelled = row.cancel;
    st.write(Write::Task(Box::new(row)));
    Ok(if cancelled { TokenBeat::Cancelled } else { TokenBeat::Kept })
}

impl Handed for MemoryStore {
    fn hand_out(&self, owner: Incarnation, out: HandOut) -> StoreFuture<'_, bool> {
        Box::pin(self.once("hand_out", move |session| {
            Box::pin(async move {
                let handed = session.run(|st| hand_out(st, owner, &out)).await?;
                handed.ok_or(Failure::Refused(StoreError::Fenced))
            })
        }))
    }

    fn end_by_token(&self, key: TaskKey, body: String) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let ended = self.once("end_by_token", move |session| {
                Box::pin(async move { session.run(|st| end(st, key, &body)).await })
            });
            let ended = ended.await?;
            ended.iter().for_each(|concerned| self.shared.notify_concerned(concerned));
            Ok(ended.is_some())
        })
    }

    fn beat_by_token(&self, key: TaskKey, details: String) -> StoreFuture<'_, TokenBeat> {
        Box::pin(self.once("beat_by_token", move |session| {
            Box::pin(async move { session.run(|st| beat(st, key, &details)).await })
        }))
    }
}
