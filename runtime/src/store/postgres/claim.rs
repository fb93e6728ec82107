//! Claims: unowned work of some queues and types becomes a worker's (PROTOCOL 16, 19, 21).
//!
//! Claimable is what is open, unowned, and due or written to; what is suspended for a reason that another
//! build may not have, or keeps a signal that another may handle, is claimable once by each build, of types
//! that it has: a claim of any type does not use up a build's try. Suspects, which have crashed their owners, are left
//! out unless asked for, and then come one at a time. A row that another claims at this moment is passed over
//! (`SKIP LOCKED`), so claims never wait for each other.

use super::held::holds_lease;
use super::rows::signed;
use super::shared::Shared;
use super::sweep::unpark;
use crate::store::Trouble;
use crate::store::message::known_kinds;
use crate::store::owner::SUSPECT_FROM;
use crate::store::row::{all, execution, execution_columns};
use crate::store::{Claim, Claimed, ExecutionRow, StoreError};
use sqlx::PgConnection;

/// Whether a claimant that names its types, or none (`$3`), may have an execution of this type.
macro_rules! is_wanted {
    ($type:literal) => {
        concat!(
            "CASE WHEN $3::text[] IS NULL
            THEN NOT EXISTS (SELECT FROM {s}.worker w WHERE w.queue = $2 AND ",
            $type,
            " = ANY(w.types)) ELSE ",
            $type,
            " = ANY($3) END"
        )
    };
}

/// Whether others have failed with it, and this build has neither failed nor taken it up since.
macro_rules! is_offered {
    ($e:literal, $build:literal) => {
        concat!(
            $e,
            ".tried_builds IS NOT NULL AND NOT (",
            $build,
            " = ANY(",
            $e,
            ".tried_builds || ",
            $e,
            ".trying_builds))"
        )
    };
}

/// Takes what is `chosen`, by a lease that is there. Asked for last, so that a claim that finds nothing
/// writes nothing: a lock on a row is a write. It is tried only, since rows are locked by then (PROTOCOL 95).
/// Sets `active`, since the claimant has a turn running until its first append says otherwise.
/// What a build tries for the first time runs (again) and is due, so that a crash right now does not lose it.
macro_rules! taken {
    () => {
        concat!(
            "fence AS MATERIALIZED (
    SELECT worker FROM {s}.lease WHERE worker = $1 AND slot = 0 AND EXISTS (SELECT FROM chosen)
    FOR KEY SHARE SKIP LOCKED),
taken AS (
    UPDATE {s}.execution e SET owner = $1, rev = e.rev + 1, active = true, status = 0, suspension = NULL,
        wake_at = CASE WHEN e.status = 1 OR ",
            is_offered!("e", "$5"),
            " THEN $4 ELSE e.wake_at END,
        trying_builds = CASE WHEN ",
            is_offered!("e", "$5"),
            " THEN e.trying_builds || $5 ELSE e.trying_builds END
    FROM chosen, fence WHERE e.id = chosen.id AND e.owner IS NULL
    RETURNING e.*)
SELECT ",
            execution_columns!("{s}."),
            " FROM taken e ORDER BY e.wake_at, e.id"
        )
    };
}

/// `$1` worker, `$2` queue, `$3` types or NULL, `$4` now, `$5` build, `$6` limit, `$7` the crash count of a
/// suspect, `$8` of the crash_limit. Each arm reads an index in its order and stops at the limit. The inbox
/// without what is parked is the short side of its join, and the lateral join says so to the planner.
pub(super) const CLAIM: &str = concat!(
    "WITH due AS MATERIALIZED (
    SELECT id, wake_at AS due FROM {s}.execution
    WHERE owner IS NULL AND status = 0 AND queue = $2 AND wake_at <= $4 AND (crashes < $7 OR crashes >= $8) AND ",
    is_wanted!("type"),
    "
    ORDER BY wake_at LIMIT $6 FOR NO KEY UPDATE SKIP LOCKED),
written AS MATERIALIZED (
    SELECT e.id, i.at AS due FROM {s}.inbox i CROSS JOIN LATERAL (
        SELECT e.id FROM {s}.execution e
        WHERE e.id = i.execution AND i.kind ",
    known_kinds!(),
    " AND NOT i.parked AND e.owner IS NULL AND e.status = 0 AND e.queue = $2
            AND (e.crashes < $7 OR e.crashes >= $8) AND ",
    is_wanted!("e.type"),
    "
        FOR NO KEY UPDATE SKIP LOCKED) e
    LIMIT $6),
offered AS MATERIALIZED (
    SELECT id, created_at AS due FROM {s}.execution e
    WHERE owner IS NULL AND status = 0 AND queue = $2 AND type = ANY($3) AND (crashes < $7 OR crashes >= $8) AND ",
    is_offered!("e", "$5"),
    "
    LIMIT $6 FOR NO KEY UPDATE SKIP LOCKED),
chosen AS MATERIALIZED (
    SELECT id FROM (SELECT * FROM due UNION ALL SELECT * FROM written UNION ALL SELECT * FROM offered) a
    GROUP BY id ORDER BY min(due), id LIMIT $6),
",
    taken!()
);

/// One suspect, with `$8` crashes at most, the least suspicious first: an innocent one makes progress and is
/// none any more. The index of suspects says `crashes >= 2` (`SUSPECT_FROM`) in so many words.
pub(super) const CLAIM_SUSPECT: &str = concat!(
    "WITH chosen AS MATERIALIZED (
    SELECT id FROM {s}.execution e
    WHERE owner IS NULL AND status = 0 AND crashes >= 2 AND crashes >= $7 AND crashes <= $8 AND queue = $2
        AND (wake_at <= $4 OR EXISTS (SELECT FROM {s}.inbox i WHERE i.execution = e.id AND NOT i.parked AND i.kind ",
    known_kinds!(),
    ")) AND ",
    is_wanted!("type"),
    "
    ORDER BY crashes, wake_at, id LIMIT least($6, 1) FOR NO KEY UPDATE SKIP LOCKED),
",
    taken!()
);

/// One suspended execution or more that are offered to this build. `FOR UPDATE`: a sender that has seen it
/// suspended has committed its message by then (PROTOCOL 97), or the row is passed over. A suspended one is
/// no suspect: no worker has died of what it was suspended for.
pub(super) const CLAIM_OFFERED: &str = concat!(
    "WITH chosen AS MATERIALIZED (
    SELECT id FROM {s}.execution e
    WHERE owner IS NULL AND status = 1 AND queue = $2 AND type = ANY($3) AND ",
    is_offered!("e", "$5"),
    "
    ORDER BY created_at, id LIMIT $6 FOR UPDATE SKIP LOCKED),
",
    taken!()
);

/// When the next one is due, and whether something suspended is offered to the build `$4`.
pub(super) const NEXT_DUE: &str = concat!(
    "SELECT (SELECT wake_at FROM {s}.execution
    WHERE owner IS NULL AND status = 0 AND wake_at IS NOT NULL AND queue = $1 AND crashes < $3
        AND ($2::text[] IS NULL OR type = ANY($2))
    ORDER BY wake_at LIMIT 1),
    EXISTS (SELECT FROM {s}.execution e
    WHERE owner IS NULL AND status = 1 AND queue = $1 AND type = ANY($2) AND ",
    is_offered!("e", "$4"),
    ")"
);

/// Takes what can be taken now.
pub(super) async fn claim(
    connection: &mut PgConnection,
    shared: &Shared,
    claim: &Claim,
    now: i64,
) -> Result<Claimed, Trouble> {
    let mut rows = Vec::new();
    for queue in &claim.queues {
        let room = claim.limit.saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX));
        rows.extend(
            some(connection, shared, claim, queue, CLAIM, room, claim.suspicion.crash_limit, now).await?,
        );
    }
    if let Some(most) = claim.suspicion.suspect {
        let most = most.min(claim.suspicion.crash_limit.saturating_sub(1));
        for queue in &claim.queues {
            let room = claim.limit.saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX)).min(1);
            let suspect = some(connection, shared, claim, queue, CLAIM_SUSPECT, room, most, now).await?;
            if !suspect.is_empty() {
                rows.extend(suspect);
                break;
            }
        }
    }
    let (mut next_due_ms, mut offered): (Option<i64>, bool) = (None, false);
    for queue in &claim.queues {
        let next = sqlx::query_as::<_, (Option<i64>, bool)>(shared.sql.of(NEXT_DUE)).bind(queue);
        let next = next.bind(&claim.types).bind(signed(SUSPECT_FROM)).bind(&claim.build);
        match next.fetch_one(&mut *connection).await {
            Ok((next, offers)) => {
                next_due_ms = next_due_ms.into_iter().chain(next).min();
                offered |= offers;
            }
            // These rows are claimed already: return them despite the error.
            Err(_) if !rows.is_empty() => break,
            Err(error) => return Err(error.into()),
        }
    }
    if rows.is_empty() && !holds_lease(connection, shared, claim.owner.0).await? {
        return Err(Trouble::Refused(StoreError::Fenced));
    }
    Ok(Claimed { rows, next_due_ms, offered })
}

/// Takes suspended executions that are offered to the build, and gives their parked messages back.
pub(super) async fn claim_offered(
    connection: &mut PgConnection,
    shared: &Shared,
    claim: &Claim,
    now: i64,
) -> Result<Vec<ExecutionRow>, Trouble> {
    let mut rows: Vec<ExecutionRow> = Vec::new();
    for queue in &claim.queues {
        let query = sqlx::query(shared.sql.of(CLAIM_OFFERED))
            .bind(claim.owner.0)
            .bind(queue)
            .bind(&claim.types)
            .bind(now)
            .bind(&claim.build)
            .bind(i64::from(claim.limit));
        rows.extend(all(&query.fetch_all(&mut *connection).await?, execution)?);
    }
    if !rows.is_empty() {
        let ids: Vec<i64> = rows.iter().map(|row| row.id.0).collect();
        unpark(connection, shared, &ids).await?;
    }
    Ok(rows)
}

#[allow(clippy::too_many_arguments)] // the statement's own
async fn some(
    connection: &mut PgConnection,
    shared: &Shared,
    claim: &Claim,
    queue: &str,
    statement: &'static str,
    room: u32,
    crashes: u32,
    now: i64,
) -> Result<Vec<ExecutionRow>, Trouble> {
    if room == 0 {
        return Ok(Vec::new());
    }
    let query = sqlx::query(shared.sql.of(statement))
        .bind(claim.owner.0)
        .bind(queue)
        .bind(&claim.types)
        .bind(now)
        .bind(&claim.build)
        .bind(i64::from(room))
        .bind(signed(SUSPECT_FROM))
        .bind(signed(crashes));
    let rows = query.fetch_all(connection).await?;
    Ok(all(&rows, execution)?)
}
