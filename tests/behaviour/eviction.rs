//! A cache that holds nothing: everything is replayed all the time, and nothing changes but the speed.

use super::support::{Db, Log, Steps};
use abide::prelude::*;

#[derive(Default)]
struct Counter {
    sum: u32,
}

#[workflow]
impl Counter {
    #[run]
    async fn run(&mut self, rounds: u32) -> Result<u32, Failure> {
        for n in 0..rounds {
            self.sum += Steps::note(n).await?;
            workflow::sleep(std::time::Duration::from_millis(5)).await;
        }
        workflow::until!(self.sum >= 1_000).await;
        Ok(self.sum)
    }

    #[signal]
    async fn add(&mut self, n: u32) {
        workflow::sleep(std::time::Duration::from_millis(1)).await;
        self.sum += n;
    }

    #[query]
    fn sum(&self) -> u32 {
        self.sum
    }
}

#[tokio::test]
async fn evicted_executions_go_on_where_they_were() {
    let (db, log) = (Db::new().await, Log::default());
    let builder = db.abide.worker("cache").workflow(Counter::run).activities(Steps(log.clone()));
    let worker = builder.cache_bytes(1).start().await.unwrap();
    let mut runs = Vec::new();
    for _ in 0..20 {
        runs.push(db.client().start(Counter::run(5)).await.unwrap());
    }
    for run in &runs {
        super::support::eventually("the steps are done", async || run.sum().await.unwrap() == 10).await;
        run.add(1_000).await.unwrap();
    }
    for run in &runs {
        assert_eq!(run.result().await.unwrap(), 1_010);
        assert_eq!(run.sum().await.unwrap(), 1_010, "a closed execution answers");
    }
    assert!(log.counts().values().all(|n| *n == 20), "each step ran once in each run");
    worker.shutdown().await.unwrap();
}
