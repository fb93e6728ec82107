//! Brings a schema up to this build's version, and refuses those that are not ours or that are newer.
//!
//! Each migration is one transaction that also notes itself, under a lock: of many processes that start at
//! once one migrates, while the others wait and find it done. A schema that is up to date is only read, so
//! that a role without the right to make tables can run everything once a DBA has applied the text of
//! [`pending`].

use super::failure::{kind, store_error};
use super::keys::lock_key;
use super::schema::{MIGRATION_TABLE, MIGRATIONS, version};
use super::sql::Sql;
use crate::store::StoreError;
use crate::store::failure::Kind;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};
use std::sync::Arc;
use std::time::Duration;

/// The SQLSTATE `object_in_use`, by which a migration refuses.
const IN_USE: &str = "55006";

const MAKE_SCHEMA: &str = "CREATE SCHEMA IF NOT EXISTS {s}";

/// Checks, and migrates if `apply`.
pub(super) async fn migrate(
    name: &str,
    sql: &Sql,
    connection: &mut PgConnection,
    apply: bool,
) -> Result<(), StoreError> {
    let failed = |error| store_error(name, error, Duration::ZERO);
    let at = checked(name, found(sql, connection).await.map_err(failed)?)?;
    if at == version() {
        return Ok(());
    }
    if !apply {
        return Err(StoreError::Behind { path: name.to_owned(), found: at, known: version() });
    }
    let mut renewed = None;
    loop {
        match step(name, sql, connection).await {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) if is_in_use(&error) => {
                // A lease that is renewed belongs to a worker that lives.
                let last = last_renewal(sql, connection).await.map_err(failed)?;
                if last > *renewed.get_or_insert(last) {
                    return Err(error);
                }
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether a migration found workers of an older abide.
fn is_in_use(error: &StoreError) -> bool {
    let StoreError::Migration { source: Some(source), .. } = error else { return false };
    let error = source.downcast_ref::<sqlx::Error>().and_then(|error| error.as_database_error());
    error.and_then(|error| error.code()).as_deref() == Some(IN_USE)
}

/// When a lease was last renewed, in ms.
async fn last_renewal(sql: &Sql, connection: &mut PgConnection) -> Result<i64, sqlx::Error> {
    let last = sqlx::query_scalar(sql.of("SELECT coalesce(max(renewed_at), 0) FROM {s}.lease"));
    last.fetch_one(connection).await
}

/// One migration, in a transaction. False: there was nothing left to do.
async fn step(name: &str, sql: &Sql, connection: &mut PgConnection) -> Result<bool, StoreError> {
    let failed = |error| store_error(name, error, Duration::ZERO);
    let mut transaction = connection.begin().await.map_err(failed)?;
    // Ten processes that start at once wait here for one of them, as long as it takes.
    let wait = "SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0";
    transaction.execute(sqlx::raw_sql(wait)).await.map_err(failed)?;
    let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(lock_key(sql.schema(), "migrate", ""));
    lock.execute(&mut *transaction).await.map_err(failed)?;
    let at = checked(name, found(sql, &mut transaction).await.map_err(failed)?)?;
    let Some(text) = text(sql, at) else { return Ok(false) };
    let applied = async {
        // Asked first: making one that is there needs a right that its owner may lack.
        let there =
            sqlx::query_scalar::<_, bool>("SELECT to_regnamespace($1) IS NOT NULL").bind(sql.schema());
        if !there.fetch_one(&mut *transaction).await? {
            transaction.execute(sqlx::raw_sql(AssertSqlSafe(sql.fill(MAKE_SCHEMA)))).await?;
        }
        transaction.execute(sqlx::raw_sql(AssertSqlSafe(text))).await?;
        transaction.commit().await
    };
    applied.await.map(|()| true).map_err(|error| match kind(&error) {
        Kind::Refused | Kind::Other => StoreError::Migration {
            path: name.to_owned(),
            version: at + 1,
            message: error.to_string(),
            source: Some(Arc::new(error)),
        },
        _ => failed(error),
    })
}

/// The text of the migration that follows version `at`, as a DBA can run it.
fn text(sql: &Sql, at: i64) -> Option<String> {
    let migration = MIGRATIONS.get(usize::try_from(at).ok()?)?;
    let first = if at == 0 { sql.fill(&format!("{};\n", MIGRATION_TABLE.trim())) } else { String::new() };
    let note = format!(
        "INSERT INTO {{s}}.migration (version, build, applied_at) VALUES ({}, '{}', {{now}});",
        at + 1,
        env!("CARGO_PKG_VERSION")
    );
    Some(format!("{first}{}\n{}\n", sql.fill(migration).trim(), sql.fill(&note)))
}

/// What is still to be applied: version and text of each migration, oldest first.
pub(super) async fn pending(
    name: &str,
    sql: &Sql,
    connection: &mut PgConnection,
) -> Result<Vec<(i64, String)>, StoreError> {
    let found = found(sql, connection).await.map_err(|error| store_error(name, error, Duration::ZERO))?;
    let at = checked(name, found)?;
    let with_schema = |at| match (at, text(sql, at)?) {
        (0, text) => Some(format!("{};\n{text}", sql.fill(MAKE_SCHEMA))),
        (_, text) => Some(text),
    };
    Ok((at..version()).filter_map(|at| Some((at + 1, with_schema(at)?))).collect())
}

/// What a schema turns out to be.
enum Found {
    /// Ours (or not there, or empty: 0).
    Version(i64),
    /// It has this table, and not ours.
    Foreign(String),
}

async fn found(sql: &Sql, connection: &mut PgConnection) -> Result<Found, sqlx::Error> {
    let tables = "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm')";
    let tables = sqlx::query(tables).bind(sql.schema()).fetch_all(&mut *connection).await?;
    let names: Vec<String> = tables.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    if names.iter().any(|table| table == "migration") {
        let at = sqlx::query_scalar(sql.of("SELECT coalesce(max(version), 0)::bigint FROM {s}.migration"));
        return Ok(Found::Version(at.fetch_one(connection).await?));
    }
    Ok(names.into_iter().next().map_or(Found::Version(0), Found::Foreign))
}

fn checked(name: &str, found: Found) -> Result<i64, StoreError> {
    let path = name.to_owned();
    match found {
        Found::Version(at) if at > version() => Err(StoreError::Newer { path, found: at, known: version() }),
        Found::Version(at) => Ok(at),
        Found::Foreign(table) => {
            let message =
                format!("its schema has a table `{table}` but no `migration`: choose another schema");
            Err(StoreError::Foreign { path, message })
        }
    }
}
