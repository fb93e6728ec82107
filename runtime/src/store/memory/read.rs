//! Reading: executions, lists, journals. Each call is one statement.

use super::MemoryStore;
use super::statement::Statement;
use crate::store::{ExecutionRow, Filter, Find, Page, StoreError, StoredRun, StoredTurn, joined};
use abide_core::{ExecutionId, Incarnation};

impl MemoryStore {
    /// One statement that reads.
    async fn seen<T: Send + 'static>(
        &self,
        name: &'static str,
        see: impl Fn(&Statement<'_>) -> T + Clone + Send + Sync + 'static,
    ) -> Result<T, StoreError> {
        self.read(name, move |session| Box::pin(async move { session.run(|st| Ok(see(st))).await })).await
    }

    pub(super) async fn read_execution(&self, by: Find) -> Result<Option<ExecutionRow>, StoreError> {
        self.seen("find", move |st| {
            let found = match &by {
                Find::Execution(id) => st.tables.executions.get(id),
                // The open one, if there is one, else the newest.
                Find::WorkflowId(id) => st.tables.open_run(id).or_else(|| st.tables.newest_closed(id)),
            };
            found.map(|execution| st.tables.read(execution))
        })
        .await
    }

    pub(super) async fn read_list(&self, filter: Filter) -> Result<Page, StoreError> {
        let limit = match filter.limit {
            0 => 100,
            limit => limit.min(1_000) as usize,
        };
        self.seen("list", move |st| {
            let fits = |row: &ExecutionRow| {
                (filter.statuses.is_empty() || filter.statuses.contains(&row.status))
                    && filter.workflow_type.as_ref().is_none_or(|wanted| *wanted == row.workflow_type)
                    && filter.queue.as_ref().is_none_or(|wanted| *wanted == row.queue)
                    && filter.id_prefix.as_ref().is_none_or(|prefix| row.workflow_id.starts_with(prefix))
                    && filter.after.as_ref().is_none_or(|after| row.run_id < *after)
            };
            let all = st.tables.executions.values().filter(|execution| fits(&execution.row));
            let mut all: Vec<_> = all.collect();
            all.sort_by(|a, b| b.row.run_id.cmp(&a.row.run_id));
            let all = all.into_iter().take(limit + 1);
            let mut rows: Vec<_> = all.map(|execution| st.tables.read(execution)).collect();
            let more = rows.len() > limit;
            rows.truncate(limit);
            let next = if more { rows.last().map(|row| row.run_id.clone()) } else { None };
            Page { rows, next }
        })
        .await
    }

    pub(super) async fn read_journal(&self, execution: ExecutionId) -> Result<Vec<StoredTurn>, StoreError> {
        let turns = self.seen("journal", move |st| st.tables.turns(execution).cloned().collect::<Vec<_>>());
        joined(turns.await?).map_err(|message| StoreError::Damaged { execution, message })
    }

    pub(super) async fn read_run(&self, execution: ExecutionId) -> Result<Option<StoredRun>, StoreError> {
        self.seen("load", move |st| {
            let row = st.tables.read(st.tables.executions.get(&execution)?);
            let journal = joined(st.tables.turns(execution).cloned().collect());
            let attempts = st.tables.attempts_of(execution).cloned().collect();
            Some(StoredRun {
                row,
                journal,
                attempts,
                inbox: st.tables.inbox_of(execution).cloned().collect(),
            })
        })
        .await
    }

    pub(super) async fn read_owned(&self, owner: Incarnation) -> Result<Vec<ExecutionId>, StoreError> {
        self.seen("owned", move |st| {
            let owned = st.tables.executions.values().filter(|execution| execution.row.owner == Some(owner));
            owned.map(|execution| execution.row.id).collect()
        })
        .await
    }

    pub(super) async fn read_served(&self, queue: String) -> Result<Vec<Vec<String>>, StoreError> {
        self.seen("served", move |st| {
            let lives = |id| st.tables.leases.get(id).is_some_and(|lease| lease.until_ms > st.now_ms);
            let workers =
                st.tables.workers.iter().filter(|(id, worker)| worker.info.queue == queue && lives(id));
            workers.map(|(_, worker)| worker.info.types.clone()).collect()
        })
        .await
    }
}
