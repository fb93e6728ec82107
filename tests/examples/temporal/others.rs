//! Messages from a workflow to another one, which is not its child.

use super::messages::Desk;
use abide::prelude::*;

#[workflow]
async fn last_question(question: String) -> Result<(), Failure> {
    let desk = workflow::handle::<Desk>("desk-7");
    desk.ask(question).await?;
    workflow::sleep(hours(1)).await;
    desk.close().await?;
    Ok(())
}

mod tests {
    use super::super::messages::answer;
    use super::*;
    use abide::testing::TestEnv;

    #[tokio::test]
    async fn a_question_is_asked_by_another_workflow() -> Result<(), Failure> {
        let env = TestEnv::start().await?;
        let worker = env.worker("desks").workflow(Desk::run).workflow(last_question);
        let worker = worker.activity(answer).start().await?;
        let desk = env.client().start(Desk::run("sales".into())).id("desk-7").await?;
        let asking = env.client().start(last_question("Does it work?".into())).await?;
        assert_eq!(desk.result().await?, ["Does it work? Yes."]);
        asking.result().await?;

        // The desk is closed: the message has no receiver, and the workflow is told.
        let late = env.client().start(last_question("And now?".into())).await?;
        assert!(late.result().await.is_err());
        Ok(worker.shutdown().await?)
    }
}
