//! Derives what a turn changes in the rows of its execution's tasks (PROTOCOL 22): which are inserted,
//! replaced and deleted.
//!
//! The changes follow from the turn's actions alone. Core creates actions only together with events that stay
//! in the turn, so that row and journal always agree. This module decides nothing about an activity and
//! starts nothing; actions for this worker are passed on.
//!
//! An attempt elsewhere: if its outcome is here, its row is gone, because the worker that ended the attempt
//! has deleted the row. A transactional attempt: its row is gone if its transaction has committed, and
//! otherwise it is there until this append changes it. If the append does not find the row, the append is a
//! conflict, and the committed outcome waits in the inbox.

use super::inputs::{Pending, outcome_message};
use crate::store::{NewMessage, NewTask, Place, TaskChange};
use crate::wire::to_json;
use abide_core::exec::{Action, ActivityStart, AttemptOutcome, Input, Stop};
use abide_core::{ActivityOptions, EventId, ExecutionId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// See the module documentation.
pub(super) struct TaskRows {
    pub(super) changes: Vec<TaskChange>,
    /// Messages to the execution itself: the ends of attempts that never began.
    pub(super) messages: Vec<NewMessage>,
    /// Actions for this worker once the turn is durable.
    pub(super) here: Vec<Action>,
}

/// Splits a turn's actions. `origins`: the inputs that the turn took in. `closes`: the turn is the last one,
/// and the store deletes the remaining rows after it.
pub(super) fn of(
    execution: ExecutionId,
    actions: Vec<Action>,
    origins: &[Pending],
    closes: bool,
    at_ms: i64,
) -> TaskRows {
    let mut changes =
        Changes { execution, at_ms, origins, by_activity: BTreeMap::new(), messages: Vec::new() };
    let mut here: Vec<Action> = actions.into_iter().filter(|action| changes.add(action)).collect();
    drop_given_up(&mut here);
    let Changes { by_activity, messages, .. } = changes;
    let mut changes: Vec<TaskChange> = by_activity.into_values().collect();
    if closes {
        changes = changes.into_iter().filter_map(decided).collect();
    }
    TaskRows { changes, messages, here }
}

/// Removes the starts of attempts that the same turn gives up. Such an attempt must not begin: its failed
/// predecessor is not stored any more, and it has no row to commit with.
fn drop_given_up(actions: &mut Vec<Action>) {
    let given_up = |action: &Action| match action {
        Action::Cancel(stop) if !stop.wait => Some(stop.activity),
        Action::Abandon(activity) => Some(*activity),
        _ => None,
    };
    let given_up: BTreeSet<EventId> = actions.iter().filter_map(given_up).collect();
    actions.retain(|action| !matches!(action, Action::Start(start) if given_up.contains(&start.activity)));
}

/// The part of a change that stays if the next attempt is not to run: the decision about the last attempt.
fn decided(change: TaskChange) -> Option<TaskChange> {
    match change {
        TaskChange::Replace { of, with } => Some(TaskChange::Settle { activity: with.activity, attempt: of }),
        settle @ TaskChange::Settle { .. } => Some(settle),
        TaskChange::Insert(_) | TaskChange::Drop(_) | TaskChange::Cancel(_) => None,
    }
}

struct Changes<'a> {
    execution: ExecutionId,
    at_ms: i64,
    origins: &'a [Pending],
    by_activity: BTreeMap<EventId, TaskChange>,
    messages: Vec<NewMessage>,
}

impl Changes<'_> {
    /// Adds an action. True if this worker has to act on it.
    fn add(&mut self, action: &Action) -> bool {
        match action {
            Action::Start(start) if start.options.runs().has_row() => {
                self.start(start);
                start.options.runs().is_here()
            }
            Action::Cancel(stop) if stop.runs.has_row() => {
                self.stop(stop);
                stop.runs.is_here()
            }
            Action::Abandon(activity) => {
                self.undo(*activity);
                true
            }
            Action::Ended { activity, attempt } => {
                if !self.is_gone(*activity, *attempt) {
                    let settle = TaskChange::Settle { activity: *activity, attempt: *attempt };
                    self.by_activity.insert(*activity, settle);
                }
                false
            }
            Action::Start(_) | Action::Cancel(_) => true,
        }
    }

    fn start(&mut self, start: &ActivityStart) {
        let last = start.attempt.saturating_sub(1);
        let fresh = last == 0 || !start.options.runs().is_here() || self.is_gone(start.activity, last);
        let with = new_task(start);
        let change = if fresh { TaskChange::Insert(with) } else { TaskChange::Replace { of: last, with } };
        self.by_activity.insert(start.activity, change);
    }

    fn stop(&mut self, stop: &Stop) {
        let activity = stop.activity;
        match (stop.runs.is_here(), stop.wait) {
            // The attempt ends by itself, in this worker, and its end settles the row.
            (true, true) => {}
            (false, true) => match self.undo(activity) {
                // The attempt never begins. So it has already ended, and the workflow waits for that outcome.
                true => {
                    let ended = (activity, stop.attempt, AttemptOutcome::Cancelled);
                    self.messages.push(outcome_message(self.execution, ended, self.at_ms));
                }
                false => drop(self.by_activity.insert(activity, TaskChange::Cancel(activity))),
            },
            (_, false) => {
                if !self.undo(activity) {
                    self.by_activity.insert(activity, TaskChange::Drop(activity));
                }
            }
        }
    }

    /// Cancels a start that this turn contains. False if it contains none.
    fn undo(&mut self, activity: EventId) -> bool {
        let Some(change) = self.by_activity.remove(&activity) else { return false };
        if let Some(left) = decided(change) {
            self.by_activity.insert(activity, left);
        }
        true
    }

    /// Whether the row of this attempt was deleted together with its outcome.
    fn is_gone(&self, activity: EventId, attempt: u32) -> bool {
        self.origins.iter().filter(|origin| origin.decided).any(|origin| match &origin.input {
            Input::Attempt { activity: a, attempt: n, .. } => (*a, *n) == (activity, attempt),
            _ => false,
        })
    }
}

/// The activity options that the worker which runs the task needs. Stored: fields are added, never changed.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct TaskLimits {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) start_to_close_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) heartbeat_ms: Option<u64>,
}

impl TaskLimits {
    pub(super) fn of(options: &ActivityOptions) -> Self {
        // A limit that does not fit in 64 bits of milliseconds is no limit.
        let ms = |limit: Duration| u64::try_from(limit.as_millis()).ok();
        let (start_to_close, heartbeat) = (options.start_to_close, options.heartbeat_timeout);
        Self { start_to_close_ms: start_to_close.and_then(ms), heartbeat_ms: heartbeat.and_then(ms) }
    }
}

fn new_task(start: &ActivityStart) -> NewTask {
    let ActivityStart { activity, attempt, name, input, options, scheduled_at_ms, not_before_ms, details } =
        start;
    let queue = options.task_queue.as_deref().map(str::to_owned);
    let run_at_ms = not_before_ms.unwrap_or(*scheduled_at_ms);
    // If the owner runs the attempt, it also applies the limits, and the row does not need the input.
    let elsewhere = queue.is_some();
    let until = |from_ms: i64, limit: Option<Duration>| {
        let limit_ms = i64::try_from(limit.filter(|_| elsewhere)?.as_millis()).ok()?;
        from_ms.checked_add(limit_ms)
    };
    NewTask {
        activity: *activity,
        attempt: *attempt,
        name: (*name).to_owned(),
        input: if elsewhere { input.as_json().to_owned() } else { String::new() },
        limits: to_json(&TaskLimits::of(options)),
        run_at_ms,
        start_by_ms: until(run_at_ms, options.schedule_to_start),
        close_by_ms: until(*scheduled_at_ms, options.schedule_to_close),
        details: details.as_ref().map(|details| details.as_json().to_owned()),
        place: Place::of(name, options.queue_options()),
        queue,
    }
}

#[cfg(test)]
#[path = "task_rows_tests.rs"]
mod tests;
