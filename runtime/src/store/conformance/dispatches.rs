//! Messages to other workflows: who is found, what the sender is answered, and in which order it meets a close.

use super::*;
use crate::status::ExecutionStatus;

/// A message of this command to a workflow id.
fn dispatch(command: u64, to: &str) -> Dispatch {
    Dispatch {
        command: EventId(command),
        to: Address::Name(to.to_owned()),
        kind: MessageKind::Signal,
        body: r#"{"name":"approve"}"#.to_owned(),
        answered: true,
    }
}

/// The rows of an inbox: kind, key and body.
async fn inbox(process: &Process, id: ExecutionId) -> Vec<(MessageKind, String, String)> {
    let rows = process.run(id).await.inbox.into_iter();
    rows.map(|row| (row.kind, row.request_id, row.body)).collect()
}

fn done(outcome: Result<AppendOutcome, StoreError>) {
    assert!(matches!(outcome, Ok(AppendOutcome::Done)), "{outcome:?}");
}

pub(super) async fn each_message_to_a_workflow_is_answered(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    let (from, to) = (a.running("order-1").await, b.running("o'r\"der\\-2").await);
    let ended = a.running("order-3").await;
    done(a.append(a.close(ended, 2)).await);
    let names = ["o'r\"der\\-2", "order-3", "nobody"];
    let dispatches = (2..).zip(names).map(|(command, name)| dispatch(command, name)).collect();
    done(a.append(Append { dispatches, ..a.turn(from, 2, 3) }).await);
    let key = format!("abide/{from}/2");
    assert_eq!(inbox(&b, to).await, [(MessageKind::Signal, key, r#"{"name":"approve"}"#.to_owned())]);
    let answer = |command, body: &str| (MessageKind::Answer, answer_id(EventId(command)), body.to_owned());
    let refused = r#"{"refused":"not running"}"#;
    let answers = [answer(2, "{}"), answer(3, refused), answer(4, refused)];
    assert_eq!(inbox(&a, from).await, answers);
    assert_eq!(inbox(&a, ended).await, []);
    let owned = a.store.inbox(a.me).await.unwrap();
    assert_eq!(owned.iter().map(|row| row.kind).collect::<Vec<_>>(), [MessageKind::Answer; 3]);
    // An answer keeps no close out.
    let consumed = owned.iter().take(1).map(|row| row.id).collect();
    done(a.append(Append { consumed, ..a.close(from, 5) }).await);
}

pub(super) async fn a_run_may_send_to_itself_and_then_not_close(lab: Lab) {
    let a = lab.process().await;
    let from = a.running("order-1").await;
    done(a.append(Append { dispatches: vec![dispatch(2, "order-1")], ..a.turn(from, 2, 1) }).await);
    let rows = inbox(&a, from).await;
    assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), [MessageKind::Signal, MessageKind::Answer]);
    assert!(matches!(a.append(a.close(from, 3)).await, Ok(AppendOutcome::Conflict)));
    // What it sends to itself as it closes is dropped, and it is not answered.
    let consumed = a.run(from).await.inbox.iter().map(|row| row.id).collect();
    let dispatches = vec![dispatch(3, "order-1"), dispatch(4, "nobody")];
    done(a.append(Append { dispatches, consumed, ..a.close(from, 3) }).await);
    assert_eq!(inbox(&a, from).await, []);
}

pub(super) async fn a_first_turn_may_send_to_others_and_to_itself(lab: Lab) {
    let a = lab.process().await;
    let other = a.running("order-1").await;
    let new = a.new_execution("order-2");
    let id = new.id;
    let dispatches = vec![dispatch(2, "order-1"), dispatch(3, "order-2")];
    done(a.append(Append { dispatches: dispatches.clone(), ..a.create(new) }).await);
    assert_eq!(inbox(&a, other).await.len(), 1);
    let kinds = inbox(&a, id).await.into_iter().map(|row| row.0);
    use MessageKind::{Answer, Signal};
    assert_eq!(kinds.collect::<Vec<_>>(), [Answer, Signal, Answer]);
    // A start that is refused sends nothing. One that is decided alone sends the same.
    let taken = Append { dispatches: dispatches.clone(), ..a.create(a.new_execution("order-2")) };
    assert!(matches!(a.append(taken).await, Ok(AppendOutcome::Duplicate(_))));
    let (terminate_event, conflict) =
        (Some(r#"{"terminated":{"reason":"x"}}"#.into()), IdConflictPolicy::TerminateExisting);
    let new = NewExecution { conflict, terminate_event, ..a.new_execution("order-2") };
    let id = new.id;
    done(a.append(Append { dispatches, ..a.create(new) }).await);
    assert_eq!(inbox(&a, other).await.len(), 2);
    assert_eq!(inbox(&a, id).await.len(), 3);
}

pub(super) async fn a_send_and_its_receivers_close_share_no_batch(lab: Lab) {
    let a = lab.process().await;
    for round in 0..10 {
        let names = [format!("from-{round}"), format!("to-{round}")];
        let (from, to) = (a.running(&names[0]).await, a.running(&names[1]).await);
        let send = Append { dispatches: vec![dispatch(2, &names[1])], ..a.turn(from, 2, 1) };
        let (sent, closed) = (a.submit(send), a.submit(a.close(to, 2)));
        done(sent.await.unwrap());
        let closed = closed.await.unwrap();
        let refused = inbox(&a, from).await[0].2 != "{}";
        // The message is in the inbox of an open run, or it was refused.
        match a.row(to).await.status == ExecutionStatus::Completed {
            true => assert!(refused && matches!(closed, Ok(AppendOutcome::Done)), "{closed:?}"),
            false => {
                assert!(!refused && matches!(closed, Ok(AppendOutcome::Conflict)), "{closed:?}");
                assert_eq!(inbox(&a, to).await.len(), 1);
            }
        }
    }
}

pub(super) async fn two_that_close_and_send_to_each_other_come_to_an_end(lab: Lab) {
    let a = lab.process().await;
    let (one, two) = (a.running("one").await, a.running("two").await);
    let closes = |id, to: &str| Append { dispatches: vec![dispatch(2, to)], ..a.close(id, 2) };
    let (first, second) = (a.submit(closes(one, "two")), a.submit(closes(two, "one")));
    let outcomes = [first.await.unwrap(), second.await.unwrap()];
    let is_done = |outcome: &&Result<_, _>| matches!(outcome, Ok(AppendOutcome::Done));
    assert!(outcomes.iter().filter(is_done).count() >= 1, "{outcomes:?}");
}

pub(super) async fn a_message_to_a_suspended_run_is_parked_and_its_answer_is_not(lab: Lab) {
    let a = lab.process().await;
    let from = a.running("order-1").await;
    let to = super::parked::suspended(&a, "order-2").await;
    done(a.append(Append { dispatches: vec![dispatch(2, "order-2")], ..a.turn(from, 2, 1) }).await);
    assert_eq!(ids(&a.claim().await), []);
    assert_eq!(inbox(&a, to).await.len(), 1);
    assert_eq!(a.store.inbox(a.me).await.unwrap().len(), 1, "the answer");
}
