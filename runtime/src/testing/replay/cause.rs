//! The likely cause of a difference, and what to do about it. It is derived from the recorded event, the
//! command that the code issued instead, and the rest of the history.
//!
//! These are guesses, and worded as such: a replay ends at the first difference, so the further behaviour of
//! the code is unknown.

use super::{difference, words};
use abide_core::{Event, Payload};

/// See the module documentation.
pub(super) struct Cause {
    pub(super) why: String,
    pub(super) advice: String,
    /// Where the values differ, if only values differ.
    pub(super) details: Vec<String>,
}

/// The event that the code had to repeat, the command that it issued instead (`None`: it issued none), and
/// the history.
pub(super) struct Difference<'a> {
    pub(super) expected: &'a Event,
    pub(super) asked: Option<&'a Event>,
    pub(super) at: u64,
    /// The workflow's time at that event.
    pub(super) now_ms: i64,
    pub(super) history: &'a [(u64, i64, &'a Event)],
}

const REPEAT: &str = "let the steps that open runs have recorded stand as they are: new steps go behind \
                      them, or into a workflow of a new name (`#[workflow(name = \"..\")]`) beside the old \
                      one, which stays registered until its runs have ended";
const UNRECORDED: &str = "or a branch depends on something that is not recorded";
/// The most steps that are named.
const NAMED: usize = 3;

/// What to do if only the end differs.
pub(super) const END: &str = "for open runs this is no trouble, since none of them has recorded its end. If \
                              it is meant, record this history anew; else mend it";

impl Difference<'_> {
    pub(super) fn cause(&self) -> Cause {
        let Some(asked) = self.asked else {
            let why = format!("a step was removed, or it waits for something else now, {UNRECORDED}");
            return told(why, REPEAT);
        };
        if let (
            Event::ChildScheduled { workflow_type: old, input: recorded, .. },
            Event::ChildScheduled { workflow_type: new, input: now, .. },
        ) = (self.expected, asked)
            && old == new
            && !recorded.is_same(now)
        {
            return other_input("child", recorded, now);
        }
        if let (
            Event::ActivityScheduled { name: old, input: recorded, .. },
            Event::ActivityScheduled { name: new, input: now, .. },
        ) = (self.expected, asked)
        {
            if old == new {
                return other_input("activity", recorded, now);
            }
            if recorded.is_same(now) && !self.knows_activity(new) {
                return renamed(old, new);
            }
        }
        match (self.expected.is_close(), asked.is_close()) {
            (true, true) => told("it ends in another way: what decides about that was changed", END),
            (false, true) => {
                let why = "today's code ends where the recorded run went on: its last steps were removed, \
                           or it returns early now";
                told(format!("{why}, {UNRECORDED}"), REPEAT)
            }
            (true, false) => {
                told("today's code goes on where the recorded run ended: a step was added at its end", END)
            }
            (false, false) => self.other_step(asked),
        }
    }

    fn other_step(&self, asked: &Event) -> Cause {
        let mut behind = self.history.iter().filter(|(number, ..)| *number > self.at);
        let Some((later, ..)) = behind.find(|(_, at_ms, event)| self.is_asked(event, *at_ms, asked)) else {
            let why = "the history has no such step from here on: it was added, or took the place of another; or a \
                       branch goes another way now, since its condition was changed or depends on what is not recorded";
            return told(why, REPEAT);
        };
        let skipped =
            self.history.iter().filter(|(n, _, event)| (self.at..*later).contains(n) && event.is_command());
        let mut named: Vec<String> =
            skipped.map(|(n, at_ms, event)| format!("event {n}, {}", words::kind(event, *at_ms))).collect();
        if named.len() > NAMED {
            named.truncate(NAMED);
            named.push("and more".to_owned());
        }
        let what = match named.is_empty() {
            true => {
                "it comes too early, by a branch that depends on something that is not recorded".to_owned()
            }
            false => format!("what was before it ({}) was removed, or comes later now", named.join("; ")),
        };
        told(format!("the history has this step as event {later}: {what}"), REPEAT)
    }

    /// Whether a recorded event is the command that the code issued.
    fn is_asked(&self, recorded: &Event, at_ms: i64, asked: &Event) -> bool {
        match (recorded, asked) {
            (
                Event::ActivityScheduled { name: a, input: x, .. },
                Event::ActivityScheduled { name: b, input: y, .. },
            ) => a == b && x.is_same(y),
            (
                Event::ChildScheduled { workflow_type: a, input: x, .. },
                Event::ChildScheduled { workflow_type: b, input: y, .. },
            ) => a == b && x.is_same(y),
            (Event::SideEffect { .. }, Event::SideEffect { .. }) => true,
            // A timer is identified only by its length.
            (a, b) => words::asked(a, at_ms) == words::asked(b, self.now_ms),
        }
    }

    fn knows_activity(&self, wanted: &str) -> bool {
        let mut names = self.history.iter().map(|(.., event)| event);
        names.any(|event| matches!(event, Event::ActivityScheduled { name, .. } if name == wanted))
    }
}

fn told(why: impl Into<String>, advice: impl Into<String>) -> Cause {
    Cause { why: why.into(), advice: advice.into(), details: Vec::new() }
}

fn renamed(old: &str, new: &str) -> Cause {
    let why = format!(
        "activity `{old}` was renamed to `{new}`: the input is the same, and the history knows no `{new}`; or another \
         activity took its place"
    );
    told(
        why,
        format!("if it was renamed, keep the recorded name: `#[activity(name = \"{old}\")]`. Else {REPEAT}"),
    )
}

fn other_input(what: &str, recorded: &Payload, now: &Payload) -> Cause {
    let why = format!(
        "the same {what} with another input: the code that computes it was changed, or a value that changes from run \
         to run went into it"
    );
    let advice = "compute the input as the recorded run did; what changes from run to run comes from \
                  `workflow::side_effect`, `workflow::now` or an activity, and a new field of its type is \
                  `#[serde(default)]`";
    Cause { why, advice: advice.to_owned(), details: difference::between(recorded, now) }
}
