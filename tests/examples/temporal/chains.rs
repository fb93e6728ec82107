//! Continue-as-new: a workflow without an end, in a chain of runs.

use abide::prelude::*;
use serde::{Deserialize, Serialize};

#[activity(start_to_close = "30s")]
pub async fn charge(customer: String, cents: u64) {
    println!("{cents} cents of {customer}");
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    pub customer: String,
    pub cents: u64,
    pub months: u32,
}

pub struct Billing {
    account: Account,
    ended: bool,
}

#[workflow]
impl Billing {
    #[init]
    fn new(account: Account) -> Self {
        Self { account, ended: false }
    }

    #[run]
    pub async fn run(&mut self, _account: Account) -> Result<Account, Failure> {
        loop {
            charge(self.account.customer.clone(), self.account.cents).await?;
            self.account.months += 1;
            let _ = workflow::until!(self.ended).timeout(days(30)).await;
            if self.ended {
                return Ok(self.account.clone());
            }
            if workflow::info().should_continue_as_new() {
                return workflow::continue_as_new(Self::run(self.account.clone())).await;
            }
        }
    }

    #[signal]
    pub fn end(&mut self) {
        self.ended = true;
    }
}

mod tests {
    use super::*;
    use abide::testing::{TestEnv, mock};

    #[tokio::test]
    async fn a_century_of_months_is_two_runs() -> Result<(), Failure> {
        // Without a replay of each of 4,400 turns: other tests have them.
        let env = TestEnv::builder().replay_checks(false).start().await?;
        let charges = mock(charge, |_: String, _: u64| ());
        let worker = env.worker("bills").workflow(Billing::run).mock(&charges).start().await?;
        let account = Account { customer: "Ada".into(), cents: 900, months: 0 };
        let billing = env.client().start(Billing::run(account)).id("ada").await?;
        env.sleep(days(30 * 1_100 + 1)).await;
        billing.end().await?;
        assert_eq!(billing.result().await?.months, 1_101);
        charges.assert_called(1_101);
        let runs = env.client().list(ListFilter::new().id_prefix("ada")).await?.executions;
        assert_eq!(runs.len(), 2, "the first run had 4,096 events");
        Ok(worker.shutdown().await?)
    }
}
