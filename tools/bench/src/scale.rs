//! Measures one, two and three worker processes on one Postgres: how much each process adds on this machine.
//!
//! Each process is this same program with its own worker and client, and keeps a number of workflows in
//! flight. On a machine with two cores, the processes and the server share them. The result then shows only
//! whether a second process costs more than it adds.

use crate::AnyResult;
use crate::load;
use crate::place::{Place, StoreKind};
use crate::workload::{Engine, Workload};
use abide::prelude::*;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The arguments of `scale`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The workload.
    #[arg(value_enum, default_value = "w2")]
    workload: Workload,
    /// How many worker processes; may be given several times.
    #[arg(long, default_values_t = [1, 2, 3])]
    workers: Vec<usize>,
    /// How many workflows are in flight in each process.
    #[arg(long, default_value_t = 256)]
    in_flight: usize,
    /// How long to measure, in seconds.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// The folder in which the cluster is created.
    #[arg(long, default_value = "target/bench")]
    dir: PathBuf,
}

/// The arguments of one process.
#[derive(Clone, clap::Args)]
pub(crate) struct WorkerArgs {
    url: String,
    schema: String,
    #[arg(value_enum)]
    workload: Workload,
    in_flight: usize,
    /// 0: it starts nothing itself, and serves until its input ends.
    seconds: f64,
}

impl WorkerArgs {
    /// A process that only serves workflows of other processes.
    pub(crate) fn serving(url: &str, schema: &str, workload: Workload) -> Self {
        Self { url: url.to_owned(), schema: schema.to_owned(), workload, in_flight: 1_000, seconds: 0.0 }
    }
}

/// Runs the measurement.
pub(crate) async fn run(args: &Args) -> AnyResult<()> {
    let place = Place::new(StoreKind::Postgres, &args.dir)?;
    let url = place.url().ok_or("Postgres has an URL")?;
    println!("workload  processes  in flight each  workflows/s   steps/s");
    for workers in &args.workers {
        let schema = format!("scale_{}_{workers}", std::process::id());
        let mut children = Vec::new();
        for _ in 0..*workers {
            let (workload, in_flight, seconds) = (args.workload, args.in_flight, args.seconds);
            let worker =
                WorkerArgs { url: url.to_owned(), schema: schema.clone(), workload, in_flight, seconds };
            children.push(child(&worker)?);
        }
        // All processes have opened the database and started their worker: now they begin together.
        for (child, _) in &mut children {
            child.stdin.as_mut().ok_or("a child without input")?.write_all(b"go\n")?;
        }
        let mut per_s = 0.0;
        for (mut child, mut output) in children {
            let mut line = String::new();
            output.read_line(&mut line)?;
            per_s += line.trim().parse::<f64>()?;
            child.wait()?;
        }
        let steps = per_s * f64::from(args.workload.steps());
        let name = args.workload.name();
        println!("{name:<9} {workers:>9} {:>15}  {per_s:>11.0} {steps:>9.0}", args.in_flight);
    }
    Ok(())
}

/// Starts a process, and waits until it is ready.
pub(crate) fn child(args: &WorkerArgs) -> AnyResult<(Child, BufReader<std::process::ChildStdout>)> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["worker", &args.url, &args.schema, args.workload.name()])
        .args([args.in_flight.to_string(), args.seconds.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut output = BufReader::new(child.stdout.take().ok_or("a child without output")?);
    let mut ready = String::new();
    output.read_line(&mut ready)?;
    match ready.trim() {
        "ready" => Ok((child, output)),
        other => Err(format!("a worker process said `{other}`").into()),
    }
}

/// One process: prints `ready`, waits for a line, and prints how many workflows it ran per second.
pub(crate) async fn work(args: &WorkerArgs) -> AnyResult<()> {
    let abide = Abide::builder(&args.url).schema(&args.schema).open().await?;
    let engine = Engine::open(abide, args.workload, args.in_flight).await?;
    engine.history().await?;
    println!("ready");
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    if args.seconds == 0.0 {
        return engine.close().await;
    }
    let measured = load::run(&engine, args.in_flight, Duration::from_secs_f64(args.seconds)).await?;
    println!("{}", measured.per_s());
    engine.close().await
}
