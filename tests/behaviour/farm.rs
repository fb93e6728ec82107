//! A farm that serves task queue `gpu`, and the workflows that send their activities there.

use super::ends::Gate;
use super::support::{Log, Steps};
use abide::prelude::*;
use std::time::Duration;

/// What is run elsewhere: in a worker on `gpu`.
#[derive(Clone)]
pub struct Farm(pub Log);

impl Farm {
    fn began(&self, what: &str) -> u32 {
        let attempt = abide::activity::context().attempt();
        self.0.add(format!("{what} {attempt}"));
        attempt
    }
}

#[activity]
impl Farm {
    #[activity(task_queue = "gpu")]
    async fn render(&self, n: u32) -> u32 {
        self.0.add(format!("render {n}"));
        n * 2
    }

    /// What it knows about itself.
    #[activity(task_queue = "gpu", start_to_close = "60s", schedule_to_close = "30s")]
    async fn looks(&self) -> String {
        let context = abide::activity::context();
        let left = context.time_left().expect("it has a limit");
        format!(
            "{} {} {} {} {}",
            context.idempotency_key(),
            context.workflow_id(),
            context.workflow_type(),
            context.activity_type(),
            left > secs(20) && left <= secs(30)
        )
    }

    #[activity(task_queue = "gpu", retry(initial_interval = "20ms", max_attempts = 3))]
    async fn flaky(&self, good: u32) -> Result<u32, Failure> {
        match self.began("flaky") {
            attempt if attempt >= good => Ok(attempt),
            attempt => Err(Failure::new(format!("attempt {attempt}"))),
        }
    }

    #[activity(
        task_queue = "gpu",
        start_to_close = "50ms",
        retry(initial_interval = "5ms", max_attempts = 2)
    )]
    async fn slow(&self) -> u32 {
        self.began("slow");
        std::future::pending().await
    }

    #[activity(task_queue = "gpu", schedule_to_start = "200ms")]
    async fn soon_or_never(&self) -> u32 {
        self.began("soon or never")
    }

    #[activity(task_queue = "gpu", schedule_to_close = "300ms")]
    async fn in_all(&self) -> u32 {
        self.began("in all");
        std::future::pending().await
    }

    /// Runs until it is asked to stop.
    #[activity(task_queue = "gpu")]
    async fn endless(&self) -> u32 {
        self.began("endless");
        abide::activity::context().cancelled().await;
        self.0.add("stopped");
        1
    }

    /// The same, and its end is waited for.
    #[activity(task_queue = "gpu", cancellation = "wait")]
    async fn tidy(&self) -> Result<u32, Failure> {
        self.began("tidy");
        abide::activity::context().cancelled().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.0.add("tidied up");
        Err(Failure::new("stopped"))
    }

    #[activity(task_queue = "gpu", retry(max_attempts = 1))]
    async fn once(&self) -> u32 {
        self.began("once");
        std::future::pending().await
    }

    /// The first attempt goes down with its worker.
    #[activity(task_queue = "gpu")]
    async fn sturdy(&self) -> u32 {
        match self.began("sturdy") {
            1 => std::future::pending().await,
            attempt => attempt,
        }
    }
}

#[workflow]
pub async fn renders(n: u32) -> Result<u32, Failure> {
    let here = Steps::note(n).await?;
    let there = Farm::render(here).await?;
    Ok(Steps::note(there).await?)
}

#[workflow]
pub async fn fans_out(of: u32) -> Result<u32, Failure> {
    let all = futures::future::join_all((0..of).map(Farm::render)).await;
    Ok(all.into_iter().sum::<Result<u32, _>>()?)
}

#[workflow]
pub async fn looks() -> Result<String, Failure> {
    Ok(Farm::looks().await?)
}

#[workflow]
pub async fn flaky(good: u32) -> Result<u32, ActivityError<Failure>> {
    Farm::flaky(good).await
}

#[workflow]
pub async fn slow() -> Result<u32, CallError> {
    Farm::slow().await
}

#[workflow]
pub async fn soon_or_never() -> Result<u32, CallError> {
    Farm::soon_or_never().await
}

#[workflow]
pub async fn in_all() -> Result<u32, CallError> {
    Farm::in_all().await
}

#[workflow]
pub async fn loses() -> Result<u32, Failure> {
    workflow::select! {
        n = Farm::endless() => Ok(n?),
        () = workflow::sleep(Duration::from_millis(300)) => Ok(Steps::note(7).await?),
    }
}

#[workflow]
pub async fn tidies() -> Result<u32, Failure> {
    workflow::select! {
        n = Farm::tidy() => Ok(n?),
        () = workflow::sleep(Duration::from_millis(300)) => Ok(7),
    }
}

/// Called and dropped in one turn.
#[workflow]
pub async fn tidies_nothing() -> Result<u32, Failure> {
    let mut call = Box::pin(Farm::tidy());
    let _ = futures::poll!(&mut call);
    drop(call);
    Ok(8)
}

#[workflow]
pub async fn once() -> Result<u32, CallError> {
    Farm::once().await
}

#[workflow]
pub async fn sturdy() -> Result<u32, CallError> {
    Farm::sturdy().await
}

/// A gate in another process.
#[workflow]
pub async fn at_a_far_gate() -> Result<u32, Failure> {
    Steps::note(1).await?;
    Gate::pass().task_queue("gpu").await?;
    Ok(Steps::note(2).await?)
}

#[workflow]
pub async fn to_a_queue(name: String) -> Result<u32, CallError> {
    Farm::render(1).task_queue(name).await
}

pub fn flows(db: &abide::Abide, log: &Log) -> abide::WorkerBuilder {
    let builder = db.worker("flows").workflow(renders).workflow(fans_out).workflow(looks).workflow(flaky);
    let builder = builder.workflow(slow).workflow(soon_or_never).workflow(in_all).workflow(loses);
    let builder = builder.workflow(tidies).workflow(tidies_nothing).workflow(once).workflow(sturdy);
    let builder = builder.workflow(at_a_far_gate).workflow(to_a_queue);
    builder.activities(Steps(log.clone()))
}

pub fn farm(db: &abide::Abide, log: &Log) -> abide::WorkerBuilder {
    db.worker("gpu").activities(Farm(log.clone())).shutdown_grace(Duration::from_millis(500))
}
