//! `Semaphore`, `Mutex`, `channel`, `handlers_finished` and points in time, live and replayed by another worker.

use super::ends::{reason, says};
use super::support::{Db, Log, Steps, eventually};
use abide::prelude::*;

/// Handlers that must not interleave. `run` ends after them.
struct Till {
    turn: workflow::Mutex<u32>,
    closing: bool,
    seen: Vec<String>,
}

impl Default for Till {
    fn default() -> Self {
        Self { turn: workflow::Mutex::new(100), closing: false, seen: Vec::new() }
    }
}

#[workflow]
impl Till {
    #[run]
    async fn run(&mut self) -> (u32, Vec<String>) {
        workflow::until!(self.closing).await;
        workflow::handlers_finished().await;
        (*self.turn.lock().await, self.seen.clone())
    }

    #[signal]
    async fn take(&mut self, name: String, amount: u32) {
        let mut rest = self.turn.lock().await;
        let before = *rest;
        self.seen.push(format!("{name} begins at {before}"));
        if Steps::note(amount).await.is_ok() {
            *rest = before - amount;
        }
        self.seen.push(format!("{name} ends at {}", *rest));
    }

    #[signal]
    fn close(&mut self) {
        self.closing = true;
    }
}

/// Three tasks share two permits and send what they did; the state holds the channel.
struct Crew {
    results: (workflow::Sender<u32>, workflow::Receiver<u32>),
    go: bool,
}

impl Default for Crew {
    fn default() -> Self {
        Self { results: workflow::channel(1), go: false }
    }
}

#[workflow]
impl Crew {
    #[run]
    async fn run(&mut self, of: u32) -> Vec<u32> {
        let seats = workflow::Semaphore::new(2);
        for n in 0..of {
            let (seats, results) = (seats.clone(), self.results.0.clone());
            workflow::spawn(async move {
                let _seat = seats.acquire().await;
                let done = Steps::note(n).await.unwrap_or_default();
                results.send(done).await.ok();
            });
        }
        let mut all = Vec::new();
        for _ in 0..of {
            all.extend(self.results.1.recv().await);
        }
        workflow::until!(self.go).await;
        all.push(seats.available_permits() as u32);
        all
    }

    #[signal]
    fn go(&mut self) {
        self.go = true;
    }
}

/// Locks twice.
#[workflow]
async fn deadlock() -> u32 {
    let turn = workflow::Mutex::new(1);
    let _first = turn.lock().await;
    Steps::note(1).await.ok();
    let second = turn.lock().await;
    *second
}

/// Receives from a channel whose only sender it has itself.
#[workflow]
async fn unsent() -> Option<u32> {
    let (_sender, receiver) = workflow::channel::<u32>(1);
    receiver.recv().await
}

/// Sleeps to a point in time, twice: the second has passed.
#[workflow]
async fn wakes(at_ms: i64) -> bool {
    let at = abide::jiff::Timestamp::from_millisecond(at_ms).expect("in range");
    workflow::sleep_until(at).await;
    let on_time = workflow::now() >= at;
    workflow::sleep_until(at).await;
    on_time && workflow::timeout_at(at, Steps::endless("late".into())).await.is_err()
}

async fn worker(db: &Db, log: &Log) -> Worker {
    let worker = db.abide.worker("sync").workflow(Till::run).workflow(Crew::run).workflow(wakes);
    worker.workflow(deadlock).workflow(unsent).activities(Steps(log.clone())).start().await.unwrap()
}

#[tokio::test]
async fn handlers_take_turns_and_the_run_waits_for_them() {
    let db = Db::new().await;
    let log = Log::default();
    let first = worker(&db, &log).await;
    let till = db.client().start(Till::run()).id("till").await.unwrap();
    till.take("a".into(), 30).await.unwrap();
    till.take("b".into(), 20).await.unwrap();
    eventually("both took", async || log.lines().len() == 2).await;
    // A new worker replays both handlers.
    first.shutdown().await.unwrap();
    let second = worker(&db, &log).await;
    till.take("c".into(), 1).await.unwrap();
    till.close().await.unwrap();
    let (rest, seen) = till.result().await.unwrap();
    let expected = ["a begins at 100", "a ends at 70", "b begins at 70", "b ends at 50"];
    assert_eq!((rest, &seen[..4]), (49, &expected.map(str::to_owned)[..]));
    assert_eq!(seen[4..], ["c begins at 50", "c ends at 49"]);
    assert_eq!(log.lines().len(), 3, "nothing ran again");
    second.shutdown().await.unwrap();
}

#[tokio::test]
async fn permits_and_a_channel_replay_the_same() {
    let db = Db::new().await;
    let log = Log::default();
    let first = worker(&db, &log).await;
    let crew = db.client().start(Crew::run(40)).id("crew").await.unwrap();
    eventually("all ran", async || log.lines().len() == 40).await;
    first.shutdown().await.unwrap();
    let second = worker(&db, &log).await;
    crew.go().await.unwrap();
    let mut all = crew.result().await.unwrap();
    assert_eq!(all.pop(), Some(2), "all permits are back");
    all.sort_unstable();
    assert_eq!(all, (0..40).collect::<Vec<_>>());
    assert_eq!(log.lines().len(), 40, "nothing ran again");
    second.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_lock_that_nothing_gives_back_suspends_with_ab0204() {
    let db = Db::new().await;
    let worker = worker(&db, &Log::default()).await;
    let locked = db.client().start(deadlock()).id("locked").await.unwrap();
    let told = reason(locked.result().await);
    says(&told.to_string(), &["AB0204", "turn.lock()", "nothing can give back the permit or lock"]);
    let unsent = db.client().start(unsent()).id("unsent").await.unwrap();
    says(
        &reason(unsent.result().await).to_string(),
        &["AB0204", "receiver.recv()", "an end of a channel that is kept"],
    );
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_point_in_time_is_reached_once() {
    let db = Db::new().await;
    let worker = worker(&db, &Log::default()).await;
    let at_ms = abide::jiff::Timestamp::now().as_millisecond() + 700;
    let run = db.client().start(wakes(at_ms)).id("wakes").await.unwrap();
    assert!(run.result().await.unwrap());
    assert!(abide::jiff::Timestamp::now().as_millisecond() >= at_ms - 200);
    worker.shutdown().await.unwrap();
}
