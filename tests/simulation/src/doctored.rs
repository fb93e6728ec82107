//! Hand-made evidence without violations, for tests that change one detail of it.
//!
//! It has three runs: `w0` needs a second attempt, is poked, and fails with a saga of two legs; `w1` sleeps
//! and completes; `w2` is cancelled.

use crate::act::{Act, Deed, How, Role};
use crate::calls::{Answer, Asked, Call, End};
use crate::effects::{Entry, What};
use crate::evidence::{Evidence, Look, RunEvidence, Weather};
use crate::program::{Leg, Program, SagaEnd, Step};
use crate::scenario::{Actor, Ask, Conflict, Line, Reuse, Scenario, To};
use crate::value::{Output, Progress, ScriptFailed, Value};
use abide::ExecutionStatus;
use abide::history::{Event, EventId, FailureKind, FailureRecord, JournalRow, Payload};
use serde::Serialize;
use std::collections::BTreeMap;

pub(crate) fn payload<T: Serialize>(value: &T) -> Payload {
    Payload::encode(value).unwrap()
}

/// The first activity of `w0`: it fails once.
pub(crate) fn flaky() -> Act {
    let deed = |how| Deed { ms: 1, how, heeds: false };
    let mut act = Act { deeds: vec![deed(How::Retry), deed(How::Return)], ..Act::new(1) };
    act.options.max_attempts = 3;
    act
}

fn saga(label: u32, role: Role) -> Act {
    Act { role, ..Act::new(label) }
}

fn programs() -> Vec<Program> {
    let leg = |label| Leg {
        act: saga(label, Role::Leg { saga: 1 }),
        undo: saga(label + 1, Role::Undo { saga: 1 }),
    };
    let first = vec![
        Step::Act(flaky()),
        Step::Until { pokes: 1, ms: None },
        Step::Saga { saga: 1, legs: vec![leg(2), leg(4)], end: SagaEnd::Keep },
        Step::Fail { code: 7 },
    ];
    let sleep = vec![Step::Sleep { ms: 10 }];
    let then = vec![Step::Sleep { ms: 10 }, Step::Act(Act::new(1))];
    let names = ["p0", "p1", "p2"].into_iter().zip([first, sleep, then]);
    names
        .map(|(name, steps)| Program { name: name.to_owned(), steps, revision: None, ..Program::default() })
        .collect()
}

fn scenario() -> Scenario {
    let start = |n: usize| Ask::Start {
        request: format!("{n}/start-1"),
        reuse: Reuse::Allow,
        conflict: Conflict::Fail,
    };
    let poke = Ask::Poke { request: "0/poke-2".to_owned(), n: 1_001, to: To::Run };
    let cancel = Ask::Cancel { request: "2/cancel-2".to_owned() };
    let asks = [vec![start(0), poke, Ask::Query], vec![start(1)], vec![start(2), cancel]];
    let actors = asks.into_iter().enumerate().map(|(program, asks)| Actor {
        workflow_id: format!("w{program}"),
        program,
        lines: asks.into_iter().map(|ask| Line { at: 0, process: 0, ask }).collect(),
    });
    Scenario { seed: 0, programs: programs(), actors: actors.collect() }
}

/// The error of `w0`.
pub(crate) fn error() -> ScriptFailed {
    let number = |label| Value::Number(Act::new(label).result());
    let legs = vec![number(2), number(4)];
    let values = vec![number(1), Value::Done, Value::Saga { legs, failures: None }, Value::Fail { code: 7 }];
    ScriptFailed { output: Output { value: Value::Seq(values), pokes: vec![1_001] } }
}

/// The output of `w1`.
pub(crate) fn output() -> Output {
    Output { value: Value::Seq(vec![Value::Done]), pokes: Vec::new() }
}

/// The event that records the failure of `w0`.
pub(crate) fn failed(error: &ScriptFailed) -> Event {
    let failure = FailureRecord {
        data: Some(payload(error)),
        ..FailureRecord::new(FailureKind::Application, error.to_string())
    };
    Event::Failed { failure, compensation_failures: Vec::new(), next: None }
}

pub(crate) fn scheduled(act: &Act) -> Event {
    Event::ActivityScheduled {
        name: "Effects.act".to_owned(),
        input: payload(&(act,)),
        task_queue: None,
        transactional: false,
        heartbeat: false,
    }
}

pub(crate) fn completed(activity: u64, label: u32) -> Event {
    Event::ActivityCompleted { activity: EventId(activity), result: payload(&Act::new(label).result()) }
}

fn first_history() -> Vec<Vec<Event>> {
    let leg = |label| scheduled(&saga(label, Role::Leg { saga: 1 }));
    let undo = |label| scheduled(&saga(label, Role::Undo { saga: 1 }));
    let signaled = Event::Signaled {
        name: "poke".to_owned(),
        input: payload(&(1_001,)),
        request_id: "0/poke-2".to_owned(),
        handled: true,
    };
    vec![
        vec![
            Event::Started {
                input: payload(&(&programs()[0],)),
                seed: 1,
                rules: 1,
                early: 0,
                context: Box::default(),
            },
            scheduled(&flaky()),
        ],
        vec![completed(2, 1)],
        vec![signaled, leg(2)],
        vec![completed(5, 2), leg(4)],
        vec![completed(7, 4), undo(5)],
        vec![completed(9, 5), undo(3)],
        vec![completed(11, 3), failed(&error())],
    ]
}

fn run(number: usize, status: ExecutionStatus, rows: Vec<Vec<Event>>) -> RunEvidence {
    let mut seq = 1;
    let rows = rows.into_iter().zip(1..).map(|(events, at_ms)| {
        let row = JournalRow { seq: EventId(seq), at_ms, events };
        seq += row.events.len() as u64;
        row
    });
    let history = rows.collect();
    RunEvidence {
        workflow_id: format!("w{number}"),
        run_id: format!("r{number}"),
        status,
        suspension: None,
        history,
        published: None,
        origin: None,
    }
}

fn runs() -> Vec<RunEvidence> {
    let started = |n: usize| Event::Started {
        input: payload(&(&programs()[n],)),
        seed: 1,
        rules: 1,
        early: 0,
        context: Box::default(),
    };
    let sleep = || Event::TimerStarted { fire_at_ms: 11 };
    let second = vec![
        vec![started(1), sleep()],
        vec![Event::TimerFired { timer: EventId(2) }, Event::Completed { result: payload(&output()) }],
    ];
    let request =
        Event::CancelRequested { request_id: "2/cancel-2".to_owned(), reason: "as scripted".to_owned() };
    let third = vec![
        vec![started(2), sleep()],
        vec![
            request,
            Event::TimerCancelled { timer: EventId(2) },
            Event::Cancelled { reason: "as scripted".to_owned(), compensation_failures: Vec::new() },
        ],
    ];
    vec![
        run(0, ExecutionStatus::Failed, first_history()),
        run(1, ExecutionStatus::Completed, second),
        run(2, ExecutionStatus::Cancelled, third),
    ]
}

fn log() -> Vec<Entry> {
    let entry = |activity, label, attempt, what| Entry {
        process: 0,
        workflow_id: "w0".to_owned(),
        run_id: "r0".to_owned(),
        activity,
        attempt,
        label,
        note: None,
        what,
    };
    let mut log = vec![entry(2, 1, 1, What::Begin), entry(2, 1, 1, What::Fail)];
    for (activity, label, attempt) in [(2, 1, 2), (5, 2, 1), (7, 4, 1), (9, 5, 1), (11, 3, 1)] {
        log.push(entry(activity, label, attempt, What::Begin));
        log.push(entry(activity, label, attempt, What::Return(Act::new(label).result())));
    }
    log
}

/// A call of the actor with this number.
pub(crate) fn call(actor: usize, what: Asked, answer: Answer) -> Call {
    let run_id = (!matches!(what, Asked::Start { .. })).then(|| format!("r{actor}"));
    Call { actor, workflow_id: format!("w{actor}"), run_id, what, tries: 1, answer }
}

fn calls() -> Vec<Call> {
    let start = |n: usize| {
        let what =
            Asked::Start { request: format!("{n}/start-1"), reuse: Reuse::Allow, conflict: Conflict::Fail };
        call(n, what, Answer::Started { run_id: format!("r{n}") })
    };
    let progress = Progress { steps: 3, pokes: vec![1_001], visits: Vec::new() };
    vec![
        start(0),
        start(1),
        start(2),
        call(0, Asked::Poke { request: "0/poke-2".to_owned(), n: 1_001 }, Answer::Taken),
        call(0, Asked::Query, Answer::Progress(progress)),
        call(2, Asked::Cancel { request: "2/cancel-2".to_owned() }, Answer::Taken),
        call(0, Asked::Result, Answer::Ended(End::Failed { error: error(), compensations: 0 })),
        call(1, Asked::Result, Answer::Ended(End::Completed(output()))),
        call(2, Asked::Result, Answer::Ended(End::Cancelled { compensations: 0 })),
    ]
}

/// Evidence without violations.
pub(crate) fn good() -> Evidence {
    let (runs, log) = (runs(), log());
    let looks = vec![Look::of(&runs, log.len())];
    let failed_once = BTreeMap::from([(1, FailureKind::Application)]);
    Evidence {
        scenario: scenario(),
        weather: Weather::default(),
        log,
        calls: calls(),
        runs,
        looks,
        failures: Some(BTreeMap::from([(("r0".to_owned(), 2), failed_once)])),
        written: BTreeMap::new(),
    }
}
