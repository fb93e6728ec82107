//! Who waits for whom, with sessions that are held open in the middle of what they do: one order of locks
//! (PROTOCOL 95), closes that wait in line (96), request ids of starts (98), and what a user's transaction
//! gives back (37).

use super::failure::kind;
use super::shared::ALONE;
use crate::policy::IdConflictPolicy;
use crate::status::ExecutionStatus;
use crate::store::conformance::parked::suspended;
use crate::store::conformance::transactions::User;
use crate::store::conformance::{Lab, Process};
use crate::store::failure::Kind;
use crate::store::{
    Address, Append, AppendOutcome, Dispatch, MessageKind, NewExecution, ResumeAnswer, RowChange, SendAnswer,
    StartAnswer, StoreError, StoredRun,
};
use abide_core::{EventId, ExecutionId};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::sync::Arc;
use std::time::Duration;

/// Longer than any wait without a defect, however busy the machine.
const FOR_EVER: Duration = Duration::from_secs(30);

async fn session(lab: &Lab) -> PgConnection {
    #[cfg(feature = "mutants")]
    super::permutations::mutants::let_live_by_environment();
    PgConnection::connect(&lab.url()).await.unwrap()
}

async fn run(session: &mut PgConnection, sql: impl Into<String>) -> Result<(), Kind> {
    let ran = session.execute(sqlx::raw_sql(AssertSqlSafe(sql.into()))).await;
    ran.map(drop).map_err(|error| kind(&error))
}

/// Waits until a session of this name waits for a lock.
async fn waits(watcher: &mut PgConnection, name: &str) {
    let query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND application_name LIKE '%' || $1 || '%' AND wait_event_type = 'Lock'";
    let looked = async {
        while sqlx::query_scalar::<_, i64>(query).bind(name).fetch_one(&mut *watcher).await.unwrap() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(FOR_EVER, looked).await;
    waited.unwrap_or_else(|_| panic!("no session `{name}` waits for a lock"));
}

/// Locks the run's row.
fn row(id: ExecutionId, how: &str) -> String {
    format!("SELECT 1 FROM abide.execution WHERE id = {id} {how}")
}

/// The same, in a transaction that begins with it.
fn lock(id: ExecutionId, how: &str) -> String {
    format!("BEGIN; {}", row(id, how))
}

/// What an append is told.
async fn told(
    append: tokio::sync::oneshot::Receiver<Result<AppendOutcome, StoreError>>,
) -> Result<AppendOutcome, StoreError> {
    tokio::time::timeout(FOR_EVER, append).await.expect("it is told").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_has_its_row_before_its_key() {
    let lab = Lab::postgres();
    let (mut terminate, mut watcher) = (session(&lab).await, session(&lab).await);
    let a = lab.process().await;
    let id = a.running("order-1").await;
    run(&mut terminate, lock(id, "FOR UPDATE")).await.unwrap();
    let row = Some(RowChange { active: Some(true), ..RowChange::default() });
    let told = a.submit(Append { row, rev: Some(0), ..a.turn(id, 2, 1) });
    waits(&mut watcher, "writer").await;
    // Sooner than the deadlock detector: what waits here waits for the turn.
    run(&mut terminate, "SET LOCAL lock_timeout = '500ms'").await.unwrap();
    let key = format!("INSERT INTO abide.journal VALUES ({id}, 2, 1, 1, 0, '[]')");
    assert_eq!(run(&mut terminate, key).await, Ok(()), "the turn holds the key and waits for the row");
    let close = format!("UPDATE abide.execution SET status = 13 WHERE id = {id}; COMMIT");
    run(&mut terminate, close).await.unwrap();
    assert!(matches!(told.await.unwrap(), Ok(AppendOutcome::Lost)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_is_locked_is_not_taken_for_none() {
    let lab = Lab::postgres();
    let mut closing = session(&lab).await;
    let a = lab.process().await;
    let (from, to) = (a.running("order-1").await, a.running("order-2").await);
    run(&mut closing, lock(to, "FOR UPDATE")).await.unwrap();
    let (command, to_name) = (EventId(2), Address::Name("order-2".to_owned()));
    let (kind, body) = (MessageKind::Signal, "{}".to_owned());
    let dispatch = Dispatch { command, to: to_name, kind, body, answered: true };
    let sent = a.submit(Append { dispatches: vec![dispatch], ..a.turn(from, 2, 1) });
    tokio::time::sleep(Duration::from_millis(100)).await;
    run(&mut closing, "ROLLBACK").await.unwrap();
    assert!(matches!(told(sent).await, Ok(AppendOutcome::Done)));
    let bodies = |run: StoredRun| run.inbox.into_iter().map(|row| row.body).collect::<Vec<_>>();
    assert_eq!(bodies(a.run(to).await), ["{}"]);
    assert_eq!(bodies(a.run(from).await), ["{}"], "it is answered as sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_that_is_kept_out_waits_in_line() {
    let lab = Lab::postgres();
    let (mut sender, mut watcher) = (session(&lab).await, session(&lab).await);
    let a = lab.process().await;
    let (id, other) = (a.running("order-1").await, a.running("order-2").await);
    run(&mut sender, lock(id, "FOR KEY SHARE")).await.unwrap();
    let closed = a.submit(a.close(id, 2));
    waits(&mut watcher, "close").await;
    // Meanwhile it delays no other.
    assert!(matches!(a.append(a.close(other, 2)).await, Ok(AppendOutcome::Done)));
    run(&mut sender, "COMMIT").await.unwrap();
    let told = told(closed).await;
    assert!(matches!(told, Ok(AppendOutcome::Done)), "{told:?}");
    assert_eq!(a.row(id).await.status, ExecutionStatus::Completed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_that_waits_in_line_sees_the_message_that_came_first() {
    let lab = Lab::postgres();
    let (mut sender, mut watcher) = (session(&lab).await, session(&lab).await);
    let a = lab.process().await;
    let id = a.running("order-1").await;
    run(&mut sender, lock(id, "FOR KEY SHARE")).await.unwrap();
    let closed = a.submit(a.close(id, 2));
    waits(&mut watcher, "close").await;
    let message = format!(
        "INSERT INTO abide.inbox (execution, kind, request_id, body, at) VALUES ({id}, 0, 's1', '{{}}', 1); COMMIT"
    );
    run(&mut sender, message).await.unwrap();
    let told = told(closed).await;
    assert!(matches!(told, Ok(AppendOutcome::Conflict)), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_that_waits_in_line_is_told_that_its_worker_has_lost_its_lease() {
    let lab = Lab::postgres();
    let (mut sender, mut watcher) = (session(&lab).await, session(&lab).await);
    let a = lab.process().await;
    let id = a.running("order-1").await;
    run(&mut sender, lock(id, "FOR KEY SHARE")).await.unwrap();
    let closed = a.submit(a.close(id, 2));
    waits(&mut watcher, "close").await;
    run(&mut watcher, "DELETE FROM abide.lease").await.unwrap();
    run(&mut sender, "COMMIT").await.unwrap();
    let told = told(closed).await;
    assert!(matches!(told, Err(StoreError::Fenced)), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closes_that_are_kept_out_take_few_connections() {
    let lab = Lab::postgres();
    let (mut sender, mut watcher) = (session(&lab).await, session(&lab).await);
    let a = lab.process().await;
    let mut closes = Vec::new();
    run(&mut sender, "BEGIN").await.unwrap();
    for n in 0..12 {
        let id = a.running(&format!("order-{n}")).await;
        run(&mut sender, row(id, "FOR KEY SHARE")).await.unwrap();
        closes.push(a.submit(a.close(id, 2)));
    }
    let query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND application_name = 'abide close'";
    for _ in 0..20 {
        waits(&mut watcher, "close").await;
        let open: i64 = sqlx::query_scalar(query).fetch_one(&mut watcher).await.unwrap();
        assert!(open <= 2 * ALONE as i64, "{open} connections");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    run(&mut sender, "COMMIT").await.unwrap();
    for closed in closes {
        let told = told(closed).await;
        assert!(matches!(told, Ok(AppendOutcome::Done)), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_that_is_put_off_is_told_that_the_store_ends() {
    let lab = Lab::postgres();
    let mut sender = session(&lab).await;
    let a = lab.process().await;
    let ids = [a.running("order-1").await, a.running("order-2").await];
    run(&mut sender, "BEGIN").await.unwrap();
    let mut closes = Vec::new();
    for id in ids {
        run(&mut sender, row(id, "FOR KEY SHARE")).await.unwrap();
        closes.push(a.submit(a.close(id, 2)));
    }
    while a.store.metrics().retries == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::timeout(FOR_EVER, a.store.close()).await.expect("it ends").unwrap();
    for closed in closes {
        let told = told(closed).await;
        assert!(matches!(told, Err(StoreError::Closed)), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_ends_a_held_run_holds_up_no_batch() {
    let lab = Lab::postgres();
    let (mut sender, mut watcher) = (session(&lab).await, session(&lab).await);
    let a = lab.process().await;
    let (held, other) = (a.running("order-1").await, a.running("order-2").await);
    run(&mut sender, lock(held, "FOR KEY SHARE")).await.unwrap();
    let conflict = IdConflictPolicy::TerminateExisting;
    let again = a.submit(a.create(NewExecution { conflict, ..a.new_execution("order-1") }));
    waits(&mut watcher, "writer").await;
    let query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND application_name = 'abide writer' AND wait_event_type = 'Lock' AND clock_timestamp() - query_start > '1s'";
    for seq in 2..22 {
        let told = a.append(a.turn(other, seq, 1)).await;
        assert!(matches!(told, Ok(AppendOutcome::Done)), "{told:?}");
        let stuck: i64 = sqlx::query_scalar(query).fetch_one(&mut watcher).await.unwrap();
        assert_eq!(stuck, 0, "the writer waits for the sender");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    run(&mut sender, "COMMIT").await.unwrap();
    let told = told(again).await;
    assert!(matches!(told, Ok(AppendOutcome::Done)), "{told:?}");
    assert_eq!(a.row(held).await.status, ExecutionStatus::Terminated);
}

/// An owned start of another workflow id under the request id.
fn start_under(process: &Process, name: &str, request_id: &str) -> NewExecution {
    let request_id = Some(request_id.to_owned());
    NewExecution { request_id, ..process.new_execution(name) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_id_in_an_open_transaction_holds_up_no_batch() {
    let lab = Lab::postgres();
    let a = lab.process().await;
    let other = a.running("order-1").await;
    let mut user = User::of(&lab).await;
    user.run("BEGIN").await;
    let started = a.store.start_within(user.connection(), start_under(&a, "order-2", "r")).await;
    assert!(matches!(started, Ok(StartAnswer::Started)));
    let same = a.submit(a.create(start_under(&a, "order-3", "r")));
    for seq in 2..5 {
        let told = tokio::time::timeout(FOR_EVER, a.append(a.turn(other, seq, 1))).await;
        assert!(matches!(told, Ok(Ok(AppendOutcome::Done))), "it waits for the user");
    }
    user.run("COMMIT").await;
    let told = told(same).await;
    let Ok(AppendOutcome::Duplicate(StartAnswer::Known(row))) = told else { panic!("{told:?}") };
    assert_eq!(row.workflow_id, "order-2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_writes_nothing_within_a_users_transaction_gives_its_locks_back() {
    let lab = Lab::postgres();
    let a = lab.process().await;
    let id = a.running("order-1").await;
    assert_eq!(a.send(id, "s1").await, SendAnswer::Sent);
    let mut user = User::of(&lab).await;
    user.run("BEGIN").await;
    let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()";
    for conflict in [IdConflictPolicy::Fail, IdConflictPolicy::UseExisting] {
        let again = NewExecution { conflict, ..start_under(&a, "order-1", "r") };
        let answer = a.store.start_within(user.connection(), again).await.unwrap();
        assert!(matches!(answer, StartAnswer::Taken(_) | StartAnswer::Existing(_)), "{answer:?}");
        assert_eq!(user.number(held).await, 0);
    }
    let known = a.store.send_within(user.connection(), a.message(id, "s1")).await;
    assert_eq!(known.unwrap(), SendAnswer::Known);
    let consumed = a.run(id).await.inbox.iter().map(|row| row.id).collect();
    let closed = a.append(Append { consumed, ..a.close(id, 2) });
    let told = tokio::time::timeout(FOR_EVER, closed).await.expect("the run may close");
    assert!(matches!(told, Ok(AppendOutcome::Done)), "{told:?}");
    user.run("COMMIT").await;
}

/// What the worker of this process reads of its runs' inboxes.
async fn inbox(process: &Process) -> Vec<String> {
    let rows = process.store.inbox(process.me).await.unwrap();
    rows.into_iter().map(|row| row.request_id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resume_waits_for_a_sender_that_has_seen_the_run_suspended() {
    let lab = Lab::postgres();
    let mut watcher = session(&lab).await;
    let a = lab.process().await;
    let id = suspended(&a, "order-1").await;
    let mut user = User::of(&lab).await;
    user.run("BEGIN").await;
    let sent = a.store.send_within(user.connection(), a.message(id, "s1")).await;
    assert_eq!(sent.unwrap(), SendAnswer::Sent);
    let store = Arc::clone(&a.store);
    let resumed = tokio::spawn(async move { store.resume(id).await });
    waits(&mut watcher, "calls").await;
    user.run("COMMIT").await;
    assert_eq!(resumed.await.unwrap().unwrap(), ResumeAnswer::Resumed);
    assert_eq!(a.take(a.claim_of("b1", false)).await, [id]);
    assert_eq!(inbox(&a).await, ["s1"], "the message is parked under a run that goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_that_waits_for_a_resume_parks_nothing() {
    let lab = Lab::postgres();
    let (mut resume, mut watcher) = (session(&lab).await, session(&lab).await);
    let a = lab.process().await;
    let id = suspended(&a, "order-1").await;
    run(&mut resume, lock(id, "FOR UPDATE")).await.unwrap();
    let (store, message) = (Arc::clone(&a.store), a.message(id, "s1"));
    let sent = tokio::spawn(async move { store.send(message).await });
    waits(&mut watcher, "calls").await;
    let goes_on = format!("UPDATE abide.execution SET status = 0, rev = rev + 1 WHERE id = {id}; COMMIT");
    run(&mut resume, goes_on).await.unwrap();
    assert_eq!(sent.await.unwrap().unwrap(), SendAnswer::Sent);
    assert_eq!(a.take(a.claim_of("b1", false)).await, [id], "the message wakes it");
    assert_eq!(inbox(&a).await, ["s1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_passes_over_a_run_to_which_somebody_is_sending() {
    let lab = Lab::postgres();
    let a = lab.process().await;
    let id = suspended(&a, "order-1").await;
    let mut user = User::of(&lab).await;
    user.run("BEGIN").await;
    let sent = a.store.send_within(user.connection(), a.message(id, "s1")).await;
    assert_eq!(sent.unwrap(), SendAnswer::Sent);
    assert_eq!(a.take(a.claim_of("b2", false)).await, []);
    user.run("COMMIT").await;
    assert_eq!(a.take(a.claim_of("b2", false)).await, [id]);
    assert_eq!(inbox(&a).await, ["s1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sweep_gives_back_what_is_parked_under_a_run_that_goes_on() {
    let lab = Lab::postgres();
    let mut other = session(&lab).await;
    let a = lab.process().await;
    let (id, busy) = (a.running("order-1").await, suspended(&a, "order-2").await);
    assert_eq!(a.send(id, "s1").await, SendAnswer::Sent);
    run(&mut other, "UPDATE abide.inbox SET parked = true").await.unwrap();
    assert_eq!(inbox(&a).await, [] as [String; 0]);
    assert_eq!(a.store.sweep().await.unwrap(), 1);
    assert_eq!(inbox(&a).await, ["s1"]);
    // What somebody is about to resume is left to him.
    assert_eq!(a.send(busy, "s2").await, SendAnswer::Sent);
    run(&mut other, "UPDATE abide.inbox SET parked = false").await.unwrap();
    run(&mut other, lock(busy, "FOR UPDATE")).await.unwrap();
    let swept = tokio::time::timeout(FOR_EVER, a.store.sweep()).await;
    assert_eq!(swept.expect("it waits for nobody").unwrap(), 0);
    run(&mut other, "COMMIT").await.unwrap();
    assert_eq!(a.store.sweep().await.unwrap(), 1);
}
