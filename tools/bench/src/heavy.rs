//! Measures a large database: many workflows on three worker processes, many sleeping workflows, a journal of
//! millions of events.
//!
//! Each part prints what it checked and how long it took. It ends with an error if something is lost,
//! doubled, or owned without reason.

use crate::AnyResult;
use crate::place::{Place, StoreKind};
use crate::scale::{WorkerArgs, child};
use crate::workload::{Workload, sleeper, ten_steps};
use abide::prelude::*;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// The arguments of `heavy`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many workflows of ten steps three processes run.
    #[arg(long, default_value_t = 10_000)]
    workflows: usize,
    /// How many executions sleep.
    #[arg(long, default_value_t = 100_000)]
    sleeping: usize,
    /// How many events are added to the journal directly by SQL.
    #[arg(long, default_value_t = 5_000_000)]
    events: usize,
    /// The folder in which the cluster is created.
    #[arg(long, default_value = "target/bench")]
    dir: PathBuf,
}

/// How many starts are in progress at once.
const AT_ONCE: usize = 256;

/// Runs all parts on one database.
pub(crate) async fn run(args: &Args) -> AnyResult<()> {
    let place = Place::new(StoreKind::Postgres, &args.dir)?;
    let url = place.url().ok_or("Postgres has an URL")?.to_owned();
    let schema = format!("heavy_{}", std::process::id());
    let abide = Abide::builder(&url).schema(&schema).open().await?;
    let sql = Sql { place: &place, schema: &schema };
    many(args, &abide, &url, &schema, &sql).await?;
    let before = looks(&abide, &sql).await?;
    asleep(args, &abide, &sql).await?;
    fill(args, &sql)?;
    let after = looks(&abide, &sql).await?;
    for ((what, before), (_, after)) in before.iter().zip(&after) {
        println!("{what}: {before:.2} ms before, {after:.2} ms after");
    }
    abide.close().await?;
    Ok(())
}

/// Runs SQL statements past the engine.
struct Sql<'a> {
    place: &'a Place,
    schema: &'a str,
}

impl Sql<'_> {
    fn number(&self, statement: &str) -> AnyResult<i64> {
        let rows = self.place.sql(&statement.replace("{s}", self.schema))?;
        let value = rows.first().and_then(|row| row.first().cloned().flatten());
        Ok(value.ok_or("no answer")?.parse()?)
    }

    fn run(&self, statement: &str) -> AnyResult<()> {
        self.place.sql(&statement.replace("{s}", self.schema))?;
        Ok(())
    }
}

/// A client starts the workflows for any worker, and three processes run them.
async fn many(args: &Args, abide: &Abide, url: &str, schema: &str, sql: &Sql<'_>) -> AnyResult<()> {
    let worker = |_| child(&WorkerArgs::serving(url, schema, Workload::W2));
    let children = (0..3).map(worker).collect::<AnyResult<Vec<_>>>()?;
    let (begun, client) = (Instant::now(), abide.client().task_queue("bench"));
    let (mut runs, mut results) = (JoinSet::new(), 0);
    for _ in 0..args.workflows {
        while runs.len() >= AT_ONCE {
            results += runs.join_next().await.ok_or("nothing runs")??;
        }
        let client = client.clone();
        runs.spawn(async move {
            let run = client.start(ten_steps()).await.map_err(|error| error.to_string());
            match run {
                Ok(run) => u64::from(run.result().await.is_ok_and(|steps| steps == 10)),
                Err(error) => panic!("a start failed: {error}"),
            }
        });
    }
    while let Some(result) = runs.join_next().await {
        results += result?;
    }
    let took = begun.elapsed().as_secs_f64();
    let wrong = sql.number(
        "SELECT count(*) FROM (SELECT execution, sum(n) AS n, max(seq + n) - 1 AS last FROM {s}.journal
            GROUP BY execution) j WHERE n <> last OR n <> 22",
    )?;
    let closed = sql.number("SELECT count(*) FROM {s}.execution WHERE status = 10 AND owner IS NULL")?;
    if results != args.workflows as u64 || closed < args.workflows as i64 || wrong != 0 {
        return Err(format!("{results} results, {closed} closed, {wrong} wrong journals").into());
    }
    println!(
        "{} workflows of 10 steps over 3 processes: all completed once, {:.0} workflows/s, {:.0} steps/s",
        args.workflows,
        args.workflows as f64 / took,
        args.workflows as f64 * 10.0 / took
    );
    for (mut child, _) in children {
        drop(child.stdin.take());
        child.wait()?;
    }
    Ok(())
}

/// A worker with a small cache starts them all, and keeps none in memory.
async fn asleep(args: &Args, abide: &Abide, sql: &Sql<'_>) -> AnyResult<()> {
    let worker = abide.worker("asleep").workflow(sleeper).cache_bytes(1024 * 1024).start().await?;
    let (begun, client) = (Instant::now(), abide.client());
    let mut starts = JoinSet::new();
    for _ in 0..args.sleeping {
        if starts.len() >= AT_ONCE {
            starts.join_next().await.ok_or("nothing starts")???;
        }
        let client = client.clone();
        starts.spawn(async move { client.start(sleeper()).await.map(drop) });
    }
    while let Some(started) = starts.join_next().await {
        started??;
    }
    let took = begun.elapsed().as_secs_f64();
    let owned = sql.number("SELECT count(*) FROM {s}.execution WHERE status = 0 AND owner IS NOT NULL")?;
    let free = sql.number("SELECT count(*) FROM {s}.execution WHERE status = 0 AND owner IS NULL")?;
    let before = statements(sql)?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let per_s = (statements(sql)? - before) as f64 / 5.0;
    println!(
        "{} asleep, started in {took:.1} s: {free} are rows and nothing else, {owned} in the cache; idle, the database \
         sees {per_s:.0} transactions a second",
        args.sleeping
    );
    worker.shutdown().await?;
    let owned = sql.number("SELECT count(*) FROM {s}.execution WHERE owner IS NOT NULL")?;
    if owned != 0 {
        return Err(format!("{owned} are owned after the shutdown").into());
    }
    Ok(())
}

fn statements(sql: &Sql<'_>) -> AnyResult<i64> {
    sql.number("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()")
}

fn fill(args: &Args, sql: &Sql<'_>) -> AnyResult<()> {
    let each = 50;
    let executions = args.events / each;
    sql.run(&format!(
        "INSERT INTO {{s}}.execution (id, workflow_id, run_id, type, queue, status, created_at, closed_at, result)
         SELECT i, 'old-' || i, 'old-' || i, 'Old', 'old', 10, i, i, '{{}}' FROM generate_series(1, {executions}) i;
         INSERT INTO {{s}}.journal (execution, seq, n, at, writer, body)
         SELECT i, seq, 1, i, 1, '[{{\"timer_fired\":{{\"timer\":7}}}}]'
         FROM generate_series(1, {executions}) i, generate_series(1, {each}) seq"
    ))?;
    // The background work that follows such an insert must not be measured.
    sql.run("VACUUM ANALYZE")?;
    sql.run("CHECKPOINT")?;
    let (executions, events) = (
        sql.number("SELECT count(*) FROM {s}.execution")?,
        sql.number("SELECT sum(n)::bigint FROM {s}.journal")?,
    );
    println!("the tables now hold {executions} executions and {events} events");
    Ok(())
}

/// Frequent operations of clients and workers: a start that another process claims, a list, a timer. Returns
/// medians.
async fn looks(abide: &Abide, sql: &Sql<'_>) -> AnyResult<Vec<(&'static str, f64)>> {
    let worker = abide.worker("looks").workflow(ten_steps).activity(crate::workload::step).start().await?;
    let other = Abide::builder(sql.place.url().unwrap_or_default()).schema(sql.schema).open().await?;
    let client = other.client().task_queue("looks");
    let (mut claims, mut lists) = (Vec::new(), Vec::new());
    for _ in 0..50 {
        let begun = Instant::now();
        client.start(ten_steps()).await?.result().await?;
        claims.push(begun.elapsed());
        let begun = Instant::now();
        client.list(ListFilter::new().limit(100)).await?;
        lists.push(begun.elapsed());
    }
    worker.shutdown().await?;
    other.close().await?;
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64() * 1_000.0
    };
    Ok(vec![
        ("start, claimed and run by another process, to its result", median(claims)),
        ("list of the newest 100", median(lists)),
    ])
}
