//! Streams: the progress of a run and the tokens of a model, read while they come.

use abide::prelude::*;

#[activity(start_to_close = "2m")]
pub async fn answer(question: String) -> Result<String, Failure> {
    let (context, mut text) = (activity::context(), String::new());
    for token in ["It ", "depends ", "on ", question.as_str()] {
        context.publish("tokens", token).await?;
        text += token;
    }
    Ok(text)
}

#[workflow]
async fn chat(questions: Vec<String>) -> Result<Vec<String>, Failure> {
    let mut answers = Vec::new();
    for question in questions {
        workflow::publish("progress", &answers.len())?;
        answers.push(answer(question).await?);
    }
    Ok(answers)
}

async fn watch(client: &Client) -> Result<String> {
    let chat = client.handle::<chat>("chat-7");
    let mut tokens = chat.stream::<String>("tokens");
    let mut shown = String::new();
    while let Some(token) = tokens.next().await {
        shown += &token?.value; // `offset` is where to go on
    }
    Ok(shown)
}

type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

mod tests {
    use super::*;
    use abide::testing::TestEnv;

    #[tokio::test]
    async fn tokens_are_read_as_they_come() -> Result<()> {
        let env = TestEnv::start().await?;
        let worker = env.worker("chats").workflow(chat).activity(answer).start().await?;
        let client = env.client();
        let run = client.start(chat(vec!["you".into(), "me".into()])).id("chat-7").await?;
        assert_eq!(run.result().await?, ["It depends on you", "It depends on me"]);
        assert_eq!(watch(&client).await?, "It depends on youIt depends on me");
        let mut progress = run.stream::<usize>("progress");
        while let Some(item) = progress.next().await {
            assert_eq!(item?.attempt, None);
        }
        Ok(worker.shutdown().await?)
    }
}
