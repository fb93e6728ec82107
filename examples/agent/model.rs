//! The call of the model, and what is said in both directions.
//!
//! The protocol is that of the fake provider: one line of JSON there, a line for each token and one with the
//! whole reply back. A real provider has HTTP for it, and a client crate.

use super::tools::Tool;
use abide::activity::PublishError;
use abide::prelude::*;
use serde::{Deserialize, Serialize};
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// A part of the conversation. The model gets all of them with each prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Message {
    User(String),
    Model(Reply),
    Tool { tool: Tool, result: String },
}

/// What the model says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    Answer(String),
    Use(Vec<Tool>),
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Prompt {
    /// The provider bills each key once.
    pub key: String,
    pub messages: Vec<Message>,
}

/// A line of the provider's answer.
#[derive(Debug, Serialize, Deserialize)]
pub enum Line {
    Token(String),
    Done(Reply),
    Overloaded,
}

#[derive(Clone, Debug, thiserror::Error, Serialize, Deserialize)]
pub enum ModelError {
    #[error("the provider is overloaded")]
    Overloaded,
    #[error("the connection to the provider: {0}")]
    Connection(String),
    #[error("not understood: {0}")]
    Protocol(String),
}

impl ModelError {
    pub fn is_transient(&self) -> bool {
        !matches!(self, Self::Protocol(_))
    }
}

impl From<io::Error> for ModelError {
    fn from(error: io::Error) -> Self {
        Self::Connection(error.to_string())
    }
}

impl From<serde_json::Error> for ModelError {
    fn from(error: serde_json::Error) -> Self {
        Self::Protocol(error.to_string())
    }
}

impl From<PublishError> for ModelError {
    fn from(error: PublishError) -> Self {
        Self::Protocol(error.to_string())
    }
}

/// The stream of what the agent says and does.
pub const TOKENS: &str = "tokens";

/// Publishes a part of it. Any process can read it while the activity runs. It is for people: what the workflow
/// needs is in the activity's result.
pub async fn say(text: &str) -> Result<(), PublishError> {
    activity::context().publish(TOKENS, text).await
}

/// The model, where its provider is.
pub struct Model {
    pub provider: SocketAddr,
}

#[activity(
    start_to_close = "2m",
    retry(initial_interval = "200ms", max_interval = "10s"),
    retry_if = ModelError::is_transient
)]
impl Model {
    /// Sends the conversation, and returns what the model says next.
    pub async fn ask(&self, messages: Vec<Message>) -> Result<Reply, ModelError> {
        let prompt = Prompt { key: activity::context().idempotency_key(), messages };
        let mut stream = TcpStream::connect(self.provider).await?;
        stream.write_all(format!("{}\n", serde_json::to_string(&prompt)?).as_bytes()).await?;

        let mut lines = BufReader::new(stream).lines();
        while let Some(line) = lines.next_line().await? {
            match serde_json::from_str(&line)? {
                Line::Token(token) => say(&token).await?,
                Line::Done(reply) => {
                    say("\n").await?;
                    return Ok(reply);
                }
                Line::Overloaded => return Err(ModelError::Overloaded),
            }
        }
        Err(ModelError::Connection("closed in the middle of an answer".into()))
    }
}
