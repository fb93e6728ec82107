//! Revisions: a write that is sent again, late or twice, changes nothing that has changed since (PROTOCOL
//! 93). A run is read at one moment (PROTOCOL 34). Dedup keys include the kind (PROTOCOL 41).

use super::faults;
use super::*;
use crate::status::ExecutionStatus;
use abide_core::exec::AttemptOutcome;

fn release() -> RowChange {
    RowChange { release: true, wake_at_ms: Some(Some(1)), ..RowChange::default() }
}

impl Process {
    /// A change of the current row, without events.
    async fn bare(&self, id: ExecutionId, row: RowChange) -> Append {
        let rev = Some(self.row(id).await.rev);
        Append { row: Some(row), rev, ..Append::bare(self.me, id, self.store.now_ms()) }
    }

    async fn is_done(&self, append: Append) -> bool {
        matches!(self.append(append).await, Ok(AppendOutcome::Done))
    }

    async fn is_lost(&self, append: Append) -> bool {
        matches!(self.append(append).await, Ok(AppendOutcome::Lost))
    }
}

pub(super) async fn a_release_sent_twice_frees_nothing_that_was_claimed_since(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    let id = a.running("order-1").await;
    let first = a.bare(id, release()).await;
    assert!(a.is_done(first.clone()).await);
    assert_eq!(ids(&a.claim().await), [id], "the same worker has it again");
    assert!(a.is_lost(first).await);
    assert_eq!(ids(&b.claim().await), [], "it has one owner");
    assert!(a.is_done(a.turn(id, 2, 1)).await);
}

pub(super) async fn a_suspension_sent_twice_does_not_stop_what_was_resumed_since(lab: Lab) {
    let a = lab.process().await;
    let id = a.running("order-1").await;
    let first =
        a.bare(id, RowChange { status: Some(ExecutionStatus::Suspended), ..RowChange::default() }).await;
    assert!(a.is_done(first.clone()).await);
    assert_eq!(a.store.resume(id).await.unwrap(), ResumeAnswer::Resumed);
    assert_eq!(ids(&a.claim().await), [id]);
    assert!(a.is_lost(first).await);
    assert_eq!(a.row(id).await.status, ExecutionStatus::Running);
}

pub(super) async fn a_late_change_of_the_same_owner_changes_nothing(lab: Lab) {
    let a = lab.process().await;
    let id = a.running("order-1").await;
    let active = |active| RowChange { active: Some(active), wake_at_ms: Some(None), ..RowChange::default() };
    let late = a.bare(id, active(false)).await;
    assert!(a.is_done(a.bare(id, active(true)).await).await);
    assert!(a.is_lost(late.clone()).await);
    // With events, nothing of the append is written.
    assert!(a.is_lost(Append { rev: late.rev, row: late.row, ..a.turn(id, 2, 1) }).await);
    let run = a.run(id).await;
    assert!(run.row.active);
    assert_eq!(run.journal.unwrap().len(), 1);
}

pub(super) async fn claims_take_overs_and_resumes_make_new_revisions_and_ends_from_outside_do_not(lab: Lab) {
    let a = lab.process().await;
    let id = a.running("order-1").await;
    assert_eq!(a.row(id).await.rev, 0);
    assert!(a.is_done(a.turn(id, 2, 1)).await);
    assert_eq!(a.row(id).await.rev, 0, "no change of the row");
    assert!(a.is_done(a.bare(id, release()).await).await);
    assert_eq!(a.row(id).await.rev, 1);
    assert_eq!(a.claim().await.rows[0].rev, 2, "the claim tells");
    let b = lab.process().await;
    b.store.unregister(a.me).await.unwrap();
    assert_eq!(b.row(id).await.rev, 3);
    // It is due by the database's clock, and this process's clock may be behind it.
    while b.store.now_ms() < b.row(id).await.wake_at_ms.unwrap() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(ids(&b.claim().await), [id]);
    let event = r#"{"terminated":{"reason":"enough"}}"#.to_owned();
    b.store.terminate(id, "t".to_owned(), event).await.unwrap();
    assert_eq!(b.row(id).await.rev, 4);
}

pub(super) async fn the_row_tells_what_became_of_a_release_whose_answer_was_lost(lab: Lab) {
    let (a, armed) = faults::process(&lab, &[]).await;
    let b = lab.process().await;
    let id = a.running("order-1").await;
    // It was written: it is not sent again, and its owner reads the row.
    armed.lock().unwrap().push_back((Stage::AfterCommit, Fault::Lost));
    assert!(a.is_lost(a.bare(id, release()).await).await);
    assert_eq!(ids(&b.claim().await), [id]);
    // It was not written: it is sent again.
    let other = a.running("order-2").await;
    armed.lock().unwrap().push_back((Stage::BeforeCommit, Fault::Lost));
    assert!(a.is_done(a.bare(other, release()).await).await);
    assert_eq!(ids(&b.claim().await), [other]);
}

pub(super) async fn a_task_given_back_twice_stays_with_whoever_has_claimed_it_since(lab: Lab) {
    let a = lab.process().await;
    let id = a.calling("order-1").await;
    let first: Vec<_> = a.tasks().await.iter().map(|task| task.key).collect();
    a.store.release_tasks(a.me, first.clone()).await.unwrap();
    let second: Vec<_> = a.tasks().await.iter().map(|task| task.key).collect();
    assert_ne!(first, second, "each claim draws a nonce");
    a.store.release_tasks(a.me, first.clone()).await.unwrap();
    assert!(a.tasks().await.is_empty(), "one runner an attempt");
    assert!(!a.finish(first[0]).await, "a task that was given back cannot be ended");
    assert!(a.finish(second[0]).await);
    assert_eq!(a.outcomes(id).await.len(), 1);
}

pub(super) async fn one_id_may_name_a_message_of_each_kind(lab: Lab) {
    let a = lab.process().await;
    let id = a.calling("order-1").await;
    assert_eq!(a.send(id, "attempt/2/1").await, SendAnswer::Sent);
    let cancel = NewMessage { kind: MessageKind::Cancel, ..a.message(id, "attempt/2/1") };
    assert_eq!(a.store.send(cancel.clone()).await.unwrap(), SendAnswer::Sent);
    assert_eq!(a.store.send(cancel).await.unwrap(), SendAnswer::Known);
    let [task] = a.tasks().await.try_into().unwrap();
    assert!(a.finish(task.key).await);
    let outcomes = a.outcomes(id).await;
    assert!(
        matches!(outcomes.as_slice(), [(_, AttemptOutcome::Completed(_))]),
        "no signal swallows an outcome: {outcomes:?}"
    );
    assert_eq!(a.run(id).await.inbox.len(), 3);
}

pub(super) async fn a_run_is_read_whole(lab: Lab) {
    let a = lab.process().await;
    assert!(a.store.load(ExecutionId(7)).await.unwrap().is_none());
    let id = a.running("order-1").await;
    assert!(a.is_done(a.turn(id, 2, 3)).await);
    assert_eq!(a.send(id, "s1").await, SendAnswer::Sent);
    assert_eq!(a.send(id, "s2").await, SendAnswer::Sent);
    let run = a.run(id).await;
    assert_eq!((run.row.owner, run.row.history_len), (Some(a.me), 4));
    assert_eq!(run.journal.unwrap(), a.store.journal(id).await.unwrap());
    let sent: Vec<_> = run.inbox.iter().map(|row| (row.execution, row.request_id.as_str())).collect();
    assert_eq!(sent, [(id, "s1"), (id, "s2")]);
    assert!(a.is_done(a.turn(id, 6, 1)).await);
    assert!(a.run(id).await.journal.unwrap_err().contains("event 5"), "a gap is told");
}

/// PROTOCOL 34: row, journal and inbox are read at one moment, whatever is written meanwhile. Each turn takes
/// one message in and changes the row.
pub(super) async fn a_run_is_read_as_of_one_moment(lab: Lab) {
    const MESSAGES: usize = 40;
    let a = lab.process().await;
    let id = a.running("order-1").await;
    for n in 0..MESSAGES {
        assert_eq!(a.send(id, &format!("s{n}")).await, SendAnswer::Sent);
    }
    let before = a.run(id).await;
    let (rows, rev) = (before.inbox, before.row.rev);
    let turns = async {
        for (seq, row) in (2..).zip(&rows) {
            let change = RowChange { active: Some(seq % 2 == 0), ..RowChange::default() };
            let turn = Append { consumed: vec![row.id], row: Some(change), ..a.turn(id, seq, 1) };
            assert!(a.is_done(turn).await);
        }
    };
    let looks = async {
        let mut seen = 0;
        while seen < MESSAGES {
            let run = a.run(id).await;
            seen = run.journal.unwrap().len() - 1;
            let left: Vec<i64> = run.inbox.iter().map(|row| row.id).collect();
            let expected: Vec<i64> = rows[seen..].iter().map(|row| row.id).collect();
            assert_eq!(left, expected, "after {seen} turns");
            assert_eq!((run.row.rev - rev) as usize, seen, "the row is of the same moment");
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(turns, looks);
}
