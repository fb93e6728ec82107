//! Looking at an execution without changing it: `describe` and queries.

use super::program::QueryFault;
use super::tasks::panic_message;
use super::{Execution, context};
use crate::failure::FailureRecord;
use crate::payload::Payload;
use serde::{Deserialize, Serialize};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// An activity that has not ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PendingActivity {
    /// Its id in the execution: the number of its `ActivityScheduled` event.
    pub id: u64,
    /// Its type.
    pub name: String,
    /// The current attempt, from 1.
    pub attempt: u32,
    /// When the current attempt is due, if it waits for a back-off: ms since the Unix epoch.
    pub next_attempt_at_ms: Option<i64>,
    /// How the last attempt failed.
    pub last_failure: Option<FailureRecord>,
    /// The workflow dropped it, and it is asked to stop.
    pub cancel_requested: bool,
    /// Where the workflow waits for it.
    pub site: Option<String>,
}

/// A timer that has not fired.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PendingTimer {
    /// Its id in the execution.
    pub id: u64,
    /// When it is due: ms since the Unix epoch.
    pub fire_at_ms: i64,
    /// Where the workflow waits for it.
    pub site: Option<String>,
}

/// What a live execution waits for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Description {
    /// Activities that have not ended.
    pub activities: Vec<PendingActivity>,
    /// Timers that have not fired.
    pub timers: Vec<PendingTimer>,
    /// The await points that it waits at: `file:line:column` and the source text.
    pub awaiting: Vec<String>,
    /// Signals that no handler took, by name.
    pub unhandled_signals: Vec<String>,
    /// The number of events.
    pub history_len: u64,
}

impl Execution {
    /// What it waits for.
    pub fn describe(&self) -> Description {
        let activities = self.ctx.activities.borrow();
        let timers = self.ctx.timers.borrow();
        let mut awaiting: Vec<String> = activities
            .open()
            .filter(|(_, a)| !a.cancel_requested)
            .filter_map(|(_, a)| a.site)
            .chain(timers.open().filter_map(|(_, t)| t.site))
            .chain(self.ctx.state_waiter_sites())
            .map(ToString::to_string)
            .collect();
        awaiting.sort();
        awaiting.dedup();
        Description {
            activities: activities.open().map(|(id, a)| pending_activity(id.0, a)).collect(),
            timers: timers
                .open()
                .map(|(id, t)| PendingTimer {
                    id: id.0,
                    fire_at_ms: t.fire_at_ms,
                    site: t.site.map(ToString::to_string),
                })
                .collect(),
            awaiting,
            unhandled_signals: self.unhandled.values().map(|(name, _)| name.clone()).collect(),
            history_len: self.history_len(),
        }
    }

    /// Answers a query from the current state.
    pub fn query(&self, name: &str, input: &Payload) -> Result<Result<Payload, FailureRecord>, QueryFault> {
        // A query may draw random numbers, but must leave the workflow's own sequence alone.
        let rng = self.ctx.rng.borrow().clone();
        self.ctx.read_only.set(true);
        let answer = {
            let _entered = context::enter(&self.ctx);
            catch_unwind(AssertUnwindSafe(|| self.program.query(name, input)))
        };
        self.ctx.read_only.set(false);
        *self.ctx.rng.borrow_mut() = rng;
        answer.unwrap_or_else(|panic| Err(QueryFault::Panicked(panic_message(&*panic))))
    }
}

fn pending_activity(id: u64, activity: &super::activities::Activity) -> PendingActivity {
    PendingActivity {
        id,
        name: activity.name.to_owned(),
        attempt: activity.attempt,
        next_attempt_at_ms: activity.next_at_ms,
        last_failure: activity.last_failure.clone(),
        cancel_requested: activity.cancel_requested,
        site: activity.site.map(ToString::to_string),
    }
}
