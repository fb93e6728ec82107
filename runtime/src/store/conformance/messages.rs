//! Messages and replies: order, dedup, closed and unknown executions, terminate, what other processes are told.

use super::*;
use crate::status::ExecutionStatus;

pub(super) async fn messages_keep_their_order_and_come_once(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    let id = a.running("order-1").await;
    for request in ["s1", "s2", "s3"] {
        assert_eq!(b.send(id, request).await, SendAnswer::Sent);
    }
    assert_eq!(b.send(id, "s2").await, SendAnswer::Known);
    let inbox = a.store.inbox(a.me).await.unwrap();
    assert_eq!(inbox.iter().map(|row| row.request_id.as_str()).collect::<Vec<_>>(), ["s1", "s2", "s3"]);
    assert_eq!(inbox, a.run(id).await.inbox);
    assert_eq!(b.store.inbox(b.me).await.unwrap(), []);
    let taken = Append { consumed: inbox.iter().map(|row| row.id).collect(), ..a.turn(id, 2, 3) };
    assert!(matches!(a.append(taken).await, Ok(AppendOutcome::Done)));
    assert_eq!(a.store.inbox(a.me).await.unwrap(), []);
}

pub(super) async fn messages_of_one_append_reach_open_executions_once(lab: Lab) {
    let process = lab.process().await;
    let (from, to) = (process.running("order-1").await, process.running("order-2").await);
    let done = process.running("order-3").await;
    assert!(matches!(process.append(process.close(done, 2)).await, Ok(AppendOutcome::Done)));
    let messages = vec![process.message(to, "m1"), process.message(done, "m2"), process.message(to, "m1")];
    let append = Append { messages, ..process.turn(from, 2, 1) };
    assert!(matches!(process.append(append).await, Ok(AppendOutcome::Done)));
    assert_eq!(process.store.inbox(process.me).await.unwrap().len(), 1);
}

pub(super) async fn messages_of_one_append_keep_their_order(lab: Lab) {
    let process = lab.process().await;
    let from = process.running("order-1").await;
    let to = [process.running("order-2").await, process.running("order-3").await];
    // Neither by receiver nor by name.
    let names: Vec<String> = (0..40).map(|n| format!("m{}", 7 * n % 40)).collect();
    let messages = names.iter().enumerate().map(|(n, name)| process.message(to[n % 2], name)).collect();
    let append = Append { messages, ..process.turn(from, 2, 1) };
    assert!(matches!(process.append(append).await, Ok(AppendOutcome::Done)));
    let inbox = process.store.inbox(process.me).await.unwrap();
    assert_eq!(inbox.into_iter().map(|row| row.request_id).collect::<Vec<_>>(), names);
}

pub(super) async fn closed_and_unknown_executions_say_so(lab: Lab) {
    let process = lab.process().await;
    let id = process.running("order-1").await;
    let body = r#"[{"signaled":{"name":"a","input":[],"request_id":"s1"}}]"#.to_owned();
    let close = Append { body, ..process.close(id, 2) };
    assert!(matches!(process.append(close).await, Ok(AppendOutcome::Done)));
    assert_eq!(process.send(id, "s1").await, SendAnswer::Known, "its journal knows it");
    assert_eq!(process.send(id, "s2").await, SendAnswer::Closed);
    assert_eq!(process.send(ExecutionId(1), "s1").await, SendAnswer::NoSuchExecution);
}

pub(super) async fn a_closed_run_knows_a_request_by_its_events(lab: Lab) {
    let process = lab.process().await;
    let id = process.running("order-1").await;
    let body = r#"[{"signaled":{"name":"note","input":[{"request_id":"order-7"}],"request_id":"s1"}}]"#;
    let close = Append { body: body.to_owned(), ..process.close(id, 2) };
    assert!(matches!(process.append(close).await, Ok(AppendOutcome::Done)));
    assert_eq!(process.send(id, "s1").await, SendAnswer::Known);
    assert_eq!(process.send(id, "order-7").await, SendAnswer::Closed, "a payload's text is no request");
    let cancel = NewMessage { kind: MessageKind::Cancel, ..process.message(id, "s1") };
    assert_eq!(process.store.send(cancel).await.unwrap(), SendAnswer::Closed, "a signal's id is no cancel's");
}

pub(super) async fn terminate_is_immediate_and_once(lab: Lab) {
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
        assert_eq!((row.status, row.result.as_deref()), (ExecutionStatus::Terminated, Some(event)));
        assert_eq!(process.store.journal(id).await.unwrap().last().unwrap().body, format!("[{event}]"));
    }
    assert_eq!(process.run(free).await.inbox, [], "it has no owner, no worker is notified");
    let told = process.run(owned).await.inbox;
    assert_eq!(told.len(), 1);
    assert_eq!(ids(&process.claim().await), []);

    // A release that crosses it: no worker would ever take the message in.
    let release = RowChange { release: true, wake_at_ms: Some(None), ..RowChange::default() };
    let bare = |row, consumed| Append { row: Some(row), consumed, ..Append::bare(process.me, owned, 1) };
    assert!(matches!(process.append(bare(release, Vec::new())).await, Ok(AppendOutcome::Lost)));
    assert_eq!(process.row(owned).await.owner, Some(process.me));
    assert!(matches!(process.append(bare(let_go(), vec![told[0].id])).await, Ok(AppendOutcome::Done)));
    assert_eq!(process.row(owned).await.owner, None);
    assert_eq!(process.run(owned).await.inbox, []);

    // An owner that leaves instead.
    let owned = process.running("order-3").await;
    process.store.terminate(owned, "t3".to_owned(), event.to_owned()).await.unwrap();
    process.store.unregister(process.me).await.unwrap();
    assert_eq!(process.run(owned).await.inbox, [], "no worker is left to be notified");
}

pub(super) async fn replies_are_taken_once(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    let reply = |body: &str, expires_at_ms| Reply {
        request_id: "q1".into(),
        body: body.into(),
        stage: 0,
        expires_at_ms,
        asker: None,
    };
    assert_eq!(a.store.take_reply("q1".into()).await.unwrap(), None);
    b.store.put_reply(reply("1", i64::MAX)).await.unwrap();
    b.store.put_reply(reply("2", i64::MAX)).await.unwrap();
    assert_eq!(a.store.take_reply("q1".into()).await.unwrap().as_deref(), Some("1"));
    assert_eq!(a.store.take_reply("q1".into()).await.unwrap(), None);
    b.store.put_reply(reply("3", 1)).await.unwrap();
    b.store
        .put_reply(Reply {
            request_id: "q2".into(),
            body: "4".into(),
            stage: 0,
            expires_at_ms: i64::MAX,
            asker: None,
        })
        .await
        .unwrap();
    assert_eq!(a.store.take_reply("q1".into()).await.unwrap(), None, "expired");
}

/// What is kept goes forward only (PROTOCOL 93): a late answer of an earlier stage, or a second one of the
/// same, changes nothing.
pub(super) async fn replies_go_forward(lab: Lab) {
    let process = lab.process().await;
    let reply = |stage, body: &str| Reply {
        request_id: "u1".into(),
        body: body.into(),
        stage,
        expires_at_ms: i64::MAX,
        asker: None,
    };
    for (stage, body) in [(0, "accepted"), (1, "completed"), (0, "late"), (1, "again")] {
        process.store.put_reply(reply(stage, body)).await.unwrap();
    }
    assert_eq!(process.store.take_reply("u1".into()).await.unwrap().as_deref(), Some("completed"));
}

/// An answer goes with its turn or not at all, and is read by all who ask (PROTOCOL 46).
pub(super) async fn replies_go_with_a_turn(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    let run = a.running("order-1").await;
    let reply = |key: &str, stage, body: &str| Reply {
        request_id: key.into(),
        body: body.into(),
        stage,
        expires_at_ms: i64::MAX,
        asker: None,
    };
    let read = async |key: &str| b.store.read_reply(key.into()).await.unwrap();
    let replies = vec![reply("u1", 0, "accepted"), reply("u2", 0, "accepted")];
    let turn = Append { replies, ..a.turn(run, 2, 1) };
    assert!(matches!(a.append(turn).await, Ok(AppendOutcome::Done)));
    for key in ["u1", "u2", "u1"] {
        assert_eq!(read(key).await.as_deref(), Some("accepted"), "it is not taken out");
    }
    let lost = Append {
        row: Some(RowChange::default()),
        rev: Some(99),
        replies: vec![reply("u1", 1, "of a lost turn")],
        ..a.turn(run, 3, 1)
    };
    assert!(matches!(a.append(lost).await, Ok(AppendOutcome::Lost)));
    assert_eq!(read("u1").await.as_deref(), Some("accepted"));
    // A rejection has no event.
    let replies = vec![reply("u1", 1, "completed"), reply("u2", 0, "late"), reply("u3", 0, "rejected")];
    let bare = Append { replies, ..Append::bare(a.me, run, 1) };
    assert!(matches!(a.append(bare).await, Ok(AppendOutcome::Done)));
    let kept = [read("u1").await, read("u2").await, read("u3").await];
    let wanted = ["completed", "accepted", "rejected"];
    assert_eq!(kept.map(Option::unwrap_or_default), wanted);
}

pub(super) async fn who_has_to_look_is_told(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    let (at_a, at_b) = (a.running("order-1").await, b.running("order-2").await);
    // What was committed before is seen by the first looks.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let told = async |what: &str, receiver: &mut watch::Receiver<u64>| {
        let told = tokio::time::timeout(Duration::from_secs(5), receiver.changed()).await;
        assert!(told.is_ok(), "{what}");
        tokio::time::sleep(Duration::from_millis(300)).await;
        receiver.mark_unchanged();
    };
    let (mut work_a, mut work_b, mut news_b) = (a.store.changes(), b.store.changes(), b.store.news());
    work_a.mark_unchanged();
    assert!(matches!(a.append(a.turn(at_a, 2, 1)).await, Ok(AppendOutcome::Done)));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!work_a.has_changed().unwrap(), "own turns are no news");
    work_b.mark_unchanged();
    assert_eq!(a.send(at_b, "s1").await, SendAnswer::Sent);
    told("a message to what it owns", &mut work_b).await;
    assert_eq!(a.send(at_a, "s1").await, SendAnswer::Sent);
    told("a message of this process's client", &mut work_a).await;
    assert!(a.store.start(a.new_execution("order-3")).await.is_ok());
    told("a start in its task queue", &mut work_b).await;
    let inbox = a.run(at_a).await.inbox;
    let close = Append { consumed: inbox.iter().map(|row| row.id).collect(), ..a.close(at_a, 3) };
    news_b.mark_unchanged();
    assert!(matches!(a.append(close).await, Ok(AppendOutcome::Done)));
    told("a close, for those who wait for it", &mut news_b).await;
    a.store
        .put_reply(Reply {
            request_id: "q".into(),
            body: "1".into(),
            stage: 0,
            expires_at_ms: i64::MAX,
            asker: None,
        })
        .await
        .unwrap();
    told("an answer", &mut news_b).await;
}

/// PROTOCOL 36: whichever batch they meet in, the message is first, and the close finds it.
pub(super) async fn a_close_never_passes_a_message_of_its_own_batch(lab: Lab) {
    let process = lab.process().await;
    let sender = process.running("sender").await;
    let mut receivers = Vec::new();
    for n in 0..20 {
        receivers.push(process.running(&format!("order-{n}")).await);
    }
    let mut told = Vec::new();
    for (seq, receiver) in (2..).zip(&receivers) {
        let send = Append { messages: vec![process.message(*receiver, "m")], ..process.turn(sender, seq, 1) };
        told.push((process.submit(send), process.submit(process.close(*receiver, 2))));
    }
    for (sent, closed) in told {
        assert!(matches!(sent.await.unwrap(), Ok(AppendOutcome::Done)));
        let closed = closed.await.unwrap();
        assert!(matches!(closed, Ok(AppendOutcome::Conflict)), "it closed over the message: {closed:?}");
    }
    assert_eq!(process.store.inbox(process.me).await.unwrap().len(), receivers.len());
}

pub(super) async fn what_a_run_sends_to_itself_as_it_closes_is_dropped(lab: Lab) {
    let process = lab.process().await;
    let (id, other) = (process.running("order-1").await, process.running("order-2").await);
    let messages = vec![process.message(id, "m1"), process.message(other, "m2")];
    let close = Append { messages, ..process.close(id, 2) };
    assert!(matches!(process.append(close).await, Ok(AppendOutcome::Done)));
    let left = process.store.inbox(process.me).await.unwrap();
    assert_eq!(left.iter().map(|row| row.execution).collect::<Vec<_>>(), [other]);
}

/// A closed run answers queries, so one that waits stays: after a close, a terminate and a start that replaces its run.
pub(super) async fn a_query_that_waits_outlives_every_end(lab: Lab) {
    let process = lab.process().await;
    let mut ended = Vec::new();
    for name in ["closed", "terminated", "replaced"] {
        let id = process.running(name).await;
        let query = NewMessage { kind: MessageKind::Query, ..process.message(id, "q1") };
        assert_eq!(process.store.send(query).await.unwrap(), SendAnswer::Sent);
        ended.push(id);
    }
    assert!(matches!(process.append(process.close(ended[0], 2)).await, Ok(AppendOutcome::Done)));
    let event = r#"{"terminated":{"reason":"enough"}}"#.to_owned();
    assert_eq!(process.store.terminate(ended[1], "t1".into(), event).await.unwrap(), SendAnswer::Sent);
    let conflict = IdConflictPolicy::TerminateExisting;
    let new = NewExecution { conflict, ..process.new_execution("replaced") };
    assert!(matches!(process.store.start(new).await.unwrap(), StartAnswer::Started));
    // Its owner lets go of what was ended from outside.
    for id in &ended[1..] {
        let told = process.store.inbox(process.me).await.unwrap();
        let told = told.iter().filter(|row| row.execution == *id && row.kind == MessageKind::Terminated);
        let consumed = told.map(|row| row.id).collect();
        let leave = Append { row: Some(let_go()), consumed, ..process.turn(*id, 2, 0) };
        assert!(matches!(process.append(leave).await, Ok(AppendOutcome::Done)));
    }
    let waiting = process.store.open_queries(vec!["q".into()], vec!["Order".into()]).await.unwrap();
    assert_eq!(waiting.iter().map(|row| row.execution).collect::<Vec<_>>(), ended);
}
