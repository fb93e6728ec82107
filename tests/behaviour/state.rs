//! The state hand-over: `self` is plain Rust between awaits, and handlers see it at each of them (API.md §4).

use super::support::{Db, Log, Steps, eventually};
use abide::prelude::*;

#[derive(Default)]
struct Forms {
    items: Vec<u32>,
    total: u32,
    open: bool,
}

#[workflow]
impl Forms {
    #[run]
    async fn run(&mut self, n: u32) -> Result<Vec<u32>, Failure> {
        self.items.push(Steps::note(n).await?); // hoisted: the place is taken after the await
        self.total += Steps::note(n + 1).await?;
        let (left, right) = workflow::try_join!(self.double(n), Steps::note(n + 2))?;
        self.items.extend([left, right]);
        for item in &self.items {
            self.total += item; // disjoint borrows, as in any method
        }
        let task = workflow::spawn(async move {
            let got = Steps::note(100).await;
            self.items.push(100);
            got
        });
        let spawned = task.await??;
        let picked = workflow::select! {
            seven = Steps::note(7) => seven?,
            () = workflow::sleep(days(1)) => 0,
        };
        self.items.push(spawned + picked);
        while !self.open {
            workflow::until!(self.open).await;
        }
        if self.items.len() > 3 {
            return Ok(self.items.clone());
        }
        Err(Failure::new("unreachable"))
    }

    #[workflow::helper]
    async fn double(&mut self, n: u32) -> Result<u32, Failure> {
        let got = Steps::note(n).await?;
        self.total += got;
        Ok(got * 2)
    }

    #[signal]
    fn open(&mut self) {
        self.open = true;
    }

    #[query]
    fn total(&self, times: u32) -> u32 {
        self.total * times
    }
}

#[tokio::test]
async fn every_form_runs_live_and_on_replay() {
    let (db, log) = (Db::new().await, Log::default());
    let worker =
        |db: &Db| db.abide.worker("forms").workflow(Forms::run).activities(Steps(log.clone())).start();
    let first = worker(&db).await.unwrap();
    let run = db.client().start(Forms::run(5)).id("forms").await.unwrap();
    eventually("it waits for the signal", async || run.total(1).await.unwrap() == 6 + 5 + 5 + 10 + 7).await;
    eventually("all steps ran", async || log.lines().len() == 6).await;
    eventually("it waits", async || !run.describe().await.unwrap().awaiting.is_empty()).await;
    let described = run.describe().await.unwrap();
    assert!(described.awaiting[0].text.contains("self.open"), "{:?}", described.awaiting);
    assert!(described.awaiting[0].file.ends_with("state.rs"));
    first.shutdown().await.unwrap();
    let second = worker(&db).await.unwrap();
    assert_eq!(run.total(2).await.unwrap(), 66);
    run.open().await.unwrap();
    assert_eq!(run.result().await.unwrap(), [5, 10, 7, 100, 107]);
    assert_eq!(log.lines().len(), 6, "nothing ran again");
    second.shutdown().await.unwrap();
}
