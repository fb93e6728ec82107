//! The children that a turn starts, as its append inserts them.

use super::names::Names;
use crate::store::{Address, NewChild, close_policy};
use abide_core::{Birth, ExecutionId, Parent, StartContext};

/// The rows of these births. `run` is their parent, `at_ms` the time of the turn.
pub(super) fn of(run: ExecutionId, names: &Names, births: Vec<Birth>, at_ms: i64) -> Vec<NewChild> {
    births.into_iter().map(|birth| child(run, names, birth, at_ms)).collect()
}

fn child(run: ExecutionId, names: &Names, birth: Birth, at_ms: i64) -> NewChild {
    let parent = Parent::new(&*names.workflow_id, &*names.run_id);
    let context = StartContext {
        parent: Some(parent),
        depth: birth.depth,
        run_timeout_ms: birth.options.run_timeout_ms,
        retry: birth.options.retry,
        ..StartContext::default()
    };
    let until = |limit: Option<i64>| limit.map(|limit| at_ms.saturating_add(limit));
    let chain_by = until(birth.options.execution_timeout_ms);
    NewChild {
        id: birth.ids.execution,
        name: birth.named.then(|| Address::Name(birth.workflow_id.clone())),
        workflow_id: birth.workflow_id,
        run_id: birth.ids.run_id,
        workflow_type: birth.workflow_type,
        queue: birth.task_queue.unwrap_or_else(|| names.queue.clone()),
        input: birth.input.as_json().to_owned(),
        context: crate::wire::to_json(&context),
        parent: run,
        child_no: birth.child,
        close_policy: close_policy(birth.options.parent_close),
        close_by: until(birth.options.run_timeout_ms).into_iter().chain(chain_by).min(),
        chain_by,
        created_at: at_ms,
        starts: false,
    }
}
