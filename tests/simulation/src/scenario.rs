//! A scenario: programs, and what clients do with them at which time. Plain data, created by `generate`.

use crate::act::{Act, Place, scaled};
use crate::program::Program;
use std::fmt;

/// Everything that a seed decides, except the faults.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) programs: Vec<Program>,
    pub(crate) actors: Vec<Actor>,
}

/// A client that executes its lines one after the other. Several clients may share a workflow id.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Actor {
    pub(crate) workflow_id: String,
    /// The index of the program that it starts.
    pub(crate) program: usize,
    pub(crate) lines: Vec<Line>,
}

/// One line of an actor's script.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    /// The earliest time, in ms since the beginning.
    pub(crate) at: u64,
    /// The process that is used, modulo the number of processes.
    pub(crate) process: u32,
    pub(crate) ask: Ask,
}

/// The operation that is called.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ask {
    Start {
        request: String,
        reuse: Reuse,
        conflict: Conflict,
    },
    /// A start that brings a message with this number, to the open run if there is one.
    StartWith {
        request: String,
        n: u64,
        brings: Brings,
        /// The message has a request id of its own.
        own: bool,
    },
    Poke {
        request: String,
        n: u64,
        to: To,
    },
    Visit {
        request: String,
        n: u64,
        to: To,
    },
    /// An update, whose handler awaits an activity if it `weighs`.
    Count {
        request: String,
        n: u64,
        weighs: bool,
        to: To,
    },
    Query,
    Cancel {
        request: String,
    },
    Terminate {
        request: String,
    },
    /// The last line: the newest run gets the pokes that its program needs, and the results of all started
    /// runs are awaited. So no run waits for ever.
    Settle,
}

/// The message that a start brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Brings {
    Poke,
    Visit,
    /// An update, whose handler awaits an activity if it `weighs`.
    Count {
        weighs: bool,
    },
}

impl Brings {
    /// The name of the handler.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Poke => "poke",
            Self::Visit => "visit",
            Self::Count { weighs: false } => "count",
            Self::Count { weighs: true } => "weigh",
        }
    }

    /// The request id of the message in a history. `own`: it has one of its own.
    pub(crate) fn id(self, request: &str, own: bool) -> String {
        match self {
            _ if own => format!("{request}/own"),
            Self::Poke | Self::Visit => format!("abide/with/0/{request}"),
            Self::Count { .. } => request.to_owned(),
        }
    }
}

/// The target of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    /// The run that the actor started last.
    Run,
    /// The newest run of the workflow id.
    Id,
}

/// Like `abide::IdReusePolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reuse {
    Allow,
    FailedOnly,
    Reject,
}

/// Like `abide::IdConflictPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Conflict {
    Fail,
    UseExisting,
    Terminate,
}

impl Scenario {
    /// Divides all times, for real clocks.
    pub(crate) fn scale(mut self, by: u64) -> Self {
        self.programs.iter_mut().for_each(|program| program.scale(by));
        let lines = self.actors.iter_mut().flat_map(|actor| &mut actor.lines);
        lines.for_each(|line| line.at = scaled(line.at, by));
        self
    }

    /// Moves some activities into transactions, for real databases.
    pub(crate) fn with_transactions(mut self) -> Self {
        self.programs.iter_mut().for_each(Program::with_transactions);
        self
    }

    /// Whether an activity may hang for as long as a step beside it takes. It keeps a slot all that time.
    pub(crate) fn hangs(&self) -> bool {
        let hangs = |act: &Act| act.is_endless() && act.options.place != Place::Nowhere;
        let family = self.programs.iter().flat_map(Program::family);
        family.into_iter().any(|program| program.all().iter().flat_map(|step| step.acts()).any(hangs))
    }

    /// Whether two releases of its code differ.
    pub(crate) fn is_revised(&self) -> bool {
        self.programs.iter().any(|program| program.revision.is_some())
    }

    /// The program of this workflow id's runs.
    pub(crate) fn program_of(&self, workflow_id: &str) -> Option<&Program> {
        let actor = self.actors.iter().find(|actor| actor.workflow_id == workflow_id)?;
        self.programs.get(actor.program)
    }

    /// Whether a matching call is made for this workflow id.
    pub(crate) fn asks(&self, workflow_id: &str, what: impl Fn(&Ask) -> bool) -> bool {
        let mut actors = self.actors.iter().filter(|actor| actor.workflow_id == workflow_id);
        actors.any(|actor| actor.lines.iter().any(|line| what(&line.ask)))
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { request, reuse, conflict } => {
                write!(f, "start `{request}`")?;
                if *reuse != Reuse::Allow {
                    write!(f, ", of closed runs {reuse:?}")?;
                }
                if *conflict != Conflict::Fail {
                    write!(f, ", of open runs {conflict:?}")?;
                }
                Ok(())
            }
            Self::StartWith { request, n, brings, own } => {
                let own = if *own { ", which has its own id" } else { "" };
                write!(f, "start `{request}` with {} {n}{own}", brings.name())
            }
            Self::Poke { request, n, to } => write!(f, "poke {n} `{request}` to {to:?}"),
            Self::Visit { request, n, to } => write!(f, "visit {n} `{request}` to {to:?}"),
            Self::Count { request, n, weighs, to } => {
                let verb = if *weighs { "weigh" } else { "count" };
                write!(f, "{verb} {n} `{request}` to {to:?}")
            }
            Self::Query => f.write_str("query"),
            Self::Cancel { request } => write!(f, "cancel `{request}`"),
            Self::Terminate { request } => write!(f, "terminate `{request}`"),
            Self::Settle => f.write_str("settle"),
        }
    }
}

/// Prints one step per line.
impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for program in &self.programs {
            writeln!(f, "program {}", program.name)?;
            crate::describe::program(f, program, 1)?;
            program.revision.iter().try_for_each(|revision| crate::describe::revision(f, revision))?;
        }
        for (number, actor) in self.actors.iter().enumerate() {
            let name = self.programs.get(actor.program).map_or("?", |program| &program.name);
            writeln!(f, "actor {number}: workflow id {}, program {name}", actor.workflow_id)?;
            for Line { at, process, ask } in &actor.lines {
                writeln!(f, "  at {at} by process {process}: {ask}")?;
            }
        }
        Ok(())
    }
}
