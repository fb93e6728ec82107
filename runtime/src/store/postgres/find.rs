//! Looking executions up. Each call is one statement on a connection of the pool.

use super::store::PostgresStore;
use crate::store::row::{all, execution, execution_columns};
use crate::store::{ExecutionRow, Filter, Find, Lookup, Page, StoreFuture};
use sqlx::{Postgres, QueryBuilder};

/// `SELECT .. FROM execution e` with this ending.
macro_rules! select {
    ($ending:literal) => {
        concat!("SELECT ", $crate::store::row::execution_columns!("{s}."), " FROM {s}.execution e ", $ending)
    };
}
pub(super) use select;

pub(super) const BY_ID: &str = select!("WHERE e.id = $1");
/// The open run, if there is one, else the newest: each is one row at the end of an index, however many runs
/// the workflow id has. An execution id is made of a process's block and a counter, so the newest run is not
/// the one with the highest id.
pub(super) const BY_WORKFLOW_ID: &str = select!(
    "WHERE e.id = coalesce(
    (SELECT o.id FROM {s}.execution o WHERE o.workflow_id = $1 AND o.status < 10),
    (SELECT n.id FROM {s}.execution n WHERE n.workflow_id = $1 ORDER BY n.created_at DESC, n.id DESC LIMIT 1))"
);

/// The last run that joined the chain. Its first run is in no index of the chain.
pub(super) const BY_CHAIN: &str = select!(
    "WHERE e.id = coalesce(
    (SELECT n.id FROM {s}.execution n WHERE n.chain = $1 ORDER BY n.created_at DESC, n.id DESC LIMIT 1), $1)"
);
/// The runs of a chain join it in the order of their times, so that the search, from the newest back, ends soon.
pub(super) const BEFORE: &str = select!(
    "WHERE e.next = $2 AND e.id = coalesce(
    (SELECT p.id FROM {s}.execution p WHERE p.chain = $1 AND p.next = $2
        AND p.created_at <= (SELECT o.created_at FROM {s}.execution o WHERE o.id = $2)
    ORDER BY p.created_at DESC LIMIT 1), $1)"
);

impl Lookup for PostgresStore {
    fn find(&self, by: Find) -> StoreFuture<'_, Option<ExecutionRow>> {
        Box::pin(async move {
            if matches!(&by, Find::WorkflowId(id) if is_unkept(id)) {
                return Ok(None);
            }
            self.read(move |shared, connection| {
                let query = match &by {
                    Find::Execution(id) => sqlx::query(shared.sql.of(BY_ID)).bind(id.0),
                    Find::WorkflowId(id) => sqlx::query(shared.sql.of(BY_WORKFLOW_ID)).bind(id.clone()),
                    Find::Chain(first) => sqlx::query(shared.sql.of(BY_CHAIN)).bind(first.0),
                    Find::Before { chain, of } => sqlx::query(shared.sql.of(BEFORE)).bind(chain.0).bind(of.0),
                };
                Box::pin(async move {
                    Ok(query.fetch_optional(connection).await?.as_ref().map(execution).transpose()?)
                })
            })
            .await
        })
    }

    fn list(&self, filter: Filter) -> StoreFuture<'_, Page> {
        Box::pin(async move {
            let texts = [&filter.workflow_type, &filter.queue, &filter.id_prefix];
            if texts.into_iter().flatten().any(|text| is_unkept(text)) {
                return Ok(Page::default());
            }
            let len = filter.page_len();
            self.read(move |shared, connection| {
                let columns = shared.sql.fill(execution_columns!("{s}."));
                let mut query = list_query(&columns, &shared.sql.fill("{s}.execution"), &filter);
                query.push(" ORDER BY e.run_id DESC LIMIT ").push_bind(len as i64 + 1);
                Box::pin(async move {
                    Ok(Page::of(all(&query.build().fetch_all(connection).await?, execution)?, len))
                })
            })
            .await
        })
    }
}

/// Postgres keeps no text with a NUL, so nothing has it; and it refuses to be asked.
pub(super) fn is_unkept(text: &str) -> bool {
    text.contains('\0')
}

/// Made for its filter, so that each list has the plan that fits it.
pub(super) fn list_query(columns: &str, table: &str, filter: &Filter) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::<Postgres>::new("SELECT ");
    query.push(columns).push(" FROM ").push(table).push(" e WHERE true");
    if !filter.statuses.is_empty() {
        let codes: Vec<i16> = filter.statuses.iter().map(|status| status.code() as i16).collect();
        query.push(" AND e.status = ANY(").push_bind(codes).push(")");
    }
    if let Some(workflow_type) = &filter.workflow_type {
        query.push(" AND e.type = ").push_bind(workflow_type.clone());
    }
    if let Some(queue) = &filter.queue {
        query.push(" AND e.queue = ").push_bind(queue.clone());
    }
    if let Some(prefix) = &filter.id_prefix {
        query.push(" AND starts_with(e.workflow_id, ").push_bind(prefix.clone()).push(")");
    }
    // Lower-case hex with its hyphens in one place: every collation sorts it alike, and the index serves it.
    if let Some(after) = &filter.after {
        query.push(" AND e.run_id < ").push_bind(after.clone());
    }
    query
}
