//! Commits that break off, locks, a full disk and a failed fsync, injected below the engine (PROTOCOL 8): never a
//! workflow's outcome.

use crate::evidence::{Evidence, ran};
use crate::journal::number;
use crate::ledger::lines;
use crate::scene::{Scene, eventually};
use crate::workflows::{Letters, QUEUE, sequence, worker};
use abide::__private::{FaultHook, Stage, StoreFault};
use abide::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Faults at one stage: each `every`-th call has one while it is armed.
#[derive(Default)]
struct Plan {
    every: AtomicU64,
    asked: AtomicU64,
    injected: AtomicU64,
}

impl Plan {
    fn hook(self: &Arc<Self>, at: Stage, fault: StoreFault) -> FaultHook {
        let plan = Arc::clone(self);
        Arc::new(move |stage| {
            let every = plan.every.load(Ordering::SeqCst);
            if stage != at
                || every == 0
                || !(plan.asked.fetch_add(1, Ordering::SeqCst) + 1).is_multiple_of(every)
            {
                return None;
            }
            plan.injected.fetch_add(1, Ordering::SeqCst);
            Some(fault)
        })
    }

    fn arm(&self, every: u64) {
        self.every.store(every, Ordering::SeqCst);
    }
}

async fn open(scene: &Scene, plan: &Arc<Plan>, at: Stage, fault: StoreFault) -> Abide {
    Abide::builder(scene.url()).fault(plan.hook(at, fault)).open().await.expect("the database opens")
}

/// Signals until it is known to be taken; gives how often the outcome was unknown.
async fn send(run: &Handle<Letters>, n: u64, request: &str) -> u64 {
    let mut doubts = 0;
    loop {
        match run.letter(n).request_id(request).await {
            Ok(()) => return doubts,
            Err(error) => assert_eq!(error.code(), "AB0410", "{error}"),
        }
        doubts += 1;
    }
}

/// Sequences and letters, with every third call failing; all must come out right.
async fn under(at: Stage, fault: StoreFault) {
    let (scene, plan) = (Scene::new(), Arc::new(Plan::default()));
    let abide = open(&scene, &plan, at, fault).await;
    let service = worker(&abide, &scene.ledger()).start().await.expect("it starts");
    let client = abide.client();
    plan.arm(3);
    let (mut sequences, mut letters) = (Vec::new(), Vec::new());
    for n in 0..12 {
        sequences.push((n, client.start(sequence(n, 4, 1)).await.expect("a start asks until it knows")));
        letters.push((n, client.start(Letters::run(3)).await.expect("a start asks until it knows")));
    }
    for (n, run) in &letters {
        for k in 0..3 {
            send(run, 10 * n + k, &format!("letter-{n}-{k}")).await;
        }
    }
    for (n, run) in &sequences {
        assert_eq!(run.result().await.expect("it completes"), 2 * (40 * n + 6));
    }
    for (n, run) in &letters {
        assert_eq!(run.result().await.expect("it completes"), [20 * n, 20 * n + 2, 20 * n + 4]);
    }
    assert!(plan.injected.load(Ordering::SeqCst) > 10, "faults were injected");
    plan.arm(0);
    service.shutdown().await.expect("it shuts down");
    Evidence::default().check(&scene).await;
    let ran = ran(&lines(&scene.ledger()));
    assert!(ran.values().all(|ran| ran.attempts == ["1"]), "nothing ran twice");
}

#[tokio::test]
async fn a_commit_that_breaks_off_before_it_happened_is_made_again() {
    under(Stage::BeforeCommit, StoreFault::Lost).await;
}

#[tokio::test]
async fn a_commit_that_breaks_off_after_it_happened_is_found() {
    under(Stage::AfterCommit, StoreFault::Lost).await;
}

#[tokio::test]
async fn a_lock_and_a_full_disk_are_waited_out() {
    for fault in [StoreFault::Busy, StoreFault::Full] {
        let (scene, plan) = (Scene::new(), Arc::new(Plan::default()));
        let abide = open(&scene, &plan, Stage::BeforeCommit, fault).await;
        let service = worker(&abide, &scene.ledger()).start().await.expect("it starts");
        let run = abide.client().start(sequence(1, 6, 30)).await.expect("it starts");
        plan.arm(1);
        let injected = || plan.injected.load(Ordering::SeqCst);
        eventually("it has met the obstacle", async || injected() > 4).await;
        assert_eq!(run.describe().await.expect("reading works").status, ExecutionStatus::Running);
        plan.arm(0);
        assert_eq!(run.result().await.expect("it completes"), 2 * 75);
        service.shutdown().await.expect("it shuts down");
        Evidence::default().check(&scene).await;
    }
}

/// Told, and tried again under the same request id: the client's side of an unknown outcome, where no worker helps.
#[tokio::test]
async fn a_client_is_told_that_the_outcome_is_unknown_and_may_ask_again() {
    for at in [Stage::BeforeCommit, Stage::AfterCommit] {
        let (scene, plan) = (Scene::new(), Arc::new(Plan::default()));
        let other = scene.open().await;
        let service = worker(&other, &scene.ledger()).start().await.expect("it starts");
        let abide = open(&scene, &plan, at, StoreFault::Lost).await;
        let client = abide.client().task_queue(QUEUE);
        let run = client.start(Letters::run(1)).await.expect("it starts");
        plan.arm(1);
        let told = run.letter(4).request_id("letter").await.expect_err("it breaks off");
        assert_eq!(told.code(), "AB0410");
        let told = client.start(sequence(1, 1, 1)).id("twice").request_id("start").await;
        assert_eq!(told.expect_err("it breaks off, each time").code(), "AB0410");
        plan.arm(0);
        run.letter(4).request_id("letter").await.expect("asked again");
        assert_eq!(run.result().await.expect("one letter is enough"), [8]);
        let started = client.start(sequence(1, 1, 1)).id("twice").request_id("start").await;
        assert_eq!(started.expect("asked again").result().await.expect("it completes"), 20);
        service.shutdown().await.expect("it shuts down");
        Evidence::default().check(&scene).await;
    }
}

#[tokio::test]
async fn a_worker_stops_at_a_failed_fsync_and_nothing_is_lost() {
    for at in [Stage::BeforeCommit, Stage::AfterCommit] {
        let (scene, plan) = (Scene::new(), Arc::new(Plan::default()));
        let abide = open(&scene, &plan, at, StoreFault::Fsync).await;
        let mut service = worker(&abide, &scene.ledger()).start().await.expect("it starts");
        let run = abide.client().start(sequence(1, 6, 30)).id("sequence-1").await.expect("it starts");
        plan.arm(1);
        let stopped = service.stopped().await.expect_err("it stops");
        assert_eq!(stopped.code(), "AB0607");
        assert!(stopped.to_string().contains("AB0507"), "{stopped}");
        let refused =
            abide.client().task_queue(QUEUE).start(sequence(2, 1, 1)).await.expect_err("nothing is written");
        assert_eq!(refused.code(), "AB0507");
        let asked = plan.asked.load(Ordering::SeqCst);
        assert_eq!(asked, 1, "nothing is tried again");
        drop((service, run, abide));
        let again = scene.open().await;
        let service = worker(&again, &scene.ledger()).start().await.expect("a restart works");
        let run = again.client().handle::<sequence>("sequence-1");
        assert_eq!(run.result().await.expect("it completes"), 2 * 75);
        service.shutdown().await.expect("it shuts down");
        Evidence::default().check(&scene).await;
    }
}

/// A claim whose answer is lost leaves an execution that is owned and does not run: the worker finds it.
#[tokio::test]
async fn what_a_claim_took_is_found_when_its_answer_is_lost() {
    let (scene, plan) = (Scene::new(), Arc::new(Plan::default()));
    let abide = open(&scene, &plan, Stage::AfterCommit, StoreFault::Lost).await;
    let service = worker(&abide, &scene.ledger()).start().await.expect("it starts");
    plan.arm(1);
    let run = scene.client().await.start(sequence(1, 6, 1)).await.expect("it starts");
    let owned = "SELECT count(owner) FROM execution";
    eventually("it is claimed", async || number(scene.database(), owned).await == 1).await;
    plan.arm(0);
    assert_eq!(run.result().await.expect("it completes"), 2 * 75);
    service.shutdown().await.expect("it shuts down");
    Evidence::default().check(&scene).await;
}
