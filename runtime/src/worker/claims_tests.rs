//! When the next claim follows a claim.

use super::*;
use crate::store::memory::{Call, Conditions, ConnectOptions, Course, Server, ServerOptions};
use crate::store::{Append, RowChange, StartAnswer, Store, WorkerInfo};
use crate::worker::mailbox::Message;
use crate::worker::registry::Registry;
use crate::worker::rounds;
use crate::worker::thread::tests::{Order, order};
use crate::{Abide, host::Host};
use std::sync::{Mutex, OnceLock};

const POLL: Duration = Duration::from_secs(1);

#[test]
fn what_is_due_since_the_claim_was_asked_for_is_claimed_at_once() {
    let ms = Duration::from_millis;
    for (due_ms, now_ms, expected) in [
        (None, 105, POLL),
        // Due before the claim: it may not run here now.
        (Some(90), 105, POLL),
        (Some(100), 100, POLL),
        (Some(100), 105, POLL),
        // Became due while the claim was in progress.
        (Some(101), 101, ms(0)),
        (Some(101), 105, ms(0)),
        (Some(105), 105, ms(0)),
        // Due in the future.
        (Some(106), 105, ms(1)),
        (Some(155), 105, ms(50)),
        (Some(60_000), 105, POLL),
        (Some(i64::MAX), i64::MIN, POLL),
        // The clock was set back meanwhile.
        (Some(120), 80, ms(40)),
    ] {
        assert_eq!(wait(due_ms, 100, now_ms, POLL), expected, "{due_ms:?} at {now_ms}");
    }
}

/// A store whose answer to a claim takes 20 ms. It records when each claim was made.
#[derive(Default)]
struct Slow {
    began: OnceLock<Instant>,
    claims: Mutex<Vec<Duration>>,
}

impl Slow {
    fn age(&self) -> Duration {
        self.began.get_or_init(Instant::now).elapsed()
    }
}

impl Conditions for Slow {
    fn course(&self, call: &Call) -> Course {
        if call.name != "claim" {
            return Course::default();
        }
        lock(&self.claims).push(self.age());
        Course { after: Duration::from_millis(20), ..Course::default() }
    }
}

/// Workers that have activities only ask for no executions: no arm of today is for every worker.
#[tokio::test(start_paused = true)]
async fn a_worker_without_workflows_takes_part_in_no_arm() {
    let slow = Arc::new(Slow::default());
    let options =
        ServerOptions { conditions: Some(slow.clone()), ..ServerOptions::new(Arc::new(|| 1_000_000)) };
    let store: Arc<dyn Store> = Server::new(options).connect(ConnectOptions::default());
    let me = store.register(WorkerInfo { queue: "q".to_owned(), ..WorkerInfo::default() }).await.unwrap();
    let abide = Abide::of(store, Host::default());
    let session = Session::new(abide, "q".to_owned(), me, Arc::default(), Arc::default());
    claim_loop(Arc::clone(&session)).await;
    slow_claim_loop(Arc::clone(&session)).await;
    session.finish(super::super::session::End::Shutdown);
    for thread in session.threads() {
        let _ = thread.send(Message::Stop);
    }
    assert!(lock(&slow.claims).is_empty());
}

/// An execution becomes due while the answer to a claim that was too early for it is on its way: the next
/// claim follows without a poll between.
#[tokio::test(start_paused = true)]
async fn a_run_that_is_due_during_a_claim_does_not_wait_for_the_poll() {
    let slow = Arc::new(Slow::default());
    slow.age();
    let clock = Arc::clone(&slow);
    let now_ms = Arc::new(move || 1_000_000 + i64::try_from(clock.age().as_millis()).unwrap());
    let runtime = Some(tokio::runtime::Handle::current());
    let options = ServerOptions { conditions: Some(slow.clone()), runtime, ..ServerOptions::new(now_ms) };
    let store: Arc<dyn Store> = Server::new(options).connect(ConnectOptions::default());
    let mut registry = Registry::default();
    registry.workflow::<Order>();
    let me = store.register(WorkerInfo { queue: "q".to_owned(), ..WorkerInfo::default() }).await.unwrap();
    let id = store.execution_id();
    let started = store.start(order(id));
    assert!(matches!(started.await.unwrap(), StartAnswer::Started));
    let abide = Abide::of(Arc::clone(&store), Host::default());
    let session = Session::new(abide, "q".to_owned(), me, Arc::new(registry), Arc::default());
    rounds::spawn_all(&session);
    let types = Some(session.registry.workflow_names());
    assert_eq!(store.claim(claim(&session, types, None)).await.unwrap().rows.len(), 1);
    let row =
        RowChange { release: true, wake_at_ms: Some(Some(store.now_ms() + 10)), ..RowChange::default() };
    let rev = store.load(id).await.unwrap().unwrap().row.rev;
    let (tell, told) = tokio::sync::oneshot::channel();
    let append = Append { row: Some(row), rev: Some(rev), ..Append::bare(me, id, store.now_ms()) };
    store.submit(append, Box::new(|outcome| drop(tell.send(outcome))));
    told.await.unwrap().unwrap();

    let began = slow.age();
    lock(&slow.claims).clear();
    let claims = tokio::spawn(claim_loop(Arc::clone(&session)));
    let asked = async || {
        while lock(&slow.claims).len() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), asked()).await.expect("there is a second claim");
    claims.abort();
    session.finish(super::super::session::End::Shutdown);
    for thread in session.threads() {
        let _ = thread.send(Message::Stop);
    }
    let times = lock(&slow.claims).clone();
    assert_eq!(times[0], began);
    assert!(times[1] - began < Duration::from_millis(100), "{times:?}");
}
