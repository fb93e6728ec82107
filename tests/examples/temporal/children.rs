//! Child workflows: awaited, all at once, and beside their parent.

use abide::prelude::*;
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};

#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
pub enum ShipError {
    #[error("{0} is lost at sea")]
    Lost(u32),
    #[error("the load: {0}")]
    Load(#[from] CallError),
}

#[activity(start_to_close = "1h")]
pub async fn load(parcel: u32) -> u32 {
    parcel * 2
}

#[derive(Default)]
pub struct Ship {
    held: bool,
}

#[workflow]
impl Ship {
    #[run]
    pub async fn run(&mut self, parcel: u32) -> Result<u32, ShipError> {
        if parcel == 13 {
            return Err(ShipError::Lost(parcel));
        }
        let cents = load(parcel).await?;
        workflow::until!(!self.held).await;
        Ok(cents)
    }

    #[signal]
    pub fn hold(&mut self, yes: bool) {
        self.held = yes;
    }
}

#[workflow]
async fn fleet(parcels: Vec<u32>) -> Result<u32, Failure> {
    let all = try_join_all(parcels.into_iter().map(Ship::run)).await?;
    Ok(all.iter().sum())
}

#[workflow]
async fn insured(parcel: u32) -> Result<String, Failure> {
    let ship = Ship::run(parcel)
        .id(format!("ship-{parcel}"))
        .parent_close(ParentClosePolicy::Abandon)
        .execution_timeout(days(30));
    match ship.await {
        Ok(cents) => Ok(format!("{cents} cents")),
        Err(ChildError::Failed(ShipError::Lost(_))) => Ok("the insurance pays".into()),
        Err(other) => Err(other.into()),
    }
}

#[workflow]
async fn harbour(parcel: u32) -> Result<u32, Failure> {
    let ship = Ship::run(parcel).start().await?;
    ship.hold(true).await?;
    workflow::sleep(mins(1)).await;
    ship.hold(false).await?;
    Ok(ship.result().await?)
}

mod tests {
    use super::*;
    use abide::testing::TestEnv;

    #[tokio::test]
    async fn ships_are_awaited_and_held() -> Result<(), Failure> {
        let env = TestEnv::start().await?;
        let worker = env.worker("ships").workflow(Ship::run).workflow(fleet).workflow(insured);
        let worker = worker.workflow(harbour).activity(load).start().await?;
        let client = env.client();
        assert_eq!(client.start(fleet(vec![1, 2, 3])).await?.result().await?, 12);
        assert_eq!(client.start(insured(4)).await?.result().await?, "8 cents");
        assert_eq!(client.start(insured(13)).await?.result().await?, "the insurance pays");
        let began = env.now();
        assert_eq!(client.start(harbour(5)).await?.result().await?, 10);
        assert_eq!(env.now().duration_since(began).as_mins(), 1);
        Ok(worker.shutdown().await?)
    }
}
