//! Ownership: claims, the fence, take-over of dead and of late workers, suspects, builds.

use super::*;
use crate::status::ExecutionStatus;

fn release(wake_at_ms: Option<i64>) -> RowChange {
    RowChange { release: true, wake_at_ms: Some(wake_at_ms), ..RowChange::default() }
}

/// Suspended, and other builds may try.
pub(super) fn suspended_by(build: &str) -> RowChange {
    let (code, message, build) = ("AB0201".to_owned(), String::new(), build.to_owned());
    let why = Suspension { code, message, site: None, build, other_builds: true, at_ms: 1 };
    RowChange { status: Some(ExecutionStatus::Suspended), suspension: Some(why), ..RowChange::default() }
}

/// Short leases, so that tests need not wait long for a death that only the lease shows.
fn short_lease() -> Settings {
    Settings { lease: Some(Duration::from_millis(600)), ..Settings::default() }
}

async fn let_go(process: &Process, id: ExecutionId, wake_at_ms: Option<i64>) {
    let append = Append { row: Some(release(wake_at_ms)), ..process.turn(id, 0, 0) };
    assert!(matches!(process.append(append).await, Ok(AppendOutcome::Done)));
}

pub(super) async fn an_unowned_start_is_claimed_by_one(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    let new = a.new_execution("order-1");
    let id = new.id;
    assert!(matches!(a.store.start(new).await, Ok(StartAnswer::Started)));
    let (at_a, at_b) = tokio::join!(a.claim(), b.claim());
    let mut claimed = ids(&at_a);
    claimed.extend(ids(&at_b));
    assert_eq!(claimed, [id]);
    let row = a.row(id).await;
    assert_eq!(row.input.as_deref(), Some("[1]"));
    assert!(row.owner == Some(a.me) || row.owner == Some(b.me));
}

pub(super) async fn claims_keep_to_queue_type_and_time(lab: Lab) {
    let process = lab.process().await;
    let later = process.store.now_ms() + 60_000;
    let id = process.running("order-1").await;
    let_go(&process, id, Some(later)).await;
    let claimed = process.claim().await;
    assert_eq!((ids(&claimed), claimed.next_due_ms), (vec![], Some(later)));
    assert_eq!(process.send(id, "s1").await, SendAnswer::Sent);
    for (queue, workflow_type) in [("q", "Other"), ("other", "Order")] {
        let claim = Claim {
            queues: vec![queue.into()],
            types: Some(vec![workflow_type.into()]),
            ..process.claim_of("b1", false)
        };
        assert_eq!(ids(&process.store.claim(claim).await.unwrap()), [], "{queue} {workflow_type}");
    }
    let any = Claim { types: None, ..process.claim_of("b1", false) };
    assert_eq!(ids(&process.store.claim(any).await.unwrap()), [id], "a message is the wake-up");
}

pub(super) async fn a_limit_leaves_the_rest_due(lab: Lab) {
    let process = lab.process().await;
    for i in 0..5 {
        assert!(process.store.start(process.new_execution(&format!("order-{i}"))).await.is_ok());
    }
    let claim = Claim { limit: 3, ..process.claim_of("b1", false) };
    let claimed = process.store.claim(claim).await.unwrap();
    assert_eq!(claimed.rows.len(), 3);
    assert!(claimed.next_due_ms.unwrap() <= process.store.now_ms());
    let rest = process.claim().await;
    assert_eq!((rest.rows.len(), rest.next_due_ms), (2, None));
}

pub(super) async fn the_dead_are_taken_over(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process_with(short_lease()).await);
    let dead = b.me;
    let (active, waiting, due) =
        (b.running("active").await, b.running("waiting").await, b.new_execution("due"));
    let due_id = due.id;
    assert!(b.store.start(due).await.is_ok());
    assert_eq!(ids(&b.claim().await), [due_id]);
    let busy = Append {
        row: Some(RowChange { active: Some(true), ..RowChange::default() }),
        ..b.turn(active, 2, 1)
    };
    assert!(matches!(b.append(busy).await, Ok(AppendOutcome::Done)));
    assert_eq!(a.store.dead().await.unwrap().dead, []);
    assert_eq!(a.store.take_over(dead).await.unwrap(), 0, "it is alive");
    b.die().await;
    lab.found_dead(&a, dead).await;
    assert_eq!(a.store.take_over(dead).await.unwrap(), 3);
    assert_eq!(a.store.dead().await.unwrap().dead, []);
    let mut claimed = ids(&a.claim().await);
    claimed.sort();
    assert_eq!(claimed, [active, due_id], "what only waits is not due");
    for (id, crashes) in [(active, 1), (waiting, 0), (due_id, 1)] {
        let row = a.row(id).await;
        assert_eq!((row.crashes, row.recovered_from), (crashes, Some(dead)));
    }
    let progress = RowChange { reset_crashes: true, clear_recovered: true, ..RowChange::default() };
    let append = Append { row: Some(progress), ..a.turn(active, 3, 1) };
    assert!(matches!(a.append(append).await, Ok(AppendOutcome::Done)));
    let row = a.row(active).await;
    assert_eq!((row.crashes, row.recovered_from), (0, None));
}

pub(super) async fn the_late_are_fenced_out(lab: Lab) {
    let (a, b) = (lab.process_with(short_lease()).await, lab.process_with(short_lease()).await);
    let (mine, other) = (b.running("order-1").await, b.running("order-2").await);
    assert_eq!(a.store.dead().await.unwrap().dead, [], "seen for the first time");
    tokio::time::sleep(Duration::from_millis(700)).await;
    a.store.renew(a.me).await.unwrap();
    let late = a.store.dead().await.unwrap().dead;
    assert_eq!(late.iter().map(|dead| (dead.incarnation, dead.gone)).collect::<Vec<_>>(), [(b.me, false)]);
    assert_eq!(a.store.take_over(b.me).await.unwrap(), 2);
    // The zombie: nothing of its append is written, whatever it holds.
    let messages = vec![b.message(other, "m1")];
    let zombie = Append { messages, row: Some(release(None)), ..b.turn(mine, 2, 1) };
    for append in [b.turn(mine, 2, 1), zombie, b.create(b.new_execution("order-3"))] {
        assert!(matches!(b.append(append).await, Err(StoreError::Fenced)));
    }
    assert_eq!(a.store.journal(mine).await.unwrap().len(), 1);
    assert_eq!(a.run(other).await.inbox, []);
    assert!(matches!(b.store.renew(b.me).await, Err(StoreError::Fenced)));
    assert!(matches!(b.store.claim(b.claim_of("b1", false)).await, Err(StoreError::Fenced)));
    let again = b.store.register(WorkerInfo::default()).await.unwrap();
    assert!(again > b.me, "never used before");
}

pub(super) async fn a_fenced_worker_does_not_hurt_its_neighbours_batch(lab: Lab) {
    let a = lab.process().await;
    let gone = a.store.register(WorkerInfo::default()).await.unwrap();
    a.store.unregister(gone).await.unwrap();
    let id = a.running("order-1").await;
    let refused = a.submit(Append { owner: gone, ..a.turn(id, 2, 1) });
    let fine = a.submit(a.turn(id, 2, 1));
    assert!(matches!(refused.await.unwrap(), Err(StoreError::Fenced)));
    assert!(matches!(fine.await.unwrap(), Ok(AppendOutcome::Done)));
}

pub(super) async fn suspects_come_one_at_a_time(lab: Lab) {
    let a = lab.process().await;
    let mut all = Vec::new();
    for i in 0..3 {
        let new = a.new_execution(&format!("order-{i}"));
        all.push(new.id);
        assert!(a.store.start(new).await.is_ok());
    }
    for _ in 0..owner::SUSPECT_FROM {
        let b = lab.process_with(short_lease()).await;
        let dead = b.me;
        assert_eq!(ids(&b.claim().await), all);
        b.die().await;
        lab.found_dead(&a, dead).await;
        assert_eq!(a.store.take_over(dead).await.unwrap(), 3);
    }
    let none = a.claim().await;
    assert_eq!((ids(&none), none.next_due_ms), (vec![], None));
    let more_than_that = Suspicion { suspect: Some(owner::SUSPECT_FROM - 1), crash_limit: 5 };
    let claim = Claim { suspicion: more_than_that, ..a.claim_of("b1", true) };
    assert_eq!(ids(&a.store.claim(claim).await.unwrap()), [], "too suspicious for now");
    let first = ids(&a.store.claim(a.claim_of("b1", true)).await.unwrap());
    assert_eq!(first.len(), 1);
    assert_eq!(a.row(first[0]).await.crashes, owner::SUSPECT_FROM);
    let append = Append { row: Some(suspended_by("b1")), ..a.turn(first[0], 0, 0) };
    assert!(matches!(a.append(append).await, Ok(AppendOutcome::Done)));
    let offered = a.take(a.claim_of("b2", false)).await;
    assert_eq!(offered, first, "no worker has died of what it is suspended for");
    let limited = Suspicion { suspect: None, crash_limit: owner::SUSPECT_FROM };
    let claim = Claim { suspicion: limited, ..a.claim_of("b1", false) };
    assert_eq!(a.store.claim(claim).await.unwrap().rows.len(), 2, "all that are to be suspended, at once");
}

pub(super) async fn each_other_build_tries_once(lab: Lab) {
    let process = lab.process().await;
    let id = process.running("order-1").await;
    let mut seq = 2;
    let mut suspend = async |build: &str| {
        let append = Append { row: Some(suspended_by(build)), ..process.turn(id, seq, 1) };
        assert!(matches!(process.append(append).await, Ok(AppendOutcome::Done)));
        seq += 1;
    };
    let claim = async |build: &str| process.take(process.claim_of(build, false)).await;
    suspend("b1").await;
    assert_eq!(claim("b1").await, []);
    assert_eq!(claim("b2").await, [id]);
    let row = process.row(id).await;
    assert_eq!((row.status, row.suspension), (ExecutionStatus::Running, None));
    suspend("b2").await;
    assert_eq!((claim("b1").await, claim("b2").await), (vec![], vec![]));
    let any = Claim { types: None, ..process.claim_of("b3", false) };
    assert_eq!(process.take(any).await, [], "who has not its type uses up no try");
    assert_eq!(claim("b3").await, [id]);
    // A build that claimed and released it has not failed. When a build that has failed claims it, the first
    // may try again.
    let_go(&process, id, Some(0)).await;
    assert_eq!(claim("b1").await, [id], "it is due");
    suspend("b1").await;
    assert_eq!((claim("b1").await, claim("b2").await), (vec![], vec![]));
    assert_eq!(claim("b3").await, [id]);
}

pub(super) async fn what_a_build_cannot_take_is_offered_to_others(lab: Lab) {
    let process = lab.process().await;
    let id = process.running("order-1").await;
    let claim = async |build: &str| process.take(process.claim_of(build, false)).await;
    let offered = RowChange { offered_by: Some("b1".to_owned()), ..release(Some(i64::MAX)) };
    let append = Append { row: Some(offered), ..process.turn(id, 2, 1) };
    assert!(matches!(process.append(append).await, Ok(AppendOutcome::Done)));
    assert_eq!(claim("b1").await, []);
    assert_eq!(claim("b2").await, [id]);
    let row = process.row(id).await;
    assert!(row.wake_at_ms.is_some_and(|at| at < i64::MAX), "a crash right now does not lose it");
    let_go(&process, id, None).await;
    assert_eq!((claim("b1").await, claim("b2").await), (vec![], vec![]));
    assert_eq!(claim("b3").await, [id]);
}

/// A worker that claims unknown types leaves those that another worker of the task queue has.
pub(super) async fn what_another_worker_has_is_no_unknown_type(lab: Lab) {
    let process = lab.process().await;
    let id = process.new_execution("order-1");
    assert!(process.store.start(id.clone()).await.is_ok());
    let anything = || Claim { types: None, ..process.claim_of("b1", false) };
    let knows = WorkerInfo { queue: "q".into(), types: vec!["Order".into()], ..WorkerInfo::default() };
    let elsewhere = WorkerInfo { queue: "other".into(), ..knows.clone() };
    process.store.register(elsewhere).await.unwrap();
    let other = process.store.register(knows).await.unwrap();
    assert_eq!(ids(&process.store.claim(anything()).await.unwrap()), []);
    process.store.unregister(other).await.unwrap();
    assert_eq!(ids(&process.store.claim(anything()).await.unwrap()), [id.id]);
}
