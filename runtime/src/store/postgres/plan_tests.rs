//! The plans of the statements on tables of some size: no statement of the hot path reads a whole table.

use super::batch::text;
use super::store::PostgresStore;
use super::tests::connect;
use super::*;
use crate::store::Filter;
use crate::store::decide::Sections;
use crate::store::row::execution_columns;
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};

/// Ten thousand executions of each kind, their journals and tasks, and many more that sleep in another task
/// queue: enough that a plan that reads whole tables is the dearer one by far.
pub(super) const FILL: &str = "
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
SELECT i, activity, 1, 'q' || i % 4, 'step', '[]', '{}', i, CASE WHEN i % 8 = 1 THEN i % 40 END, \
4000000000000, 4000000000000
FROM generate_series(1, 40000) i, generate_series(2, 9) activity WHERE i % 4 < 2;
INSERT INTO {s}.attempt SELECT i, activity, 1, i, '{}' FROM generate_series(1, 40000) i, generate_series(2, \
5) activity WHERE i % 4 < 2;
INSERT INTO {s}.stream SELECT i, 'tokens', 11, 100 FROM generate_series(1, 40000) i;
INSERT INTO {s}.stream_item (execution, name, seq, at, begins, body)
SELECT i, 'tokens', seq, 1, seq * 10, '1' FROM generate_series(1, 40000) i, generate_series(1, 10) seq;
INSERT INTO {s}.reply SELECT 'q' || i, '1', i FROM generate_series(1, 5000) i;
INSERT INTO {s}.worker (name, build, queue, types, life_key, started_at, schema)
SELECT 'w', 'b', 'q1', ARRAY['Other'], i, i, 1000 FROM generate_series(1, 40) i;
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

/// What reads a whole table that grows with the work. `inbox` is not one: a queue that is short while all is
/// well, and whose short side the claims begin with.
fn whole_table(plan: &[String]) -> Option<&String> {
    let of_ours = |step: &str| {
        let names = ["execution", "journal", "task", "attempt", "stream", "stream_item"];
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
    for sections in Sections::every() {
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
        (limit::CANDIDATES, "('q1', ARRAY['step'], 100, 'a', 'b', 100)"),
        (limit::COUNT, "('q1', ARRAY['step'])"),
        (limit::TAKE, "(1, ARRAY[1], ARRAY[2], ARRAY['step'], 'q1', ARRAY['step'], ARRAY[1.0], 7)"),
        (task::FINISH, "(1, 4, 2, 1, '{}', 7)"),
        (beats::BEAT, "(1, ARRAY[4], ARRAY[2], ARRAY[1], ARRAY[7], ARRAY['{}'], ARRAY[1])"),
        (beats::THERE, "(1, ARRAY[4], ARRAY[2], ARRAY[1], ARRAY[7])"),
        (task::EXPIRE, "('{}', '{}', '{}', '{}', '{}')"),
        (handed::HAND_OUT, "(1, 4, 2, 1, 7, 5, 5, '{}')"),
        (handed::END, "(4, 2, 1, 7, '{}')"),
        (handed::BEAT, "(4, 2, 1, 7, '{}')"),
        (transaction::COMPLETE, "(1, 4, 2, 1, '{}')"),
        (find::BY_ID, "(4)"),
        (find::BY_WORKFLOW_ID, "('w4')"),
        (journal::JOURNAL, "(4)"),
        (lease::OWNED, "(7)"),
        (start::KNOWN, "('r4', 'request')"),
        (start::OPEN, "('w4')"),
        (start::CLOSED, "('w4')"),
        (lease::FREE, "(7, 1, 1000)"),
        (stream::READ, "(7, 'tokens', 3, 1000000, 256)"),
        (
            &stream::OF_ATTEMPT,
            "(1, ARRAY[7], ARRAY['tokens'], ARRAY[1], ARRAY[1], ARRAY[1], ARRAY[false], ARRAY[7], ARRAY['tokens'],
            ARRAY[1], ARRAY[1], ARRAY[1], ARRAY[1], ARRAY['1'])",
        ),
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
    let statement = text(Sections::BIRTHS);
    connection.execute("SET plan_cache_mode = force_generic_plan").await.unwrap();
    let last = (1..).take_while(|n| statement.contains(&format!("${n}"))).count();
    let arguments = format!("({})", vec!["NULL"; last].join(", "));
    let plan = plan(&mut connection, &store.shared.sql.fill(&statement), &arguments).await;
    assert!(plan.iter().any(|step| step.contains("Index Scan Backward using execution_newest")), "{plan:?}");
}

/// A claim of what is to end does not read the runs that have an owner.
#[tokio::test]
async fn claims_of_ends_use_their_indexes() {
    let (store, mut connection) = filled().await;
    let more = "UPDATE {s}.execution SET close_by = 4000000000000; ANALYZE";
    connection.execute(sqlx::raw_sql(AssertSqlSafe(store.shared.sql.fill(more)))).await.unwrap();
    for (statement, arguments) in [(ends::CLAIM_ENDS, "(1, 5, 100)"), (ends::NEXT_END, "")] {
        let plan = plan(&mut connection, &store.shared.sql.fill(statement), arguments).await;
        assert!(plan.iter().any(|step| step.contains("execution_close_by")), "{plan:?}");
        let whole = |step: &String| step.contains("Seq Scan on execution");
        assert!(!plan.iter().any(whole), "{plan:?}");
    }
}

/// Starts, turns, closes and releases read no row to find out whom to wake.
#[test]
fn only_what_goes_to_others_looks_for_whom_to_wake() {
    for sections in Sections::every() {
        let family = Sections::CHILDREN.and(Sections::REPORTS);
        let quiet = !sections.has(Sections::MESSAGES.and(Sections::TASKS).and(family));
        let told = text(sections).ends_with("'{}'::bigint[], '{}'::text[]");
        assert_eq!(told, quiet, "{sections:?}");
    }
}

/// How many rows of a table a statement reads.
async fn rows_of(table: &str, connection: &mut PgConnection, statement: &str, arguments: &str) -> f64 {
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
            let rows = number("Actual Rows") + number("Rows Removed by Filter");
            read += rows * number("Actual Loops");
        }
    }
    read
}

/// A hundred suspended runs with 10,000 unread messages, beside the hundred messages that wait for others
/// (PROTOCOL 97).
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
        let read = rows_of("inbox", &mut connection, &store.shared.sql.fill(statement), arguments).await;
        assert!(read <= 300.0, "{read} rows: {statement}");
    }
    // The measure is right: what reads all of them says so.
    let all =
        rows_of("inbox", &mut connection, &store.shared.sql.fill("SELECT count(*) FROM {s}.inbox"), "").await;
    assert!(all >= 10_100.0, "{all}");
}

/// Thousands of later retries and of tasks of one key, in every priority, beside few that are due (PROTOCOL 79).
#[tokio::test]
async fn no_claim_of_tasks_walks_over_later_ones_or_over_a_flood() {
    let (store, mut connection) = filled().await;
    let many = "INSERT INTO {s}.task
            (execution, activity, attempt, queue, name, input, limits, run_at, priority, limit_key, fair_key)
            SELECT i, p, 1, q, 'step', '[]', '{}', CASE WHEN i % 2000 = 0 THEN i ELSE 4000000000000 + i END, p, '', ''
            FROM generate_series(500001, 510000) i, generate_series(1, 5) p, unnest('{plain,keyed}'::text[]) q
            WHERE q = 'plain';
        INSERT INTO {s}.task
            (execution, activity, attempt, queue, name, input, limits, run_at, priority, limit_key, fair_key)
            SELECT i, p, 1, 'keyed', 'step', '[]', '{}', CASE WHEN i % 2 = 0 THEN i ELSE 4000000000000 + i END, p,
                'step',
                'big' || i % 3
            FROM generate_series(600001, 610000) i, generate_series(1, 5) p;
        INSERT INTO {s}.task (execution, activity, attempt, queue, name, input, limits, run_at, owner, limit_key)
            SELECT i, 1, 1, 'keyed', 'step', '[]', '{}', 1, 1, 'step' FROM generate_series(700001, 700005) i;
        ANALYZE";
    connection.execute(sqlx::raw_sql(AssertSqlSafe(store.shared.sql.fill(many)))).await.unwrap();
    let looks = [
        (task::CLAIM_TASKS, "(1, 'plain', ARRAY['step'], 10)", 60.0),
        (task::NEXT_TASK, "('plain', ARRAY['step'])", 20.0),
        (limit::CANDIDATES, "('plain', ARRAY['step'], 10, '', '', 100)", 200.0),
        (limit::CANDIDATES, "('keyed', ARRAY['step'], 10, 'big1', 'step', 100)", 400.0),
        (limit::COUNT, "('keyed', ARRAY['step'])", 20.0),
    ];
    for (statement, arguments, most) in looks {
        let statement = store.shared.sql.fill(statement);
        let read = rows_of("task", &mut connection, &statement, arguments).await;
        assert!(read <= most, "{read} rows: {arguments} {statement}");
        let plan = plan(&mut connection, &statement, arguments).await;
        assert_eq!(whole_table(&plan), None, "{plan:?}");
    }
}
