//! Messages to suspended runs (PROTOCOL 97): parked when they are sent, given back when the run goes on.

use super::ownership::suspended_by;
use super::*;

/// A run that is suspended; `other_builds` may try it.
pub(in crate::store) async fn suspended(process: &Process, name: &str) -> ExecutionId {
    let id = process.running(name).await;
    suspend(process, id, 2).await;
    id
}

async fn suspend(process: &Process, id: ExecutionId, seq: u64) {
    let append = Append { row: Some(suspended_by("b1")), ..process.turn(id, seq, 1) };
    assert!(matches!(process.append(append).await, Ok(AppendOutcome::Done)));
}

/// What is in the inboxes of this process's runs.
async fn inbox(process: &Process) -> Vec<String> {
    let rows = process.store.inbox(process.me).await.unwrap();
    rows.into_iter().map(|row| row.request_id).collect()
}

pub(super) async fn what_is_sent_to_a_suspended_run_waits_until_it_is_resumed(lab: Lab) {
    let process = lab.process().await;
    let id = suspended(&process, "order-1").await;
    for request in ["s1", "s2"] {
        assert_eq!(process.send(id, request).await, SendAnswer::Sent);
    }
    assert_eq!(process.send(id, "s1").await, SendAnswer::Known, "a parked one is known");
    assert_eq!(process.store.sweep().await.unwrap(), 0, "both were parked as they were sent");
    assert_eq!(process.run(id).await.inbox.len(), 2, "a load reads all");
    assert_eq!(process.take(process.claim_of("b1", false)).await, []);
    assert_eq!(process.store.resume(id).await.unwrap(), ResumeAnswer::Resumed);
    assert_eq!(process.take(process.claim_of("b1", false)).await, [id]);
    assert_eq!(inbox(&process).await, ["s1", "s2"]);
    assert_eq!(process.store.sweep().await.unwrap(), 0, "both were given back as it was resumed");
    // Its row is not due any more: the messages wake it.
    let row = RowChange { release: true, wake_at_ms: Some(None), ..RowChange::default() };
    assert!(matches!(
        process.append(Append { row: Some(row), ..process.turn(id, 3, 1) }).await,
        Ok(AppendOutcome::Done)
    ));
    assert_eq!(process.take(process.claim_of("b1", false)).await, [id]);
}

pub(super) async fn an_offer_gives_parked_messages_back(lab: Lab) {
    let process = lab.process().await;
    let id = suspended(&process, "order-1").await;
    assert_eq!(process.send(id, "s1").await, SendAnswer::Sent);
    assert!(!process.claim().await.offered, "its own build has tried");
    let claim = process.claim_of("b2", false);
    let claimed = process.store.claim(claim.clone()).await.unwrap();
    assert_eq!((ids(&claimed), claimed.offered), (vec![], true));
    assert_eq!(inbox(&process).await, [] as [String; 0]);
    let row = process.store.claim_offered(claim.clone()).await.unwrap().remove(0);
    assert_eq!((row.id, row.status, row.owner), (id, ExecutionStatus::Running, Some(process.me)));
    assert_eq!(inbox(&process).await, ["s1"]);
    assert!(process.store.claim_offered(claim.clone()).await.unwrap().is_empty(), "once");
    assert!(!process.store.claim(claim).await.unwrap().offered);
}

pub(super) async fn an_outcome_for_a_suspended_run_is_parked_and_a_query_is_not(lab: Lab) {
    let process = lab.process().await;
    let (id, sender) = (suspended(&process, "order-1").await, process.running("order-2").await);
    let of = |kind, request: &str| NewMessage { kind, ..process.message(id, request) };
    // Kept by an owner whose run was suspended while the attempt ran, and sent by another run.
    let messages = vec![of(MessageKind::Attempt, "attempt/2/1"), of(MessageKind::Signal, "s1")];
    let append = Append { messages, ..process.turn(sender, 2, 1) };
    assert!(matches!(process.append(append).await, Ok(AppendOutcome::Done)));
    assert_eq!(process.store.send(of(MessageKind::Query, "q1")).await.unwrap(), SendAnswer::Sent);
    assert_eq!(process.store.sweep().await.unwrap(), 0, "nothing is parked that was not, or must not be");
    let queries = process.store.open_queries(vec!["q".into()], vec!["Order".into()]).await.unwrap();
    assert_eq!(queries.iter().map(|row| row.request_id.as_str()).collect::<Vec<_>>(), ["q1"]);
    assert_eq!(process.store.resume(id).await.unwrap(), ResumeAnswer::Resumed);
    assert_eq!(process.take(process.claim_of("b1", false)).await, [id]);
    assert_eq!(inbox(&process).await, ["attempt/2/1", "s1", "q1"]);
}

pub(super) async fn what_is_sent_to_a_paused_run_is_parked_too(lab: Lab) {
    let process = lab.process().await;
    let id = process.running("order-1").await;
    let paused = RowChange { status: Some(ExecutionStatus::Newer(2)), ..RowChange::default() };
    let append = Append { row: Some(paused), ..process.turn(id, 2, 1) };
    assert!(matches!(process.append(append).await, Ok(AppendOutcome::Done)));
    assert_eq!(process.send(id, "s1").await, SendAnswer::Sent);
    assert_eq!(process.store.sweep().await.unwrap(), 0, "it was parked as it was sent");
}

pub(super) async fn the_sweep_parks_what_came_before_the_suspension(lab: Lab) {
    let process = lab.process().await;
    let id = process.running("order-1").await;
    for request in ["s1", "s2"] {
        assert_eq!(process.send(id, request).await, SendAnswer::Sent);
    }
    assert_eq!(process.store.sweep().await.unwrap(), 0, "it runs");
    suspend(&process, id, 2).await;
    assert_eq!(process.store.sweep().await.unwrap(), 2);
    assert_eq!(process.store.sweep().await.unwrap(), 0, "once");
    assert_eq!(process.store.resume(id).await.unwrap(), ResumeAnswer::Resumed);
    assert_eq!(process.take(process.claim_of("b1", false)).await, [id]);
    assert_eq!(inbox(&process).await, ["s1", "s2"]);
}
