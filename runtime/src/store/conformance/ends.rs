//! Runs that end without code: who claims them, and what a start says of their time (PROTOCOL 40, 65, 67).

use super::*;

fn terms(close_by_ms: Option<i64>) -> Terms {
    Terms { close_by_ms, chain_by_ms: close_by_ms.map(|at_ms| at_ms + 7), ..Terms::default() }
}

/// An unowned run of a type and queue that no worker has, with this time limit.
async fn unowned(process: &Process, name: &str, close_by_ms: Option<i64>) -> ExecutionId {
    let (workflow_type, queue) = ("Nobody's".to_owned(), "elsewhere".to_owned());
    let new = NewExecution { workflow_type, queue, terms: terms(close_by_ms), ..process.new_execution(name) };
    let id = new.id;
    assert!(matches!(process.store.start(new).await.unwrap(), StartAnswer::Started));
    id
}

/// A run that this process has suspended.
async fn suspended(process: &Process, name: &str, close_by_ms: Option<i64>) -> ExecutionId {
    let new = NewExecution { terms: terms(close_by_ms), ..process.new_execution(name) };
    let id = new.id;
    assert!(matches!(process.append(process.create(new)).await, Ok(AppendOutcome::Done)));
    let why = Suspension {
        code: "AB0202".into(),
        message: "a bug".into(),
        site: None,
        build: "b1".into(),
        other_builds: false,
        at_ms: 1,
    };
    let status = Some(ExecutionStatus::Suspended);
    let stop = RowChange { status, suspension: Some(why), ..RowChange::default() };
    let append = Append { row: Some(stop), ..process.turn(id, 2, 0) };
    assert!(matches!(process.append(append).await, Ok(AppendOutcome::Done)));
    id
}

async fn terminate(process: &Process, id: ExecutionId) {
    let message = NewMessage {
        kind: MessageKind::Terminate,
        body: r#"{"reason":"enough"}"#.to_owned(),
        ..process.message(id, "abide/end")
    };
    assert_eq!(process.store.send(message).await.unwrap(), SendAnswer::Sent);
}

/// What is claimed, as it comes.
async fn claimed(process: &Process, limit: u32) -> Vec<ExecutionId> {
    process.store.claim_ends(process.me, limit).await.unwrap().runs
}

pub(super) async fn a_claim_for_an_end_changes_nothing_but_the_owner(lab: Lab) {
    let process = lab.process().await;
    let id = suspended(&process, "order-1", None).await;
    let before = process.row(id).await;
    terminate(&process, id).await;
    assert_eq!(claimed(&process, 10).await, [id]);
    let after = process.row(id).await;
    assert_eq!((after.owner, after.rev), (Some(process.me), before.rev + 1));
    let same =
        |row: &ExecutionRow| (row.status, row.suspension.clone(), row.wake_at_ms, row.active, row.crashes);
    assert_eq!(same(&after), same(&before));
    // A claimant that dies leaves it suspended, and the next one claims it again.
    let other = lab.process().await;
    let dead = process.me;
    process.die().await;
    other.store.unregister(dead).await.unwrap();
    assert_eq!(same(&other.row(id).await), same(&before));
    assert_eq!(claimed(&other, 10).await, [id]);
}

pub(super) async fn an_end_is_claimed_by_one_whatever_its_queue_type_and_status(lab: Lab) {
    let process = lab.process().await;
    let now = process.store.now_ms();
    let late = unowned(&process, "late", Some(now - 5)).await;
    let told = unowned(&process, "told", None).await;
    terminate(&process, told).await;
    let stands = suspended(&process, "stands", Some(now - 9)).await;
    let later = unowned(&process, "later", Some(now + 600_000)).await;
    let next = process.store.claim_ends(process.me, 1).await.unwrap();
    assert_eq!(next.runs, [stands], "the oldest first");
    assert_eq!(claimed(&process, 10).await, [late, told]);
    let none = process.store.claim_ends(process.me, 10).await.unwrap();
    assert_eq!((none.runs, none.next_due_ms), (Vec::new(), Some(now + 600_000)));
    assert_eq!(process.row(later).await.owner, None);
    // Written at the next place of the journal, by the worker that has claimed it.
    for (id, seq) in [(late, 1), (told, 1), (stands, 2)] {
        let status = ExecutionStatus::Terminated;
        let close = Some(Close { kind: CloseKind::Discarded, ..closed(status) });
        let end = Append { close, ..process.turn(id, seq, 1) };
        assert!(matches!(process.append(end).await, Ok(AppendOutcome::Done)));
        let row = process.row(id).await;
        assert_eq!((row.status, row.owner, row.suspension.is_some()), (status, None, false));
        assert_eq!(process.run(id).await.inbox, []);
    }
    assert_eq!(claimed(&process, 10).await, []);
}

pub(super) async fn an_owner_keeps_what_is_to_end(lab: Lab) {
    let process = lab.process().await;
    let new = NewExecution { terms: terms(Some(1)), ..process.new_execution("order-1") };
    let id = new.id;
    assert!(matches!(process.append(process.create(new)).await, Ok(AppendOutcome::Done)));
    terminate(&process, id).await;
    let other = lab.process().await;
    assert_eq!(claimed(&other, 10).await, []);
    let unread = process.store.inbox(process.me).await.unwrap();
    assert_eq!(unread.iter().map(|row| row.kind).collect::<Vec<_>>(), [MessageKind::Terminate]);
    let leave = Append { row: Some(let_go()), rev: Some(0), ..process.turn(id, 2, 0) };
    assert!(matches!(process.append(leave).await, Ok(AppendOutcome::Done)));
    assert_eq!(claimed(&other, 10).await, [id]);
}

pub(super) async fn terms_of_a_start_are_kept(lab: Lab) {
    let process = lab.process().await;
    let now = process.store.now_ms();
    let terms = || Terms {
        due_at_ms: Some(now + 60_000),
        close_by_ms: Some(now + 90_000),
        chain_by_ms: Some(now + 95_000),
        context: Some(r#"{"run_timeout_ms":30000}"#.to_owned()),
        scheduled: None,
    };
    let (first, second) = (process.new_execution("order-1"), process.new_execution("order-2"));
    let (later, own) = (first.id, second.id);
    let first = NewExecution { terms: terms(), ..first };
    assert!(matches!(process.store.start(first).await.unwrap(), StartAnswer::Started));
    let second = process.create(NewExecution { terms: terms(), ..second });
    assert!(matches!(process.append(second).await, Ok(AppendOutcome::Done)));
    for id in [later, own] {
        let row = process.row(id).await;
        assert_eq!((row.close_by_ms, row.chain_by_ms), (Some(now + 90_000), Some(now + 95_000)));
        assert_eq!(row.context.as_deref(), Some(r#"{"run_timeout_ms":30000}"#));
    }
    assert_eq!(process.row(later).await.wake_at_ms, Some(now + 60_000));
    // A delayed start is not claimed before its time, and a message begins it.
    let none = process.claim().await;
    assert_eq!((ids(&none), none.next_due_ms), (Vec::new(), Some(now + 60_000)));
    assert_eq!(process.send(later, "s1").await, SendAnswer::Sent);
    assert_eq!(ids(&process.claim().await), [later]);
}

pub(super) async fn a_worker_that_was_taken_over_claims_no_end(lab: Lab) {
    let process = lab.process().await;
    let id = unowned(&process, "late", Some(1)).await;
    let other = lab.process().await;
    process.store.unregister(process.me).await.unwrap();
    let claimed = process.store.claim_ends(process.me, 10).await;
    assert!(claimed.map_or(true, |claimed| claimed.runs.is_empty()));
    assert_eq!(other.row(id).await.owner, None);
}

pub(super) async fn a_message_to_terminate_is_never_parked(lab: Lab) {
    let process = lab.process().await;
    let id = suspended(&process, "order-1", None).await;
    assert_eq!(process.send(id, "s1").await, SendAnswer::Sent);
    terminate(&process, id).await;
    assert_eq!(process.store.sweep().await.unwrap(), 0, "nothing is parked wrongly");
    assert_eq!(claimed(&process, 10).await, [id]);
    let unread = process.store.inbox(process.me).await.unwrap();
    assert_eq!(unread.iter().map(|row| row.kind).collect::<Vec<_>>(), [MessageKind::Terminate]);
}
