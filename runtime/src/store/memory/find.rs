//! Looks executions up. Each call is one statement.

use super::store::MemoryStore;
use crate::store::{ExecutionRow, Filter, Find, Lookup, Page, StoreFuture};

impl Lookup for MemoryStore {
    fn find(&self, by: Find) -> StoreFuture<'_, Option<ExecutionRow>> {
        Box::pin(self.seen("find", move |st| {
            let found = match &by {
                Find::Execution(id) => st.tables.executions.get(id),
                // The open run, if there is one, else the newest.
                Find::WorkflowId(id) => st.tables.open_run(id).or_else(|| st.tables.newest_closed(id)),
                Find::Chain(first) => {
                    let name = st.tables.executions.get(first).map(|first| &first.row.workflow_id);
                    let runs = name.into_iter().flat_map(|name| st.tables.runs(name));
                    let runs = runs.filter(|run| run.row.chain() == *first);
                    runs.max_by_key(|run| (run.row.created_at_ms, run.row.id))
                }
                Find::Before { chain, of } => {
                    let name = st.tables.executions.get(of).map(|of| &of.row.workflow_id);
                    let mut runs = name.into_iter().flat_map(|name| st.tables.runs(name));
                    runs.find(|run| run.row.chain() == *chain && run.row.next == Some(*of))
                }
            };
            found.map(|execution| st.tables.read(execution))
        }))
    }

    fn list(&self, filter: Filter) -> StoreFuture<'_, Page> {
        let len = filter.page_len();
        Box::pin(self.seen("list", move |st| {
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
            let rows = all.into_iter().take(len + 1).map(|execution| st.tables.read(execution));
            Page::of(rows.collect(), len)
        }))
    }
}
