//! The section of a batch that changes tasks: what a turn decides about attempts that the database arbitrates
//! (PROTOCOL 22).

use super::locks::{Key, Mode};
use super::statement::{Looked, Statement};
use super::task::{delete, tell_outcome};
use super::write::{TaskRow, Write};
use crate::store::decide::Concerned;
use crate::store::failure::Kind;
use crate::store::{Append, NewTask, TaskChange};
use abide_core::exec::AttemptOutcome;
use abide_core::{EventId, ExecutionId};

/// Makes the changes of those appends that are in. False: an attempt was decided otherwise.
pub(super) fn change_all(
    st: &mut Statement<'_>,
    appends: &[&Append],
    is_in: impl Fn(&Append) -> bool,
    concerned: &mut Concerned,
) -> Looked<bool> {
    let mut decided = true;
    for append in appends.iter().filter(|append| is_in(append)) {
        for task in append.task_changes() {
            decided &= change(st, append, task, concerned)?;
        }
    }
    Ok(decided)
}

/// The row of an activity, if it is there and locked.
fn row<'a>(st: &mut Statement<'a>, of: ExecutionId, activity: EventId) -> Looked<Option<&'a TaskRow>> {
    let row = st.tables.tasks.get(&(of, activity));
    if row.is_some() {
        st.lock(Key::Task(of, activity), Mode::Update)?;
    }
    Ok(row)
}

fn change(
    st: &mut Statement<'_>,
    append: &Append,
    change: &TaskChange,
    concerned: &mut Concerned,
) -> Looked<bool> {
    let id = append.execution;
    match change {
        TaskChange::Insert(task) => insert(st, id, task).map(|()| true),
        TaskChange::Replace { of, with } => match row(st, id, with.activity)? {
            Some(there) if there.task.attempt == *of => {
                let keeps = !mutant!(KeepDetailsOfNone);
                let details = with.details.clone().or_else(|| there.task.details.clone().filter(|_| keeps));
                let (with, beat_at_ms) = (NewTask { details, ..with.clone() }, there.beat_at_ms);
                write(st, id, with, beat_at_ms);
                Ok(true)
            }
            _ => Ok(false),
        },
        TaskChange::Settle { activity, attempt } => match row(st, id, *activity)? {
            Some(there) if there.task.attempt == *attempt => delete(st, there).map(|()| true),
            _ => Ok(false),
        },
        TaskChange::Drop(activity) => match row(st, id, *activity)? {
            Some(there) => {
                concerned.add(there.owner, None);
                concerned.add(None, there.frees());
                delete(st, there).map(|()| true)
            }
            None => Ok(true),
        },
        TaskChange::Cancel(activity) => cancel(st, append, *activity, concerned).map(|()| true),
    }
}

fn insert(st: &mut Statement<'_>, id: ExecutionId, task: &NewTask) -> Looked<()> {
    let key = Key::Task(id, task.activity);
    let twice = st.has_taken(&key);
    st.lock(key, Mode::Update)?;
    if twice || st.tables.tasks.contains_key(&(id, task.activity)) {
        return st.raise(Kind::Refused, "the activity has a task already");
    }
    write(st, id, task.clone(), None);
    Ok(())
}

fn write(st: &mut Statement<'_>, execution: ExecutionId, task: NewTask, beat_at_ms: Option<i64>) {
    let row = TaskRow {
        execution,
        task,
        owner: None,
        cancel: false,
        nonce: st.new_nonce(),
        beat_at_ms,
        handed: false,
        end_by_ms: None,
        beat_by_ms: None,
    };
    st.write(Write::Task(Box::new(row)));
}

/// What is asked to stop and was not begun ends at once, and its owner has the outcome. Otherwise the worker
/// that runs it has to stop.
fn cancel(
    st: &mut Statement<'_>,
    append: &Append,
    activity: EventId,
    concerned: &mut Concerned,
) -> Looked<()> {
    let there = row(st, append.execution, activity)?.filter(|there| there.task.queue.is_some());
    match there {
        Some(there) if there.is_free() => {
            concerned.add(Some(append.owner), None);
            delete(st, there)?;
            tell_outcome(st, there, &AttemptOutcome::Cancelled, append.at_ms).map(drop)
        }
        Some(there) => {
            concerned.add(there.owner, None);
            st.write(Write::Task(Box::new(TaskRow { cancel: true, ..there.clone() })));
            Ok(())
        }
        None => Ok(()),
    }
}
