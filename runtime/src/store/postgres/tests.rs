//! What only Postgres has: its migrations, and the plans of its statements on tables of some size.

use super::batch::{COMBINATIONS, text};
use super::store::PostgresStore;
use super::*;
use crate::store::row::execution_columns;
use crate::store::{Deaths, Filter, Ownership, Store, WorkerInfo};
use abide_core::Incarnation;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};
use std::time::Duration;

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

/// Every text that the store sends is one that the server can prepare, with each combination of sections.
#[tokio::test]
async fn every_batch_can_be_prepared() {
    let url = cluster::shared_database();
    let store = open::open_store(&url, OpenOptions::default()).await.unwrap();
    let mut connection = connect(&url).await;
    for sections in 0..COMBINATIONS {
        let prepare = format!("PREPARE batch AS {}", store.shared.sql.fill(&text(sections)));
        connection.execute(sqlx::raw_sql(AssertSqlSafe(prepare))).await.unwrap();
        connection.execute("DEALLOCATE batch").await.unwrap();
    }
}

/// Ten thousand executions of each kind, their journals and tasks, and many more that sleep in another task queue: enough that a plan that reads whole tables is the dearer one by far.
const FILL: &str = "
INSERT INTO {s}.execution (id, workflow_id, run_id, type, queue, status, owner, wake_at, created_at, closed_at, result)
SELECT i, 'w' || i, 'r' || i, 'Order', 'q' || i % 4,
    CASE i % 4 WHEN 0 THEN 0 WHEN 1 THEN 0 ELSE 10 END, CASE WHEN i % 4 = 0 THEN i % 40 END,
    CASE WHEN i % 4 = 1 THEN 4000000000000 + i END, i, CASE WHEN i % 4 > 1 THEN i END, '{}'
FROM generate_series(1, 40000) i;
INSERT INTO {s}.execution (id, workflow_id, run_id, type, queue, status, wake_at, created_at)
SELECT i, 'w' || i, 'r' || i, 'Sleeper', 'asleep', 0, 4000000000000 + i, i FROM generate_series(40001, 120000) i;
INSERT INTO {s}.journal (execution, seq, n, at, writer, body)
SELECT i, seq, 1, i, 1, '[]' FROM generate_series(1, 40000) i, generate_series(1, 5) seq;
INSERT INTO {s}.inbox (execution, kind, request_id, body, at)
SELECT i, 0, 'm' || i, '{}', i FROM generate_series(1, 40000, 400) i;
INSERT INTO {s}.task (execution, activity, attempt, queue, name, input, limits, run_at, owner, start_by, close_by)
SELECT i, activity, 1, 'q' || i % 4, 'step', '[]', '{}', i, CASE WHEN i % 8 = 1 THEN i % 40 END, 4000000000000, 4000000000000
FROM generate_series(1, 40000) i, generate_series(2, 9) activity WHERE i % 4 < 2;
INSERT INTO {s}.attempt SELECT i, activity, 1, i, '{}' FROM generate_series(1, 40000) i, generate_series(2, 5) activity WHERE i % 4 < 2;
INSERT INTO {s}.reply SELECT 'q' || i, '1', i FROM generate_series(1, 5000) i;
INSERT INTO {s}.worker (name, build, queue, types, life_key, started_at, schema)
SELECT 'w', 'b', 'q1', ARRAY['Other'], i, i, 3 FROM generate_series(1, 40) i;
INSERT INTO {s}.lease SELECT i, slot, 4000000000000, 1 FROM generate_series(1, 40) i, generate_series(0, 1) slot;
ANALYZE";

/// The steps of a statement's plan with these arguments.
async fn plan(connection: &mut PgConnection, statement: &str, arguments: &str) -> Vec<String> {
    let prepare = format!("PREPARE hot AS {statement}");
    connection.execute(sqlx::raw_sql(AssertSqlSafe(prepare))).await.unwrap();
    let explain = format!("EXPLAIN (COSTS OFF) EXECUTE hot{arguments}");
    let rows = connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(explain))).await.unwrap();
    connection.execute("DEALLOCATE hot").await.unwrap();
    rows.iter().map(|row| row.get::<String, _>(0)).collect()
}

/// What reads a whole table that grows with the work. `inbox` is not one: a queue that is short while all is well, and whose short
/// side the claims begin with.
fn whole_table(plan: &[String]) -> Option<&String> {
    let of_ours = |step: &str| {
        let names = ["execution", "journal", "task", "attempt"];
        names.iter().any(|name| step.contains(&format!(" on {name}")) || step.contains(&format!(" {name}_")))
    };
    let mut steps = plan.iter().enumerate().filter(|(_, step)| step.contains("->") && of_ours(step));
    steps
        .find(|(at, step)| {
            // A walk along a whole index is no better.
            let details = plan[at + 1..].iter().take_while(|line| !line.contains("->"));
            let walks = step.contains("Index Scan") || step.contains("Index Only Scan");
            step.contains("Seq Scan") || walks && !details.into_iter().any(|line| line.contains("Index Cond"))
        })
        .map(|(_, step)| step)
}

async fn filled() -> (PostgresStore, PgConnection) {
    let url = cluster::shared_database();
    let store = open::open_store(&url, OpenOptions::default()).await.unwrap();
    let mut connection = connect(&url).await;
    connection.execute(sqlx::raw_sql(AssertSqlSafe(store.shared.sql.fill(FILL)))).await.unwrap();
    (store, connection)
}

/// The writers plan each batch once, for any numbers.
#[tokio::test]
async fn no_batch_reads_a_whole_table() {
    let (store, mut connection) = filled().await;
    connection.execute("SET plan_cache_mode = force_generic_plan").await.unwrap();
    for sections in 0..COMBINATIONS {
        let statement = text(sections);
        let last = (1..).take_while(|n| statement.contains(&format!("${n}"))).count();
        let arguments = format!("({})", vec!["NULL"; last].join(", "));
        let plan = plan(&mut connection, &store.shared.sql.fill(&statement), &arguments).await;
        assert_eq!(whole_table(&plan), None, "{statement}");
    }
}

#[tokio::test]
async fn no_hot_statement_reads_a_whole_table() {
    let (store, mut connection) = filled().await;
    let claim = "(1, 'q1', ARRAY['Order'], 20, 'b1', 100, 2, 5)";
    let hot = [
        (claim::CLAIM, claim),
        (claim::CLAIM_SUSPECT, claim),
        (claim::CLAIM_OFFERED, "(1, 'q1', ARRAY['Order'], 20, 'b1', 100)"),
        (claim::NEXT_DUE, "('q1', ARRAY['Order'], 2, 'b1')"),
        (message::INBOX, "(7)"),
        (message::OPEN_QUERIES, "(ARRAY['q1'], ARRAY['Order'])"),
        (message::SEND, "(4, 0, 'new', '{}')"),
        (task::CLAIM_TASKS, "(1, 'q1', ARRAY['step'], 100)"),
        (task::NEXT_TASK, "('q1', ARRAY['step'])"),
        (task::FINISH, "(1, 4, 2, 1, '{}', 7)"),
        (task::EXPIRE, "('{}', '{}', '{}')"),
        (transaction::COMPLETE, "(1, 4, 2, 1, '{}')"),
        (find::BY_ID, "(4)"),
        (find::BY_WORKFLOW_ID, "('w4')"),
        (journal::JOURNAL, "(4)"),
        (lease::OWNED, "(7)"),
        (start::KNOWN, "('r4', 'request')"),
        (start::OPEN, "('w4')"),
        (start::CLOSED, "('w4')"),
        (lease::FREE, "(7, 1, 1000)"),
    ];
    for (statement, arguments) in hot {
        let plan = plan(&mut connection, &store.shared.sql.fill(statement), arguments).await;
        assert_eq!(whole_table(&plan), None, "{statement}");
    }
    let filter = Filter { statuses: vec![crate::status::ExecutionStatus::Running], ..Filter::default() };
    let (columns, table) =
        (store.shared.sql.fill(execution_columns!("{s}.")), store.shared.sql.fill("{s}.execution"));
    let list = find::list_query(&columns, &table, &filter);
    let list = format!("{} ORDER BY e.run_id DESC LIMIT 100", list.sql().as_str());
    let plan = plan(&mut connection, &list, "(ARRAY[0])").await;
    assert!(plan.iter().any(|step| step.contains("Index Scan Backward using execution_run_id")), "{plan:?}");
}

/// The newest run of a workflow id is found at the end of an index, without looking at the others.
#[tokio::test]
async fn the_newest_run_of_a_workflow_id_is_the_end_of_an_index() {
    let (store, mut connection) = filled().await;
    let more = "INSERT INTO {s}.execution (id, workflow_id, run_id, type, queue, status, created_at, closed_at, result)
        SELECT i, 'again', 'r' || i, 'Order', 'q1', 10, i, i, '{}' FROM generate_series(200001, 210000) i; ANALYZE";
    connection.execute(sqlx::raw_sql(AssertSqlSafe(store.shared.sql.fill(more)))).await.unwrap();
    let looks =
        [(find::BY_WORKFLOW_ID, "('again')"), (start::CLOSED, "('again')"), (start::OPEN, "('again')")];
    for (statement, arguments) in looks {
        let plan = plan(&mut connection, &store.shared.sql.fill(statement), arguments).await;
        assert!(!plan.iter().any(|step| step.contains("Sort")), "{plan:?}");
        assert!(
            plan.iter().any(|step| step.contains("execution_newest") || step.contains("execution_open")),
            "{plan:?}"
        );
    }
    // The policies of a start in a batch.
    let statement = text(super::batch::CREATES);
    connection.execute("SET plan_cache_mode = force_generic_plan").await.unwrap();
    let last = (1..).take_while(|n| statement.contains(&format!("${n}"))).count();
    let arguments = format!("({})", vec!["NULL"; last].join(", "));
    let plan = plan(&mut connection, &store.shared.sql.fill(&statement), &arguments).await;
    assert!(plan.iter().any(|step| step.contains("Index Scan Backward using execution_newest")), "{plan:?}");
}

/// How many rows of the inbox a statement reads.
async fn inbox_rows(connection: &mut PgConnection, statement: &str, arguments: &str) -> f64 {
    let prepare = format!("PREPARE hot AS {statement}");
    connection.execute(sqlx::raw_sql(AssertSqlSafe(prepare))).await.unwrap();
    let explain = format!("EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE hot{arguments}");
    connection.execute("BEGIN").await.unwrap();
    let row = connection.fetch_one(sqlx::raw_sql(AssertSqlSafe(explain))).await.unwrap();
    connection.execute("ROLLBACK; DEALLOCATE hot").await.unwrap();
    let plan: serde_json::Value = serde_json::from_str(&row.get_unchecked::<String, _>(0)).unwrap();
    let (mut read, mut steps) = (0.0, vec![&plan[0]["Plan"]]);
    while let Some(step) = steps.pop() {
        steps.extend(step["Plans"].as_array().into_iter().flatten());
        if step["Relation Name"] == "inbox" {
            let number = |name: &str| step[name].as_f64().unwrap_or_default();
            let rows = number("Actual Rows") + number("Rows Removed by Filter");
            read += rows * number("Actual Loops");
        }
    }
    read
}

/// A hundred suspended runs with 10,000 unread messages, beside the hundred messages that wait for others (PROTOCOL 97).
#[tokio::test]
async fn no_claim_walks_over_the_messages_of_suspended_runs() {
    let (store, mut connection) = filled().await;
    let many = "INSERT INTO {s}.execution (id, workflow_id, run_id, type, queue, status, created_at)
            SELECT i, 'w' || i, 'r' || i, 'Order', 'q1', 1, i FROM generate_series(300001, 300100) i;
        INSERT INTO {s}.inbox (execution, kind, request_id, body, at, parked)
            SELECT 300001 + i % 100, 0, 'p' || i, '{}', i, true FROM generate_series(1, 10000) i;
        ANALYZE";
    connection.execute(sqlx::raw_sql(AssertSqlSafe(store.shared.sql.fill(many)))).await.unwrap();
    let claim = "(1, 'q1', ARRAY['Order'], 20, 'b1', 100, 2, 5)";
    let looks = [
        (claim::CLAIM, claim),
        (claim::CLAIM_SUSPECT, claim),
        (message::INBOX, "(7)"),
        (message::OPEN_QUERIES, "(ARRAY['q1'], ARRAY['Order'])"),
        (sweep::PARK, "(1000)"),
    ];
    for (statement, arguments) in looks {
        let read = inbox_rows(&mut connection, &store.shared.sql.fill(statement), arguments).await;
        assert!(read <= 300.0, "{read} rows: {statement}");
    }
    // The measure is right: what reads all of them says so.
    let all = inbox_rows(&mut connection, &store.shared.sql.fill("SELECT count(*) FROM {s}.inbox"), "").await;
    assert!(all >= 10_100.0, "{all}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_processes_that_start_at_once_migrate_once() {
    let url = cluster::shared_database();
    let mut opening = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let url = url.clone();
        opening.spawn(async move {
            let store = open(&url, OpenOptions::default()).await.unwrap();
            store.register(WorkerInfo::default()).await.unwrap();
            store.execution_id().0
        });
    }
    let mut ids = opening.join_all().await;
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 10, "every process has ids of its own");
    let migrations = "SELECT count(*) FROM abide.migration";
    let applied: i64 = sqlx::query_scalar(migrations).fetch_one(&mut connect(&url).await).await.unwrap();
    assert_eq!(applied, schema::version());
}

/// A migration that fails leaves nothing of itself.
#[tokio::test]
async fn a_migration_that_fails_leaves_nothing() {
    let url = cluster::shared_database();
    let mut dba = connect(&url).await;
    // A type of the name of a table that comes late.
    dba.execute(sqlx::raw_sql("CREATE SCHEMA abide; CREATE TYPE abide.reply AS (a int)")).await.unwrap();
    let Err(error) = open(&url, OpenOptions::default()).await else { panic!("it opened") };
    assert_eq!(error.code(), "AB0511", "{error}");
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'abide'";
    assert_eq!(sqlx::query_scalar::<_, i64>(tables).fetch_one(&mut dba).await.unwrap(), 0);
    dba.execute("DROP TYPE abide.reply").await.unwrap();
    assert!(open(&url, OpenOptions::default()).await.is_ok());
}

/// A schema as the build before the migration that refuses older workers has left it, with a worker of that build.
async fn older(url: &str, lease_ms: i64) -> PgConnection {
    let texts = pending_migrations(url, OpenOptions::default()).await.unwrap();
    let mut dba = connect(url).await;
    for (_, text) in texts.into_iter().filter(|(version, _)| *version < 3) {
        dba.execute(sqlx::raw_sql(AssertSqlSafe(format!("BEGIN; {text} COMMIT")))).await.unwrap();
    }
    dba.execute(OLDER_WORKER).await.unwrap();
    let lease = "INSERT INTO abide.lease (worker, slot, lease_until, renewed_at)
        SELECT id, 0, (extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1, 1 FROM abide.worker";
    sqlx::query(lease).bind(lease_ms).execute(&mut dba).await.unwrap();
    dba
}

const OLDER_WORKER: &str =
    "INSERT INTO abide.worker (name, build, queue, types, life_key, process, started_at)
    VALUES ('w', 'b', 'q', '{}', 1, '', 0)";

#[tokio::test]
async fn a_migration_waits_for_the_lease_of_an_older_worker_that_is_gone() {
    let url = cluster::shared_database();
    let mut dba = older(&url, 600).await;
    // The text itself refuses, as a DBA runs it.
    let (_, text) = pending_migrations(&url, OpenOptions::default()).await.unwrap().remove(0);
    let refused =
        dba.execute(sqlx::raw_sql(AssertSqlSafe(format!("BEGIN; {text} COMMIT")))).await.unwrap_err();
    assert!(refused.to_string().contains("older abide are running (`w` on task queue `q`)"), "{refused}");
    dba.execute("ROLLBACK").await.unwrap();
    let store = open(&url, OpenOptions::default()).await.unwrap();
    store.register(WorkerInfo::default()).await.unwrap();
}

#[tokio::test]
async fn a_migration_is_refused_while_an_older_worker_renews_its_lease() {
    let url = cluster::shared_database();
    let mut dba = older(&url, 600_000).await;
    let renewing = tokio::spawn(async move {
        loop {
            dba.execute("UPDATE abide.lease SET renewed_at = renewed_at + 1").await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let Err(error) = open(&url, OpenOptions::default()).await else { panic!("it opened") };
    assert_eq!(error.code(), "AB0511", "{error}");
    assert!(error.to_string().contains("shut them down first"), "{error}");
    renewing.abort();
    let version = "SELECT max(version) FROM abide.migration";
    let version: i64 = sqlx::query_scalar(version).fetch_one(&mut connect(&url).await).await.unwrap();
    assert_eq!(version, 2);
}

/// What an older build, opened before the migration, must not do after it.
#[tokio::test]
async fn an_older_worker_cannot_register_and_an_older_client_cannot_end_a_child() {
    let url = cluster::shared_database();
    let (store, _) = registered(&url).await;
    let mut dba = connect(&url).await;
    let refused = dba.execute(OLDER_WORKER).await.unwrap_err();
    assert!(refused.to_string().contains("worker_of_an_older_abide"), "{refused}");
    dba.execute(sqlx::raw_sql(AssertSqlSafe(store.shared.sql.fill(FILL.split(';').next().unwrap()))))
        .await
        .unwrap();
    let close = "UPDATE abide.execution SET status = 13 WHERE id = 1";
    let told = "UPDATE abide.execution SET status = 13, told = true WHERE id = 1";
    dba.execute("UPDATE abide.execution SET status = 0, parent = 2, child_no = 1 WHERE id = 1")
        .await
        .unwrap();
    let refused = dba.execute(close).await.unwrap_err();
    assert!(refused.to_string().contains("execution_told"), "{refused}");
    dba.execute(told).await.unwrap();
}

async fn registered(url: &str) -> (PostgresStore, Incarnation) {
    let store = open::open_store(url, OpenOptions::default()).await.unwrap();
    let me = store.register(WorkerInfo::default()).await.unwrap();
    (store, me)
}

/// How long the lease lasts from its last renewal, in ms.
async fn lease_of(dba: &mut PgConnection, worker: Incarnation) -> i64 {
    let length = "SELECT max(lease_until - renewed_at) FROM abide.lease WHERE worker = $1";
    sqlx::query_scalar(length).bind(worker.0).fetch_one(dba).await.unwrap()
}

/// A free lock shortens a lease that was renewed at this very run of the server, also for whoever has just come.
#[tokio::test]
async fn a_free_lock_counts_where_the_server_has_run_since_the_last_renewal() {
    let url = cluster::shared_database();
    let mut dba = connect(&url).await;
    let (left, gone) = registered(&url).await;
    left.close().await.unwrap();
    let elsewhere = "UPDATE abide.lease SET server = 'another' WHERE worker = $1";
    sqlx::query(elsewhere).bind(gone.0).execute(&mut dba).await.unwrap();
    // Until the server has seen the end of its session.
    let held = "SELECT count(*) FROM pg_locks k JOIN abide.worker w
        ON ((k.classid::bigint << 32) | k.objid::bigint) = w.life_key WHERE w.id = $1";
    while sqlx::query_scalar::<_, i64>(held).bind(gone.0).fetch_one(&mut dba).await.unwrap() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (other, me) = registered(&url).await;
    assert_eq!(other.dead().await.unwrap(), Deaths::default());
    assert_eq!(lease_of(&mut dba, gone).await, 12_000, "its server has restarted since");
    let here = "UPDATE abide.lease SET server = (SELECT server FROM abide.lease WHERE worker = $2 LIMIT 1) WHERE worker = $1";
    sqlx::query(here).bind(gone.0).bind(me.0).execute(&mut dba).await.unwrap();
    let deaths = other.dead().await.unwrap();
    assert_eq!(lease_of(&mut dba, gone).await, 4_900);
    assert!(deaths.next.is_some() || deaths.dead.len() == 1, "looked for when it has run out: {deaths:?}");
    assert_eq!(lease_of(&mut dba, me).await, 12_000, "its own lock is held");
    assert_eq!(other.take_over(me).await.unwrap(), 0);
}

/// Only where both say so: the operating system, and the server, which has seen the end of the session.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_process_of_this_machine_that_has_ended_is_dead_at_once() {
    let url = cluster::shared_database();
    let mut dba = connect(&url).await;
    let (alive, living) = registered(&url).await;
    let (left, gone) = registered(&url).await;
    let (other, _) = registered(&url).await;
    let Some(here) = process::Here::look() else { return };
    // The text of a process that has ended: there is none of this number.
    let ended = here.text().rsplitn(3, '/').last().map(|machine| format!("{machine}/4194305/1")).unwrap();
    sqlx::query("UPDATE abide.worker SET process = $1 WHERE id < $2")
        .bind(&ended)
        .bind(gone.0 + 1)
        .execute(&mut dba)
        .await
        .unwrap();
    assert_eq!(other.dead().await.unwrap(), Deaths::default(), "both hold their locks");
    left.close().await.unwrap();
    let found = loop {
        let found = other.dead().await.unwrap();
        if !found.dead.is_empty() {
            break found;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let found: Vec<_> = found.dead.iter().map(|dead| (dead.incarnation, dead.gone)).collect();
    assert_eq!(found, [(gone, true)]);
    assert!(lease_of(&mut dba, gone).await > 0, "its lease is still there");
    assert_eq!(other.take_over(gone).await.unwrap(), 0, "it owned nothing");
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM abide.worker WHERE id = $1")
        .bind(gone.0)
        .fetch_one(&mut dba)
        .await
        .unwrap();
    assert_eq!(left, 0);
    assert_eq!(other.take_over(living).await.unwrap(), 0, "its lock is held");
    alive.renew(living).await.unwrap();
}

/// The server restarts its sessions alone when one of them crashes: the postmaster stays, and all locks are gone.
#[tokio::test]
async fn another_run_of_the_server_is_told_from_this_one() {
    let cluster = cluster::Cluster::start(cluster::Options::default()).unwrap();
    let url = cluster.create_database().unwrap();
    let run = async || {
        loop {
            let Ok(mut connection) = PgConnection::connect(&url).await else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let statement = format!("SELECT {}, pg_backend_pid()", sql::SERVER);
            let asked = sqlx::query_as::<_, (String, i32)>(AssertSqlSafe(statement));
            if let Ok(answer) = asked.fetch_one(&mut connection).await {
                return (connection, answer);
            }
        }
    };
    let (_first, (before, pid)) = run().await;
    assert_eq!(run().await.1.0, before, "the same for every session");
    let killed = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    assert!(killed.success());
    while run().await.1.0 == before {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let crashed = run().await.1.0;
    cluster.restart(cluster::Mode::Fast).unwrap();
    assert_ne!(run().await.1.0, crashed);
}
