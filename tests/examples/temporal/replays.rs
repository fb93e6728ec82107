//! Recorded histories against today's code.

use super::activities::charge;
use super::state::{Order, OrderWorkflow};
use abide::prelude::*;
use abide::testing::TestEnv;
use abide::testing::replay::{History, Replayer};

#[tokio::test]
async fn a_recorded_history_replays() -> Result<(), Failure> {
    let env = TestEnv::start().await?;
    let worker = env.worker("orders").workflow(OrderWorkflow::run).activity(charge).start().await?;
    let order = Order { id: "A-1".into(), cents: 990 };
    let run = env.client().start(OrderWorkflow::run(order)).await?;
    run.approve(true).await?;
    run.result().await?;
    worker.shutdown().await?;

    let dir = tempfile::tempdir()?;
    let file = dir.path().join("order-42.json");
    History::of(&run).await?.write(&file)?;
    replays(file.to_str().unwrap_or_default(), env.abide()).await
}

async fn replays(file: &str, abide: &Abide) -> Result<(), Failure> {
    let replayer = Replayer::new().workflow(OrderWorkflow::run);
    replayer.replay(&History::read(file)?).assert_ok();
    replayer.open_runs(abide).await?.assert_ok(); // before a deploy
    Ok(())
}
