//! Histories on their way: out of a database into a file and back, and the open runs of a database replayed where they
//! are. Nothing of it changes a run.

use super::ends::{Gate, events, reason, refused, says};
use super::replays::{charge, order, reads, reserve, review, ship};
use super::support::{Db, eventually};
use abide::prelude::*;
use abide::testing::replay::{History, Replayer, Reports};
use std::cell::Cell;
use std::future::IntoFuture;

/// Waits for people, so it is open for days.
#[derive(Default)]
pub struct Approval {
    approved: bool,
}

#[workflow(name = "approval")]
impl Approval {
    #[run]
    pub async fn run(&mut self, order: String) -> Result<u32, Failure> {
        let items = reserve(order.clone()).await?;
        workflow::until!(self.approved).await;
        ship(order).await?;
        Ok(items)
    }

    #[signal]
    fn approve(&mut self) {
        self.approved = true;
    }
}

/// The same with a step more behind all that open runs have recorded.
#[derive(Default)]
struct Invoiced {
    approved: bool,
}

#[workflow(name = "approval")]
impl Invoiced {
    #[run]
    async fn run(&mut self, order: String) -> Result<u32, Failure> {
        let items = reserve(order.clone()).await?;
        workflow::until!(self.approved).await;
        ship(format!("the invoice of {order}")).await?;
        ship(order).await?;
        Ok(items)
    }

    #[signal]
    fn approve(&mut self) {
        self.approved = true;
    }
}

/// Its signal got lost, and it ships at once.
#[workflow(name = "approval")]
async fn unapproved(order: String) -> Result<u32, Failure> {
    let items = reserve(order.clone()).await?;
    ship(order).await?;
    Ok(items)
}

/// Reserves nothing.
#[workflow(name = "approval")]
async fn hasty(order: String) -> Result<u32, Failure> {
    ship(order).await?;
    Ok(0)
}

#[workflow(name = "approval")]
async fn panics_next(order: String) -> Result<u32, Failure> {
    let items = reserve(order).await?;
    assert!(items > 3, "an order of {items} items");
    Ok(items)
}

#[workflow(name = "approval")]
async fn by_number(order: u32) -> u32 {
    order
}

async fn worker(db: &Db) -> abide::Worker {
    let worker = db.abide.worker("orders").workflow(Approval::run).workflow(order);
    let worker = worker.activity(reserve).activity(charge).activity(review).activity(ship);
    worker.shutdown_grace(secs(0)).start().await.unwrap()
}

/// A run that waits for its approval.
async fn waiting(db: &Db, id: &str) -> Handle<Approval> {
    let run = db.client().start(Approval::run("A-1".to_owned())).id(id).await.unwrap();
    eventually("it waits", async || events(&run.untyped()).await == 3).await;
    run
}

#[tokio::test]
async fn a_history_goes_into_a_file_and_comes_back_the_same() {
    let (db, folder) = (Db::new().await, tempfile::tempdir().unwrap());
    let worker = worker(&db).await;
    let run = waiting(&db, "order-7").await;
    run.approve().await.unwrap();
    run.result().await.unwrap();
    let file = folder.path().join("order-7.json");
    History::of(&run).await.unwrap().write(&file).unwrap();

    let read = History::read(&file).unwrap();
    assert_eq!(read, History::of(&run.untyped()).await.unwrap(), "by either kind of handle");
    assert_eq!(
        (read.workflow_type(), read.workflow_id(), read.task_queue()),
        ("approval", "order-7", "orders")
    );
    assert_eq!(read.rows(), run.history().await.unwrap());
    assert!(read.is_closed());
    Replayer::new().workflow(Approval::run).replay(&read).assert_ok();
    let text = std::fs::read_to_string(&file).unwrap();
    let lines = text.lines().filter(|line| line.starts_with("      {\""));
    assert_eq!(lines.count() as u64, events(&run.untyped()).await, "one line for each event: {text}");
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_open_run_is_free_beyond_its_history() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let run = waiting(&db, "order-7").await;
    let history = History::of(&run).await.unwrap();
    let same = Replayer::new().workflow(Approval::run).replay(&history);
    same.assert_ok();
    reads(&same.to_string(), &history);
    Replayer::new().workflow(Invoiced::run).replay(&history).assert_ok();
    Replayer::new().workflow(unapproved).replay(&history).assert_ok();

    run.approve().await.unwrap();
    run.result().await.unwrap();
    let closed = History::of(&run).await.unwrap();
    assert_eq!(Replayer::new().workflow(Invoiced::run).replay(&closed).code(), Some("AB0201"));
    // It ships before the recorded approval, so the history has an input where a command would have to be.
    assert_eq!(Replayer::new().workflow(unapproved).replay(&closed).matched(), 3);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_panic_where_an_open_run_goes_on() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let history = History::of(&waiting(&db, "order-7").await).await.unwrap();
    let report = Replayer::new().workflow(panics_next).replay(&history);
    assert_eq!((report.code(), report.matched(), report.events()), (Some("AB0202"), 3, 3));
    reads(&report.to_string(), &history);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_terminated_run_is_free_where_it_was_terminated() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let run = waiting(&db, "order-7").await;
    run.terminate("the shop is closed").await.unwrap();
    let history = History::of(&run).await.unwrap();
    assert!(history.is_closed());
    let report = Replayer::new().workflow(unapproved).replay(&history);
    report.assert_ok();
    assert_eq!((report.matched(), report.events()), (4, 4));
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_signal_that_the_code_does_not_know_is_a_remark() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let run = waiting(&db, "order-7").await;
    // Sent by a newer client, and kept: this worker's code has no such handler either.
    let newer = db.client().handle::<Newer>("order-7");
    newer.hurry("today".to_owned()).await.unwrap();
    eventually("it is kept", async || events(&run.untyped()).await == 4).await;
    let report = Replayer::new().workflow(Approval::run).replay(&History::of(&run).await.unwrap());
    report.assert_ok();
    assert_eq!(report.remarks().len(), 1);
    assert!(report.to_string().contains("signal `hurry` (event 4)"), "{report}");
    worker.shutdown().await.unwrap();
}

/// What a newer client knows of an approval.
#[derive(Default)]
struct Newer;

#[workflow(name = "approval")]
impl Newer {
    #[run]
    async fn run(&mut self) {}

    #[signal]
    fn hurry(&mut self, when: String) {
        drop(when);
    }
}

#[tokio::test]
async fn the_open_runs_of_a_database() {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let first = waiting(&db, "order-1").await;
    waiting(&db, "order-2").await;
    let closed = waiting(&db, "order-3").await;
    closed.approve().await.unwrap();
    closed.result().await.unwrap();
    let other = db.abide.worker("gates").workflow(gated).activities(Gate::closed()).shutdown_grace(secs(0));
    let other = other.start().await.unwrap();
    Gate::reached(&db.client().start(gated()).await.unwrap().untyped()).await;
    let (known, before) = (events(&first.untyped()).await, db.abide.metrics().appends);

    let reports = Replayer::new().workflow(Approval::run).open_runs(&db.abide).await.unwrap();
    reports.assert_ok();
    assert_eq!((reports.replayed(), reports.failed()), (2, 0), "the closed run is not open");
    let reports = Replayer::new().workflow(hasty).open_runs(&db.abide).await.unwrap();
    assert_eq!((reports.replayed(), reports.failed(), reports.failures().len()), (2, 2, 2));
    let text = reports.failures().iter().fold(reports.to_string(), |text, r| text.replace(r.run_id(), "RUN"));
    reads(&text, &History::of(&first).await.unwrap());

    assert_eq!(events(&first.untyped()).await, known, "its history is as it was");
    assert_eq!(db.abide.metrics().appends, before, "nothing was written");
    other.shutdown().await.unwrap();
    worker.shutdown().await.unwrap();
}

#[workflow]
async fn gated() -> Result<(), Failure> {
    Ok(Gate::pass().await?)
}

#[tokio::test]
async fn a_suspended_run_shows_whether_a_fix_helps() {
    let db = Db::new().await;
    let old = worker(&db).await;
    let run = waiting(&db, "order-1").await;
    old.shutdown().await.unwrap();
    let broken = db.abide.worker("orders").workflow(hasty).start().await.unwrap();
    run.approve().await.unwrap();
    assert_eq!(reason(run.result().await).code(), "AB0201");
    broken.shutdown().await.unwrap();

    let fixed = Replayer::new().workflow(Approval::run).open_runs(&db.abide).await.unwrap();
    fixed.assert_ok();
    says(&flat(&fixed), &["suspended (AB0201) in the database; this code repeats its history"]);
    let not = Replayer::new().workflow(hasty).open_runs(&db.abide).await.unwrap();
    says(&flat(&not), &["suspended (AB0201) in the database, and this code does not help it"]);
}

/// A summary without its line breaks.
fn flat(reports: &Reports) -> String {
    reports.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn runs_that_nobody_has_begun_have_their_arguments() {
    let db = Db::new().await;
    // More than a page of them, and more than a summary keeps.
    let starts = (0..130).map(|n| {
        let start = db.client().start(Approval::run("A-1".to_owned())).id(format!("order-{n}"));
        start.task_queue("nobody").into_future()
    });
    let runs = futures::future::try_join_all(starts).await.unwrap();
    let history = History::of(&runs[0]).await.unwrap();
    Replayer::new().workflow(Approval::run).replay(&history).assert_ok();

    let (abide, replayer) = (db.abide.clone(), Replayer::new().workflow(by_number));
    let reports = tokio::spawn(async move { replayer.open_runs(&abide).await }).await.unwrap().unwrap();
    assert_eq!((reports.replayed(), reports.failed(), reports.failures().len()), (130, 130, 100));
    assert!(reports.failures().iter().all(|report| report.code() == Some("AB0203")));
    let text = reports.to_string();
    assert_eq!(text.matches("What happened").count(), 1, "one report for what fails alike: {text}");
    assert!(text.contains("and 30 more"), "{text}");
}

thread_local! {
    static RUNS: Cell<u32> = const { Cell::new(0) };
}

#[workflow]
async fn counts_runs() -> u32 {
    workflow::allow!("the test looks at the thread", RUNS.replace(RUNS.get() + 1) + 1)
}

#[tokio::test]
async fn each_replay_has_a_thread_of_its_own() {
    let db = Db::new().await;
    let worker = db.abide.worker("orders").workflow(counts_runs).start().await.unwrap();
    let run = db.client().start(counts_runs()).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 1);
    let (replayer, history) = (Replayer::new().workflow(counts_runs), History::of(&run).await.unwrap());
    replayer.replay(&history).assert_ok();
    replayer.replay(&history).assert_ok();
    assert_eq!(RUNS.get(), 0, "and not the caller's");
    worker.shutdown().await.unwrap();
}

/// The document of a closed run, changed by hand.
async fn changed(change: impl FnOnce(&str) -> String) -> abide::Result<History> {
    let db = Db::new().await;
    let worker = worker(&db).await;
    let run = waiting(&db, "order-7").await;
    let text = History::of(&run).await?.to_json();
    worker.shutdown().await.unwrap();
    let changed = change(&text);
    assert_ne!(changed, text, "it is changed");
    History::from_json(&changed)
}

#[tokio::test]
async fn a_damaged_journal_is_told() {
    let history = changed(|text| text.replace("\"seq\": 1,", "\"seq\": 2,")).await.unwrap();
    let report = Replayer::new().workflow(Approval::run).replay(&history);
    assert_eq!((report.code(), report.matched()), (Some("AB0209"), 0));
    assert!(report.to_string().contains("has a damaged journal"), "{report}");
}

#[tokio::test]
async fn a_document_that_is_none_is_refused() {
    let newer = changed(|text| text.replace("\"abide_history\": 1,", "\"abide_history\": 2,")).await;
    assert!(
        newer.as_ref().unwrap_err().to_string().contains("format 2, this build reads format 1"),
        "{newer:?}"
    );
    assert_eq!(refused(newer), "AB0213");
    let none = changed(|text| text.replace("  \"abide_history\": 1,\n", "")).await;
    assert!(none.as_ref().unwrap_err().to_string().contains("no field `abide_history`"), "{none:?}");
    assert_eq!(refused(none), "AB0214");
    let cut = changed(|text| text[..text.len() / 2].to_owned()).await;
    assert_eq!(refused(cut), "AB0214");
    let unknown = changed(|text| text.replace("activity_scheduled", "activity_planned")).await;
    assert!(unknown.as_ref().unwrap_err().to_string().contains("activity_planned"), "{unknown:?}");
    let missing = History::read("no/such/file.json");
    assert!(missing.as_ref().unwrap_err().to_string().contains("`no/such/file.json`"), "{missing:?}");
    assert_eq!(refused(missing), "AB0214");
}

#[test]
#[should_panic = "AB0601: workflow `approval` is given to the replayer twice"]
fn one_name_is_given_once() {
    let _ = Replayer::new().workflow(Approval::run).workflow(hasty);
}
