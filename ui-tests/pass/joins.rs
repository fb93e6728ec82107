//! `join!` and `try_join!` await by themselves, as tokio's do; a context's token lives as long as its future.

use abide::prelude::*;

#[activity]
async fn rate(n: u32) -> Result<u32, Failure> {
    tokio::select! {
        () = abide::activity::context().cancelled() => Err(Failure::new("stopped")),
        () = tokio::time::sleep(secs(1)) => Ok(n),
    }
}

#[derive(Debug, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[error("no number")]
struct NoNumber;

#[activity]
async fn note(text: String) -> Result<(), NoNumber> {
    let stopped = abide::activity::context().cancelled();
    let watch = tokio::spawn(async move { stopped.await });
    watch.abort();
    text.parse::<u32>().map(|_| ()).map_err(|_| NoNumber)
}

#[derive(Default)]
struct Order {
    n: u32,
    items: Vec<u32>,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) -> Result<u32, Failure> {
        let (a, ()) = workflow::join!(rate(1), self.step());
        // The errors are of two types: `?` converts each.
        let (b, ()) = workflow::try_join!(rate(self.n), note("x".into()))?;
        let (c,) = workflow::try_join!(rate(3)).unwrap_or((0,));
        self.items.push(workflow::join!(rate(4)).0?);
        workflow::join!(self.step(), self.step());
        let later = async { workflow::join!(rate(5), self.step()).0 };
        let mut either = Box::pin(async { workflow::try_join!(rate(6), rate(7)) });
        workflow::select! {
            both = &mut either => both.map(|_| ())?,
            (n, _) = async { workflow::join!(rate(8), rate(9)) } => self.items.push(n?),
        }
        Ok(a? + b + c + later.await?)
    }

    async fn step(&mut self) {
        self.n += 1;
        let spawned = workflow::spawn(async { workflow::join!(rate(1), rate(2)) });
        let _ = spawned.await;
    }
}

#[workflow::helper]
async fn both(n: u32) -> Result<(u32, u32), ActivityError<Failure>> {
    workflow::try_join!(rate(n), rate(n + 1))
}

fn main() {}
