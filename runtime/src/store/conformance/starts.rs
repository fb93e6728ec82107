//! Starts: policies, request ids, and that owned and unowned starts decide alike.

use super::*;

/// Starts `new`, as a client (`owned` false) or as a worker's first append.
async fn start(process: &Process, new: NewExecution, owned: bool) -> StartAnswer {
    if !owned {
        return process.store.start(new).await.unwrap();
    }
    match process.append(process.create(new)).await.unwrap() {
        AppendOutcome::Done => StartAnswer::Started,
        AppendOutcome::Duplicate(answer) => answer,
        other => panic!("{other:?}"),
    }
}

fn name(answer: &StartAnswer) -> &'static str {
    match answer {
        StartAnswer::Started => "started",
        StartAnswer::Known(_) => "known",
        StartAnswer::Existing(_) => "existing",
        StartAnswer::Taken(_) => "taken",
        StartAnswer::Refused(_) => "refused",
    }
}

/// With a run of the same id that is open (`Running`) or closed so: what do these policies answer?
async fn check(
    lab: &Lab,
    before: ExecutionStatus,
    reuse: IdReusePolicy,
    conflict: IdConflictPolicy,
    expected: &str,
) {
    for owned in [false, true] {
        let lab = lab.another();
        let process = lab.process().await;
        let first = process.running("order-1").await;
        if before != ExecutionStatus::Running {
            let close = Append { close: Some(closed(before)), ..process.turn(first, 2, 1) };
            assert!(matches!(process.append(close).await, Ok(AppendOutcome::Done)));
        }
        let new = NewExecution { reuse, conflict, ..process.new_execution("order-1") };
        let id = new.id;
        let answer = start(&process, new, owned).await;
        assert_eq!(name(&answer), expected, "{before:?} {reuse:?} {conflict:?} owned={owned}");
        match answer {
            StartAnswer::Started => assert_eq!(process.row(id).await.workflow_id, "order-1"),
            StartAnswer::Known(row)
            | StartAnswer::Existing(row)
            | StartAnswer::Taken(row)
            | StartAnswer::Refused(row) => {
                assert_eq!(row.id, first);
                assert!(
                    process.store.find(Find::Execution(id)).await.unwrap().is_none(),
                    "nothing of it is in"
                );
                assert!(process.store.journal(id).await.unwrap().is_empty());
            }
        }
    }
}

pub(super) async fn an_open_run_decides_by_the_conflict_policy(lab: Lab) {
    let reuse = IdReusePolicy::AllowDuplicate;
    check(&lab, ExecutionStatus::Running, reuse, IdConflictPolicy::Fail, "taken").await;
    check(&lab, ExecutionStatus::Running, reuse, IdConflictPolicy::UseExisting, "existing").await;
    // The run that is terminated for it is no closed run that the reuse policy speaks of.
    for reuse in [reuse, IdReusePolicy::AllowDuplicateFailedOnly, IdReusePolicy::RejectDuplicate] {
        check(&lab, ExecutionStatus::Running, reuse, IdConflictPolicy::TerminateExisting, "started").await;
    }
}

pub(super) async fn a_closed_run_decides_by_the_reuse_policy(lab: Lab) {
    let conflict = IdConflictPolicy::Fail;
    check(&lab, ExecutionStatus::Completed, IdReusePolicy::AllowDuplicate, conflict, "started").await;
    check(&lab, ExecutionStatus::Completed, IdReusePolicy::AllowDuplicateFailedOnly, conflict, "refused")
        .await;
    check(&lab, ExecutionStatus::Failed, IdReusePolicy::AllowDuplicateFailedOnly, conflict, "started").await;
    check(&lab, ExecutionStatus::Cancelled, IdReusePolicy::AllowDuplicateFailedOnly, conflict, "started")
        .await;
    check(&lab, ExecutionStatus::Failed, IdReusePolicy::RejectDuplicate, conflict, "refused").await;
}

pub(super) async fn a_known_request_answers_with_its_run(lab: Lab) {
    for owned in [false, true] {
        let lab = lab.another();
        let process = lab.process().await;
        let first = NewExecution { request_id: Some("req".into()), ..process.new_execution("order-1") };
        assert_eq!(name(&start(&process, first.clone(), owned).await), "started");
        let again = NewExecution { request_id: Some("req".into()), ..process.new_execution("order-1") };
        let StartAnswer::Known(row) = start(&process, again, owned).await else { panic!("not known") };
        assert_eq!(row.id, first.id);
        // Without a request id the run id serves.
        let run = process.new_execution("order-2");
        assert_eq!(name(&start(&process, run.clone(), owned).await), "started");
        let again = NewExecution { run_id: run.run_id.clone(), ..process.new_execution("order-2") };
        assert_eq!(name(&start(&process, again, owned).await), "known");
    }
}

/// A client's start whose answer was lost is asked again, of a worker this time: nothing of that worker's
/// turn may count as written.
pub(super) async fn a_start_that_is_in_unowned_is_not_taken_for_an_owned_one(lab: Lab) {
    let process = lab.process().await;
    let new = process.new_execution("order-1");
    let id = new.id;
    assert_eq!(name(&start(&process, new.clone(), false).await), "started");
    assert_eq!(name(&start(&process, new.clone(), true).await), "known");
    assert!(process.store.journal(id).await.unwrap().is_empty(), "nothing of the second is in");
    assert_eq!(ids(&process.claim().await), [id]);
    assert_eq!(name(&start(&process, new, true).await), "known", "it is owned now, and still not begun");
    assert!(process.store.journal(id).await.unwrap().is_empty());
}

/// The answer to a worker's start was lost for good, and the client asks again: the second turn has drawn
/// other values than the one that is written, and must not be acted on.
pub(super) async fn a_start_that_an_earlier_try_has_put_there_is_not_this_one(lab: Lab) {
    let process = lab.process().await;
    let first = process.create(process.new_execution("order-1"));
    let again = Append { at_ms: first.at_ms + 1, ..first.clone() };
    let same = first.clone();
    assert!(matches!(process.append(first).await, Ok(AppendOutcome::Done)));
    assert!(matches!(process.append(same).await, Ok(AppendOutcome::Done)), "the same one, told twice");
    let known = process.append(again).await.unwrap();
    assert!(matches!(known, AppendOutcome::Duplicate(StartAnswer::Known(_))), "{known:?}");
}

pub(super) async fn terminate_existing_tells_the_owner_and_refuses_its_appends(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    let old = a.running("order-1").await;
    let conflict = IdConflictPolicy::TerminateExisting;
    let terminate_event = Some(r#"{"terminated":{"reason":"replaced"}}"#.to_owned());
    let new = NewExecution { conflict, terminate_event, ..b.new_execution("order-1") };
    assert_eq!(name(&start(&b, new, false).await), "started");
    let row = a.row(old).await;
    assert_eq!((row.status, row.history_len), (ExecutionStatus::Terminated, 2));
    assert!(row.result.unwrap().contains("replaced"));
    assert!(matches!(a.append(a.turn(old, 2, 1)).await, Ok(AppendOutcome::Lost)));
    assert!(matches!(a.append(a.close(old, 2)).await, Ok(AppendOutcome::Lost)));
    let inbox = a.store.inbox(a.me).await.unwrap();
    assert_eq!(inbox.iter().map(|row| row.kind).collect::<Vec<_>>(), [MessageKind::Terminated]);
    let release = RowChange { release: true, ..RowChange::default() };
    let leave = Append { consumed: vec![inbox[0].id], row: Some(release), ..a.turn(old, 0, 0) };
    assert!(matches!(a.append(leave).await, Ok(AppendOutcome::Done)));
    assert_eq!(a.store.owned(a.me).await.unwrap(), []);
    assert_eq!(a.run(old).await.inbox, []);
}

pub(super) async fn an_owner_is_notified_that_a_start_has_replaced_its_run(lab: Lab) {
    let process = lab.process().await;
    let old = process.running("order-1").await;
    let (mut changes, mut news) = (process.store.changes(), process.store.news());
    changes.mark_unchanged();
    news.mark_unchanged();
    let conflict = IdConflictPolicy::TerminateExisting;
    let new = NewExecution { conflict, ..process.new_execution("order-1") };
    assert_eq!(name(&start(&process, new, true).await), "started");
    for told in [&mut changes, &mut news] {
        tokio::time::timeout(Duration::from_secs(10), told.changed()).await.unwrap().unwrap();
    }
    let told = process.store.inbox(process.me).await.unwrap();
    assert_eq!(
        told.iter().map(|row| (row.execution, row.kind)).collect::<Vec<_>>(),
        [(old, MessageKind::Terminated)]
    );
}

pub(super) async fn an_empty_workflow_is_one_commit(lab: Lab) {
    let process = lab.process().await;
    let before = process.store.metrics();
    let new = process.new_execution("order-1");
    let id = new.id;
    let whole = Append { close: Some(closed(ExecutionStatus::Completed)), ..process.create(new) };
    assert!(matches!(process.append(whole).await, Ok(AppendOutcome::Done)));
    assert_eq!(process.store.metrics().commits - before.commits, 1);
    let row = process.row(id).await;
    assert_eq!((row.status, row.owner), (ExecutionStatus::Completed, None));
    assert!(row.closed_at_ms.is_some() && row.result.is_some() && row.input.is_none());
    assert_eq!(process.store.journal(id).await.unwrap().len(), 1);
}

pub(super) async fn a_start_that_closes_at_once_respects_an_open_run(lab: Lab) {
    let process = lab.process().await;
    process.running("taken").await;
    let whole = |name: &str| {
        let close = Some(closed(ExecutionStatus::Completed));
        process.submit(Append { close, ..process.create(process.new_execution(name)) })
    };
    let told = whole("taken").await.unwrap();
    assert!(matches!(told, Ok(AppendOutcome::Duplicate(StartAnswer::Taken(_)))), "{told:?}");
    // In one batch: the statement does not see its own rows.
    let all: Vec<_> = (0..20)
        .flat_map(|i| {
            let name = format!("order-{i}");
            [process.submit(process.create(process.new_execution(&name))), whole(&name)]
        })
        .collect();
    for (i, told) in all.into_iter().enumerate() {
        match (i % 2, told.await.unwrap()) {
            (0, Ok(AppendOutcome::Done)) | (1, Ok(AppendOutcome::Duplicate(StartAnswer::Taken(_)))) => {}
            (_, other) => panic!("{i}: {other:?}"),
        }
    }
}

pub(super) async fn one_taken_id_does_not_hurt_its_batch(lab: Lab) {
    let process = lab.process().await;
    process.running("taken").await;
    let names: Vec<String> = (0..40).map(|i| format!("order-{i}")).chain(["taken".to_owned()]).collect();
    let told: Vec<_> =
        names.iter().map(|name| process.submit(process.create(process.new_execution(name)))).collect();
    for (name, told) in names.iter().zip(told) {
        match told.await.unwrap().unwrap() {
            AppendOutcome::Done => assert_ne!(name, "taken"),
            AppendOutcome::Duplicate(StartAnswer::Taken(_)) => assert_eq!(name, "taken"),
            other => panic!("{name}: {other:?}"),
        }
    }
    let page = process.store.list(Filter::default()).await.unwrap();
    assert_eq!(page.rows.len(), 41);
}

pub(super) async fn names_of_any_text_come_back_as_they_were(lab: Lab) {
    let process = lab.process().await;
    for name in ["a'b\"c\\d", "ö 😀 \n\t", "[1,2]", "null", "%_", "\u{1}"] {
        let id = process.running(name).await;
        assert_eq!(process.row(id).await.workflow_id, name);
        let found = process.store.find(Find::WorkflowId(name.to_owned())).await.unwrap().unwrap();
        assert_eq!(found.id, id);
        let filter = Filter { id_prefix: Some(name.to_owned()), ..Filter::default() };
        assert_eq!(process.store.list(filter).await.unwrap().rows.len(), 1, "{name:?}");
    }
}

pub(super) async fn lists_come_in_pages_newest_first(lab: Lab) {
    let process = lab.process().await;
    let mut made = Vec::new();
    for i in 0..5 {
        made.push(process.running(&format!("order-{i}")).await);
    }
    assert!(matches!(process.append(process.close(made[2], 2)).await, Ok(AppendOutcome::Done)));
    let mut filter = Filter { limit: 2, statuses: vec![ExecutionStatus::Running], ..Filter::default() };
    let mut seen = Vec::new();
    loop {
        let page = process.store.list(filter.clone()).await.unwrap();
        seen.extend(page.rows.iter().map(|row| row.id));
        let Some(next) = page.next else { break };
        filter.after = Some(next);
    }
    assert_eq!(seen, [made[4], made[3], made[1], made[0]]);
}

/// Ids of executions are blocks of their processes, and say nothing about time.
pub(super) async fn lists_are_newest_first_across_processes(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    let mut made = Vec::new();
    for i in 0..6 {
        let process = if i % 2 == 0 { &a } else { &b };
        made.push(process.running(&format!("order-{i}")).await);
    }
    made.reverse();
    assert!(!made.is_sorted_by(|a, b| a > b), "their ids are in another order");
    let (mut filter, mut seen) = (Filter { limit: 4, ..Filter::default() }, Vec::new());
    loop {
        let page = a.store.list(filter.clone()).await.unwrap();
        seen.extend(page.rows.iter().map(|row| row.id));
        let Some(next) = page.next else { break };
        filter.after = Some(next);
    }
    assert_eq!(seen, made);
}

/// What is decided in its first turn already, and kept for its next.
pub(super) async fn a_start_can_send_a_message_to_itself(lab: Lab) {
    let process = lab.process().await;
    let (new, other) = (process.new_execution("order-1"), process.running("order-2").await);
    let id = new.id;
    let messages = vec![process.message(id, "m1"), process.message(other, "m2")];
    let start = Append { messages, ..process.create(new) };
    assert!(matches!(process.append(start).await, Ok(AppendOutcome::Done)));
    for (id, request) in [(id, "m1"), (other, "m2")] {
        let inbox = process.run(id).await.inbox;
        assert_eq!(inbox.iter().map(|row| row.request_id.as_str()).collect::<Vec<_>>(), [request]);
    }
}
