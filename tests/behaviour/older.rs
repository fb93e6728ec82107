//! A database that an older build has written, killed in the middle: it is migrated, and everything in it goes on.
//!
//! `older/abide.db` and `older/abide.sql` were written by the build before the schema's next version, by
//! [`fill`] and no shutdown. To write them again, run this test with `ABIDE_KEEP_FOR=600` (seconds): it says
//! where the database is, and waits. Then copy the file (`sqlite3 .backup`), or
//! `pg_dump --inserts --no-owner --no-privileges` it.

use super::support::{Db, Log, eventually};
use abide::activity;
use abide::prelude::*;
use abide::{ExecutionStatus, ListFilter};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Whether the code is as it was when the database was written: with its bug, and services that are down.
static THEN: AtomicBool = AtomicBool::new(false);

struct Depot(Log);

#[activity]
impl Depot {
    /// Fetches something, where the service is up.
    #[activity(start_to_close = "10s", retry(initial_interval = "1s", max_interval = "1s"))]
    async fn fetch(&self, name: String) -> Result<String, Failure> {
        if name == "far" && THEN.load(Ordering::SeqCst) {
            return Err(Failure::new("the service is down"));
        }
        self.0.add(format!("fetch {name} {}", activity::context().attempt()));
        Ok(format!("<{name}>"))
    }

    /// Runs on a queue of its own.
    #[activity(start_to_close = "10s", task_queue = "older-elsewhere")]
    async fn elsewhere(&self, name: String) -> String {
        self.0.add(format!("elsewhere {name}"));
        format!("[{name}]")
    }

    /// Runs until its process ends.
    #[activity(start_to_close = "1h", cancellation = "abandon")]
    async fn slow(&self, name: String) -> String {
        if THEN.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.0.add(format!("slow {name} {}", activity::context().attempt()));
        format!("({name})")
    }

    /// Undoes.
    #[activity(start_to_close = "10s")]
    async fn undo(&self, name: String) {
        self.0.add(format!("undo {name}"));
    }
}

/// Goes through one thing after the other, as its input says.
#[derive(Default)]
struct Journey {
    seen: Vec<String>,
    told: Vec<u32>,
}

#[workflow]
impl Journey {
    #[run]
    async fn run(&mut self, way: Vec<String>) -> Result<Vec<String>, Failure> {
        let mut saga = workflow::saga();
        for step in way {
            let seen = match step.as_str() {
                "wait" => {
                    let before = self.told.len();
                    workflow::until!(self.told.len() > before).await;
                    format!("told {:?}", self.told)
                }
                "sleep" => {
                    workflow::sleep(millis(1_500)).await;
                    "slept".to_owned()
                }
                "far" => Depot::fetch("far".to_owned()).await?,
                "elsewhere" => Depot::elsewhere("over there".to_owned()).await?,
                "slow" => Depot::slow("long".to_owned()).await?,
                "book" => {
                    saga.on_failure(Depot::undo("booking".to_owned()));
                    Depot::fetch("booking".to_owned()).await?
                }
                "bug" => {
                    assert!(
                        !workflow::allow!("the bug that is mended", THEN.load(Ordering::SeqCst)),
                        "a bug"
                    );
                    "mended".to_owned()
                }
                "fail" => return Err(Failure::new("no way").non_retryable()),
                "random" => {
                    let read = workflow::side_effect(|| "read once".to_owned()).await;
                    format!("{read} {}", workflow::random_range(0..1_000))
                }
                other => other.to_owned(),
            };
            self.seen.push(seen);
        }
        Ok(self.seen.clone())
    }

    #[signal]
    fn tell(&mut self, n: u32) {
        self.told.push(n);
    }

    #[query]
    fn seen(&self) -> Vec<String> {
        self.seen.clone()
    }
}

fn way(steps: &[&str]) -> Vec<String> {
    steps.iter().map(|step| (*step).to_owned()).collect()
}

/// The runs that are open when the process dies: the id, the steps, and how many it has gone.
const OPEN: &[(&str, &[&str], usize)] = &[
    ("waits", &["a", "random", "wait", "b"], 2),
    ("told-once", &["wait", "random", "wait"], 2),
    ("sleeps", &["book", "sleep", "b"], 1),
    ("retries", &["a", "far", "b"], 1),
    ("elsewhere", &["a", "elsewhere", "b"], 1),
    ("slow", &["random", "slow", "b"], 1),
    ("saga", &["book", "wait", "fail"], 1),
];

/// Writes runs of every kind. Their worker is not shut down.
async fn fill(abide: &Abide) {
    THEN.store(true, Ordering::SeqCst);
    let client = abide.client().task_queue("older");
    let worker = abide.worker("older").workflow(Journey::run).activities(Depot(Log::default()));
    let worker = worker.start().await.unwrap();
    for (id, steps, gone) in OPEN {
        let run = client.start(Journey::run(way(steps))).id(id).await.unwrap();
        if *id == "told-once" {
            run.tell(1).request_id("told-1").await.unwrap();
        }
        eventually(id, async || run.seen().await.is_ok_and(|seen| seen.len() == *gone)).await;
    }
    let retries = client.handle::<Journey>("retries");
    let failed = async || {
        retries.describe().await.unwrap().pending_activities.iter().any(|call| call.last_failure.is_some())
    };
    eventually("an attempt fails", failed).await;
    let bug = client.start(Journey::run(way(&["a", "bug", "b"]))).id("suspended").await.unwrap();
    let suspended = async || bug.describe().await.unwrap().status == ExecutionStatus::Suspended;
    eventually("it is suspended", suspended).await;
    for (id, steps) in [("completed", &["a", "random"][..]), ("failed", &["book", "fail"])] {
        let run =
            client.start(Journey::run(way(steps))).id(id).request_id(format!("start-{id}")).await.unwrap();
        let _ = run.result().await;
    }
    let cancelled = client.start(Journey::run(way(&["book", "wait"]))).id("cancelled").await.unwrap();
    eventually("it waits", async || cancelled.seen().await.is_ok_and(|seen| seen.len() == 1)).await;
    cancelled.cancel("enough").await.unwrap();
    cancelled.result().await.unwrap_err();
    let ended = client.start(Journey::run(way(&["wait"]))).id("terminated").await.unwrap();
    ended.terminate("for good").await.unwrap();
    // No worker has begun this one, and two signals wait for it.
    let elsewhere = abide.client().task_queue("older-later");
    let early = elsewhere.start(Journey::run(way(&["a", "wait"]))).id("early").await.unwrap();
    early.tell(7).await.unwrap();
    early.tell(8).await.unwrap();
    if let Ok(seconds) = std::env::var("ABIDE_KEEP_FOR") {
        let seconds = seconds.parse().expect("a number of seconds");
        println!("the database is kept for {seconds} s");
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }
    drop(worker);
    THEN.store(false, Ordering::SeqCst);
}

/// Everything in it goes on under today's code.
async fn finish(abide: &Abide) {
    let (client, log) = (abide.client(), Log::default());
    let closed = |id: &'static str| client.handle::<Journey>(id);
    assert_eq!(closed("completed").result().await.unwrap()[0], "a");
    assert!(closed("failed").result().await.unwrap_err().to_string().contains("no way"));
    assert_eq!(closed("cancelled").describe().await.unwrap().status, ExecutionStatus::Cancelled);
    assert_eq!(closed("terminated").describe().await.unwrap().status, ExecutionStatus::Terminated);
    let listed = client.list(ListFilter::new()).await.unwrap();
    assert_eq!(listed.executions.len(), OPEN.len() + 6);

    let workers = [
        abide.worker("older").workflow(Journey::run).activities(Depot(log.clone())).start().await.unwrap(),
        abide
            .worker("older-later")
            .workflow(Journey::run)
            .activities(Depot(log.clone()))
            .start()
            .await
            .unwrap(),
        abide.worker("older-elsewhere").activities(Depot(log.clone())).start().await.unwrap(),
    ];
    assert_eq!(closed("completed").seen().await.unwrap().len(), 2, "a closed run is asked");
    let again = abide
        .client()
        .task_queue("older")
        .start(Journey::run(way(&[])))
        .id("completed")
        .request_id("start-completed");
    let again = again.await.unwrap();
    assert_eq!(again.run_id(), listed_run(&listed, "completed"), "its request id is known");

    let run = |id: &str| client.handle::<Journey>(id);
    // A worker of another build tries it by itself.
    let resumed = run("suspended").resume().await.map_err(|error| error.code());
    assert!(matches!(resumed, Ok(()) | Err("AB0414")), "{resumed:?}");
    assert_eq!(run("suspended").result().await.unwrap(), ["a", "mended", "b"]);
    run("told-once").tell(1).request_id("told-1").await.unwrap();
    for id in ["waits", "told-once"] {
        let before = run(id).seen().await.unwrap();
        run(id).tell(2).await.unwrap();
        let end = run(id).result().await.unwrap();
        assert_eq!(end[..before.len()], before, "{id}: what was drawn and read stays");
        let told = if id == "waits" { "told [2]" } else { "told [1, 2]" };
        assert!(end.contains(&told.to_owned()), "{id}: {end:?}");
    }
    assert_eq!(run("sleeps").result().await.unwrap(), ["<booking>", "slept", "b"]);
    assert_eq!(run("retries").result().await.unwrap(), ["a", "<far>", "b"]);
    assert_eq!(run("elsewhere").result().await.unwrap(), ["a", "[over there]", "b"]);
    assert_eq!(run("slow").result().await.unwrap()[1], "(long)");
    run("early").tell(9).await.unwrap();
    assert_eq!(run("early").result().await.unwrap(), ["a", "told [7, 8, 9]"]);
    run("saga").tell(1).await.unwrap();
    run("saga").result().await.unwrap_err();
    let done = log.counts();
    assert_eq!(done.get("undo booking"), Some(&1), "the saga compensates: {done:?}");
    assert_eq!(done.get("slow long 2"), Some(&1), "its first attempt died with its process: {done:?}");
    assert!(!done.contains_key("fetch far 1"), "failed attempts are counted: {done:?}");
    assert!(
        !done.keys().any(|line| line.starts_with("fetch booking")),
        "what is recorded does not run again: {done:?}"
    );
    for worker in workers {
        worker.shutdown().await.unwrap();
    }
}

fn listed_run<'p>(page: &'p abide::ExecutionPage, id: &str) -> Option<&'p str> {
    page.executions.iter().find(|run| run.workflow_id == id).map(|run| run.run_id.as_str())
}

#[tokio::test]
async fn what_an_older_build_and_what_this_build_has_written_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let url = Db::url(&folder);
    if crate::ON_POSTGRES {
        let dump = include_str!("older/abide.sql");
        let sql: String =
            dump.lines().filter(|line| !line.starts_with('\\')).flat_map(|line| [line, "\n"]).collect();
        let mut server = <sqlx::PgConnection as sqlx::Connection>::connect(&url).await.unwrap();
        sqlx::Executor::execute(&mut server, sqlx::raw_sql(sqlx::AssertSqlSafe(sql))).await.unwrap();
    } else {
        std::fs::write(folder.path().join("abide.db"), include_bytes!("older/abide.db")).unwrap();
    }
    finish(&Db::open(&folder).await).await;

    let folder = tempfile::tempdir().unwrap();
    println!("{}", Db::url(&folder));
    fill(&Db::open(&folder).await).await;
    finish(&Db::open(&folder).await).await;
}
