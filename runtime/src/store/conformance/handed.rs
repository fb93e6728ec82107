//! Attempts that the holder of a token ends: their worker hands them out, and no worker has them any more.

use super::tasks::{body, task};
use super::*;
use abide_core::exec::AttemptOutcome;
use abide_core::{FailureKind, TimeoutKind};

impl Process {
    async fn hands_out(&self, key: TaskKey, (end_in_ms, beat_in_ms): (Option<i64>, Option<i64>)) -> bool {
        self.store.hand_out(self.me, HandOut { key, end_in_ms, beat_in_ms, details: None }).await.unwrap()
    }

    async fn ends_task(&self, key: TaskKey) -> bool {
        self.store.end_by_token(key, body(key.activity.0, key.attempt)).await.unwrap()
    }

    async fn beats(&self, key: TaskKey) -> TokenBeat {
        self.store.beat_by_token(key, "7".to_owned()).await.unwrap()
    }

    /// Claims the only task there is.
    async fn one(&self) -> TaskKey {
        let [taken] = self.tasks().await.try_into().unwrap();
        taken.key
    }
}

const NO_LIMITS: (Option<i64>, Option<i64>) = (None, None);

pub(super) async fn what_is_handed_out_is_ended_by_its_token_and_once(lab: Lab) {
    let (a, b, outside) = (lab.process().await, lab.process().await, lab.process().await);
    let id = a.calling("order-1").await;
    let key = b.one().await;
    assert!(!a.hands_out(key, NO_LIMITS).await, "another worker has it");
    assert!(!b.hands_out(TaskKey { nonce: key.nonce + 1, ..key }, NO_LIMITS).await, "another claim");
    assert!(b.hands_out(key, NO_LIMITS).await);
    assert!(!b.hands_out(key, NO_LIMITS).await, "once");
    assert_eq!(b.store.owned_tasks(b.me).await.unwrap(), []);
    let again = a.store.claim_tasks(a.wants()).await.unwrap();
    assert_eq!((again.tasks, again.next_due_ms), (vec![], None), "nothing to claim, now or later");
    assert!(!b.store.finish_task(b.me, key, body(2, 1)).await.unwrap(), "its worker has left it");
    b.store.release_tasks(b.me, vec![key]).await.unwrap();
    for void in [
        TaskKey { nonce: key.nonce + 1, ..key },
        TaskKey { attempt: 2, ..key },
        TaskKey { execution: ExecutionId(1), ..key },
    ] {
        assert!(!outside.ends_task(void).await);
        assert_eq!(outside.beats(void).await, TokenBeat::Void);
    }
    assert_eq!(outside.beats(key).await, TokenBeat::Kept);
    assert!(outside.ends_task(key).await);
    assert!(!outside.ends_task(key).await, "once");
    assert_eq!(outside.beats(key).await, TokenBeat::Void);
    let outcomes = a.outcomes(id).await;
    assert!(matches!(outcomes.as_slice(), [(id, AttemptOutcome::Completed(_))] if id == "attempt/2/1"));
}

pub(super) async fn it_costs_a_claim_a_hand_out_and_an_end(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    a.calling("order-1").await;
    let commits = || a.store.metrics().commits + b.store.metrics().commits;
    let before = commits();
    let [taken] =
        b.store.claim_tasks(TaskClaim { limit: 1, ..b.wants() }).await.unwrap().tasks.try_into().unwrap();
    assert!(b.hands_out(taken.key, NO_LIMITS).await);
    assert!(a.ends_task(taken.key).await);
    assert_eq!(commits() - before, 3);
}

pub(super) async fn a_token_is_valid_before_its_worker_hands_it_out(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    let id = a.calling("order-1").await;
    let key = b.one().await;
    assert_eq!(a.beats(key).await, TokenBeat::Kept);
    assert!(a.ends_task(key).await);
    assert!(!b.hands_out(key, NO_LIMITS).await, "that changes nothing");
    assert!(!b.store.finish_task(b.me, key, body(2, 1)).await.unwrap());
    assert_eq!(b.store.owned_tasks(b.me).await.unwrap(), []);
    assert_eq!(a.outcomes(id).await.len(), 1);
    // Given back, it has not begun: there is no attempt to end.
    let other = a.calling("order-2").await;
    let key = b.one().await;
    b.store.release_tasks(b.me, vec![key]).await.unwrap();
    assert!(!a.ends_task(key).await);
    assert!(a.outcomes(other).await.is_empty());
}

pub(super) async fn what_is_handed_out_outlives_its_worker_and_what_is_not_does_not(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    let (handed, kept) = (a.calling("order-1").await, a.calling("order-2").await);
    let keys: Vec<TaskKey> = b.tasks().await.iter().map(|task| task.key).collect();
    let of = |id| *keys.iter().find(|key| key.execution == id).unwrap();
    assert!(b.hands_out(of(handed), NO_LIMITS).await);
    b.store.unregister(b.me).await.unwrap();
    assert!(a.outcomes(handed).await.is_empty());
    assert_eq!(a.failure(kept).await, (FailureKind::WorkerLost, true));
    assert!(!a.ends_task(of(kept)).await, "its token is void");
    let next = NewTask { attempt: 2, ..task(2, 2) };
    assert!(matches!(a.change(kept, 3, vec![TaskChange::Insert(next)]).await, AppendOutcome::Done));
    assert_eq!(a.tasks().await.len(), 1);
    assert!(!a.ends_task(of(kept)).await, "also while the next attempt runs");
    assert!(a.ends_task(of(handed)).await);
    let zombie = HandOut { key: of(kept), end_in_ms: None, beat_in_ms: None, details: None };
    assert!(matches!(b.store.hand_out(b.me, zombie).await, Err(StoreError::Fenced)));
}

pub(super) async fn time_ends_what_is_handed_out_and_a_heartbeat_puts_it_off(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    let now = a.store.now_ms();
    let of = async |name: &str, limits, new: NewTask| {
        let id = a.running(name).await;
        assert!(matches!(a.change(id, 2, vec![TaskChange::Insert(new)]).await, AppendOutcome::Done));
        let key = b.one().await;
        assert!(b.hands_out(key, limits).await);
        (id, key)
    };
    let slow = of("slow", (Some(300), Some(60_000)), task(2, 1)).await;
    let silent = of("silent", (Some(60_000), Some(300)), task(2, 1)).await;
    let closed = of("closed", NO_LIMITS, NewTask { close_by_ms: Some(now + 300), ..task(2, 1) }).await;
    let started = of("started", NO_LIMITS, NewTask { start_by_ms: Some(now + 250), ..task(2, 1) }).await;
    let beating = of("beating", (None, Some(1_500)), task(2, 1)).await;
    assert_eq!(a.store.expire_tasks().await.unwrap(), 0);
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(a.beats(beating.1).await, TokenBeat::Kept);
    assert_eq!(a.store.expire_tasks().await.unwrap(), 3);
    let timed_out = FailureKind::TimedOut;
    assert_eq!(a.failure(slow.0).await, (timed_out(TimeoutKind::StartToClose), true));
    assert_eq!(a.failure(silent.0).await, (timed_out(TimeoutKind::Heartbeat), true));
    assert_eq!(a.failure(closed.0).await, (timed_out(TimeoutKind::ScheduleToClose), false));
    assert!(!a.ends_task(slow.1).await);
    assert_eq!(a.beats(silent.1).await, TokenBeat::Void);
    assert!(a.ends_task(started.1).await, "it was begun in time");
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_eq!(a.store.expire_tasks().await.unwrap(), 0, "its heartbeat came in time");
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_eq!(a.store.expire_tasks().await.unwrap(), 1);
    assert_eq!(a.failure(beating.0).await, (timed_out(TimeoutKind::Heartbeat), true));
}

pub(super) async fn a_cancel_is_told_to_the_holder_of_the_token(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    let (asked, dropped) = (a.calling("order-1").await, a.calling("order-2").await);
    let keys: Vec<TaskKey> = b.tasks().await.iter().map(|task| task.key).collect();
    let of = |id| *keys.iter().find(|key| key.execution == id).unwrap();
    for key in &keys {
        assert!(b.hands_out(*key, NO_LIMITS).await);
    }
    assert!(matches!(a.change(asked, 3, vec![TaskChange::Cancel(EventId(2))]).await, AppendOutcome::Done));
    assert!(matches!(a.change(dropped, 3, vec![TaskChange::Drop(EventId(2))]).await, AppendOutcome::Done));
    assert!(a.outcomes(asked).await.is_empty(), "its end is waited for");
    assert_eq!(a.store.expire_tasks().await.unwrap(), 0);
    assert_eq!(a.beats(of(asked)).await, TokenBeat::Cancelled);
    assert!(a.ends_task(of(asked)).await);
    assert_eq!(a.outcomes(asked).await.len(), 1);
    assert_eq!(a.beats(of(dropped)).await, TokenBeat::Void);
    assert!(!a.ends_task(of(dropped)).await);
}

pub(super) async fn a_token_of_a_closed_run_is_void_and_one_of_a_suspended_run_is_not(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    let (closed, ended, stopped) =
        (a.calling("order-1").await, a.calling("order-2").await, a.calling("order-3").await);
    let keys: Vec<TaskKey> = b.tasks().await.iter().map(|task| task.key).collect();
    let of = |id| *keys.iter().find(|key| key.execution == id).unwrap();
    for key in &keys {
        assert!(b.hands_out(*key, NO_LIMITS).await);
    }
    assert!(matches!(a.append(a.close(closed, 3)).await, Ok(AppendOutcome::Done)));
    let event = r#"{"terminated":{"reason":"enough"}}"#.to_owned();
    a.store.terminate(ended, "t-1".to_owned(), event).await.unwrap();
    let row = RowChange { status: Some(ExecutionStatus::Suspended), ..RowChange::default() };
    let append = Append { row: Some(row), ..a.turn(stopped, 3, 1) };
    assert!(matches!(a.append(append).await, Ok(AppendOutcome::Done)));
    assert!(!a.ends_task(of(closed)).await);
    assert!(!a.ends_task(of(ended)).await);
    assert!(a.ends_task(of(stopped)).await);
    assert_eq!(a.outcomes(stopped).await.len(), 1, "it waits for the resume");
}
