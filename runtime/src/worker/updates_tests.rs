//! Updates as a thread takes them in: whom it tells what, and when.

use super::super::mailbox::Message;
use super::super::registry::Registry;
use super::super::run::Phase;
use super::super::thread::tests::{Bench, order};
use crate::store::{MessageKind, NewMessage};
use crate::update_waiters::UpdateWatch;
use crate::wire::{SignalBody, UpdateBody, rejected_key, to_json, update_key};
use abide_core::exec::UpdateState;
use abide_core::flow::sleep;
use abide_core::{
    ExecutionId, Failure, Fault, Payload, PayloadError, Sel, SignalFn, Slot, UpdateFn, UpdateRun, WorkflowDef,
};
use std::time::{Duration, Instant};

/// Takes numbers in, as long as it is open. It refuses 0.
struct Cart;

impl WorkflowDef for Cart {
    const NAME: &'static str = "Order";
    type State = (bool, Vec<u32>);
    type Args = ();
    type Returned = u32;
    type Outcome = Sel<u32, false>;

    fn init() -> (bool, Vec<u32>) {
        (true, Vec::new())
    }

    async fn run(_: Slot<(bool, Vec<u32>)>, (): ()) -> u32 {
        sleep(Duration::from_secs(3_600)).await;
        7
    }

    fn signal(name: &str) -> Option<SignalFn<Self::State>> {
        (name == "open").then_some(SignalFn::Sync(|state, input| {
            (state.0,) = input.decode()?;
            Ok(())
        }))
    }

    fn update(name: &str) -> Option<UpdateFn<Self::State>> {
        (name == "add").then_some(UpdateFn {
            validate: |state, input| match (state.0, input.decode::<(u32,)>()?.0) {
                (true, 1..) => Ok(Ok(())),
                _ => Failure::new("no").to_record().map(Err),
            },
            run: UpdateRun::Sync(|state, input| {
                state.1.push(input.decode::<(u32,)>()?.0);
                Ok::<_, PayloadError>(Ok(Payload::encode(&state.1.len())?))
            }),
        })
    }
}

struct Lab {
    bench: Bench,
    run: ExecutionId,
}

impl Lab {
    async fn new() -> Self {
        let mut registry = Registry::default();
        registry.workflow::<Cart>();
        let mut bench = Bench::with(registry).await;
        let run = bench.store.execution_id();
        let (reply, _answer) = tokio::sync::oneshot::channel();
        bench.thread.take(Message::Start { new: Box::new(order(run)), reply });
        let mut lab = Self { bench, run };
        lab.settle().await;
        lab
    }

    fn take(&mut self, kind: MessageKind, request_id: &str, body: String) {
        let (reply, _answer) = tokio::sync::oneshot::channel();
        let message =
            NewMessage { execution: self.run, kind, request_id: request_id.to_owned(), body, at_ms: 1 };
        self.bench.thread.take(Message::Send { message, reply });
    }

    /// An ask of another process, and what this one hears of it.
    fn ask(&mut self, ask: &str, n: u32) -> UpdateWatch {
        let told = self.bench.thread.session.hub().updates.watch(self.run, "u", ask);
        let input = Some(Payload::encode(&(n,)).unwrap());
        let body = UpdateBody { update_id: "u".to_owned(), name: "add".to_owned(), input, asker: Some(1) };
        self.take(MessageKind::Update, ask, to_json(&body));
        told
    }

    fn open(&mut self, open: bool) {
        let input = Payload::encode(&(open,)).unwrap();
        let body = SignalBody { name: "open".to_owned(), input };
        self.take(MessageKind::Signal, &format!("open-{open}"), to_json(&body));
    }

    /// Runs turns until nothing is in flight.
    async fn settle(&mut self) {
        let began = Instant::now();
        loop {
            self.bench.round();
            let run = self.bench.thread.runs.get(&self.run);
            if run.is_some_and(|run| matches!(run.phase, Phase::Idle(_)) && run.mailbox.is_empty()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert!(began.elapsed() < Duration::from_secs(60), "it does not come to rest");
        }
    }

    async fn journal(&self) -> String {
        let turns = self.bench.store.journal(self.run).await.unwrap();
        turns.iter().map(|turn| turn.body.as_str()).collect()
    }

    async fn kept(&self, key: String) -> Option<UpdateState> {
        let body = self.bench.store.read_reply(key).await.unwrap();
        body.map(|body| serde_json::from_str(&body).unwrap())
    }
}

fn is_done(state: Option<&UpdateState>) -> bool {
    matches!(state, Some(UpdateState::Completed(_)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejection_waits_for_the_append_of_its_turn() {
    let mut lab = Lab::new().await;
    lab.open(false);
    let told = lab.ask("a1", 5);
    lab.bench.round();
    assert!(lab.bench.is_writing(lab.run), "the signal is being written");
    assert_eq!(told.state(), None, "it is rejected because of a signal that is not durable");
    lab.settle().await;
    assert!(matches!(told.state(), Some(UpdateState::Rejected(_))));
    assert!(!lab.journal().await.contains("update_accepted"), "a rejection is no event");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejection_answers_one_ask() {
    let mut lab = Lab::new().await;
    let first = lab.ask("a1", 0);
    lab.settle().await;
    assert!(matches!(first.state(), Some(UpdateState::Rejected(_))));
    assert!(matches!(lab.kept(rejected_key("a1")).await, Some(UpdateState::Rejected(_))));
    assert_eq!(lab.kept(update_key(lab.run, "u")).await, None, "the update itself is still unknown");
    let second = lab.ask("a2", 3);
    lab.settle().await;
    assert!(is_done(second.state().as_ref()) && is_done(lab.kept(update_key(lab.run, "u")).await.as_ref()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accepted_id_is_not_accepted_again() {
    let mut lab = Lab::new().await;
    let first = lab.ask("a1", 3);
    lab.settle().await;
    let second = lab.ask("a2", 4);
    lab.settle().await;
    assert!(is_done(first.state().as_ref()));
    assert_eq!(first.state(), second.state(), "the answer of the first");
    assert_eq!(lab.journal().await.matches("update_accepted").count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_asks_no_validator() {
    let mut lab = Lab::new().await;
    lab.ask("a1", 3);
    lab.settle().await;
    // The validator would say no now, as a later build's may.
    let turns = lab.bench.store.journal(lab.run).await.unwrap();
    let rows = turns.iter().map(|turn| {
        let mut row = turn.read().ok().unwrap();
        for event in &mut row.events {
            if let abide_core::Event::UpdateAccepted { input, .. } = event {
                *input = Payload::encode(&(0,)).unwrap();
            }
        }
        row
    });
    let workflow = abide_core::exec::WorkflowType::of::<Cart>();
    let info = super::super::names::Names::unknown().info();
    let mut exec = abide_core::exec::Execution::again(&workflow, info, std::rc::Rc::new(|_: &str| true));
    assert_eq!(exec.replay(rows.collect()), abide_core::exec::Standing::Open);
    assert_eq!(exec.broke_off(), None);
}
