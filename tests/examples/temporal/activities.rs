//! Activities with time limits, a retry policy, and errors that arrive as themselves.

use abide::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
pub enum PaymentError {
    #[error("card declined: {0}")]
    Declined(String),
    #[error("the bank is busy")]
    Busy,
}

impl PaymentError {
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Busy)
    }
}

#[activity(
    start_to_close = "10s",
    schedule_to_close = "5m",
    retry(
        initial_interval = "1s",
        backoff_coefficient = 2.0,
        max_interval = "30s",
        max_attempts = 5
    ),
    retry_if = PaymentError::is_transient
)]
pub async fn charge(order: String, cents: u64) -> Result<String, PaymentError> {
    if cents > 100_000 {
        return Err(PaymentError::Declined("limit".into()));
    }
    // The same for each attempt: the bank charges once.
    let key = activity::context().idempotency_key();
    Ok(format!("receipt for {order}: {key}"))
}

#[workflow]
async fn pay(order: String, cents: u64) -> Result<String, Failure> {
    match charge(order, cents).await {
        Ok(receipt) => Ok(receipt),
        Err(ActivityError::Failed(PaymentError::Declined(why))) => Ok(format!("declined: {why}")),
        Err(other) => Err(other.into()),
    }
}

#[workflow]
async fn pay_slowly(order: String, cents: u64) -> Result<String, Failure> {
    Ok(charge(order, cents).start_to_close(mins(2)).max_attempts(1).await?)
}

mod tests {
    use super::*;
    use abide::testing::{TestEnv, mock};

    #[tokio::test]
    async fn a_busy_bank_is_asked_again_and_a_refusal_is_not() -> Result<(), Failure> {
        let env = TestEnv::start().await?;
        let worker = env.worker("payments").workflow(pay).activity(charge).start().await?;
        let receipt = env.client().start(pay("A-1".into(), 990)).await?.result().await?;
        assert!(receipt.starts_with("receipt for A-1: "), "{receipt}");
        let declined = env.client().start(pay("A-1".into(), 200_000)).await?.result().await?;
        assert_eq!(declined, "declined: limit");
        worker.shutdown().await?;

        let charges = mock(charge, |_: String, _: u64| Ok("receipt".into())).fail(4, PaymentError::Busy);
        let worker = env.worker("payments").workflow(pay).workflow(pay_slowly).mock(&charges).start().await?;
        assert_eq!(env.client().start(pay("A-1".into(), 990)).await?.result().await?, "receipt");
        charges.assert_called(5);
        Ok(worker.shutdown().await?)
    }

    #[tokio::test]
    async fn the_limits_of_one_call_replace_those_of_the_attribute() -> Result<(), Failure> {
        let env = TestEnv::start().await?;
        let charges = mock(charge, |_: String, _: u64| Ok("receipt".into())).delay(mins(1));
        let worker = env.worker("payments").workflow(pay_slowly).mock(&charges).start().await?;
        assert_eq!(env.client().start(pay_slowly("A-1".into(), 990)).await?.result().await?, "receipt");
        charges.assert_called(1);
        Ok(worker.shutdown().await?)
    }
}
