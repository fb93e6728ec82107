//! Takes the locks of a batch before it begins (see [`Locks`]).

use super::locks::{Key, Mode};
use super::session::{Failure, Session};
use super::statement::Statement;
use crate::store::decide::{self, StartName, start_names};
use crate::store::group::Committed;
use crate::store::{Append, NewExecution};
use abide_core::ExecutionId;

pub(super) type Locks = decide::Locks<Key>;

fn start_key(name: StartName<'_>) -> Key {
    match name {
        StartName::Workflow(id) => Key::Starts(id.to_owned()),
        StartName::Request(id) => Key::Requests(id.to_owned()),
    }
}

/// All locks of a start.
pub(super) fn start_keys(new: &NewExecution) -> impl Iterator<Item = Key> {
    start_names(new).map(start_key)
}

/// What a batch of these has to lock. `None`: nothing, and the batch is one statement.
pub(super) fn locks<'a>(appends: impl Iterator<Item = &'a Append>) -> Option<Locks> {
    Locks::of(appends, start_key)
}

/// Takes the locks; the result says what the batch leaves out.
pub(super) async fn take(locks: &Locks, session: &mut Session) -> Result<Committed, Failure> {
    let mut out = locks.tried();
    if locks.ids().next().is_some() {
        let lock = |st: &mut Statement<'_>| {
            Ok(locks.ids().filter(|id| !st.try_lock((*id).clone(), Mode::Update)).collect::<Vec<_>>())
        };
        let held = session.run(lock).await?;
        held.into_iter().for_each(|id| locks.id_is_held(id, &mut out));
    }
    if locks.closes().next().is_none() {
        return Ok(out);
    }
    let is_had = |st: &mut Statement<'_>, id: &ExecutionId| {
        st.tables.executions.contains_key(id) && st.try_lock(Key::Execution(*id), Mode::Update)
    };
    let lock = |st: &mut Statement<'_>| Ok(locks.closes().filter(|id| !is_had(st, id)).collect::<Vec<_>>());
    out.locked.extend(session.run(lock).await?);
    let look = |st: &mut Statement<'_>| {
        let inputs = |id| st.tables.inbox_of(id).filter(|row| row.kind.is_input());
        Ok(locks.closes().flat_map(inputs).map(|row| (row.execution, row.id)).collect::<Vec<_>>())
    };
    for (execution, message) in session.run(look).await? {
        locks.meets(execution, message, &mut out);
    }
    Ok(out)
}
