//! Combinators of the `futures` crate over workflow futures.

use abide::prelude::*;
use futures::future::{self, Either};
use futures::{FutureExt, StreamExt, TryFutureExt, TryStreamExt, stream};

#[activity]
async fn rate(n: u32) -> Result<u32, Failure> {
    Ok(n)
}

#[activity]
async fn plain(n: u32) -> u32 {
    n
}

#[derive(Default)]
struct Order {
    n: u32,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) -> Result<u32, Failure> {
        let (a, b) = future::try_join(rate(1), rate(self.n)).await?;
        let (c, d, _) = future::join3(rate(1), plain(2), workflow::sleep(secs(1))).await;
        let e = rate(a).and_then(|n| rate(n + 1)).await?;
        let f = rate(b).then(|n| plain(n.unwrap_or(0))).await?;
        let g = rate(1).map(|n| n.unwrap_or(1)).await;
        let h = rate(1).map_ok(|n| n + 1).map_err(Failure::from).await?;
        let i = rate(1).or_else(|_| rate(2)).await?;
        let j = rate(1).unwrap_or_else(|_| 0).await;
        let k = rate(1).fuse().await?;
        let l = future::ready(3).await + std::future::ready(4).await;
        let m = match self.n {
            0 => Either::Left(plain(1)),
            _ => Either::Right(plain(2)),
        };
        let n = m.await?;
        let o = future::OptionFuture::from(Some(plain(1))).await;
        // Children that clone wakers, in each other.
        let p = future::join(future::join_all([plain(1), plain(2)]), plain(3)).await;
        let q = future::join_all([plain(1), plain(2)]).map(|all| all.len()).await;
        let all: Vec<u32> = stream::iter(1..4).map(rate).buffered(2).try_collect().await?;
        let sum = stream::iter(1..4).then(plain).fold(0, |sum, n| async move { sum + n.unwrap_or(0) }).await;
        stream::iter(1..4)
            .for_each_concurrent(2, |n| async move {
                let _ = plain(n).await;
            })
            .await;
        stream::iter([Ok::<u32, ActivityError<Failure>>(1)])
            .try_for_each_concurrent(None, |n| async move { rate(n).await.map(|_| ()) })
            .await?;
        let mut evens = Box::pin(stream::iter(1..9).filter(|n| future::ready(n % 2 == 0)).enumerate().take(2));
        while let Some((_, n)) = evens.next().await {
            self.n += plain(n).await?;
        }
        let r = stream::iter(1..4).map(plain).buffer_unordered(2).chunks(2).count().await;
        let spawned = workflow::spawn(rate(1).map_ok(|n| n + 1));
        let s = spawned.await.map_err(|error| Failure::new(error.to_string()))??;
        let _ = (c?, d?, o, p, q, r);
        Ok(e + f + g + h + i + j + k + l + n + sum + s + all.len() as u32)
    }
}

fn main() {}
