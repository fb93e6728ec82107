//! Messages to other workflows: what the journal keeps, how the answer resolves the future, and what a replay does.

use super::{Delivery, ExternalCore, MAX_ID_CHARS, ToOther};
use crate::def::WorkflowDef;
use crate::event::{Event, JournalRow, Recipient};
use crate::exec::info::Info;
use crate::exec::{Execution, Input, Standing, Turn, WorkflowType};
use crate::flow::{assume_deterministic, secs, sleep, timeout};
use crate::guard::block;
use crate::ids::EventId;
use crate::messages::SignalRoute;
use crate::outcome::Sel;
use crate::payload::Payload;
use crate::state::Slot;
use std::marker::PhantomData;
use std::rc::Rc;

fn signal(to: &str, n: u32) -> Delivery {
    let core = ExternalCore::<Both> { id: to.to_owned(), workflow: PhantomData };
    ToOther::signal(&core, "hold", Payload::encode(&(n,)))
}

fn cancel(to: &str) -> Delivery {
    ExternalCore::<Both> { id: to.to_owned(), workflow: PhantomData }.cancel("enough")
}

/// A workflow that does what its name says.
macro_rules! workflow {
    ($name:ident: $body:expr) => {
        struct $name;

        impl WorkflowDef for $name {
            const NAME: &'static str = "sender";
            type State = ();
            type Args = ();
            type Returned = String;
            type Outcome = Sel<String, false>;

            fn init() {}

            async fn run(_: Slot<()>, (): ()) -> String {
                block($body).await
            }
        }
    };
}

workflow!(Both: async {
    let told = signal("ship-9", 1).await;
    let ended = cancel("trip-1").await;
    format!("{told:?} {ended:?}")
});

workflow!(Impatient: async {
    let told = timeout(secs(1), signal("ship-9", 1)).await;
    sleep(secs(1)).await;
    format!("{told:?}")
});

workflow!(Many: async {
    let mut last = signal("ship-9", 2_000);
    let all: Vec<Delivery> = (0..2_000).map(|n| signal("ship-9", n)).collect();
    let all = futures::future::join(futures::future::join_all(all), &mut last);
    let (_, refused) = assume_deterministic("only deliveries", all).await;
    format!("{refused:?}")
});

workflow!(Wrong: async {
    let nobody = signal("", 1).await;
    let long = signal(&"x".repeat(MAX_ID_CHARS + 1), 1).await;
    format!("{} {}", nobody.unwrap_err(), long.unwrap_err())
});

fn new<W: WorkflowDef>() -> Execution {
    let info = Info::new("w".to_owned(), "r".to_owned(), "sender".to_owned(), "q".to_owned());
    Execution::new(&WorkflowType::of::<W>(), info, Rc::new(|_: &str| true))
}

fn row(turn: &Turn) -> JournalRow {
    JournalRow { seq: turn.seq, at_ms: turn.at_ms, events: turn.events.clone() }
}

fn start() -> Vec<Input> {
    vec![Input::Start { input: Payload::encode(&()).unwrap(), seed: 1, context: Box::default() }]
}

fn answered(command: u64, refused: Option<&str>) -> Input {
    Input::Answered { command: EventId(command), refused: refused.map(str::to_owned) }
}

fn sent(to: &str, n: u32) -> Event {
    let input = Payload::encode(&(n,)).unwrap();
    Event::SignalSent { to: Recipient::Workflow(to.to_owned()), name: "hold".to_owned(), input }
}

#[track_caller]
fn result(turn: &Turn) -> String {
    match turn.events.last() {
        Some(Event::Completed { result }) => result.decode().unwrap(),
        other => panic!("{other:?}, {:?}", turn.standing),
    }
}

/// The rows replay to the same state, and nothing is asked for beyond them.
#[track_caller]
fn replays<W: WorkflowDef>(turns: &[&Turn]) -> Execution {
    let mut again = new::<W>();
    let standing = again.replay(turns.iter().map(|turn| row(turn)).collect());
    assert_eq!((standing, again.broke_off()), (turns.last().unwrap().standing.clone(), None));
    again
}

#[test]
fn a_message_is_a_command_and_its_answer_resolves_the_future() {
    let mut exec = new::<Both>();
    let first = exec.turn(start(), 0);
    assert_eq!(first.events[1..], [sent("ship-9", 1)]);
    assert_eq!(first.standing, Standing::Open, "it waits for the answer alone");
    assert!(exec.awaits_answer(EventId(2)) && exec.outlook(0).wake_at_ms.is_none());
    replays::<Both>(&[&first]);
    let second = exec.turn(vec![answered(2, None)], 1);
    let cancels =
        Event::CancelSent { to: Recipient::Workflow("trip-1".to_owned()), reason: "enough".to_owned() };
    assert_eq!(second.events, [Event::Answered { command: EventId(2), refused: None }, cancels]);
    // The evicted run goes on where it was.
    let mut again = replays::<Both>(&[&first, &second]);
    for exec in [&mut exec, &mut again] {
        let twice = exec.turn(vec![answered(2, Some("no")), answered(9, None)], 2);
        assert_eq!(twice.events, [], "each answer counts once, and only for a command");
        let last = exec.turn(vec![answered(4, Some("no such run"))], 3);
        assert_eq!(result(&last), r#"Ok(()) Err(NotRunning("trip-1"))"#);
        replays::<Both>(&[&first, &second, &last]);
    }
}

#[test]
fn a_dropped_delivery_is_sent_and_its_answer_is_taken_in() {
    let mut exec = new::<Impatient>();
    let first = exec.turn(start(), 0);
    assert_eq!(first.events[1], sent("ship-9", 1));
    let second = exec.turn(Vec::new(), 1_000);
    let third = exec.turn(vec![answered(2, None)], 1_500);
    assert_eq!(third.events, [Event::Answered { command: EventId(2), refused: None }]);
    let last = exec.turn(Vec::new(), 2_000);
    assert_eq!(result(&last), "Err(Elapsed)");
    replays::<Impatient>(&[&first, &second, &third, &last]);
}

#[test]
fn two_thousand_are_unanswered_at_most() {
    let mut exec = new::<Many>();
    let turn = exec.turn(start(), 0);
    assert_eq!((turn.events.len(), &turn.standing), (2_001, &Standing::Open));
    let answers = (2..=2_001).map(|command| answered(command, None)).collect();
    let last = exec.turn(answers, 1);
    assert!(result(&last).contains("Invalid(\"AB0617: 2,000 messages"), "{}", result(&last));
    replays::<Many>(&[&turn, &last]);
}

#[test]
fn an_id_that_no_workflow_can_have_is_refused_at_once() {
    let turn = new::<Wrong>().turn(start(), 0);
    let text = result(&turn);
    assert_eq!(text.matches("AB0412: a workflow id has 1 to 1,000 characters").count(), 2, "{text}");
    assert_eq!(turn.events.len(), 2, "nothing was sent");
}

#[test]
fn another_receiver_is_another_command() {
    let first = new::<Both>().turn(start(), 0);
    let mut rows = vec![row(&first)];
    rows[0].events[1] = sent("ship-8", 1);
    let Standing::Suspended(reason) = new::<Both>().replay(rows) else { panic!("it went on") };
    assert_eq!(reason.code, "AB0201", "{reason}");
}
