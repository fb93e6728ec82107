//! What takes the place of calls that are forbidden in workflow code.

use abide::prelude::*;

#[activity(start_to_close = "10s")]
pub async fn weather(city: String) -> Result<String, Failure> {
    Ok(format!("sunny in {city}")) // any I/O
}

#[workflow]
async fn values(city: String) -> Result<String, Failure> {
    let now = workflow::now(); // the time of this turn
    let id = workflow::uuid();
    let dice: u32 = workflow::random();
    let host = workflow::side_effect(|| std::env::var("HOST").ok()).await;
    workflow::sleep(hours(1)).await;
    let weather = weather(city).await?;
    let late = workflow::now().duration_since(now).as_secs();
    Ok(format!("{weather}, {id}, {dice}, {host:?}, {late} s later"))
}

mod tests {
    use super::*;
    use abide::testing::TestEnv;

    #[tokio::test]
    async fn each_value_is_the_same_on_replay() -> Result<(), Failure> {
        let env = TestEnv::start().await?;
        let worker = env.worker("values").workflow(values).activity(weather).start().await?;
        let told = env.client().start(values("Rome".into())).await?.result().await?;
        assert!(told.starts_with("sunny in Rome, ") && told.ends_with(", 3600 s later"), "{told}");
        Ok(worker.shutdown().await?)
    }
}
