//! `#[workflow::helper]` on methods of plain values, on traits, on whole blocks and modules: run live and replayed.

use super::support::{Db, Log, Steps, eventually};
use abide::prelude::*;
use abide::testing::TestEnv;

/// No workflow's state: `self` is a value on the workflow's stack.
struct Pricing {
    asked: u32,
    rate: u32,
}

impl Pricing {
    #[workflow::helper]
    async fn quote(&mut self, n: u32) -> Result<u32, Failure> {
        let rate = &self.rate;
        self.asked += 1;
        Ok(Steps::note(n).await? * rate)
    }

    #[workflow::helper]
    fn later(&self, n: u32) -> impl workflow::WorkflowFuture<Output = Result<u32, CallError>> {
        async move { Ok(Steps::note(n).await? + self.asked) }
    }
}

struct Stack<T> {
    items: Vec<T>,
}

#[workflow::helper]
impl<T: Clone> Stack<T> {
    async fn push_after(&mut self, item: T) -> &[T] {
        workflow::sleep(std::time::Duration::from_millis(1)).await;
        self.items.push(item);
        &self.items
    }
}

trait Shipping {
    #[workflow::helper]
    async fn ship(&mut self, n: u32) -> Result<u32, CallError>;

    #[workflow::helper]
    async fn twice(&mut self, n: u32) -> Result<u32, CallError> {
        Ok(self.ship(n).await? + self.ship(n).await?)
    }
}

struct Van(u32);

impl Shipping for Van {
    #[workflow::helper]
    async fn ship(&mut self, n: u32) -> Result<u32, CallError> {
        self.0 += Steps::note(n).await?;
        Ok(self.0)
    }
}

#[workflow::helper]
mod inside {
    use super::{Shipping, Steps};
    use abide::prelude::*;

    pub async fn by_any(ship: &mut impl Shipping, n: u32) -> Result<u32, CallError> {
        let (twice, noted) = workflow::try_join!(ship.twice(n), Steps::note(n + 1))?;
        Ok(twice + noted)
    }
}

#[derive(Default)]
struct Orders {
    total: u32,
    open: bool,
}

#[workflow]
impl Orders {
    #[run]
    async fn run(&mut self) -> Result<u32, Failure> {
        let mut pricing = Pricing { asked: 0, rate: 2 };
        self.total += pricing.quote(10).await?;
        let (left, right) = workflow::try_join!(pricing.later(20), pricing.later(30))?;
        let mut stack = Stack { items: vec![left] };
        self.total += stack.push_after(right).await.iter().sum::<u32>();
        self.total += inside::by_any(&mut Van(1), 40).await?;
        self.total += self.add(50).await?;
        workflow::until!(self.open).await;
        self.total += pricing.quote(60).await?;
        Ok(self.total + pricing.asked)
    }

    #[signal]
    fn open(&mut self) {
        self.open = true;
    }

    #[query]
    fn total(&self) -> u32 {
        self.total
    }
}

/// The workflow's own methods in a second block.
impl Orders {
    #[workflow::helper(state)]
    async fn add(&mut self, n: u32) -> Result<u32, CallError> {
        self.total += 1;
        Steps::note(n).await
    }
}

#[tokio::test]
async fn helpers_of_every_kind_run_live_and_on_replay() {
    let (db, log) = (Db::new().await, Log::default());
    let worker =
        |db: &Db| db.abide.worker("helpers").workflow(Orders::run).activities(Steps(log.clone())).start();
    let first = worker(&db).await.unwrap();
    let run = db.client().start(Orders::run()).id("helpers").await.unwrap();
    // quote 20, the stack 21 + 31, by_any (41 + 81) + 41, add 1 + 50
    let total = 20 + 52 + 163 + 51;
    eventually("it waits for the signal", async || run.total().await.unwrap() == total).await;
    first.shutdown().await.unwrap();
    let second = worker(&db).await.unwrap();
    assert_eq!(run.total().await.unwrap(), total, "after a replay");
    run.open().await.unwrap();
    assert_eq!(run.result().await.unwrap(), total + 120 + 2);
    assert_eq!(log.lines().len(), 8, "nothing ran again: {:?}", log.lines());
    second.shutdown().await.unwrap();
}

/// These tests are compiled under `cfg(test)`: what is conditional by it is there.
impl Pricing {
    #[workflow::helper]
    fn fee(&self, n: u32) -> u32 {
        #[cfg(test)]
        let n = n + self.rate;
        n
    }
}

#[derive(Default)]
struct Tested {
    poked: Option<u32>,
}

#[workflow]
impl Tested {
    #[run]
    async fn run(&mut self) -> u32 {
        let pricing = Pricing { asked: 0, rate: 2 };
        workflow::until!(self.poked.is_some()).await;
        pricing.fee(self.poked.unwrap_or_default())
    }

    #[cfg(test)]
    #[signal]
    fn poke(&mut self, #[cfg(not(test))] why: String, n: u32) {
        self.poked = Some(n);
    }
}

#[tokio::test]
async fn what_is_compiled_for_tests_alone_works_in_them() {
    let env = TestEnv::start().await.unwrap();
    let worker = env.worker("tested").workflow(Tested::run).start().await.unwrap();
    let run = env.client().start(Tested::run()).await.unwrap();
    run.poke(40).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 42);
    worker.shutdown().await.unwrap();
}
