//! Runs that are handed on (PROTOCOL 38, 39, 59): the run, its successor and what moves are one commit.

use super::faults::process as faulty;
use super::*;

/// The successor of a run of this process, which owns it.
pub(in crate::store) fn next_of(process: &Process, name: &str) -> Successor {
    let new = process.new_execution(name);
    Successor {
        id: new.id,
        workflow_id: new.workflow_id,
        run_id: new.run_id,
        workflow_type: new.workflow_type,
        queue: new.queue,
        input: "[2]".to_owned(),
        context: Some("{}".to_owned()),
        owned: true,
        due_ms: new.created_at_ms,
        created_at_ms: new.created_at_ms,
        attempt: 1,
        close_by_ms: None,
    }
}

/// An append that hands a run on after this many events.
pub(in crate::store) fn hands_on(process: &Process, of: ExecutionId, seq: u64, next: &Successor) -> Append {
    let (kind, status) = (CloseKind::HandedOn, ExecutionStatus::ContinuedAsNew);
    let result = r#"{"continued_as_new":{"input":[2]}}"#.to_owned();
    Append {
        close: Some(Close { kind, status, result }),
        successor: Some(Box::new(next.clone())),
        ..process.turn(of, seq, 1)
    }
}

async fn left(process: &Process, id: ExecutionId) -> Vec<String> {
    process.run(id).await.inbox.into_iter().map(|row| row.request_id).collect()
}

pub(super) async fn a_run_is_handed_on_in_one_commit(lab: Lab) {
    let process = lab.process().await;
    let id = process.running("order-1").await;
    let next = next_of(&process, "order-1");
    assert!(matches!(process.append(hands_on(&process, id, 2, &next)).await, Ok(AppendOutcome::Done)));
    let (old, new) = (process.row(id).await, process.row(next.id).await);
    assert_eq!((old.status, old.owner, old.next), (ExecutionStatus::ContinuedAsNew, None, Some(next.id)));
    assert_eq!((old.chain, old.closed_at_ms.is_some()), (None, true));
    assert_eq!((new.status, new.owner, new.rev), (ExecutionStatus::Running, Some(process.me), 0));
    assert_eq!((new.chain, new.next, new.workflow_id.as_str()), (Some(id), None, "order-1"));
    assert_eq!((new.input.as_deref(), new.context.as_deref()), (Some("[2]"), Some("{}")));
    assert_eq!((new.wake_at_ms, new.active, new.history_len), (Some(next.due_ms), false, 0));
    // By its name and by its chain it is found; each run knows the one before it.
    let found = async |by| process.store.find(by).await.unwrap().map(|row| row.id);
    assert_eq!(found(Find::WorkflowId("order-1".to_owned())).await, Some(next.id));
    assert_eq!(found(Find::Chain(id)).await, Some(next.id));
    assert_eq!(found(Find::Before { chain: id, of: next.id }).await, Some(id));
    assert_eq!(found(Find::Before { chain: id, of: id }).await, None);
    // The next run is handed on as well; its first append is a turn like any other.
    let third = next_of(&process, "order-1");
    let first = hands_on(&process, next.id, 1, &third);
    assert!(matches!(process.append(first).await, Ok(AppendOutcome::Done)));
    assert_eq!(process.row(third.id).await.chain, Some(id), "the chain is named by its first run");
    assert_eq!(found(Find::Before { chain: id, of: third.id }).await, Some(next.id));
    assert_eq!(process.send(id, "late").await, SendAnswer::Closed);
    assert_eq!(process.send(third.id, "s").await, SendAnswer::Sent);
}

pub(super) async fn unread_messages_move_in_their_order(lab: Lab) {
    let process = lab.process().await;
    let id = process.running("order-1").await;
    for (kind, key) in [(MessageKind::Signal, "a"), (MessageKind::Cancel, "b"), (MessageKind::Query, "c")] {
        let message = NewMessage { kind, ..process.message(id, key) };
        assert_eq!(process.store.send(message).await.unwrap(), SendAnswer::Sent);
    }
    for key in ["d", "e"] {
        assert_eq!(process.send(id, key).await, SendAnswer::Sent);
    }
    let next = next_of(&process, "order-1");
    assert!(matches!(process.append(hands_on(&process, id, 2, &next)).await, Ok(AppendOutcome::Done)));
    assert_eq!(process.send(next.id, "f").await, SendAnswer::Sent);
    assert_eq!(left(&process, next.id).await, ["a", "b", "c", "d", "e", "f"]);
    assert_eq!(left(&process, id).await, [""; 0]);
    // Its owner reads them, and they can be taken in.
    let inbox = process.store.inbox(process.me).await.unwrap();
    assert_eq!(inbox.len(), 6);
    let consumed = inbox.iter().map(|row| row.id).collect();
    let turn = Append { consumed, ..process.turn(next.id, 1, 1) };
    assert!(matches!(process.append(turn).await, Ok(AppendOutcome::Done)));
    assert_eq!(left(&process, next.id).await, [""; 0]);
}

/// The run that goes on is not there before the batch (PROTOCOL 36).
pub(super) async fn what_a_run_sends_to_itself_goes_to_the_next_run(lab: Lab) {
    let to_itself = |command, name: &str| Dispatch {
        command: EventId(command),
        to: Address::Name(name.to_owned()),
        kind: MessageKind::Signal,
        body: r#"{"name":"s","input":1}"#.to_owned(),
        answered: true,
    };
    let process = lab.process().await;
    let id = process.running("order-1").await;
    let next = next_of(&process, "order-1");
    let dispatches = vec![to_itself(2, "order-1"), to_itself(3, "order-1")];
    assert_eq!(process.send(id, "unread").await, SendAnswer::Sent);
    let end = Append { dispatches, ..hands_on(&process, id, 2, &next) };
    assert!(matches!(process.append(end).await, Ok(AppendOutcome::Done)));
    let sent = [2, 3].map(|command| format!("abide/{id}/{command}"));
    assert_eq!(left(&process, next.id).await, ["unread", &sent[0], &sent[1]], "in their order");
    assert_eq!(left(&process, id).await, [""; 0]);
    // A run that closes for good drops them.
    let other = process.running("order-2").await;
    let close = Some(Close {
        kind: CloseKind::Drained,
        status: ExecutionStatus::Completed,
        result: r#"{"completed":{"result":1}}"#.to_owned(),
    });
    let dispatches = vec![to_itself(2, "order-2")];
    let end = Append { dispatches, close, ..process.turn(other, 2, 1) };
    assert!(matches!(process.append(end).await, Ok(AppendOutcome::Done)));
    assert_eq!(left(&process, other).await, [""; 0]);
}

pub(super) async fn outcomes_and_what_was_taken_in_do_not_move(lab: Lab) {
    let process = lab.process().await;
    let id = process.running("order-1").await;
    for (kind, key) in [(MessageKind::Attempt, "attempt/7/1"), (MessageKind::Newer(90), "n")] {
        let message = NewMessage { kind, ..process.message(id, key) };
        assert_eq!(process.store.send(message).await.unwrap(), SendAnswer::Sent);
    }
    for key in ["taken", "unread"] {
        assert_eq!(process.send(id, key).await, SendAnswer::Sent);
    }
    let inbox = process.run(id).await.inbox;
    let consumed = inbox.iter().filter(|row| row.request_id == "taken").map(|row| row.id).collect();
    let next = next_of(&process, "order-1");
    let end = Append { consumed, ..hands_on(&process, id, 2, &next) };
    assert!(matches!(process.append(end).await, Ok(AppendOutcome::Done)));
    assert_eq!(left(&process, next.id).await, ["unread"]);
    assert_eq!(left(&process, id).await, [""; 0]);
}

pub(super) async fn a_start_may_hand_on_at_once(lab: Lab) {
    let process = lab.process().await;
    for (n, name) in ["order-1", ""].into_iter().enumerate() {
        let mut new = process.new_execution(name);
        if name.is_empty() {
            new.workflow_id.clone_from(&new.run_id);
        }
        let (id, name) = (new.id, new.workflow_id.clone());
        let next = next_of(&process, &name);
        let end = hands_on(&process, id, 1, &next);
        let start = Append { births: vec![new], ..end };
        assert!(matches!(process.append(start).await, Ok(AppendOutcome::Done)), "{n}");
        let (old, new) = (process.row(id).await, process.row(next.id).await);
        assert_eq!((old.status, old.next), (ExecutionStatus::ContinuedAsNew, Some(next.id)));
        assert_eq!((new.workflow_id, new.chain, new.owner), (name, Some(id), Some(process.me)));
    }
}

pub(super) async fn a_start_that_is_refused_hands_on_nothing(lab: Lab) {
    let process = lab.process().await;
    let open = process.running("order-1").await;
    let new = process.new_execution("order-1");
    let next = next_of(&process, "order-1");
    let start = Append { births: vec![new.clone()], ..hands_on(&process, new.id, 1, &next) };
    let told = process.append(start).await;
    assert!(matches!(told, Ok(AppendOutcome::Duplicate(StartAnswer::Taken(_)))), "{told:?}");
    assert!(process.store.find(Find::Execution(next.id)).await.unwrap().is_none());
    assert_eq!(process.row(open).await.status, ExecutionStatus::Running);
}

pub(super) async fn an_answer_that_is_lost_hands_on_once(lab: Lab) {
    for stage in [Stage::BeforeCommit, Stage::AfterCommit] {
        let lab = lab.another();
        let (process, armed) = faulty(&lab, &[]).await;
        let id = process.running("order-1").await;
        assert_eq!(process.send(id, "s").await, SendAnswer::Sent);
        let next = next_of(&process, "order-1");
        let mut end = hands_on(&process, id, 2, &next);
        end.rev = Some(process.row(id).await.rev);
        armed.lock().unwrap().push_back((stage, Fault::Lost));
        assert!(matches!(process.append(end).await, Ok(AppendOutcome::Done)), "{stage:?}");
        assert_eq!(armed.lock().unwrap().len(), 0, "the fault was met");
        assert_eq!(process.store.list(Filter::default()).await.unwrap().rows.len(), 2);
        assert_eq!(left(&process, next.id).await, ["s"]);
    }
}

pub(super) async fn what_belongs_to_the_chain_is_inherited(lab: Lab) {
    let process = lab.process().await;
    let id = process.running("order-1").await;
    let next = Successor { attempt: 2, close_by_ms: Some(i64::MAX), ..next_of(&process, "order-1") };
    assert!(matches!(process.append(hands_on(&process, id, 2, &next)).await, Ok(AppendOutcome::Done)));
    let row = process.row(next.id).await;
    assert_eq!((row.close_by_ms, row.chain_by_ms, row.chain()), (Some(i64::MAX), None, id));
}

pub(super) async fn a_successor_without_an_owner_is_claimed_when_it_is_due(lab: Lab) {
    let process = lab.process().await;
    let (id, other) = (process.running("order-1").await, process.running("order-2").await);
    let now_ms = process.store.now_ms();
    let next = Successor { owned: false, ..next_of(&process, "order-1") };
    let later = Successor { owned: false, due_ms: now_ms + 60_000, ..next_of(&process, "order-2") };
    assert!(matches!(process.append(hands_on(&process, id, 2, &next)).await, Ok(AppendOutcome::Done)));
    assert!(matches!(process.append(hands_on(&process, other, 2, &later)).await, Ok(AppendOutcome::Done)));
    assert_eq!(ids(&process.claim().await), [next.id], "the other is not due");
    // Any message begins it.
    assert_eq!(process.send(later.id, "s").await, SendAnswer::Sent);
    assert_eq!(ids(&process.claim().await), [later.id]);
}

/// A run that has failed, or whose time is up, and the next attempt of its workflow (PROTOCOL 66).
pub(super) async fn an_attempt_follows_a_run_that_has_ended(lab: Lab) {
    for status in [ExecutionStatus::Failed, ExecutionStatus::TimedOut] {
        let lab = lab.another();
        let process = lab.process().await;
        let id = process.running("order-1").await;
        assert_eq!(process.send(id, "unread").await, SendAnswer::Sent);
        let now_ms = process.store.now_ms();
        let (due_ms, owned) = (now_ms + 60_000, status == ExecutionStatus::Failed);
        let next = Successor { attempt: 2, owned, due_ms, ..next_of(&process, "order-1") };
        let mut end = hands_on(&process, id, 2, &next);
        end.close.as_mut().unwrap().status = status;
        assert!(matches!(process.append(end).await, Ok(AppendOutcome::Done)));
        let (old, new) = (process.row(id).await, process.row(next.id).await);
        assert_eq!((old.status, old.next, old.owner), (status, Some(next.id), None));
        assert_eq!(
            (new.chain, new.owner, new.wake_at_ms),
            (Some(id), owned.then_some(process.me), Some(due_ms))
        );
        assert_eq!(left(&process, next.id).await, ["unread"], "nothing is lost");
        // The name is taken while the attempt waits, whatever the closed run says of its reuse.
        let reuse = IdReusePolicy::AllowDuplicateFailedOnly;
        let again = NewExecution { reuse, ..process.new_execution("order-1") };
        let told = process.store.start(again).await.unwrap();
        assert!(matches!(told, StartAnswer::Taken(row) if row.id == next.id));
    }
}

pub(super) async fn a_lost_owner_hands_on_nothing(lab: Lab) {
    let process = lab.process().await;
    let id = process.running("order-1").await;
    assert_eq!(process.send(id, "s").await, SendAnswer::Sent);
    let next = next_of(&process, "order-1");
    let late = Append { rev: Some(7), ..hands_on(&process, id, 2, &next) };
    assert!(matches!(process.append(late).await, Ok(AppendOutcome::Lost)));
    assert!(process.store.find(Find::Execution(next.id)).await.unwrap().is_none());
    assert_eq!(left(&process, id).await, ["s"]);
    assert_eq!(process.row(id).await.status, ExecutionStatus::Running);
}

pub(super) async fn a_run_is_handed_on_under_the_lock_of_its_name(lab: Lab) {
    let process = lab.process().await;
    let id = process.running("order-1").await;
    let next = next_of(&process, "order-1");
    let end = hands_on(&process, id, 2, &next);
    let locks = decide::Locks::of([&end].into_iter(), |name| format!("{name:?}")).unwrap();
    assert_eq!(locks.ids().collect::<Vec<_>>(), ["Workflow(\"order-1\")"]);
    assert_eq!(locks.closes().collect::<Vec<_>>(), [id]);
    let taken_in_or_not = [1, 2].into_iter();
    let mut out = locks.tried().out;
    taken_in_or_not.for_each(|message| locks.meets(id, message, &mut out));
    assert!(out.conflicts.is_empty(), "no message keeps it from going on");
    assert!(matches!(process.append(end).await, Ok(AppendOutcome::Done)));
}
