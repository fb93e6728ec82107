//! Checks children: each is started with what its parent gave it, its parent has exactly its end, and a parent
//! that asked for it closes after it.

use crate::act::Cancellation;
use crate::chains;
use crate::evidence::{Evidence, Findings, RunEvidence, Violation};
use crate::program::{Child, Closes, Program, Step};
use crate::value::{Output, ScriptFailed, Seen};
use abide::ExecutionStatus;
use abide::history::{ChildEnd, Event};
use std::collections::{BTreeMap, BTreeSet};

/// A child in its parent's history.
pub(crate) struct Scheduled<'r> {
    pub(crate) number: u64,
    pub(crate) workflow_id: &'r str,
    pub(crate) run_id: &'r str,
    pub(crate) program: Option<Program>,
    /// It was refused, or given up before it was started.
    pub(crate) unborn: bool,
    /// It may have been refused: the run has closed before the answer.
    in_doubt: bool,
    /// Whether it was asked to cancel before its end.
    asked: bool,
    end: Option<&'r ChildEnd>,
}

/// The children of a run.
pub(crate) fn of(run: &RunEvidence) -> Vec<Scheduled<'_>> {
    let mut all: BTreeMap<u64, Scheduled<'_>> = BTreeMap::new();
    for (number, event) in run.events() {
        match event {
            Event::ChildScheduled { workflow_id, run_id, input, named, .. } => {
                let program = input.decode::<(Program,)>().ok().map(|(program,)| program);
                let (unborn, in_doubt, asked, end) = (false, *named, false, None);
                all.insert(
                    number,
                    Scheduled { number, workflow_id, run_id, program, unborn, in_doubt, asked, end },
                );
            }
            Event::Answered { command, refused } => {
                all.get_mut(&command.0)
                    .into_iter()
                    .for_each(|child| (child.unborn, child.in_doubt) = (refused.is_some(), false));
            }
            Event::ChildCancelRequested { child, unborn } => {
                all.get_mut(&child.0)
                    .into_iter()
                    .for_each(|child| (child.unborn, child.asked) = (child.unborn || *unborn, true));
            }
            Event::ChildEnded { child, end } => {
                all.get_mut(&child.0).into_iter().for_each(|child| child.end = Some(end));
            }
            _ => {}
        }
    }
    all.into_values().collect()
}

/// How the children of a run have ended, as it was told, by the names of their programs.
pub(crate) fn ends(run: &RunEvidence) -> BTreeMap<String, Seen> {
    let refused: BTreeSet<u64> = run.events().filter_map(|(_, event)| refused(event)).collect();
    let seen = |child: Scheduled<'_>| {
        let name = child.program?.name;
        match child.end {
            Some(end) => Some((name, seen(end))),
            None => refused.contains(&child.number).then_some((name, Seen::Taken)),
        }
    };
    of(run).into_iter().filter_map(seen).collect()
}

fn refused(event: &Event) -> Option<u64> {
    if let Event::Answered { command, refused: Some(_) } = event { Some(command.0) } else { None }
}

fn seen(end: &ChildEnd) -> Seen {
    let other = || Seen::Other(format!("{end:?}"));
    match end {
        ChildEnd::Completed(result) => {
            result.decode::<Output>().map_or_else(|_| other(), |output| Seen::Completed(Box::new(output)))
        }
        ChildEnd::Failed(failure) => {
            let error = failure.data.as_ref().and_then(|data| data.decode::<ScriptFailed>().ok());
            error.map_or_else(other, |error| Seen::Failed(Box::new(error.output)))
        }
        ChildEnd::Cancelled => Seen::Cancelled,
        ChildEnd::Terminated => Seen::Terminated,
        ChildEnd::TimedOut(_) => Seen::TimedOut,
        _ => other(),
    }
}

/// Checks all runs.
pub(crate) fn check(evidence: &Evidence, all: &mut Vec<Violation>) {
    for run in &evidence.runs {
        let mut findings = Findings { of: run.name(), all };
        let program = run.program();
        for child in of(run) {
            let scripted = program.as_ref().and_then(|program| step(program, &child));
            findings.check(scripted.is_some(), "child", || {
                format!("child {} is in no step of its program", child.number)
            });
            if let Some(scripted) = scripted {
                ended(evidence, run, &child, &scripted, &mut findings);
            }
        }
    }
}

/// The step that started it.
fn step(program: &Program, child: &Scheduled<'_>) -> Option<Child> {
    let all = program.all().into_iter().filter_map(|step| match step {
        Step::Child(scripted) => Some(scripted),
        _ => None,
    });
    let mut mine = all.filter(|scripted| Some(&scripted.program) == child.program.as_ref());
    mine.next().map(|scripted| (**scripted).clone())
}

fn ended(
    evidence: &Evidence,
    run: &RunEvidence,
    child: &Scheduled<'_>,
    scripted: &Child,
    findings: &mut Findings<'_>,
) {
    let chain = chains::from(evidence, child.run_id);
    let number = child.number;
    let closed_with_it = run.history.last().is_some_and(|row| row.seq.0 <= number);
    let Some(first) = chain.first() else {
        // A run that closes starts only children that go on alone.
        let dropped = closed_with_it && scripted.close != Closes::Abandon;
        return findings.check(child.unborn || child.in_doubt || dropped, "child", || {
            format!("child {number} is nowhere")
        });
    };
    findings.check(!child.unborn && first.workflow_id == child.workflow_id, "child", || {
        format!("child {number} is {}, and should not be", first.name())
    });
    let last = chain.last().and_then(|run| run.events().last()).map(|(_, event)| event);
    let real = last.and_then(Event::child_end);
    findings.check(child.end.is_none_or(|end| real.as_ref() == Some(end)), "child", || {
        format!("child {number} is told to have ended with {:?}, and it ended with {last:?}", child.end)
    });
    // Without code, nothing waits.
    let waits = child.asked && scripted.cancellation == Cancellation::Wait;
    let without_code = matches!(run.status, ExecutionStatus::Terminated | ExecutionStatus::TimedOut);
    let waited = child.end.is_some() || without_code;
    findings.check(!waits || waited, "child", || format!("it closed before the end of child {number}"));
}

/// Whether a run may have been terminated or asked to cancel because its parent has closed.
pub(crate) fn is_orphan(evidence: &Evidence, run: &RunEvidence) -> bool {
    let mut parents = evidence.runs.iter().filter(|parent| !parent.status.is_open());
    parents.any(|parent| of(parent).iter().any(|child| child.workflow_id == run.workflow_id))
}
