//! A client with a real store and no worker: what it may do and what it must refuse.

#![allow(clippy::unwrap_used)] // tests

use super::*;
use crate::policy::{IdConflictPolicy, IdReusePolicy};
use crate::status::ExecutionStatus;
use crate::{Abide, WorkflowError};
use abide_core::WorkflowCall;
use abide_core::{
    Messages, Never, Outcome, Payload, PayloadError, Route, Sel, SignalRoute, Slot, WorkflowDef,
};
use std::ops::Deref;
use std::time::Duration;

struct Wait;

impl WorkflowDef for Wait {
    const NAME: &'static str = "Wait";
    type State = ();
    type Args = (u32,);
    type Returned = u32;
    type Outcome = Sel<u32, false>;

    fn init() {}

    async fn run(_: Slot<()>, (n,): (u32,)) -> u32 {
        n
    }
}

struct Other;

impl WorkflowDef for Other {
    const NAME: &'static str = "Other";
    type State = ();
    type Args = ();
    type Returned = ();
    type Outcome = Sel<(), false>;

    fn init() {}

    async fn run(_: Slot<()>, (): ()) {}
}

struct Methods<W: WorkflowDef, R: Route>(R::Core<W>);

impl<W: WorkflowDef, R: Route<Core<W>: Clone>> Clone for Methods<W, R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<W: WorkflowDef, R: Route> Deref for Methods<W, R> {
    type Target = R::Core<W>;

    fn deref(&self) -> &R::Core<W> {
        &self.0
    }
}

impl<R: Route> Messages<R> for Wait {
    type Methods = Methods<Self, R>;

    fn methods(core: R::Core<Self>) -> Self::Methods {
        Methods(core)
    }
}

impl<R: Route> Messages<R> for Other {
    type Methods = Methods<Self, R>;

    fn methods(core: R::Core<Self>) -> Self::Methods {
        Methods(core)
    }
}

fn call(n: u32) -> WorkflowCall<Wait> {
    WorkflowCall::new(&(n,))
}

fn go(handle: &Handle<Wait>, input: std::result::Result<Payload, PayloadError>) -> Request {
    <ByClient as SignalRoute>::signal::<Wait>(handle, "go", input)
}

type Ended = std::result::Result<<Sel<u32, false> as Outcome>::Ok, WorkflowError<Never>>;

async fn open() -> (tempfile::TempDir, Abide) {
    let folder = tempfile::tempdir().unwrap();
    let abide = Abide::open(folder.path().join("abide.db")).await.unwrap();
    (folder, abide)
}

fn code<T>(answer: Result<T>) -> &'static str {
    answer.map_or_else(|error| error.code(), |_| "ok")
}

#[tokio::test]
async fn a_start_needs_a_queue_and_a_good_id() {
    let (_folder, abide) = open().await;
    let client = abide.client();
    assert_eq!(code(client.start(call(1)).await), "AB0411");
    assert_eq!(code(client.start(call(1)).task_queue("q").id("").await), "AB0412");
    assert_eq!(code(client.start(call(1)).task_queue("q").request_id("x".repeat(1_001)).await), "AB0412");
    let handle = client.task_queue("q").start(call(1)).id("a").await.unwrap();
    assert_eq!((handle.id(), handle.run_id().is_some()), ("a", true));
}

#[tokio::test]
async fn ids_are_taken_reused_and_remembered() {
    let (_folder, abide) = open().await;
    let client = abide.client().task_queue("q");
    let first = client.start(call(1)).id("a").request_id("r1").await.unwrap();
    let again = client.start(call(1)).id("a").request_id("r1").await.unwrap();
    assert_eq!(first.run_id(), again.run_id());
    assert_eq!(code(client.start(call(2)).id("a").await), "AB0401");
    let existing =
        client.start(call(2)).id("a").id_conflict_policy(IdConflictPolicy::UseExisting).await.unwrap();
    assert_eq!(first.run_id(), existing.run_id());
    let other = WorkflowCall::<Other>::new(&());
    let other = client.start(other).id("a").id_conflict_policy(IdConflictPolicy::UseExisting);
    assert_eq!(code(other.await), "AB0416");

    let next =
        client.start(call(3)).id("a").id_conflict_policy(IdConflictPolicy::TerminateExisting).await.unwrap();
    assert!(matches!(first.result().await, Err(WorkflowError::Terminated)));
    assert_ne!(first.run_id(), next.run_id());
    next.terminate("over").await.unwrap();
    let reject = client.start(call(4)).id("a").id_reuse_policy(IdReusePolicy::RejectDuplicate);
    assert_eq!(code(reject.await), "AB0402");
    let failed_only = client.start(call(4)).id("a").id_reuse_policy(IdReusePolicy::AllowDuplicateFailedOnly);
    assert_eq!(code(failed_only.await), "ok");
}

#[tokio::test]
async fn messages_wait_for_a_worker_and_are_refused_after_the_close() {
    let (_folder, abide) = open().await;
    let handle = abide.client().task_queue("q").start(call(1)).id("a").await.unwrap();
    go(&handle, Payload::encode(&(1,))).request_id("s1").await.unwrap();
    go(&handle, Payload::encode(&(1,))).request_id("s1").await.unwrap();
    handle.cancel("no need").await.unwrap();
    assert_eq!(code(handle.resume().await), "AB0414");
    let waiting = tokio::spawn(handle.result());
    tokio::time::sleep(Duration::from_millis(20)).await;
    handle.terminate("over").request_id("t1").await.unwrap();
    let ended: Ended = tokio::time::timeout(Duration::from_secs(2), waiting).await.unwrap().unwrap();
    assert!(matches!(ended, Err(WorkflowError::Terminated)));
    handle.terminate("over").request_id("t1").await.unwrap();
    assert_eq!(code(go(&handle, Payload::encode(&(1,))).await), "AB0407");
    assert_eq!(code(handle.terminate("again").await), "AB0407");
}

#[tokio::test]
async fn what_is_not_there_and_what_is_of_another_type() {
    let (_folder, abide) = open().await;
    let client = abide.client().task_queue("q");
    let nobody = client.handle::<Wait>("nobody");
    assert_eq!(code(go(&nobody, Payload::encode(&())).await), "AB0406");
    assert_eq!(code(nobody.describe().await), "AB0406");
    assert!(matches!(nobody.result().await, Err(WorkflowError::Client(e)) if e.code() == "AB0406"));
    client.start(call(1)).id("a").await.unwrap();
    let wrong = client.handle::<Other>("a").result().await;
    assert!(matches!(wrong, Err(WorkflowError::Client(e)) if e.code() == "AB0416"));
}

#[tokio::test]
async fn a_description_and_a_list_need_no_worker() {
    let (_folder, abide) = open().await;
    let client = abide.client().task_queue("q");
    for id in ["a-1", "a-2", "b-1"] {
        client.start(call(1)).id(id).await.unwrap();
    }
    client.execution("a-2").terminate("over").await.unwrap();
    let described = client.execution("a-1").describe().await.unwrap();
    assert_eq!((described.status, described.workflow_type.as_str()), (ExecutionStatus::Running, "Wait"));
    assert!(described.awaiting.is_empty() && described.closed_at.is_none());
    let ids = |page: ExecutionPage| page.executions.into_iter().map(|e| e.workflow_id).collect::<Vec<_>>();
    assert_eq!(ids(client.list(ListFilter::new().id_prefix("a-")).await.unwrap()), ["a-2", "a-1"]);
    let running = client.list(ListFilter::new().status(ExecutionStatus::Running).limit(1)).await.unwrap();
    let next = running.next.clone().expect("there is a second page");
    assert_eq!(ids(running), ["b-1"]);
    let filter = ListFilter::new().status(ExecutionStatus::Running).limit(1).after(next);
    assert_eq!(ids(client.list(filter).await.unwrap()), ["a-1"]);
}

#[tokio::test]
async fn another_process_is_told_of_the_end() {
    let (folder, abide) = open().await;
    let url = format!("sqlite://{}/abide.db", folder.path().display());
    // A second open shares nothing with the first except the file, like another process.
    let elsewhere = Abide::open(url).await.unwrap();
    let handle = abide.client().task_queue("q").start(call(1)).id("a").await.unwrap();
    let waiting = tokio::spawn(elsewhere.client().handle::<Wait>("a").result());
    tokio::time::sleep(Duration::from_millis(100)).await;
    handle.terminate("over").await.unwrap();
    let ended: Ended = tokio::time::timeout(Duration::from_secs(2), waiting).await.unwrap().unwrap();
    assert!(matches!(ended, Err(WorkflowError::Terminated)));
}
