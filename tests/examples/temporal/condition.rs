//! Waiting for a condition on the state, with a time limit.

use abide::prelude::*;

#[derive(Default)]
pub struct Approval {
    approved: Option<bool>,
}

#[workflow]
impl Approval {
    #[run]
    pub async fn run(&mut self) -> String {
        let answered = workflow::until!(self.approved.is_some());
        match answered.timeout(days(3)).await {
            Ok(()) if self.approved == Some(true) => "granted".into(),
            Ok(()) => "refused".into(),
            Err(_elapsed) => "no answer".into(),
        }
    }

    #[signal]
    pub fn approve(&mut self, yes: bool) {
        self.approved = Some(yes);
    }
}

mod tests {
    use super::*;
    use abide::testing::TestEnv;

    #[tokio::test]
    async fn it_waits_three_days() -> Result<(), Failure> {
        let env = TestEnv::start().await?;
        let worker = env.worker("desk").workflow(Approval::run).start().await?;
        let client = env.client();
        assert_eq!(client.start(Approval::run()).await?.result().await?, "no answer");

        let run = client.start(Approval::run()).await?;
        let approval = env.after(days(2), run.approve(true));
        assert_eq!(run.result().await?, "granted");
        approval.await??;
        Ok(worker.shutdown().await?)
    }
}
