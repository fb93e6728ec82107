//! Workflow futures that are awaited again after their end: each does what its twin of tokio or std does, live and on
//! replay. One that has a value to give away gives it once, and suspends with AB0218 then.

// `(&mut future).await` as one writes it; the expansion makes an argument of it.
#![allow(unused_parens)]

use super::ends::{events, reason, says};
use super::support::{Db, Log, Steps, eventually};
use abide::prelude::*;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(1);

/// Waits again for what has ended, in the way that it is told.
#[derive(Default)]
struct Again {
    done: Vec<String>,
    open: bool,
}

/// Waits twice for what gives its value once.
#[workflow::helper]
async fn twice(what: &str) -> Result<(), Failure> {
    match what {
        "activity twice" => {
            let mut call = Steps::note(1);
            (&mut call).await?;
            (&mut call).await?;
        }
        "handle twice" => {
            let mut task = workflow::spawn(workflow::sleep(SHORT));
            (&mut task).await?;
            (&mut task).await?;
        }
        "timeout twice" => {
            let mut limited = workflow::timeout(days(1), workflow::sleep(SHORT));
            (&mut limited).await?;
            (&mut limited).await?;
        }
        "shielded twice" => {
            let mut shielded = workflow::shielded(workflow::sleep(SHORT));
            (&mut shielded).await;
            (&mut shielded).await;
        }
        "side effect twice" => {
            let mut read = workflow::side_effect(|| 1);
            (&mut read).await;
            (&mut read).await;
        }
        "compensate twice" => {
            let mut saga = workflow::saga();
            let mut undo = Box::pin(saga.compensate());
            (&mut undo).await?;
            (&mut undo).await?;
        }
        other => return Err(Failure::new(format!("there is no {other}"))),
    }
    Ok(())
}

#[workflow]
impl Again {
    #[run]
    async fn run(&mut self, what: String) -> Result<Vec<String>, Failure> {
        match what.as_str() {
            "sleep" => {
                let mut sleep = workflow::sleep(SHORT);
                (&mut sleep).await;
                (&mut sleep).await;
            }
            "race" => {
                let (mut short, mut steps) = (workflow::sleep(SHORT), 0);
                while steps < 2 {
                    workflow::select! {
                        _ = &mut short => steps += 1,
                        _ = workflow::sleep(days(1)) => return Err(Failure::new("the short one began anew")),
                    }
                }
            }
            "elapsed" => {
                let mut limited = workflow::timeout(SHORT, workflow::sleep(days(1)));
                self.done.push(format!("{:?}", (&mut limited).await));
                self.done.push(format!("{:?}", (&mut limited).await));
            }
            "until" => {
                let mut until = workflow::until!(self.done.is_empty());
                (&mut until).await;
                (&mut until).await;
            }
            "handle" => {
                let mut task = workflow::spawn(workflow::sleep(SHORT));
                (&mut task).await?;
                self.done.push(task.is_finished().to_string());
            }
            "refused activity twice" => {
                let mut call = Steps::note(1).task_queue("");
                self.done.push((&mut call).await.unwrap_err().to_string());
                (&mut call).await?;
            }
            other => twice(other).await?,
        }
        // Replayed in the test from here.
        workflow::until!(self.open).await;
        Ok(self.done.clone())
    }

    #[signal]
    fn open(&mut self) {
        self.open = true;
    }
}

#[derive(Default)]
struct Listens {
    open: bool,
}

#[workflow]
impl Listens {
    #[run]
    async fn run(&mut self) -> Vec<String> {
        let mut cancelled = workflow::cancelled();
        let told = vec![(&mut cancelled).await, (&mut cancelled).await];
        workflow::until!(self.open).await;
        told
    }

    #[signal]
    fn open(&mut self) {
        self.open = true;
    }
}

#[tokio::test]
async fn what_has_no_value_to_give_away_is_ready_again() {
    let db = Db::new().await;
    let worker = || db.abide.worker("again").workflow(Again::run).workflow(Listens::run).start();
    let first = worker().await.unwrap();
    let elapsed = "Err(Elapsed)".to_owned();
    let cases = [
        ("sleep", vec![], 3),
        ("race", vec![], 5),
        ("elapsed", vec![elapsed.clone(), elapsed], 5),
        ("until", vec![], 1),
        ("handle", vec!["true".to_owned()], 3),
    ];
    let mut runs = Vec::new();
    for (what, expected, least) in cases {
        let run = db.client().start(Again::run(what.into())).task_queue("again").await.unwrap();
        eventually(what, async || events(&run.untyped()).await >= least).await;
        runs.push((what, run, expected));
    }
    let listens = db.client().start(Listens::run()).task_queue("again").await.unwrap();
    listens.cancel("enough").await.unwrap();
    first.shutdown().await.unwrap();
    let second = worker().await.unwrap();
    for (what, run, expected) in runs {
        run.open().await.unwrap();
        assert_eq!(run.result().await.unwrap(), expected, "{what}");
    }
    listens.open().await.unwrap();
    assert_eq!(listens.result().await.unwrap(), ["enough", "enough"]);
    second.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_has_given_its_value_suspends() {
    let (db, log) = (Db::new().await, Log::default());
    let worker = db.abide.worker("again").workflow(Again::run).activities(Steps(log)).start().await.unwrap();
    for (what, name) in [
        ("activity twice", "a call of activity `Steps.note`"),
        ("refused activity twice", "a call of activity `Steps.note`"),
        ("handle twice", "the handle of a task"),
        ("timeout twice", "a `workflow::timeout`"),
        ("shielded twice", "a `workflow::shielded`"),
        ("side effect twice", "a `workflow::side_effect`"),
        ("compensate twice", "a `workflow::shielded`"),
    ] {
        let run = db.client().start(Again::run(what.into())).task_queue("again").await.unwrap();
        let reason = reason(run.result().await);
        assert_eq!(reason.code(), "AB0218", "{what}: {reason}");
        says(reason.message(), &[name, "polled_again.rs", "&mut"]);
    }
    worker.shutdown().await.unwrap();
}
