//! What only SQLite has: files that are not ours, locks of strangers, migrations, and the plans of the statements.

use super::*;
use crate::store::conformance::Lab;
use crate::store::{AppendOutcome, SendAnswer};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, Executor, Row};
use std::time::{Duration, Instant};

/// A connection of another program.
async fn stranger(lab: &Lab) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(lab.path()).create_if_missing(true);
    SqliteConnection::connect_with(&options).await.unwrap()
}

async fn refused(url: &str) -> &'static str {
    let options = OpenOptions { busy_timeout: Duration::from_millis(300), ..OpenOptions::default() };
    open(url, options).await.map(drop).unwrap_err().code()
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let lab = Lab::new();
    let folder = lab.path().parent().unwrap().to_owned();
    assert_eq!(refused("postgres://x").await, "AB0509");
    assert_eq!(refused(&format!("sqlite://{}", folder.display())).await, "AB0501");
    assert_eq!(refused(&format!("sqlite://{}/no/such.db", folder.display())).await, "AB0501");
    std::fs::write(lab.path(), "Dear diary, this is no database.").unwrap();
    assert_eq!(refused(&lab.url()).await, "AB0505");
    std::fs::write(lab.path(), "SQLite format 3\0 and then nonsense, for quite a while").unwrap();
    assert_eq!(refused(&lab.url()).await, "AB0505");
}

#[tokio::test]
async fn a_read_only_file_says_so() {
    let lab = Lab::new();
    lab.process().await.die().await;
    let mut permissions = std::fs::metadata(lab.path()).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(lab.path(), permissions).unwrap();
    assert_eq!(refused(&lab.url()).await, "AB0502");
}

#[tokio::test]
async fn a_foreign_database_is_left_alone() {
    let lab = Lab::new();
    let mut other = stranger(&lab).await;
    other.execute("CREATE TABLE invoice (id INTEGER)").await.unwrap();
    other.close().await.unwrap();
    let before = std::fs::read(lab.path()).unwrap();
    assert_eq!(refused(&lab.url()).await, "AB0505");
    let tables = "SELECT group_concat(name) FROM sqlite_master";
    let tables: String = sqlx::query_scalar(tables).fetch_one(&mut stranger(&lab).await).await.unwrap();
    assert_eq!(tables, "invoice");
    assert_eq!(std::fs::read(lab.path()).unwrap().len(), before.len());
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let lab = Lab::new();
    lab.process().await.die().await;
    let newer = "INSERT INTO abide_migration VALUES (99, 'later', 0)";
    stranger(&lab).await.execute(newer).await.unwrap();
    assert_eq!(refused(&lab.url()).await, "AB0506");
}

#[tokio::test]
async fn a_migration_cut_off_leaves_nothing() {
    let lab = Lab::new();
    let mut dying = stranger(&lab).await;
    dying.execute("BEGIN IMMEDIATE; CREATE TABLE execution (half INTEGER)").await.unwrap();
    dying.close().await.unwrap();
    lab.process().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_open_at_once() {
    let lab = Lab::new();
    let url = lab.url();
    let open = |_| {
        let url = url.clone();
        tokio::spawn(
            async move { open(&url, OpenOptions::default()).await.map(|store| store.execution_id().0) },
        )
    };
    let mut blocks = Vec::new();
    for opened in (0..8).map(open).collect::<Vec<_>>() {
        blocks.push(opened.await.unwrap().unwrap());
    }
    blocks.sort_unstable();
    blocks.dedup();
    assert_eq!(blocks.len(), 8, "every process has ids of its own");
}

#[tokio::test]
async fn a_strangers_lock_is_told_to_clients_and_waited_out_by_appends() {
    let lab = Lab::new();
    let options = OpenOptions { busy_timeout: Duration::from_millis(400), ..OpenOptions::default() };
    let process = lab.process_with(options).await;
    let id = process.running("order-1").await;
    let mut tool = stranger(&lab).await;
    tool.execute("BEGIN IMMEDIATE").await.unwrap();
    let append = process.submit(process.turn(id, 2, 1));
    let asked = Instant::now();
    let refused = process.store.send(process.message(id, "s1")).await.unwrap_err();
    assert_eq!(refused.code(), "AB0503", "{refused}");
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    assert_eq!(process.row(id).await.history_len, 1, "reading goes on");
    assert!(matches!(open(&lab.url(), process_options()).await.map(drop), Err(StoreError::Busy { .. })));
    tool.execute("ROLLBACK").await.unwrap();
    assert!(matches!(append.await.unwrap(), Ok(AppendOutcome::Done)));
    assert_eq!(process.send(id, "s1").await, SendAnswer::Sent);
}

fn process_options() -> OpenOptions {
    OpenOptions { busy_timeout: Duration::from_millis(100), ..OpenOptions::default() }
}

/// Every section, with and without its own transaction, is prepared; none reads a whole table.
#[tokio::test]
async fn the_batchs_statements_use_their_indexes() {
    let lab = Lab::new();
    lab.process().await.die().await;
    let mut connection = stranger(&lab).await;
    for sections in 0..128 {
        for transaction in [false, true] {
            for statement in sql::text(sections, transaction).split(';') {
                if statement == "BEGIN IMMEDIATE" || statement == "COMMIT" {
                    continue;
                }
                for step in plan(&mut connection, statement).await {
                    // What is scanned are the batch's own rows (`c`, `u`, `n`), and `w`, the one row of a check.
                    let own = ["VIRTUAL TABLE", "CONSTANT ROW"].iter().any(|part| step.contains(part))
                        || ["SCAN c", "SCAN u", "SCAN n", "SCAN w"].contains(&step.as_str());
                    let scans_table = step.starts_with("SCAN") && !own;
                    assert!(!scans_table, "{step}: {statement}");
                }
            }
        }
    }
}

/// What looks for tasks does so often: an index gives the rows, and their order.
#[tokio::test]
async fn looking_for_tasks_uses_indexes() {
    let lab = Lab::new();
    lab.process().await.die().await;
    let mut connection = stranger(&lab).await;
    for statement in task::LOOKS {
        for step in plan(&mut connection, statement).await {
            let slow = step.contains("FOR ORDER BY") || step.starts_with("SCAN task");
            assert!(!slow, "{step}: {statement}");
        }
    }
}

/// The steps by which SQLite would run it.
async fn plan(connection: &mut SqliteConnection, statement: &str) -> Vec<String> {
    let plan = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
    connection.fetch_all(plan).await.unwrap().iter().map(|row| row.get(3)).collect()
}
