//! A fake provider of a model, on 127.0.0.1. It stands for a service elsewhere: it knows nothing of
//! workflows, and its books are a file of its own.
//!
//! It bills each idempotency key once. To a key that it has seen it says again what it said then.

use super::model::{Line, Message, Prompt, Reply};
use super::tools::Tool;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A prompt that was billed.
#[derive(Serialize, Deserialize)]
struct Billed {
    key: String,
    reply: Reply,
}

struct Books {
    file: File,
    billed: BTreeMap<String, Reply>,
    requests: usize,
}

/// The provider. Clones share its books.
#[derive(Clone)]
pub struct Provider(Arc<Mutex<Books>>);

impl Provider {
    /// Opens its books. Two lines of one key would be a prompt that was paid twice.
    pub fn open(path: &Path) -> io::Result<Self> {
        let text = if path.exists() { std::fs::read_to_string(path)? } else { String::new() };
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Billed>(line).ok());
        let billed = lines.map(|line| (line.key, line.reply)).collect();
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self(Arc::new(Mutex::new(Books { file, billed, requests: 0 }))))
    }

    /// The prompts that were billed, in all runs of this program.
    pub fn billed(&self) -> usize {
        self.with(|books| books.billed.len())
    }

    /// Listens on a free port.
    pub async fn listen(&self) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let provider = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let provider = provider.clone();
                tokio::spawn(async move { provider.serve(stream).await });
            }
        });
        Ok(address)
    }

    async fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let prompt: Prompt = serde_json::from_str(&line)?;
        let Some(reply) = self.bill(prompt)? else {
            return send(stream.get_mut(), &Line::Overloaded).await;
        };
        for word in spoken(&reply).split_inclusive(' ') {
            tokio::time::sleep(Duration::from_millis(40)).await;
            send(stream.get_mut(), &Line::Token(word.to_owned())).await?;
        }
        send(stream.get_mut(), &Line::Done(reply)).await
    }

    /// The reply to a prompt, billed if it was not billed before. `None`: each third request is one too many.
    fn bill(&self, prompt: Prompt) -> io::Result<Option<Reply>> {
        self.with(|books| {
            books.requests += 1;
            if books.requests.is_multiple_of(3) {
                return Ok(None);
            }
            if let Some(reply) = books.billed.get(&prompt.key) {
                return Ok(Some(reply.clone()));
            }
            let billed = Billed { key: prompt.key, reply: think(&prompt.messages) };
            // A line break before it too: the last line of a process that was killed may be incomplete.
            writeln!(books.file, "\n{}", serde_json::to_string(&billed)?)?;
            books.file.sync_data()?;
            books.billed.insert(billed.key, billed.reply.clone());
            Ok(Some(billed.reply))
        })
    }

    fn with<T>(&self, look: impl FnOnce(&mut Books) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn send(stream: &mut TcpStream, line: &Line) -> io::Result<()> {
    stream.write_all(format!("{}\n", serde_json::to_string(line)?).as_bytes()).await
}

/// What the model writes while it thinks.
fn spoken(reply: &Reply) -> String {
    match reply {
        Reply::Answer(text) => text.clone(),
        Reply::Use(tools) => {
            let tools: Vec<_> = tools.iter().map(ToString::to_string).collect();
            format!("I will {}.", tools.join(" and "))
        }
    }
}

/// The fake model: it looks at the last tool's result.
fn think(messages: &[Message]) -> Reply {
    let order = || "A-7".to_owned();
    match messages.last() {
        Some(Message::Tool { tool: Tool::ReadPolicy { .. }, .. }) => {
            Reply::Use(vec![Tool::Refund { order: order(), cents: 4_990 }])
        }
        Some(Message::Tool { tool: Tool::Refund { .. }, result }) if result.starts_with("refused") => {
            Reply::Answer("I asked for a refund and was refused, so I have promised nothing.".into())
        }
        Some(Message::Tool { tool: Tool::Refund { .. }, .. }) => {
            let text = "We are sorry about the lamp. Your money is on its way.".into();
            Reply::Use(vec![Tool::SendMail { to: "ada@example.com".into(), text }])
        }
        Some(Message::Tool { tool: Tool::SendMail { .. }, .. }) => {
            Reply::Answer("Ada has her money back, and a mail that says so.".into())
        }
        _ => Reply::Use(vec![
            Tool::LookUpOrder { order: order() },
            Tool::ReadPolicy { about: "broken goods".into() },
        ]),
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::{Model, ModelActivities as _, TOKENS};
    use super::super::tools::Shop;
    use super::super::workflow::Agent;
    use super::*;
    use abide::prelude::*;
    use abide::testing::{ActivityEnv, TestEnv};

    #[tokio::test]
    async fn a_prompt_that_is_sent_again_is_not_billed_again() {
        let dir = tempfile::tempdir().unwrap();
        let books = dir.path().join("model.jsonl");
        let env = ActivityEnv::new();
        let asked = vec![Message::User("The lamp is broken.".into())];
        let mut replies = Vec::new();
        for _ in 0..2 {
            let provider = Provider::open(&books).unwrap();
            let model = Model { provider: provider.listen().await.unwrap() };
            replies.push(env.run(model.ask(asked.clone())).await.unwrap());
            replies.push(env.run(model.ask(asked.clone())).await.unwrap());
            assert!(env.run(model.ask(asked.clone())).await.is_err(), "overloaded");
            assert_eq!(provider.billed(), 1);
        }
        assert!(replies.iter().all(|reply| *reply == replies[0]));
    }

    #[tokio::test]
    async fn what_it_says_and_does_is_published() -> Result<(), Failure> {
        let (dir, env) = (tempfile::tempdir()?, TestEnv::start().await?);
        let provider = Provider::open(&dir.path().join("model.jsonl"))?;
        let model = Model { provider: provider.listen().await? };
        let worker = env.worker("agents").workflow(Agent::run).activities(model).activities(Shop);
        let worker = worker.start().await?;
        let agent = env.client().start(Agent::run("The lamp is broken.".into())).await?;
        let answer = agent.result().await?;
        let (mut tokens, mut said) = (agent.stream::<String>(TOKENS), String::new());
        while let Some(token) = tokens.next().await {
            said += &token?.value;
        }
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines[0], "I will look up the order A-7 and read the policy about broken goods.");
        assert!(lines[1].starts_with("tool: look up the order A-7 ["), "{said}");
        assert_eq!(lines.last(), Some(&answer.as_str()), "{said}");
        assert_eq!(lines.len(), 3 + 2, "three prompts and two tools: the third was refused");
        Ok(worker.shutdown().await?)
    }
}
