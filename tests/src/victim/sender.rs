//! Starts workflows and sends them signals, and writes down what was acknowledged. Killed and run again it goes on
//! where it was: what it asked for and was not told is asked for again under the same request id.

use crate::ledger::{Ledger, lines};
use crate::workflows::{Letters, fan, naps, sequence, stubborn, trip};
use abide::prelude::*;
use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

/// How many executions of one sender may be open.
const OPEN: usize = 24;
/// How many letters a reader of letters waits for.
const LETTERS: u64 = 3;

struct Sender<'a> {
    client: &'a Client,
    acks: Ledger,
    acked: HashSet<String>,
    /// Begins its workflow ids.
    name: &'a str,
}

/// Sends until there is a file `stop` in the folder. `first` begins the numbers of its workflows.
pub(crate) async fn send(client: &Client, folder: &Path, name: &str, first: u64) {
    let path = folder.join(format!("acks-{name}"));
    let acked = lines(&path).into_iter().collect();
    let mut sender = Sender { client, acks: Ledger::open(&path).expect("the acks open"), acked, name };
    for n in first.. {
        // The one after the last that was acknowledged may have been begun: it is finished too.
        let last = folder.join("stop").exists() && !sender.acked.contains(&format!("start {name}-{n}"));
        if let Err(error) = sender.one(n).await {
            return sender.acks.add(&format!("error {error}"));
        }
        if last {
            return;
        }
        pace().await;
    }
}

impl Sender<'_> {
    async fn one(&mut self, n: u64) -> abide::Result<()> {
        let id = format!("{}-{n}", self.name);
        let (client, name) = (self.client, id.clone());
        self.until_acked(format!("start {id}"), || start(client, name.clone(), n)).await?;
        if n % 6 == 3 {
            for k in 0..LETTERS {
                let (request, to) = (format!("{id}-letter-{k}"), client.handle::<Letters>(id.clone()));
                let ack = format!("letter {id} {request}");
                self.until_acked(ack, || to.letter(10 * n + k).request_id(request.clone())).await?;
            }
        }
        Ok(())
    }

    /// Asks again while the outcome is unknown or the database is busy, and writes the acknowledgement down.
    async fn until_acked<F>(&mut self, ack: String, ask: impl Fn() -> F) -> abide::Result<()>
    where
        F: Future<Output = abide::Result<()>>,
    {
        if self.acked.contains(&ack) {
            return Ok(());
        }
        self.until_there_is_room().await?;
        loop {
            match ask().await {
                Ok(()) => break,
                Err(error) if passes(&error) => pause().await,
                Err(error) => return Err(error),
            }
        }
        self.acks.add(&ack);
        self.acked.insert(ack);
        Ok(())
    }

    async fn until_there_is_room(&self) -> abide::Result<()> {
        loop {
            let open =
                ListFilter::new().status(ExecutionStatus::Running).id_prefix(format!("{}-", self.name));
            match self.client.list(open.limit(OPEN as u32)).await {
                Ok(page) if page.executions.len() < OPEN => return Ok(()),
                Err(error) if !passes(&error) => return Err(error),
                _ => pause().await,
            }
        }
    }
}

/// Whether to ask again: the outcome is unknown, the database is locked, broke something off or is not there.
fn passes(error: &abide::Error) -> bool {
    matches!(error.code(), "AB0410" | "AB0503" | "AB0515" | "AB0517")
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(10)).await;
}

/// `VICTIM_PAUSE_MS`: the time from one workflow to the next.
async fn pace() {
    let given = std::env::var("VICTIM_PAUSE_MS").ok().and_then(|text| text.parse().ok());
    if let Some(ms) = given {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

/// Starts number `n`; its kind and arguments follow from the number.
async fn start(client: &Client, id: String, n: u64) -> abide::Result<()> {
    let request = format!("start-{id}");
    match n % 6 {
        0 => client.start(sequence(n, 5, 4)).id(id).request_id(request).await.map(drop),
        1 => client.start(fan(n, 8, 6)).id(id).request_id(request).await.map(drop),
        2 => client.start(naps(n)).id(id).request_id(request).await.map(drop),
        3 => client.start(Letters::run(LETTERS as usize)).id(id).request_id(request).await.map(drop),
        4 => client.start(trip(n, 3)).id(id).request_id(request).await.map(drop),
        _ => client.start(stubborn(n)).id(id).request_id(request).await.map(drop),
    }
}
