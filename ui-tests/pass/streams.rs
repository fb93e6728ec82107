//! Items of workflows and activities, and their readers.

use abide::prelude::*;
use abide::{StreamItem, StreamOffset, StreamReader};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Progress<'a> {
    text: std::borrow::Cow<'a, str>,
    done: u32,
}

#[activity]
async fn answer(prompt: String) -> Result<String, Failure> {
    let context = activity::context();
    for word in prompt.split(' ') {
        context.publish("tokens", word).await?;
    }
    context.publish("progress", &Progress { text: "all".into(), done: 1 }).await?;
    Ok(prompt)
}

#[workflow]
async fn chat(prompt: String) -> Result<String, Failure> {
    workflow::publish("progress", &Progress { text: "begun".into(), done: 0 })?;
    Ok(answer(prompt).await?)
}

async fn read(chat: Handle<chat>, last: &str) -> Result<Vec<String>, Failure> {
    let mut tokens: StreamReader<String> = chat.stream("tokens");
    if let Ok(offset) = last.parse::<StreamOffset>() {
        tokens = tokens.after(offset);
    }
    let mut all = Vec::new();
    while let Some(item) = tokens.next().await {
        let StreamItem { value, attempt, .. } = item?;
        if attempt == Some(1) {
            all.push(value);
        }
    }
    Ok(all)
}

fn is_send<T: Send>(_: T) {}

fn main() {
    let _ = |chat: Handle<chat>| is_send(read(chat, ""));
}
