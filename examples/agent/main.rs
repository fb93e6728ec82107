//! An agent that survives `kill -9`, and that never pays for a prompt twice.
//!
//! ```sh
//! cargo run --example agent
//! ```
//!
//! A customer's complaint is given to a language model (a fake one, inside of this program). The model uses
//! tools until it has an answer. One of them, the refund, waits for a person's approval: yours, at the
//! terminal; without a terminal it is granted. What it says comes token by token, by a stream. Kill the
//! program at any time, and run it again: it shows what was said, and continues with the prompts that are paid.
//! Read `workflow.rs` first, then `model.rs`.
//!
//! `AGENT_DIR` is the folder of its database and of the provider's books. Default: `target/agent`.

// A program has no callers: a plain `pub` reads better than `pub(crate)`.
#![allow(unreachable_pub)]

mod model;
mod provider;
mod tools;
mod workflow;

use abide::StreamReader;
use abide::prelude::*;
use model::{Model, TOKENS};
use provider::Provider;
use std::convert::Infallible;
use std::io::{IsTerminal as _, Write as _, stdin, stdout};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::oneshot;
use tools::{Shop, Tool};
use workflow::Agent;

const QUEUE: &str = "agents";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    let dir = std::env::var_os("AGENT_DIR").map_or_else(|| "target/agent".into(), PathBuf::from);
    std::fs::create_dir_all(&dir)?;
    let provider = Provider::open(&dir.join("model.jsonl"))?;
    let model = Model { provider: provider.listen().await? };
    let abide = Abide::open(dir.join("agent.db")).await?;
    let worker = abide.worker(QUEUE).workflow(Agent::run).activities(model).activities(Shop);

    let client = abide.client().task_queue(QUEUE);
    let mut answer = Ok(None);
    worker.run_until(async { answer = supervise(&client).await }).await?;
    match answer? {
        Some(text) => println!("answer: {text}"),
        None => println!("stopped. Nothing is lost: run it again and it goes on."),
    }
    println!("prompts that were paid: {}", provider.billed());
    Ok(())
}

/// Starts the agent, or finds the one that an earlier run of this program started, and waits for its answer.
/// `None`: Ctrl-C.
async fn supervise(client: &Client) -> Result<Option<String>> {
    let task = "Ada writes: the lamp of my order A-7 came broken.".to_string();
    let agent = client.start(Agent::run(task)).id("complaint-7").request_id("complaint-7").await?;
    let ended = async { Ok(agent.result().await?) };
    // The stream ends with the run, so all of it is shown before the answer.
    let shown = async { tokio::try_join!(ended, show(agent.stream(TOKENS))) };
    tokio::select! {
        ended = shown => Ok(Some(ended?.0)),
        ended = approve(&agent) => match ended? {},
        stopped = tokio::signal::ctrl_c() => Ok(stopped.map(|()| None)?),
    }
}

/// Prints what the agent says and does, token by token: from the beginning, also if that was in an earlier run of
/// this program, and until its end.
async fn show(mut tokens: StreamReader<String>) -> Result<()> {
    let (mut attempt, mut is_open) = (None, false);
    while let Some(token) = tokens.next().await {
        let token = token?;
        // The attempt before was cut off in the middle of a line, by a kill for example. This one says it again.
        if is_open && token.attempt != attempt {
            println!("..");
        }
        (attempt, is_open) = (token.attempt, !token.value.ends_with('\n'));
        print!("{}", token.value);
        stdout().flush()?;
    }
    Ok(())
}

/// Puts the agent's questions to the person at the terminal, until it is dropped.
async fn approve(agent: &Handle<Agent>) -> Result<Infallible> {
    loop {
        if let Some(tool) = agent.asks().await? {
            let granted = ask(&tool).await?;
            agent.decide(tool, granted).await?;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn ask(tool: &Tool) -> Result<bool> {
    print!("May the agent {tool}? [y/n] ");
    stdout().flush()?;
    if !stdin().is_terminal() {
        println!("y (there is no terminal to ask)");
        return Ok(true);
    }
    let (answer, answered) = oneshot::channel();
    // A thread, not `spawn_blocking`: after Ctrl-C the program ends without an answer.
    std::thread::spawn(move || {
        let mut line = String::new();
        answer.send(stdin().read_line(&mut line).map(|_| line))
    });
    Ok(answered.await??.trim().eq_ignore_ascii_case("y"))
}
