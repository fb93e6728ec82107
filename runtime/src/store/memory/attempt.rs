//! Failed attempts that others follow (PROTOCOL 4): the section of a batch that keeps them.

use super::locks::{Key, Mode};
use super::statement::{Looked, Statement};
use super::write::Write;
use crate::store::{Append, AttemptChange};
use abide_core::{EventId, ExecutionId};

/// Makes the changes of those appends that are in.
pub(super) fn change_all(
    st: &mut Statement<'_>,
    appends: &[&Append],
    is_in: impl Fn(&Append) -> bool,
) -> Looked<()> {
    for append in appends.iter().filter(|append| is_in(append)) {
        for change in append.attempt_changes() {
            match change {
                AttemptChange::Keep(row) => {
                    st.lock(Key::Attempt(append.execution, row.activity), Mode::Update)?;
                    st.write(Write::Attempt(append.execution, row.clone()));
                }
                AttemptChange::Drop(activity) => delete(st, append.execution, *activity)?,
            }
        }
    }
    Ok(())
}

fn delete(st: &mut Statement<'_>, execution: ExecutionId, activity: EventId) -> Looked<()> {
    if st.tables.attempts.contains_key(&(execution, activity)) {
        st.lock(Key::Attempt(execution, activity), Mode::Update)?;
        st.write(Write::AttemptGone(execution, activity));
    }
    Ok(())
}

/// Deletes all of an execution that ends.
pub(super) fn drop_all(st: &mut Statement<'_>, id: ExecutionId) -> Looked<()> {
    if mutant!(KeepFailed) {
        return Ok(());
    }
    let tables = st.tables;
    tables.attempts_of(id).try_for_each(|row| delete(st, id, row.activity))
}
