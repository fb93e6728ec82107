//! Replaces three worker processes one by one while requests go on, and measures what the requests notice.
//!
//! A request is a start of a workflow with some steps of a known time, and the wait for its result. Requests begin
//! at a fixed rate, whether earlier ones have ended or not, so that a pause of the service delays all that begin in
//! it. Each process is this same program. A new process is ready before the old one is asked to stop, as in a rolling
//! deployment; the old one shuts down gracefully. The same requests before the deployment are the comparison.

use crate::AnyResult;
use crate::load::Measured;
use crate::place::{Place, StoreKind};
use crate::scale::{WorkerArgs, child};
use crate::workload::{SLOW_STEP, Workload, slow_steps};
use abide::prelude::*;
use serde::Serialize;
use std::fmt;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::{Child, ChildStdout};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// How many worker processes serve.
const PROCESSES: usize = 3;

/// The pause after each replacement.
const SETTLE: Duration = Duration::from_secs(1);

/// The arguments of `deploy`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The store.
    #[arg(long, value_enum, default_value = "postgres")]
    store: StoreKind,
    /// How many requests begin per second.
    #[arg(long, default_value_t = 100)]
    rate: u32,
    /// How many steps each request has; a step takes 100 ms.
    #[arg(long, default_value_t = 3)]
    steps: u32,
    /// How long requests are measured before the deployment, in seconds.
    #[arg(long, default_value_t = 6.0)]
    seconds: f64,
    /// How often all processes are replaced.
    #[arg(long, default_value_t = 2)]
    deployments: u32,
    /// The folder in which the databases are created.
    #[arg(long, default_value = "target/bench")]
    dir: PathBuf,
    /// Prints one JSON object per line instead of a table.
    #[arg(long)]
    json: bool,
}

/// A worker process. Its output is kept open, so that it can always write.
type Process = (Child, BufReader<ChildStdout>);

/// Runs the measurement.
pub(crate) async fn run(args: &Args) -> AnyResult<()> {
    let place = Place::new(args.store, &args.dir)?;
    let (url, schema) = place.address("deploy");
    let abide = Abide::builder(&url).schema(&schema).open().await?;
    let client = abide.client().task_queue("bench");
    let worker = WorkerArgs::serving(&url, &schema, Workload::W1);
    let mut processes = Vec::new();
    for _ in 0..PROCESSES {
        processes.push(start(&worker).await?);
    }
    // Not measured: it fills caches and compiles statements.
    requests(&client, args, tokio::time::sleep(Duration::from_secs(1))).await?;

    let quiet = tokio::time::sleep(Duration::from_secs_f64(args.seconds));
    let (measured, ()) = requests(&client, args, quiet).await?;
    let before = Line::new("before", args, measured, 0);
    let (measured, replaced) =
        requests(&client, args, replace_all(&mut processes, &worker, args.deployments)).await?;
    let during = Line::new("deployment", args, measured, replaced?);
    if !args.json {
        println!("{}", Line::HEAD);
    }
    for line in [before, during] {
        match args.json {
            true => println!("{}", serde_json::to_string(&line)?),
            false => println!("{line}"),
        }
    }
    for process in processes {
        stop(process).await?;
    }
    abide.close().await?;
    Ok(())
}

/// What the requests of one phase did.
struct Requests {
    /// Those that succeeded.
    measured: Measured,
    /// How many failed. The first failure is printed.
    failed: usize,
}

/// Begins requests at the rate until `until` resolves, and waits for all of them.
async fn requests<T>(
    client: &Client,
    args: &Args,
    until: impl Future<Output = T>,
) -> AnyResult<(Requests, T)> {
    let (began, mut running) = (Instant::now(), JoinSet::new());
    let mut ticks = interval(Duration::from_secs(1) / args.rate.max(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    tokio::pin!(until);
    let ended = loop {
        tokio::select! {
            ended = &mut until => break ended,
            _ = ticks.tick() => {
                let (client, steps) = (client.clone(), args.steps);
                running.spawn(async move {
                    let began = Instant::now();
                    match client.start(slow_steps(steps)).await?.result().await? {
                        done if done == steps => AnyResult::Ok(began.elapsed()),
                        _ => Err("a workflow's result is wrong".into()),
                    }
                });
            }
        }
    };
    let (mut took, mut failed) = (Vec::new(), 0);
    while let Some(request) = running.join_next().await {
        match request? {
            Ok(time) => took.push(time),
            Err(error) => {
                if failed == 0 {
                    eprintln!("a request failed: {error}");
                }
                failed += 1;
            }
        }
    }
    Ok((Requests { measured: Measured::of(took, began.elapsed()), failed }, ended))
}

/// Replaces each process as often as this. Returns how many were replaced.
async fn replace_all(processes: &mut [Process], worker: &WorkerArgs, times: u32) -> AnyResult<usize> {
    for _ in 0..times {
        for process in processes.iter_mut() {
            let new = start(worker).await?;
            stop(std::mem::replace(process, new)).await?;
            tokio::time::sleep(SETTLE).await;
        }
    }
    Ok(processes.len() * times as usize)
}

/// Starts a process, and waits until it serves.
async fn start(worker: &WorkerArgs) -> AnyResult<Process> {
    let worker = worker.clone();
    tokio::task::spawn_blocking(move || child(&worker)).await?
}

/// Asks a process to shut down, and waits for its end.
async fn stop((mut process, output): Process) -> AnyResult<()> {
    drop(process.stdin.take());
    let status = tokio::task::spawn_blocking(move || process.wait()).await??;
    drop(output);
    if status.success() { Ok(()) } else { Err(format!("a worker process ended with {status}").into()) }
}

/// What requests took.
#[derive(Debug, Serialize)]
struct Line {
    phase: &'static str,
    store: &'static str,
    /// How many processes were replaced.
    replaced: usize,
    requests: usize,
    failed: usize,
    /// The time that the steps of one request take.
    steps_ms: u128,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

impl Line {
    const HEAD: &str =
        "phase       store     replaced  requests  failed  steps ms   p50 ms   p99 ms   max ms";

    fn new(phase: &'static str, args: &Args, requests: Requests, replaced: usize) -> Self {
        let Requests { mut measured, failed } = requests;
        Self {
            phase,
            store: args.store.name(),
            replaced,
            requests: measured.count() + failed,
            failed,
            steps_ms: (SLOW_STEP * args.steps).as_millis(),
            p50_ms: measured.percentile_ms(0.5),
            p99_ms: measured.percentile_ms(0.99),
            max_ms: measured.percentile_ms(1.0),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { phase, store, replaced, requests, failed, steps_ms, p50_ms, p99_ms, max_ms } = self;
        write!(
            f,
            "{phase:<11} {store:<9} {replaced:>8} {requests:>9} {failed:>7} {steps_ms:>9} {p50_ms:>8.1} {p99_ms:>8.1} \
             {max_ms:>8.1}"
        )
    }
}
