//! A command that differs from the recorded one, and how it is reported.

use super::suspension::{Suspension, shown};
use crate::code::Code;
use crate::event::Event;
use crate::ids::EventId;
use crate::payload::Payload;
use crate::site::Site;

/// A command that differs from the recorded one.
#[derive(Debug)]
pub(crate) struct Mismatch {
    pub(crate) at: EventId,
    pub(crate) expected: Event,
    pub(crate) got: Option<Event>,
}

impl Mismatch {
    pub(crate) fn into_suspension(self, site: Option<&'static Site>) -> Suspension {
        let asked = self.asked();
        let cause = match (&self.expected, &self.got) {
            (Event::ActivityScheduled { name: a, .. }, Some(Event::ActivityScheduled { name: b, .. }))
                if a == b =>
            {
                "the same activity with another input: a value that changes between runs went into it, or the code \
                 that computes it was changed under this run"
            }
            (
                Event::ChildScheduled { workflow_type: a, workflow_id: old, .. },
                Some(Event::ChildScheduled { workflow_type: b, workflow_id: new, .. }),
            ) if a == b && old == new => {
                "the same child with another input: a value that changes between runs went into it, or the code \
                 that computes it was changed under this run"
            }
            (_, None) => {
                "a step was removed under this run, or a branch depends on something that is not recorded"
            }
            _ => {
                "steps were added, removed or put in another order under this run, or a branch depends on something \
                 that is not recorded"
            }
        };
        let message = format!(
            "history and code differ: event {} is {}, but the code asked for {asked}. Likely cause: {cause}. Deploy \
             code that repeats this history: a worker of that build takes it up",
            self.at,
            self.expected.describe(),
        );
        let values: Vec<String> = [("Recorded", Some(&self.expected)), ("Now", self.got.as_ref())]
            .into_iter()
            .filter_map(|(when, event)| Some(format!("{when}: {}", shown(value_of(event?)?))))
            .collect();
        let values = (!values.is_empty()).then(|| values.join(". "));
        Suspension { values, ..Suspension::new(Code::Mismatch, message).at(site) }
    }

    /// Describes the command that the code asked for, and the first difference if only the input differs.
    fn asked(&self) -> String {
        let Some(got) = &self.got else { return "nothing more".to_owned() };
        match (&self.expected, got) {
            (
                Event::ActivityScheduled { name: old, input: recorded, .. },
                Event::ActivityScheduled { name: new, input: now, .. },
            )
            | (
                Event::ChildScheduled { workflow_type: old, input: recorded, .. },
                Event::ChildScheduled { workflow_type: new, input: now, .. },
            ) if old == new && !recorded.is_same(now) => {
                let at = recorded.differs_at(now).map(|at| format!(", which differs first {at}"));
                let bytes = now.as_json().len();
                format!("it with an input of {bytes} bytes{}", at.unwrap_or_default())
            }
            _ => got.describe(),
        }
    }
}

/// The value of a recorded command or input.
fn value_of(event: &Event) -> Option<&Payload> {
    match event {
        Event::Started { input, .. }
        | Event::Signaled { input, .. }
        | Event::ActivityScheduled { input, .. }
        | Event::ChildScheduled { input, .. } => Some(input),
        Event::ActivityCompleted { result, .. } | Event::Completed { result } => Some(result),
        // A request that a replay makes has no value yet.
        _ => None,
    }
}

#[cfg(test)]
#[path = "mismatch_tests.rs"]
mod tests;
