//! Calls that break off, are refused, or are never answered.

use super::super::End;
use super::*;

const WRITER: [&str; 3] = ["append", "found", "alive"];

#[tokio::test(start_paused = true)]
async fn a_commit_that_lands_late_is_waited_for_by_its_read_back() {
    let scene = Scene::new();
    let a = scene.process().await;
    let id = a.running("order-1").await;
    scene.calls(&[]);
    scene.next("append", &a, Course { end: End::BrokenAfter, told: Some(ms(50)), ..held(500) });
    let (told, took) = timed(a.append(a.turn(id, 2, 1))).await;
    assert!(matches!(told, Ok(AppendOutcome::Done)));
    assert_eq!((took, scene.turns(id)), (ms(500), 2));
    assert_eq!(scene.calls(&WRITER), ["append", "found"]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_overtaken_is_met_by_the_journals_key() {
    let scene = Scene::with(|options| ServerOptions { overtaken: true, ..options });
    let a = scene.process().await;
    let id = a.running("order-1").await;
    scene.calls(&[]);
    scene.next("append", &a, Course { end: End::BrokenAfter, told: Some(ms(50)), ..held(500) });
    let (told, took) = timed(a.append(a.turn(id, 2, 1))).await;
    assert!(matches!(told, Ok(AppendOutcome::Done)));
    assert_eq!((took, scene.turns(id)), (ms(500), 2), "the second waits for the first, and is it");
    assert_eq!(scene.calls(&WRITER), ["append", "found", "append", "found"]);
    // One that has not even begun comes too late.
    let course = Course { before: ms(500), end: End::BrokenAfter, told: Some(ms(50)), ..Course::default() };
    scene.next("append", &a, course);
    let (told, took) = timed(a.append(a.turn(id, 3, 1))).await;
    assert!(matches!(told, Ok(AppendOutcome::Done)));
    assert_eq!(took, ms(50));
    pass(1_000).await;
    assert_eq!(scene.turns(id), 3);
}

#[tokio::test(start_paused = true)]
async fn what_broke_before_its_commit_is_written_again() {
    let scene = Scene::new();
    let a = scene.process().await;
    let id = a.running("order-1").await;
    scene.calls(&[]);
    scene.next("append", &a, Course { end: End::BrokenBefore, ..held(20) });
    assert!(matches!(a.append(a.turn(id, 2, 1)).await, Ok(AppendOutcome::Done)));
    assert_eq!(scene.turns(id), 2);
    assert_eq!(scene.calls(&WRITER), ["append", "found", "append"]);
    for fault in [Fault::Busy, Fault::Full, Fault::Lost] {
        let seq = scene.turns(id) as u64 + 1;
        scene.next("append", &a, Course { end: End::Refused(fault), ..Course::default() });
        assert!(matches!(a.append(a.turn(id, seq, 1)).await, Ok(AppendOutcome::Done)), "{fault:?}");
        assert_eq!(scene.turns(id) as u64, seq);
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_is_told_what_nobody_knows_and_not_what_did_not_happen() {
    let scene = Scene::new();
    let a = scene.process().await;
    let id = a.running("order-1").await;
    for (end, answer) in [(End::BrokenBefore, SendAnswer::Sent), (End::BrokenAfter, SendAnswer::Known)] {
        let request = format!("{end:?}");
        scene.next("send", &a, Course { end, ..Course::default() });
        let unknown = a.store.send(a.message(id, &request)).await.unwrap_err();
        assert!(matches!(unknown, StoreError::Unknown { .. }), "{unknown:?}");
        assert_eq!(a.send(id, &request).await, answer);
    }
    scene.calls(&[]);
    // A read, or a call that did not reach the server, is retried.
    scene.next("find", &a, Course { end: End::BrokenBefore, ..Course::default() });
    assert_eq!(a.row(id).await.id, id);
    scene.next("send", &a, Course { end: End::Refused(Fault::Lost), ..Course::default() });
    assert_eq!(a.send(id, "s3").await, SendAnswer::Sent);
    assert_eq!(scene.calls(&["find", "send"]), ["find", "find", "send", "send"]);
    for _ in 0..100 {
        scene.next("find", &a, Course { end: End::Refused(Fault::Lost), ..Course::default() });
    }
    let unreachable = a.store.find(Find::Execution(id)).await.unwrap_err();
    assert!(matches!(unreachable, StoreError::Unreachable { .. }), "{unreachable:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_given_up() {
    let scene = Scene::new();
    let a = scene.process().await;
    let id = a.running("order-1").await;
    let silent = Course { after: Duration::MAX, ..Course::default() };
    scene.next("send", &a, silent);
    let (unknown, took) = timed(a.store.send(a.message(id, "s1"))).await;
    assert!(matches!(unknown, Err(StoreError::Unknown { .. })));
    assert_eq!(took, Duration::from_secs(45));
    assert_eq!(a.send(id, "s1").await, SendAnswer::Known);
    a.store.renew(a.me).await.unwrap();
    scene.next("append", &a, silent);
    assert!(matches!(a.append(a.turn(id, 2, 1)).await, Ok(AppendOutcome::Done)), "found by its read-back");
    assert_eq!(scene.turns(id), 2);
    scene.next("renew", &a, silent);
    let (unknown, took) = timed(a.store.renew(a.me)).await;
    assert!(matches!(unknown, Err(StoreError::Unknown { .. })));
    assert_eq!(took, Duration::from_secs(4));
}

#[tokio::test(start_paused = true)]
async fn notifications_come_late_or_never() {
    let scene = Scene::new();
    let (a, b) = (scene.process().await, scene.process().await);
    let id = b.running("order-1").await;
    let told = async |after: Option<Duration>, request: &str| {
        *scene.script.notify_after.lock().unwrap() = after;
        let mut changes = b.store.changes();
        assert_eq!(a.send(id, request).await, SendAnswer::Sent);
        let told = timed(tokio::time::timeout(ms(1_000), changes.changed())).await;
        told.0.is_ok().then_some(told.1)
    };
    assert_eq!(told(Some(ms(70)), "s1").await, Some(ms(70)));
    assert_eq!(told(None, "s2").await, None);
    assert_eq!(told(Some(ms(0)), "s3").await, Some(ms(0)));
}

#[tokio::test(start_paused = true)]
async fn there_is_no_sql() {
    let scene = Scene::new();
    let a = scene.process().await;
    let key = TaskKey { execution: ExecutionId(1), activity: abide_core::EventId(1), attempt: 1, nonce: 0 };
    let Err(error) = a.store.begin_attempt(a.me, key).await else { panic!("it began") };
    assert_eq!(error.code(), "AB0516");
    assert!(error.to_string().contains("an in-memory test database"), "{error}");
}
