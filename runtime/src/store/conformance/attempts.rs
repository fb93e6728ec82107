//! Failed attempts: appends without events keep the last one of each activity beside the journal, until the
//! activity's end.

use super::*;

fn row(activity: u64, attempt: u32) -> AttemptRow {
    let failure = format!(r#"{{"kind":"application","message":"nö \"{attempt}\""}}"#);
    AttemptRow { activity: EventId(activity), attempt, next_at_ms: i64::from(attempt) * 1_000, failure }
}

fn keep(activity: u64, attempt: u32) -> AttemptChange {
    AttemptChange::Keep(row(activity, attempt))
}

impl Process {
    /// An append without events.
    fn failed(&self, of: ExecutionId, attempts: Vec<AttemptChange>) -> Append {
        Append { attempts, row: Some(RowChange::default()), ..self.turn(of, 2, 0) }
    }

    async fn kept(&self, of: ExecutionId) -> Vec<AttemptRow> {
        self.store.load(of).await.unwrap().unwrap().attempts
    }
}

pub(super) async fn the_last_failed_attempt_of_each_activity_is_kept(lab: Lab) {
    let process = lab.process().await;
    let (id, other) = (process.running("order-1").await, process.running("order-2").await);
    assert_eq!(process.kept(id).await, []);
    let all =
        [vec![keep(3, 1), keep(2, 1)], vec![keep(2, 2)], vec![keep(2, 3), AttemptChange::Drop(EventId(9))]];
    for (n, attempts) in all.into_iter().enumerate() {
        // Several executions in one batch.
        let beside = Append { rev: Some(n as i64), ..process.failed(other, vec![keep(2, 7 + n as u32)]) };
        let beside = process.submit(beside);
        let outcome = process.append(process.failed(id, attempts)).await;
        assert!(matches!(outcome, Ok(AppendOutcome::Done)), "{outcome:?}");
        assert!(matches!(beside.await.unwrap(), Ok(AppendOutcome::Done)));
    }
    assert_eq!(process.kept(id).await, [row(2, 3), row(3, 1)]);
    assert_eq!(process.kept(other).await, [row(2, 9)]);
    assert_eq!(process.store.journal(id).await.unwrap().len(), 1, "the history is as it was");
    // A late copy of an earlier one changes nothing.
    let late =
        Append { rev: Some(0), ..process.failed(id, vec![keep(2, 1), AttemptChange::Drop(EventId(3))]) };
    assert!(matches!(process.append(late).await, Ok(AppendOutcome::Lost)));
    assert_eq!(process.kept(id).await, [row(2, 3), row(3, 1)]);
    // The end of an activity is an event, and deletes its row.
    let end = Append { attempts: vec![AttemptChange::Drop(EventId(2))], ..process.turn(id, 2, 1) };
    assert!(matches!(process.append(end).await, Ok(AppendOutcome::Done)));
    assert_eq!(process.kept(id).await, [row(3, 1)]);
    assert_eq!(process.kept(other).await, [row(2, 9)]);
}

pub(super) async fn a_close_and_a_terminate_leave_no_failed_attempt(lab: Lab) {
    let process = lab.process().await;
    let (closes, ended, stays) = (
        process.running("order-1").await,
        process.running("order-2").await,
        process.running("order-3").await,
    );
    for id in [closes, ended, stays] {
        let append = process.failed(id, vec![keep(2, 1), keep(3, 1)]);
        assert!(matches!(process.append(append).await, Ok(AppendOutcome::Done)));
    }
    assert!(matches!(
        process.append(Append { rev: Some(1), ..process.close(closes, 2) }).await,
        Ok(AppendOutcome::Done)
    ));
    let event = r#"{"terminated":{"reason":"enough"}}"#.to_owned();
    assert_eq!(process.store.terminate(ended, "t".to_owned(), event).await.unwrap(), SendAnswer::Sent);
    assert_eq!((process.kept(closes).await, process.kept(ended).await), (vec![], vec![]));
    assert_eq!(process.kept(stays).await.len(), 2);
}

pub(super) async fn a_worker_that_was_taken_over_keeps_none(lab: Lab) {
    let process = lab.process().await;
    let id = process.running("order-1").await;
    let due = RowChange { wake_at_ms: Some(Some(1)), ..RowChange::default() };
    let append = Append { row: Some(due), ..process.failed(id, vec![keep(2, 1)]) };
    assert!(matches!(process.append(append).await, Ok(AppendOutcome::Done)));
    process.store.unregister(process.me).await.unwrap();
    let late = process.append(process.failed(id, vec![keep(2, 2), AttemptChange::Drop(EventId(3))])).await;
    assert!(matches!(late, Err(StoreError::Fenced)), "{late:?}");
    assert_eq!(process.kept(id).await, [row(2, 1)]);
    // The next owner goes on from there.
    let next = lab.process().await;
    assert_eq!(ids(&next.claim().await), [id]);
    assert_eq!(next.kept(id).await, [row(2, 1)]);
}

/// One append replaces a task, takes a message in, sends another, and changes the row.
pub(super) async fn they_come_with_all_else_that_an_append_does(lab: Lab) {
    let process = lab.process().await;
    let (id, other) = (process.running("order-1").await, process.running("order-2").await);
    assert_eq!(process.send(id, "s1").await, SendAnswer::Sent);
    let consumed: Vec<i64> =
        process.store.inbox(process.me).await.unwrap().iter().map(|row| row.id).collect();
    let task = NewTask {
        activity: EventId(2),
        attempt: 2,
        queue: Some("gpu".to_owned()),
        name: "transcode".to_owned(),
        input: "[]".to_owned(),
        limits: "{}".to_owned(),
        run_at_ms: 1,
        start_by_ms: None,
        close_by_ms: None,
        details: None,
    };
    let row_change = RowChange { wake_at_ms: Some(Some(5_000)), active: Some(false), ..RowChange::default() };
    let append = Append {
        consumed,
        messages: vec![process.message(other, "s2")],
        tasks: vec![TaskChange::Insert(task)],
        row: Some(row_change),
        ..process.failed(id, vec![keep(2, 1)])
    };
    assert!(matches!(process.append(append).await, Ok(AppendOutcome::Done)));
    assert_eq!(process.kept(id).await, [row(2, 1)]);
    assert_eq!(process.row(id).await.wake_at_ms, Some(5_000));
    let left: Vec<ExecutionId> =
        process.store.inbox(process.me).await.unwrap().iter().map(|row| row.execution).collect();
    assert_eq!(left, [other]);
    let wants = TaskClaim {
        owner: process.me,
        queues: vec!["gpu".to_owned()],
        names: vec!["transcode".to_owned()],
        limit: 10,
    };
    assert_eq!(process.store.claim_tasks(wants).await.unwrap().tasks.len(), 1);
}
