//! Combinators of abide's own and of the `futures` crate, with 2, 40 and 500 children, live and on replay. Results are
//! paired with their children however they end (peers hang on 40, or mis-pair on replay).

use super::support::{Db, Log, Steps};
use abide::prelude::*;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt};
use std::cell::RefCell;
use std::collections::BTreeSet;

#[derive(Default)]
struct Combine {
    replays: u32,
}

#[workflow]
impl Combine {
    #[run]
    async fn run(&mut self, kind: String, of: u32) -> Result<Vec<u32>, Failure> {
        let first = self.with(&kind.clone(), of).await?;
        // Evicted here in the test: what comes before is replayed when this signal arrives.
        workflow::until!(self.replays > 0).await;
        Ok(first)
    }

    #[workflow::helper]
    async fn with(&self, kind: &str, of: u32) -> Result<Vec<u32>, Failure> {
        let kind = kind.to_owned();
        let calls = (0..of).map(|n| Steps::late(n, of));
        let all = match kind.as_str() {
            "join_all" => futures::future::join_all(calls).await,
            "try_join_all" => return Ok(futures::future::try_join_all(calls).await?),
            "buffered" => futures::stream::iter(calls).buffered(16).collect().await,
            "try_collect" => {
                return Ok(futures::stream::iter(calls).buffer_unordered(16).try_collect().await?);
            }
            "and_then" => {
                let calls = calls.map(|call| call.and_then(futures::future::ok).fuse());
                let (all, ()) =
                    futures::future::join(futures::future::join_all(calls), futures::future::ready(())).await;
                all
            }
            "for_each_concurrent" => {
                let all = RefCell::new(Vec::new());
                let calls = futures::stream::iter(calls);
                calls.for_each_concurrent(16, |call| call.map(|one| all.borrow_mut().push(one))).await;
                all.into_inner()
            }
            "buffer_unordered" => futures::stream::iter(calls).buffer_unordered(16).collect().await,
            _ => {
                let mut all = Vec::new();
                let mut running: FuturesUnordered<_> = calls.collect();
                while let Some(one) = running.next().await {
                    all.push(one);
                }
                all
            }
        };
        Ok(all.into_iter().collect::<Result<Vec<u32>, _>>()?)
    }

    #[signal]
    fn go_on(&mut self) {
        self.replays += 1;
    }
}

async fn check(kind: &str) {
    let db = Db::new().await;
    let log = Log::default();
    let worker = |db: &Db| {
        let builder = db.abide.worker("combine").workflow(Combine::run).activities(Steps(log.clone()));
        builder.max_concurrent_activities(64).start()
    };
    let first = worker(&db).await.unwrap();
    let mut runs = Vec::new();
    for of in [2, 40, 500] {
        let run =
            db.client().start(Combine::run(kind.to_owned(), of)).id(format!("{kind}-{of}")).await.unwrap();
        runs.push((of, run));
    }
    let done = async || runs_done(&log);
    super::support::eventually("all steps ran", async || done().await == 542).await;
    // A new worker has nothing live: the whole history is replayed.
    first.shutdown().await.unwrap();
    let second = worker(&db).await.unwrap();
    for (of, run) in runs {
        run.go_on().await.unwrap();
        let result = run.result().await.unwrap();
        let ordered: BTreeSet<u32> = result.iter().copied().collect();
        assert_eq!(ordered, (0..of).collect(), "{kind} of {of}");
        if kind.contains("join_all") || kind == "buffered" {
            assert_eq!(result, (0..of).collect::<Vec<_>>(), "{kind} of {of} keeps the order");
        }
    }
    assert_eq!(runs_done(&log), 542, "nothing ran again");
    second.shutdown().await.unwrap();
}

fn runs_done(log: &Log) -> usize {
    log.lines().len()
}

#[tokio::test]
async fn join_all() {
    check("join_all").await;
}

#[tokio::test]
async fn try_join_all() {
    check("try_join_all").await;
}

#[tokio::test]
async fn buffered() {
    check("buffered").await;
}

#[tokio::test]
async fn buffer_unordered() {
    check("buffer_unordered").await;
}

#[tokio::test]
async fn futures_unordered() {
    check("futures_unordered").await;
}

#[tokio::test]
async fn try_collect() {
    check("try_collect").await;
}

/// Children that clone wakers inside of other combinators.
#[tokio::test]
async fn and_then() {
    check("and_then").await;
}

#[tokio::test]
async fn for_each_concurrent() {
    check("for_each_concurrent").await;
}
