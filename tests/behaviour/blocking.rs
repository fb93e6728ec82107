//! Activities that are plain functions: they may block their thread, and are activities like any other else.

use super::support::{Db, Log, eventually};
use abide::prelude::*;
use abide::testing::{ActivityEnv, TestEnv};
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::time::Duration;

/// A door that bodies wait behind, blocking their threads.
#[derive(Default)]
struct Door {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Door {
    fn pass(&self) {
        drop(self.opened.wait_while(self.open.lock().unwrap(), |open| !*open).unwrap());
    }

    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

#[derive(Clone)]
struct Blocks {
    log: Log,
    both: Arc<Barrier>,
    door: Arc<Door>,
}

impl Blocks {
    fn new() -> Self {
        Self { log: Log::default(), both: Arc::new(Barrier::new(2)), door: Arc::default() }
    }
}

#[activity]
impl Blocks {
    /// Ends when two of them run at the same time.
    #[activity]
    fn meet(&self, n: u32) -> u32 {
        self.both.wait();
        n
    }

    /// Panics, then fails, then says which attempt it is, and of what.
    #[activity(retry(initial_interval = "1ms", max_attempts = 3))]
    fn third(&self) -> Result<String, Failure> {
        let context = activity::context();
        match context.attempt() {
            1 => panic!("the first attempt"),
            2 => Err(Failure::new("the second attempt")),
            n => Ok(format!("{} {} {n}", context.workflow_id(), context.activity_type())),
        }
    }

    /// Runs until it is asked to stop.
    #[activity(cancellation = "wait")]
    fn until_asked(&self) -> Result<(), Failure> {
        self.log.add("began");
        let context = activity::context();
        while !context.is_cancelled() {
            std::thread::yield_now();
        }
        self.log.add("asked");
        Err(Failure::new("asked to stop"))
    }

    /// Takes no notice of its limit.
    #[activity(start_to_close = "20ms", retry(max_attempts = 1))]
    fn deaf(&self) {
        self.log.add("deaf");
        self.door.pass();
    }

    async fn next(&self) {
        self.log.add("next");
    }
}

#[workflow]
async fn together() -> Result<u32, Failure> {
    let (a, b) = workflow::join!(Blocks::meet(1), Blocks::meet(2));
    Ok(a? + b?)
}

#[workflow]
async fn thrice() -> Result<String, Failure> {
    Ok(Blocks::third().await?)
}

#[derive(Default)]
struct Stopped {
    stop: bool,
}

#[workflow]
impl Stopped {
    #[run]
    async fn run(&mut self) -> Result<String, Failure> {
        workflow::select! {
            done = Blocks::until_asked() => Err(Failure::new(format!("it ended: {done:?}"))),
            () = workflow::until!(self.stop) => Ok("stopped".to_owned()),
        }
    }

    #[signal]
    fn stop(&mut self) {
        self.stop = true;
    }
}

#[derive(Default)]
struct Outlived {
    told: Option<String>,
}

#[workflow]
impl Outlived {
    #[run]
    async fn run(&mut self) -> Result<(), Failure> {
        let told = Blocks::deaf().await.unwrap_err().to_string();
        self.told = Some(told);
        Ok(Blocks::next().await?)
    }

    #[query]
    fn told(&self) -> Option<String> {
        self.told.clone()
    }
}

/// On one thread of tokio, which a body that blocked it would stop.
#[tokio::test]
async fn bodies_that_block_run_beside_each_other() {
    let (db, blocks) = (Db::new().await, Blocks::new());
    let worker = db.abide.worker("blocking").workflow(together).workflow(thrice).activities(blocks.clone());
    let worker = worker.start().await.unwrap();
    assert_eq!(db.client().start(together()).await.unwrap().result().await.unwrap(), 3);
    let run = db.client().start(thrice()).id("three").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "three Blocks.third 3", "a panic and an error are tried again");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_body_that_blocks_is_asked_to_stop() {
    let (db, blocks) = (Db::new().await, Blocks::new());
    let worker = db.abide.worker("blocking").workflow(Stopped::run).activities(blocks.clone());
    let worker = worker.start().await.unwrap();
    let run = db.client().start(Stopped::run()).await.unwrap();
    eventually("it runs", async || blocks.log.lines() == ["began"]).await;
    run.stop().await.unwrap();
    assert_eq!(run.result().await.unwrap(), "stopped");
    eventually("it was asked", async || blocks.log.lines() == ["began", "asked"]).await;
    worker.shutdown().await.unwrap();
}

#[workflow]
async fn deaf_once() -> String {
    format!("{:?}", Blocks::deaf().await.map_err(|error| error.to_string()))
}

#[tokio::test]
async fn a_body_that_outlives_its_attempt_keeps_its_slot() {
    let (db, blocks) = (Db::new().await, Blocks::new());
    let worker = db.abide.worker("blocking").workflow(Outlived::run).activities(blocks.clone());
    let worker = worker.max_concurrent_activities(1).start().await.unwrap();
    let run = db.client().start(Outlived::run()).await.unwrap();
    eventually("its attempt has timed out", async || run.told().await.unwrap().is_some()).await;
    let told = run.told().await.unwrap().unwrap();
    assert!(told.contains("timed out"), "{told}");
    // Longer than what waits for a slot would take, were one free: a failure is never a matter of speed.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(blocks.log.lines(), ["deaf"], "its thread runs on, and has the only slot");
    blocks.door.open();
    run.result().await.unwrap();
    assert_eq!(blocks.log.lines(), ["deaf", "next"]);
    worker.shutdown().await.unwrap();
}

/// The pool's only thread is kept busy: the body waits for it until its limit has run out.
#[test]
fn a_body_whose_attempt_ended_before_it_had_a_thread_never_begins() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).max_blocking_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let (db, blocks) = (Db::new().await, Blocks::new());
        let (door, keeps) = (Arc::clone(&blocks.door), Arc::new(Barrier::new(2)));
        let at = Arc::clone(&keeps);
        let kept = tokio::task::spawn_blocking(move || {
            at.wait();
            door.pass();
        });
        tokio::task::block_in_place(|| keeps.wait());
        let worker = db.abide.worker("blocking").workflow(deaf_once).activities(blocks.clone());
        let worker = worker.start().await.unwrap();
        let told = db.client().start(deaf_once()).await.unwrap().result().await.unwrap();
        assert!(told.contains("timed out"), "{told}");
        blocks.door.open();
        kept.await.unwrap();
        // Whatever waited for the thread has had it before this.
        tokio::task::spawn_blocking(|| {}).await.unwrap();
        assert_eq!(blocks.log.lines(), [""; 0], "nobody waits for it, and another attempt may run");
        worker.shutdown().await.unwrap();
    });
}

#[tokio::test]
async fn in_a_test_environment_and_alone() {
    let (env, blocks) = (TestEnv::start().await.unwrap(), Blocks::new());
    let worker = env.worker("blocking").workflow(together).workflow(thrice).activities(blocks.clone());
    let worker = worker.start().await.unwrap();
    assert_eq!(env.client().start(together()).await.unwrap().result().await.unwrap(), 3);
    assert!(env.client().start(thrice()).await.unwrap().result().await.unwrap().ends_with("Blocks.third 3"));
    worker.shutdown().await.unwrap();

    let alone = ActivityEnv::new().attempt(3).workflow_id("w").activity_type("third");
    assert_eq!(alone.run_blocking(|| blocks.third()).unwrap(), "w third 3");
}
