//! W6: kills the only worker process and starts it again. Measures the time until all its work is complete,
//! and the work that was left.
//!
//! The child is this same program. It is killed in the middle of workflows whose steps take a known time. So
//! the work that was left is known too: the longest rest of a workflow. The time beyond that is the cost of
//! the restart.

use crate::AnyResult;
use crate::place::{Place, StoreKind};
use crate::scale::{WorkerArgs, child};
use crate::workload::{SLOW_STEP, Workload, slow_steps};
use abide::history::{Event, JournalRow};
use abide::prelude::*;
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant, UNIX_EPOCH};

/// The arguments of `w6`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The store.
    #[arg(long, value_enum, default_value = "sqlite")]
    store: StoreKind,
    /// How many workflows are running when it is killed.
    #[arg(long, default_value_t = 50)]
    in_flight: usize,
    /// How many steps each workflow has; a step takes 100 ms.
    #[arg(long, default_value_t = 20)]
    steps: u32,
    /// How often it is killed, each time with new workflows.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// The folder in which the databases are created.
    #[arg(long, default_value = "target/bench")]
    dir: PathBuf,
    /// Prints one JSON object per line instead of a table.
    #[arg(long)]
    json: bool,
}

/// Runs the measurement.
pub(crate) async fn run(args: &Args) -> AnyResult<()> {
    let place = Place::new(args.store, &args.dir)?;
    let (url, schema) = place.address("w6");
    let abide = Abide::builder(&url).schema(&schema).open().await?;
    let client = abide.client().task_queue("bench");
    let worker = WorkerArgs::serving(&url, &schema, Workload::W1);
    if !args.json {
        println!("{}", Line::HEAD);
    }
    for _ in 0..args.rounds {
        let line = round(args, &client, &worker).await?;
        match args.json {
            true => println!("{}", serde_json::to_string(&line)?),
            false => println!("{line}"),
        }
    }
    abide.close().await?;
    Ok(())
}

/// One kill.
async fn round(args: &Args, client: &Client, worker: &WorkerArgs) -> AnyResult<Line> {
    let (mut first, _said) = child(worker)?;
    let mut runs = Vec::new();
    for _ in 0..args.in_flight {
        runs.push(client.start(slow_steps(args.steps)).await?);
    }
    tokio::time::sleep(SLOW_STEP * (args.steps / 2)).await;
    first.kill()?;
    first.wait()?;
    let (killed, killed_at_ms) = (Instant::now(), UNIX_EPOCH.elapsed()?.as_millis() as i64);
    let (mut second, _said) = child(worker)?;
    let ready = killed.elapsed();
    for run in &runs {
        if run.result().await? != args.steps {
            return Err("a workflow's result is wrong".into());
        }
    }
    let complete = killed.elapsed();
    second.kill()?;
    second.wait()?;
    let (mut left, mut taken_over) = (Duration::ZERO, 0);
    for run in &runs {
        let Some((done, at_ms)) = recovery(&run.history().await?) else { continue };
        left = left.max(SLOW_STEP * args.steps.saturating_sub(done));
        taken_over = taken_over.max(at_ms - killed_at_ms);
    }
    let ms = |time: Duration| time.as_millis() as i64;
    Ok(Line {
        workload: "w6",
        store: args.store.name(),
        in_flight: args.in_flight,
        ready_ms: ms(ready),
        taken_over_ms: taken_over,
        complete_ms: ms(complete),
        left_ms: ms(left),
        above_ms: ms(complete) - ms(left),
    })
}

/// How many steps had ended when another worker took the execution over, and the time of that on the store's
/// clock.
fn recovery(history: &[JournalRow]) -> Option<(u32, i64)> {
    let mut done = 0;
    for row in history {
        for event in &row.events {
            match event {
                Event::ActivityCompleted { .. } => done += 1,
                Event::Recovered { .. } => return Some((done, row.at_ms)),
                _ => {}
            }
        }
    }
    None
}

/// The times of one kill, in ms after it.
#[derive(Debug, Serialize)]
struct Line {
    workload: &'static str,
    store: &'static str,
    in_flight: usize,
    /// The next process is ready.
    ready_ms: i64,
    /// The last workflow was taken over.
    taken_over_ms: i64,
    /// The last workflow is complete.
    complete_ms: i64,
    /// The work that was left: the longest rest of a workflow.
    left_ms: i64,
    /// The time beyond `left_ms`.
    above_ms: i64,
}

impl Line {
    const HEAD: &str = "workload  store   in flight  ready ms  taken over ms  complete ms  left ms  above ms";
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workload, store, in_flight, ready_ms, taken_over_ms, complete_ms, left_ms, above_ms } =
            self;
        write!(
            f,
            "{workload:<9} {store:<9} {in_flight:>7} {ready_ms:>9} {taken_over_ms:>14} {complete_ms:>12} {left_ms:>8} \
             {above_ms:>9}"
        )
    }
}
