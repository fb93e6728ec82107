//! A web service whose orders survive `kill -9`: axum in front, abide behind, both in one process.
//!
//! ```sh
//! cargo run --example web
//! curl -i localhost:3000/orders -H 'content-type: application/json' \
//!     -d '{"id": "A-1", "customer": "Ada", "cents": 990}'
//! curl -i localhost:3000/orders/A-1
//! curl -N localhost:3000/orders/A-1/progress &
//! curl -i localhost:3000/orders/A-1/approval -H 'content-type: application/json' -d '{"approved": true}'
//! curl -i localhost:3000/orders/A-1/result
//! ```
//!
//! Read `orders.rs` first (the workflow), then `api.rs` (the routes) and `refusal.rs` (errors as statuses).
//!
//! It listens only on 127.0.0.1, because it does not authenticate its callers. `PORT` is the port. Default:
//! 3000; 0 takes a free one. `DATABASE_URL` is a `sqlite://` URL. Default: a file in `target/web`. Ctrl-C and
//! SIGTERM stop it: first the requests, then the worker.

// A program has no callers: a plain `pub` reads better than `pub(crate)`.
#![allow(unreachable_pub)]

mod api;
mod orders;
mod refusal;

use abide::activity::CancellationToken;
use abide::prelude::*;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;
use tokio::net::TcpListener;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

const QUEUE: &str = "orders";

/// How long open requests may take after the process is asked to stop. A client that sends half a request
/// must not delay the end.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    log();
    let url = database()?;
    let abide = Abide::open(&url).await?;
    orders::create_table(&url).await?;
    let port = std::env::var("PORT").ok().map_or(Ok(3000), |port| port.parse())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    serve(&abide, listener).await?;
    Ok(abide.close().await?)
}

/// Runs server and worker until the process is asked to stop. The worker ends last, because open requests may
/// need it.
async fn serve(abide: &Abide, listener: TcpListener) -> Result<()> {
    let mut served = Ok(());
    let serving = async { served = answer(abide.client().task_queue(QUEUE), listener).await };
    abide.worker(QUEUE).include(orders::steps).run_until(serving).await?;
    served
}

/// Serves requests. When asked to stop, it only finishes the open ones.
async fn answer(client: Client, listener: TcpListener) -> Result<()> {
    let stop = CancellationToken::new();
    let server = axum::serve(listener, api::routes(client, stop.clone()));
    let mut server = pin!(server.with_graceful_shutdown(stop.clone().cancelled_owned()).into_future());
    tokio::select! {
        served = &mut server => return Ok(served?),
        asked = asked_to_stop() => asked?,
    }
    stop.cancel();
    match tokio::time::timeout(LAST_REQUESTS, server).await {
        Ok(served) => served?,
        Err(_elapsed) => tracing::warn!("requests are open after {LAST_REQUESTS:?}: their clients ask again"),
    }
    Ok(())
}

/// Waits for Ctrl-C, or for the signal that a service manager sends.
async fn asked_to_stop() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

/// The URL of the database. Default: a file under `target/` of the workspace from which cargo runs this
/// program.
fn database() -> Result<String> {
    if let Ok(url) = std::env::var("DATABASE_URL") {
        return Ok(url);
    }
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let workspace = package.as_deref().and_then(|package| package.ancestors().nth(2));
    let folder = workspace.unwrap_or(Path::new(".")).join("target").join("web");
    std::fs::create_dir_all(&folder)?;
    Ok(format!("sqlite://{}", folder.join("orders.db").display()))
}

/// Sets up the log as `RUST_LOG` says, for example `RUST_LOG=warn,abide=debug`. Default: warnings.
fn log() {
    let asked = std::env::var("RUST_LOG").ok().and_then(|asked| asked.parse().ok());
    let wanted = asked.unwrap_or_else(|| Targets::new().with_default(LevelFilter::WARN));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    tracing_subscriber::registry().with(lines.with_filter(wanted)).init();
}
