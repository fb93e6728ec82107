//! Transactions that meet: who waits, who passes by, and what each then sees.

use super::*;
use crate::store::conformance::parked::suspended;
use tokio::task::JoinHandle;

#[tokio::test(start_paused = true)]
async fn a_close_leaves_for_later_what_a_message_holds_and_then_finds_it() {
    let scene = Scene::new();
    let (a, b) = (scene.process().await, scene.process().await);
    let (id, other) = (a.running("order-1").await, a.running("order-2").await);
    scene.next("send", &b, held(100));
    let sent = tokio::spawn({
        let (store, message) = (Arc::clone(&b.store), b.message(id, "s1"));
        async move { store.send(message).await.unwrap() }
    });
    pass(10).await;
    let (close, beside) = (a.submit(a.close(id, 2)), a.submit(a.close(other, 2)));
    let (told, took) = timed(beside).await;
    assert!(matches!(told.unwrap(), Ok(AppendOutcome::Done)), "nobody else is held up");
    assert_eq!(took, ms(0));
    let (told, took) = timed(close).await;
    assert!(matches!(told.unwrap(), Ok(AppendOutcome::Conflict)), "the message was first");
    assert!(took >= ms(90), "{took:?}");
    assert_eq!(sent.await.unwrap(), SendAnswer::Sent);
    assert_eq!(scene.turns(id), 1, "nothing of the close is in");
}

#[tokio::test(start_paused = true)]
async fn a_message_waits_for_a_close_and_is_told_of_it() {
    let scene = Scene::new();
    let (a, b) = (scene.process().await, scene.process().await);
    let id = a.running("order-1").await;
    scene.next("append", &a, held(100));
    let close = a.submit(a.close(id, 2));
    pass(10).await;
    let (told, took) = timed(b.send(id, "s1")).await;
    assert_eq!((told, took), (SendAnswer::Closed, ms(90)));
    assert!(matches!(close.await.unwrap(), Ok(AppendOutcome::Done)));
}

#[tokio::test(start_paused = true)]
async fn a_turn_and_a_message_do_not_meet() {
    let scene = Scene::new();
    let (a, b) = (scene.process().await, scene.process().await);
    let id = a.running("order-1").await;
    scene.next("append", &a, held(100));
    let row = Some(RowChange { active: Some(true), ..RowChange::default() });
    let turn = a.submit(Append { row, rev: Some(0), ..a.turn(id, 2, 1) });
    pass(10).await;
    assert_eq!(timed(b.send(id, "s1")).await, (SendAnswer::Sent, ms(0)));
    assert!(matches!(turn.await.unwrap(), Ok(AppendOutcome::Done)));
}

#[tokio::test(start_paused = true)]
async fn claims_pass_each_other_by() {
    let scene = Scene::new();
    let (a, b) = (scene.process().await, scene.process().await);
    let new = a.new_execution("order-1");
    let id = new.id;
    assert!(a.store.start(new).await.is_ok());
    // The first claim is rolled back in the end, so that it is free again.
    scene.next("claim", &a, Course { end: super::super::End::BrokenBefore, ..held(100) });
    let first = tokio::spawn({
        let (store, claim) = (Arc::clone(&a.store), a.claim_of("b1", false));
        async move { store.claim(claim).await }
    });
    pass(10).await;
    let (at_b, took) = timed(b.claim()).await;
    assert_eq!((at_b.rows.len(), took), (0, ms(0)), "it is passed over, not waited for");
    assert_eq!(first.await.unwrap().unwrap_err().code(), "AB0410");
    assert_eq!(b.claim().await.rows.iter().map(|row| row.id).collect::<Vec<_>>(), [id]);
}

#[tokio::test(start_paused = true)]
async fn a_take_over_waits_for_what_has_passed_the_fence() {
    let scene = Scene::new();
    let (a, b) = (scene.process().await, scene.process_with(ms(600)).await);
    let id = b.running("order-1").await;
    scene.next("append", &b, held(1_000));
    let last = b.submit(b.turn(id, 2, 1));
    pass(700).await;
    assert_eq!(a.store.dead().await.unwrap().dead.len(), 1);
    let (freed, took) = timed(a.store.take_over(b.me)).await;
    assert_eq!((freed.unwrap(), took), (1, ms(300)));
    assert!(matches!(last.await.unwrap(), Ok(AppendOutcome::Done)));
    assert!(scene.commit(&format!("turn {id}/2")) < scene.commit(&format!("lease {} gone", b.me)));
    assert!(matches!(b.append(b.turn(id, 3, 1)).await, Err(StoreError::Fenced)));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_in_time_saves_the_lease_that_a_take_over_waits_for() {
    let scene = Scene::new();
    let (a, b) = (scene.process().await, scene.process_with(ms(600)).await);
    let id = b.running("order-1").await;
    scene.next("append", &b, held(1_000));
    let turn = b.submit(b.turn(id, 2, 1));
    pass(700).await;
    let take_over = tokio::spawn({
        let (store, dead) = (Arc::clone(&a.store), b.me);
        async move { store.take_over(dead).await.unwrap() }
    });
    pass(10).await;
    // Neither the fence nor a waiting session is an obstacle to it.
    assert!(timed(b.store.renew(b.me)).await.1.is_zero());
    assert!(matches!(turn.await.unwrap(), Ok(AppendOutcome::Done)));
    assert_eq!(take_over.await.unwrap(), 0, "it looks again when it has the lock");
    assert!(matches!(b.append(b.turn(id, 3, 1)).await, Ok(AppendOutcome::Done)));
}

#[tokio::test(start_paused = true)]
async fn messages_are_committed_out_of_the_order_of_their_numbers() {
    let scene = Scene::new();
    let (a, b) = (scene.process().await, scene.process().await);
    let id = a.running("order-1").await;
    scene.next("send", &b, held(100));
    let first = tokio::spawn({
        let (store, message) = (Arc::clone(&b.store), b.message(id, "s1"));
        async move { store.send(message).await.unwrap() }
    });
    pass(10).await;
    assert_eq!(a.send(id, "s2").await, SendAnswer::Sent);
    let sent = async |process: &One| {
        let rows = process.store.load(id).await.unwrap().unwrap().inbox;
        rows.into_iter().map(|row| (row.id, row.request_id)).collect::<Vec<_>>()
    };
    assert_eq!(sent(&a).await, [(2, "s2".to_owned())]);
    assert_eq!(first.await.unwrap(), SendAnswer::Sent);
    assert_eq!(sent(&a).await, [(1, "s1".to_owned()), (2, "s2".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn the_same_message_twice_waits_for_itself() {
    let scene = Scene::new();
    let (a, b) = (scene.process().await, scene.process().await);
    let id = a.running("order-1").await;
    scene.next("send", &b, Course { end: super::super::End::BrokenAfter, told: Some(ms(20)), ..held(100) });
    let unknown = b.store.send(b.message(id, "s1")).await.unwrap_err();
    assert_eq!(unknown.code(), "AB0410");
    assert_eq!(timed(b.send(id, "s1")).await, (SendAnswer::Known, ms(80)));
}

#[tokio::test(start_paused = true)]
async fn two_starts_of_one_id_come_one_after_the_other() {
    let scene = Scene::new();
    let (a, b) = (scene.process().await, scene.process().await);
    scene.next("start", &a, held(100));
    let first = tokio::spawn({
        let (store, new) = (Arc::clone(&a.store), a.new_execution("order-1"));
        async move { store.start(new).await.unwrap() }
    });
    pass(10).await;
    let (second, took) = timed(b.store.start(b.new_execution("order-1"))).await;
    assert!(matches!(second, Ok(StartAnswer::Taken(_))), "{second:?}");
    assert_eq!(took, ms(90));
    assert!(matches!(first.await.unwrap(), StartAnswer::Started));
    // An owned start does not wait: it is asked again later.
    scene.next("start", &a, held(100));
    let first = tokio::spawn({
        let (store, new) = (Arc::clone(&a.store), a.new_execution("order-2"));
        async move { store.start(new).await.unwrap() }
    });
    pass(10).await;
    let (owned, beside) =
        (b.submit(b.create(b.new_execution("order-2"))), b.submit(b.create(b.new_execution("x"))));
    assert!(timed(beside).await.1 < ms(20));
    assert!(matches!(owned.await.unwrap(), Ok(AppendOutcome::Duplicate(StartAnswer::Taken(_)))));
    assert!(matches!(first.await.unwrap(), StartAnswer::Started));
}

#[tokio::test(start_paused = true)]
async fn two_closes_that_write_to_each_other_do_not_wait_for_ever() {
    let scene = Scene::new();
    let (a, b) = (scene.process().await, scene.process().await);
    let (at_a, at_b) = (a.running("order-1").await, b.running("order-2").await);
    let slow = Course { between: ms(50), ..Course::default() };
    scene.next("append", &a, slow);
    scene.next("append", &b, slow);
    let from_a = a.submit(Append { messages: vec![a.message(at_b, "m1")], ..a.close(at_a, 2) });
    let from_b = b.submit(Append { messages: vec![b.message(at_a, "m2")], ..b.close(at_b, 2) });
    let ((told_a, told_b), took) = timed(async { (from_a.await.unwrap(), from_b.await.unwrap()) }).await;
    // One of them is broken off, and then meets the other's message.
    let done = |told: &Result<AppendOutcome, StoreError>| matches!(told, Ok(AppendOutcome::Done));
    let conflict = |told: &Result<AppendOutcome, StoreError>| matches!(told, Ok(AppendOutcome::Conflict));
    assert!(
        done(&told_a) && conflict(&told_b) || conflict(&told_a) && done(&told_b),
        "{told_a:?} {told_b:?}"
    );
    assert!(took > ms(1_000) && took < ms(2_000), "{took:?}");
}

/// A run that is suspended, and a signal of another process that holds its row for another 90 ms.
async fn sending_to_a_suspended_run() -> (Scene, [One; 2], ExecutionId, JoinHandle<SendAnswer>) {
    let scene = Scene::new();
    let (a, b) = (scene.process().await, scene.process().await);
    let id = suspended(&a, "order-1").await;
    scene.next("send", &b, held(100));
    let sent = tokio::spawn({
        let (store, message) = (Arc::clone(&b.store), b.message(id, "s1"));
        async move { store.send(message).await.unwrap() }
    });
    pass(10).await;
    (scene, [a, b], id, sent)
}

#[tokio::test(start_paused = true)]
async fn a_resume_waits_for_a_sender_that_has_seen_the_run_suspended() {
    let (scene, [a, _b], id, sent) = sending_to_a_suspended_run().await;
    let (resumed, took) = timed(a.store.resume(id)).await;
    assert_eq!((resumed.unwrap(), took), (ResumeAnswer::Resumed, ms(90)));
    assert_eq!(sent.await.unwrap(), SendAnswer::Sent);
    assert_eq!(scene.server.look(|tables| tables.parked.len()), 0, "parked under a run that goes on");
}

#[tokio::test(start_paused = true)]
async fn an_offer_passes_over_a_run_to_which_somebody_is_sending() {
    let (scene, [a, _b], id, sent) = sending_to_a_suspended_run().await;
    assert_eq!(timed(a.take(a.claim_of("b2", false))).await, (vec![], ms(0)));
    assert_eq!(sent.await.unwrap(), SendAnswer::Sent);
    assert_eq!(a.take(a.claim_of("b2", false)).await, [id]);
    assert_eq!(scene.server.look(|tables| tables.parked.len()), 0, "parked under a run that goes on");
}

#[tokio::test(start_paused = true)]
async fn the_sweep_gives_back_what_is_parked_under_a_run_that_goes_on() {
    let scene = Scene::new();
    let a = scene.process().await;
    let id = a.running("order-1").await;
    assert_eq!(a.send(id, "s1").await, SendAnswer::Sent);
    let row = a.store.inbox(a.me).await.unwrap().remove(0).id;
    let park = scene.server.call(a.number, "park", super::super::session::Style::Once, move |session| {
        Box::pin(async move {
            session
                .run(|st| {
                    st.write(Write::Parked(row));
                    Ok(())
                })
                .await
        })
    });
    park.await.unwrap();
    assert_eq!(a.store.inbox(a.me).await.unwrap(), []);
    assert_eq!(a.store.sweep().await.unwrap(), 1);
    assert_eq!(a.store.inbox(a.me).await.unwrap().len(), 1);
}
