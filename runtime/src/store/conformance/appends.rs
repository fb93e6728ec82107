//! Appends: group commit, duplicates, conflicts at a close, refused rows, and journals that do not join up.

use super::*;
use crate::status::ExecutionStatus;

pub(super) async fn concurrent_appends_share_commits(lab: Lab) {
    let process = lab.process().await;
    let mut executions = Vec::new();
    for i in 0..100 {
        executions.push(process.submit(process.create(process.new_execution(&format!("order-{i}")))));
    }
    for told in executions {
        assert!(matches!(told.await.unwrap(), Ok(AppendOutcome::Done)));
    }
    let metrics = process.store.metrics();
    assert_eq!(metrics.appends, 100);
    // What commits at once has nothing to gather.
    assert!(metrics.batches < 20 || lab.answers_at_once(), "{metrics:?}");
}

pub(super) async fn the_journal_is_what_was_appended(lab: Lab) {
    let process = lab.process().await;
    let id = process.running("order-1").await;
    let mut told = Vec::new();
    for (seq, n) in [(2, 3), (5, 1), (6, 2)] {
        told.push(process.append(Append { body: format!("[\"ö{seq}\"]"), ..process.turn(id, seq, n) }).await);
    }
    assert!(told.iter().all(|told| matches!(told, Ok(AppendOutcome::Done))));
    let turns = process.store.journal(id).await.unwrap();
    assert_eq!(
        turns.iter().map(|turn| (turn.seq.0, turn.n)).collect::<Vec<_>>(),
        [(1, 1), (2, 3), (5, 1), (6, 2)]
    );
    assert_eq!(turns[2].body, "[\"ö5\"]");
    assert!(turns.iter().all(|turn| turn.writer == process.me));
    assert_eq!(process.row(id).await.history_len, 7);
}

pub(super) async fn an_append_repeated_is_in_once(lab: Lab) {
    let process = lab.process().await;
    let id = process.running("order-1").await;
    let turn = process.turn(id, 2, 1);
    assert!(matches!(process.append(turn.clone()).await, Ok(AppendOutcome::Done)));
    assert!(matches!(process.append(turn.clone()).await, Ok(AppendOutcome::Done)), "ours: it is in");
    let other = Append { at_ms: turn.at_ms + 1, ..turn };
    assert!(matches!(process.append(other).await, Ok(AppendOutcome::Lost)), "another's");
    assert_eq!(process.store.journal(id).await.unwrap().len(), 2);
}

pub(super) async fn a_gap_is_told_when_read(lab: Lab) {
    let process = lab.process().await;
    let id = process.running("order-1").await;
    assert!(matches!(process.append(process.turn(id, 3, 1)).await, Ok(AppendOutcome::Done)));
    assert_eq!(process.store.journal(id).await.unwrap_err().code(), "AB0209");
}

pub(super) async fn a_message_stops_a_close_until_it_is_taken_in(lab: Lab) {
    let process = lab.process().await;
    let id = process.running("order-1").await;
    let other = process.running("order-2").await;
    assert_eq!(process.send(id, "s1").await, SendAnswer::Sent);
    // Another execution's append in the same batch is not held up.
    let (refused, fine) = (process.submit(process.close(id, 2)), process.submit(process.close(other, 2)));
    assert!(matches!(refused.await.unwrap(), Ok(AppendOutcome::Conflict)));
    assert!(matches!(fine.await.unwrap(), Ok(AppendOutcome::Done)));
    assert_eq!(process.store.journal(id).await.unwrap().len(), 1, "nothing of it is in");
    let inbox = process.store.inbox(process.me).await.unwrap();
    let close = Append { consumed: vec![inbox[0].id], ..process.close(id, 2) };
    assert!(matches!(process.append(close).await, Ok(AppendOutcome::Done)));
    assert_eq!(process.row(id).await.status, ExecutionStatus::Completed);
}

pub(super) async fn one_refused_row_is_found_and_the_others_are_in(lab: Lab) {
    let process = lab.process().await;
    let mut executions = Vec::new();
    for i in 0..30 {
        executions.push(process.running(&format!("order-{i}")).await);
    }
    // Events are numbered from 1.
    let seq = |i: usize| if i == 17 { 0 } else { 2 };
    let told: Vec<_> =
        executions.iter().enumerate().map(|(i, id)| process.submit(process.turn(*id, seq(i), 1))).collect();
    for (i, told) in told.into_iter().enumerate() {
        match told.await.unwrap().unwrap() {
            AppendOutcome::Done => assert_ne!(i, 17),
            AppendOutcome::BadRow(_) => assert_eq!(i, 17),
            other => panic!("{i}: {other:?}"),
        }
    }
    for (i, id) in executions.iter().enumerate() {
        assert_eq!(process.store.journal(*id).await.unwrap().len(), if i == 17 { 1 } else { 2 });
    }
}

pub(super) async fn rows_change_as_asked_and_only_so(lab: Lab) {
    let process = lab.process().await;
    let id = process.running("order-1").await;
    let set = RowChange { wake_at_ms: Some(Some(5)), active: Some(true), ..RowChange::default() };
    let append = Append { row: Some(set), ..process.turn(id, 2, 1) };
    assert!(matches!(process.append(append).await, Ok(AppendOutcome::Done)));
    let append = Append { row: Some(RowChange::default()), ..process.turn(id, 3, 1) };
    assert!(matches!(process.append(append).await, Ok(AppendOutcome::Done)));
    let row = process.row(id).await;
    assert_eq!((row.wake_at_ms, row.active, row.owner), (Some(5), true, Some(process.me)));
    let unset =
        RowChange { wake_at_ms: Some(None), active: Some(false), release: true, ..RowChange::default() };
    let append = Append { row: Some(unset), ..process.turn(id, 0, 0) };
    assert!(matches!(process.append(append.clone()).await, Ok(AppendOutcome::Done)));
    let row = process.row(id).await;
    assert_eq!((row.wake_at_ms, row.active, row.owner), (None, false, None));
    let again = Append { rev: Some(2), ..append };
    assert!(
        matches!(process.append(again).await, Ok(AppendOutcome::Lost)),
        "the row tells what became of it"
    );
    let late = Append {
        row: Some(RowChange { active: Some(true), ..RowChange::default() }),
        ..process.turn(id, 0, 0)
    };
    assert!(matches!(process.append(late).await, Ok(AppendOutcome::Lost)));
}

pub(super) async fn a_suspension_is_kept_and_resumed(lab: Lab) {
    let process = lab.process().await;
    let id = process.running("order-1").await;
    let why = Suspension {
        code: "AB0202".into(),
        message: "it \"panicked\"".into(),
        site: None,
        build: "b1".into(),
        other_builds: false,
        at_ms: 1,
    };
    let stop = RowChange {
        status: Some(ExecutionStatus::Suspended),
        suspension: Some(why.clone()),
        ..RowChange::default()
    };
    let rest = process.message(id, "s1");
    let append = Append { row: Some(stop), messages: vec![rest], ..process.turn(id, 2, 1) };
    assert!(matches!(process.append(append).await, Ok(AppendOutcome::Done)));
    let row = process.row(id).await;
    assert_eq!((row.status, row.owner, row.suspension), (ExecutionStatus::Suspended, None, Some(why)));
    assert_eq!(process.send(id, "s2").await, SendAnswer::Sent, "messages gather");
    assert_eq!(ids(&process.claim().await), []);
    assert_eq!(process.store.resume(id).await.unwrap(), ResumeAnswer::Resumed);
    assert_eq!(process.store.resume(id).await.unwrap(), ResumeAnswer::NotSuspended(ExecutionStatus::Running));
    assert_eq!(process.store.resume(ExecutionId(1)).await.unwrap(), ResumeAnswer::NoSuchExecution);
    assert_eq!(ids(&process.claim().await), [id]);
    let inbox = process.store.inbox(process.me).await.unwrap();
    assert_eq!(inbox.iter().map(|row| row.request_id.as_str()).collect::<Vec<_>>(), ["s1", "s2"]);
}
