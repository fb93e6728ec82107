//! Processes that are killed: what of theirs still happens, and what others find out.

use super::super::End;
use super::*;

#[tokio::test(start_paused = true)]
async fn what_was_sent_is_committed_and_nothing_is_answered() {
    let scene = Scene::new();
    let (a, b) = (scene.process().await, scene.process().await);
    let id = b.running("order-1").await;
    scene.next("append", &b, held(100));
    let last = b.submit(b.turn(id, 2, 1));
    pass(10).await;
    scene.server.kill(b.number);
    assert_eq!(scene.turns(id), 1);
    pass(200).await;
    assert_eq!(scene.turns(id), 2, "the word to commit was on its way");
    assert!(tokio::time::timeout(ms(60_000), last).await.is_err());
    assert!(tokio::time::timeout(ms(60_000), b.store.find(Find::Execution(id))).await.is_err());
    assert_eq!(a.row(id).await.owner, Some(b.me));
}

#[tokio::test(start_paused = true)]
async fn what_was_not_sent_is_rolled_back_and_its_locks_are_free_at_once() {
    let scene = Scene::new();
    let (a, b) = (scene.process().await, scene.process().await);
    let id = a.running("order-1").await;
    scene.next("terminate", &b, Course { between: ms(100), ..Course::default() });
    let terminate = tokio::spawn({
        let store = Arc::clone(&b.store);
        async move { store.terminate(id, "t1".to_owned(), "{}".to_owned()).await }
    });
    pass(350).await;
    let waits = tokio::time::timeout(ms(10), a.store.send(a.message(id, "s1"))).await;
    assert!(waits.is_err(), "its row is locked");
    scene.server.kill(b.number);
    assert_eq!(timed(a.send(id, "s2")).await.1, ms(0));
    pass(1_000).await;
    assert!(!terminate.is_finished());
    let row = a.row(id).await;
    assert_eq!((row.status, row.history_len), (Status::Running, 1));
}

#[tokio::test(start_paused = true)]
async fn a_death_is_found_out_before_the_lease_has_run_out() {
    let scene = Scene::new();
    let (a, b) = (scene.process().await, scene.process().await);
    let id = b.running("order-1").await;
    // So long nobody trusts the locks: the server has just started.
    for _ in 0..8 {
        pass(2_000).await;
        a.store.renew(a.me).await.unwrap();
        b.store.renew(b.me).await.unwrap();
    }
    assert_eq!(a.store.dead().await.unwrap(), []);
    scene.server.kill(b.number);
    let found = async {
        while a.store.dead().await.unwrap().is_empty() {
            pass(100).await;
            a.store.renew(a.me).await.unwrap();
        }
    };
    let ((), took) = timed(found).await;
    assert!(took > ms(5_000) && took < ms(5_300), "{took:?}");
    assert_eq!(a.store.take_over(b.me).await.unwrap(), 1);
    assert_eq!(a.row(id).await.recovered_from, Some(b.me));
}

#[tokio::test(start_paused = true)]
async fn a_line_that_breaks_lets_go_of_the_locks_until_it_is_there_again() {
    let scene = Scene::new();
    let a = scene.process().await;
    let b = scene.process().await;
    for _ in 0..8 {
        pass(2_000).await;
        a.store.renew(a.me).await.unwrap();
        b.store.renew(b.me).await.unwrap();
    }
    scene.next("renew", &b, Course { end: End::BrokenAfter, ..Course::default() });
    assert!(matches!(b.store.renew(b.me).await, Err(StoreError::Unknown { .. })));
    assert_eq!(a.store.dead().await.unwrap(), []);
    let until = |worker| scene.server.look(|tables| tables.leases[&worker].until_ms);
    assert_eq!(until(a.me) - until(b.me), 7_000, "shortened");
    b.store.renew(b.me).await.unwrap();
    assert_eq!(a.store.dead().await.unwrap(), []);
    assert!(until(b.me) >= until(a.me), "the next renewal undoes that");
}
