//! Code that does not repeat its history (PROTOCOL 5): suspended with a report, not failed, not tried in a loop; and
//! what is only another spelling of the same input passes.

use super::ends::{Gate, events, reason, says};
use super::support::{Db, Log, Steps, eventually};
use abide::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

#[workflow(name = "changing")]
async fn original() -> Result<u32, Failure> {
    let a = Steps::note(1).await?;
    let b = Steps::note(2).await?;
    Gate::pass().await?;
    Ok(a + b)
}

#[workflow(name = "changing")]
async fn another_activity() -> Result<u32, Failure> {
    let a = Steps::note(1).await?;
    Steps::undo("b".to_owned()).await?;
    Gate::pass().await?;
    Ok(a)
}

#[workflow(name = "changing")]
async fn another_input() -> Result<u32, Failure> {
    let a = Steps::note(1).await?;
    let b = Steps::note(22).await?;
    Gate::pass().await?;
    Ok(a + b)
}

#[workflow(name = "changing")]
async fn removed_step() -> Result<u32, Failure> {
    let a = Steps::note(1).await?;
    Gate::pass().await?;
    Ok(a)
}

#[workflow(name = "changing")]
async fn removed_last_step() -> Result<u32, Failure> {
    let a = Steps::note(1).await?;
    let _ = workflow::cancelled().await;
    Ok(a)
}

#[workflow(name = "changing")]
async fn added_step() -> Result<u32, Failure> {
    let a = Steps::note(1).await?;
    workflow::sleep(secs(1)).await;
    let b = Steps::note(2).await?;
    Gate::pass().await?;
    Ok(a + b)
}

#[workflow(name = "changing")]
async fn ends_early() -> Result<u32, Failure> {
    Ok(Steps::note(1).await?)
}

/// One database with one execution that the original code brought to the gate.
struct Case {
    db: Db,
    log: Log,
    gate: Gate,
    run: Handle<original>,
}

impl Case {
    async fn at_the_gate() -> Self {
        let (db, log, gate) = (Db::new().await, Log::default(), Gate::closed());
        let worker = db.abide.worker("mismatch").workflow(original).activities(Steps(log.clone()));
        let worker = worker.activities(gate.clone()).shutdown_grace(secs(0)).start().await.unwrap();
        let run = db.client().start(original()).await.unwrap();
        Gate::reached(&run.untyped()).await;
        worker.shutdown().await.unwrap();
        Self { db, log, gate, run }
    }

    fn worker(&self) -> abide::WorkerBuilder {
        let worker = self.db.abide.worker("mismatch").activities(Steps(self.log.clone()));
        worker.activities(self.gate.clone()).shutdown_grace(secs(0))
    }

    async fn status(&self) -> ExecutionStatus {
        self.run.describe().await.unwrap().status
    }

    /// The changed code is told, does nothing, is not tried again; the original code completes.
    async fn check(self, changed: abide::Worker, parts: &[&str]) {
        let told = reason(self.run.result().await);
        assert_eq!(told.code(), "AB0201");
        says(told.message(), &["history and code differ", "Likely cause"]);
        says(told.message(), parts);
        let (known, before) = (events(&self.run.untyped()).await, self.db.abide.metrics().appends);
        tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
        assert_eq!(events(&self.run.untyped()).await, known, "its history is as it was");
        assert_eq!(self.db.abide.metrics().appends, before, "it is not tried again and again");
        assert_eq!(self.log.lines(), ["note 1", "note 2"], "the changed code had no effect");
        changed.shutdown().await.unwrap();

        let back = self.worker().workflow(original).start().await.unwrap();
        self.gate.open();
        self.run.resume().await.unwrap();
        eventually("the old code completes", async || self.run.result().await.ok() == Some(3)).await;
        assert_eq!(self.log.lines(), ["note 1", "note 2"], "and runs nothing again");
        back.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn with_another_activity() {
    let case = Case::at_the_gate().await;
    let changed = case.worker().workflow(another_activity).start().await.unwrap();
    let parts = [
        "`Steps.note` with an input of 3 bytes",
        "`Steps.undo` with an input of 5 bytes",
        "mismatch.rs:",
        "Steps::undo(",
    ];
    case.check(changed, &parts).await;
}

#[tokio::test]
async fn with_another_input() {
    let case = Case::at_the_gate().await;
    let changed = case.worker().workflow(another_input).start().await.unwrap();
    let parts = [
        "`Steps.note` with an input of 3 bytes",
        "with an input of 4 bytes, which differs first at `[0]`: a number was recorded, another now",
        "the same activity with another input",
        "Steps::note(22)",
    ];
    case.check(changed, &parts).await;
}

#[tokio::test]
async fn with_a_step_removed() {
    let case = Case::at_the_gate().await;
    let changed = case.worker().workflow(removed_step).start().await.unwrap();
    case.check(changed, &["`Steps.note` with an input", "`Gate.pass`", "removed", "Gate::pass()"]).await;
}

#[tokio::test]
async fn with_nothing_where_a_step_was() {
    let case = Case::at_the_gate().await;
    let changed = case.worker().workflow(removed_last_step).start().await.unwrap();
    case.check(changed, &["`Steps.note` with an input", "nothing more", "a step was removed"]).await;
}

#[tokio::test]
async fn with_a_step_added() {
    let case = Case::at_the_gate().await;
    let changed = case.worker().workflow(added_step).start().await.unwrap();
    case.check(changed, &["`Steps.note` with an input", "a timer", "added", "workflow::sleep(secs(1))"])
        .await;
}

#[tokio::test]
async fn with_an_early_end() {
    let case = Case::at_the_gate().await;
    let changed = case.worker().workflow(ends_early).start().await.unwrap();
    case.check(changed, &["`Steps.note` with an input", "the workflow's completion"]).await;
}

#[tokio::test]
async fn another_build_tries_once_by_itself() {
    let case = Case::at_the_gate().await;
    let changed = case.worker().workflow(another_input).build_id("broken").start().await.unwrap();
    assert_eq!(reason(case.run.result().await).build(), "broken");
    changed.shutdown().await.unwrap();
    let fixed = case.worker().workflow(original).build_id("fixed").start().await.unwrap();
    case.gate.open();
    eventually("the fixed build takes it", async || case.run.result().await.ok() == Some(3)).await;
    fixed.shutdown().await.unwrap();
}

/// Tells what it has done so far.
#[derive(Default)]
struct Telling {
    done: u32,
}

#[workflow(name = "telling")]
impl Telling {
    #[run]
    async fn run(&mut self) -> Result<u32, Failure> {
        self.done = Steps::note(1).await?;
        Gate::pass().await?;
        Ok(self.done)
    }

    #[query]
    fn done(&self) -> u32 {
        self.done
    }
}

/// The same in a release that does something else first.
#[derive(Default)]
struct TellingLess {
    done: u32,
}

#[workflow(name = "telling")]
impl TellingLess {
    #[run]
    async fn run(&mut self) -> Result<u32, Failure> {
        workflow::sleep(secs(1)).await;
        self.done = Steps::note(1).await?;
        Ok(self.done)
    }

    #[query]
    fn done(&self) -> u32 {
        self.done
    }
}

/// The state of a replay that broke off is that of no moment that ever was.
#[tokio::test]
async fn a_query_is_answered_by_code_that_fits_or_not_at_all() {
    let (folder, gate) = (tempfile::tempdir().unwrap(), Gate::closed());
    let (owner, other) = (Db::open(&folder).await, Db::open(&folder).await);
    let worker = owner.worker("telling").workflow(Telling::run).activities(Steps(Log::default()));
    let worker = worker.activities(gate.clone()).build_id("first").start().await.unwrap();
    let run = owner.client().start(Telling::run()).id("t").await.unwrap();
    Gate::reached(&run.untyped()).await;
    let second = other.worker("telling").workflow(TellingLess::run).activities(Steps(Log::default()));
    let second = second.build_id("second").start().await.unwrap();

    let from_there = other.client().handle::<Telling>("t");
    assert_eq!(from_there.done().await.unwrap(), 1, "an open run is asked in its owner");
    gate.open();
    assert_eq!(run.result().await.unwrap(), 1);
    let error = from_there.done().await.unwrap_err();
    assert_eq!(error.code(), "AB0409");
    says(&error.to_string(), &["this build cannot replay the run", "AB0201", "Steps.note"]);
    assert_eq!(run.done().await.unwrap(), 1, "its own build can");
    second.shutdown().await.unwrap();
    worker.shutdown().await.unwrap();
}

/// A build that took a run up and lost it before any progress has not failed: it may again.
#[tokio::test]
async fn a_build_that_fits_takes_it_as_often_as_it_has_to() {
    let case = Case::at_the_gate().await;
    for _ in 0..2 {
        let changed = case.worker().workflow(another_input).build_id("broken").start().await.unwrap();
        eventually("the broken build has failed", async || case.status().await == ExecutionStatus::Suspended)
            .await;
        changed.shutdown().await.unwrap();
        let fixed = case.worker().workflow(original).build_id("fixed").start().await.unwrap();
        eventually("the fixed build has it", async || case.status().await == ExecutionStatus::Running).await;
        fixed.shutdown().await.unwrap();
    }
    let fixed = case.worker().workflow(original).build_id("fixed").start().await.unwrap();
    case.gate.open();
    assert_eq!(case.run.result().await.unwrap(), 3);
    fixed.shutdown().await.unwrap();
}

/// An input as an old build wrote it: a map whose order is random, no `note`.
#[derive(Clone, Serialize, Deserialize)]
struct OldBasket {
    prices: HashMap<String, u32>,
}

/// As a later build reads it.
#[derive(Clone, Serialize, Deserialize)]
struct Basket {
    prices: HashMap<String, u32>,
    #[serde(default)]
    note: Option<String>,
}

#[activity(name = "total")]
async fn old_total(basket: OldBasket) -> u32 {
    basket.prices.values().sum()
}

#[activity(name = "total")]
async fn total(basket: Basket) -> u32 {
    basket.prices.values().sum()
}

/// A map whose order differs from map to map.
fn prices() -> HashMap<String, u32> {
    (1..=20).map(|n| (format!("item {n}"), n)).collect()
}

#[workflow(name = "basket")]
async fn old_basket() -> Result<u32, Failure> {
    let sum = old_total(OldBasket { prices: prices() }).await?;
    Gate::pass().await?;
    Ok(sum)
}

#[workflow(name = "basket")]
async fn basket() -> Result<u32, Failure> {
    let sum = total(Basket { prices: prices(), note: None }).await?;
    Gate::pass().await?;
    Ok(sum)
}

#[tokio::test]
async fn another_order_of_keys_and_an_added_optional_field_are_no_mismatch() {
    let (db, gate) = (Db::new().await, Gate::closed());
    let old = db.abide.worker("mismatch").workflow(old_basket).activity(old_total);
    let old = old.activities(gate.clone()).shutdown_grace(secs(0)).start().await.unwrap();
    let mut runs = Vec::new();
    for _ in 0..10 {
        let run = db.client().start(old_basket()).await.unwrap();
        Gate::reached(&run.untyped()).await;
        runs.push(run);
    }
    old.shutdown().await.unwrap();
    gate.open();
    let new = db.abide.worker("mismatch").workflow(basket).activity(total).activities(gate.clone());
    let new = new.start().await.unwrap();
    for run in runs {
        assert_eq!(run.result().await.unwrap(), 210);
    }
    new.shutdown().await.unwrap();
}
