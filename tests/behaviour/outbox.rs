//! Starts and messages inside a transaction of the user's: they happen exactly if the user commits.

use super::support::Db;
use crate::UserConnection;
use abide::prelude::*;
use sqlx::Connection;

#[derive(Default)]
struct Order {
    approved: Option<bool>,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) -> bool {
        workflow::until!(self.approved.is_some()).await;
        self.approved == Some(true)
    }

    #[signal]
    fn approve(&mut self, yes: bool) {
        self.approved = Some(yes);
    }
}

async fn scene() -> (tempfile::TempDir, Abide, abide::Worker, UserConnection) {
    let folder = tempfile::tempdir().unwrap();
    let abide = Db::open(&folder).await;
    let worker = abide.worker("orders").workflow(Order::run).start().await.unwrap();
    let user = UserConnection::connect(&Db::url(&folder)).await.unwrap();
    (folder, abide, worker, user)
}

/// On SQLite a transaction that reads first, and writes after somebody else has written, cannot go on.
async fn begin(user: &mut UserConnection) -> sqlx::Transaction<'_, <UserConnection as Connection>::Database> {
    let begin = if crate::ON_POSTGRES { "BEGIN" } else { "BEGIN IMMEDIATE" };
    user.begin_with(begin).await.unwrap()
}

#[tokio::test]
async fn a_start_and_a_signal_happen_with_the_commit() {
    let (_folder, abide, worker, mut user) = scene().await;
    let client = abide.client();
    let mut tx = begin(&mut user).await;
    let order = client.start(Order::run()).id("o").within(&mut *tx).await.unwrap();
    order.approve(true).within(&mut *tx).await.unwrap();
    assert_eq!(client.execution("o").describe().await.unwrap_err().code(), "AB0406", "nobody sees it yet");
    tx.commit().await.unwrap();
    assert!(order.result().await.unwrap());
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn nothing_happens_with_a_rollback() {
    let (_folder, abide, worker, mut user) = scene().await;
    let client = abide.client();
    let running = client.start(Order::run()).id("running").await.unwrap();
    let mut tx = begin(&mut user).await;
    client.start(Order::run()).id("o").within(&mut *tx).await.unwrap();
    running.approve(false).within(&mut *tx).await.unwrap();
    running.cancel("no").within(&mut *tx).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(client.execution("o").describe().await.unwrap_err().code(), "AB0406");
    running.approve(true).await.unwrap();
    assert!(running.result().await.unwrap());
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn ids_and_request_ids_hold_within() {
    let (_folder, abide, worker, mut user) = scene().await;
    let client = abide.client();
    let open = client.start(Order::run()).id("o").request_id("first").await.unwrap();
    let mut tx = begin(&mut user).await;
    let taken = client.start(Order::run()).id("o").within(&mut *tx).await;
    assert_eq!(taken.unwrap_err().code(), "AB0401");
    let known = client.start(Order::run()).id("o").request_id("first").within(&mut *tx).await.unwrap();
    assert_eq!(known.run_id(), open.run_id());
    for _ in 0..2 {
        open.cancel("enough").request_id("once").within(&mut *tx).await.unwrap();
    }
    assert_eq!(open.terminate("no").within(&mut *tx).await.unwrap_err().code(), "AB0418");
    let replacing =
        client.start(Order::run()).id("o").id_conflict_policy(IdConflictPolicy::TerminateExisting);
    assert_eq!(replacing.within(&mut *tx).await.unwrap_err().code(), "AB0418");
    tx.commit().await.unwrap();
    assert!(matches!(open.result().await, Err(WorkflowError::Cancelled)));
    let history = open.history().await.unwrap();
    let cancels = history.iter().flat_map(|row| &row.events);
    let cancels = cancels.filter(|event| matches!(event, abide::history::Event::CancelRequested { .. }));
    assert_eq!(cancels.count(), 1);
    let mut tx = begin(&mut user).await;
    assert_eq!(open.approve(true).within(&mut *tx).await.unwrap_err().code(), "AB0407");
    drop(tx);
    worker.shutdown().await.unwrap();
}

#[tokio::test]
async fn the_connection_must_be_of_the_same_database() {
    let (_folder, abide, worker, user) = scene().await;
    drop(user);
    let elsewhere = tempfile::tempdir().unwrap();
    drop(Db::open(&elsewhere).await);
    let mut other = UserConnection::connect(&Db::url(&elsewhere)).await.unwrap();
    let refused = abide.client().start(Order::run()).within(&mut other).await;
    assert_eq!(refused.unwrap_err().code(), "AB0516");
    worker.shutdown().await.unwrap();
}
