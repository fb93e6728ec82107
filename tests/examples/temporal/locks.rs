//! Handlers that do not interleave, and a run that ends after them.

use super::parallel::price;
use abide::prelude::*;

pub struct Sale {
    pieces: workflow::Mutex<u32>,
    income: u64,
    closed: bool,
}

#[workflow]
impl Sale {
    #[init]
    fn new(pieces: u32) -> Self {
        Self { pieces: workflow::Mutex::new(pieces), income: 0, closed: false }
    }

    #[run]
    pub async fn run(&mut self, _pieces: u32) -> u64 {
        workflow::until!(self.closed).await;
        workflow::handlers_finished().await;
        self.income
    }

    #[signal]
    pub async fn sell(&mut self, item: String) {
        let mut pieces = self.pieces.lock().await;
        if *pieces == 0 {
            return;
        }
        if let Ok(cents) = price(item).await {
            *pieces -= 1;
            self.income += cents;
        }
    }

    #[signal]
    pub fn close(&mut self) {
        self.closed = true;
    }
}

mod tests {
    use super::*;
    use abide::testing::{TestEnv, mock};

    #[tokio::test]
    async fn no_more_is_sold_than_there_is() -> Result<(), Failure> {
        let env = TestEnv::start().await?;
        let prices = mock(price, |item: String| item.len() as u64).delay(secs(5));
        let worker = env.worker("sales").workflow(Sale::run).mock(&prices).start().await?;
        let sale = env.client().start(Sale::run(2)).await?;
        for _ in 0..3 {
            sale.sell("lamp".into()).await?;
        }
        sale.close().await?;
        assert_eq!(sale.result().await?, 2 * 4);
        prices.assert_called(2);
        Ok(worker.shutdown().await?)
    }
}
