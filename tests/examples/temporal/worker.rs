//! A worker and a client, in one process and in two.

use super::activities::charge;
use super::state::{Order, OrderWorkflow};
use abide::prelude::*;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

async fn serve(url: &str) -> Result<()> {
    let abide = Abide::open(url).await?;
    let worker = abide.worker("orders").workflow(OrderWorkflow::run).activity(charge);
    worker.run_until(tokio::signal::ctrl_c()).await?;
    Ok(())
}

async fn place(url: &str, order: Order) -> Result<String> {
    let abide = Abide::open(url).await?;
    let client = abide.client().task_queue("orders");
    let run = client.start(OrderWorkflow::run(order)).id("order-42").await?;
    run.approve(true).await?;
    Ok(run.result().await?)
}

async fn look(url: &str) -> Result<String> {
    let abide = Abide::open(url).await?;
    let run = abide.client().handle::<OrderWorkflow>("order-42");
    Ok(run.status().await?)
}

mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_and_a_worker_share_only_the_database() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let url = format!("sqlite://{}", dir.path().join("orders.db").display());
        let order = Order { id: "A-1".into(), cents: 990 };
        let receipt = tokio::select! {
            ended = serve(&url) => return ended,
            receipt = place(&url, order) => receipt?,
        };
        assert!(receipt.starts_with("receipt for A-1: "), "{receipt}");
        let status = tokio::select! {
            ended = serve(&url) => return ended,
            status = look(&url) => status?,
        };
        assert_eq!(status, "paid");
        Ok(())
    }
}
