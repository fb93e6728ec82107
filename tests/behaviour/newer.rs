//! What a newer release has written into the same database: told with a code, left alone, and no hindrance to the rest.

use super::support::{Db, eventually};
use abide::ExecutionStatus;
use abide::prelude::*;
use sqlx::{AssertSqlSafe, Connection, Executor};

#[derive(Default)]
struct Patient {
    told: u32,
}

#[workflow]
impl Patient {
    #[run]
    async fn run(&mut self) -> u32 {
        workflow::until!(self.told > 0).await;
        self.told
    }

    #[signal]
    fn tell(&mut self, n: u32) {
        self.told = n;
    }

    #[query]
    fn told(&self) -> u32 {
        self.told
    }
}

/// Runs a statement as another program. `{s}` stands for the schema.
async fn sql(folder: &tempfile::TempDir, statement: &str) {
    let schema = if crate::ON_POSTGRES { "abide." } else { "" };
    let mut connection = crate::UserConnection::connect(&Db::url(folder)).await.unwrap();
    let done = connection.execute(sqlx::raw_sql(AssertSqlSafe(statement.replace("{s}", schema)))).await;
    assert_eq!(done.unwrap().rows_affected(), 1, "{statement}");
}

const ONE: &str = "(SELECT id FROM {s}execution WHERE workflow_id = 'newer')";

#[tokio::test]
async fn a_message_of_a_newer_release_stays_and_the_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let abide = Db::open(&folder).await;
    let worker = abide.worker("newer").workflow(Patient::run).start().await.unwrap();
    let run = abide.client().start(Patient::run()).id("newer").await.unwrap();
    let columns = "INSERT INTO {s}inbox (execution, kind, request_id, body, at)";
    sql(
        &folder,
        &format!("{columns} SELECT id, 99, 'n1', '{{}}', 0 FROM {{s}}execution WHERE workflow_id = 'newer'"),
    )
    .await;
    assert_eq!(run.told().await.unwrap(), 0);
    run.tell(3).await.unwrap();
    assert_eq!(run.result().await.unwrap(), 3);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_event_of_a_newer_release_suspends_the_run_until_a_release_that_knows_it() {
    let folder = tempfile::tempdir().unwrap();
    let abide = Db::open(&folder).await;
    let worker = || abide.worker("newer").workflow(Patient::run).start();
    let first = worker().await.unwrap();
    let run = abide.client().start(Patient::run()).id("newer").await.unwrap();
    assert_eq!(run.told().await.unwrap(), 0);
    first.shutdown().await.unwrap();
    let columns = "INSERT INTO {s}journal (execution, seq, n, at, writer, body)";
    let row =
        r#"SELECT id, 2, 1, 0, 0, '[{"moved_to_mars":{}}]' FROM {s}execution WHERE workflow_id = 'newer'"#;
    sql(&folder, &format!("{columns} {row}")).await;
    let second = worker().await.unwrap();
    run.tell(4).await.unwrap();
    let suspended = async || run.describe().await.is_ok_and(|run| run.status == ExecutionStatus::Suspended);
    let told = run.result().await.unwrap_err();
    assert!(told.to_string().contains("AB0213"), "{told}");
    assert!(told.to_string().contains("`moved_to_mars`"), "{told}");
    eventually("it is suspended", suspended).await;
    assert_eq!(run.describe().await.unwrap().unreadable.unwrap().code(), "AB0213");
    assert_eq!(run.history().await.unwrap_err().code(), "AB0213");
    sql(&folder, &format!("DELETE FROM {{s}}journal WHERE seq = 2 AND execution = {ONE}")).await;
    run.resume().await.unwrap();
    assert_eq!(run.result().await.unwrap(), 4);
    second.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_status_of_a_newer_release_is_told_by_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let abide = Db::open(&folder).await;
    let run = abide.client().task_queue("newer").start(Patient::run()).id("newer").await.unwrap();
    let other = abide.client().task_queue("newer").start(Patient::run()).await.unwrap();
    let ended =
        r#"UPDATE {s}execution SET status = 29, closed_at = 0, result = '{"moved_to_mars":{}}' WHERE id = "#;
    sql(&folder, &format!("{ended}{ONE}")).await;
    let worker = abide.worker("newer").workflow(Patient::run).start().await.unwrap();
    let described = run.describe().await.unwrap();
    assert_eq!((described.status, described.status.is_open()), (ExecutionStatus::Newer(29), false));
    assert_eq!(described.unreadable.unwrap().code(), "AB0213");
    let told = run.result().await.unwrap_err();
    assert!(told.to_string().contains("AB0213"), "{told}");
    assert_eq!(run.tell(1).await.unwrap_err().code(), "AB0407");
    let listed = abide.client().list(ListFilter::new()).await.unwrap();
    assert_eq!(listed.executions.len(), 2, "it is listed beside the others");
    other.tell(5).await.unwrap();
    assert_eq!(other.result().await.unwrap(), 5);
    worker.shutdown().await.unwrap();
}
