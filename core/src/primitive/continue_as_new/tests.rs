//! A run ends as another goes on: its last event, what it hands on, what stops it, and how the next run begins.

use super::continue_as_new;
use crate::carried::{Carried, CarriedCancel, CarriedId, CarriedKind, CarriedSignal, NextRun};
use crate::def::{ActivityDef, SignalFn, WorkflowDef};
use crate::event::{Event, JournalRow};
use crate::exec::info::Info;
use crate::exec::{Action, AttemptOutcome, Execution, Input, Standing, Turn, WorkflowType};
use crate::flow::{cancelled, saga, secs, shielded, sleep, timeout};
use crate::future::LocalBoxFuture;
use crate::guard::{block, guard};
use crate::ids::{EventId, ExecutionId};
use crate::outcome::Sel;
use crate::payload::Payload;
use crate::policy::CancellationType;
use crate::primitive::activity::ActivityCall;
use crate::primitive::child::WorkflowCall;
use crate::site::Site;
use crate::start_context::StartContext;
use crate::state::Slot;
use std::rc::Rc;

static SITE: Site = Site { file: "tests.rs", line: 1, column: 1, text: "an await" };

struct Step;

impl ActivityDef for Step {
    const NAME: &'static str = "step";
    type Host = ();
    type Args = ();
    type Returned = ();
    type Outcome = Sel<(), false>;

    async fn call((): &(), (): ()) {}
}

/// Goes on as a new run; the text says how.
struct Loop;

/// Another workflow that returns the same.
struct Other;

fn call(how: &str) -> WorkflowCall<Loop> {
    WorkflowCall::new(&(how.to_owned(),))
}

async fn ways(how: String) -> u32 {
    match how.as_str() {
        "later" => {
            let _open = ActivityCall::<Step>::new(());
            guard(sleep(secs(1)), &SITE).await;
        }
        "saga" => {
            let mut steps = saga();
            guard(ActivityCall::<Step>::new(()), &SITE).await.ok();
            steps.on_failure(ActivityCall::<Step>::new(()));
        }
        "listens" => {
            let _first = cancelled();
            guard(sleep(secs(1)), &SITE).await;
        }
        "shielded" => {
            let goes_on = block(async {
                guard(sleep(secs(1)), &SITE).await;
                guard(continue_as_new(call("next")), &SITE).await
            });
            return guard(shielded(goes_on), &SITE).await;
        }
        "waits" => {
            let slow =
                ActivityCall::<Step>::new(()).cancellation(CancellationType::WaitCancellationCompleted);
            guard(timeout(secs(1), slow), &SITE).await.ok();
        }
        "both" => {
            let next = block(async { guard(continue_as_new(call("next")), &SITE).await });
            guard(timeout(secs(1), next), &SITE).await.ok();
        }
        "elsewhere" => {
            let next = continue_as_new(WorkflowCall::<Other>::new(&())).task_queue("bulk").delay(secs(5));
            return guard(next, &SITE).await;
        }
        "nowhere" => return guard(continue_as_new(call("next")).task_queue(""), &SITE).await,
        "handler" => guard(sleep(secs(9)), &SITE).await,
        _ => {}
    }
    guard(continue_as_new(call("next")), &SITE).await
}

impl WorkflowDef for Loop {
    const NAME: &'static str = "loop";
    type State = ();
    type Args = (String,);
    type Returned = u32;
    type Outcome = Sel<u32, false>;

    fn init() {}

    async fn run(_: Slot<()>, (how,): (String,)) -> u32 {
        ways(how).await
    }

    fn signal(name: &str) -> Option<SignalFn<()>> {
        match name {
            "note" => Some(SignalFn::Sync(|(), _| Ok(()))),
            "go on" => Some(SignalFn::Async(|(), _| {
                let goes_on = block(async { _ = guard(continue_as_new(call("next")), &SITE).await });
                Ok(Box::pin(goes_on) as LocalBoxFuture<()>)
            })),
            "as another" => Some(SignalFn::Async(|(), _| {
                let other = WorkflowCall::<Other>::new(&());
                let goes_on = block(async { _ = guard(continue_as_new(other), &SITE).await });
                Ok(Box::pin(goes_on) as LocalBoxFuture<()>)
            })),
            _ => None,
        }
    }
}

impl WorkflowDef for Other {
    const NAME: &'static str = "other";
    type State = ();
    type Args = ();
    type Returned = u32;
    type Outcome = Sel<u32, false>;

    fn init() {}

    async fn run(_: Slot<()>, (): ()) -> u32 {
        7
    }
}

fn fresh() -> Execution {
    let info = Info::new("w".to_owned(), "r".to_owned(), "loop".to_owned(), "q".to_owned());
    Execution::new(&WorkflowType::of::<Loop>(), info, Rc::new(|_: &str| true))
}

fn start(how: &str, carried: Option<Carried>) -> Input {
    let input = Payload::encode(&(how,)).unwrap();
    let context = StartContext { carried: carried.unwrap_or_default(), ..StartContext::default() };
    Input::Start { input, seed: 1, context: Box::new(context) }
}

fn signal(name: &str, id: &str) -> Input {
    Input::Signal { name: name.to_owned(), input: Payload::null(), request_id: id.to_owned() }
}

fn cancel(id: &str) -> Input {
    Input::Cancel { request_id: id.to_owned(), reason: "enough".to_owned() }
}

fn rows(turns: &[&Turn]) -> Vec<JournalRow> {
    let row = |turn: &&Turn| JournalRow { seq: turn.seq, at_ms: turn.at_ms, events: turn.events.clone() };
    turns.iter().map(row).collect()
}

/// Replays these turns, which end the run.
fn replays(turns: &[&Turn]) -> Execution {
    let mut again = fresh();
    assert_eq!(again.replay(rows(turns)), Standing::Closed);
    assert!(again.broke_off().is_none(), "{:?}", again.broke_off());
    again
}

fn code(turn: &Turn) -> &str {
    match &turn.standing {
        Standing::Suspended(reason) => &reason.code,
        other => panic!("{other:?}"),
    }
}

fn words(events: &[Event]) -> Vec<String> {
    events.iter().map(Event::describe).collect()
}

const GOES_ON: &str = "the end of this run, as another goes on, with an input of 8 bytes";

#[test]
fn the_run_ends_where_the_code_goes_on_and_nothing_is_cancelled() {
    let mut exec = fresh();
    let mut at_once = exec.turn(vec![start("at once", None)], 1_000);
    assert_eq!(words(&at_once.events), ["the workflow's start", GOES_ON]);
    assert_eq!(at_once.standing, Standing::Closed);
    assert!(exec.carried().is_empty());
    at_once.hand_on(NextRun { execution: ExecutionId(9), run_id: "r9".to_owned() });
    let text = serde_json::to_string(&at_once.events[1]).unwrap();
    assert_eq!(text, r#"{"continued_as_new":{"next":{"execution":9,"run_id":"r9"},"input":["next"]}}"#);
    replays(&[&at_once]);
    let mut exec = fresh();
    let first = exec.turn(vec![start("later", None)], 1_000);
    let second = exec.turn(vec![], 2_000);
    assert_eq!(words(&second.events), ["the end of timer 2", GOES_ON]);
    assert!(second.hands_on() && !first.hands_on());
    replays(&[&first, &second]);
}

/// The code of another build goes on where the recorded one had not: a live turn writes the close.
#[test]
fn an_end_beyond_the_history_is_written_by_a_live_turn() {
    let mut first = fresh().turn(vec![start("at once", None)], 1_000);
    first.events.truncate(1);
    let mut exec = fresh();
    assert_eq!(exec.replay(rows(&[&first])), Standing::Open);
    assert!(exec.has_more());
    let second = exec.turn(vec![signal("note", "s")], 2_000);
    assert!(second.hands_on() && second.standing == Standing::Closed, "{:?}", words(&second.events));
    replays(&[&first, &second]);
}

#[test]
fn a_poll_in_a_combinator_is_the_end() {
    let mut exec = fresh();
    let turn = exec.turn(vec![start("both", None)], 1_000);
    assert!(turn.hands_on() && turn.events.len() == 3, "{:?}", words(&turn.events));
    replays(&[&turn]);
}

#[test]
fn another_workflow_and_queue_and_a_delay_are_in_the_event() {
    let turn = fresh().turn(vec![start("elsewhere", None)], 1_000);
    let text = serde_json::to_string(&turn.events[1]).unwrap();
    let expected =
        r#"{"continued_as_new":{"workflow_type":"other","task_queue":"bulk","delay_ms":5000,"input":null}}"#;
    assert_eq!(text, expected);
    assert_eq!(code(&fresh().turn(vec![start("nowhere", None)], 1_000)), "AB0412");
}

#[test]
fn a_handler_may_go_on_as_the_same_workflow_only() {
    let mut exec = fresh();
    let first = exec.turn(vec![start("handler", None)], 1_000);
    let second = exec.turn(vec![signal("go on", "s")], 1_100);
    assert_eq!(words(&second.events), ["signal `go on`", GOES_ON]);
    replays(&[&first, &second]);
    let mut exec = fresh();
    exec.turn(vec![start("handler", None)], 1_000);
    assert_eq!(code(&exec.turn(vec![signal("as another", "s")], 1_100)), "AB0635");
}

#[test]
fn messages_after_the_decision_are_not_taken_in() {
    let mut exec = fresh();
    exec.turn(vec![start("handler", None), signal("nobody takes it", "n")], 1_000);
    let turn = exec.turn(vec![signal("go on", "s"), signal("note", "t"), cancel("c")], 1_100);
    assert_eq!(turn.standing, Standing::Closed);
    let left: Vec<_> = turn.undelivered.iter().map(|input| format!("{input:?}")).collect();
    assert_eq!((left.len(), turn.events.len()), (2, 2), "they are for the next run: {left:?}");
    let carried = exec.carried();
    assert_eq!(carried.signals.len(), 1);
    assert_eq!(carried.signals[0].request_id, "n");
    let known: Vec<_> = carried.known.iter().map(|known| (known.id.as_str(), known.at_ms)).collect();
    assert_eq!(known, [("s", 1_100)], "what is carried as a message is no id beside it");
}

#[test]
fn a_cancel_request_that_nobody_took_is_handed_on() {
    for how in ["listens", "shielded"] {
        let mut exec = fresh();
        let first = exec.turn(vec![start(how, None)], 1_000);
        let second = exec.turn(vec![cancel("c")], 1_500);
        assert_eq!(second.standing, Standing::Open, "{how}");
        let third = exec.turn(vec![], 2_000);
        assert!(third.hands_on(), "{how}: {:?}", words(&third.events));
        let asked = CarriedCancel { request_id: "c".to_owned(), reason: "enough".to_owned() };
        assert_eq!(exec.carried(), Carried { cancel: Some(asked), ..Carried::default() }, "{how}");
        assert_eq!(replays(&[&first, &second, &third]).carried(), exec.carried(), "{how}");
    }
}

#[test]
fn compensations_and_too_much_to_carry_suspend() {
    let mut exec = fresh();
    exec.turn(vec![start("saga", None)], 1_000);
    let done = AttemptOutcome::Completed(Payload::null());
    let turn = exec.turn(vec![Input::Attempt { activity: EventId(2), attempt: 1, outcome: done }], 2_000);
    assert_eq!((code(&turn), turn.events.len()), ("AB0616", 1));
    let mut exec = fresh();
    exec.turn(vec![start("later", None)], 1_000);
    for n in 0..3 {
        let input = Payload::encode(&"x".repeat(1024 * 1024)).unwrap();
        let note = Input::Signal { name: "gone".to_owned(), input, request_id: format!("{n}") };
        assert_eq!(exec.turn(vec![note], 1_100).standing, Standing::Open);
    }
    assert_eq!(code(&exec.turn(vec![], 2_000)), "AB0619");
}

#[test]
fn signals_that_come_while_it_waits_for_an_attempt_go_to_the_next_run() {
    let mut exec = fresh();
    let first = exec.turn(vec![start("waits", None)], 1_000);
    let second = exec.turn(vec![], 2_000);
    assert!(
        second.standing == Standing::Open && second.actions.iter().any(|a| matches!(a, Action::Cancel(_)))
    );
    let third = exec.turn(vec![signal("note", "s"), cancel("c")], 2_500);
    assert!(matches!(third.events[0], Event::Signaled { handled: false, .. }), "{:?}", third.events);
    // A load does not offer it to this run's handlers.
    let mut loaded = fresh();
    loaded.replay(rows(&[&first, &second, &third]));
    assert!(!loaded.can_redeliver());
    for mut exec in [exec, loaded] {
        let outcome = AttemptOutcome::Cancelled;
        let last = exec.turn(vec![Input::Attempt { activity: EventId(2), attempt: 1, outcome }], 3_000);
        assert!(last.hands_on(), "{:?}", words(&last.events));
        let carried = exec.carried();
        assert_eq!((carried.signals.len(), carried.cancel.is_some()), (1, true));
        replays(&[&first, &second, &third, &last]);
    }
}

fn carried() -> Carried {
    let signal = |name: &str, id: &str| CarriedSignal {
        name: name.to_owned(),
        input: Payload::null(),
        request_id: id.to_owned(),
    };
    let known = CarriedId { kind: CarriedKind::Signal, id: "old".to_owned(), at_ms: 500 };
    Carried {
        signals: vec![signal("note", "a"), signal("nobody takes it", "b")],
        cancel: Some(CarriedCancel { request_id: "c".to_owned(), reason: "enough".to_owned() }),
        known: vec![known],
        updates: Vec::new(),
    }
}

#[test]
fn the_next_run_begins_with_what_it_was_handed() {
    let mut exec = fresh();
    let inputs = vec![start("later", Some(carried())), signal("note", "d"), signal("note", "old")];
    let turn = exec.turn(inputs, 1_000);
    let expected = [
        "the workflow's start",
        "signal `note`",
        "signal `nobody takes it`",
        "signal `note`",
        "a timer",
        "a request to cancel",
        "the end of timer 5 before its time",
        "the workflow's cancellation",
    ];
    assert_eq!(words(&turn.events), expected, "the id `old` is known");
    let Event::Started { early, context, .. } = &turn.events[0] else { panic!() };
    assert_eq!((*early, context.carried.known.len()), (3, 1));
    assert!(context.carried.signals.is_empty(), "they are events of their own");
    replays(&[&turn]);
}

#[test]
fn what_it_was_handed_is_handed_on() {
    let mut exec = fresh();
    let turn = exec.turn(vec![start("at once", Some(carried()))], 1_000);
    assert!(turn.hands_on(), "{:?}", words(&turn.events));
    let handed = exec.carried();
    assert_eq!(handed.cancel, carried().cancel, "it has not begun to stop");
    assert_eq!(handed.signals.iter().map(|s| s.request_id.as_str()).collect::<Vec<_>>(), ["b"]);
    let known: Vec<_> = handed.known.iter().map(|known| known.id.as_str()).collect();
    assert_eq!(known, ["a", "old"], "the newest first");
}

#[test]
fn a_run_that_cannot_begin_keeps_what_it_was_handed() {
    let mut exec = fresh();
    let bad = Payload::encode(&7).unwrap();
    let context = Box::new(StartContext { carried: carried(), ..StartContext::default() });
    let begin = Input::Start { input: bad, seed: 1, context };
    let turn = exec.turn(vec![begin, signal("note", "d")], 1_000);
    assert_eq!(code(&turn), "AB0203");
    let kept = ["the workflow's start", "signal `note`", "signal `nobody takes it`", "a request to cancel"];
    assert_eq!((words(&turn.events), turn.undelivered.len()), (kept.map(str::to_owned).to_vec(), 1));
    assert!(turn.events[1..3].iter().all(|event| matches!(event, Event::Signaled { handled: false, .. })));
}

/// The same on replay, as its answer decides what the code does next.
#[test]
fn an_id_is_known_for_an_hour() {
    let mut exec = fresh();
    exec.turn(vec![start("handler", Some(carried()))], 1_000);
    let mut exec = fresh();
    let at_ms = 500 + 60 * 60 * 1_000 + 1;
    exec.turn(vec![start("at once", Some(Carried { cancel: None, ..carried() }))], at_ms);
    let known: Vec<_> = exec.carried().known.into_iter().map(|known| known.id).collect();
    assert_eq!(known, ["a"], "`old` is more than an hour old");
}
