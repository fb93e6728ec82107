//! Takes the locks of a batch before it begins (see [`Locks`]).

use super::locks::{Key, Mode};
use super::session::{Failure, Session};
use super::statement::Statement;
use super::tables::Execution;
use crate::store::decide::{self, Guarded, Receivers, StartName, start_names};
use crate::store::group::Committed;
use crate::store::{Address, Append, NewExecution};
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
pub(super) async fn take(locks: &Locks, session: &mut Session) -> Result<Guarded, Failure> {
    let Guarded { mut out, mut receivers } = locks.tried();
    if locks.ids().next().is_some() {
        let lock = |st: &mut Statement<'_>| {
            Ok(locks.ids().filter(|id| !st.try_lock((*id).clone(), Mode::Update)).collect::<Vec<_>>())
        };
        let held = session.run(lock).await?;
        held.into_iter().for_each(|id| locks.id_is_held(id, &mut out));
    }
    if locks.closes().next().is_some() {
        take_closes(locks, session, &mut out).await?;
    }
    look(&locks.receivers().collect::<Vec<_>>(), session, &mut receivers).await?;
    Ok(Guarded { out, receivers })
}

/// Who is found under these addresses, by two looks (PROTOCOL 35).
pub(super) async fn look(
    addresses: &[&Address],
    session: &mut Session,
    receivers: &mut Receivers,
) -> Result<(), Failure> {
    if addresses.is_empty() {
        return Ok(());
    }
    let lock = |st: &mut Statement<'_>| {
        let mut locked = Vec::new();
        for address in addresses {
            let Some(run) = open_run(st, address) else { continue };
            if st.try_lock(Key::Execution(run), Mode::KeyShare) {
                locked.push(((*address).clone(), run));
            }
        }
        Ok(locked)
    };
    for (address, run) in session.run(lock).await? {
        receivers.locked(address, run);
    }
    if mutant!(OneLookAtNames) {
        return Ok(());
    }
    let look = |st: &mut Statement<'_>| {
        let open = addresses.iter().filter(|address| open_run(st, address).is_some());
        Ok(open.map(|address| (*address).clone()).collect::<Vec<_>>())
    };
    session.run(look).await?.into_iter().for_each(|address| receivers.open(address));
    Ok(())
}

fn open_run(st: &Statement<'_>, address: &Address) -> Option<ExecutionId> {
    let run = match address {
        Address::Name(name) => st.tables.open_run(name),
        Address::Child { parent, no } => {
            let is_it = |run: &&Execution| run.child.is_some_and(|child| child.child_no == *no);
            st.tables.children_of(*parent).find(is_it)
        }
    };
    run.map(|run| run.row.id)
}

/// The rows that close, and then what is in their inboxes.
async fn take_closes(locks: &Locks, session: &mut Session, out: &mut Committed) -> Result<(), Failure> {
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
        locks.meets(execution, message, out);
    }
    Ok(())
}
