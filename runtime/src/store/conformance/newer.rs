//! Numbers that a newer release writes: this one leaves the rows alone, and everything beside them goes on.

use super::*;

/// A kind of message and statuses that no release has.
const KIND: MessageKind = MessageKind::Newer(99);
const OPEN: ExecutionStatus = ExecutionStatus::Newer(9);
const CLOSED: ExecutionStatus = ExecutionStatus::Newer(99);

/// An unowned run with this status.
async fn with(process: &Process, status: ExecutionStatus, name: &str) -> ExecutionId {
    let id = process.running(name).await;
    let change = RowChange { status: Some(status), release: true, ..RowChange::default() };
    let append = match status.is_open() {
        true => Append { row: Some(change), ..process.turn(id, 2, 1) },
        false => Append { close: Some(closed(status)), ..process.turn(id, 2, 1) },
    };
    assert!(matches!(process.append(append).await, Ok(AppendOutcome::Done)));
    id
}

pub(super) async fn a_message_of_an_unknown_kind_stays_and_wakes_nobody(lab: Lab) {
    let process = lab.process().await;
    let id = process.running("order-1").await;
    let unknown = NewMessage { kind: KIND, ..process.message(id, "n1") };
    assert_eq!(process.store.send(unknown.clone()).await.unwrap(), SendAnswer::Sent);
    assert_eq!(process.send(id, "s1").await, SendAnswer::Sent);
    let inbox = process.store.inbox(process.me).await.unwrap();
    assert_eq!(inbox.iter().map(|row| row.kind).collect::<Vec<_>>(), [KIND, MessageKind::Signal]);
    assert_eq!(process.run(id).await.inbox, inbox);
    // It is let go with the signal taken in: what is left wakes no worker, however often one looks.
    let change =
        RowChange { release: true, active: Some(false), wake_at_ms: Some(None), ..RowChange::default() };
    let leave = Append { row: Some(change), consumed: vec![inbox[1].id], ..process.turn(id, 2, 1) };
    assert!(matches!(process.append(leave).await, Ok(AppendOutcome::Done)));
    assert_eq!(ids(&process.claim().await), []);
    assert_eq!(process.send(id, "s2").await, SendAnswer::Sent);
    assert_eq!(ids(&process.claim().await), [id]);
    // Nor does it hold up a close. A signal does.
    let close = || async { Append { rev: Some(process.row(id).await.rev), ..process.close(id, 3) } };
    assert!(matches!(process.append(close().await).await, Ok(AppendOutcome::Conflict)));
    let signal = process.store.inbox(process.me).await.unwrap()[1].id;
    let close = Append { consumed: vec![signal], ..close().await };
    assert!(matches!(process.append(close).await, Ok(AppendOutcome::Done)));
}

pub(super) async fn a_run_of_an_unknown_open_status_is_open_and_nobodys(lab: Lab) {
    let process = lab.process().await;
    let id = with(&process, OPEN, "order-1").await;
    let beside = with(&process, ExecutionStatus::Suspended, "order-2").await;
    assert_eq!(process.send(id, "s1").await, SendAnswer::Sent);
    assert_eq!(ids(&process.claim().await), [], "messages do not wake it");
    assert_eq!(process.store.resume(id).await.unwrap(), ResumeAnswer::NotSuspended(OPEN));
    assert_eq!(process.store.resume(beside).await.unwrap(), ResumeAnswer::Resumed);
    assert_eq!(ids(&process.claim().await), [beside]);
    let page = process.store.list(Filter::default()).await.unwrap();
    assert_eq!(page.rows.iter().map(|row| row.id).collect::<Vec<_>>(), [beside, id]);
    let of_it = Filter { statuses: vec![OPEN], ..Filter::default() };
    assert_eq!(process.store.list(of_it).await.unwrap().rows.len(), 1);
    let again = process.store.start(process.new_execution("order-1")).await;
    assert!(matches!(again, Ok(StartAnswer::Taken(row)) if row.id == id));
    let event = r#"{"terminated":{"reason":"enough"}}"#.to_owned();
    assert_eq!(process.store.terminate(id, "t1".into(), event).await.unwrap(), SendAnswer::Sent);
    assert_eq!(process.row(id).await.status, ExecutionStatus::Terminated);
}

pub(super) async fn a_run_of_an_unknown_closed_status_is_closed(lab: Lab) {
    let process = lab.process().await;
    let id = with(&process, CLOSED, "order-1").await;
    assert_eq!(process.row(id).await.status, CLOSED);
    assert_eq!(process.send(id, "s1").await, SendAnswer::Closed);
    assert_eq!(process.store.resume(id).await.unwrap(), ResumeAnswer::NotSuspended(CLOSED));
    assert_eq!(process.store.list(Filter::default()).await.unwrap().rows.len(), 1);
    let again = NewExecution { reuse: IdReusePolicy::RejectDuplicate, ..process.new_execution("order-1") };
    assert!(matches!(process.store.start(again).await, Ok(StartAnswer::Refused(row)) if row.id == id));
    let reuse = IdReusePolicy::AllowDuplicateFailedOnly;
    let again = NewExecution { reuse, ..process.new_execution("order-1") };
    assert!(matches!(process.store.start(again).await, Ok(StartAnswer::Started)), "it did not complete");
}
