//! How long a query waits for another process, with a clock that stands still.

use super::*;
use crate::host::Host;
use crate::policy::{IdConflictPolicy, IdReusePolicy};
use crate::store::memory::{ConnectOptions, Server, ServerOptions};
use crate::store::{LEASE, NewExecution, Reply, StartAnswer, Store};
use crate::{Abide, ErrorKind};
use std::sync::Arc;

/// An execution that no worker owns, and a client that queries it.
async fn deserted() -> (Arc<dyn Store>, UntypedHandle) {
    let began = Instant::now();
    let clock = Arc::new(move || 1_000_000 + i64::try_from(began.elapsed().as_millis()).unwrap());
    let store: Arc<dyn Store> = Server::new(ServerOptions::new(clock)).connect(ConnectOptions::default());
    let started = store.start(NewExecution {
        id: store.execution_id(),
        workflow_id: "w".to_owned(),
        run_id: "r".to_owned(),
        request_id: None,
        workflow_type: "Order".to_owned(),
        queue: "deserted".to_owned(),
        input: "null".to_owned(),
        created_at_ms: 1,
        terms: crate::store::Terms::default(),
        reuse: IdReusePolicy::default(),
        conflict: IdConflictPolicy::default(),
        terminate_event: None,
        with: Vec::new(),
    });
    assert!(matches!(started.await.unwrap(), StartAnswer::Started));
    let handle = Abide::of(Arc::clone(&store), Host::default()).client().execution("w");
    (store, handle)
}

#[tokio::test(start_paused = true)]
async fn a_query_that_nobody_answers_fails_after_20_s() {
    let (_store, handle) = deserted().await;
    let asked = Instant::now();
    let error = handle.ask("status", Payload::null(), |_| Ok(())).await.unwrap_err();
    assert_eq!(asked.elapsed().as_secs(), 20);
    assert_eq!((error.code(), error.kind()), ("AB0413", ErrorKind::Unavailable));
    let Error::QueryTimeout { query, task_queue: queue, waited_ms } = &error else { panic!("{error:?}") };
    assert_eq!((query.as_str(), queue.as_str(), waited_ms / 1_000), ("status", "deserted", 20));
    assert!(error.to_string().contains("within 2000"), "{error}");
}

/// A worker that died keeps its executions until its lease expires. A restarted worker takes them over after
/// that.
#[tokio::test(start_paused = true)]
async fn a_query_outlasts_a_restart() {
    let (store, handle) = deserted().await;
    let id = handle.row().await.unwrap().id;
    let answers = async {
        tokio::time::sleep(LEASE + Duration::from_secs(5)).await;
        let asked = store.load(id).await.unwrap().unwrap().inbox;
        assert_eq!((asked.len(), asked[0].kind), (1, MessageKind::Query));
        let body = to_json(&ReplyBody::of("status", Ok(Ok(Payload::encode(&7).unwrap()))));
        let request_id = asked[0].request_id.clone();
        let expires_at_ms = store.now_ms() + 60_000;
        store.put_reply(Reply { request_id, body, stage: 0, expires_at_ms, asker: None }).await.unwrap();
    };
    let (answer, ()) = tokio::join!(handle.ask("status", Payload::null(), |_| Ok(())), answers);
    assert_eq!(answer.unwrap().unwrap().as_json(), "7");
}

#[tokio::test(start_paused = true)]
async fn a_query_waits_for_as_long_as_it_is_told() {
    let (_store, handle) = deserted().await;
    let row = handle.row().await.unwrap();
    for ms in [0, 1, 700, 3_500] {
        let (asked, limit) = (Instant::now(), Duration::from_millis(ms));
        let error = handle.ask_elsewhere(&row, "status", Payload::null(), limit).await.unwrap_err();
        assert_eq!(error.code(), "AB0413");
        let waited = asked.elapsed();
        assert!(waited >= limit && waited <= limit + Duration::from_millis(10), "{waited:?} of {limit:?}");
    }
}
