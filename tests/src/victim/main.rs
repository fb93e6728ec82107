//! An ordinary service on abide that the crash tests run as a child and kill: `victim ROLE FOLDER`.
//!
//! Roles: `open` opens the database and leaves; `send` starts workflows and sends signals (no worker); `work`
//! runs a worker; `farm` runs one that has activities only; `both` runs a worker, and a sender in the same
//! process; `transact` runs one of transactional activities. It says `begun` before it touches the database
//! and `ready` when it works; a sender says `sent` when it has sent its last. The end of its input asks it to
//! shut down, so that none outlives the test.
//!
//! `VICTIM_DATABASE` is the database's URL; without it, it is a file in the folder.

mod items;
mod ledger;
mod mixed;
mod sender;
mod transactions;
mod workflows;

use abide::prelude::*;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::AsyncReadExt;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let filter = tracing_subscriber::EnvFilter::new("warn,abide=info");
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    let mut arguments = std::env::args().skip(1);
    let role = arguments.next().unwrap_or_default();
    let folder = PathBuf::from(arguments.next().unwrap_or_default());
    println!("begun");
    let file = || format!("sqlite://{}", folder.join("abide.db").display());
    let url = std::env::var("VICTIM_DATABASE").unwrap_or_else(|_| file());
    let on_server = url.starts_with("postgres");
    let mut builder = Abide::builder(url);
    if let Some(death) = transactions::death() {
        builder = builder.fault(death);
    }
    let abide = builder.open().await?;
    match role.as_str() {
        "open" => println!("ready"),
        "send" => {
            println!("ready");
            send(&abide, &folder, "out", 0).await;
        }
        "work" => work(&abide, &folder, workflows::worker, false).await?,
        "farm" => work(&abide, &folder, farm, false).await?,
        "both" => work(&abide, &folder, workflows::worker, true).await?,
        "transact" => serve(transactions::worker(&abide, on_server), std::future::pending()).await?,
        other => return Err(Failure::new(format!("no role `{other}`"))),
    }
    abide.close().await?;
    Ok(())
}

/// A worker of activities that are sent to it, and of no workflow.
fn farm(abide: &Abide, ledger: &Path) -> abide::WorkerBuilder {
    let items = items::Items::new(ledger);
    abide.worker(workflows::FARM).activities(workflows::Work::new(ledger)).activities(items)
}

/// Makes a worker that writes to this ledger.
type Build = fn(&Abide, &Path) -> abide::WorkerBuilder;

async fn work(abide: &Abide, folder: &Path, build: Build, sends: bool) -> Result<(), Failure> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let mut builder = build(abide, &folder.join("ledger"));
    if let Some(ms) = number("VICTIM_GRACE_MS") {
        builder = builder.shutdown_grace(Duration::from_millis(ms));
    }
    if let Some(slots) = number("VICTIM_SLOTS") {
        builder = builder.max_concurrent_activities(slots as usize);
    }
    let sending = async {
        if sends {
            send(abide, folder, "in", 1_000_000).await;
        }
        std::future::pending::<()>().await;
    };
    serve(builder, sending).await
}

/// Runs the worker until the input ends, and `meanwhile` beside it.
async fn serve(builder: abide::WorkerBuilder, meanwhile: impl Future<Output = ()>) -> Result<(), Failure> {
    let mut worker = builder.start().await?;
    println!("ready");
    tokio::select! {
        () = input_ends() => {}
        stopped = worker.stopped() => return Ok(stopped?),
        () = meanwhile => {}
    }
    worker.shutdown().await?;
    Ok(())
}

async fn send(abide: &Abide, folder: &Path, name: &str, first: u64) {
    sender::send(&abide.client().task_queue(workflows::QUEUE), folder, name, first).await;
    println!("sent");
}

/// Reads until the other side closes its end.
async fn input_ends() {
    let mut bytes = [0; 64];
    while tokio::io::stdin().read(&mut bytes).await.is_ok_and(|n| n > 0) {}
}
