//! The agent's loop: ask the model, use the tools that it wants, ask again.
//!
//! Each prompt and each tool is an activity, so its result is recorded: after a kill the loop continues with
//! what it has paid for. A tool that costs money waits for a person, for a day at most.

use super::model::{Message, Model, ModelError, Reply};
use super::tools::{Shop, Tool};
use abide::prelude::*;
use serde::{Deserialize, Serialize};

/// A model that never comes to an end must not cost without end.
const MOST_PROMPTS: usize = 20;

#[derive(Default)]
pub struct Agent {
    /// The tool that waits for a person.
    asked: Option<Tool>,
    granted: Option<bool>,
}

#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
pub enum AgentFailed {
    #[error("the model does not answer: {0}")]
    Model(#[from] ActivityError<ModelError>),
    #[error("no answer after {MOST_PROMPTS} prompts")]
    Endless,
}

#[workflow]
impl Agent {
    #[run]
    pub async fn run(&mut self, task: String) -> Result<String, AgentFailed> {
        let mut messages = vec![Message::User(task)];
        for _ in 0..MOST_PROMPTS {
            let reply = Model::ask(messages.clone()).await?;
            messages.push(Message::Model(reply.clone()));
            match reply {
                Reply::Answer(text) => return Ok(text),
                Reply::Use(tools) => {
                    for tool in tools {
                        let result = self.use_tool(tool.clone()).await;
                        messages.push(Message::Tool { tool, result });
                    }
                }
            }
        }
        Err(AgentFailed::Endless)
    }

    /// A tool that fails, or that is refused, is the model's to deal with.
    async fn use_tool(&mut self, tool: Tool) -> String {
        if tool.needs_approval() && !self.approved(tool.clone()).await {
            return "refused by the person in charge".into();
        }
        match Shop::use_tool(tool).await {
            Ok(result) => result,
            Err(error) => format!("failed: {error}"),
        }
    }

    async fn approved(&mut self, tool: Tool) -> bool {
        self.asked = Some(tool);
        self.granted = None;
        let answered = workflow::until!(self.granted.is_some()).timeout(days(1)).await;
        self.asked = None;
        answered.is_ok() && self.granted == Some(true)
    }

    /// The answer to the question of `asks`. It names the tool, so that a late answer to an earlier question
    /// is not taken for one to this.
    #[signal]
    pub fn decide(&mut self, tool: Tool, granted: bool) {
        if self.asked.as_ref() == Some(&tool) {
            self.granted.get_or_insert(granted);
        }
    }

    /// The tool that waits for `decide`.
    #[query]
    pub fn asks(&self) -> Option<Tool> {
        self.asked.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abide::testing::{TestEnv, mock};

    fn refund() -> Tool {
        Tool::Refund { order: "A-7".into(), cents: 4_990 }
    }

    /// Wants a refund, and says what came of it.
    fn scripted(messages: &[Message]) -> Reply {
        match messages.last() {
            Some(Message::Tool { result, .. }) => Reply::Answer(result.clone()),
            _ => Reply::Use(vec![refund()]),
        }
    }

    #[tokio::test]
    async fn a_refund_waits_for_a_person() -> Result<(), Failure> {
        let env = TestEnv::start().await?;
        let prompts = mock(Model::ask, |messages: Vec<Message>| Ok(scripted(&messages)))
            .fail(2, ModelError::Overloaded);
        let tools = mock(Shop::use_tool, |_: Tool| Ok("4990 cents are on their way".into()));
        let worker = env.worker("agents").workflow(Agent::run).mock(&prompts).mock(&tools).start().await?;

        let agent = env.client().start(Agent::run("The lamp is broken.".into())).await?;
        env.sleep(hours(20)).await;
        assert_eq!(agent.asks().await?, Some(refund()));
        tools.assert_called(0);
        agent.decide(Tool::Refund { order: "B-1".into(), cents: 1 }, false).await?; // another question's
        agent.decide(refund(), true).await?;
        assert_eq!(agent.result().await?, "4990 cents are on their way");
        prompts.assert_called(2 + 2);
        tools.assert_called(1);
        Ok(worker.shutdown().await?)
    }

    #[tokio::test]
    async fn no_answer_is_a_refusal_and_no_end_is_an_error() -> Result<(), Failure> {
        let env = TestEnv::start().await?;
        let prompts = mock(Model::ask, |messages: Vec<Message>| Ok(scripted(&messages)));
        let worker = env.worker("agents").workflow(Agent::run).mock(&prompts).start().await?;
        let agent = env.client().start(Agent::run("The lamp is broken.".into())).await?;
        assert_eq!(agent.result().await?, "refused by the person in charge");
        worker.shutdown().await?;

        let endless = mock(Model::ask, |_: Vec<Message>| Ok(Reply::Use(Vec::new())));
        let worker = env.worker("agents").workflow(Agent::run).mock(&endless).start().await?;
        let agent = env.client().start(Agent::run("Go on.".into())).await?;
        assert!(matches!(agent.result().await, Err(WorkflowError::Failed(AgentFailed::Endless))));
        endless.assert_called(MOST_PROMPTS);
        Ok(worker.shutdown().await?)
    }
}
