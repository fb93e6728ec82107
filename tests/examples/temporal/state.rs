//! A workflow with state, and its test.

use super::activities::charge;
use abide::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
pub struct Order {
    pub id: String,
    pub cents: u64,
}

#[derive(Default)]
pub struct OrderWorkflow {
    status: String,
    approved: Option<bool>,
}

#[workflow]
impl OrderWorkflow {
    #[run]
    pub async fn run(&mut self, order: Order) -> Result<String, Failure> {
        self.status = "waiting".into();
        workflow::until!(self.approved.is_some()).await;
        if self.approved == Some(false) {
            return Err(Failure::new("refused"));
        }
        self.status = "paying".into();
        let receipt = charge(order.id, order.cents).await?;
        self.status = "paid".into();
        Ok(receipt)
    }

    #[signal]
    pub fn approve(&mut self, yes: bool) {
        self.approved = Some(yes);
    }

    #[query]
    pub fn status(&self) -> String {
        self.status.clone()
    }
}

mod tests {
    use super::*;
    use abide::testing::{TestEnv, mock};

    #[tokio::test]
    async fn an_order_is_approved_and_paid() -> Result<(), Failure> {
        let env = TestEnv::start().await?;
        let charges = mock(charge, |order: String, _cents: u64| Ok(format!("receipt for {order}")));
        let worker = env.worker("orders").workflow(OrderWorkflow::run).mock(&charges).start().await?;

        let order = Order { id: "A-1".into(), cents: 990 };
        let run = env.client().start(OrderWorkflow::run(order)).await?;
        env.sleep(days(2)).await; // takes no time
        assert_eq!(run.status().await?, "waiting");
        run.approve(true).await?;
        assert_eq!(run.result().await?, "receipt for A-1");
        charges.assert_called_with(("A-1".into(), 990));
        Ok(worker.shutdown().await?)
    }
}
