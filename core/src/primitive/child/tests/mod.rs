//! Children: what the journal keeps, which births the append inserts, how ends reach the code, and what a replay
//! does.

/// A workflow that does what its body says.
macro_rules! workflow {
    ($name:ident: $body:expr) => {
        struct $name;

        impl WorkflowDef for $name {
            const NAME: &'static str = "trip";
            type State = ();
            type Args = ();
            type Returned = Result<String, Failure>;
            type Outcome = Sel<Result<String, Failure>, true>;

            fn init() {}

            async fn run(_: Slot<()>, (): ()) -> Result<String, Failure> {
                block($body).await
            }
        }
    };
}

mod calls;
mod drops;
mod limits;

use super::WorkflowCall;
use crate::child::{ChildEnd, ChildIds};
use crate::def::WorkflowDef;
use crate::event::{Event, JournalRow};
use crate::exec::info::Info;
use crate::exec::{Execution, Input, Standing, Turn, WorkflowType};
use crate::failure::Failure;
use crate::guard::block;
use crate::ids::{EventId, ExecutionId};
use crate::messages::{Messages, Route, SignalRoute};
use crate::outcome::Sel;
use crate::payload::Payload;
use crate::start_context::{Parent, StartContext};
use crate::state::Slot;
use std::cell::Cell;
use std::ops::Deref;
use std::rc::Rc;

/// The child. It never runs here.
struct Ship;

impl WorkflowDef for Ship {
    const NAME: &'static str = "ship";
    type State = ();
    type Args = (u32,);
    type Returned = Result<u32, Failure>;
    type Outcome = Sel<Result<u32, Failure>, true>;

    fn init() {}

    async fn run(_: Slot<()>, (n,): (u32,)) -> Result<u32, Failure> {
        Ok(n)
    }
}

/// A child that returns a plain value.
struct Plain;

impl WorkflowDef for Plain {
    const NAME: &'static str = "plain";
    type State = ();
    type Args = ();
    type Returned = u32;
    type Outcome = Sel<u32, false>;

    fn init() {}

    async fn run(_: Slot<()>, (): ()) -> u32 {
        7
    }
}

struct Methods<R: Route>(R::Core<Ship>);

impl<R: Route> Deref for Methods<R> {
    type Target = R::Core<Ship>;

    fn deref(&self) -> &R::Core<Ship> {
        &self.0
    }
}

impl<R: SignalRoute> Methods<R> {
    fn hold(&self, yes: bool) -> R::Signal<Ship> {
        R::signal(&self.0, "hold", Payload::encode(&(yes,)))
    }
}

impl<R: Route> Messages<R> for Ship {
    type Methods = Methods<R>;

    fn methods(core: R::Core<Self>) -> Methods<R> {
        Methods(core)
    }
}

fn ship(n: u32) -> WorkflowCall<Ship> {
    WorkflowCall::new(&(n,))
}

fn new<W: WorkflowDef>() -> Execution {
    let info = Info::new("trip-1".to_owned(), "r1".to_owned(), "trip".to_owned(), "q".to_owned());
    let exec = Execution::new(&WorkflowType::of::<W>(), info, Rc::new(|_: &str| true));
    let next = Cell::new(100);
    exec.lend(Rc::new(move || {
        next.set(next.get() + 1);
        ChildIds { execution: ExecutionId(next.get()), run_id: format!("run-{}", next.get()) }
    }));
    exec
}

fn started<W: WorkflowDef>() -> (Execution, Turn) {
    let mut exec = new::<W>();
    let turn = exec.turn(vec![start(0)], 1_000);
    (exec, turn)
}

fn start(depth: u32) -> Input {
    let parent = (depth > 0).then(|| Parent::new("above", "r0"));
    let context = Box::new(StartContext { parent, depth, ..StartContext::default() });
    Input::Start { input: Payload::encode(&()).unwrap(), seed: 1, context }
}

fn row(turn: &Turn) -> JournalRow {
    let events = serde_json::from_str(&serde_json::to_string(&turn.events).unwrap()).unwrap();
    JournalRow { seq: turn.seq, at_ms: turn.at_ms, events }
}

/// The rows replay to the same state, and nothing is asked for beyond them.
#[track_caller]
fn replays<W: WorkflowDef>(turns: &[&Turn]) -> Execution {
    let mut again = new::<W>();
    let standing = again.replay(turns.iter().map(|turn| row(turn)).collect());
    assert_eq!((standing, again.broke_off()), (turns.last().unwrap().standing.clone(), None));
    again
}

fn ended(child: u64, end: ChildEnd) -> Input {
    Input::ChildEnded { child: EventId(child), end }
}

fn completed(child: u64, n: u32) -> Input {
    ended(child, ChildEnd::Completed(Payload::encode(&n).unwrap()))
}

fn answered(command: u64, refused: Option<&str>) -> Input {
    Input::Answered { command: EventId(command), refused: refused.map(str::to_owned) }
}

fn cancel() -> Input {
    Input::Cancel { request_id: "c".to_owned(), reason: "enough".to_owned() }
}

#[track_caller]
fn result(turn: &Turn) -> String {
    match turn.events.last() {
        Some(Event::Completed { result }) => result.decode().unwrap(),
        other => panic!("{other:?}, {:?}", turn.standing),
    }
}

fn births(turn: &Turn) -> Vec<(u64, &str)> {
    turn.births.iter().map(|birth| (birth.child.0, birth.workflow_id.as_str())).collect()
}

fn requested(child: u64, unborn: bool) -> Event {
    Event::ChildCancelRequested { child: EventId(child), unborn }
}

workflow!(One: async { Ok(ship(3).await?.to_string()) });
