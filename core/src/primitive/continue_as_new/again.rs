//! What the next run is, as the workflow's code has asked for it.

use crate::code::Code;
use crate::event::Event;
use crate::exec::suspension::Suspension;
use crate::payload::Payload;
use crate::policy::{MAX_QUEUE_CHARS, millis};
use std::time::Duration;

/// The next run.
#[derive(Clone, Debug)]
pub(crate) struct Again {
    pub(crate) workflow_type: &'static str,
    /// `None`: that of this run.
    pub(crate) task_queue: Option<String>,
    pub(crate) delay: Option<Duration>,
    pub(crate) input: Payload,
}

impl Again {
    /// Why a run of type `this` cannot go on as this one, if so. `by_run`: `run` asks for it, not a handler or a
    /// spawned task.
    pub(crate) fn check(&self, this: &str, by_run: bool) -> Result<(), Suspension> {
        if !by_run && self.workflow_type != this {
            return Err(Suspension::other_workflow(this, self.workflow_type));
        }
        let chars = self.task_queue.as_ref().map(|queue| queue.chars().count());
        match chars {
            None | Some(1..=MAX_QUEUE_CHARS) => Ok(()),
            Some(chars) => Err(Suspension::new(
                Code::InvalidId,
                format!("the task queue of the next run has {chars} characters: a name has 1 to 1,000"),
            )),
        }
    }

    /// The closing event of a run of type `this`. The worker names the next run in it.
    pub(crate) fn event(self, this: &str) -> Event {
        let Self { workflow_type, task_queue, delay, input } = self;
        Event::ContinuedAsNew {
            next: None,
            workflow_type: (workflow_type != this).then(|| workflow_type.to_owned()),
            task_queue,
            delay_ms: delay.map(millis).filter(|ms| *ms > 0),
            input,
        }
    }
}
