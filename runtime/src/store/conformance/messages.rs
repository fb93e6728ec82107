//! Messages and replies: order, dedup, closed and unknown executions, terminate, what other processes are told.

use super::*;

#[tokio::test]
async fn messages_keep_their_order_and_come_once() {
    let lab = Lab::new();
    let (a, b) = (lab.process().await, lab.process().await);
    let id = a.running("order-1").await;
    for request in ["s1", "s2", "s3"] {
        assert_eq!(b.send(id, request).await, SendAnswer::Sent);
    }
    assert_eq!(b.send(id, "s2").await, SendAnswer::Known);
    let inbox = a.store.inbox(a.me).await.unwrap();
    assert_eq!(inbox.iter().map(|row| row.request_id.as_str()).collect::<Vec<_>>(), ["s1", "s2", "s3"]);
    assert_eq!(inbox, a.store.inbox_of(id).await.unwrap());
    assert_eq!(b.store.inbox(b.me).await.unwrap(), []);
    let taken = Append { consumed: inbox.iter().map(|row| row.id).collect(), ..a.turn(id, 2, 3) };
    assert!(matches!(a.append(taken).await, Ok(AppendOutcome::Done)));
    assert_eq!(a.store.inbox(a.me).await.unwrap(), []);
}

#[tokio::test]
async fn messages_of_one_append_reach_open_executions_once() {
    let lab = Lab::new();
    let process = lab.process().await;
    let (from, to) = (process.running("order-1").await, process.running("order-2").await);
    let done = process.running("order-3").await;
    assert!(matches!(process.append(process.close(done, 2)).await, Ok(AppendOutcome::Done)));
    let messages = vec![process.message(to, "m1"), process.message(done, "m2"), process.message(to, "m1")];
    let append = Append { messages, ..process.turn(from, 2, 1) };
    assert!(matches!(process.append(append).await, Ok(AppendOutcome::Done)));
    assert_eq!(process.store.inbox(process.me).await.unwrap().len(), 1);
}

#[tokio::test]
async fn closed_and_unknown_executions_say_so() {
    let lab = Lab::new();
    let process = lab.process().await;
    let id = process.running("order-1").await;
    let body = r#"[{"signaled":{"name":"a","input":[],"request_id":"s1"}}]"#.to_owned();
    let close = Append { body, ..process.close(id, 2) };
    assert!(matches!(process.append(close).await, Ok(AppendOutcome::Done)));
    assert_eq!(process.send(id, "s1").await, SendAnswer::Known, "its journal knows it");
    assert_eq!(process.send(id, "s2").await, SendAnswer::Closed);
    assert_eq!(process.send(ExecutionId(1), "s1").await, SendAnswer::NoSuchExecution);
}

#[tokio::test]
async fn terminate_is_immediate_and_once() {
    let lab = Lab::new();
    let process = lab.process().await;
    let event = r#"{"terminated":{"reason":"enough"}}"#;
    let owned = process.running("order-1").await;
    let unowned = process.new_execution("order-2");
    let free = unowned.id;
    assert!(matches!(process.store.start(unowned).await, Ok(StartAnswer::Started)));
    assert_eq!(process.send(free, "s1").await, SendAnswer::Sent);
    for id in [owned, free] {
        let terminate = |request: &str| process.store.terminate(id, request.to_owned(), event.to_owned());
        assert_eq!(terminate("t1").await.unwrap(), SendAnswer::Sent);
        assert_eq!(terminate("t1").await.unwrap(), SendAnswer::Known);
        assert_eq!(terminate("t2").await.unwrap(), SendAnswer::Closed);
        let row = process.row(id).await;
        assert_eq!((row.status, row.result.as_deref()), (Status::Terminated, Some(event)));
        assert_eq!(process.store.journal(id).await.unwrap().last().unwrap().body, format!("[{event}]"));
    }
    assert_eq!(process.store.inbox_of(free).await.unwrap(), [], "nobody owns it, nobody is told");
    assert_eq!(process.store.inbox_of(owned).await.unwrap().len(), 1);
    assert_eq!(ids(&process.claim().await), []);
}

#[tokio::test]
async fn replies_are_taken_once() {
    let lab = Lab::new();
    let (a, b) = (lab.process().await, lab.process().await);
    let reply =
        |body: &str, expires_at_ms| Reply { request_id: "q1".into(), body: body.into(), expires_at_ms };
    assert_eq!(a.store.take_reply("q1".into()).await.unwrap(), None);
    b.store.put_reply(reply("1", i64::MAX)).await.unwrap();
    b.store.put_reply(reply("2", i64::MAX)).await.unwrap();
    assert_eq!(a.store.take_reply("q1".into()).await.unwrap().as_deref(), Some("1"));
    assert_eq!(a.store.take_reply("q1".into()).await.unwrap(), None);
    b.store.put_reply(reply("3", 1)).await.unwrap();
    b.store
        .put_reply(Reply { request_id: "q2".into(), body: "4".into(), expires_at_ms: i64::MAX })
        .await
        .unwrap();
    assert_eq!(a.store.take_reply("q1".into()).await.unwrap(), None, "expired");
}

#[tokio::test]
async fn another_process_is_told_of_commits() {
    let lab = Lab::new();
    let (a, b) = (lab.process().await, lab.process().await);
    let id = a.running("order-1").await;
    // What was committed before is seen by the first polls.
    tokio::time::sleep(owner::CHANGE_POLL * 3).await;
    let (mut at_a, mut at_b) = (a.store.changes(), b.store.changes());
    at_a.mark_unchanged();
    at_b.mark_unchanged();
    assert!(matches!(a.append(a.turn(id, 2, 1)).await, Ok(AppendOutcome::Done)));
    tokio::time::timeout(Duration::from_secs(5), at_b.changed()).await.unwrap().unwrap();
    tokio::time::sleep(owner::CHANGE_POLL * 3).await;
    assert!(!at_a.has_changed().unwrap(), "own commits do not count");
    assert_eq!(a.send(id, "s1").await, SendAnswer::Sent);
    assert!(at_a.has_changed().unwrap(), "messages of this process's clients do");
}
