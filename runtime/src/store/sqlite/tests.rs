//! What only SQLite has: files that are not ours, locks of other programs, migrations, and the plans of the statements.

use super::*;
use crate::store::conformance::{Lab, Process};
use crate::store::{AppendOutcome, Fault, SendAnswer, Stage, StoreError, decide};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, Executor, Row, SqliteConnection};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

async fn opened(lab: &Lab, options: OpenOptions) -> Process {
    Process::of(open(&lab.file(), options).await.unwrap()).await
}

/// A connection of another program.
async fn stranger(lab: &Lab) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(lab.file()).create_if_missing(true);
    SqliteConnection::connect_with(&options).await.unwrap()
}

async fn refused(file: &Path) -> &'static str {
    let options = OpenOptions { busy_timeout: Duration::from_millis(300), ..OpenOptions::default() };
    open(file, options).await.map(drop).unwrap_err().code()
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let lab = Lab::sqlite();
    let folder = lab.file().parent().unwrap().to_owned();
    assert_eq!(refused(&folder).await, "AB0501");
    assert_eq!(refused(&folder.join("no/such.db")).await, "AB0501");
    std::fs::write(lab.file(), "Dear diary, this is no database.").unwrap();
    assert_eq!(refused(&lab.file()).await, "AB0505");
    std::fs::write(lab.file(), "SQLite format 3\0 and then nonsense, for quite a while").unwrap();
    assert_eq!(refused(&lab.file()).await, "AB0505");
}

#[tokio::test]
async fn a_read_only_file_says_so() {
    let lab = Lab::sqlite();
    lab.process().await.die().await;
    let mut permissions = std::fs::metadata(lab.file()).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(lab.file(), permissions).unwrap();
    assert_eq!(refused(&lab.file()).await, "AB0502");
}

#[tokio::test]
async fn a_foreign_database_is_left_alone() {
    let lab = Lab::sqlite();
    let mut other = stranger(&lab).await;
    other.execute("CREATE TABLE invoice (id INTEGER)").await.unwrap();
    other.close().await.unwrap();
    let before = std::fs::read(lab.file()).unwrap();
    assert_eq!(refused(&lab.file()).await, "AB0505");
    let tables = "SELECT group_concat(name) FROM sqlite_master";
    let tables: String = sqlx::query_scalar(tables).fetch_one(&mut stranger(&lab).await).await.unwrap();
    assert_eq!(tables, "invoice");
    assert_eq!(std::fs::read(lab.file()).unwrap().len(), before.len());
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let lab = Lab::sqlite();
    lab.process().await.die().await;
    let newer = "INSERT INTO abide_migration VALUES (99, 'later', 0)";
    stranger(&lab).await.execute(newer).await.unwrap();
    assert_eq!(refused(&lab.file()).await, "AB0506");
}

/// A database as the build of this schema's version has left it, with a worker of that build.
async fn older(lab: &Lab, upto: usize, lock_file: &str, lease_until: i64) -> SqliteConnection {
    let mut old = stranger(lab).await;
    let table = "CREATE TABLE abide_migration (version INTEGER PRIMARY KEY, build TEXT, applied_at INTEGER)";
    old.execute(table).await.unwrap();
    for (at, migration) in (1..).zip(&schema::MIGRATIONS[..upto]) {
        old.execute(sqlx::raw_sql(*migration)).await.unwrap();
        let note = sqlx::query("INSERT INTO abide_migration VALUES (?, '0', 0)").bind(at);
        note.execute(&mut old).await.unwrap();
    }
    let worker = if upto < 5 { FIRST_WORKER } else { OLDER_WORKER };
    sqlx::query(worker).bind(lock_file).execute(&mut old).await.unwrap();
    let lease = sqlx::query("INSERT INTO lease VALUES (1, 0, ?)").bind(lease_until);
    lease.execute(&mut old).await.unwrap();
    old
}

/// As the builds before V5 insert it, and as the build before this one does.
const FIRST_WORKER: &str = "INSERT INTO worker (name, build, queue, types, lock_file, started_at)
    VALUES ('w', 'b', 'q', '[]', ?, 0)";
const OLDER_WORKER: &str = "INSERT INTO worker (name, build, queue, types, lock_file, started_at, schema)
    VALUES ('w', 'b', 'q', '[]', ?, 0, 5)";

#[tokio::test]
async fn a_migration_is_refused_while_an_older_worker_runs() {
    let (lab, missing) = (Lab::sqlite(), Lab::sqlite());
    // Its lease has run out by the clock, which may have been set; its lock says that it lives.
    let mut old = older(&lab, 4, "first", 0).await;
    let lock = life::LifeLock::take(life::lock_path(&lab.file(), "first")).unwrap();
    let Err(error) = open(&lab.file(), OpenOptions::default()).await else { panic!("it opened") };
    assert_eq!(error.code(), "AB0511");
    assert!(error.to_string().contains("(`w` on task queue `q`): shut them down first"), "{error}");
    drop(lock);
    let process = lab.process().await;
    let told = sqlx::query(FIRST_WORKER).bind("second").execute(&mut old).await.unwrap_err();
    assert!(told.to_string().contains("a newer abide has migrated this database"), "{told}");
    // Without a lock file the lease tells.
    let mut old = older(&missing, 4, "third", i64::MAX).await;
    assert_eq!(refused(&missing.file()).await, "AB0511");
    old.execute("UPDATE lease SET lease_until = 0").await.unwrap();
    missing.process().await;
    drop(process);
}

/// So does each later migration that older workers would ignore.
#[tokio::test]
async fn a_worker_of_the_build_before_cannot_run_beside_this_one() {
    let lab = Lab::sqlite();
    let mut old = older(&lab, 5, "first", i64::MAX).await;
    assert_eq!(refused(&lab.file()).await, "AB0511");
    old.execute("UPDATE lease SET lease_until = 0").await.unwrap();
    let process = lab.process().await;
    let told = sqlx::query(OLDER_WORKER).bind("second").execute(&mut old).await.unwrap_err();
    assert!(told.to_string().contains("a newer abide has migrated this database"), "{told}");
    drop(process);
}

/// An older client, which opened the database before the migration, does not know whom to tell of an end.
#[tokio::test]
async fn an_older_client_cannot_end_a_child() {
    let lab = Lab::sqlite();
    let process = lab.process().await;
    let id = process.running("order-1").await;
    let mut old = stranger(&lab).await;
    let child = sqlx::query("UPDATE execution SET parent = 1, child_no = 1 WHERE id = ?").bind(id.0);
    child.execute(&mut old).await.unwrap();
    let refused = old.execute("UPDATE execution SET status = 13").await.unwrap_err();
    assert!(refused.to_string().contains("execution_told"), "{refused}");
    old.execute("UPDATE execution SET status = 13, told = 1").await.unwrap();
}

#[tokio::test]
async fn a_migration_cut_off_leaves_nothing() {
    let lab = Lab::sqlite();
    let mut dying = stranger(&lab).await;
    dying.execute("BEGIN IMMEDIATE; CREATE TABLE execution (half INTEGER)").await.unwrap();
    dying.close().await.unwrap();
    lab.process().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_open_at_once() {
    let lab = Lab::sqlite();
    let file = lab.file();
    let open = |_| {
        let file = file.clone();
        tokio::spawn(
            async move { open(&file, OpenOptions::default()).await.map(|store| store.execution_id().0) },
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
    let lab = Lab::sqlite();
    let options = OpenOptions { busy_timeout: Duration::from_millis(400), ..OpenOptions::default() };
    let process = opened(&lab, options).await;
    let id = process.running("order-1").await;
    let mut tool = stranger(&lab).await;
    tool.execute("BEGIN IMMEDIATE").await.unwrap();
    let append = process.submit(process.turn(id, 2, 1));
    let asked = Instant::now();
    let refused = process.store.send(process.message(id, "s1")).await.unwrap_err();
    assert_eq!(refused.code(), "AB0503", "{refused}");
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    assert_eq!(process.row(id).await.history_len, 1, "reading goes on");
    assert!(matches!(open(&lab.file(), process_options()).await.map(drop), Err(StoreError::Busy { .. })));
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
    let lab = Lab::sqlite();
    lab.process().await.die().await;
    let mut connection = stranger(&lab).await;
    for sections in decide::Sections::every() {
        for transaction in [false, true] {
            for statement in sql::text(sections, transaction).split(';') {
                if statement == "BEGIN IMMEDIATE" || statement == "COMMIT" {
                    continue;
                }
                for step in plan(&mut connection, statement).await {
                    // What is scanned are the batch's own rows (`c`, `u`, `n`, `k`), and `w`, the one row of a check.
                    let own = ["VIRTUAL TABLE", "CONSTANT ROW"].iter().any(|part| step.contains(part))
                        || ["SCAN c", "SCAN u", "SCAN n", "SCAN k", "SCAN w"].contains(&step.as_str());
                    let scans_table = step.starts_with("SCAN") && !own;
                    assert!(!scans_table, "{step}: {statement}");
                }
            }
        }
    }
}

/// The clock is set back or forward by an hour: no worker counts as late for it, and a late one is still found.
#[tokio::test]
async fn a_clock_that_is_set_makes_nobody_late_and_hides_nobody() {
    for step in [-3_600_000, 3_600_000] {
        let (lab, skew) = (Lab::sqlite(), Arc::new(AtomicI64::new(0)));
        let lease = Duration::from_millis(400);
        let short = OpenOptions { lease, skew_ms: Some(Arc::clone(&skew)), ..OpenOptions::default() };
        let (a, b) = (opened(&lab, short.clone()).await, opened(&lab, short).await);
        let _mine = b.running("order-1").await;
        assert_eq!(a.store.dead().await.unwrap().dead, [], "seen for the first time");
        let before = a.store.now_ms();
        skew.store(step, Ordering::Relaxed);
        for _ in 0..8 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            a.store.renew(a.me).await.unwrap();
            b.store.renew(b.me).await.unwrap();
            assert_eq!(a.store.dead().await.unwrap().dead, [], "it renews its lease");
            assert_eq!(a.store.take_over(b.me).await.unwrap(), 0);
        }
        let now = a.store.now_ms();
        assert!(now >= before, "time does not go back");
        assert_eq!(now >= before + 3_600_000, step > 0, "it goes forward with the clock");
        // It stops, and the clock is put right, which sets the lease far into the future.
        skew.store(if step > 0 { 0 } else { step }, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(500)).await;
        a.store.renew(a.me).await.unwrap();
        let late = a.store.dead().await.unwrap().dead;
        assert_eq!(late.iter().map(|dead| dead.incarnation).collect::<Vec<_>>(), [b.me], "{step}");
        assert_eq!(a.store.take_over(b.me).await.unwrap(), 1);
    }
}

#[tokio::test]
async fn the_dead_are_known_at_once_and_their_lock_files_go() {
    let lab = Lab::sqlite();
    let (a, b) = (lab.process().await, lab.process().await);
    let (dead, _waiting) = (b.me, b.running("order-1").await);
    b.die().await;
    let found = a.store.dead().await.unwrap().dead;
    assert_eq!(found.iter().map(|dead| (dead.incarnation, dead.gone)).collect::<Vec<_>>(), [(dead, true)]);
    assert_eq!(a.store.take_over(dead).await.unwrap(), 1);
    let files = std::fs::read_dir(lab.file().parent().unwrap()).unwrap();
    let locks = files.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|e| e == "lock"));
    assert_eq!(locks.count(), 1, "the dead one's lock file is gone");
}

#[tokio::test]
async fn a_failed_fsync_stops_the_writer() {
    let (lab, armed) = (Lab::sqlite(), Arc::new(AtomicBool::new(false)));
    let fails = Arc::clone(&armed);
    let hook =
        move |stage| (stage == Stage::AfterCommit && fails.load(Ordering::Relaxed)).then_some(Fault::Fsync);
    let process = opened(&lab, OpenOptions { fault: Some(Arc::new(hook)), ..OpenOptions::default() }).await;
    let id = process.running("order-1").await;
    armed.store(true, Ordering::Relaxed);
    let first = process.append(process.turn(id, 2, 1)).await.unwrap_err();
    assert_eq!((first.code(), first.is_fatal()), ("AB0507", true));
    armed.store(false, Ordering::Relaxed);
    assert_eq!(process.append(process.turn(id, 3, 1)).await.unwrap_err().code(), "AB0507");
    assert_eq!(process.store.renew(process.me).await.unwrap_err().code(), "AB0507");
}

/// What looks for tasks does so often: an index gives the rows, and their order.
#[tokio::test]
async fn looking_for_tasks_uses_indexes() {
    let lab = Lab::sqlite();
    lab.process().await.die().await;
    let mut connection = stranger(&lab).await;
    for statement in task::LOOKS {
        for step in plan(&mut connection, statement).await {
            let slow = step.contains("FOR ORDER BY") || step.starts_with("SCAN task");
            assert!(!slow, "{step}: {statement}");
        }
    }
}

/// The newest run of a workflow id is found at the end of an index, without looking at the others.
#[tokio::test]
async fn the_newest_run_of_a_workflow_id_is_the_end_of_an_index() {
    let lab = Lab::sqlite();
    lab.process().await.die().await;
    let mut connection = stranger(&lab).await;
    let looks = [find::BY_ID, find::BY_WORKFLOW_ID, start::KNOWN, start::OPEN, start::CLOSED];
    let batch = sql::text(decide::Sections::BIRTHS, false);
    for statement in looks.into_iter().chain(batch.split(';')) {
        for step in plan(&mut connection, statement).await {
            let slow = step.contains("FOR ORDER BY") || step.starts_with("SCAN e");
            assert!(!slow, "{step}: {statement}");
        }
    }
}

/// Claims and drains read only what is not parked (PROTOCOL 97), however much is.
#[tokio::test]
async fn no_claim_walks_over_the_messages_of_suspended_runs() {
    let lab = Lab::sqlite();
    lab.process().await.die().await;
    let mut connection = stranger(&lab).await;
    for statement in [claim::CLAIMABLE, message::INBOX, message::OPEN_QUERIES, sweep::PARK] {
        let plan = plan(&mut connection, statement).await;
        let inbox: Vec<_> = plan.iter().filter(|step| step.starts_with("SCAN i ")).collect();
        assert_eq!(inbox, ["SCAN i USING INDEX inbox_unparked"], "{plan:?}: {statement}");
    }
}

/// The claims' statements read no whole table: each arm has an index.
#[tokio::test]
async fn claims_use_indexes() {
    let lab = Lab::sqlite();
    lab.process().await.die().await;
    let mut connection = stranger(&lab).await;
    for statement in [claim::CLAIMABLE, claim::SUSPECT, claim::OFFERED, claim::NEXT_DUE] {
        for step in plan(&mut connection, statement).await {
            let slow = step.starts_with("SCAN execution") || step == "SCAN e" || step.starts_with("SCAN e ");
            assert!(!slow, "{step}: {statement}");
        }
    }
}

/// A claim of what is to end reads neither a table nor the runs that have an owner.
#[tokio::test]
async fn claims_of_ends_use_their_indexes() {
    let lab = Lab::sqlite();
    lab.process().await.die().await;
    let mut connection = stranger(&lab).await;
    for statement in [ends::ENDING, ends::NEXT_END] {
        let plan = plan(&mut connection, statement).await;
        let tables = |step: &&String| step.contains("execution") || step.starts_with("SCAN i");
        let slow = |step: &&String| {
            step.starts_with("SCAN execution") && !step.contains("USING") || step.as_str() == "SCAN i"
        };
        assert!(plan.iter().any(|step| step.contains("execution_close_by")), "{plan:?}");
        assert!(!plan.iter().filter(tables).any(|step| slow(&step)), "{plan:?}");
    }
}

#[tokio::test]
async fn the_sweep_gives_back_what_is_parked_under_a_run_that_goes_on() {
    let lab = Lab::sqlite();
    let process = lab.process().await;
    let id = process.running("order-1").await;
    assert_eq!(process.send(id, "s1").await, SendAnswer::Sent);
    stranger(&lab).await.execute("UPDATE inbox SET parked = 1").await.unwrap();
    assert_eq!(process.store.inbox(process.me).await.unwrap(), []);
    assert_eq!(process.store.sweep().await.unwrap(), 1);
    assert_eq!(process.store.inbox(process.me).await.unwrap().len(), 1);
}

/// The steps by which SQLite would run it.
async fn plan(connection: &mut SqliteConnection, statement: &str) -> Vec<String> {
    let plan = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
    connection.fetch_all(plan).await.unwrap().iter().map(|row| row.get(3)).collect()
}

#[tokio::test]
async fn the_limits_of_keys_that_were_not_used_for_an_hour_are_forgotten() {
    let lab = Lab::sqlite();
    let process = lab.process().await;
    let mut connection = stranger(&lab).await;
    let rows = "INSERT INTO queue_limit VALUES ('q', 'a', 'a', 1, NULL, 1, 1, 1), ('q', 'a/old', 'a', 1, NULL, 1, 1, 1),
        ('q', 'a/new', 'a', 1, NULL, 1, 1, 4000000000000), ('q', 'a/poor', 'a', 1, 1e-12, 1, 0, 1)";
    connection.execute(rows).await.unwrap();
    assert_eq!(process.store.sweep().await.unwrap(), 1);
    let left = sqlx::query_scalar("SELECT key FROM queue_limit ORDER BY key").fetch_all(&mut connection);
    assert_eq!(left.await.unwrap() as Vec<String>, ["a", "a/new", "a/poor"]);
}
