//! A state made from the input: at the start, before early signals and `run`, in each replay, and for a look
//! before the start.

use super::*;
use crate::def::{QueryFn, SignalFn, WorkflowDef};
use crate::event::Event;
use crate::flow::sleep;
use crate::guard::guard;
use crate::outcome::{Sel, decode_args};
use crate::payload::Payload;
use crate::payload::PayloadError;
use crate::site::Site;
use crate::state::{Slot, This};
use std::cell::Cell;
use std::time::Duration;

thread_local! {
    static BROKEN: Cell<bool> = const { Cell::new(false) };
    static MADE: Cell<u32> = const { Cell::new(0) };
}

static SITE: Site = Site { file: "init_tests.rs", line: 1, column: 1, text: "a step" };

/// Its state is the list of values that it got from the input, from signals and from `run`.
struct Given;

impl WorkflowDef for Given {
    const NAME: &'static str = "given";
    const FROM_INPUT: bool = true;
    type State = Vec<String>;
    type Args = (String,);
    type Returned = ();
    type Outcome = Sel<(), false>;

    fn init_with((text,): (String,)) -> Vec<String> {
        MADE.set(MADE.get() + 1);
        assert!(!BROKEN.get(), "no state");
        vec![format!("made of {text}")]
    }

    async fn run(slot: Slot<Vec<String>>, (text,): (String,)) {
        This::of(slot).resume().push(format!("run of {text}"));
        guard(sleep(Duration::from_secs(60)), &SITE).await;
    }

    fn signal(_: &str) -> Option<SignalFn<Vec<String>>> {
        Some(SignalFn::Sync(|state, input| {
            state.push(decode_args::<(String,)>(input)?.0);
            Ok(())
        }))
    }

    fn query(_: &str) -> Option<QueryFn<Vec<String>>> {
        Some(|state: &Vec<String>, _: &Payload| -> Result<_, PayloadError> {
            Ok(Ok(Payload::encode(state)?))
        })
    }
}

fn fresh() -> Execution {
    let info = Info::new("w".to_owned(), "r".to_owned(), "given".to_owned(), "q".to_owned());
    Execution::new(&WorkflowType::of::<Given>(), info, Rc::new(|_: &str| true))
}

fn input() -> Payload {
    Payload::encode(&("seven",)).unwrap()
}

fn inputs() -> Vec<Input> {
    let note = Payload::encode(&("a",)).unwrap();
    let note = Input::Signal { name: "note".to_owned(), input: note, request_id: "a".to_owned() };
    vec![Input::Start { input: input(), seed: 1, context: Box::default() }, note]
}

fn told(exec: &Execution) -> Vec<String> {
    exec.query("told", &Payload::null()).unwrap().unwrap().decode().unwrap()
}

fn row(turn: &Turn) -> JournalRow {
    JournalRow { seq: turn.seq, at_ms: turn.at_ms, events: turn.events.clone() }
}

#[test]
fn it_is_there_before_early_signals_live_and_replayed() {
    let mut exec = fresh();
    assert!(exec.wants_input());
    let turn = exec.turn(inputs(), 1_000);
    let expected = ["made of seven", "a", "run of seven"];
    assert_eq!((turn.standing.clone(), told(&exec)), (Standing::Open, expected.map(str::to_owned).to_vec()));
    let mut again = fresh();
    assert_eq!(again.replay(vec![row(&turn)]), Standing::Open);
    assert_eq!(told(&again), expected);
    assert_eq!(MADE.get(), 2, "once each");
}

#[test]
fn a_run_that_has_not_begun_is_looked_at_as_it_will_begin() {
    let mut exec = fresh();
    let refused = exec.query("told", &Payload::null());
    assert!(matches!(refused, Err(QueryFault::Unavailable(_))), "nothing is known of its input");
    exec.prepare_to_look(&input());
    assert_eq!(told(&exec), ["made of seven"]);
    BROKEN.set(true);
    let mut exec = fresh();
    exec.prepare_to_look(&input());
    assert!(matches!(exec.query("told", &Payload::null()), Err(QueryFault::Unavailable(_))));
}

#[test]
fn a_panic_or_another_type_suspends_and_keeps_the_input() {
    BROKEN.set(true);
    let turn = fresh().turn(inputs(), 1_000);
    let Standing::Suspended(reason) = &turn.standing else { panic!("{:?}", turn.standing) };
    assert_eq!(reason.code, "AB0202");
    assert!(reason.message.contains("in its `#[init]`: no state"), "{}", reason.message);
    assert!(matches!(turn.events[..], [Event::Started { early: 1, .. }]), "{:?}", turn.events);
    assert_eq!(turn.undelivered.len(), 1);
    BROKEN.set(false);
    let mut mended = fresh();
    mended.replay(vec![row(&turn)]);
    mended.turn(turn.undelivered, 2_000);
    assert_eq!(told(&mended), ["made of seven", "a", "run of seven"]);

    let number = Input::Start { input: Payload::encode(&(7,)).unwrap(), seed: 1, context: Box::default() };
    let turn = fresh().turn(vec![number], 1_000);
    assert!(matches!(&turn.standing, Standing::Suspended(reason) if reason.code == "AB0203"));
    assert_eq!(turn.events.len(), 1);
}
