//! Cancellation scopes, as futures: what is dropped is cancelled, what is shielded is not.

use super::parallel::{price, stock};
use abide::prelude::*;

#[activity(start_to_close = "30s")]
pub async fn pay(order: String, cents: u64) -> String {
    format!("receipt for {order}: {cents}")
}

#[activity(start_to_close = "30s")]
pub async fn file(receipt: String) {
    println!("{receipt}");
}

#[workflow]
async fn give_up(item: String) -> Result<u32, Failure> {
    let pricing = workflow::spawn(async move {
        let cents = price(item.clone()).await?;
        Ok::<_, CallError>(cents * u64::from(stock(item).await?))
    });
    workflow::sleep(secs(2)).await;
    pricing.abort();
    Ok(u32::from(pricing.await.is_err()))
}

#[workflow]
async fn limited(item: String) -> Result<String, Failure> {
    let value = async {
        let cents = price(item.clone()).await?;
        Ok::<_, CallError>(cents * u64::from(stock(item).await?))
    };
    match workflow::timeout(secs(30), value).await {
        Ok(value) => Ok(format!("{} cents", value?)),
        Err(Elapsed) => Ok("ask again".into()),
    }
}

#[workflow]
async fn settle(order: String, cents: u64) -> Result<String, Failure> {
    let receipt = workflow::shielded(async {
        let receipt = pay(order, cents).await?;
        file(receipt.clone()).await?; // also after a cancel
        Ok::<_, CallError>(receipt)
    })
    .await?;
    workflow::sleep(days(30)).await; // a cancel ends it here
    Ok(receipt)
}

mod tests {
    use super::*;
    use abide::testing::{TestEnv, mock};

    #[tokio::test]
    async fn scopes_end_in_time_and_shields_hold() -> Result<(), Failure> {
        let env = TestEnv::start().await?;
        let prices = mock(price, |item: String| item.len() as u64).delay(secs(5));
        let stocks = mock(stock, |item: String| item.len() as u32).delay(mins(5));
        let pays = mock(pay, |order: String, _: u64| order).delay(secs(10));
        let files = mock(file, |_: String| ());
        let worker = env.worker("scopes").workflow(give_up).workflow(limited).workflow(settle);
        let worker = worker.mock(&prices).mock(&stocks).mock(&pays).mock(&files).start().await?;
        let client = env.client();

        assert_eq!(client.start(give_up("lamp".into())).await?.result().await?, 1);
        assert_eq!(client.start(limited("lamp".into())).await?.result().await?, "ask again");
        let run = client.start(settle("A-1".into(), 990)).await?;
        let cancel = env.after(secs(5), run.cancel("too late"));
        assert!(matches!(run.result().await, Err(WorkflowError::Cancelled)));
        cancel.await??;
        files.assert_called_with(("A-1".into(),));
        Ok(worker.shutdown().await?)
    }
}
