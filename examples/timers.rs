//! Durable time: sleep, timeout, racing a timer against an activity, and the workflow's own clock.
//!
//! `cargo run --example timers`. The same code works with `days(30)`: a waiting workflow holds no thread, and
//! its timers continue while the program is not running.

use abide::prelude::*;
use std::time::Duration;

const TICK: Duration = Duration::from_millis(200);

/// Takes the given time, unless it is cancelled. Cancellation is a request: an activity that may run long
/// must check for it.
#[activity(start_to_close = "90s")]
async fn brew(cup: u32, takes_ms: u64) -> Result<String, Failure> {
    let context = activity::context();
    tokio::select! {
        // Return an error: `Ok` would be recorded as a cup that is ready.
        () = context.cancelled() => Err(Failure::new(format!("cup {cup} was poured away"))),
        () = tokio::time::sleep(Duration::from_millis(takes_ms)) => Ok(format!("cup {cup}")),
    }
}

#[workflow]
async fn breakfast() -> Result<Vec<String>, Failure> {
    let mut log = Vec::new();
    let started = workflow::now();

    workflow::sleep(TICK).await;
    log.push("slept".to_string());

    // A time limit on any future. At the limit the future is dropped, which cancels the activity.
    match workflow::timeout(TICK, brew(1, 60_000)).await {
        Ok(cup) => log.push(format!("{} in time", cup?)),
        Err(elapsed) => log.push(format!("cup 1: {elapsed}")),
    }

    // Waits for the first of several futures. The branches are always polled from top to bottom. tokio's
    // `select!` picks at random, which a replay could not repeat.
    workflow::select! {
        cup = brew(2, 10) => log.push(format!("{} was first", cup?)),
        _ = workflow::sleep(TICK) => log.push("the timer was first".to_string()),
    }

    // `now()` is the time of the newest event, so that a replay sees the same time.
    let took = workflow::now().duration_since(started);
    log.push(format!("took at least 400 ms: {}", took.as_millis() >= 400));
    Ok(log)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::temp_dir().join(format!("abide-timers-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let abide = Abide::open(dir.join("timers.db")).await?;
    let worker = abide.worker("kitchen").workflow(breakfast).activity(brew).start().await?;

    let run = abide.client().start(breakfast()).await?;
    for line in run.result().await? {
        println!("{line}");
    }
    worker.shutdown().await?;
    Ok(std::fs::remove_dir_all(dir)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide::testing::{TestEnv, mock};

    /// This runs in the environment's time: a cup that takes a minute is cancelled at once.
    #[tokio::test]
    async fn the_first_cup_is_late_and_the_second_is_not() -> Result<(), Failure> {
        let env = TestEnv::start().await?;
        let cups =
            mock(brew, |cup: u32, _takes_ms: u64| Ok(format!("cup {cup}"))).delay(Duration::from_millis(150));
        let worker = env.worker("kitchen").workflow(breakfast).mock(&cups).start().await?;
        let run = env.client().start(breakfast()).await?;
        let log = run.result().await?;
        assert_eq!(log[1], "cup 1 in time");
        assert_eq!(log[2], "cup 2 was first");
        worker.shutdown().await?;

        let slow = mock(brew, |cup: u32, _takes_ms: u64| Ok(format!("cup {cup}"))).delay(mins(1));
        let worker = env.worker("kitchen").workflow(breakfast).mock(&slow).start().await?;
        let log = env.client().start(breakfast()).await?.result().await?;
        assert!(log[1].starts_with("cup 1: "), "{log:?}");
        assert_eq!(log[2], "the timer was first");
        slow.assert_called_with((2, 10));
        Ok(worker.shutdown().await?)
    }
}
