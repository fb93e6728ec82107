//! Looks executions up, on the pool of readers, which sees every acknowledged commit.

use super::store::SqliteStore;
use crate::store::row::{all, execution, execution_columns};
use crate::store::{ExecutionRow, Filter, Find, Lookup, Page, StoreFuture};
use sqlx::{QueryBuilder, Sqlite};

/// `SELECT .. FROM execution e` with this ending.
macro_rules! select {
    ($ending:literal) => {
        concat!("SELECT ", $crate::store::row::execution_columns!(""), " FROM execution e ", $ending)
    };
}
pub(super) use select;

pub(super) const BY_ID: &str = select!("WHERE e.id = $1");
/// The open run, if there is one, else the newest: each is one row at the end of an index, however many runs
/// the workflow id has. An execution id is made of a process's block and a counter, so the newest run is not
/// the one with the highest id.
pub(super) const BY_WORKFLOW_ID: &str = select!(
    "WHERE e.id = coalesce(
    (SELECT o.id FROM execution o WHERE o.workflow_id = $1 AND o.status < 10),
    (SELECT n.id FROM execution n WHERE n.workflow_id = $1 ORDER BY n.created_at DESC, n.id DESC LIMIT 1))"
);

/// The last run that joined the chain. Its first run is in no index of the chain.
pub(super) const BY_CHAIN: &str = select!(
    "WHERE e.id = coalesce(
    (SELECT n.id FROM execution n WHERE n.chain = $1 ORDER BY n.created_at DESC, n.id DESC LIMIT 1), $1)"
);
/// The runs of a chain join it in the order of their times, so that the search, from the newest back, ends soon.
pub(super) const BEFORE: &str = select!(
    "WHERE e.next = $2 AND e.id = coalesce(
    (SELECT p.id FROM execution p WHERE p.chain = $1 AND p.next = $2
        AND p.created_at <= (SELECT o.created_at FROM execution o WHERE o.id = $2)
    ORDER BY p.created_at DESC LIMIT 1), $1)"
);

impl Lookup for SqliteStore {
    fn find(&self, by: Find) -> StoreFuture<'_, Option<ExecutionRow>> {
        let query = match by {
            Find::Execution(id) => sqlx::query(BY_ID).bind(id.0),
            Find::WorkflowId(id) => sqlx::query(BY_WORKFLOW_ID).bind(id),
            Find::Chain(first) => sqlx::query(BY_CHAIN).bind(first.0),
            Find::Before { chain, of } => sqlx::query(BEFORE).bind(chain.0).bind(of.0),
        };
        Box::pin(self.reading(async move |readers| {
            query.fetch_optional(readers).await?.as_ref().map(execution).transpose()
        }))
    }

    fn list(&self, filter: Filter) -> StoreFuture<'_, Page> {
        let len = filter.page_len();
        let mut query = list_query(&filter);
        query.push(" ORDER BY e.run_id DESC LIMIT ").push_bind(len as i64 + 1);
        Box::pin(self.reading(async move |readers| {
            Ok(Page::of(all(&query.build().fetch_all(readers).await?, execution)?, len))
        }))
    }
}

fn list_query(filter: &Filter) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::<Sqlite>::new("SELECT ");
    query.push(execution_columns!("")).push(" FROM execution e WHERE 1");
    if !filter.statuses.is_empty() {
        query.push(" AND e.status IN (");
        let mut codes = query.separated(", ");
        for status in &filter.statuses {
            codes.push_bind(status.code());
        }
        query.push(")");
    }
    if let Some(workflow_type) = &filter.workflow_type {
        query.push(" AND e.type = ").push_bind(workflow_type.clone());
    }
    if let Some(queue) = &filter.queue {
        query.push(" AND e.queue = ").push_bind(queue.clone());
    }
    if let Some(prefix) = &filter.id_prefix {
        // Compares bytes, without wildcards: `substr` of a text would end at a NUL.
        query.push(" AND substr(CAST(e.workflow_id AS BLOB), 1, ").push_bind(prefix.len() as i64);
        query.push(") = ").push_bind(prefix.clone().into_bytes());
    }
    if let Some(after) = &filter.after {
        query.push(" AND e.run_id < ").push_bind(after.clone());
    }
    query
}
