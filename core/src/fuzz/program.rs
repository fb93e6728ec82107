//! A workflow whose code is its input: a random list of steps. Code that a macro would generate is written by
//! hand here.

use super::values::signal_name;
use crate::def::{ActivityDef, QueryFn, SignalFn, WorkflowDef};
use crate::failure::Failure;
use crate::flow::select::{Selected2, branch, select};
use crate::flow::{self, Saga, join};
use crate::future::LocalBoxFuture;
use crate::guard::{WorkflowFuture, block, guard};
use crate::messages::{Messages, Route};
use crate::outcome::{Sel, decode_args};
use crate::payload::{Payload, PayloadError};
use crate::policy::CancellationType;
use crate::primitive::activity::ActivityCall;
use crate::primitive::child::WorkflowCall;
use crate::site::Site;
use crate::state::{Slot, This};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select as one_of;
use serde::{Deserialize, Serialize};
use std::ops::Deref;
use std::pin::Pin;
use std::time::Duration;

/// The activity, and how it is called.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Kind {
    Here,
    Elsewhere,
    Transactional,
    Waiting,
    Abandoned,
    Twice,
    Limited,
}

/// How a child is called.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Child {
    Plain,
    Tried,
    Abandoned,
    Named,
    Handled,
    NamedAndHandled,
}

/// One step of a workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Op {
    Call(Kind),
    Child(Child),
    Sleep(u64),
    Note(u32),
    /// Runs its steps if the random bit is set.
    Perhaps(Vec<Op>),
    Race(Vec<Op>, Vec<Op>),
    Both(Vec<Op>, Vec<Op>),
    Spawn(Vec<Op>),
    SpawnAndWait(Vec<Op>),
    Abort(Vec<Op>),
    /// Waits until this many signals have arrived, or the time is over.
    Until(usize, Option<u64>),
    Limit(u64, Vec<Op>),
    Shield(Vec<Op>),
    /// Runs its steps with the mutex of the state, or with one of its permits.
    Locked(Vec<Op>),
    Permitted(Vec<Op>),
    Send(u32),
    Publish(u32),
    Receive,
    Handlers,
    Undo(Kind),
    Compensate,
    Forget,
    Listen,
    Fail,
}

pub(super) fn kind() -> impl Strategy<Value = Kind> {
    use Kind::{Abandoned, Elsewhere, Here, Limited, Transactional, Twice, Waiting};
    one_of(vec![Here, Here, Elsewhere, Transactional, Waiting, Abandoned, Twice, Limited])
}

fn child_kind() -> impl Strategy<Value = Child> {
    use Child::{Abandoned, Handled, Named, NamedAndHandled, Plain, Tried};
    one_of(vec![Plain, Plain, Tried, Abandoned, Named, Handled, NamedAndHandled])
}

/// A program of at most three levels.
pub(super) fn program() -> BoxedStrategy<Vec<Op>> {
    let leaf = prop_oneof![
        6 => kind().prop_map(Op::Call),
        4 => child_kind().prop_map(Op::Child),
        2 => (0_u64..5_000).prop_map(Op::Sleep),
        1 => any::<u32>().prop_map(Op::Note),
        2 => (0_usize..4, any::<Option<u16>>()).prop_map(|(n, limit)| Op::Until(n, limit.map(u64::from))),
        2 => kind().prop_map(Op::Undo),
        1 => any::<u32>().prop_map(Op::Send),
        1 => any::<u32>().prop_map(Op::Publish),
        1 => one_of(vec![Op::Receive, Op::Handlers]),
        1 => one_of(vec![Op::Compensate, Op::Forget, Op::Listen, Op::Fail, Op::Sleep(u64::MAX)]),
    ];
    let op = leaf.prop_recursive(3, 16, 4, |inner| {
        let some = || vec(inner.clone(), 0..4);
        prop_oneof![
            some().prop_map(Op::Perhaps),
            (some(), some()).prop_map(|(a, b)| Op::Race(a, b)),
            (some(), some()).prop_map(|(a, b)| Op::Both(a, b)),
            some().prop_map(Op::Spawn),
            some().prop_map(Op::SpawnAndWait),
            some().prop_map(Op::Abort),
            (0_u64..5_000, some()).prop_map(|(limit, steps)| Op::Limit(limit, steps)),
            some().prop_map(Op::Shield),
            some().prop_map(Op::Locked),
            some().prop_map(Op::Permitted),
        ]
    });
    vec(op, 0..7).boxed()
}

pub(super) struct Step;
pub(super) struct Ours;

impl ActivityDef for Step {
    const NAME: &'static str = "step";
    type Host = ();
    type Args = (u32,);
    type Returned = Result<u32, Failure>;
    type Outcome = Sel<Result<u32, Failure>, true>;

    async fn call((): &(), (n,): (u32,)) -> Result<u32, Failure> {
        Ok(n)
    }
}

impl ActivityDef for Ours {
    const NAME: &'static str = "ours";
    type Host = ();
    type Args = (u32,);
    type Returned = u32;
    type Outcome = Sel<u32, false>;

    fn options() -> crate::ActivityOptions {
        crate::ActivityOptions { transactional: true, ..crate::ActivityOptions::default() }
    }

    async fn call((): &(), (n,): (u32,)) -> u32 {
        n
    }
}

/// The child.
pub(super) struct Ship;

impl WorkflowDef for Ship {
    const NAME: &'static str = "child";
    type State = ();
    type Args = (u32,);
    type Returned = Result<u32, Failure>;
    type Outcome = Sel<Result<u32, Failure>, true>;

    async fn run(_: Slot<()>, (n,): (u32,)) -> Result<u32, Failure> {
        Ok(n)
    }
}

/// It has no messages of its own.
pub(super) struct NoMethods<R: Route>(R::Core<Ship>);

impl<R: Route> Deref for NoMethods<R> {
    type Target = R::Core<Ship>;

    fn deref(&self) -> &R::Core<Ship> {
        &self.0
    }
}

impl<R: Route> Messages<R> for Ship {
    type Methods = NoMethods<R>;

    fn methods(core: R::Core<Self>) -> NoMethods<R> {
        NoMethods(core)
    }
}

type Boxed<T> = Pin<Box<dyn WorkflowFuture<Output = T>>>;

static SITE: Site = Site { file: "program.rs", line: 1, column: 1, text: "a step" };

fn call(kind: Kind) -> Boxed<Result<u32, Failure>> {
    let step = || ActivityCall::<Step>::new((kind as u32,));
    let step = match kind {
        Kind::Here => step(),
        Kind::Elsewhere => step().task_queue("gpu"),
        Kind::Waiting => step().cancellation(CancellationType::WaitCancellationCompleted),
        Kind::Abandoned => step().cancellation(CancellationType::Abandon),
        Kind::Twice => step().max_attempts(2),
        Kind::Limited => step().schedule_to_close(Duration::from_secs(4)),
        Kind::Transactional => {
            let ours = ActivityCall::<Ours>::new((kind as u32,));
            return Box::pin(block(async move { Ok(guard(ours, &SITE).await?) }));
        }
    };
    Box::pin(block(async move { Ok(guard(step, &SITE).await?) }))
}

fn child(kind: Child) -> Boxed<Result<u32, Failure>> {
    let ship = move || WorkflowCall::<Ship>::new(&(kind as u32,));
    let call = match kind {
        Child::Plain => return Box::pin(block(async move { Ok(guard(ship(), &SITE).await?) })),
        Child::Tried => ship().cancellation(CancellationType::TryCancel),
        Child::Abandoned => ship().cancellation(CancellationType::Abandon),
        Child::Named | Child::NamedAndHandled => ship().id("ship-7"),
        Child::Handled => ship().task_queue("ships"),
    };
    match kind {
        Child::Handled | Child::NamedAndHandled => Box::pin(block(async move {
            let ship = guard(call.start(), &SITE).await?;
            let first = guard(ship.result(), &SITE).await?;
            Ok(first.wrapping_add(guard(ship.result(), &SITE).await?))
        })),
        _ => Box::pin(block(async move { Ok(guard(call, &SITE).await?) })),
    }
}

/// The state that the workflow shares with its handlers.
pub(super) struct State {
    pushed: Vec<u32>,
    turn: flow::Mutex<u32>,
    permits: flow::Semaphore,
    channel: (flow::Sender<u32>, flow::Receiver<u32>),
}

fn run(slot: Slot<State>, steps: Vec<Op>) -> Boxed<Result<u32, Failure>> {
    Box::pin(block(async move {
        let (mut sum, mut saga) = (0_u32, None);
        for op in steps {
            sum = sum.wrapping_add(step(&slot, op, saga.get_or_insert_with(flow::saga)).await?);
        }
        Ok(sum)
    }))
}

async fn step(slot: &Slot<State>, op: Op, saga: &mut Saga) -> Result<u32, Failure> {
    let inner = |steps| run(slot.clone(), steps);
    match op {
        Op::Call(kind) => return guard(call(kind), &SITE).await,
        Op::Child(kind) => return guard(child(kind), &SITE).await,
        Op::Sleep(ms) => guard(flow::sleep(Duration::from_millis(ms)), &SITE).await,
        Op::Note(n) => return Ok(guard(flow::side_effect(move || n), &SITE).await),
        Op::Perhaps(steps) if flow::random::<bool>() => return guard(inner(steps), &SITE).await,
        Op::Perhaps(_) => {}
        Op::Race(a, b) => {
            let race = select((branch(inner(a), true, |_| true), branch(inner(b), true, Result::is_ok)));
            return match guard(race, &SITE).await {
                Selected2::A(won) | Selected2::B(won) => won,
                Selected2::Nobody => Ok(0),
            };
        }
        Op::Both(a, b) => {
            let both = join::join((join::check(inner(a)), join::check(inner(b))));
            let (a, b) = guard(both, &SITE).await;
            return Ok(a?.wrapping_add(b?));
        }
        Op::Spawn(steps) => drop(flow::spawn(inner(steps))),
        Op::SpawnAndWait(steps) => return guard(flow::spawn(inner(steps)), &SITE).await.unwrap_or(Ok(1)),
        Op::Abort(steps) => {
            let handle = flow::spawn(inner(steps));
            guard(flow::sleep(Duration::from_millis(10)), &SITE).await;
            handle.abort();
            return guard(handle, &SITE).await.unwrap_or(Ok(2));
        }
        Op::Until(n, limit) => {
            let until = flow::until(slot, move |state: &State| state.pushed.len() >= n);
            match limit {
                Some(ms) => drop(guard(until.timeout(Duration::from_millis(ms)), &SITE).await),
                None => guard(until, &SITE).await,
            }
        }
        Op::Limit(ms, steps) => {
            let limited = flow::timeout(Duration::from_millis(ms), inner(steps));
            return guard(limited, &SITE).await.unwrap_or(Ok(3));
        }
        Op::Shield(steps) => return guard(flow::shielded(inner(steps)), &SITE).await,
        Op::Locked(steps) => {
            let turn = slot.with(|state| state.turn.lock()).expect("nothing else has the state");
            let mut turn = guard(turn, &SITE).await;
            *turn = turn.wrapping_add(guard(inner(steps), &SITE).await?);
            return Ok(*turn);
        }
        Op::Permitted(steps) => {
            let permit = slot.with(|state| state.permits.acquire()).expect("nothing else has the state");
            let _permit = guard(permit, &SITE).await;
            return guard(inner(steps), &SITE).await;
        }
        Op::Send(n) => {
            let sent = slot.with(|state| state.channel.0.send(n)).expect("nothing else has the state");
            guard(sent, &SITE).await.expect("the state holds the receiver");
        }
        Op::Receive => {
            let next = slot.with(|state| state.channel.1.recv()).expect("nothing else has the state");
            return Ok(guard(next, &SITE).await.expect("the state holds the sender"));
        }
        Op::Handlers => guard(flow::handlers_finished(), &SITE).await,
        Op::Publish(n) => flow::publish(if n % 2 == 0 { "even" } else { "odd" }, &n).expect("a number"),
        Op::Undo(kind) => saga.on_failure(call(kind)),
        Op::Compensate => drop(guard(saga.compensate(), &SITE).await),
        Op::Forget => saga.forget(),
        Op::Listen => drop(guard(flow::timeout(Duration::from_secs(3), flow::cancelled()), &SITE).await),
        Op::Fail => return Err(Failure::new("as its program says")),
    }
    Ok(0)
}

/// The workflow.
pub(super) struct Programmed;

impl WorkflowDef for Programmed {
    const NAME: &'static str = "programmed";
    type State = State;
    type Args = (Vec<Op>,);
    type Returned = Result<u32, Failure>;
    type Outcome = Sel<Result<u32, Failure>, true>;

    fn init() -> State {
        let (turn, permits) = (flow::Mutex::default(), flow::Semaphore::new(2));
        State { pushed: Vec::new(), turn, permits, channel: flow::channel(1) }
    }

    async fn run(slot: Slot<State>, (steps,): (Vec<Op>,)) -> Result<u32, Failure> {
        guard(run(slot, steps), &SITE).await
    }

    fn signal(name: &str) -> Option<SignalFn<State>> {
        match name {
            "push" => Some(SignalFn::Sync(push)),
            "work" => Some(SignalFn::Async(work)),
            _ => None,
        }
    }

    fn query(name: &str) -> Option<QueryFn<State>> {
        let pushed: QueryFn<State> = |state, _| Ok(Ok(Payload::encode(&state.pushed)?));
        (name == "pushed").then_some(pushed)
    }
}

fn push(state: &mut State, input: &Payload) -> Result<(), PayloadError> {
    let (n,) = decode_args::<(u32,)>(input)?;
    state.pushed.push(n);
    Ok(())
}

/// Calls an activity with the mutex, and then changes the state.
fn work(state: &State, input: &Payload) -> Result<LocalBoxFuture<()>, PayloadError> {
    let (kind,) = decode_args::<(Kind,)>(input)?;
    let (slot, turn) = (This::current(state).slot(), state.turn.lock());
    Ok(Box::pin(block(async move {
        let _turn = guard(turn, &SITE).await;
        let done = guard(call(kind), &SITE).await;
        This::of(slot).resume().pushed.push(done.unwrap_or_default());
    })))
}

/// A signal, usually with arguments that its handler takes.
pub(super) fn signal() -> BoxedStrategy<(String, Payload)> {
    prop_oneof![
        3 => any::<u32>().prop_map(|n| ("push".to_owned(), Payload::encode(&(n,)).expect("a number"))),
        2 => kind().prop_map(|kind| ("work".to_owned(), Payload::encode(&(kind,)).expect("a kind"))),
        1 => (signal_name(), super::values::payload()),
    ]
    .boxed()
}
