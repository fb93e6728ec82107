//! Activities in parallel, the first of several, and tasks.

use abide::prelude::*;
use futures::future::try_join_all;

#[activity(start_to_close = "10s")]
pub async fn price(item: String) -> u64 {
    item.len() as u64
}

#[activity(start_to_close = "10s")]
pub async fn stock(item: String) -> u32 {
    item.len() as u32
}

#[workflow]
async fn quote(items: Vec<String>) -> Result<u64, Failure> {
    let prices = try_join_all(items.into_iter().map(price)).await?;
    Ok(prices.iter().sum())
}

#[workflow]
async fn offer(item: String) -> Result<(u64, u32), Failure> {
    Ok(workflow::try_join!(price(item.clone()), stock(item))?)
}

#[workflow]
async fn first(item: String) -> Result<String, Failure> {
    Ok(workflow::select! {
        cents = price(item.clone()) => format!("{} cents", cents?),
        _ = workflow::sleep(secs(30)) => "ask again".into(),
    })
}

#[workflow]
async fn in_the_background(item: String) -> Result<u64, Failure> {
    let pricing = workflow::spawn(price(item.clone()));
    let pieces = stock(item).await?;
    let cents = pricing.await??;
    Ok(cents * u64::from(pieces))
}

mod tests {
    use super::*;
    use abide::testing::{TestEnv, mock};

    #[tokio::test]
    async fn calls_run_at_the_same_time() -> Result<(), Failure> {
        let env = TestEnv::start().await?;
        let prices = mock(price, |item: String| item.len() as u64).delay(secs(5));
        let stocks = mock(stock, |item: String| item.len() as u32).delay(secs(5));
        let worker = env.worker("quotes").workflow(quote).workflow(offer).workflow(in_the_background);
        let worker = worker.workflow(first).mock(&prices).mock(&stocks).start().await?;
        let client = env.client();

        let began = env.now();
        let items = ["lamp", "desk", "chair"].map(String::from).to_vec();
        assert_eq!(client.start(quote(items)).await?.result().await?, 13);
        assert_eq!(client.start(offer("lamp".into())).await?.result().await?, (4, 4));
        assert_eq!(client.start(in_the_background("lamp".into())).await?.result().await?, 16);
        assert_eq!(client.start(first("lamp".into())).await?.result().await?, "4 cents");
        assert_eq!(env.now().duration_since(began).as_secs(), 4 * 5);
        worker.shutdown().await?;

        let slow = mock(price, |item: String| item.len() as u64).delay(secs(9)).never_ends();
        let worker = env.worker("quotes").workflow(first).mock(&slow).start().await?;
        assert_eq!(client.start(first("lamp".into())).await?.result().await?, "ask again");
        Ok(worker.shutdown().await?)
    }
}
