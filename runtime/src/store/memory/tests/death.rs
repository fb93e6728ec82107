//! Processes that are killed: what of theirs still happens, and what others find out.

use super::super::End;
use super::*;
use crate::status::ExecutionStatus;

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
    assert_eq!((row.status, row.history_len), (ExecutionStatus::Running, 1));
}

/// By who was there, and by who came only after.
#[tokio::test(start_paused = true)]
async fn a_death_is_found_out_before_the_lease_has_run_out() {
    for was_there in [true, false] {
        let scene = Scene::new();
        let (a, b) = (scene.process().await, scene.process().await);
        let id = b.running("order-1").await;
        assert_eq!(a.store.dead().await.unwrap(), Deaths::default());
        scene.server.kill(b.number);
        let a = if was_there { a } else { scene.process().await };
        let found = async {
            loop {
                let deaths = a.store.dead().await.unwrap();
                if !deaths.dead.is_empty() {
                    return deaths;
                }
                pass(deaths.next.unwrap().as_millis() as u64 + 1).await;
                a.store.renew(a.me).await.unwrap();
            }
        };
        let (deaths, took) = timed(found).await;
        assert_eq!(took, ms(4_901), "looked for when it has run out");
        assert!(!deaths.dead[0].gone);
        assert_eq!(a.store.take_over(b.me).await.unwrap(), 1);
        assert_eq!(a.row(id).await.recovered_from, Some(b.me));
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_has_ended_is_dead_at_once_on_its_own_machine_alone() {
    let scene = Scene::new();
    let (here, elsewhere) = (scene.process_on(1).await, scene.process_on(2).await);
    let nowhere = scene.process().await;
    let b = scene.process_on(1).await;
    let id = b.running("order-1").await;
    assert_eq!(here.store.dead().await.unwrap(), Deaths::default());
    assert_eq!(here.store.take_over(b.me).await.unwrap(), 0, "it is alive");
    scene.server.kill(b.number);
    for other in [&elsewhere, &nowhere] {
        let deaths = other.store.dead().await.unwrap();
        assert_eq!((deaths.dead.len(), deaths.next), (0, Some(ms(4_900))), "its lock is free, no more");
        assert_eq!(other.store.take_over(b.me).await.unwrap(), 0);
    }
    let deaths = here.store.dead().await.unwrap();
    let found: Vec<_> = deaths.dead.iter().map(|dead| (dead.incarnation, dead.gone)).collect();
    assert_eq!(found, [(b.me, true)]);
    assert_eq!(here.store.take_over(b.me).await.unwrap(), 1);
    assert_eq!(here.row(id).await.recovered_from, Some(b.me));
}

#[tokio::test(start_paused = true)]
async fn locks_that_the_server_let_go_when_it_restarted_tell_nothing() {
    let scene = Scene::new();
    let (a, b) = (scene.process().await, scene.process().await);
    scene.server.restart();
    let fresh = scene.process().await;
    assert_eq!(fresh.store.dead().await.unwrap(), Deaths::default(), "nobody could renew since");
    let until = |worker| scene.server.look(|tables| tables.leases[&worker].until_ms);
    assert_eq!((until(a.me), until(b.me)), (until(fresh.me), until(fresh.me)), "none is shortened");
    pass(2_000).await;
    b.store.renew(b.me).await.unwrap();
    let deaths = fresh.store.dead().await.unwrap();
    assert_eq!((deaths.dead.len(), deaths.next), (0, Some(ms(4_900))), "renewed since, without its lock");
    assert_eq!(until(fresh.me) - until(b.me), -2_000 + 7_100);
    assert_eq!(until(a.me), until(fresh.me), "but not the one that has not been seen since");
}

#[tokio::test(start_paused = true)]
async fn a_line_that_breaks_lets_go_of_the_locks_until_it_is_there_again() {
    let scene = Scene::new();
    let a = scene.process().await;
    let b = scene.process().await;
    scene.next("renew", &b, Course { end: End::BrokenAfter, ..Course::default() });
    assert!(matches!(b.store.renew(b.me).await, Err(StoreError::Unknown { .. })));
    assert_eq!(a.store.dead().await.unwrap().dead, []);
    let until = |worker| scene.server.look(|tables| tables.leases[&worker].until_ms);
    assert_eq!(until(a.me) - until(b.me), 7_100, "shortened");
    b.store.renew(b.me).await.unwrap();
    assert_eq!(a.store.dead().await.unwrap().dead, []);
    assert!(until(b.me) >= until(a.me), "the next renewal undoes that");
}

#[tokio::test(start_paused = true)]
async fn whoever_has_just_mended_its_line_suspects_nobody() {
    let scene = Scene::new();
    let (a, b) = (scene.process().await, scene.process().await);
    scene.next("renew", &a, Course { end: End::BrokenAfter, ..Course::default() });
    assert!(a.store.renew(a.me).await.is_err());
    a.store.renew(a.me).await.unwrap();
    scene.server.kill(b.number);
    assert_eq!(a.store.dead().await.unwrap(), Deaths::default());
    for _ in 0..7 {
        pass(2_000).await;
        a.store.renew(a.me).await.unwrap();
    }
    assert_eq!(a.store.dead().await.unwrap().dead.len(), 1, "its lease has run out");
}
