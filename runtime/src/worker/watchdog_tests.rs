//! What happens to an execution, and to what a claim has taken, if its thread never reads its mailbox again.

use super::super::session::End;
use super::super::thread::tests::Bench;
use super::*;
use std::sync::mpsc::channel;
use std::time::Duration;

/// The handle of a thread that never runs.
fn stuck() -> (Arc<ThreadHandle>, std::sync::mpsc::Receiver<super::super::mailbox::Message>) {
    let (sender, mailbox) = channel();
    (Arc::new(ThreadHandle::new(0, sender)), mailbox)
}

async fn until(what: &str, is: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if is() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_lost_mailbox_names_is_named_again_and_its_right_to_be_read_comes_back() {
    let bench = Bench::new().await;
    let (id, session) = (bench.claimed().await, Arc::clone(&bench.thread.session));
    let (thread, mailbox) = stuck();
    let all = session.loads.available_permits();
    let permit = Arc::clone(&session.loads).acquire_owned().await.unwrap();
    lock(&thread.named).insert(id, Some(permit));
    replace(&session, &thread, None).await;
    until("the run is read, and suspended as one of no known type", || {
        session.loads.available_permits() == all
    })
    .await;
    assert!(mailbox.try_recv().is_err() && lock(&thread.named).is_empty());
    // A thread of the session has it, or has ended it.
    let row = async || bench.store.load(id).await.unwrap().unwrap().row;
    for _ in 0..10_000 {
        if row().await.status == crate::status::ExecutionStatus::Suspended {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("nobody has read it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_came_back_is_its_new_thread_s_before_that_has_heard_of_it() {
    let bench = Bench::new().await;
    let (id, session) = (ExecutionId(7), Arc::clone(&bench.thread.session));
    let (thread, _mailbox) = stuck();
    session.set_owned(id, Arc::clone(&thread));
    let home = session.home_of(id);
    // This thread never reads its mailbox either: it is written off while the execution is named there.
    let (blocks_too, _mailbox_too) = stuck();
    session.put_thread(home.index, Arc::clone(&blocks_too));
    let mut blocked = Blocked { thread, execution: id, samples: 0 };
    assert!(!still_blocked(&session, &mut blocked, 1), "it came back");
    assert_eq!(session.owned_by(&blocks_too), [id]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_lease_stops_what_runs_without_the_users_runtime() {
    let bench = Bench::new().await;
    let session = &bench.thread.session;
    assert_eq!(session.runner.reserve(1, false).await.len(), 1);
    session.finish(End::Fenced);
    assert!(session.runner.reserve(1, false).await.is_empty(), "nothing may start");
}
