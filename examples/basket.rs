//! A basket that lives for ever: an entity, changed by updates that its validators may refuse.
//!
//! ```sh
//! cargo run --example basket
//! ```
//!
//! Each run of the program is a visit to the same basket: it adds, removes, tries what is refused, and checks
//! out. Kill it at any time and run it again: the visit goes on, and what was added is not added twice.
//!
//! `BASKET_DIR` is the folder of its database. Default: `target/basket`.

use abide::ErrorKind;
use abide::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

const QUEUE: &str = "baskets";

const ID: &str = "basket-of-ada";

/// After so many orders a run ends, and the next one goes on with an empty history.
const ORDERS_OF_A_RUN: u64 = 3;

/// More of one thing is for a wholesaler.
const MOST: u32 = 10;

#[derive(Clone, Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
enum Refused {
    #[error("{0} pieces are not from 1 to {MOST}")]
    Count(u32),
    #[error("there is no {0} in the basket")]
    NotThere(String),
    #[error("the basket is empty")]
    Empty,
    #[error("the basket is being paid")]
    Paying,
    #[error("not paid: {0}")]
    NotPaid(#[from] CallError),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Receipt {
    order: u64,
    cents: u64,
}

/// All that the next run of the chain needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Content {
    items: BTreeMap<String, u32>,
    orders: u64,
}

struct Basket {
    content: Content,
    paying: bool,
    /// Orders of this run.
    sold: u64,
}

#[workflow]
impl Basket {
    #[init]
    fn new(content: Content) -> Self {
        Self { content, paying: false, sold: 0 }
    }

    /// Waits, and does nothing by itself: all happens in the updates.
    #[run]
    async fn run(&mut self, _content: Content) -> Result<(), Failure> {
        // A run accepts 2,000 updates: `should_continue_as_new` counts them too.
        workflow::until!(self.sold >= ORDERS_OF_A_RUN || workflow::info().should_continue_as_new()).await;
        // What is being paid is paid by this run.
        workflow::handlers_finished().await;
        workflow::continue_as_new(Self::run(self.content.clone())).await
    }

    /// Returns how many pieces are in the basket.
    #[update(validate = Self::may_add)]
    fn add(&mut self, item: String, count: u32) -> Result<u32, Refused> {
        *self.content.items.entry(item).or_default() += count;
        Ok(self.pieces())
    }

    /// A validator only looks. What it refuses leaves nothing in the history.
    fn may_add(&self, item: &str, count: &u32) -> Result<(), Refused> {
        self.may_change()?;
        let there = self.content.items.get(item).copied().unwrap_or(0);
        let pieces = there.saturating_add(*count);
        if *count == 0 || pieces > MOST { Err(Refused::Count(pieces)) } else { Ok(()) }
    }

    #[update(validate = Self::may_remove)]
    fn remove(&mut self, item: String) -> Result<u32, Refused> {
        self.content.items.remove(&item);
        Ok(self.pieces())
    }

    fn may_remove(&self, item: &str) -> Result<(), Refused> {
        self.may_change()?;
        if self.content.items.contains_key(item) { Ok(()) } else { Err(Refused::NotThere(item.to_owned())) }
    }

    /// An update may wait, as `run` may. Other updates are answered meanwhile: `paying` refuses them.
    #[update(validate = Self::may_check_out)]
    async fn checkout(&mut self) -> Result<Receipt, Refused> {
        self.paying = true;
        let (order, pieces) = (self.content.orders + 1, self.pieces());
        let paid = pay(order, pieces).await;
        self.paying = false;
        let cents = paid?; // The items stay in the basket if they are not paid.
        self.content = Content { items: BTreeMap::new(), orders: order };
        self.sold += 1;
        Ok(Receipt { order, cents })
    }

    fn may_check_out(&self) -> Result<(), Refused> {
        self.may_change()?;
        if self.content.items.is_empty() { Err(Refused::Empty) } else { Ok(()) }
    }

    fn may_change(&self) -> Result<(), Refused> {
        if self.paying { Err(Refused::Paying) } else { Ok(()) }
    }

    fn pieces(&self) -> u32 {
        self.content.items.values().sum()
    }

    #[query]
    fn content(&self) -> Content {
        self.content.clone()
    }
}

/// The till, which gives the price. A real one gets the idempotency key, and charges each key once.
#[activity(start_to_close = "30s")]
async fn pay(order: u64, pieces: u32) -> u64 {
    let cents = u64::from(pieces) * 250;
    println!("order {order}: {cents} cents [{}]", activity::context().idempotency_key());
    cents
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::var_os("BASKET_DIR").map_or_else(|| "target/basket".into(), PathBuf::from);
    std::fs::create_dir_all(&dir)?;
    let abide = Abide::open(dir.join("basket.db")).await?;
    let worker = abide.worker(QUEUE).workflow(Basket::run).activity(pay).start().await?;
    let client = abide.client().task_queue(QUEUE);
    tokio::select! {
        visited = visit(&client) => visited?,
        stopped = tokio::signal::ctrl_c() => stopped?,
    }
    Ok(worker.shutdown().await?)
}

/// One visit. Its request ids have the number of the order, so an update that is sent again by the next run of
/// this program has the answer of the first.
async fn visit(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    let basket = client.handle::<Basket>(ID);
    let orders = match basket.content().await {
        Ok(content) => content.orders,
        Err(error) if error.kind() == ErrorKind::NotFound => 0,
        Err(error) => return Err(error.into()),
    };
    let order = orders + 1;
    let request = |what: &str| format!("order-{order}-{what}");

    println!("visit {order}");
    // Starts the basket with the first thing in it, or adds the thing to the one that there is: in one step.
    let start = client.start(Basket::run(Content::default())).id(ID);
    let pieces = start.with(|basket| basket.add("tea".into(), 2).request_id(request("tea"))).await?;
    println!("with tea: {pieces} pieces");
    let pieces = basket.add("milk".into(), 1).request_id(request("milk")).await?;
    println!("with milk: {pieces} pieces");
    // An error that the basket has said is the value that it was.
    match basket.add("tea".into(), 100).await {
        Err(error) if error.said().is_some() => println!("refused: {error}"),
        other => println!("not expected: {other:?}"),
    }
    let pieces = basket.remove("milk".into()).request_id(request("no-milk")).await?;
    println!("without milk: {pieces} pieces");
    let receipt = basket.checkout().request_id(request("checkout")).await?;
    println!("order {} is paid: {} cents", receipt.order, receipt.cents);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide::testing::{TestEnv, mock};

    #[tokio::test]
    async fn what_a_validator_refuses_changes_nothing() -> Result<(), Failure> {
        let env = TestEnv::start().await?;
        let till = mock(pay, |_order: u64, pieces: u32| u64::from(pieces)).delay(secs(10));
        let worker = env.worker(QUEUE).workflow(Basket::run).mock(&till).start().await?;
        let basket = env.client().start(Basket::run(Content::default())).await?;
        assert_eq!(basket.checkout().await.unwrap_err().said(), Some(&Refused::Empty));
        assert_eq!(
            basket.remove("tea".into()).await.unwrap_err().said(),
            Some(&Refused::NotThere("tea".into()))
        );
        assert_eq!(basket.add("tea".into(), 9).request_id("a").await?, 9);
        assert_eq!(basket.add("tea".into(), 9).request_id("a").await?, 9, "one update, and one answer");
        assert_eq!(basket.add("tea".into(), 2).await.unwrap_err().said(), Some(&Refused::Count(11)));

        let paid = basket.checkout().accepted().await?;
        assert_eq!(basket.add("tea".into(), 1).await.unwrap_err().said(), Some(&Refused::Paying));
        env.sleep(secs(11)).await;
        assert_eq!(paid.result().await?, Receipt { order: 1, cents: 9 });
        assert_eq!(basket.content().await?, Content { orders: 1, ..Content::default() });
        Ok(worker.shutdown().await?)
    }

    #[tokio::test]
    async fn it_lives_on_in_other_runs() -> Result<(), Failure> {
        let env = TestEnv::start().await?;
        let till = mock(pay, |_order: u64, pieces: u32| u64::from(pieces));
        let worker = env.worker(QUEUE).workflow(Basket::run).mock(&till).start().await?;
        let client = env.client();
        let basket = client.handle::<Basket>(ID);
        for order in 1..=10 {
            let start = client.start(Basket::run(Content::default())).id(ID);
            assert_eq!(start.with(|basket| basket.add("tea".into(), 1)).await?, 1);
            assert_eq!(basket.checkout().await?, Receipt { order, cents: 1 });
        }
        assert_eq!(basket.content().await?.orders, 10);
        let runs = client.list(ListFilter::new().id_prefix(ID)).await?.executions;
        assert_eq!(runs.len(), 4, "10 orders, three a run");
        Ok(worker.shutdown().await?)
    }
}
