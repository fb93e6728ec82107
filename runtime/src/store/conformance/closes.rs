//! The kinds of close (PROTOCOL 38): what keeps one out, and what each leaves of the inbox.

use super::*;

fn close_of(process: &Process, id: ExecutionId, kind: CloseKind) -> Append {
    let status = match kind {
        CloseKind::Drained => ExecutionStatus::Completed,
        CloseKind::Discarded => ExecutionStatus::Terminated,
        CloseKind::HandedOn => ExecutionStatus::ContinuedAsNew,
    };
    Append { close: Some(Close { kind, ..closed(status) }), ..process.close(id, 2) }
}

/// All rows of an inbox, by kind and request id.
async fn left(process: &Process, id: ExecutionId) -> Vec<(MessageKind, String)> {
    process.run(id).await.inbox.into_iter().map(|row| (row.kind, row.request_id)).collect()
}

pub(super) async fn a_discarded_close_passes_what_is_unread(lab: Lab) {
    let process = lab.process().await;
    let (id, busy) = (process.running("order-1").await, process.running("order-2").await);
    for kind in [MessageKind::Signal, MessageKind::Cancel, MessageKind::Attempt, MessageKind::Newer(90)] {
        let message = NewMessage { kind, ..process.message(id, "m") };
        assert_eq!(process.store.send(message).await.unwrap(), SendAnswer::Sent);
    }
    assert!(matches!(process.append(process.close(id, 2)).await, Ok(AppendOutcome::Conflict)), "drained");
    let end = close_of(&process, id, CloseKind::Discarded);
    assert!(matches!(process.append(end).await, Ok(AppendOutcome::Done)));
    assert_eq!(process.row(id).await.status, ExecutionStatus::Terminated);
    assert_eq!(left(&process, id).await, []);
    assert_eq!(process.send(id, "late").await, SendAnswer::Closed);
    assert_eq!(process.send(busy, "m").await, SendAnswer::Sent, "nothing is left locked");
}

pub(super) async fn every_close_leaves_nothing_but_queries(lab: Lab) {
    let process = lab.process().await;
    for (name, kind) in [("order-1", CloseKind::Drained), ("order-2", CloseKind::Discarded)] {
        let id = process.running(name).await;
        assert_eq!(process.send(id, "s1").await, SendAnswer::Sent);
        for (kind, key) in [(MessageKind::Query, "q"), (MessageKind::Newer(90), "n")] {
            let message = NewMessage { kind, ..process.message(id, key) };
            assert_eq!(process.store.send(message).await.unwrap(), SendAnswer::Sent);
        }
        let unread = process.run(id).await.inbox;
        let consumed =
            unread.iter().filter(|row| row.kind == MessageKind::Signal).map(|row| row.id).collect();
        let end = Append { consumed, ..close_of(&process, id, kind) };
        assert!(matches!(process.append(end).await, Ok(AppendOutcome::Done)));
        assert_eq!(left(&process, id).await, [(MessageKind::Query, "q".to_owned())], "{kind:?}");
    }
}

pub(super) async fn a_drained_close_waits_for_inputs_alone(lab: Lab) {
    let process = lab.process().await;
    for n in 0..8 {
        let kind = MessageKind::from_code(n);
        let id = process.running(&format!("order-{n}")).await;
        let message = NewMessage { kind, ..process.message(id, "m") };
        assert_eq!(process.store.send(message).await.unwrap(), SendAnswer::Sent);
        let closed = process.append(close_of(&process, id, CloseKind::Drained)).await;
        let waits = matches!(closed, Ok(AppendOutcome::Conflict));
        assert_eq!(waits, kind.is_input(), "{kind:?}: {closed:?}");
    }
}
