//! A signal whose handler awaits, a query, and the first state.

use abide::prelude::*;

#[activity(start_to_close = "30s")]
pub async fn answer(question: String) -> String {
    format!("{question} Yes.")
}

pub struct Desk {
    name: String,
    answers: Vec<String>,
    closed: bool,
}

#[workflow]
impl Desk {
    #[init]
    fn new(name: String) -> Self {
        Self { name, answers: Vec::new(), closed: false }
    }

    #[run]
    pub async fn run(&mut self, _name: String) -> Vec<String> {
        workflow::until!(self.closed).await;
        self.answers.clone()
    }

    #[signal]
    pub async fn ask(&mut self, question: String) {
        if let Ok(said) = answer(question).await {
            self.answers.push(said);
        }
    }

    #[signal]
    pub fn close(&mut self) {
        self.closed = true;
    }

    #[query]
    pub fn answered(&self) -> (String, usize) {
        (self.name.clone(), self.answers.len())
    }
}

mod tests {
    use super::*;
    use abide::testing::TestEnv;

    #[tokio::test]
    async fn questions_are_answered_while_the_desk_is_open() -> Result<(), Failure> {
        let env = TestEnv::start().await?;
        let worker = env.worker("desks").workflow(Desk::run).activity(answer).start().await?;
        let desk = env.client().start(Desk::run("sales".into())).await?;
        desk.ask("Does it work?".into()).await?;
        env.sleep(secs(1)).await;
        assert_eq!(desk.answered().await?, ("sales".into(), 1));
        desk.close().await?;
        assert_eq!(desk.result().await?, ["Does it work? Yes."]);
        Ok(worker.shutdown().await?)
    }
}
