//! What only Postgres has: its migrations, its sessions, and what ends them.

use super::batch::text;
use super::plan_tests::FILL;
use super::store::PostgresStore;
use super::*;
use crate::store::decide::Sections;
use crate::store::{Deaths, Ownership, Store, WorkerInfo};
use abide_core::Incarnation;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::time::Duration;

pub(super) async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

/// Every text that the store sends is one that the server can prepare, with each combination of sections.
#[tokio::test]
async fn every_batch_can_be_prepared() {
    let url = cluster::shared_database();
    let store = open::open_store(&url, OpenOptions::default()).await.unwrap();
    let mut connection = connect(&url).await;
    for sections in Sections::every() {
        let prepare = format!("PREPARE batch AS {}", store.shared.sql.fill(&text(sections)));
        connection.execute(sqlx::raw_sql(AssertSqlSafe(prepare))).await.unwrap();
        connection.execute("DEALLOCATE batch").await.unwrap();
    }
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

/// A schema as the build of this version has left it, with a worker of that build.
async fn older(url: &str, upto: i64, lease_ms: i64) -> PgConnection {
    let texts = pending_migrations(url, OpenOptions::default()).await.unwrap();
    let mut dba = connect(url).await;
    for (_, text) in texts.into_iter().filter(|(version, _)| *version <= upto) {
        dba.execute(sqlx::raw_sql(AssertSqlSafe(format!("BEGIN; {text} COMMIT")))).await.unwrap();
    }
    dba.execute(if upto < 3 { FIRST_WORKER } else { OLDER_WORKER }).await.unwrap();
    let lease = "INSERT INTO abide.lease (worker, slot, lease_until, renewed_at)
        SELECT id, 0, (extract(epoch FROM clock_timestamp()) * 1000)::bigint + $1, 1 FROM abide.worker";
    sqlx::query(lease).bind(lease_ms).execute(&mut dba).await.unwrap();
    dba
}

/// As the builds before V3 insert it, and as the build before this one does.
const FIRST_WORKER: &str =
    "INSERT INTO abide.worker (name, build, queue, types, life_key, process, started_at)
    VALUES ('w', 'b', 'q', '{}', 1, '', 0)";
const OLDER_WORKER: &str =
    "INSERT INTO abide.worker (name, build, queue, types, life_key, process, started_at, schema)
    VALUES ('w', 'b', 'q', '{}', 1, '', 0, 3)";

#[tokio::test]
async fn a_migration_waits_for_the_lease_of_an_older_worker_that_is_gone() {
    for upto in [2, 3] {
        waits_for_the_lease_of_an_older_worker(upto).await;
    }
}

async fn waits_for_the_lease_of_an_older_worker(upto: i64) {
    let url = cluster::shared_database();
    let mut dba = older(&url, upto, 600).await;
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
    let mut dba = older(&url, 2, 600_000).await;
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
    for worker in [FIRST_WORKER, OLDER_WORKER] {
        let refused = dba.execute(worker).await.unwrap_err();
        assert!(refused.to_string().contains("worker_of_an_older_abide"), "{refused}");
    }
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

/// A free lock shortens a lease that was renewed at this very run of the server, also for a worker that has
/// just started.
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
    let here = "UPDATE abide.lease SET server = (SELECT server FROM abide.lease WHERE worker = $2 LIMIT 1) \
                WHERE worker = $1";
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

#[tokio::test]
async fn the_limits_of_keys_that_were_not_used_for_an_hour_are_forgotten() {
    let url = cluster::shared_database();
    let store = open::open_store(&url, OpenOptions::default()).await.unwrap();
    let mut dba = connect(&url).await;
    let rows = "INSERT INTO abide.queue_limit VALUES ('sw', 'a', 'a', 1, NULL, 1, 1, 1),
        ('sw', 'a/old', 'a', 1, NULL, 1, 1, 1), ('sw', 'a/new', 'a', 1, NULL, 1, 1, 4000000000000),
        ('sw', 'a/poor', 'a', 1, 1e-12, 1, 0, 1)";
    dba.execute(sqlx::raw_sql(rows)).await.unwrap();
    assert_eq!(crate::store::Sweep::sweep(&store).await.unwrap(), 1);
    let left = "SELECT key FROM abide.queue_limit WHERE queue = 'sw' ORDER BY key";
    let left: Vec<String> = sqlx::query_scalar(left).fetch_all(&mut dba).await.unwrap();
    assert_eq!(left, ["a", "a/new", "a/poor"]);
}
