//! A workflow program as data: what the one workflow of the simulation does is its input.
//!
//! Plain data between the generator, which makes it, the interpreter, which runs it, and the model, which says what it may
//! come to. It must never hold anything that is not the same in every run of a seed. All times are ms.

use serde::{Deserialize, Serialize};

/// The label of the activities that the handler of `visit` runs; a program's own begin above it.
pub(crate) const VISIT: u32 = 0;

/// A program: its steps, one after the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
    /// Where the second release of the code does otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<Revision>,
}

/// What the second release does otherwise, at this place of the outermost steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Revision {
    pub(crate) at: usize,
    pub(crate) change: Change,
}

/// How two releases differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Change {
    /// The second one does this as well.
    Add(Step),
    /// The second one leaves this step out.
    LeaveOut,
    /// The first one panics there.
    Mend,
}

/// What the first release panics with where the second is [`Change::Mend`].
pub(crate) const BUG: &str = "a bug of the first release";

/// A build of the workflow's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Release {
    First,
    Second,
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

/// A call of the one activity: what it is told to do, and the options of the call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Act {
    /// Names the place in the program that calls it: one label, one call in a run. Visits share [`VISIT`].
    pub(crate) label: u32,
    pub(crate) role: Role,
    /// What a [`Step::Draw`] drew, or which visit it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
    /// What each attempt does; attempts beyond the last one do as that one. Never empty.
    pub(crate) deeds: Vec<Deed>,
    pub(crate) options: Options,
    pub(crate) on_error: OnError,
}

/// What an activity is for, in the eyes of the oracle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Role {
    Plain,
    /// Its success registers what undoes it with this saga.
    Leg {
        saga: u32,
    },
    Undo {
        saga: u32,
    },
    /// Run by a signal's handler.
    Visit,
}

/// What the workflow does with an activity's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum OnError {
    /// Notes it and goes on.
    Keep,
    /// Ends with it, as `?` does.
    Raise,
}

/// What one attempt does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Deed {
    pub(crate) ms: u64,
    pub(crate) how: How,
    /// Whether it stops when its token says so.
    pub(crate) heeds: bool,
}

/// How an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum How {
    Return,
    /// An error that another attempt may mend.
    Retry,
    /// An error that none mends.
    Refuse,
    /// Not by itself: it waits for its token.
    Hang,
}

/// The options of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Options {
    pub(crate) start_to_close: Option<u64>,
    pub(crate) schedule_to_close: Option<u64>,
    pub(crate) schedule_to_start: Option<u64>,
    /// 0: without limit.
    pub(crate) max_attempts: u32,
    pub(crate) backoff: u64,
    pub(crate) cancellation: Cancellation,
    pub(crate) place: Place,
}

/// As `abide::CancellationType`, which does not serialize.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Cancellation {
    #[default]
    Try,
    Wait,
    Abandon,
}

/// Where an activity runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    /// In the worker that runs the workflow.
    #[default]
    Here,
    /// By the workers of [`AWAY`](crate::effects::AWAY).
    Away,
    /// On a task queue that nobody serves.
    Nowhere,
    /// In the worker that runs the workflow, in a transaction of its database. Only where there is one.
    Within,
}

impl Act {
    /// One that returns at once.
    pub(crate) fn new(label: u32) -> Self {
        let deeds = vec![Deed { ms: 0, how: How::Return, heeds: false }];
        let options = Options { backoff: 10, ..Options::default() };
        Self { label, role: Role::Plain, note: None, deeds, options, on_error: OnError::Keep }
    }

    /// That of the handler of `visit`. A handler's activity never fails, whatever happens.
    pub(crate) fn visit(n: u64) -> Self {
        Self { role: Role::Visit, note: Some(n.to_string()), ..Self::new(VISIT) }
    }

    /// What this attempt does; they count from 1.
    pub(crate) fn deed(&self, attempt: u32) -> Deed {
        let last = self.deeds.len().saturating_sub(1);
        let at = usize::try_from(attempt.saturating_sub(1)).unwrap_or(last).min(last);
        self.deeds.get(at).copied().unwrap_or(Deed { ms: 0, how: How::Return, heeds: false })
    }

    /// What it returns when it returns: from its input alone.
    pub(crate) fn result(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ u64::from(self.label);
        for byte in self.note.iter().flat_map(|note| note.bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        // JSON's numbers are exact for every reader up to 2^53.
        hash.wrapping_mul(0x0100_0000_01b3) >> 12
    }

    /// Whether it runs without end, also where attempts of it are lost: nobody serves it or it hangs, and nothing limits
    /// it.
    pub(crate) fn is_endless(&self) -> bool {
        let Options { start_to_close, schedule_to_close, schedule_to_start, max_attempts, place, .. } =
            &self.options;
        if schedule_to_close.is_some() {
            return false;
        }
        if *place == Place::Nowhere {
            return schedule_to_start.is_none();
        }
        let deeds = self.deeds.len() as u32;
        let tried = if *max_attempts == 0 { deeds } else { deeds.min(*max_attempts) };
        let late = |deed: Deed| start_to_close.is_some_and(|limit| deed.ms >= limit);
        let ends = |attempt| match self.deed(attempt) {
            Deed { how: How::Hang, .. } if start_to_close.is_none() => Some(*max_attempts != 0),
            Deed { how: How::Hang | How::Retry, .. } => None,
            deed => (!late(deed)).then_some(true),
        };
        let decided = (1..=tried).find_map(ends);
        !decided.unwrap_or(*max_attempts != 0)
    }

    fn scale(&mut self, by: u64) {
        self.deeds.iter_mut().for_each(|deed| deed.ms = scaled(deed.ms, by));
        let options = &mut self.options;
        let limits =
            [&mut options.start_to_close, &mut options.schedule_to_close, &mut options.schedule_to_start];
        limits.into_iter().flatten().for_each(|ms| *ms = scaled(*ms, by));
        options.backoff = scaled(options.backoff, by);
    }
}

/// A time made shorter; what was not nothing stays something.
pub(crate) fn scaled(ms: u64, by: u64) -> u64 {
    ms.div_ceil(by.max(1))
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

    /// What this release makes of it.
    pub(crate) fn of(mut self, release: Release) -> Self {
        let Some(Revision { at, change }) = self.revision.take() else { return self };
        match (change, release) {
            (Change::Add(step), Release::Second) => self.steps.insert(at, step),
            (Change::LeaveOut, Release::Second) => drop(self.steps.remove(at)),
            (Change::Mend, Release::First) => self.steps.insert(at, Step::Panic),
            _ => {}
        }
        self
    }

    /// What its releases make of it: one, or two.
    pub(crate) fn releases(&self) -> Vec<Self> {
        let second = self.revision.is_some().then_some(Release::Second);
        [Some(Release::First), second].into_iter().flatten().map(|release| self.clone().of(release)).collect()
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
