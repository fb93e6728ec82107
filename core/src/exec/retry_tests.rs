//! A run that fails is followed by another attempt of its workflow: when, with what, and when not.

use super::*;
use crate::carried::{Carried, CarriedCancel, CarriedSignal, CarriedUpdate};
use crate::def::{ActivityDef, SignalFn, WorkflowDef};
use crate::failure::{Failure, FailureKind, FailureRecord, TimeoutKind};
use crate::flow::{cancelled, saga, secs, sleep};
use crate::guard::guard;
use crate::ids::ExecutionId;
use crate::outcome::Sel;
use crate::payload::Payload;
use crate::policy::RetryPolicy;
use crate::primitive::activity::ActivityCall;
use crate::site::Site;
use crate::start_context::{FirstMessage, StartContext};
use crate::state::Slot;
use std::time::Duration;

static SITE: Site = Site { file: "retry_tests.rs", line: 1, column: 1, text: "a step" };

struct Step;

impl ActivityDef for Step {
    const NAME: &'static str = "step";
    type Host = ();
    type Args = ();
    type Returned = ();
    type Outcome = Sel<(), false>;

    async fn call((): &(), (): ()) {}
}

/// Fails; the text says how.
struct Fails;

async fn fails(how: String) -> Result<u32, Failure> {
    match how.as_str() {
        "completes" => return Ok(7),
        "for good" => return Err(Failure::new("no").non_retryable()),
        "by its type" => return Err(Failure::new("hopeless")),
        "patiently" => return Err(Failure::new("busy").retry_after(secs(90))),
        "in a hurry" => return Err(Failure::new("busy").retry_after(Duration::from_nanos(1))),
        "as its attribute says" => return Err(Failure::new("soon")),
        "listens" => {
            guard(cancelled(), &SITE).await;
            return Err(Failure::new("asked to stop"));
        }
        "saga" => {
            let mut steps = saga();
            steps.on_failure(ActivityCall::<Step>::new(()));
        }
        "later" => guard(sleep(secs(1)), &SITE).await,
        _ => {}
    }
    Err(Failure::new("down"))
}

impl WorkflowDef for Fails {
    const NAME: &'static str = "fails";
    type State = ();
    type Args = (String,);
    type Returned = Result<u32, Failure>;
    type Outcome = Sel<Result<u32, Failure>, true>;

    fn init() {}

    async fn run(_: Slot<()>, (how,): (String,)) -> Result<u32, Failure> {
        fails(how).await
    }

    fn retryable(error: &Failure) -> bool {
        error.to_string() != "hopeless"
    }

    fn retry_after(error: &Failure) -> Option<Duration> {
        (error.to_string() == "soon").then_some(Duration::from_millis(5))
    }

    fn signal(name: &str) -> Option<SignalFn<()>> {
        (name == "note").then_some(SignalFn::Sync(|(), _| Ok(())))
    }
}

fn fresh() -> Execution {
    let info = Info::new("w".to_owned(), "r".to_owned(), "fails".to_owned(), "q".to_owned());
    Execution::new(&WorkflowType::of::<Fails>(), info, Rc::new(|_: &str| true))
}

/// Attempt `failed_runs + 1` of 3, with waits of 10 s, 20 s.
fn context(failed_runs: u32) -> StartContext {
    let policy = RetryPolicy { max_attempts: 3, initial_interval: secs(10), ..RetryPolicy::default() };
    StartContext { retry: Some(policy), failed_runs, run_timeout_ms: Some(5_000), ..StartContext::default() }
}

fn start(how: &str, context: StartContext) -> Input {
    Input::Start { input: Payload::encode(&(how,)).unwrap(), seed: 1, context: Box::new(context) }
}

fn signal(name: &str, id: &str) -> Input {
    Input::Signal { name: name.to_owned(), input: Payload::null(), request_id: id.to_owned() }
}

fn cancel(id: &str) -> Input {
    Input::Cancel { request_id: id.to_owned(), reason: "enough".to_owned() }
}

fn row(turn: &Turn) -> JournalRow {
    JournalRow { seq: turn.seq, at_ms: turn.at_ms, events: turn.events.clone() }
}

/// When the next attempt of a run begins that fails at once, at 1 s.
fn next_ms(how: &str, failed_runs: u32, chain_by_ms: Option<i64>) -> Option<i64> {
    let mut exec = fresh();
    exec.chain_ends(chain_by_ms);
    let turn = exec.turn(vec![start(how, context(failed_runs))], 1_000);
    assert_eq!(turn.standing, Standing::Closed, "{how}");
    assert_eq!(turn.hands_on(), turn.next_attempt_ms.is_some(), "{how}");
    assert_eq!(fresh().replay(vec![row(&turn)]), Standing::Closed, "{how}");
    turn.next_attempt_ms
}

#[test]
fn an_attempt_follows_after_the_wait_of_the_policy() {
    assert_eq!(next_ms("", 0, None), Some(11_000));
    assert_eq!(next_ms("", 1, None), Some(21_000), "the second wait is twice as long");
    assert_eq!(next_ms("", 2, None), None, "the third attempt is the last");
    assert_eq!(next_ms("patiently", 0, None), Some(91_000), "the error asks for another wait");
    assert_eq!(next_ms("patiently", 2, None), None);
    assert_eq!(next_ms("in a hurry", 0, None), Some(11_000), "less than 1 ms counts as none");
    assert_eq!(next_ms("as its attribute says", 0, None), Some(1_005));
    assert_eq!(next_ms("completes", 0, None), None);
    let plain = fresh().turn(vec![start("", StartContext::default())], 1_000);
    assert_eq!(plain.next_attempt_ms, None, "there is no policy");
}

#[test]
fn no_attempt_follows_an_error_that_none_can_fix() {
    assert_eq!(next_ms("for good", 0, None), None);
    assert_eq!(next_ms("by its type", 0, None), None);
}

#[test]
fn no_attempt_begins_when_the_time_of_the_chain_is_up() {
    assert_eq!(next_ms("", 0, Some(11_001)), Some(11_000));
    assert_eq!(next_ms("", 0, Some(11_000)), None);
    assert_eq!(next_ms("patiently", 0, Some(60_000)), None);
}

#[test]
fn the_next_attempt_begins_with_the_same_input_and_what_is_carried() {
    let mut exec = fresh();
    let earlier = |n: i64| CarriedUpdate { update_id: format!("u{n}"), run_id: "r0".to_owned(), at_ms: n };
    let carried = Carried { updates: vec![earlier(2), earlier(1)], ..Carried::default() };
    let begun = StartContext { carried, ..context(1) };
    let first_turn =
        exec.turn(vec![start("later", begun), signal("nobody takes it", "n"), signal("note", "t")], 1_000);
    assert!(exec.may_be_retried() && exec.standing() == Standing::Open);
    assert_eq!(exec.ctx.info().attempt, 2);
    let mut second = exec.turn(vec![signal("note", "u")], 2_000);
    assert_eq!(second.next_attempt_ms, Some(22_000));
    second.hand_on(crate::carried::NextRun { execution: ExecutionId(9), run_id: "r9".to_owned() });
    let next = second.events.last().and_then(Event::next_run).unwrap();
    assert_eq!((next.execution.0, second.events.last().unwrap().child_end()), (9, None));
    let attempt = exec.next_attempt(22_000).unwrap();
    assert_eq!((attempt.due_ms, attempt.input.as_json()), (22_000, r#"["later"]"#));
    assert_eq!((attempt.context.failed_runs, attempt.context.run_timeout_ms), (2, Some(5_000)));
    assert_eq!(attempt.context.retry, context(0).retry);
    let Carried { signals, cancel, known, updates } = &attempt.context.carried;
    assert_eq!(updates, &[earlier(2), earlier(1)]);
    let kept: Vec<_> = signals.iter().map(|signal| signal.request_id.as_str()).collect();
    assert_eq!((kept, cancel), (vec!["n"], &None));
    assert_eq!(
        known.iter().map(|known| known.id.as_str()).collect::<Vec<_>>(),
        ["u", "t"],
        "taken by this run"
    );
    // The journal alone says the same.
    let recorded = Recorded::of("r", &[row(&first_turn), row(&second)]).unwrap();
    assert_eq!(recorded.next_attempt(2_000, None).unwrap(), attempt);
    // What came with the start and was not taken in goes with the start of the next attempt.
    let first = |id: &str| FirstMessage::Signal {
        name: "note".to_owned(),
        input: Payload::null(),
        request_id: id.to_owned(),
    };
    let recorded =
        Recorded::of("r", &[row(&first_turn)]).unwrap().with_first(vec![first("t"), first("late")]);
    assert_eq!(recorded.next_attempt(2_000, None).unwrap().context.first, [first("late")]);
    // A run that continues as new has all its attempts again.
    assert_eq!((exec.hands_on().failed_runs, exec.hands_on().retry), (0, context(0).retry));
}

/// The run has failed, and its compensation runs.
#[test]
fn messages_after_the_failure_are_for_the_next_attempt() {
    let mut exec = fresh();
    let first = exec.turn(vec![start("saga", context(0))], 1_000);
    assert_eq!(
        (&first.standing, first.next_attempt_ms),
        (&Standing::Open, None),
        "the compensation comes first"
    );
    let second = exec.turn(vec![signal("note", "s")], 1_500);
    assert!(matches!(second.events[0], Event::Signaled { handled: false, .. }), "{:?}", second.events);
    let mut loaded = fresh();
    loaded.replay(vec![row(&first), row(&second)]);
    assert!(!loaded.can_redeliver(), "a load does not give it to this run");
    for mut exec in [exec, loaded] {
        let outcome = AttemptOutcome::Completed(Payload::null());
        let done = Input::Attempt { activity: EventId(2), attempt: 1, outcome };
        let last = exec.turn(vec![done, signal("note", "t")], 2_000);
        assert_eq!((&last.standing, last.next_attempt_ms), (&Standing::Closed, Some(12_000)));
        assert_eq!(last.undelivered.len(), 1, "the next attempt takes it in");
        assert_eq!(exec.carried().signals.len(), 1);
        let mut closed = fresh();
        assert_eq!(closed.replay(vec![row(&first), row(&second), row(&last)]), Standing::Closed);
        assert!(!closed.has_more(), "it has ended: the signal is the next attempt's");
    }
}

/// What comes after the failure is taken in as by any failed run.
#[test]
fn the_last_attempt_takes_in_what_came_before_its_close() {
    let mut exec = fresh();
    let inputs = vec![start("", context(2)), signal("note", "s"), cancel("c"), signal("note", "t")];
    let turn = exec.turn(inputs, 1_000);
    assert_eq!((&turn.standing, turn.next_attempt_ms, turn.undelivered.len()), (&Standing::Closed, None, 0));
    assert_eq!(fresh().replay(vec![row(&turn)]), Standing::Closed);
}

#[test]
fn a_run_that_has_left_a_step_undone_stays_ended() {
    let mut exec = fresh();
    exec.turn(vec![start("saga", context(0))], 1_000);
    let failure = FailureRecord::new(FailureKind::Panicked, "stuck");
    let outcome = AttemptOutcome::Failed { failure, retryable: false, retry_after: None, details: None };
    let turn = exec.turn(vec![Input::Attempt { activity: EventId(2), attempt: 1, outcome }], 2_000);
    let Some(Event::Failed { compensation_failures, .. }) = turn.events.last() else { panic!("{turn:?}") };
    assert_eq!((compensation_failures.len(), turn.next_attempt_ms), (1, None));
}

#[test]
fn a_run_that_was_asked_to_cancel_stays_ended() {
    let mut exec = fresh();
    let first = exec.turn(vec![start("listens", context(0))], 1_000);
    let second = exec.turn(vec![cancel("c")], 2_000);
    assert!(matches!(second.events.last(), Some(Event::Failed { .. })) && !second.hands_on(), "{second:?}");
    let mut exec = fresh();
    exec.turn(vec![start("later", context(0))], 1_000);
    let cancelled = exec.turn(vec![cancel("c")], 1_500);
    assert!(matches!(cancelled.events.last(), Some(Event::Cancelled { .. })) && !cancelled.hands_on());
    // The same without code.
    let told = JournalRow { seq: EventId(3), at_ms: 1_500, events: vec![second.events[0].clone()] };
    let recorded = |rows: &[JournalRow]| Recorded::of("r", rows).unwrap().next_attempt(2_000, None);
    assert!(recorded(&[row(&first)]).is_some());
    assert!(recorded(&[row(&first), told]).is_none());
}

/// Each attempt would begin at once with a request that moves, and fail again before it takes it.
#[test]
fn a_request_to_cancel_that_waits_is_taken_before_the_close() {
    let mut exec = fresh();
    let inputs = vec![start("", context(0)), cancel("c")];
    let turn = exec.turn(inputs, 1_000);
    assert_eq!((&turn.standing, turn.hands_on(), turn.undelivered.len()), (&Standing::Closed, false, 0));
    assert!(matches!(turn.events[1..], [Event::CancelRequested { .. }, Event::Failed { .. }]), "{turn:?}");
    assert_eq!(fresh().replay(vec![row(&turn)]), Standing::Closed);
    let asked = CarriedCancel { request_id: "c".to_owned(), reason: "enough".to_owned() };
    let carried = Carried { cancel: Some(asked), ..Carried::default() };
    let turn = fresh().turn(vec![start("", StartContext { carried, ..context(0) })], 1_000);
    assert_eq!((&turn.standing, turn.hands_on()), (&Standing::Closed, false));
}

#[test]
fn too_much_to_carry_ends_the_chain() {
    let mut exec = fresh();
    let mut rows = vec![row(&exec.turn(vec![start("later", context(0))], 1_000))];
    for n in 0..3 {
        let input = Payload::encode(&"x".repeat(1024 * 1024)).unwrap();
        let turn = exec
            .turn(vec![Input::Signal { name: "gone".to_owned(), input, request_id: format!("{n}") }], 1_100);
        rows.push(row(&turn));
    }
    assert!(Recorded::of("r", &rows).unwrap().next_attempt(2_000, None).is_none());
    let last = exec.turn(vec![], 2_000);
    assert_eq!((&last.standing, last.hands_on()), (&Standing::Closed, false));
}

/// The code of a later build fails where the recorded one went on: the close is written by a live turn.
#[test]
fn an_end_beyond_the_history_is_written_by_a_live_turn() {
    let input = Payload::encode(&("",)).unwrap();
    let context = Box::new(context(0));
    let events = vec![Event::Started { input, seed: 1, rules: crate::RULES, early: 0, context }];
    let mut exec = fresh();
    assert_eq!(exec.replay(vec![JournalRow { seq: EventId(1), at_ms: 1_000, events }]), Standing::Open);
    assert!(exec.has_more());
    let turn = exec.turn(vec![signal("note", "s")], 2_000);
    assert_eq!((&turn.standing, turn.next_attempt_ms), (&Standing::Closed, Some(12_000)));
}

#[test]
fn a_run_that_has_not_begun_hands_on_what_it_was_handed() {
    let signals =
        vec![CarriedSignal { name: "s".to_owned(), input: Payload::null(), request_id: "1".to_owned() }];
    let carried = Carried { signals, ..Carried::default() };
    let input = || Payload::encode(&("",)).unwrap();
    let begun = StartContext { carried: carried.clone(), ..context(0) };
    let next = Recorded::unbegun(input(), begun.clone()).next_attempt(1_000, None).unwrap();
    assert_eq!((next.due_ms, next.context.failed_runs, next.context.carried), (11_000, 1, carried));
    assert!(Recorded::unbegun(input(), begun.clone()).next_attempt(1_000, Some(11_000)).is_none());
    let cancel = CarriedCancel { request_id: "c".to_owned(), reason: "enough".to_owned() };
    let asked =
        StartContext { carried: Carried { cancel: Some(cancel), ..Carried::default() }, ..context(0) };
    let asked = Recorded::unbegun(input(), asked).next_attempt(1_000, None);
    assert!(asked.is_none_or(|next| next.context.carried.cancel.is_some()), "the request is not lost");
    assert!(Recorded::of("r", &[]).is_none());
    let event = Event::TimedOut { kind: TimeoutKind::Run, next: None };
    let ended = JournalRow { seq: EventId(1), at_ms: 1, events: vec![event] };
    assert!(Recorded::of("r", &[ended]).is_none());
}
