//! A process without a subscriber of `tracing`: what workflow code evaluates is the same there, live and on replay.

// A test program needs no privacy, and ends where it is wrong.
#![allow(unreachable_pub, missing_docs, clippy::unwrap_used)]

use abide::Abide;
use abide::prelude::*;
use abide::testing::TestEnv;
use std::cell::Cell;
use std::fmt;

#[activity]
async fn note(n: u32) -> u32 {
    n
}

/// A value that counts how often it was asked for, and how often it was shown.
#[derive(Default)]
struct Asked {
    asked: Cell<u32>,
    shown: Cell<u32>,
}

impl Asked {
    fn next(&self) -> u32 {
        self.asked.set(self.asked.get() + 1);
        self.asked.get()
    }

    /// Code that others call too: this callsite may be met outside of a workflow first.
    fn tell(&self) {
        tracing::debug!(n = self.next(), "told");
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown.set(self.shown.get() + 1);
        f.write_str("shown")
    }
}

#[derive(Default)]
struct Counting {
    asked: Asked,
}

#[workflow]
impl Counting {
    #[run]
    async fn run(&mut self, rounds: u32) -> Result<u32, Failure> {
        for _ in 0..rounds {
            self.asked.tell();
            let span = tracing::trace_span!("unheard", n = self.asked.next());
            let _entered = span.enter();
            note(self.asked.next()).await?;
        }
        Ok(self.asked.asked.get())
    }
}

#[tokio::test]
async fn arguments_are_evaluated_without_a_subscriber() {
    let outside = Asked::default();
    outside.tell();
    assert_eq!(outside.asked.get(), 0, "outside of workflows `tracing` is as ever");

    let env = TestEnv::start().await.unwrap();
    let worker = env.worker("w").activity(note).workflow(Counting::run).start().await.unwrap();
    assert_eq!(env.client().start(Counting::run(4)).await.unwrap().result().await.unwrap(), 12);
    worker.shutdown().await.unwrap();

    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("abide.db").display());
    let abide = Abide::open(&url).await.unwrap();
    let worker = abide.worker("w").activity(note).workflow(Counting::run).cache_bytes(1);
    let worker = worker.start().await.unwrap();
    assert_eq!(abide.client().start(Counting::run(4)).await.unwrap().result().await.unwrap(), 12);
    worker.shutdown().await.unwrap();

    outside.tell();
    assert_eq!(outside.asked.get(), 0, "outside of workflows `tracing` is as ever, beside workflows too");
}

#[derive(Default)]
struct Showing {
    asked: Asked,
}

#[workflow]
impl Showing {
    #[run]
    async fn run(&mut self) -> Result<u32, Failure> {
        tracing::info!("{}", self.asked);
        // How often it was shown depends on who listens.
        Ok(note(self.asked.shown.get()).await?)
    }
}

#[tokio::test]
async fn a_test_finds_what_only_a_listener_would_change() {
    let env = TestEnv::start().await.unwrap();
    let _worker = env.worker("w").activity(note).workflow(Showing::run).start().await.unwrap();
    let run = env.client().start(Showing::run()).await.unwrap();
    let error = run.result().await.unwrap_err().to_string();
    assert!(error.contains("AB0201"), "{error}");
}
