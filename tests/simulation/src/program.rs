//! A workflow program as data: the simulation's only workflow gets its behaviour as input.
//!
//! This is plain data between the generator, which creates it, the interpreter, which runs it, and the model,
//! which knows its possible results. It must be the same in every run of a seed. All times are ms.

use crate::act::{Act, Cancellation, How, Place, scaled};
use crate::revision::{Change, Revision};
use crate::terms::Terms;
use serde::{Deserialize, Serialize};

/// A program: its steps, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
    /// Where the second release of the code differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<Revision>,
    /// The steps of the runs that go on for it, one after the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) lives: Vec<Vec<Step>>,
    /// The pokes that the runs before it have received.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) carried: Vec<u64>,
    /// How it is started.
    #[serde(default, skip_serializing_if = "Terms::is_plain")]
    pub(crate) terms: Terms,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Step {
    /// Calls an activity and waits for it.
    Act(Act),
    Sleep {
        ms: u64,
    },
    /// `workflow::timeout` around inner steps.
    Timeout {
        ms: u64,
        body: Vec<Step>,
    },
    /// `until!` with this number of received pokes, with a limit if there is one.
    Until {
        pokes: u32,
        ms: Option<u64>,
    },
    /// `join!` of two or three branches, `join_all` of more.
    Join {
        branches: Vec<Vec<Step>>,
    },
    /// `try_join!`: a branch that ends the run ends the join and drops the others.
    TryJoin {
        branches: Vec<Vec<Step>>,
    },
    /// Many activities, awaited with a combinator of the `futures` crate.
    Fan {
        how: Fan,
        acts: Vec<Act>,
    },
    /// `select!` of two or three branches, `select_all` of more.
    Select {
        branches: Vec<Vec<Step>>,
    },
    /// `workflow::spawn`, and what happens to the handle.
    Spawn {
        body: Vec<Step>,
        then: Then,
    },
    /// Passes a value that differs in each run to an activity. A replay that draws another value has another
    /// input.
    Draw {
        what: Draw,
        act: Act,
    },
    /// Legs that are undone, the last one first, when the run fails or is cancelled.
    Saga {
        saga: u32,
        legs: Vec<Leg>,
        end: SagaEnd,
    },
    /// `workflow::shielded`.
    Shield {
        body: Vec<Step>,
    },
    /// `workflow::cancelled`: from here on the workflow handles cancellation itself.
    Cancelled,
    /// Pokes a workflow, which may be the run's own, and waits until that is durable.
    Tell {
        to: String,
        /// Differs for each such step of a scenario.
        n: u64,
    },
    /// Starts a child with a program of its own.
    Child(Box<Child>),
    /// Publishes a number into [`HEARD`].
    Publish {
        n: u64,
    },
    /// Ends the run with a value.
    Return,
    /// Ends the run with an error.
    Fail {
        code: u32,
    },
    /// Ends the attempts of the workflow before this one with an error.
    Falter {
        before: u32,
        code: u32,
    },
    /// A bug of the first release. A program has it only through a [`Revision`].
    Panic,
}

/// What happens to a spawned task's handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Then {
    Await,
    Detach,
    /// Aborted after a while, and awaited.
    Abort {
        ms: u64,
    },
}

/// A child, and what its parent does with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Child {
    /// Its name differs for each such step of a scenario.
    pub(crate) program: Program,
    /// Its workflow id, if it does not get one.
    pub(crate) id: Option<String>,
    pub(crate) hold: Hold,
    pub(crate) close: Closes,
    pub(crate) cancellation: Cancellation,
}

/// What a parent does with its child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Hold {
    /// Awaits its call. A drop cancels it.
    Await,
    /// Starts it, pokes it with this number, and awaits its result. A drop cancels nothing.
    Handle { n: u64 },
    /// Starts it and drops the handle.
    Leave,
}

/// Like `abide::ParentClosePolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Closes {
    Terminate,
    Cancel,
    Abandon,
}

/// How many activities are awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fan {
    JoinAll,
    Unordered,
    Ordered,
    Buffered { width: usize },
    BufferUnordered { width: usize },
}

/// The value that a [`Step::Draw`] draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Draw {
    Random,
    Range,
    Uuid,
    Now,
    SideEffect,
}

/// A step of a saga, and the activity that undoes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Leg {
    pub(crate) act: Act,
    pub(crate) undo: Act,
}

/// What happens to a saga after its last leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SagaEnd {
    /// It stays registered: the later end of the run decides.
    Keep,
    /// `compensate()` is called.
    Compensate,
    /// `forget()` is called.
    Forget,
}

impl Program {
    /// Divides all times.
    pub(crate) fn scale(&mut self, by: u64) {
        self.terms.scale(by);
        self.each(&mut |step| step.scale(by));
        if let Some(Revision { change: Change::Add(step), .. }) = &mut self.revision {
            step.scale(by);
        }
    }

    /// Moves some of its short activities into transactions.
    pub(crate) fn with_transactions(&mut self) {
        let short = |act: &Act| act.deeds.iter().all(|deed| deed.ms < 50 && deed.how != How::Hang);
        // A transactional activity cannot publish.
        let fits = |act: &Act| act.options.place == Place::Here && act.items == 0 && short(act);
        let moves = |act: &Act| act.label.is_multiple_of(3) && fits(act);
        self.each(&mut |step| {
            let acts = step.acts_mut().into_iter().filter(|act| moves(act));
            acts.for_each(|act| act.options.place = Place::Within);
        });
    }

    /// Its steps, those of the runs that go on for it, and those of its children.
    pub(crate) fn each(&mut self, change: &mut dyn FnMut(&mut Step)) {
        each(&mut self.steps, change);
        self.lives.iter_mut().for_each(|steps| each(steps, change));
    }

    /// The program of the run that goes on for it, which has received these pokes.
    pub(crate) fn next(&self, pokes: Vec<u64>) -> Option<Self> {
        let (steps, lives) = self.lives.split_first()?;
        let (name, steps, lives) = (self.name.clone(), steps.clone(), lives.to_vec());
        Some(Self { name, steps, revision: None, lives, carried: pokes, terms: self.terms.clone() })
    }

    /// This program, those of the runs that go on for it, and those of all children.
    pub(crate) fn family(&self) -> Vec<Self> {
        let mut all = vec![self.clone()];
        let mut at = 0;
        while let Some(program) = all.get(at).cloned() {
            all.extend(program.next(Vec::new()));
            let children = program.all().into_iter().filter_map(|step| match step {
                Step::Child(child) => Some(child.program.clone()),
                _ => None,
            });
            all.extend(children);
            at += 1;
        }
        all
    }

    /// All its steps, including inner ones; outer steps come first.
    pub(crate) fn all(&self) -> Vec<&Step> {
        all(&self.steps)
    }

    /// The most pokes that a step without a limit waits for.
    pub(crate) fn pokes(&self) -> u32 {
        let steps = self.lives.iter().flat_map(|steps| all(steps));
        let wanted = self.all().into_iter().chain(steps).filter_map(|step| match step {
            Step::Until { pokes, ms: None } if *pokes < NEVER => Some(*pokes),
            _ => None,
        });
        wanted.max().unwrap_or(0)
    }

    /// Whether it may publish.
    pub(crate) fn publishes(&self) -> bool {
        self.family()
            .iter()
            .any(|program| program.all().into_iter().any(|step| matches!(step, Step::Publish { .. })))
    }

    /// Whether an activity of it publishes.
    pub(crate) fn has_items(&self) -> bool {
        let publishes =
            |program: &Self| program.all().iter().flat_map(|step| step.acts()).any(|act| act.items > 0);
        self.family().iter().any(publishes)
    }

    /// Whether it may handle cancellation itself.
    pub(crate) fn listens(&self) -> bool {
        self.all().contains(&&Step::Cancelled)
    }
}

/// The stream of [`Step::Publish`].
pub(crate) const HEARD: &str = "heard";

/// The stream of the activities.
pub(crate) const SAID: &str = "said";

/// More pokes than any script sends.
pub(crate) const NEVER: u32 = 1_000;

fn all(steps: &[Step]) -> Vec<&Step> {
    fn walk<'p>(steps: &'p [Step], all: &mut Vec<&'p Step>) {
        for step in steps {
            all.push(step);
            step.bodies().into_iter().for_each(|body| walk(body, all));
        }
    }
    let mut all = Vec::new();
    walk(steps, &mut all);
    all
}

/// Changes all steps, outer steps and children first.
pub(crate) fn each(steps: &mut [Step], change: &mut dyn FnMut(&mut Step)) {
    for step in steps {
        change(step);
        if let Step::Child(child) = step {
            child.program.each(change);
        }
        step.bodies_mut().into_iter().for_each(|body| each(body, change));
    }
}

impl Step {
    /// Its inner step lists.
    pub(crate) fn bodies(&self) -> Vec<&[Step]> {
        match self {
            Self::Timeout { body, .. } | Self::Spawn { body, .. } | Self::Shield { body } => vec![body],
            Self::Join { branches } | Self::TryJoin { branches } | Self::Select { branches } => {
                branches.iter().map(Vec::as_slice).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Its inner step lists, to be changed.
    pub(crate) fn bodies_mut(&mut self) -> Vec<&mut Vec<Step>> {
        match self {
            Self::Timeout { body, .. } | Self::Spawn { body, .. } | Self::Shield { body } => vec![body],
            Self::Join { branches } | Self::TryJoin { branches } | Self::Select { branches } => {
                branches.iter_mut().collect()
            }
            _ => Vec::new(),
        }
    }

    /// The activities that the step itself calls.
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
            Self::Child(child) => child.program.terms.scale(by),
            _ => self.acts_mut().into_iter().for_each(|act| act.scale(by)),
        }
    }

    /// The same, to be changed.
    pub(crate) fn acts_mut(&mut self) -> Vec<&mut Act> {
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
