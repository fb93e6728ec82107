//! Starts that bring messages (PROTOCOL 42, 49): each message is in once, in the run that the start has made or used.

use super::*;
use IdConflictPolicy::{Fail, TerminateExisting, UseExisting};

/// A start of `name` that brings these messages and uses an open run.
fn with(process: &Process, name: &str, request_id: Option<&str>, messages: &[&str]) -> NewExecution {
    let new = process.new_execution(name);
    let with: Vec<_> = messages.iter().map(|id| process.message(new.id, id)).collect();
    let first: Vec<_> = messages
        .iter()
        .map(|id| abide_core::FirstMessage::Signal {
            name: "approve".to_owned(),
            input: abide_core::Payload::null(),
            request_id: (*id).to_owned(),
        })
        .collect();
    let context = abide_core::StartContext { first, ..Default::default() };
    let terms = Terms { context: Some(crate::wire::to_json(&context)), ..Terms::default() };
    NewExecution { request_id: request_id.map(str::to_owned), conflict: UseExisting, terms, with, ..new }
}

async fn start(process: &Process, new: NewExecution) -> StartAnswer {
    process.store.start(new).await.unwrap()
}

/// The request ids in the inbox of a run, in their order.
async fn inbox(process: &Process, run: ExecutionId) -> Vec<String> {
    process.run(run).await.inbox.into_iter().map(|row| row.request_id).collect()
}

async fn is_there(process: &Process, run: ExecutionId) -> bool {
    process.store.find(Find::Execution(run)).await.unwrap().is_some()
}

pub(super) async fn a_new_run_begins_with_the_messages(lab: Lab) {
    let process = lab.process().await;
    let new = with(&process, "order-1", Some("r"), &["m1", "m2"]);
    let (id, context) = (new.id, new.terms.context.clone());
    assert!(matches!(start(&process, new).await, StartAnswer::Started));
    let row = process.row(id).await;
    assert_eq!((row.context, row.owner), (context, None));
    assert!(inbox(&process, id).await.is_empty(), "they are no rows: a row would end a start delay");
    let again = with(&process, "order-1", Some("r"), &["m1", "m2"]);
    let other = again.id;
    assert!(matches!(start(&process, again).await, StartAnswer::Known(row) if row.id == id));
    assert!(inbox(&process, id).await.is_empty() && !is_there(&process, other).await);
    // The first turn has them, and the row forgets them.
    assert_eq!(ids(&process.claim().await), [id]);
    let plain = Append { row: Some(RowChange::default()), ..process.turn(id, 0, 0) };
    assert!(matches!(process.append(plain).await, Ok(AppendOutcome::Done)));
    assert!(process.row(id).await.context.is_some(), "it has not begun");
    let row = Some(RowChange { begins: true, ..RowChange::default() });
    let close = Some(closed(ExecutionStatus::Completed));
    let first = Append { row, close, ..process.turn(id, 1, 1) };
    assert!(matches!(process.append(first).await, Ok(AppendOutcome::Done)));
    let row = process.row(id).await;
    assert_eq!((row.context, row.status), (None, ExecutionStatus::Completed));
}

pub(super) async fn messages_go_to_the_open_run_in_their_order(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    let run = a.running("order-1").await;
    assert_eq!(b.send(run, "before").await, SendAnswer::Sent);
    let new = with(&b, "order-1", None, &["m1", "m2"]);
    let id = new.id;
    let mut changes = a.store.changes();
    changes.mark_unchanged();
    assert!(matches!(start(&b, new).await, StartAnswer::Existing(row) if row.id == run));
    let told = tokio::time::timeout(Duration::from_secs(5), changes.changed()).await;
    assert!(told.is_ok(), "its owner is told");
    assert_eq!(b.send(run, "after").await, SendAnswer::Sent);
    assert_eq!(inbox(&a, run).await, ["before", "m1", "m2", "after"]);
    assert!(!is_there(&b, id).await);
}

/// The answer is lost, the run closes, and the start is tried again (S9).
pub(super) async fn a_start_that_is_tried_again_delivers_once(lab: Lab) {
    let process = lab.process().await;
    for request_id in [Some("r"), None] {
        let name = format!("order-{request_id:?}");
        let run = process.running(&name).await;
        let first = with(&process, &name, request_id, &["m"]);
        assert!(matches!(start(&process, first.clone()).await, StartAnswer::Existing(_)));
        // Without a request id, the run id is that of the first try.
        let next_try = || {
            let new = with(&process, &name, request_id, &["m"]);
            NewExecution { run_id: first.run_id.clone(), ..new }
        };
        assert!(matches!(start(&process, next_try()).await, StartAnswer::Known(row) if row.id == run));
        let taken = process.run(run).await.inbox;
        assert_eq!(taken.len(), 1);
        let close = Append { consumed: vec![taken[0].id], ..process.close(run, 2) };
        assert!(matches!(process.append(close).await, Ok(AppendOutcome::Done)));
        let new = next_try();
        let id = new.id;
        assert!(matches!(start(&process, new).await, StartAnswer::Known(row) if row.id == run));
        assert!(!is_there(&process, id).await, "no second run");
        let another = format!("another-{name}");
        let other = with(&process, &name, Some(&another), &["m"]);
        let id = other.id;
        assert!(matches!(start(&process, other).await, StartAnswer::Started), "another request");
        let elsewhere = with(&process, "elsewhere", Some(&another), &["m"]);
        let known = start(&process, elsewhere).await;
        assert!(matches!(known, StartAnswer::Known(row) if row.id == id), "a request starts one run");
    }
}

pub(super) async fn a_start_that_is_refused_sends_nothing(lab: Lab) {
    let process = lab.process().await;
    let run = process.running("order-1").await;
    let new = NewExecution { conflict: Fail, ..with(&process, "order-1", None, &["m"]) };
    assert!(matches!(start(&process, new).await, StartAnswer::Taken(row) if row.id == run));
    let workflow_type = "Bill".to_owned();
    let new = NewExecution { workflow_type, ..with(&process, "order-1", Some("r"), &["m"]) };
    for _ in 0..2 {
        let answer = start(&process, new.clone()).await;
        assert!(matches!(answer, StartAnswer::Existing(row) if row.id == run), "the caller sees its type");
    }
    assert!(inbox(&process, run).await.is_empty());
    assert!(matches!(process.append(process.close(run, 2)).await, Ok(AppendOutcome::Done)));
    let reuse = IdReusePolicy::RejectDuplicate;
    let new = NewExecution { reuse, ..with(&process, "order-1", None, &["m"]) };
    assert!(matches!(start(&process, new).await, StartAnswer::Refused(row) if row.id == run));
    let reuse = IdReusePolicy::AllowDuplicateFailedOnly;
    let new = NewExecution { reuse, ..with(&process, "order-1", None, &["m"]) };
    assert!(matches!(start(&process, new).await, StartAnswer::Refused(_)));
    assert!(matches!(start(&process, with(&process, "order-1", None, &["m"])).await, StartAnswer::Started));
}

pub(super) async fn a_start_that_replaces_a_run_sends_it_nothing(lab: Lab) {
    let process = lab.process().await;
    let run = process.running("order-1").await;
    let new = NewExecution { conflict: TerminateExisting, ..with(&process, "order-1", None, &["m"]) };
    let id = new.id;
    assert!(matches!(start(&process, new).await, StartAnswer::Started));
    assert_eq!(process.row(run).await.status, ExecutionStatus::Terminated);
    assert_eq!(inbox(&process, run).await, ["terminated"]);
    assert!(process.row(id).await.context.is_some_and(|context| context.contains(r#""first""#)));
}

pub(super) async fn messages_to_a_suspended_run_are_parked(lab: Lab) {
    let process = lab.process().await;
    let run = process.running("order-1").await;
    let status = Some(ExecutionStatus::Suspended);
    let suspend =
        Append { row: Some(RowChange { status, ..RowChange::default() }), ..process.turn(run, 2, 1) };
    assert!(matches!(process.append(suspend).await, Ok(AppendOutcome::Done)));
    assert!(matches!(
        start(&process, with(&process, "order-1", None, &["m"])).await,
        StartAnswer::Existing(_)
    ));
    assert_eq!(ids(&process.claim().await), [], "a message does not wake it");
    assert_eq!(process.store.resume(run).await.unwrap(), ResumeAnswer::Resumed);
    assert_eq!(ids(&process.claim().await), [run]);
    assert_eq!(inbox(&process, run).await, ["m"]);
}

/// The run closes at the same time: it has the message and stays open, or another one is started with it.
pub(super) async fn a_close_at_the_same_time_loses_no_message(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    for n in 0..20 {
        let name = format!("order-{n}");
        let run = a.running(&name).await;
        let new = with(&b, &name, Some(&format!("r{n}")), &["m"]);
        let id = new.id;
        let close = a.submit(a.close(run, 2));
        let (answer, closed) = (start(&b, new).await, close.await.unwrap().unwrap());
        match answer {
            StartAnswer::Started => {
                assert!(matches!(closed, AppendOutcome::Done), "{closed:?}");
                assert!(is_there(&b, id).await);
            }
            StartAnswer::Existing(row) => {
                assert_eq!(row.id, run);
                assert!(matches!(closed, AppendOutcome::Conflict), "it closed over the message: {closed:?}");
                assert_eq!(inbox(&a, run).await, ["m"]);
                assert!(!is_there(&b, id).await);
            }
            other => panic!("{other:?}"),
        }
    }
}

/// The commit's answer is lost: what was in is found again, what was not is done once.
pub(super) async fn an_answer_that_is_lost_is_asked_for_again(lab: Lab) {
    let (process, armed) = faults::process(&lab, &[]).await;
    for (stage, is_in) in [(Stage::BeforeCommit, false), (Stage::AfterCommit, true)] {
        let name = format!("order-{stage:?}");
        let run = process.running(&name).await;
        let new = with(&process, &name, None, &["m1", "m2"]);
        armed.lock().unwrap().push_back((stage, Fault::Lost));
        let unknown = process.store.start(new.clone()).await.unwrap_err();
        assert_eq!(unknown.code(), "AB0410", "{unknown}");
        match start(&process, new.clone()).await {
            StartAnswer::Known(row) => assert_eq!((row.id, is_in), (run, true)),
            StartAnswer::Existing(row) => assert_eq!((row.id, is_in), (run, false)),
            other => panic!("{other:?}"),
        }
        assert_eq!(inbox(&process, run).await, ["m1", "m2"]);
        assert!(!is_there(&process, new.id).await);
    }
}

/// Many senders, one name: one run, and each message once.
pub(super) async fn senders_at_once_make_one_run(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    let mut asked = Vec::new();
    for n in 0..8 {
        let process = if n % 2 == 0 { &a } else { &b };
        let new = with(process, "order-1", Some(&format!("r{n}")), &[format!("m{n}").as_str()]);
        let store = Arc::clone(&process.store);
        asked.push(tokio::spawn(async move { (new.id, store.start(new).await.unwrap()) }));
    }
    let (mut made, mut used) = (Vec::new(), Vec::new());
    for asked in asked {
        match asked.await.unwrap() {
            (id, StartAnswer::Started) => made.push(id),
            (_, StartAnswer::Existing(row)) => used.push(row.id),
            (_, other) => panic!("{other:?}"),
        }
    }
    assert_eq!((made.len(), used.len()), (1, 7));
    assert!(used.iter().all(|run| *run == made[0]));
    assert_eq!(inbox(&a, made[0]).await.len(), 7);
}
