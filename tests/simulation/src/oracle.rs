//! Decides whether what happened is allowed: checks every guarantee that can be checked from outside, on
//! plain data.
//!
//! The rules are in `history` (one history alone), `attempts` (what ran), `answers` (what clients were told),
//! `updates`, `withs` (starts that bring a message), `told` (what workflows told others), `chains`, `limits` (attempts
//! and time limits of workflows), `families` (children), `items` (of activities) and `sagas`. This module
//! checks the result of each run, with `model`. `docs/guarantees.md` says what is guaranteed and what is not.

use crate::act::{Cancellation, Role};
use crate::evidence::{Evidence, Findings, RunEvidence, Violation};
use crate::model::{self, Facts};
use crate::program::{Program, Step};
use crate::scenario::{Ask, Conflict};
use crate::value::{Output, Stop};
use crate::{answers, attempts, chains, families, history, items, limits, sagas, told, withs};
use abide::ExecutionStatus;
use abide::history::Event;

/// All rules that this evidence violates. Empty if there are none.
pub(crate) fn check(evidence: &Evidence) -> Vec<Violation> {
    let mut all = Vec::new();
    for run in &evidence.runs {
        let mut findings = Findings { of: run.name(), all: &mut all };
        history::check(run, &mut findings);
        let program = run.program();
        let scripted = match &run.origin {
            Some(origin) if origin.is_child || origin.program.is_some() => origin.program.as_ref(),
            _ => evidence.scenario.program_of(&run.workflow_id),
        };
        let begun = run.events().any(|(_, event)| matches!(event, Event::Started { .. }));
        findings.check(!begun || program.is_some() && program.as_ref() == scripted, "other input", || {
            format!("it was started with {program:?}")
        });
        if let Some(program) = program {
            all.extend(as_programmed(evidence, run, &program));
        }
    }
    attempts::check(evidence, &mut all);
    answers::check(evidence, &mut all);
    told::check(evidence, &mut all);
    chains::check(evidence, &mut all);
    families::check(evidence, &mut all);
    limits::check(evidence, &mut all);
    withs::check(evidence, &mut all);
    items::check(evidence, &mut all);
    all
}

/// The run did what its program allows. If two releases make two programs of it, the whole history is of one
/// of them.
fn as_programmed(evidence: &Evidence, run: &RunEvidence, program: &Program) -> Vec<Violation> {
    let moves = program.moves_timers();
    let of_release = |program: Program| {
        let mut all = Vec::new();
        let mut findings = Findings { of: run.name(), all: &mut all };
        sagas::check(run, &program, &mut findings);
        outcome(evidence, run, (&program, moves), &mut findings);
        cancelled(run, &program, &mut findings);
        all
    };
    program.releases().into_iter().map(of_release).min_by_key(Vec::len).unwrap_or_default()
}

/// The end of the run is possible for its program and for the calls that it received.
fn outcome(evidence: &Evidence, run: &RunEvidence, program: (&Program, bool), findings: &mut Findings<'_>) {
    let asked = |what: &dyn Fn(&Ask) -> bool| evidence.scenario.asks(&run.workflow_id, what);
    match run.events().last() {
        Some((_, Event::Completed { result })) => match result.decode::<Output>() {
            Ok(output) => {
                let ends = output.value.stops() != Some(Stop::Error);
                findings.check(ends, "outcome", || format!("an error is told as a result: {output:?}"));
                value(evidence, run, program, &output, findings);
            }
            Err(error) => findings.add("outcome", format!("its result does not decode: {error}")),
        },
        Some((_, Event::Failed { failure, .. })) => match answers::failed(failure) {
            Some(error) => {
                let fails = error.output.value.stops() == Some(Stop::Error);
                findings.check(fails, "outcome", || format!("a result is told as an error: {error:?}"));
                value(evidence, run, program, &error.output, findings);
            }
            None => {
                findings.add("outcome", format!("it failed with what is no error of its own: {failure:?}"))
            }
        },
        Some((_, Event::Cancelled { .. })) => {
            let requested = cancellation(run).is_some();
            findings.check(requested, "outcome", || "it was cancelled, and nobody asked for that".to_owned());
        }
        Some((_, Event::Terminated { .. })) => {
            let by_start = |ask: &Ask| matches!(ask, Ask::Start { conflict: Conflict::Terminate, .. });
            let terminated = asked(&|ask| matches!(ask, Ask::Terminate { .. }) || by_start(ask))
                || families::is_orphan(evidence, run);
            findings.check(terminated, "outcome", || "it was terminated by nobody".to_owned());
        }
        _ => {}
    }
}

fn value(
    evidence: &Evidence,
    run: &RunEvidence,
    (program, timers_move): (&Program, bool),
    output: &Output,
    findings: &mut Findings<'_>,
) {
    let carried = program.carried.len();
    let pokes = [program.carried.clone(), run.signals("poke")].concat();
    let prefix = pokes.starts_with(&output.pokes);
    findings.check(prefix, "outcome", || {
        format!("it saw pokes {:?}, and the history has {pokes:?}", output.pokes)
    });
    let acts = run.acts();
    let notes = acts.values().filter(|act| act.role != Role::Visit);
    let facts = Facts {
        weather: evidence.weather,
        timers_move,
        pokes: output.pokes.len(),
        attempt: run.attempt().unwrap_or(1),
        early_pokes: carried + run.early("poke"),
        cancelled: cancellation(run).map(|(_, reason)| reason),
        notes: notes.filter_map(|act| Some((act.label, act.note.clone()?))).collect(),
        told: told::answers(run),
        children: families::ends(run),
    };
    model::check(program, output, &facts).into_iter().for_each(|wrong| findings.add("outcome", wrong));
}

/// The first request to cancel that the run took in: the event, and its reason.
fn cancellation(run: &RunEvidence) -> Option<(u64, String)> {
    run.events().find_map(|(number, event)| match event {
        Event::CancelRequested { reason, .. } => Some((number, reason.clone())),
        _ => None,
    })
}

/// A program that does not handle cancellation is dropped by it: after that it issues no commands and does
/// not complete.
fn cancelled(run: &RunEvidence, program: &Program, findings: &mut Findings<'_>) {
    let Some((at, _)) = cancellation(run) else { return };
    let shielded = |step: &&Step| {
        matches!(step, Step::Shield { .. })
            || matches!(step, Step::Saga { end, .. } if *end == crate::program::SagaEnd::Compensate)
    };
    if program.listens() || program.all().iter().any(shielded) {
        return;
    }
    let acts = run.acts();
    for (number, event) in run.events().filter(|(number, _)| *number > at) {
        let goes_on = match event {
            Event::TimerStarted { .. }
            | Event::SideEffect { .. }
            | Event::Published { .. }
            | Event::ChildScheduled { .. }
            | Event::SignalSent { .. } => true,
            Event::ActivityScheduled { .. } => {
                acts.get(&number).is_some_and(|act| matches!(act.role, Role::Plain | Role::Leg { .. }))
            }
            _ => false,
        };
        findings.check(!goes_on, "cancelled", || {
            format!("cancelled by event {at}, it went on: event {number} is {event:?}")
        });
    }
    // A run that had its result waits at its close for activities that it asked to stop, or for messages of
    // the same turn.
    let waits = |step: &&Step| match step {
        Step::Child(child) => child.cancellation == Cancellation::Wait,
        step => step.acts().iter().any(|act| act.options.cancellation == Cancellation::Wait),
    };
    let waits = program.all().iter().any(waits);
    let row = run.history.iter().find(|row| (row.seq.0..row.seq.0 + row.events.len() as u64).contains(&at));
    let closes = row.is_some_and(|row| row.events.iter().any(Event::is_close));
    let completed = run.status == ExecutionStatus::Completed;
    findings.check(!completed || waits || closes, "cancelled", || {
        format!("cancelled by event {at}, it completed")
    });
}
