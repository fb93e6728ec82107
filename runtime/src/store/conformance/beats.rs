//! Heartbeats: what they tell is kept in the row of the attempt, and reaches the next attempt (PROTOCOL 74, 75).

use super::tasks::{key, task, token};
use super::*;
use abide_core::FailureKind;

fn beat(key: TaskKey, details: &str, at_ms: i64) -> Beat {
    Beat { key, details: details.to_owned(), at_ms }
}

const KEPT: Beaten = Beaten::Kept { cancel: false };

impl Process {
    async fn beat(&self, beats: Vec<Beat>) -> Vec<Beaten> {
        self.store.beat(self.me, beats).await.unwrap()
    }

    /// The details of each activity of a run, as a load reads them.
    async fn told(&self, of: ExecutionId) -> Vec<(u64, String)> {
        self.run(of).await.beats.into_iter().map(|row| (row.activity.0, row.details)).collect()
    }

    /// The details in the body of the only outcome in the inbox.
    async fn carried(&self, of: ExecutionId) -> Option<String> {
        let mut rows = self.run(of).await.inbox.into_iter().filter(|row| row.kind == MessageKind::Attempt);
        let body: AttemptBody = serde_json::from_str(&rows.next().unwrap().body).unwrap();
        assert!(rows.next().is_none(), "one outcome");
        body.details.map(|details| details.as_json().to_owned())
    }
}

/// A run whose second event is an activity for `gpu`, and whose third is one that its owner runs.
async fn two(a: &Process, name: &str) -> ExecutionId {
    let id = a.calling(name).await;
    assert!(matches!(a.change(id, 3, vec![TaskChange::Insert(token(3, 1))]).await, AppendOutcome::Done));
    id
}

pub(super) async fn a_heartbeat_is_kept_in_its_row(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    let id = two(&a, "order-1").await;
    assert_eq!(a.told(id).await, []);
    let [taken] = b.tasks().await.try_into().unwrap();
    assert_eq!(taken.details, None);
    let now = a.store.now_ms();
    let own = vec![beat(key(id, 3, 1), "[1,\"é\"]", now)];
    assert_eq!(a.beat(own).await, [KEPT], "the owner has no nonce");
    assert_eq!(b.beat(vec![beat(taken.key, "{\"done\":5}", now)]).await, [KEPT]);
    let both = [(2, "{\"done\":5}".to_owned()), (3, "[1,\"é\"]".to_owned())];
    assert_eq!(a.told(id).await, both);
    let times: Vec<_> = a.run(id).await.beats.iter().map(|row| row.at_ms).collect();
    assert_eq!(times, [Some(now); 2]);
    // The answer carries the request to stop, to the worker that runs it.
    assert!(matches!(a.change(id, 4, vec![TaskChange::Cancel(EventId(2))]).await, AppendOutcome::Done));
    assert_eq!(b.beat(vec![beat(taken.key, "6", now)]).await, [Beaten::Kept { cancel: true }]);
    assert_eq!(a.beat(Vec::new()).await, []);
}

pub(super) async fn a_copy_that_is_late_changes_nothing(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    let id = two(&a, "order-1").await;
    let [taken] = b.tasks().await.try_into().unwrap();
    let now = a.store.now_ms();
    for (process, key, activity) in [(&a, key(id, 3, 1), 3), (&b, taken.key, 2)] {
        let told = async |details: &str, at_ms: i64| {
            assert_eq!(process.beat(vec![beat(key, details, at_ms)]).await, [KEPT]);
            let all = a.told(id).await;
            all.into_iter().find(|(of, _)| *of == activity).unwrap().1
        };
        assert_eq!(told("1", now - 20).await, "1");
        assert_eq!(told("2", now - 10).await, "2");
        assert_eq!(told("1", now - 20).await, "2", "it is in, and a later one as well");
        assert_eq!(told("3", now - 10).await, "3", "in the same millisecond, the last one");
        // A clock that was an hour ahead does not make the attempt silent for an hour.
        assert_eq!(told("4", now + 3_600_000).await, "4");
        assert_eq!(told("5", now).await, "5");
    }
}

pub(super) async fn whoever_holds_no_lease_beats_nothing(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    let id = two(&a, "order-1").await;
    let [taken] = b.tasks().await.try_into().unwrap();
    let (_, now) = (a.store.unregister(b.me).await.unwrap(), a.store.now_ms());
    for beats in [vec![beat(taken.key, "1", now)], vec![beat(key(id, 3, 1), "1", now)]] {
        assert!(matches!(b.store.beat(b.me, beats).await, Err(StoreError::Fenced)));
    }
    assert_eq!(a.told(id).await, []);
}

pub(super) async fn an_attempt_without_a_row_is_told(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    let (id, other) = (two(&a, "order-1").await, two(&a, "order-2").await);
    let taken = b.tasks().await;
    let now = a.store.now_ms();
    let all = |of: ExecutionId| {
        let own = beat(key(of, 3, 1), "1", now);
        let task = taken.iter().find(|task| task.key.execution == of).unwrap();
        (own, beat(task.key, "1", now))
    };
    let (own, task) = all(id);
    let wrong = |of: &Beat, key: TaskKey| Beat { key, ..of.clone() };
    let elsewhere = TaskKey { nonce: 0, ..task.key };
    let earlier = TaskKey { nonce: task.key.nonce ^ 1, ..task.key };
    let next = TaskKey { attempt: 2, ..own.key };
    let beats = vec![task.clone(), wrong(&own, next), wrong(&task, earlier), wrong(&task, elsewhere)];
    use Beaten::Gone;
    assert_eq!(b.beat(beats).await, [KEPT, Gone, Gone, Gone], "in the order of the list");
    assert_eq!(a.beat(vec![task.clone(), own.clone()]).await, [Gone, KEPT], "the task is not this worker's");
    // Its own end, and the end of its run.
    assert!(b.finish(task.key).await);
    let settle = TaskChange::Settle { activity: EventId(3), attempt: 1 };
    assert!(matches!(a.change(id, 4, vec![settle]).await, AppendOutcome::Done));
    let (others_own, others_task) = all(other);
    assert_eq!(b.beat(vec![others_task.clone(), task]).await, [KEPT, Gone]);
    assert_eq!(a.beat(vec![own, others_own.clone()]).await, [Gone, KEPT]);
    let event = r#"{"terminated":{"reason":"enough"}}"#.to_owned();
    a.store.terminate(other, "t1".to_owned(), event).await.unwrap();
    assert_eq!(b.beat(vec![others_task]).await, [Gone]);
    assert_eq!(a.beat(vec![others_own]).await, [Gone]);
}

pub(super) async fn the_next_attempt_keeps_what_it_brings_nothing_for(lab: Lab) {
    let a = lab.process().await;
    let id = a.running("order-1").await;
    let change = async |seq, change| {
        assert!(matches!(a.change(id, seq, vec![change]).await, AppendOutcome::Done));
    };
    let replace = |of: u32, details: Option<&str>| TaskChange::Replace {
        of,
        with: NewTask { details: details.map(str::to_owned), ..token(3, of + 1) },
    };
    change(2, TaskChange::Insert(token(3, 1))).await;
    let now = a.store.now_ms();
    assert_eq!(a.beat(vec![beat(key(id, 3, 1), "1", now)]).await, [KEPT]);
    change(3, replace(1, None)).await;
    assert_eq!(a.told(id).await, [(3, "1".to_owned())]);
    assert_eq!(a.run(id).await.beats[0].at_ms, Some(now));
    assert_eq!(
        a.beat(vec![beat(key(id, 3, 1), "0", now)]).await,
        [Beaten::Gone],
        "another attempt has its row"
    );
    change(4, replace(2, Some("2"))).await;
    assert_eq!(a.told(id).await, [(3, "2".to_owned())]);
    change(5, TaskChange::Settle { activity: EventId(3), attempt: 3 }).await;
    // What an attempt elsewhere told goes with its row, and comes with the next row.
    change(6, TaskChange::Insert(NewTask { details: Some("7".to_owned()), ..task(4, 2) })).await;
    assert_eq!(a.told(id).await, [(4, "7".to_owned())]);
    let [taken] = a.tasks().await.try_into().unwrap();
    assert_eq!(taken.details.as_deref(), Some("7"));
}

pub(super) async fn the_end_of_an_attempt_carries_its_details(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    let now = a.store.now_ms();
    let (lost, silent) = (a.calling("order-1").await, a.calling("order-2").await);
    let late = a.running("order-3").await;
    let in_time = TaskChange::Insert(NewTask { close_by_ms: Some(now + 3_000), ..task(2, 1) });
    assert!(matches!(a.change(late, 2, vec![in_time]).await, AppendOutcome::Done));
    let taken = b.tasks().await;
    assert_eq!(taken.len(), 3);
    let beats = taken.iter().filter(|task| task.key.execution != silent);
    let beats: Vec<_> = beats.map(|task| beat(task.key, r#"{"at":[7,"x"]}"#, now)).collect();
    assert_eq!(b.beat(beats).await, [KEPT; 2]);
    while a.store.expire_tasks().await.unwrap() == 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    b.store.unregister(b.me).await.unwrap();
    assert_eq!(a.carried(late).await.as_deref(), Some(r#"{"at":[7,"x"]}"#));
    assert_eq!(a.failure(lost).await, (FailureKind::WorkerLost, true));
    assert_eq!(a.carried(lost).await.as_deref(), Some(r#"{"at":[7,"x"]}"#));
    assert_eq!(a.carried(silent).await, None);
}

pub(super) async fn a_thousand_heartbeats_are_one_commit(lab: Lab) {
    let a = lab.process().await;
    let id = a.running("order-1").await;
    let rows = (2..1_002).map(|activity| TaskChange::Insert(token(activity, 1)));
    assert!(matches!(a.change(id, 2, rows.collect()).await, AppendOutcome::Done));
    let (before, now) = (a.store.metrics().commits, a.store.now_ms());
    let beats = (2..1_002).map(|activity| beat(key(id, activity, 1), &activity.to_string(), now));
    assert_eq!(a.beat(beats.collect()).await, [KEPT; 1_000]);
    assert_eq!(a.store.metrics().commits, before + 1);
    let told = a.told(id).await;
    assert_eq!(told.len(), 1_000);
    assert!(told.iter().all(|(activity, details)| activity.to_string() == *details));
}
