//! An order service that survives `kill -9`.
//!
//! ```sh
//! cargo run --release --example order_service
//! ```
//!
//! It takes 200 orders from `orders.json`, runs each as a workflow, and ends with a summary that it compares
//! with the payment provider's own books. Kill it at any time and run it again: it continues where it
//! stopped, and ends with exactly the same summary. Read `workflow.rs` first, then `activities.rs`.
//!
//! `ORDER_SERVICE_DIR` is the folder of its database and the providers' ledger. Default:
//! `target/order_service`.
//!
//! With `--features postgres` and `DATABASE_URL=postgres://..` it uses Postgres, in the schema
//! `order_service`, and may run several times at once. The processes share the orders and the ledger, and
//! each ends with the same summary, whichever of them is killed.

// A program has no callers: a plain `pub` reads better than `pub(crate)`.
#![allow(unreachable_pub)]

mod activities;
mod ledger;
mod orders;
mod people;
mod progress;
mod summary;
mod workflow;

use crate::activities::Providers;
use crate::ledger::{Books, Ledger};
use crate::orders::Order;
use crate::progress::Board;
use crate::summary::Summary;
use crate::workflow::OrderWorkflow;
use abide::prelude::*;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

const QUEUE: &str = "orders";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    log();
    match serve(&directory()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("order_service: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(dir: &Path) -> Result<ExitCode> {
    std::fs::create_dir_all(dir)?;
    let books = dir.join("ledger.jsonl");
    let orders = Order::load()?;
    let abide = open(dir).await?;
    let client = abide.client().task_queue(QUEUE);
    announce(&client, orders.len()).await?;

    let providers = Providers { ledger: Ledger::open(&books)? };
    let worker = abide.worker(QUEUE).workflow(OrderWorkflow::run).activities(providers).start().await?;
    let board = Board::new(orders.len());
    let endings = tokio::select! {
        endings = people::place_all(&client, &orders, &board) => Some(endings?),
        _ = tokio::signal::ctrl_c() => None,
        never = board.draw() => match never {},
    };
    board.clear();
    worker.shutdown().await?;

    let Some(endings) = endings else {
        println!("stopped. Nothing is lost: run it again and it goes on.");
        return Ok(ExitCode::from(130)); // what a shell expects of a program stopped by Ctrl-C
    };
    let summary = Summary::new(&endings, Books::read(&books)?);
    summary.check()?;
    println!(
        "{} calls came twice, under the same idempotency key, and were counted once",
        summary.repeated()
    );
    println!("{summary}");
    Ok(ExitCode::SUCCESS)
}

/// Opens Postgres if `DATABASE_URL` is set, otherwise a file.
async fn open(dir: &Path) -> Result<Abide> {
    if let Ok(url) = std::env::var("DATABASE_URL") {
        println!("database: the schema `order_service` of DATABASE_URL");
        return Ok(Abide::builder(url).schema("order_service").open().await?);
    }
    let file = dir.join("orders.db");
    println!("database: {}", file.display());
    Ok(Abide::open(&file).await?)
}

/// Prints what an earlier run left.
async fn announce(client: &Client, orders: usize) -> Result<()> {
    let page = client.list(ListFilter::new().workflow_type("OrderWorkflow").limit(1_000)).await?;
    let (open, done): (Vec<_>, Vec<_>) = page.executions.iter().partition(|order| order.status.is_open());
    match (open.len(), done.len()) {
        (0, 0) => {
            println!("{orders} orders, about 20 seconds. Kill me (Ctrl-C, kill -9) and run me again.");
            println!("Some calls fail on purpose; the log warns of each failed attempt.");
        }
        (0, done) if done == orders => {
            println!("all {done} orders are done already: delete the folder to start anew")
        }
        (open, done) => println!("resuming: {open} open, {done} done"),
    }
    Ok(())
}

/// A folder under `target/` of the workspace from which cargo runs this program, independent of the current
/// folder.
fn directory() -> PathBuf {
    if let Some(dir) = std::env::var_os("ORDER_SERVICE_DIR") {
        return dir.into();
    }
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let workspace = package.as_deref().and_then(Path::parent).unwrap_or(Path::new("."));
    workspace.join("target").join("order_service")
}

/// Sets up the log as `RUST_LOG` says, for example `RUST_LOG=warn,abide=debug`. Default: warnings.
fn log() {
    let asked = std::env::var("RUST_LOG").ok().and_then(|asked| asked.parse().ok());
    let wanted = asked.unwrap_or_else(|| Targets::new().with_default(LevelFilter::WARN));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    tracing_subscriber::registry().with(lines.with_filter(wanted)).init();
}
