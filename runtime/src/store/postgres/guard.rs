//! Takes the locks of a batch before it begins (see [`Locks`]): one text with all of them is one round trip.

use super::keys::start_key;
use super::shared::Shared;
use crate::store::Address;
use crate::store::Append;
use crate::store::decide::{self, Guarded, Receivers};
use crate::store::message::input_kinds;
use abide_core::{EventId, ExecutionId};
use sqlx::postgres::PgRow;
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
) -> Result<Guarded, sqlx::Error> {
    let text = text(shared, locks, if begin { "BEGIN;" } else { "" });
    let rows = connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(text))).await?;
    let Guarded { mut out, mut receivers } = locks.tried();
    out.locked.extend(locks.closes());
    // Apart: a close whose row is locked may want a name that is held.
    let mut held = Vec::new();
    for row in rows {
        let (id, second): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
        match row.try_get::<i32, _>(0)? {
            0 if second == 0 => held.push(id),
            1 => drop(out.locked.remove(&ExecutionId(id))),
            2 => locks.meets(ExecutionId(id), second, &mut out),
            look @ (3 | 4) => found(&mut receivers, look, &row)?,
            _ => {}
        }
    }
    held.iter().for_each(|id| locks.id_is_held(id, &mut out));
    Ok(Guarded { out, receivers })
}

/// Who is found under these addresses, in a transaction that has begun. Those that are open cannot close before it
/// ends.
pub(super) async fn look<'a>(
    addresses: impl Iterator<Item = &'a Address>,
    connection: &mut PgConnection,
    shared: &Shared,
) -> Result<Receivers, sqlx::Error> {
    let (text, mut receivers) = (looks(shared.sql.schema(), addresses), Receivers::default());
    if text.is_empty() {
        return Ok(receivers);
    }
    for row in connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(text))).await? {
        found(&mut receivers, row.try_get(0)?, &row)?;
    }
    Ok(receivers)
}

/// Takes in a row of [`looks`].
fn found(receivers: &mut Receivers, look: i32, row: &PgRow) -> Result<(), sqlx::Error> {
    let address = match row.try_get::<Option<String>, _>(3)? {
        Some(name) => Address::Name(name),
        None => {
            let (parent, no): (i64, i64) = (row.try_get(4)?, row.try_get(5)?);
            Address::Child { parent: ExecutionId(parent), no: EventId(no.unsigned_abs()) }
        }
    };
    match look {
        3 => receivers.locked(address, ExecutionId(row.try_get(1)?)),
        4 => receivers.open(address),
        _ => {}
    }
    Ok(())
}

/// Two looks for the open runs at some addresses (PROTOCOL 35). The first locks what no other session has locked: such
/// a run cannot close before the commit. The second has a younger snapshot and no lock: a run that only it shows may
/// be closing, or be the successor of one that was closing during the first.
fn looks<'a>(schema: &str, addresses: impl Iterator<Item = &'a Address>) -> String {
    let (mut names, mut children) = (Vec::new(), Vec::new());
    for address in addresses {
        match address {
            Address::Name(name) => {
                // As hex, so that nothing in a name needs quoting.
                let hex: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
                names.push(format!("convert_from(decode('{hex}','hex'),'UTF8')"));
            }
            Address::Child { parent, no } => children.push(format!("({parent},{no})")),
        }
    }
    let names = (!names.is_empty())
        .then(|| (format!("workflow_id IN ({})", names.join(",")), "workflow_id, 0::bigint, 0::bigint"));
    let children = (!children.is_empty())
        .then(|| (format!("(parent, child_no) IN ({})", children.join(",")), "NULL::text, parent, child_no"));
    let mut text = String::new();
    for (look, lock) in [(3, " ORDER BY id FOR KEY SHARE SKIP LOCKED"), (4, "")] {
        if look == 4 && mutant!(OneLookAtNames) {
            continue;
        }
        for (condition, columns) in names.iter().chain(&children) {
            text.push_str(&format!(
                "SELECT {look}, id, 0::bigint, {columns} FROM \"{schema}\".execution WHERE {condition} AND \
                 status < 10{lock};"
            ));
        }
    }
    text
}

/// Numbers and hex only: nothing in it needs quoting.
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
    text.push_str(&looks(schema, locks.receivers()));
    text
}
