//! Communicating with a running workflow: signals change its state, queries read it. Both are typed methods
//! of its handle.
//!
//! `cargo run --example signals_and_queries`. An auction takes bids until there was no bid for a while.

use abide::prelude::*;
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Default)]
struct Auction {
    bids: Vec<Bid>,
    closed: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Bid {
    by: String,
    cents: u64,
}

/// Activities may do any I/O.
#[activity(start_to_close = "10s")]
async fn mail(to: String, text: String) {
    println!("mail to {to}: {text}");
}

#[workflow]
impl Auction {
    #[run]
    async fn run(&mut self, lot: String) -> Result<Option<Bid>, Failure> {
        // Wakes whenever a signal has changed the state, and evaluates the condition again.
        let mut seen = 0;
        while workflow::until!(self.bids.len() > seen).timeout(Duration::from_millis(500)).await.is_ok() {
            seen = self.bids.len();
        }
        self.closed = true;
        let winner = self.highest().cloned();
        if let Some(bid) = &winner {
            mail(bid.by.clone(), format!("{lot} is yours for {} cents", bid.cents)).await?;
        }
        Ok(winner)
    }

    /// A signal is durable when its call has returned. A plain `fn` runs at once.
    #[signal]
    fn bid(&mut self, by: String, cents: u64) {
        if !self.closed && self.highest().is_none_or(|best| cents > best.cents) {
            self.bids.push(Bid { by, cents });
        }
    }

    /// An `async fn` may run activities, concurrently with `run`.
    #[signal]
    async fn ask(&mut self, by: String, question: String) {
        let standing = self.highest().map_or(0, |best| best.cents);
        let answer = mail(by, format!("\"{question}\" The highest bid is {standing} cents."));
        // A failed answer must not end the auction.
        let _ = answer.await;
    }

    /// A query takes `&self`, so the compiler ensures that it changes nothing.
    #[query]
    fn highest_bid(&self) -> Option<Bid> {
        self.highest().cloned()
    }

    fn highest(&self) -> Option<&Bid> {
        self.bids.last()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::temp_dir().join(format!("abide-auction-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let abide = Abide::open(dir.join("auction.db")).await?;
    let worker = abide.worker("auctions").workflow(Auction::run).activity(mail).start().await?;

    let auction = abide.client().start(Auction::run("A lamp".to_string())).id("lot-1").await?;
    auction.bid("Ada".to_string(), 1_000).await?;
    auction.ask("Bo".to_string(), "Does it work?".to_string()).await?;
    auction.bid("Bo".to_string(), 1_500).await?;
    println!("highest so far: {:?}", auction.highest_bid().await?);
    println!("sold: {:?}", auction.result().await?);
    println!("a closed workflow still answers: {:?}", auction.highest_bid().await?);

    worker.shutdown().await?;
    Ok(std::fs::remove_dir_all(dir)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide::testing::{TestEnv, mock};

    /// Bids at chosen times of the environment's clock. Each comes before the auction was quiet for half a
    /// second.
    #[tokio::test]
    async fn the_highest_bid_wins_when_nobody_bids_any_more() -> Result<(), Failure> {
        let env = TestEnv::start().await?;
        let began = env.now();
        let mails = mock(mail, |_to: String, _text: String| ());
        let worker = env.worker("auctions").workflow(Auction::run).mock(&mails).start().await?;

        let auction = env.client().start(Auction::run("A lamp".into())).await?;
        let first = env.after(Duration::from_millis(400), auction.bid("Ada".into(), 1_000));
        let second = env.after(Duration::from_millis(800), auction.bid("Bo".into(), 1_500));
        let winner = auction.result().await?;
        first.await??;
        second.await??;

        assert_eq!(winner, Some(Bid { by: "Bo".into(), cents: 1_500 }));
        assert_eq!(auction.highest_bid().await?, winner);
        mails.assert_called_with(("Bo".into(), "A lamp is yours for 1500 cents".into()));
        assert_eq!(env.now().duration_since(began).as_millis(), 800 + 500);
        Ok(worker.shutdown().await?)
    }
}
