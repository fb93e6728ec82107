//! Updates: messages with an answer, a validator, and a request id.

use super::parallel::price;
use abide::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
pub enum CartError {
    #[error("the cart is closed")]
    Closed,
    #[error("no price: {0}")]
    Price(#[from] CallError),
}

#[derive(Default)]
pub struct Cart {
    total: u64,
    closed: bool,
}

#[workflow]
impl Cart {
    #[run]
    pub async fn run(&mut self) -> u64 {
        workflow::until!(self.closed).await;
        self.total
    }

    #[update(validate = Self::may_add)]
    pub async fn add(&mut self, item: String, count: u64) -> Result<u64, CartError> {
        self.total += price(item).await? * count;
        Ok(self.total)
    }

    fn may_add(&self, _item: &str, _count: &u64) -> Result<(), CartError> {
        if self.closed { Err(CartError::Closed) } else { Ok(()) }
    }

    #[signal]
    pub fn close(&mut self) {
        self.closed = true;
    }
}

async fn shop(cart: &Handle<Cart>) -> Result<u64, Failure> {
    let total = cart.add("tea".into(), 2).await?;
    println!("{total} cents so far");
    // Wait until it is durable, and for its answer later.
    let add = cart.add("milk".into(), 1).request_id("r-17");
    let add = add.accepted().await?;
    let total = add.result().await?;
    // The same answer, in any process.
    assert_eq!(cart.updates().add("r-17").result().await?, total);
    Ok(total)
}

mod tests {
    use super::*;
    use abide::testing::TestEnv;

    #[tokio::test]
    async fn a_cart_is_filled_until_it_is_closed() -> Result<(), Failure> {
        let env = TestEnv::start().await?;
        let worker = env.worker("carts").workflow(Cart::run).activity(price).start().await?;
        let cart = env.client().start(Cart::run()).await?;
        assert_eq!(shop(&cart).await?, 2 * 3 + 4);
        cart.close().await?;
        assert_eq!(cart.result().await?, 10);
        Ok(worker.shutdown().await?)
    }
}
