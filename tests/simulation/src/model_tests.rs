//! The model accepts the possible results of a program, and nothing else.

use crate::act::{Act, Cancellation, Deed, How, OnError, Options, Place};
use crate::evidence::Weather;
use crate::model::{Facts, check, least};
use crate::program::{Leg, NEVER, Program, SagaEnd, Step, Then};
use crate::revision::{Change, Revision};
use crate::value::{Output, Trouble, Value};
use std::collections::BTreeMap;

const ROUGH: Weather = Weather { losses: true, delays: true };

fn facts(weather: Weather) -> Facts {
    let notes = BTreeMap::from([(9, "drawn".to_owned())]);
    Facts {
        attempt: 1,
        weather,
        timers_move: false,
        pokes: 2,
        early_pokes: 0,
        cancelled: Some("as scripted".to_owned()),
        notes,
        told: BTreeMap::from([(7, true), (8, false)]),
        children: BTreeMap::new(),
    }
}

fn fits(weather: Weather, step: &Step, value: &Value) -> bool {
    let program =
        Program { name: "p".to_owned(), steps: vec![step.clone()], revision: None, ..Program::default() };
    let output = Output { value: Value::Seq(vec![value.clone()]), pokes: Vec::new() };
    check(&program, &output, &facts(weather)).is_empty()
}

/// Which of these values the step may have, without faults and with faults.
#[track_caller]
fn may(step: &Step, expected: &[(&Value, bool, bool)]) {
    for (value, calm, rough) in expected {
        assert_eq!(fits(Weather::default(), step, value), *calm, "in calm weather, {value:?} of {step:?}");
        assert_eq!(fits(ROUGH, step, value), *rough, "in rough weather, {value:?} of {step:?}");
    }
}

fn act(deeds: &[How], options: Options) -> Act {
    let deeds = deeds.iter().map(|how| Deed { ms: 10, how: *how, heeds: false }).collect();
    Act { deeds, options, ..Act::new(1) }
}

fn number() -> Value {
    Value::Number(Act::new(1).result())
}

fn refused(attempt: u32) -> Value {
    Value::Failed(Trouble::Refused { attempt, label: 1, stopped: false })
}

fn seq(values: &[Value]) -> Value {
    Value::Seq(values.to_vec())
}

#[test]
fn an_activity_with_attempts_without_end_returns_whatever_happens() {
    let step = Step::Act(act(&[How::Retry, How::Return], Options::default()));
    let lost = Value::Failed(Trouble::WorkerLost);
    let (wrong, first) = (Value::Number(0), refused(1));
    may(
        &step,
        &[(&number(), true, true), (&wrong, false, false), (&lost, false, false), (&first, false, false)],
    );
    let raised = Value::Raised(Trouble::WorkerLost);
    may(&step, &[(&raised, false, false), (&Value::Failed(Trouble::Cancelled), false, false)]);
}

#[test]
fn an_activity_with_few_attempts_may_lose_them() {
    let two = Options { max_attempts: 2, ..Options::default() };
    let (lost, third) = (Value::Failed(Trouble::WorkerLost), refused(3));
    let step = Step::Act(act(&[How::Retry], two.clone()));
    may(&step, &[(&refused(2), true, true), (&refused(1), false, false), (&third, false, false)]);
    may(&step, &[(&lost, false, true), (&number(), false, false)]);
    let step = Step::Act(act(&[How::Refuse, How::Return], two));
    may(&step, &[(&refused(1), true, true), (&number(), false, true), (&lost, false, true)]);
    let other = Value::Failed(Trouble::Refused { attempt: 1, label: 2, stopped: false });
    let stopped = Value::Failed(Trouble::Refused { attempt: 1, label: 1, stopped: true });
    may(&step, &[(&other, false, false), (&stopped, false, false)]);
}

#[test]
fn limits_cut_off_what_is_slow() {
    let limit = |max_attempts| Options { start_to_close: Some(50), max_attempts, ..Options::default() };
    let late = Value::Failed(Trouble::StartToClose);
    may(&Step::Act(act(&[How::Hang], limit(1))), &[(&late, true, true), (&number(), false, false)]);
    may(
        &Step::Act(act(&[How::Hang, How::Return], limit(0))),
        &[(&late, false, false), (&number(), true, true)],
    );
    may(&Step::Act(act(&[How::Return], limit(1))), &[(&late, false, true), (&number(), true, true)]);
    let all = Options { schedule_to_close: Some(50), ..Options::default() };
    let (closed, lost) = (Value::Failed(Trouble::ScheduleToClose), Value::Failed(Trouble::WorkerLost));
    may(
        &Step::Act(act(&[How::Hang], all)),
        &[(&closed, true, true), (&lost, false, true), (&late, false, false)],
    );
    let nowhere = Options { schedule_to_start: Some(50), place: Place::Nowhere, ..Options::default() };
    let waited = Value::Failed(Trouble::ScheduleToStart);
    let step = Step::Act(act(&[How::Return], nowhere));
    may(&step, &[(&waited, true, true), (&number(), false, false), (&lost, false, false)]);
}

#[test]
fn an_error_ends_the_run_where_it_is_raised_only() {
    let mut raising = act(&[How::Refuse], Options::default());
    raising.on_error = OnError::Raise;
    let raised = Value::Raised(Trouble::Refused { attempt: 1, label: 1, stopped: false });
    may(&Step::Act(raising), &[(&raised, true, true), (&refused(1), false, false)]);
}

#[test]
fn sequences_are_whole_or_end_the_run() {
    let steps = vec![Step::Sleep { ms: 1 }, Step::Return, Step::Sleep { ms: 1 }];
    let program = Program { name: "p".to_owned(), steps, revision: None, ..Program::default() };
    let wrong = |values: &[Value]| {
        let output = Output { value: seq(values), pokes: Vec::new() };
        !check(&program, &output, &facts(ROUGH)).is_empty()
    };
    assert!(!wrong(&[Value::Done, Value::Return]));
    assert!(wrong(&[Value::Done]));
    assert!(wrong(&[Value::Done, Value::Return, Value::Done]));
    assert!(wrong(&[Value::Return]));
    assert!(wrong(&[Value::Done, Value::Return, Value::Done, Value::Done]));
    let flat = Output { value: Value::Done, pokes: Vec::new() };
    assert!(!check(&program, &flat, &facts(ROUGH)).is_empty());
    let whole = Program {
        name: "p".to_owned(),
        steps: vec![Step::Sleep { ms: 1 }],
        revision: None,
        ..Program::default()
    };
    let longer = Output { value: seq(&[Value::Done, Value::Done]), pokes: Vec::new() };
    assert!(!check(&whole, &longer, &facts(ROUGH)).is_empty());
}

#[test]
fn sagas_have_all_their_legs_and_failures() {
    let leg = |undo| {
        let undo = Act { label: 2, ..act(&[undo], Options::default()) };
        Leg { act: Act::new(1), undo }
    };
    let saga = |end| Step::Saga { saga: 1, legs: vec![leg(How::Return), leg(How::Refuse)], end };
    let value = |legs: &[Value], failures| Value::Saga { legs: legs.to_vec(), failures };
    let both = [number(), number()];
    let (kept, by_hand) = (value(&both, None), value(&both, Some(1)));
    may(&saga(SagaEnd::Keep), &[(&kept, true, true), (&by_hand, false, false)]);
    let none_failed = value(&both, Some(0));
    may(
        &saga(SagaEnd::Compensate),
        &[(&kept, false, false), (&by_hand, true, true), (&none_failed, false, false)],
    );
    may(&saga(SagaEnd::Forget), &[(&value(&both[..1], None), false, false), (&kept, true, true)]);
}

#[test]
fn limits_of_the_workflow_go_by_its_own_timers() {
    let timeout = |ms, sleep| Step::Timeout { ms, body: vec![Step::Sleep { ms: sleep }] };
    let inside = Value::In(Box::new(seq(&[Value::Done])));
    may(&timeout(10, 5), &[(&inside, true, true), (&Value::Elapsed, false, false)]);
    may(&timeout(10, 5), &[(&Value::Done, false, false)]);
    may(&timeout(5, 10), &[(&inside, false, false), (&Value::Elapsed, true, true)]);
    may(&timeout(10, 10), &[(&inside, true, true), (&Value::Elapsed, false, false)]);
    let never = Step::Timeout { ms: 5, body: vec![Step::Until { pokes: NEVER, ms: None }] };
    may(&never, &[(&inside, false, false), (&Value::Elapsed, true, true)]);
    let slow = Step::Timeout { ms: 5, body: vec![Step::Act(act(&[How::Hang], Options::default()))] };
    let hung = Value::In(Box::new(seq(&[number()])));
    may(&slow, &[(&hung, false, false), (&Value::Elapsed, true, true)]);
}

#[test]
fn waits_for_pokes_need_them() {
    let until = |pokes, ms| Step::Until { pokes, ms };
    let inside = Value::In(Box::new(Value::Done));
    may(&until(2, None), &[(&Value::Done, true, true), (&Value::Elapsed, false, false)]);
    may(&until(3, None), &[(&Value::Done, false, false)]);
    may(&until(2, Some(5)), &[(&inside, true, true), (&Value::Elapsed, true, true)]);
    may(&until(3, Some(5)), &[(&inside, false, false), (&Value::Elapsed, true, true)]);
    may(&until(0, Some(5)), &[(&inside, true, true), (&Value::Elapsed, false, false)]);
}

#[test]
fn of_a_race_one_branch_wins_that_can() {
    let sleep = |ms| vec![Step::Sleep { ms }];
    let won = |branch, value: &[Value]| Value::Won { branch, value: Box::new(seq(value)) };
    let race = Step::Select { branches: vec![sleep(9), sleep(5), vec![Step::Return]] };
    let (slow, fast) = (won(0, &[Value::Done]), won(1, &[Value::Done]));
    may(&race, &[(&slow, false, false), (&fast, true, true), (&won(2, &[Value::Return]), true, true)]);
    may(&race, &[(&won(3, &[Value::Done]), false, false), (&won(1, &[Value::Return]), false, false)]);
    let both = Step::TryJoin { branches: vec![sleep(1), vec![Step::Return]] };
    let whole = Value::All(vec![seq(&[Value::Done]), seq(&[Value::Return])]);
    may(
        &both,
        &[
            (&whole, false, false),
            (&won(1, &[Value::Return]), true, true),
            (&won(0, &[Value::Done]), false, false),
        ],
    );
}

#[test]
fn a_task_ends_or_is_aborted() {
    let spawn = |body: Step, then| Step::Spawn { body: vec![body], then };
    let (sleep, never) = (Step::Sleep { ms: 1 }, Step::Until { pokes: NEVER, ms: None });
    let (ended, abort) = (seq(&[Value::Done]), Then::Abort { ms: 5 });
    let aborted = Value::Aborted;
    may(&spawn(sleep.clone(), Then::Await), &[(&ended, true, true), (&aborted, false, false)]);
    may(&spawn(sleep.clone(), Then::Detach), &[(&Value::Done, true, true), (&ended, false, false)]);
    may(&spawn(sleep, abort), &[(&ended, true, true), (&aborted, true, true)]);
    may(&spawn(never, abort), &[(&ended, false, false), (&aborted, true, true)]);
}

#[test]
fn joins_and_fans_are_whole() {
    let (one, two) = (vec![Step::Sleep { ms: 1 }], vec![Step::Return]);
    let join = Step::Join { branches: vec![one, two] };
    let half = Value::All(vec![seq(&[Value::Done])]);
    let whole = Value::All(vec![seq(&[Value::Done]), seq(&[Value::Return])]);
    may(&join, &[(&half, false, false), (&whole, true, true)]);
    let acts = vec![Act::new(1), Act::new(2)];
    let fan = Step::Fan { how: crate::program::Fan::JoinAll, acts };
    let other = Value::Number(Act::new(2).result());
    may(&fan, &[(&Value::All(vec![number(), other.clone()]), true, true)]);
    may(
        &fan,
        &[(&Value::All(vec![other, number()]), false, false), (&Value::All(vec![number()]), false, false)],
    );
}

#[test]
fn what_came_before_the_run_began_was_there_in_time() {
    let program = |pokes| Program {
        name: "p".to_owned(),
        steps: vec![Step::Until { pokes, ms: Some(5) }],
        ..Program::default()
    };
    let output = Output { value: seq(&[Value::Elapsed]), pokes: Vec::new() };
    let early = Facts { early_pokes: 1, ..facts(ROUGH) };
    assert!(!check(&program(1), &output, &early).is_empty());
    assert!(check(&program(2), &output, &early).is_empty());
}

/// A run began on a release that sleeps there, and goes on with one that does not: its first timer is the recorded one.
#[test]
fn a_release_may_go_on_with_a_timer_of_the_other_one() {
    let timeout = Step::Timeout { ms: 10, body: vec![Step::Sleep { ms: 5 }] };
    let revision = |step| Some(Revision { at: 0, change: Change::Add(step) });
    let program = |step| Program {
        name: "p".to_owned(),
        steps: vec![timeout.clone()],
        revision: revision(step),
        ..Program::default()
    };
    assert!(program(Step::Sleep { ms: 99 }).moves_timers());
    assert!(!program(Step::Cancelled).moves_timers());
    let output = Output { value: seq(&[Value::Elapsed]), pokes: Vec::new() };
    let moved = Facts { timers_move: true, ..facts(ROUGH) };
    assert!(check(&program(Step::Cancelled), &output, &moved).is_empty());
    assert!(!check(&program(Step::Cancelled), &output, &facts(ROUGH)).is_empty());
}

#[test]
fn what_was_drawn_is_what_was_given() {
    let step = Step::Draw { what: crate::program::Draw::Random, act: Act::new(9) };
    let drawn = |note: &str| {
        let result = Act { note: Some(note.to_owned()), ..Act::new(9) }.result();
        Value::Drawn { note: note.to_owned(), result: Box::new(Value::Number(result)) }
    };
    may(&step, &[(&drawn("drawn"), true, true), (&drawn("another"), false, false)]);
}

#[test]
fn cancellation_and_errors_are_told_as_they_were() {
    let reason = |text: &str| Value::Reason(text.to_owned());
    may(&Step::Cancelled, &[(&reason("as scripted"), true, true), (&reason("else"), false, false)]);
    may(
        &Step::Fail { code: 3 },
        &[(&Value::Fail { code: 3 }, true, true), (&Value::Fail { code: 4 }, false, false)],
    );
}

#[test]
fn what_never_ends_takes_for_ever() {
    let endless = Options { cancellation: Cancellation::Wait, ..Options::default() };
    let hang = Step::Act(act(&[How::Hang], endless));
    assert_eq!(least(std::slice::from_ref(&hang)), None);
    let sleep = |ms| vec![Step::Sleep { ms }];
    assert_eq!(
        least(&[Step::Select { branches: vec![vec![hang.clone()], sleep(7)] }, Step::Sleep { ms: 2 }]),
        Some(9)
    );
    assert_eq!(least(&[Step::Join { branches: vec![sleep(3), sleep(8)] }]), Some(8));
    assert_eq!(least(&[Step::Timeout { ms: 4, body: vec![hang] }]), Some(4));
}
