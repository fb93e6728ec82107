//! Takes the locks of a batch before it begins (see [`Locks`]): one text with all of them is one round trip.

use super::keys::start_key;
use super::shared::Shared;
use crate::store::Append;
use crate::store::decide;
use crate::store::group::Committed;
use crate::store::message::input_kinds;
use abide_core::ExecutionId;
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};
use std::fmt::Write;

pub(super) type Locks = decide::Locks<i64>;

/// What a batch of these has to lock. `None`: nothing, and the batch is one statement.
pub(super) fn locks<'a>(shared: &Shared, appends: impl Iterator<Item = &'a Append>) -> Option<Locks> {
    Locks::of(appends, |name| start_key(shared.sql.schema(), name))
}

/// Takes the locks; the result says what the batch leaves out. `begin`: begins the transaction, too.
pub(super) async fn take(
    locks: &Locks,
    begin: bool,
    connection: &mut PgConnection,
    shared: &Shared,
) -> Result<Committed, sqlx::Error> {
    let text = text(shared, locks, if begin { "BEGIN;" } else { "" });
    let rows = connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(text))).await?;
    let mut out = locks.tried();
    out.locked.extend(locks.closes());
    for row in rows {
        let (id, second): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
        match row.try_get::<i32, _>(0)? {
            0 if second == 0 => locks.id_is_held(&id, &mut out),
            1 => drop(out.locked.remove(&ExecutionId(id))),
            2 => locks.meets(ExecutionId(id), second, &mut out),
            _ => {}
        }
    }
    Ok(out)
}

/// Numbers only: nothing in it needs quoting.
fn text(shared: &Shared, locks: &Locks, begin: &str) -> String {
    let schema = shared.sql.schema();
    let mut text = begin.to_owned();
    let mut put =
        |part: std::fmt::Arguments<'_>| text.write_fmt(part).expect("writing to a String does not fail");
    for key in locks.ids() {
        put(format_args!("SELECT 0, ({key})::bigint, pg_try_advisory_xact_lock({key})::integer::bigint;"));
    }
    let list: Vec<String> = locks.closes().map(|id| id.to_string()).collect();
    if !list.is_empty() {
        let list = list.join(",");
        let inputs = input_kinds!();
        let lock = if mutant!(CloseWithoutLock) { "FOR KEY SHARE" } else { "FOR UPDATE" };
        put(format_args!(
            "SELECT 1, id, 0::bigint FROM \"{schema}\".execution WHERE id IN ({list}) ORDER BY id {lock} SKIP LOCKED;\
             SELECT 2, execution, id FROM \"{schema}\".inbox WHERE execution IN ({list}) AND kind {inputs};"
        ));
    }
    text
}
