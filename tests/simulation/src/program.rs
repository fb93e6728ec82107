//! A workflow program as data: what the one workflow of the simulation does is its input.
//!
//! Plain data between the generator, which makes it, the interpreter, which runs it, and the model, which says what it may
//! come to. It must never hold anything that is not the same in every run of a seed. All times are ms.

use crate::act::{Act, How, Place, scaled};
use crate::revision::{Change, Revision};
use serde::{Deserialize, Serialize};

/// A program: its steps, one after the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
    /// Where the second release of the code does otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<Revision>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Step {
    /// Calls an activity and waits for it.
    Act(Act),
    Sleep {
        ms: u64,
    },
    /// `workflow::timeout` around a sub-program.
    Timeout {
        ms: u64,
        body: Vec<Step>,
    },
    /// `until!` so many pokes were received; with a limit if there is one.
    Until {
        pokes: u32,
        ms: Option<u64>,
    },
    /// `join!` of two or three branches, `join_all` of more.
    Join {
        branches: Vec<Vec<Step>>,
    },
    /// `try_join!`: a branch that ends the run ends the join, and drops the others.
    TryJoin {
        branches: Vec<Vec<Step>>,
    },
    /// Many activities by a combinator of the `futures` crate.
    Fan {
        how: Fan,
        acts: Vec<Act>,
    },
    /// `select!` of two or three branches, `select_all` of more.
    Select {
        branches: Vec<Vec<Step>>,
    },
    /// `workflow::spawn`, and what becomes of the handle.
    Spawn {
        body: Vec<Step>,
        then: Then,
    },
    /// Gives something that differs in each run to an activity: a replay that draws otherwise has another input.
    Draw {
        what: Draw,
        act: Act,
    },
    /// Legs that are undone, the last first, when the run fails or is cancelled.
    Saga {
        saga: u32,
        legs: Vec<Leg>,
        end: SagaEnd,
    },
    /// `workflow::shielded`.
    Shield {
        body: Vec<Step>,
    },
    /// `workflow::cancelled`: from here on the workflow decides for itself.
    Cancelled,
    /// Ends the run with a value.
    Return,
    /// Ends the run with an error.
    Fail {
        code: u32,
    },
    /// A bug of the first release; no program has it but by a [`Revision`].
    Panic,
}

/// What becomes of a spawned task's handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Then {
    Await,
    Detach,
    /// Aborted after a while, and awaited.
    Abort {
        ms: u64,
    },
}

/// How many activities are awaited at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fan {
    JoinAll,
    Unordered,
    Ordered,
    Buffered { width: usize },
    BufferUnordered { width: usize },
}

/// What a [`Step::Draw`] draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Draw {
    Random,
    Range,
    Uuid,
    Now,
    SideEffect,
}

/// A step of a saga, and what undoes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Leg {
    pub(crate) act: Act,
    pub(crate) undo: Act,
}

/// What becomes of a saga after its last leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SagaEnd {
    /// It stays registered: whatever ends the run later decides.
    Keep,
    /// `compensate()` by hand.
    Compensate,
    /// `forget()`.
    Forget,
}

impl Program {
    /// The same with all times divided.
    pub(crate) fn scale(&mut self, by: u64) {
        each(&mut self.steps, &mut |step| step.scale(by));
        if let Some(Revision { change: Change::Add(step), .. }) = &mut self.revision {
            step.scale(by);
        }
    }

    /// The same with some of its short activities in transactions.
    pub(crate) fn with_transactions(&mut self) {
        let short = |act: &Act| act.deeds.iter().all(|deed| deed.ms < 50 && deed.how != How::Hang);
        let moves = |act: &Act| act.label.is_multiple_of(3) && act.options.place == Place::Here && short(act);
        each(&mut self.steps, &mut |step| {
            let acts = step.acts_mut().into_iter().filter(|act| moves(act));
            acts.for_each(|act| act.options.place = Place::Within);
        });
    }

    /// All its steps, those within others too, outer ones first.
    pub(crate) fn all(&self) -> Vec<&Step> {
        fn walk<'p>(steps: &'p [Step], all: &mut Vec<&'p Step>) {
            for step in steps {
                all.push(step);
                step.bodies().into_iter().for_each(|body| walk(body, all));
            }
        }
        let mut all = Vec::new();
        walk(&self.steps, &mut all);
        all
    }

    /// The most pokes that a step without a limit waits for.
    pub(crate) fn pokes(&self) -> u32 {
        let wanted = self.all().into_iter().filter_map(|step| match step {
            Step::Until { pokes, ms: None } if *pokes < NEVER => Some(*pokes),
            _ => None,
        });
        wanted.max().unwrap_or(0)
    }

    /// Whether it may listen for cancellation.
    pub(crate) fn listens(&self) -> bool {
        self.all().contains(&&Step::Cancelled)
    }
}

/// More pokes than any script sends.
pub(crate) const NEVER: u32 = 1_000;

fn each(steps: &mut [Step], change: &mut impl FnMut(&mut Step)) {
    for step in steps {
        change(step);
        step.bodies_mut().into_iter().for_each(|body| each(body, change));
    }
}

impl Step {
    /// The sub-programs in it.
    pub(crate) fn bodies(&self) -> Vec<&[Step]> {
        match self {
            Self::Timeout { body, .. } | Self::Spawn { body, .. } | Self::Shield { body } => vec![body],
            Self::Join { branches } | Self::TryJoin { branches } | Self::Select { branches } => {
                branches.iter().map(Vec::as_slice).collect()
            }
            _ => Vec::new(),
        }
    }

    fn bodies_mut(&mut self) -> Vec<&mut [Step]> {
        match self {
            Self::Timeout { body, .. } | Self::Spawn { body, .. } | Self::Shield { body } => vec![body],
            Self::Join { branches } | Self::TryJoin { branches } | Self::Select { branches } => {
                branches.iter_mut().map(Vec::as_mut_slice).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The activities that it calls itself.
    pub(crate) fn acts(&self) -> Vec<&Act> {
        match self {
            Self::Act(act) | Self::Draw { act, .. } => vec![act],
            Self::Fan { acts, .. } => acts.iter().collect(),
            Self::Saga { legs, .. } => legs.iter().flat_map(|leg| [&leg.act, &leg.undo]).collect(),
            _ => Vec::new(),
        }
    }

    fn scale(&mut self, by: u64) {
        match self {
            Self::Sleep { ms }
            | Self::Timeout { ms, .. }
            | Self::Until { ms: Some(ms), .. }
            | Self::Spawn { then: Then::Abort { ms }, .. } => {
                *ms = scaled(*ms, by);
            }
            _ => self.acts_mut().into_iter().for_each(|act| act.scale(by)),
        }
    }

    fn acts_mut(&mut self) -> Vec<&mut Act> {
        match self {
            Self::Act(act) | Self::Draw { act, .. } => vec![act],
            Self::Fan { acts, .. } => acts.iter_mut().collect(),
            Self::Saga { legs, .. } => {
                legs.iter_mut().flat_map(|leg| [&mut leg.act, &mut leg.undo]).collect()
            }
            _ => Vec::new(),
        }
    }
}
