//! Signals acknowledged before the first turn come before `run`, live and replayed. A cancellation comes
//! after.

use super::*;
use crate::def::{ActivityDef, SignalFn, WorkflowDef};
use crate::event::Event;
use crate::flow::{shielded, side_effect, sleep};
use crate::future::LocalBoxFuture;
use crate::guard::{block, guard};
use crate::outcome::{Sel, decode_args};
use crate::payload::Payload;
use crate::payload::PayloadError;
use crate::primitive::activity::ActivityCall;
use crate::site::Site;
use crate::state::{Slot, This};
use std::cell::Cell;
use std::time::Duration;

thread_local! {
    static BROKEN: Cell<bool> = const { Cell::new(false) };
}

static SITE: Site = Site { file: "start_tests.rs", line: 1, column: 1, text: "a step" };

struct Step;

impl ActivityDef for Step {
    const NAME: &'static str = "step";
    type Host = ();
    type Args = (String,);
    type Returned = ();
    type Outcome = Sel<(), false>;

    async fn call((): &(), _: (String,)) {}
}

/// After a shielded step, it returns the signals that had arrived at the first poll of `run`.
struct Seen;

impl WorkflowDef for Seen {
    const NAME: &'static str = "seen";
    type State = Vec<String>;
    type Args = ();
    type Returned = Vec<String>;
    type Outcome = Sel<Vec<String>, false>;

    fn init() -> Vec<String> {
        assert!(!BROKEN.get() || !NO_STATE.get(), "no state");
        Vec::new()
    }

    async fn run(slot: Slot<Vec<String>>, (): ()) -> Vec<String> {
        let seen = This::of(slot.clone()).resume().clone();
        guard(shielded(ActivityCall::<Step>::new((format!("{seen:?}"),))), &SITE).await.ok();
        guard(sleep(Duration::from_secs(60)), &SITE).await;
        seen
    }

    fn signal(name: &str) -> Option<SignalFn<Vec<String>>> {
        match name {
            "note" => Some(SignalFn::Sync(note)),
            "work" => Some(SignalFn::Async(work)),
            "later" if !BROKEN.get() => Some(SignalFn::Sync(note)),
            _ => None,
        }
    }
}

thread_local! {
    static NO_STATE: Cell<bool> = const { Cell::new(false) };
}

fn note(state: &mut Vec<String>, input: &Payload) -> Result<(), PayloadError> {
    let (text,) = decode_args::<(String,)>(input)?;
    assert!(!BROKEN.get() || text != "bad", "bad");
    state.push(text);
    Ok(())
}

/// Makes a note at once, and another one after an activity.
fn work(state: &Vec<String>, input: &Payload) -> Result<LocalBoxFuture<()>, PayloadError> {
    let (text,) = decode_args::<(String,)>(input)?;
    let slot = This::current(state).slot();
    Ok(Box::pin(block(async move {
        This::of(slot.clone()).resume().push(format!("begin {text}"));
        guard(ActivityCall::<Step>::new((text.clone(),)), &SITE).await.ok();
        This::of(slot).resume().push(format!("end {text}"));
    })))
}

fn fresh() -> Execution {
    let info = Info::new("w".to_owned(), "r".to_owned(), "seen".to_owned(), "q".to_owned());
    Execution::new(&WorkflowType::of::<Seen>(), info, Rc::new(|_: &str| true))
}

fn start() -> Input {
    Input::Start { input: Payload::encode(&()).unwrap(), seed: 1, context: Box::default() }
}

fn signal(name: &str, text: &str) -> Input {
    let input = Payload::encode(&(text,)).unwrap();
    Input::Signal { name: name.to_owned(), input, request_id: format!("{name} {text}") }
}

fn cancel() -> Input {
    Input::Cancel { request_id: "cancel".to_owned(), reason: "enough".to_owned() }
}

/// Prints events in short.
fn words(events: &[Event]) -> Vec<String> {
    let word = |event: &Event| match event {
        Event::Started { early, .. } => format!("started {early}"),
        Event::Signaled { name, handled, .. } => {
            format!("{}{name}", if *handled { "" } else { "unhandled " })
        }
        Event::ActivityScheduled { input, .. } => format!("step {}", input.as_json()),
        Event::CancelRequested { .. } => "cancel".to_owned(),
        other => format!("{other:?}"),
    };
    events.iter().map(word).collect()
}

/// Replays these rows.
fn replayed(rows: &[JournalRow]) -> Execution {
    let mut exec = fresh();
    exec.replay(rows.to_vec());
    exec
}

fn row(turn: &Turn) -> JournalRow {
    let text = serde_json::to_string(&turn.events).unwrap();
    JournalRow { seq: turn.seq, at_ms: turn.at_ms, events: serde_json::from_str(&text).unwrap() }
}

#[test]
fn signals_come_before_run_and_a_cancel_after() {
    let mut exec = fresh();
    let inputs = vec![start(), signal("note", "a"), signal("work", "b"), signal("later", "c"), cancel()];
    let first = exec.turn(inputs, 1_000);
    let expected = [
        "started 3",
        "note",
        "work",
        r#"step ["b"]"#,
        "later",
        r#"step ["[\"a\", \"begin b\", \"c\"]"]"#,
        "cancel",
        "ActivityCancelRequested { activity: EventId(4) }",
    ];
    assert_eq!(
        words(&first.events),
        expected,
        "the handler's step, then run's, which the cancel leaves shielded"
    );
    assert_eq!(first.standing, Standing::Open);
    let again = replayed(&[row(&first)]);
    assert_eq!((again.standing(), again.history_len()), (Standing::Open, 8));
    assert_eq!(again.awaiting(), exec.awaiting());
    assert!(!again.has_more() && !again.awaits_early());
}

/// The code of an async handler before its first await runs before `run`, also for the last signal.
#[test]
fn an_async_handler_is_polled_before_run() {
    let first = fresh().turn(vec![start(), signal("note", "a"), signal("work", "b")], 1_000);
    let expected = ["started 2", "note", "work", r#"step ["b"]"#, r#"step ["[\"a\", \"begin b\"]"]"#];
    assert_eq!(words(&first.events), expected);
    assert_eq!(replayed(&[row(&first)]).history_len(), 5);
}

#[test]
fn one_that_comes_twice_counts_once() {
    let mut exec = fresh();
    let first =
        exec.turn(vec![start(), signal("note", "a"), signal("note", "a"), signal("note", "b")], 1_000);
    let expected = ["started 2", "note", "note", r#"step ["[\"a\", \"b\"]"]"#];
    assert_eq!(words(&first.events), expected);
    assert_eq!(replayed(&[row(&first)]).history_len(), 4);
}

#[test]
fn a_name_that_nobody_handles_counts_and_waits() {
    BROKEN.set(true);
    let first = fresh().turn(vec![start(), signal("later", "a"), signal("note", "b")], 1_000);
    assert_eq!(words(&first.events), ["started 2", "unhandled later", "note", r#"step ["[\"b\"]"]"#]);
    BROKEN.set(false);
    let mut exec = replayed(&[row(&first)]);
    let second = exec.turn(Vec::new(), 2_000);
    assert!(matches!(second.events[..], [Event::SignalRedelivered { signal: EventId(2) }]));
}

/// A history without a count was recorded when `run` was polled first.
#[test]
fn a_history_without_a_count_is_replayed_as_it_was_recorded() {
    let mut exec = fresh();
    let (first, second) = (exec.turn(vec![start()], 1_000), exec.turn(vec![signal("note", "a")], 1_000));
    let text = serde_json::to_string(&first.events).unwrap();
    assert!(!text.contains("early"), "{text}");
    let mut events = row(&first).events;
    events.extend(second.events);
    let mut again = replayed(&[JournalRow { seq: EventId(1), at_ms: 1_000, events }]);
    assert_eq!((again.standing(), again.history_len(), again.has_more()), (Standing::Open, 3, false));
    assert!(again.turn(Vec::new(), 1_000).events.is_empty());
}

/// The fixed code still waits for signals that could not be delivered.
#[test]
fn signals_that_a_halted_turn_left_come_before_run_as_well() {
    let given = || vec![start(), signal("note", "a"), signal("note", "bad"), signal("note", "c")];
    let seen = r#"step ["[\"a\", \"bad\", \"c\"]"]"#;
    for no_state in [false, true] {
        BROKEN.set(true);
        NO_STATE.set(no_state);
        let first = fresh().turn(given(), 1_000);
        assert!(matches!(&first.standing, Standing::Suspended(reason) if reason.code == "AB0202"));
        let left = first.undelivered.clone();
        assert_eq!((first.events.len(), left.len()), if no_state { (1, 3) } else { (3, 1) });
        BROKEN.set(false);
        let mut exec = replayed(&[row(&first)]);
        assert!(exec.awaits_early());
        // The next message is not an early signal, so it comes after `run`.
        let more = left.into_iter().chain([signal("note", "d"), cancel()]);
        let second = exec.turn(more.collect(), 2_000);
        let told = words(&second.events);
        assert_eq!(told[told.len() - 3..], [seen, "note", "cancel"], "{told:?}");
        let rows = [row(&first), row(&second)];
        let again = replayed(&rows);
        assert_eq!((again.standing(), again.history_len()), (Standing::Open, exec.history_len()));
    }
}

#[test]
fn signals_that_are_gone_suspend() {
    let event = Event::Started {
        input: Payload::encode(&()).unwrap(),
        seed: 1,
        rules: 1,
        early: 2,
        context: Box::default(),
    };
    let mut exec = replayed(&[JournalRow { seq: EventId(1), at_ms: 1_000, events: vec![event.clone()] }]);
    assert_eq!(exec.standing(), Standing::Open);
    let turn = exec.turn(vec![signal("note", "a")], 2_000);
    assert!(matches!(&turn.standing, Standing::Suspended(reason) if reason.code == "AB0209"));
    assert_eq!(words(&turn.events), ["note"], "what came is kept");
    let mut again =
        replayed(&[JournalRow { seq: EventId(1), at_ms: 1_000, events: vec![event] }, row(&turn)]);
    assert_eq!(
        words(&again.turn(vec![signal("note", "b")], 3_000).events).len(),
        2,
        "it goes on with a second"
    );
}

/// A suspended run is claimed. Its new owner first records the lost attempts.
#[test]
fn what_a_new_owner_notes_does_not_come_between_run_and_its_early_signals() {
    BROKEN.set(true);
    let given = vec![start(), signal("note", "a"), signal("note", "bad"), signal("note", "c")];
    let first = fresh().turn(given, 1_000);
    BROKEN.set(false);
    let mut exec = replayed(&[row(&first)]);
    assert!(exec.has_more(), "what its start has counted is waited for");
    let noted = Input::Recovered { running: Vec::new(), retried_ms: 0 };
    let second = exec.turn([noted].into_iter().chain(first.undelivered.clone()).collect(), 2_000);
    let told = words(&second.events);
    assert_eq!(told[1..], ["note", r#"step ["[\"a\", \"bad\", \"c\"]"]"#], "{told:?}");
    let again = replayed(&[row(&first), row(&second)]);
    assert_eq!((again.standing(), again.history_len()), (Standing::Open, exec.history_len()));
}

#[test]
fn a_turn_without_inputs_finds_that_early_signals_are_gone() {
    let event = Event::Started {
        input: Payload::encode(&()).unwrap(),
        seed: 1,
        rules: 1,
        early: 2,
        context: Box::default(),
    };
    let mut exec = replayed(&[JournalRow { seq: EventId(1), at_ms: 1_000, events: vec![event] }]);
    assert!(exec.has_more());
    let turn = exec.turn(Vec::new(), 2_000);
    assert!(matches!(&turn.standing, Standing::Suspended(reason) if reason.code == "AB0209"));
}

/// Asks for more commands at once than a turn at the limit may add.
struct Eager;

const MANY: u32 = 12_000;

impl WorkflowDef for Eager {
    const NAME: &'static str = "seen";
    type State = ();
    type Args = ();
    type Returned = u32;
    type Outcome = Sel<u32, false>;

    fn init() {}

    async fn run(_: Slot<()>, (): ()) -> u32 {
        let mut sum = 0;
        for _ in 0..MANY {
            sum += guard(side_effect(|| 1), &SITE).await;
        }
        sum
    }
}

/// The turn was never written, and the code is fixed. The replay goes on beyond its history like a live turn.
#[test]
fn a_replay_far_from_the_limit_may_add_as_much_as_a_turn() {
    let info = Info::new("w".to_owned(), "r".to_owned(), "seen".to_owned(), "q".to_owned());
    let event = Event::Started {
        input: Payload::encode(&()).unwrap(),
        seed: 1,
        rules: 1,
        early: 0,
        context: Box::default(),
    };
    let mut exec = Execution::again(&WorkflowType::of::<Eager>(), info, Rc::new(|_: &str| true));
    let standing = exec.replay(vec![JournalRow { seq: EventId(1), at_ms: 1_000, events: vec![event] }]);
    assert_eq!(standing, Standing::Open);
    let turn = exec.turn(Vec::new(), 2_000);
    let expected = Payload::encode(&MANY).unwrap();
    assert!(matches!(turn.events.last(), Some(Event::Completed { result }) if result.is_same(&expected)));
}
