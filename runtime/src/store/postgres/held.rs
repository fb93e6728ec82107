//! Whether a worker still has its lease.

use super::shared::Shared;
use crate::store::{StoreError, Trouble};
use abide_core::Incarnation;
use sqlx::PgConnection;

/// Whether an incarnation's lease is there.
pub(super) async fn holds_lease(
    connection: &mut PgConnection,
    shared: &Shared,
    worker: i64,
) -> sqlx::Result<bool> {
    const QUERY: &str = "SELECT EXISTS (SELECT FROM {s}.lease WHERE worker = $1)";
    sqlx::query_scalar(shared.sql.of(QUERY)).bind(worker).fetch_one(connection).await
}

/// A claim that took nothing says whether it may take something.
pub(super) async fn fenced(
    connection: &mut PgConnection,
    shared: &Shared,
    owner: Incarnation,
    took_nothing: bool,
) -> Result<(), Trouble> {
    match took_nothing && !holds_lease(connection, shared, owner.0).await? {
        true => Err(Trouble::Refused(StoreError::Fenced)),
        false => Ok(()),
    }
}
