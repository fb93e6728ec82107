//! Claims: a worker becomes the owner of unowned executions of some queues and types (PROTOCOL 16, 19, 21).
//!
//! An execution is claimable if it is open and unowned, and is due or has a message. One that is suspended
//! for a reason that another build may not have, or that keeps a signal that another build may handle, is
//! claimable once by each build that has its type; a claim of any type does not use up a build's try.
//! Suspects (executions that have crashed their owners) are left out unless asked for, and are then claimed
//! one at a time.

use super::sweep::unpark;
use crate::store::Trouble;
use crate::store::message::known_kinds;
use crate::store::owner::SUSPECT_FROM;
use crate::store::row::{all, execution, execution_columns};
use crate::store::{Claim, Claimed, ExecutionRow, StoreError};
use abide_core::Incarnation;
use sqlx::SqliteConnection;

/// Whether a claimant that names its types, or none (`$2`), may have an execution of this table.
macro_rules! is_wanted {
    ($table:literal) => {
        concat!(
            $table,
            ".queue IN (SELECT value FROM json_each($1)) AND CASE WHEN $2 IS NULL
            THEN NOT EXISTS (SELECT 1 FROM worker w, json_each(w.types) t WHERE w.queue = ",
            $table,
            ".queue AND t.value = ",
            $table,
            ".type) ELSE ",
            $table,
            ".type IN (SELECT value FROM json_each($2)) END"
        )
    };
}

/// Whether other builds have failed with it, and build `$4` has neither failed nor claimed it since.
macro_rules! is_offered {
    () => {
        "tried_builds IS NOT NULL AND NOT EXISTS (SELECT 1 FROM json_each(tried_builds) WHERE value = $4)
      AND NOT EXISTS (SELECT 1 FROM json_each(trying_builds) WHERE value = $4)"
    };
}

/// `$1` queues, `$2` types or NULL, `$3` now, `$4` build, `$5` limit, `$6` the crash count of a suspect, `$7` of the
/// crash_limit.
/// Oldest due first. A row that two arms name is claimed once.
pub(super) const CLAIMABLE: &str = concat!(
    "
SELECT id FROM (
    SELECT id, wake_at AS due FROM execution
    WHERE owner IS NULL AND status = 0 AND wake_at <= $3 AND (crashes < $6 OR crashes >= $7) AND ",
    is_wanted!("execution"),
    "
    UNION ALL
    SELECT e.id, i.at FROM inbox i INDEXED BY inbox_unparked CROSS JOIN execution e ON e.id = i.execution
    WHERE NOT i.parked AND i.kind ",
    known_kinds!(),
    " AND e.owner IS NULL AND e.status = 0 AND (e.crashes < $6 OR e.crashes >= $7) AND ",
    is_wanted!("e"),
    "
    UNION ALL
    SELECT id, created_at FROM execution
    WHERE status < 2 AND status = 0 AND owner IS NULL AND (crashes < $6 OR crashes >= $7) AND ",
    is_offered!(),
    "
      AND queue IN (SELECT value FROM json_each($1)) AND type IN (SELECT value FROM json_each($2))
) GROUP BY id ORDER BY min(due), id LIMIT $5"
);

/// One suspect, with `$7` crashes at most, the one with the fewest first: if it is harmless, it makes
/// progress and is no suspect any more. The partial index repeats the condition literally: `crashes >= 2`
/// (`SUSPECT_FROM`).
pub(super) const SUSPECT: &str = concat!(
    "
SELECT id FROM execution
WHERE owner IS NULL AND status = 0 AND crashes >= 2 AND crashes >= $6 AND crashes <= $7
  AND (wake_at <= $3 OR EXISTS (SELECT 1 FROM inbox WHERE inbox.execution = execution.id AND NOT parked AND kind ",
    known_kinds!(),
    ")) AND ",
    is_wanted!("execution"),
    "
ORDER BY crashes, wake_at, id LIMIT 1"
);

/// Sets `active`, since the claimant has a turn running until its first append says otherwise. A suspended
/// execution that a build tries for the first time becomes running and due, so that a crash at this moment
/// does not lose it.
const TAKE: &str = concat!(
    "
UPDATE execution SET owner = $2, rev = rev + 1, active = 1,
    (wake_at, trying_builds) = (
        SELECT CASE WHEN status = 1 OR first THEN $3 ELSE wake_at END,
            CASE WHEN first THEN json_insert(coalesce(trying_builds, '[]'), '$[#]', $4) ELSE trying_builds END
        FROM (SELECT ",
    is_offered!(),
    " AS first)),
    suspension = NULL,
    status = 0
WHERE id IN (SELECT value FROM json_each($1)) AND owner IS NULL"
);

const TAKEN: &str = concat!(
    "SELECT ",
    execution_columns!(""),
    " FROM execution e WHERE e.id IN (SELECT value FROM json_each($1)) ORDER BY e.wake_at, e.id"
);

/// Suspended executions that are offered to the build. `status < 2` is the index's own condition, in its own words.
/// A suspended one is no suspect: no worker has died of what it was suspended for.
pub(super) const OFFERED: &str = concat!(
    "
SELECT id FROM execution
WHERE status < 2 AND status = 1 AND owner IS NULL AND ",
    is_offered!(),
    "
  AND queue IN (SELECT value FROM json_each($1)) AND type IN (SELECT value FROM json_each($2))
ORDER BY created_at, id LIMIT $3"
);

/// When the next one is due, and whether something suspended is offered to the build `$4`.
pub(super) const NEXT_DUE: &str = concat!(
    "
SELECT (SELECT min(wake_at) FROM execution
WHERE owner IS NULL AND status = 0 AND wake_at IS NOT NULL AND crashes < $3
  AND queue IN (SELECT value FROM json_each($1)) AND ($2 IS NULL OR type IN (SELECT value FROM json_each($2)))),
EXISTS (SELECT 1 FROM execution WHERE status < 2 AND status = 1 AND owner IS NULL AND ",
    is_offered!(),
    "
  AND queue IN (SELECT value FROM json_each($1)) AND type IN (SELECT value FROM json_each($2)))"
);

/// Claims what is claimable now.
pub(super) async fn claim(
    connection: &mut SqliteConnection,
    claim: Claim,
    now: i64,
) -> Result<Claimed, Trouble> {
    fence(connection, claim.owner).await?;
    let queues = json(&claim.queues);
    let types = claim.types.as_deref().map(json);
    let mut ids = candidates(connection, &claim, CLAIMABLE, now, claim.suspicion.crash_limit).await?;
    if let Some(most) = claim.suspicion.suspect
        && (ids.len() as u32) < claim.limit
    {
        let most = most.min(claim.suspicion.crash_limit.saturating_sub(1));
        ids.extend(candidates(connection, &claim, SUSPECT, now, most).await?);
    }
    let mut rows = Vec::new();
    if !ids.is_empty() {
        rows = take(connection, &claim, &json(&ids), now).await?;
    }
    let next = sqlx::query_as::<_, (Option<i64>, bool)>(NEXT_DUE).bind(queues).bind(types);
    let next = next.bind(SUSPECT_FROM).bind(&claim.build).fetch_one(connection);
    let (next_due_ms, offered) = next.await?;
    Ok(Claimed { rows, next_due_ms, offered })
}

/// Takes these, a JSON array.
async fn take(
    connection: &mut SqliteConnection,
    claim: &Claim,
    ids: &str,
    now: i64,
) -> sqlx::Result<Vec<ExecutionRow>> {
    let take = sqlx::query(TAKE).bind(ids).bind(claim.owner.0).bind(now).bind(&claim.build);
    take.execute(&mut *connection).await?;
    all(&sqlx::query(TAKEN).bind(ids).fetch_all(&mut *connection).await?, execution)
}

/// Takes suspended executions that are offered to the build, and gives their parked messages back.
pub(super) async fn claim_offered(
    connection: &mut SqliteConnection,
    claim: Claim,
    now: i64,
) -> Result<Vec<ExecutionRow>, Trouble> {
    fence(connection, claim.owner).await?;
    let offered =
        sqlx::query_scalar(OFFERED).bind(json(&claim.queues)).bind(claim.types.as_deref().map(json));
    let offered = offered.bind(claim.limit).bind(&claim.build);
    let ids: Vec<i64> = offered.fetch_all(&mut *connection).await?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let ids = json(&ids);
    let rows = take(connection, &claim, &ids, now).await?;
    unpark(connection, &ids).await?;
    Ok(rows)
}

/// Refuses a claimant without a lease.
pub(super) async fn fence(connection: &mut SqliteConnection, owner: Incarnation) -> Result<(), Trouble> {
    let fence = sqlx::query("SELECT 1 FROM lease WHERE worker = ? AND slot = 0").bind(owner.0);
    match fence.fetch_optional(connection).await? {
        Some(_) => Ok(()),
        None => Err(Trouble::Refused(StoreError::Fenced)),
    }
}

async fn candidates(
    connection: &mut SqliteConnection,
    claim: &Claim,
    query: &'static str,
    now: i64,
    crashes: u32,
) -> sqlx::Result<Vec<i64>> {
    let query = sqlx::query_scalar(query)
        .bind(json(&claim.queues))
        .bind(claim.types.as_deref().map(json))
        .bind(now)
        .bind(&claim.build);
    query.bind(claim.limit).bind(SUSPECT_FROM).bind(crashes).fetch_all(connection).await
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("lists of text and numbers are JSON")
}
