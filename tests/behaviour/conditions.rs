//! Conditions of `until!` that nothing can change: they suspend in the same poll, and say at which `.await`.

use super::ends::{reason, says};
use super::support::Db;
use abide::prelude::*;
use std::time::Duration;

/// No handler of it changes anything.
#[derive(Default)]
struct Deaf {
    ready: bool,
}

#[workflow]
impl Deaf {
    #[run]
    async fn run(&mut self) -> u32 {
        workflow::until!(self.ready).await;
        1
    }

    #[query]
    fn ready(&self) -> bool {
        self.ready
    }
}

fn is_past(deadline_ms: i64) -> bool {
    workflow::now().as_millisecond() > deadline_ms
}

/// It has a handler, but its condition reads the clock alone.
#[derive(Default)]
struct Late {
    approved: bool,
}

#[workflow]
impl Late {
    #[run]
    async fn run(&mut self) -> bool {
        let deadline_ms = workflow::now().as_millisecond() + 1_000;
        workflow::until!(is_past(deadline_ms)).await;
        self.approved
    }

    #[signal]
    fn approve(&mut self) {
        self.approved = true;
    }
}

/// What could still change it: another task, which a timer wakes.
#[derive(Default)]
struct Helped {
    ready: bool,
}

#[workflow]
impl Helped {
    #[run]
    async fn run(&mut self) -> bool {
        let later = workflow::spawn(async {
            workflow::sleep(Duration::from_millis(1)).await;
            self.ready = true;
        });
        workflow::until!(self.ready).await;
        let _ = later.await;
        self.ready
    }
}

/// A condition on a cell that the state shares with it.
#[derive(Default)]
struct Shared {
    count: std::rc::Rc<std::cell::Cell<u32>>,
}

#[workflow]
impl Shared {
    #[run]
    async fn run(&mut self) -> u32 {
        let count = self.count.clone();
        workflow::until!(count.get() > 1).await;
        count.get()
    }

    #[signal]
    fn add(&mut self) {
        self.count.set(self.count.get() + 1);
    }
}

#[tokio::test]
async fn a_condition_that_nothing_can_change_suspends_in_the_same_poll() {
    let db = Db::new().await;
    let worker = db.abide.worker("conditions").workflow(Deaf::run).workflow(Late::run);
    let worker = worker.start().await.unwrap();
    let deaf = db.client().start(Deaf::run()).await.unwrap();
    assert_eq!(deaf.describe().await.unwrap().status, ExecutionStatus::Suspended, "the start has told it");
    let told = reason(deaf.result().await);
    assert_eq!(told.code(), "AB0204");
    says(told.message(), &["nothing can change", "conditions.rs:", "self.ready"]);

    let late = db.client().start(Late::run()).await.unwrap();
    assert_eq!(late.describe().await.unwrap().status, ExecutionStatus::Suspended, "the start has told it");
    let told = reason(late.result().await);
    assert_eq!(told.code(), "AB0204");
    says(
        told.message(),
        &["nothing can change", "workflow::sleep", "conditions.rs:", "is_past(deadline_ms)"],
    );
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_condition_that_a_task_or_a_handler_can_change_waits() {
    let db = Db::new().await;
    let worker = db.abide.worker("conditions").workflow(Helped::run).workflow(Shared::run);
    let worker = worker.start().await.unwrap();
    let helped = db.client().start(Helped::run()).await.unwrap();
    assert!(helped.result().await.unwrap());
    let shared = db.client().start(Shared::run()).await.unwrap();
    for _ in 0..2 {
        assert_eq!(shared.describe().await.unwrap().status, ExecutionStatus::Running);
        shared.add().await.unwrap();
    }
    assert_eq!(shared.result().await.unwrap(), 2);
    worker.shutdown().await.unwrap();
}
