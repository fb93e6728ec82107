//! Compares abide with the raw limit of its store:
//! `cargo run --release -p bench -- --store sqlite w1 w2 [--json]`, or `--store postgres`, on a throw-away
//! cluster or the database of `DATABASE_URL`.
//!
//! For each workload and number of workflows in flight, the engine and the raw driver take turns in the same
//! run, each on its own database. The raw driver has no engine: it writes the same appends with the same row
//! sizes through the same writer. The ratio is the cost of the engine. Compare ratios between machines, not
//! absolute numbers.
//!
//! Other measurements: `cargo run --release -p bench -- scale` measures several worker processes on one
//! Postgres. `.. -- w6 --store postgres` measures how long a service that is killed and started again takes
//! to complete its work. `.. -- deploy` measures what requests notice while all worker processes are replaced.
//! `.. -- compile` measures what the checks cost at compile time. `.. -- count` counts
//! instructions and allocations.

mod compile;
mod count;
mod deploy;
mod heavy;
mod load;
mod place;
mod report;
mod restart;
mod scale;
mod workload;

use clap::{Parser, Subcommand};
use load::Measured;
use place::{Place, StoreKind};
use report::Line;
use std::path::PathBuf;
use std::time::Duration;
use workload::{Engine, RawSide, Workload};

/// How often engine and raw driver take turns. So other load on the machine affects both.
const ROUNDS: u32 = 3;

#[derive(Parser)]
#[command(about = "Measures abide against the raw limit of its store, in one run")]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Args {
    #[command(subcommand)]
    other: Option<Other>,
    /// The workloads: w1 is an empty workflow, w2 is ten trivial activities one after the other.
    #[arg(required = true, value_enum)]
    workloads: Vec<Workload>,
    /// The store.
    #[arg(long, value_enum, default_value = "sqlite")]
    store: StoreKind,
    /// How many workflows are in flight; may be given several times.
    #[arg(long, default_values_t = [1, 64, 1_024])]
    in_flight: Vec<usize>,
    /// How long each side of each measurement runs, in seconds.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// The folder in which the databases are created; they are removed at the end. Use a real disk: a tmpfs
    /// has no fsync to wait for.
    #[arg(long, default_value = "target/bench")]
    dir: PathBuf,
    /// Prints one JSON object per line instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Other {
    /// Measures what the checks cost at compile time.
    Compile(compile::Args),
    /// Measures one, two and three worker processes on one Postgres.
    Scale(scale::Args),
    /// Kills the only worker process and starts it again; measures the time until all is complete, and the
    /// work that was left.
    #[command(name = "w6")]
    Restart(restart::Args),
    /// Replaces three worker processes one by one while requests go on; measures what the requests notice.
    Deploy(deploy::Args),
    /// Measures what a large Postgres database costs: many workflows, many that sleep, millions of events.
    Heavy(heavy::Args),
    /// Counts instructions and allocations, and compares them with the last counts (needs valgrind).
    Count(count::Args),
    /// Internal: one run of `count`.
    #[command(hide = true)]
    Unit(count::UnitArgs),
    /// Internal: one process of `scale`.
    #[command(hide = true)]
    Worker(scale::WorkerArgs),
}

type AnyResult<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> AnyResult<()> {
    let args = Args::parse();
    match &args.other {
        Some(Other::Compile(args)) => return compile::run(args),
        Some(Other::Scale(args)) => return scale::run(args).await,
        Some(Other::Restart(args)) => return restart::run(args).await,
        Some(Other::Deploy(args)) => return deploy::run(args).await,
        Some(Other::Heavy(args)) => return heavy::run(args).await,
        Some(Other::Count(args)) => return count::run(args).await,
        Some(Other::Unit(args)) => return count::unit(args).await,
        Some(Other::Worker(args)) => return scale::work(args).await,
        None => {}
    }
    let place = Place::new(args.store, &args.dir)?;
    if !args.json {
        println!("{}", Line::HEAD);
    }
    for workload in &args.workloads {
        for in_flight in &args.in_flight {
            let line = measure(&args, &place, *workload, (*in_flight).max(1)).await?;
            if args.json {
                println!("{}", serde_json::to_string(&line)?);
            } else {
                println!("{line}");
            }
        }
    }
    Ok(())
}

async fn measure(args: &Args, place: &Place, workload: Workload, in_flight: usize) -> AnyResult<Line> {
    let engine = Engine::open(place.open("engine").await?, workload, in_flight).await?;
    let raw = RawSide::open(place.open("raw").await?, workload.name(), engine.history().await?).await?;
    let round = Duration::from_secs_f64((args.seconds / f64::from(ROUNDS)).max(0.1));

    // Not counted: this fills caches, compiles statements and starts threads.
    load::run(&engine, in_flight, round / 4).await?;
    load::run(&raw, in_flight, round / 4).await?;

    let (mut ours, mut theirs) = (Measured::default(), Measured::default());
    let mut commits = 0;
    for _ in 0..ROUNDS {
        theirs.add(load::run(&raw, in_flight, round).await?);
        let before = engine.commits();
        ours.add(load::run(&engine, in_flight, round).await?);
        commits += engine.commits() - before;
    }
    engine.close().await?;
    raw.close().await?;
    Ok(Line::new(workload, args.store.name(), in_flight, &mut ours, &mut theirs, commits))
}
