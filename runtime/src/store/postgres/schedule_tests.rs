//! Schedules on a real server: what a pass reads, what it waits for, and what it does with a row that is refused.

use super::reports::SWEEP;
use super::schedule::{DUE, LOOK};
use super::tests::connect;
use super::*;
use crate::store::conformance::schedules::{create, due, parts, row_of, step, trigger};
use crate::store::conformance::{Lab, Process};
use crate::store::{Action, Filter, ScheduleParts};
use abide_core::schedule::Overlap;
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};

/// How many rows of a table a statement reads.
async fn rows_read(connection: &mut PgConnection, table: &str, statement: &str, arguments: &str) -> f64 {
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
        if step["Relation Name"] == table {
            let number = |name: &str| step[name].as_f64().unwrap_or_default();
            let removed = number("Rows Removed by Filter") + number("Rows Removed by Join Filter");
            read += (number("Actual Rows") + removed) * number("Actual Loops");
        }
    }
    read
}

/// A hundred thousand schedules: a look reads the first, a pass those that are due or have a report.
#[tokio::test]
async fn a_pass_reads_what_is_due() {
    let url = cluster::shared_database();
    let store = open::open_store(&url, OpenOptions::default()).await.unwrap();
    let mut connection = connect(&url).await;
    let fill = "INSERT INTO {s}.schedule (id, number, spec, action, policy, state, next_at, last_slot, created_at)
            SELECT 's' || i, -i, '{}', '{}', '{}', '{}', CASE WHEN i > 99990 THEN i ELSE 4000000000000 + i END, 1, 1
            FROM generate_series(1, 100000) i;
        INSERT INTO {s}.inbox (execution, kind, request_id, body, at)
            SELECT -i, 7, 'run/1', '{}', 1 FROM generate_series(1, 5) i;
        INSERT INTO {s}.execution (id, workflow_id, run_id, type, queue, status, created_at)
            SELECT i, 'w' || i, 'r' || i, 'Order', 'q', 0, i FROM generate_series(1, 20000) i;
        INSERT INTO {s}.inbox (execution, kind, request_id, body, at)
            SELECT i, 0, 'm', '{}', 1 FROM generate_series(1, 20000) i;
        ANALYZE";
    connection.execute(sqlx::raw_sql(AssertSqlSafe(store.shared.sql.fill(fill)))).await.unwrap();
    for (statement, arguments, schedules, messages) in
        [(LOOK, "", 10.0, 10.0), (DUE, "(100)", 50.0, 20.0), (SWEEP, "", 30.0, 20.0)]
    {
        let text = store.shared.sql.fill(statement);
        let read = rows_read(&mut connection, "schedule", &text, arguments).await;
        assert!(read <= schedules, "{read} schedules: {statement}");
        let read = rows_read(&mut connection, "inbox", &text, arguments).await;
        assert!(read <= messages, "{read} messages: {statement}");
    }
}

async fn workflow_ids(process: &Process) -> Vec<String> {
    let rows = process.store.list(Filter::default()).await.unwrap().rows;
    let mut ids: Vec<String> = rows.into_iter().map(|row| row.workflow_id).collect();
    ids.sort();
    ids
}

fn named(prefix: &str) -> ScheduleParts {
    let parts = parts(1_000, Overlap::Skip);
    ScheduleParts { action: Action { prefix: prefix.to_owned(), ..parts.action.clone() }, ..parts }
}

/// No text of Postgres holds a NUL.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_whose_run_is_refused_is_halted_and_the_others_go_on() {
    let lab = Lab::postgres();
    let a = lab.process().await;
    create(&a, "bad", named("a\0b")).await;
    create(&a, "good", named("good")).await;
    due(&a, "bad").await;
    due(&a, "good").await;
    assert_eq!(step(&a).await.schedules, 1);
    let bad = row_of(&a, "bad").await;
    assert!(bad.halted && bad.paused && bad.next_at_ms.is_none(), "{bad:?}");
    assert!(bad.note.as_ref().unwrap().contains("the database refuses it"), "{:?}", bad.note);
    assert!(workflow_ids(&a).await[0].starts_with("good-"));
    let good = row_of(&a, "good").await;
    assert!(!good.halted && good.next_at_ms.is_some());
}

/// A row that cannot be read, as one of a newer release.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_that_cannot_be_read_is_halted_until_it_is_changed() {
    let lab = Lab::postgres();
    let a = lab.process().await;
    create(&a, "s", named("s")).await;
    let run = trigger(&a, "s", "r").await;
    let mut dba = connect(&lab.url()).await;
    let damage = "UPDATE abide.schedule SET state = '{\"running\": 7}', next_at = 1";
    dba.execute(damage).await.unwrap();
    assert_eq!(step(&a).await.schedules, 0);
    assert!(row_of(&a, "s").await.note.unwrap().starts_with("its state cannot be read"));
    // What has come for it waits, and no pass looks at it.
    a.store.terminate(run.execution, "t".to_owned(), "{}".to_owned()).await.unwrap();
    let commits = a.store.metrics().commits;
    assert_eq!(step(&a).await.schedules, 0);
    assert_eq!(a.store.metrics().commits, commits);
}

/// Another session starts under the run's id: that row waits, the others do not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_held_makes_its_schedule_wait() {
    let lab = Lab::postgres();
    let a = lab.process().await;
    for id in ["held", "free"] {
        create(&a, id, named(id)).await;
    }
    let slot_ms = row_of(&a, "held").await.next_at_ms.unwrap();
    let slot = jiff::Timestamp::from_millisecond(slot_ms).unwrap();
    let key = keys::lock_key("abide", "start", &format!("held-{slot}"));
    let mut other = connect(&lab.url()).await;
    let lock = format!("BEGIN; SELECT pg_advisory_xact_lock({key})");
    other.execute(sqlx::raw_sql(AssertSqlSafe(lock))).await.unwrap();
    due(&a, "held").await;
    due(&a, "free").await;
    step(&a).await;
    assert!(workflow_ids(&a).await.iter().all(|id| id.starts_with("free-")));
    assert_eq!(row_of(&a, "held").await.next_at_ms, Some(slot_ms), "it is undone");
    other.execute("COMMIT").await.unwrap();
    step(&a).await;
    assert!(workflow_ids(&a).await.contains(&format!("held-{slot}")));
}

/// A pass that is under way has locked its rows: another passes them over, and finds nothing due after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pass_beside_another_starts_nothing() {
    let lab = Lab::postgres();
    let (a, b) = (lab.process().await, lab.process().await);
    create(&a, "s", named("s")).await;
    due(&a, "s").await;
    let mut other = connect(&lab.url()).await;
    other.execute("BEGIN").await.unwrap();
    other.execute("SELECT 1 FROM abide.schedule WHERE id = 's' FOR UPDATE").await.unwrap();
    assert_eq!((step(&a).await.schedules, step(&b).await.schedules), (0, 0));
    other.execute("COMMIT").await.unwrap();
    assert_eq!(step(&a).await.schedules + step(&b).await.schedules, 1);
    assert_eq!(workflow_ids(&a).await.len(), 1);
}
