//! A quota: a geocoding service that allows two requests at once and ten a second, shared by three processes and by
//! tenants of whom one asks for much more than the others. Each tenant gets its share.
//!
//! ```sh
//! cargo run --example quota
//! ```
//!
//! The three engines of this program stand for three processes on one database: they know each other by it alone. Kill
//! the program at any time and run it again: it goes on where it was, and the quota holds across the kill.
//!
//! `QUOTA_DIR` is the folder of its database and of the service's ledger. Default: `target/quota`. Delete it to begin
//! again.

use abide::prelude::*;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const FLOWS: &str = "imports";
const PROCESSES: usize = 3;

/// How many addresses each tenant imports.
const TENANTS: [(&str, u32); 3] = [("acme", 24), ("bolt", 4), ("cora", 4)];

/// Geocodes all addresses of a tenant. All calls are made at once: the task queue holds them back.
#[workflow]
async fn import(tenant: String, addresses: u32) -> Result<u32, ActivityError<NoAnswer>> {
    let calls = (0..addresses).map(|n| {
        // The tenants are served in turn, however many addresses one of them has.
        Geocoder::locate(tenant.clone(), n).fair(&tenant, 1)
    });
    Ok(futures::future::try_join_all(calls).await?.len() as u32)
}

#[derive(Clone, Debug, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[error("the service does not answer: {0}")]
struct NoAnswer(String);

impl From<io::Error> for NoAnswer {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

/// The service, as one process sees it. Its ledger is a folder with a file for each request, so that a call that comes
/// again after a kill changes nothing.
#[derive(Clone)]
struct Geocoder {
    ledger: PathBuf,
    /// Shared by the engines of this program, only to show that the limit holds.
    running: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

// `most` and `rate` hold for all workers of the task queue together, in whichever process they are.
#[activity(task_queue = "geocoder", most = 2, rate = "10/s", start_to_close = "30s")]
impl Geocoder {
    async fn locate(&self, tenant: String, n: u32) -> Result<String, NoAnswer> {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(running, Ordering::SeqCst);
        tokio::time::sleep(millis(150)).await;
        self.running.fetch_sub(1, Ordering::SeqCst);
        let request = format!("{tenant}-{n}");
        fs::write(self.ledger.join(&request), activity::context().idempotency_key())?;
        println!("{tenant}: address {n}");
        Ok(request)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::var_os("QUOTA_DIR").map_or_else(|| "target/quota".into(), PathBuf::from);
    let ledger = dir.join("ledger");
    fs::create_dir_all(&ledger)?;
    let (running, most) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    let geocoder = Geocoder { ledger: ledger.clone(), running, most: Arc::clone(&most) };

    let (mut engines, mut workers) = (Vec::new(), Vec::new());
    for _ in 0..PROCESSES {
        let abide = Abide::open(dir.join("quota.db")).await?;
        workers.push(abide.worker("geocoder").activities(geocoder.clone()).start().await?);
        engines.push(abide);
    }
    workers.push(engines[0].worker(FLOWS).workflow(import).start().await?);
    let client = engines[0].client().task_queue(FLOWS);
    tokio::select! {
        done = import_all(&client) => done?,
        stopped = tokio::signal::ctrl_c() => stopped?,
    }
    for worker in workers {
        worker.shutdown().await?;
    }
    println!("at most {} at once", most.load(Ordering::SeqCst));
    println!("in the ledger: {} requests", fs::read_dir(ledger)?.count());
    Ok(())
}

/// Starts all imports, or finds those that an earlier run of this program has started, and waits for their ends.
async fn import_all(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    let mut imports = Vec::new();
    for (tenant, addresses) in TENANTS {
        // The same request id for each run of this program: one import, also after its end.
        let start = client.start(import(tenant.into(), addresses)).id(tenant).request_id(tenant);
        imports.push((tenant, start.await?));
    }
    for (tenant, import) in imports {
        println!("{tenant}: all {} addresses", import.result().await?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide::testing::{TestEnv, mock};

    #[tokio::test]
    async fn the_small_tenants_do_not_wait_for_the_large_one() -> Result<(), Failure> {
        let env = TestEnv::start().await?;
        let located = mock(Geocoder::locate, |tenant: String, n: u32| Ok(format!("{tenant}-{n}")));
        let flows = env.worker(FLOWS).workflow(import).start().await?;
        let client = env.client().task_queue(FLOWS);
        let began = env.now();
        let mut imports = Vec::new();
        for (tenant, addresses) in TENANTS {
            imports.push(client.start(import(tenant.into(), addresses)).await?);
        }
        // The worker comes when all calls wait.
        env.sleep(secs(1)).await;
        let worker = env.worker("geocoder").mock(&located).start().await?;
        for import in imports {
            import.result().await?;
        }
        let order: Vec<String> = located.calls().into_iter().map(|(tenant, _)| tenant).collect();
        let last = order.iter().rposition(|tenant| tenant != "acme").unwrap_or(usize::MAX);
        assert!(last < 12, "four of each, in turn: {order:?}");
        // The first of the 32 begins at once, the others at ten a second.
        assert!(env.now().duration_since(began).as_millis() >= 1_000 + 3_100 - 1);
        worker.shutdown().await?;
        Ok(flows.shutdown().await?)
    }
}
