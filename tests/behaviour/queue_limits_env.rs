//! Rates and limits on the skipped clock of a test environment.

use abide::Rate;
use abide::prelude::*;
use abide::testing::TestEnv;

#[activity(task_queue = "slow", rate = "1/h")]
async fn ask(n: u32) -> u32 {
    n
}

#[activity(task_queue = "slow", most = 1)]
async fn hold(n: u32) -> u32 {
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    n
}

#[activity]
async fn here(n: u32) -> u32 {
    n
}

#[workflow]
async fn asks(many: u32) -> Result<u32, CallError> {
    Ok(futures::future::try_join_all((0..many).map(ask)).await?.len() as u32)
}

#[workflow]
async fn holds(many: u32) -> Result<u32, CallError> {
    let calls = (0..many).map(|n| hold(n).limit_key(format!("tenant-{}", n % 2)).fair("t", 1));
    Ok(futures::future::try_join_all(calls).await?.len() as u32)
}

#[workflow]
async fn stays(many: u32) -> Result<u32, CallError> {
    Ok(futures::future::try_join_all((0..many).map(here)).await?.len() as u32)
}

#[tokio::test]
async fn a_rate_of_an_hour_passes_at_once() {
    let env = TestEnv::start().await.unwrap();
    let flows = env.worker("flows").workflow(asks).workflow(holds).workflow(stays).activity(here);
    let flows = flows.rate(here, Rate::per_hour(1)).start().await.unwrap();
    let slow = env.worker("slow").activity(ask).activity(hold).start().await.unwrap();
    let client = env.client().task_queue("flows");
    let began = env.now();
    assert_eq!(client.start(asks(5)).await.unwrap().result().await.unwrap(), 5);
    assert_eq!(env.now().duration_since(began).as_hours(), 4, "the first begins at once");
    assert_eq!(client.start(holds(9)).await.unwrap().result().await.unwrap(), 9);
    let began = env.now();
    assert_eq!(client.start(stays(3)).await.unwrap().result().await.unwrap(), 3);
    assert_eq!(env.now().duration_since(began).as_hours(), 2);
    flows.shutdown().await.unwrap();
    slow.shutdown().await.unwrap();
}
