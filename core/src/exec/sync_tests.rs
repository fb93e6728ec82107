//! Semaphore, mutex, channel and the wait for handlers: first come, first served, the same live and replayed.

use super::*;
use crate::def::{SignalFn, WorkflowDef};
use crate::event::Event;
use crate::flow::{
    self, Mutex, Receiver, Semaphore, Sender, channel, handlers_finished, sleep, sleep_until, spawn,
};
use crate::future::LocalBoxFuture;
use crate::guard::{WorkflowFuture, block, guard};
use crate::outcome::{Sel, decode_args};
use crate::payload::{Payload, PayloadError};
use crate::site::Site;
use crate::state::{Slot, This};
use std::time::Duration;

static SITE: Site = Site { file: "sync_tests.rs", line: 1, column: 1, text: "a step" };
static LOCKED: Site = Site { file: "sync_tests.rs", line: 2, column: 1, text: "a lock" };

/// What the tasks and handlers share.
struct Shared {
    log: Mutex<Vec<String>>,
    turn: Mutex<()>,
}

/// Runs the scenario of its argument. The tasks write into a log, which is the result.
struct Scenes<const HANDLES: bool>;

type Notes = Rc<RefCell<Vec<String>>>;

fn note(notes: &Notes, text: impl Into<String>) {
    notes.borrow_mut().push(text.into());
}

async fn pause(ms: u64) {
    guard(sleep(Duration::from_millis(ms)), &SITE).await;
}

impl<const HANDLES: bool> WorkflowDef for Scenes<HANDLES> {
    const NAME: &'static str = "scenes";
    type State = Shared;
    type Args = (String,);
    type Returned = Vec<String>;
    type Outcome = Sel<Vec<String>, false>;

    fn init() -> Shared {
        Shared { log: Mutex::default(), turn: Mutex::default() }
    }

    async fn run(slot: Slot<Shared>, (scene,): (String,)) -> Vec<String> {
        let notes = Notes::default();
        match scene.as_str() {
            "permits" => permits(&notes).await,
            "mutex" => mutex(&notes).await,
            "given up" => given_up(&notes).await,
            "channel" => messages(&notes).await,
            "ends" => ends(&notes).await,
            "kept" => kept().await,
            "handlers" => {
                pause(1_000).await;
                guard(handlers_finished(), &SITE).await;
                let log = slot.with(|state| state.log.lock()).expect("nothing else has the state");
                let log = guard(log, &SITE).await;
                notes.borrow_mut().extend(log.clone());
            }
            _ => {
                let at = jiff::Timestamp::from_nanosecond(5_000_000_001).expect("in range");
                guard(sleep_until(at), &SITE).await;
                let late = guard(flow::timeout_at(at, sleep(Duration::from_secs(9))), &SITE).await.is_err();
                note(&notes, format!("{late} at {}", flow::now().as_millisecond()));
            }
        }
        notes.take()
    }

    fn signal(name: &str) -> Option<SignalFn<Shared>> {
        (HANDLES && name == "work").then_some(SignalFn::Async(work))
    }

    fn signal_names() -> &'static [&'static str] {
        if HANDLES { &["work"] } else { &[] }
    }
}

/// Works for a while, in turn with the other handlers.
fn work(state: &Shared, input: &Payload) -> Result<LocalBoxFuture<()>, PayloadError> {
    let (name,) = decode_args::<(String,)>(input)?;
    let slot = This::current(state).slot();
    Ok(Box::pin(block(async move {
        let turn = slot.with(|state| state.turn.lock()).expect("nothing else has the state");
        let _turn = guard(turn, &SITE).await;
        for step in ["begin", "end"] {
            let log = slot.with(|state| state.log.lock()).expect("nothing else has the state");
            guard(log, &SITE).await.push(format!("{step} {name}"));
            pause(2_000).await;
        }
    })))
}

/// Five tasks, two at a time. The first takes longer than the second.
async fn permits(notes: &Notes) {
    let seats = Semaphore::new(2);
    let tasks: Vec<_> = (0..5_u64).map(|n| (n, notes.clone(), seats.clone())).collect();
    let tasks = tasks.into_iter().map(|(n, notes, seats)| {
        spawn(block(async move {
            let _seat = guard(seats.acquire(), &SITE).await;
            note(&notes, format!("{n} in"));
            pause(100 * (5 - n)).await;
            note(&notes, format!("{n} out"));
        }))
    });
    guard(all(tasks.collect()), &SITE).await;
    note(notes, format!("{} free", seats.available_permits()));
}

fn all<F: WorkflowFuture<Output: std::fmt::Debug> + Unpin>(
    tasks: Vec<F>,
) -> impl WorkflowFuture<Output = ()> {
    block(async move {
        for task in tasks {
            guard(task, &SITE).await;
        }
    })
}

/// The value is never seen half changed, and those who ask first come first.
async fn mutex(notes: &Notes) {
    let sum = Mutex::new((0, 0));
    let add = |n: u32| {
        let (sum, notes) = (sum.clone(), notes.clone());
        spawn(block(async move {
            let mut sum = guard(sum.lock(), &SITE).await;
            assert_eq!(sum.0, sum.1, "half changed");
            sum.0 += n;
            pause(10).await;
            sum.1 += n;
            note(&notes, format!("{n}: {}", sum.1));
        }))
    };
    let tasks = [4, 2, 3, 1].map(add);
    guard(all(tasks.into()), &SITE).await;
    note(notes, format!("{sum:?}"));
}

/// A task in the queue and the holder are aborted: the next in the queue comes.
async fn given_up(notes: &Notes) {
    let turn = Mutex::new("first");
    let wait = |name: &'static str| {
        let (turn, notes) = (turn.clone(), notes.clone());
        spawn(block(async move {
            let mut turn = guard(turn.lock(), &SITE).await;
            note(&notes, format!("{name} after {}", *turn));
            *turn = name;
            pause(1_000).await;
        }))
    };
    let [holder, queued, last] = ["a", "b", "c"].map(wait);
    pause(10).await;
    note(notes, format!("{turn:?}"));
    queued.abort();
    pause(10).await;
    holder.abort();
    guard(last, &SITE).await.ok();
}

/// Two senders, two receivers, room for one.
async fn messages(notes: &Notes) {
    let (sender, receiver) = channel(1);
    let send = |name: &'static str| {
        let (sender, notes): (Sender<String>, _) = (sender.clone(), notes.clone());
        spawn(block(async move {
            for n in 0..3 {
                guard(sender.send(format!("{name}{n}")), &SITE).await.ok();
            }
            note(&notes, format!("{name} has sent"));
        }))
    };
    let receive = |name: &'static str, ms: u64| {
        let (receiver, notes): (Receiver<String>, _) = (receiver.clone(), notes.clone());
        spawn(block(async move {
            while let Some(text) = guard(receiver.recv(), &SITE).await {
                note(&notes, format!("{name} has {text}"));
                pause(ms).await;
            }
        }))
    };
    let tasks = vec![send("x"), send("y"), receive("one", 10), receive("two", 25)];
    drop((sender, receiver));
    guard(all(tasks), &SITE).await;
}

/// What each end is told when the other is gone.
async fn ends(notes: &Notes) {
    let (sender, receiver) = channel(2);
    guard(sender.send(1), &SITE).await.ok();
    // A future counts as the end that made it.
    let send = sender.send(2);
    drop(sender);
    let task = spawn(block(async move { guard(send, &SITE).await.is_ok() }));
    for _ in 0..3 {
        let next = guard(receiver.recv(), &SITE).await;
        note(notes, format!("{next:?}"));
    }
    note(notes, format!("{:?}", guard(task, &SITE).await.ok()));
    let (sender, receiver) = channel(1);
    guard(sender.send("kept"), &SITE).await.ok();
    let waits = sender.clone();
    let waits = spawn(block(async move { guard(waits.send("late"), &SITE).await }));
    pause(10).await;
    drop(receiver);
    let refused = guard(waits, &SITE).await.ok().and_then(Result::err).map(|refused| refused.0);
    let now = guard(sender.send("later"), &SITE).await.err().map(|refused| refused.to_string());
    note(notes, format!("{refused:?} {now:?}"));
}

/// A task locks twice.
async fn kept() {
    let turn = Mutex::new(());
    let _first = guard(turn.lock(), &SITE).await;
    pause(10).await;
    let _second = guard(turn.lock(), &LOCKED).await;
}

struct World {
    exec: Execution,
    rows: Vec<JournalRow>,
    now_ms: i64,
}

fn fresh(kind: &WorkflowType) -> Execution {
    let info = Info::new("w".to_owned(), "r".to_owned(), "scenes".to_owned(), "q".to_owned());
    Execution::new(kind, info, Rc::new(|_: &str| true))
}

impl World {
    fn new(kind: &WorkflowType, scene: &str) -> Self {
        let mut world = Self { exec: fresh(kind), rows: Vec::new(), now_ms: 1_000 };
        let input = Payload::encode(&(scene,)).unwrap();
        world.turn(vec![Input::Start { input, seed: 1, context: Box::default() }]);
        world
    }

    fn turn(&mut self, inputs: Vec<Input>) {
        let turn = self.exec.turn(inputs, self.now_ms);
        if !turn.events.is_empty() {
            self.rows.push(JournalRow { seq: turn.seq, at_ms: turn.at_ms, events: turn.events });
        }
    }

    /// Fires timers until nothing is left. `evict`: the run is loaded again before each turn.
    fn go_on(&mut self, kind: &WorkflowType, evict: bool) {
        while let (Standing::Open, Some(at)) = (self.exec.standing(), self.exec.next_timer_ms()) {
            if evict {
                self.exec = fresh(kind);
                self.exec.replay(self.rows.clone());
            }
            self.now_ms = at;
            self.turn(Vec::new());
        }
    }

    fn result(&self) -> Vec<String> {
        let last = self.rows.last().and_then(|row| row.events.last());
        let Some(Event::Completed { result }) = last else { panic!("{:?}: {last:?}", self.exec.standing()) };
        serde_json::from_str(result.as_json()).unwrap()
    }
}

fn ran(scene: &str) -> Vec<String> {
    let kind = WorkflowType::of::<Scenes<false>>();
    let results = [false, true].map(|evict| {
        let mut world = World::new(&kind, scene);
        world.go_on(&kind, evict);
        let mut again = fresh(&kind);
        assert_eq!(again.replay(world.rows.clone()), Standing::Closed);
        world.result()
    });
    assert_eq!(results[0], results[1], "evicted before each turn");
    results.into_iter().next().unwrap()
}

#[test]
fn permits_go_to_those_who_asked_first() {
    let expected =
        ["0 in", "1 in", "1 out", "2 in", "0 out", "3 in", "2 out", "3 out", "4 in", "4 out", "2 free"];
    let seen = ran("permits");
    let order = |words: &str| seen.iter().position(|seen| seen == words);
    for n in 1..5 {
        assert!(order(&format!("{} in", n - 1)) < order(&format!("{n} in")), "{seen:?}");
    }
    assert_eq!(seen.len(), expected.len(), "{seen:?}");
}

#[test]
fn a_mutex_is_held_across_awaits() {
    assert_eq!(ran("mutex"), ["4: 4", "2: 6", "3: 9", "1: 10", "Mutex((10, 10))"]);
}

#[test]
fn a_dropped_wait_leaves_the_queue() {
    assert_eq!(ran("given up"), ["a after first", "Mutex(<locked>)", "c after a"]);
}

#[test]
fn a_channel_delivers_each_value_once_and_in_order() {
    let seen = ran("channel");
    for name in ["x", "y"] {
        let of: Vec<_> =
            seen.iter().filter_map(|line| line.split_once(" has ")).map(|(_, text)| text).collect();
        let of: Vec<_> = of.into_iter().filter(|text| text.starts_with(name)).collect();
        assert_eq!(of, (0..3).map(|n| format!("{name}{n}")).collect::<Vec<_>>(), "{seen:?}");
    }
    assert!(seen.iter().any(|line| line.starts_with("two has")), "{seen:?}");
}

#[test]
fn each_end_is_told_when_the_other_is_gone() {
    let told = "Some(\"late\") Some(\"all receivers of the channel are gone\")";
    assert_eq!(ran("ends"), ["Some(1)", "Some(2)", "None", "Some(true)", told]);
}

#[test]
fn times_are_points_in_time() {
    assert_eq!(ran("until"), ["true at 5001"]);
}

#[test]
fn a_lock_that_nothing_gives_back_is_told() {
    let kind = WorkflowType::of::<Scenes<false>>();
    for evict in [false, true] {
        let mut world = World::new(&kind, "kept");
        world.go_on(&kind, evict);
        let Standing::Suspended(reason) = world.exec.standing() else {
            panic!("{:?}", world.exec.standing())
        };
        assert_eq!(reason.code, "AB0204");
        assert_eq!(reason.site.as_deref(), Some("sync_tests.rs:2:1 `a lock`"));
        assert!(reason.message.contains("a lock or a channel of its own"), "{}", reason.message);
    }
    // A handler may have the guard.
    let mut world = World::new(&WorkflowType::of::<Scenes<true>>(), "kept");
    world.go_on(&WorkflowType::of::<Scenes<true>>(), false);
    assert_eq!(world.exec.standing(), Standing::Open);
}

#[test]
fn handlers_take_turns_and_the_end_waits_for_them() {
    let kind = WorkflowType::of::<Scenes<true>>();
    let results = [false, true].map(|evict| {
        let mut world = World::new(&kind, "handlers");
        let signals = ["a", "b"].map(|name| Input::Signal {
            name: "work".to_owned(),
            input: Payload::encode(&(name,)).unwrap(),
            request_id: name.to_owned(),
        });
        world.turn(signals.into());
        world.go_on(&kind, evict);
        world.result()
    });
    assert_eq!(results[0], ["begin a", "end a", "begin b", "end b"]);
    assert_eq!(results[0], results[1]);
}
