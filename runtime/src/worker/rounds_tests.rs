//! What a round leaves to the next one.

use crate::store::{Append, AppendOutcome};
use crate::worker::registry::Registry;
use crate::worker::thread::tests::{Bench, GivesUp, Queued};
use abide_core::EventId;
use std::sync::Arc;

/// The owner before had asked the activity to stop, and died. The load finds that it has stopped: the run has an input,
/// and nothing else would wake the thread for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_load_makes_is_taken_in_by_the_same_round() {
    let mut registry = Registry::default();
    registry.workflow::<GivesUp>();
    registry.activity::<Queued>(Arc::new(()));
    let mut bench = Bench::with(registry).await;
    let id = bench.claimed().await;
    let body = r#"[
        {"started":{"input":null,"seed":1,"rules":3}},
        {"activity_scheduled":{"name":"queued","input":null}},
        {"timer_started":{"fire_at_ms":2}},
        {"timer_fired":{"timer":3}},
        {"activity_cancel_requested":{"activity":2}}
    ]"#;
    let me = bench.thread.session.me;
    let append = Append { seq: EventId(1), n: 5, body: body.to_owned(), ..Append::bare(me, id, 1) };
    let (tell, told) = tokio::sync::oneshot::channel();
    bench.store.submit(append, Box::new(|outcome| drop(tell.send(outcome))));
    assert!(matches!(told.await.unwrap(), Ok(AppendOutcome::Done)));
    bench.own(id);
    let answer = bench.answer(id, bench.loading(id).unwrap()).await;
    bench.thread.take(answer);
    bench.round();
    assert!(bench.is_writing(id), "its end is not written");
}
