//! Cancelling a run: what is dropped, what is shielded, what undoes.

use abide::prelude::*;

#[activity(start_to_close = "1h")]
pub async fn copy(file: String) -> Result<(), Failure> {
    println!("copying {file}");
    // An activity learns of a cancel from its context.
    activity::context().cancelled().await;
    Err(Failure::new("stopped"))
}

#[activity(start_to_close = "30s")]
pub async fn clean_up(file: String) {
    println!("removing {file}");
}

#[workflow]
async fn backup(file: String) -> Result<(), Failure> {
    let mut saga = workflow::saga();
    saga.on_failure(clean_up(file.clone())); // also when it is cancelled
    copy(file).await?; // a cancel drops this call, and ends the run
    Ok(())
}

#[workflow]
async fn backup_or_not(file: String) -> Result<String, Failure> {
    workflow::select! {
        copied = copy(file) => copied?,
        reason = workflow::cancelled() => return Ok(format!("cancelled: {reason}")),
    }
    Ok("copied".into())
}

mod tests {
    use super::*;
    use abide::testing::{TestEnv, mock};

    #[tokio::test]
    async fn a_cancel_runs_the_compensations() -> Result<(), Failure> {
        let env = TestEnv::start().await?;
        let copies = mock(copy, |_: String| Ok(())).never_ends();
        let cleaned = mock(clean_up, |_: String| ());
        let worker = env.worker("backups").workflow(backup).workflow(backup_or_not);
        let worker = worker.mock(&copies).mock(&cleaned).start().await?;

        let run = env.client().start(backup("a.db".into())).await?;
        let cancel = env.after(mins(1), run.cancel("not today"));
        assert!(matches!(run.result().await, Err(WorkflowError::Cancelled)));
        cancel.await??;
        cleaned.assert_called_with(("a.db".into(),));

        let run = env.client().start(backup_or_not("a.db".into())).await?;
        let cancel = env.after(mins(1), run.cancel("not today"));
        assert_eq!(run.result().await?, "cancelled: not today");
        cancel.await??;
        Ok(worker.shutdown().await?)
    }
}
