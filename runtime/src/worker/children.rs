//! The children that a turn starts, as its append inserts them.

use super::run::Run;
use super::session::Session;
use crate::store::{Address, NewChild, close_policy};
use abide_core::{Birth, Parent, StartContext};

/// Of the children of one append, the worker keeps this many. The others are there for all workers (PROTOCOL 53).
const MOST_OWNED: usize = 100;

/// The rows of these births. `run` is their parent, `at_ms` the time of the turn.
pub(super) fn of(session: &Session, run: &Run, births: Vec<Birth>, at_ms: i64) -> Vec<NewChild> {
    let mut children: Vec<NewChild> = births.into_iter().map(|birth| child(run, birth, at_ms)).collect();
    // A name that the code gave may be taken, and then no such run is born.
    let own =
        |child: &&mut NewChild| child.name.is_none() && session.serves(&child.workflow_type, &child.queue);
    children.iter_mut().filter(own).take(MOST_OWNED).for_each(|child| child.owner = Some(session.me));
    children
}

fn child(run: &Run, birth: Birth, at_ms: i64) -> NewChild {
    let names = &run.names;
    let parent = Parent::new(&*names.workflow_id, &*names.run_id);
    let context = StartContext {
        parent: Some(parent),
        depth: birth.depth,
        run_timeout_ms: birth.options.run_timeout_ms,
        retry: birth.options.retry,
        priority: birth.options.priority,
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
        owner: None,
        parent: run.id,
        child_no: birth.child,
        close_policy: close_policy(birth.options.parent_close),
        close_by: until(birth.options.run_timeout_ms).into_iter().chain(chain_by).min(),
        chain_by,
        created_at: at_ms,
        starts: false,
    }
}
