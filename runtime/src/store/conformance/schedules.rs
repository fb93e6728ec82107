//! Schedules: passes, reports, and what is asked of one.

use super::*;
use abide_core::schedule::{Input, Interval, Overlap, Policy, Spec, State};
use abide_core::{Payload, StartContext};
use std::collections::BTreeSet;

pub(in crate::store) fn keys(process: &Process) -> RunKeys {
    let store = Arc::clone(&process.store);
    Arc::new(move |_| (store.execution_id(), uuid::Uuid::now_v7().to_string()))
}

/// A schedule with a slot each `every_ms`.
pub(in crate::store) fn parts(every_ms: u64, overlap: Overlap) -> ScheduleParts {
    ScheduleParts {
        spec: Spec { every: vec![Interval { every_ms, offset_ms: 0 }], ..Spec::default() },
        policy: Policy { overlap, ..Policy::default() },
        action: Action {
            workflow_type: "Order".to_owned(),
            queue: "q".to_owned(),
            prefix: "s".to_owned(),
            input: Payload::from_json("[1]".to_owned()).unwrap(),
            delay_ms: None,
            execution_timeout_ms: None,
            context: StartContext::default(),
        },
        note: None,
        remaining: None,
    }
}

const DAY: u64 = 24 * 60 * 60 * 1_000;

async fn ask(process: &Process, id: &str, request_id: &str, what: AskedOf) -> ScheduleAnswer {
    let ask = ScheduleAsk { id: id.to_owned(), request_id: request_id.to_owned(), what };
    process.store.ask_schedule(ask, keys(process)).await.unwrap()
}

pub(in crate::store) async fn create(process: &Process, id: &str, new: ScheduleParts) {
    let number = -process.store.execution_id().0;
    let what = AskedOf::Create { number, new: Box::new(new), paused: false };
    let request_id = format!("create {number}");
    assert_eq!(ask(process, id, &request_id, what).await, ScheduleAnswer::Done(None));
}

pub(in crate::store) async fn trigger(process: &Process, id: &str, request_id: &str) -> StartedRun {
    let input = Input::Trigger { request_id: request_id.to_owned(), overlap: Some(Overlap::AllowAll) };
    match ask(process, id, request_id, AskedOf::Tell(input)).await {
        ScheduleAnswer::Done(Some(run)) => run,
        answer => panic!("{answer:?}"),
    }
}

pub(in crate::store) async fn step(process: &Process) -> Stepped {
    process.store.step_schedules(keys(process)).await.unwrap()
}

pub(in crate::store) async fn row_of(process: &Process, id: &str) -> ScheduleRow {
    process.store.schedule(id.to_owned()).await.unwrap().unwrap()
}

async fn state(process: &Process, id: &str) -> State {
    serde_json::from_str(&row_of(process, id).await.state).unwrap()
}

/// Waits until the schedule is due.
pub(in crate::store) async fn due(process: &Process, id: &str) {
    let at_ms = row_of(process, id).await.next_at_ms.unwrap();
    let wait = u64::try_from(at_ms - process.store.now_ms()).unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(wait + 5)).await;
}

async fn runs(process: &Process) -> Vec<ExecutionRow> {
    process.store.list(Filter { limit: 1_000, ..Filter::default() }).await.unwrap().rows
}

/// Claims the run and closes it. Its schedule has the report.
async fn close(process: &Process, id: ExecutionId, kind: CloseKind) -> Append {
    while process.row(id).await.owner != Some(process.me) {
        process.claim().await;
    }
    let rev = Some(process.row(id).await.rev);
    let report = Some("null".to_owned());
    let closed = Close { kind, ..closed(ExecutionStatus::Completed) };
    Append { close: Some(closed), rev, report, scheduled: true, ..process.turn(id, 1, 1) }
}

pub(super) async fn a_slot_is_started_once_whoever_passes(lab: Lab) {
    let (a, b) = (lab.process().await, lab.process().await);
    create(&a, "s", parts(1_000, Overlap::AllowAll)).await;
    due(&a, "s").await;
    tokio::join!(step(&a), step(&b), step(&a), step(&b));
    let started = runs(&a).await;
    let counted = state(&a, "s").await.counts.started;
    let slots: BTreeSet<i64> = started.iter().map(|run| run.scheduled.unwrap().slot_ms).collect();
    assert!(!started.is_empty() && slots.len() == started.len() && counted == slots.len() as u64);
    let first = started.last().unwrap();
    assert_eq!((first.owner, first.status, first.queue.as_str()), (None, ExecutionStatus::Running, "q"));
    assert_eq!(first.scheduled.unwrap().number, row_of(&a, "s").await.number);
    assert!(
        first.workflow_id.starts_with("s-20") && first.wake_at_ms.is_some_and(|at| at <= a.store.now_ms())
    );
    assert!(first.context.as_ref().unwrap().contains("scheduled_at_ms"), "{:?}", first.context);
    let claimed = a.claim().await;
    assert!(ids(&claimed).contains(&first.id), "any worker may claim it");
}

pub(super) async fn nothing_due_writes_nothing(lab: Lab) {
    let a = lab.process().await;
    assert_eq!(step(&a).await, Stepped::default());
    create(&a, "s", parts(DAY, Overlap::Skip)).await;
    let commits = a.store.metrics().commits;
    for _ in 0..5 {
        assert_eq!(step(&a).await.schedules, 0);
    }
    assert_eq!(a.store.metrics().commits, commits);
}

pub(super) async fn a_pass_is_one_commit_for_a_hundred_schedules(lab: Lab) {
    let a = lab.process().await;
    for nth in 0..120 {
        // All have one prefix, so that one run is started for each slot: the pass counts here, not the starts.
        create(&a, &format!("s{nth}"), parts(3_000, Overlap::Skip)).await;
    }
    let last = row_of(&a, "s119").await.next_at_ms.unwrap();
    tokio::time::sleep(Duration::from_millis((last - a.store.now_ms()).max(0).unsigned_abs() + 50)).await;
    let commits = a.store.metrics().commits;
    let first = step(&a).await;
    assert_eq!((first.schedules, a.store.metrics().commits - commits), (100, 1));
    assert!(step(&a).await.schedules >= 20);
    for id in ["s0", "s119"] {
        assert!(row_of(&a, id).await.next_at_ms > Some(last), "{id} has moved on");
    }
}

pub(super) async fn the_end_of_a_chain_is_reported_once(lab: Lab) {
    let a = lab.process().await;
    create(&a, "s", parts(DAY, Overlap::Skip)).await;
    let mut news = a.store.schedule_news();
    let [first, second] = [trigger(&a, "s", "r1").await, trigger(&a, "s", "r2").await];
    assert_eq!(state(&a, "s").await.overlapping, 2);
    assert_eq!(step(&a).await.schedules, 0, "nothing has come");
    news.mark_unchanged();
    let append = close(&a, first.execution, CloseKind::Drained).await;
    assert!(matches!(a.append(append).await, Ok(AppendOutcome::Done)));
    tokio::time::timeout(Duration::from_secs(5), news.changed()).await.unwrap().unwrap();
    assert_eq!(step(&a).await.schedules, 1);
    assert_eq!(step(&a).await.schedules, 0, "it is taken in");
    let known = state(&a, "s").await;
    assert_eq!((known.overlapping, known.last.unwrap().workflow_id), (1, first.workflow_id));
    // From outside, in place of an owner.
    news.mark_unchanged();
    let event = r#"{"terminated":{"reason":"enough"}}"#.to_owned();
    a.store.terminate(second.execution, "t".to_owned(), event).await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), news.changed()).await.unwrap().unwrap();
    assert_eq!(step(&a).await.schedules, 1);
    assert_eq!(state(&a, "s").await.overlapping, 0);
}

pub(super) async fn a_run_that_goes_on_is_not_at_its_end(lab: Lab) {
    let a = lab.process().await;
    create(&a, "s", parts(DAY, Overlap::Skip)).await;
    let run = trigger(&a, "s", "r1").await;
    let next = a.store.execution_id();
    let append = close(&a, run.execution, CloseKind::HandedOn).await;
    let successor = Successor {
        id: next,
        workflow_id: run.workflow_id.clone(),
        run_id: uuid::Uuid::now_v7().to_string(),
        owned: false,
        ..crate::store::successor::tests::successor(0)
    };
    let append = Append { successor: Some(Box::new(successor)), ..append };
    assert!(matches!(a.append(append).await, Ok(AppendOutcome::Done)));
    assert_eq!(step(&a).await.schedules, 0);
    let inherited = a.row(next).await.scheduled;
    assert_eq!(inherited.map(|scheduled| scheduled.number), Some(row_of(&a, "s").await.number));
    let append = close(&a, next, CloseKind::Discarded).await;
    assert!(matches!(a.append(append).await, Ok(AppendOutcome::Done)));
    assert_eq!(step(&a).await.schedules, 1);
    assert_eq!(state(&a, "s").await.overlapping, 0);
}

pub(super) async fn a_taken_id_is_a_failed_start(lab: Lab) {
    let a = lab.process().await;
    create(&a, "s", parts(1_000, Overlap::AllowAll)).await;
    let slot_ms = row_of(&a, "s").await.next_at_ms.unwrap();
    let slot = jiff::Timestamp::from_millisecond(slot_ms).unwrap();
    let taken = a.new_execution(&format!("s-{slot}"));
    a.store.start(taken).await.unwrap();
    due(&a, "s").await;
    step(&a).await;
    let known = state(&a, "s").await;
    assert_eq!((known.counts.failed, known.recent[0].slot_ms), (1, slot_ms));
    assert!(known.recent[0].refused.is_some());
    assert!(runs(&a).await.iter().filter(|run| run.workflow_id == format!("s-{slot}")).count() == 1);
}

pub(super) async fn an_open_run_is_told_to_end(lab: Lab) {
    for (overlap, kind) in
        [(Overlap::CancelOther, MessageKind::Cancel), (Overlap::TerminateOther, MessageKind::Terminate)]
    {
        let lab = lab.another();
        let a = lab.process().await;
        create(&a, "s", parts(1_000, overlap)).await;
        due(&a, "s").await;
        step(&a).await;
        let run = runs(&a).await[0].id;
        due(&a, "s").await;
        step(&a).await;
        let inbox = a.run(run).await.inbox;
        assert_eq!(inbox.iter().map(|row| row.kind).collect::<Vec<_>>(), [kind], "{overlap:?}");
        due(&a, "s").await;
        step(&a).await;
        assert_eq!((a.run(run).await.inbox.len(), runs(&a).await.len()), (1, 1), "it is told once");
    }
}

pub(super) async fn a_request_is_done_once(lab: Lab) {
    let a = lab.process().await;
    create(&a, "s", parts(DAY, Overlap::Skip)).await;
    let first = trigger(&a, "s", "r1").await;
    assert_eq!(trigger(&a, "s", "r1").await, first);
    assert_ne!(trigger(&a, "s", "r2").await, first);
    assert_eq!(runs(&a).await.len(), 2);
    // Its creation, too, which is else refused.
    let number = -a.store.execution_id().0;
    let again = |request: &str| {
        let what = AskedOf::Create { number, new: Box::new(parts(DAY, Overlap::Skip)), paused: false };
        let request = request.to_owned();
        let a = &a;
        async move { ask(a, "t", &request, what).await }
    };
    assert_eq!(again("one").await, ScheduleAnswer::Done(None));
    assert_eq!(again("one").await, ScheduleAnswer::Done(None));
    assert_eq!(again("other").await, ScheduleAnswer::Exists);
    assert_eq!(ask(&a, "s", "d", AskedOf::Delete).await, ScheduleAnswer::Done(None));
    assert_eq!(ask(&a, "s", "d", AskedOf::Delete).await, ScheduleAnswer::Done(None));
    assert_eq!(ask(&a, "s", "e", AskedOf::Delete).await, ScheduleAnswer::NoSuchSchedule);
}

pub(super) async fn a_change_is_of_one_version(lab: Lab) {
    let a = lab.process().await;
    create(&a, "s", parts(DAY, Overlap::Skip)).await;
    let change = |every_ms| Box::new(parts(every_ms, Overlap::Skip));
    let answer = ask(&a, "s", "1", AskedOf::Change { version: 1, new: change(2_000) }).await;
    assert_eq!(answer, ScheduleAnswer::Done(None));
    let answer = ask(&a, "s", "2", AskedOf::Change { version: 1, new: change(5_000) }).await;
    assert_eq!(answer, ScheduleAnswer::Changed);
    let row = row_of(&a, "s").await;
    assert!(row.version == 2 && row.spec.contains("2000"), "{row:?}");
    assert!(row.next_at_ms.unwrap() <= a.store.now_ms() + 2_000);
    let endless = ScheduleParts { spec: Spec::default(), ..parts(1, Overlap::Skip) };
    let never = AskedOf::Change { version: 2, new: Box::new(endless) };
    assert!(matches!(ask(&a, "s", "3", never).await, ScheduleAnswer::Refused(why) if why.contains("AB0425")));
    assert_eq!(row_of(&a, "s").await, row);
}

pub(super) async fn a_deleted_schedule_leaves_its_runs_and_no_report(lab: Lab) {
    let a = lab.process().await;
    create(&a, "s", parts(DAY, Overlap::Skip)).await;
    let number = ExecutionId(row_of(&a, "s").await.number);
    let [first, second] = [trigger(&a, "s", "r1").await, trigger(&a, "s", "r2").await];
    let append = close(&a, first.execution, CloseKind::Drained).await;
    assert!(matches!(a.append(append).await, Ok(AppendOutcome::Done)));
    assert_eq!(ask(&a, "s", "d", AskedOf::Delete).await, ScheduleAnswer::Done(None));
    assert!(a.store.schedule("s".to_owned()).await.unwrap().is_none());
    let append = close(&a, second.execution, CloseKind::Drained).await;
    assert!(matches!(a.append(append).await, Ok(AppendOutcome::Done)), "its runs go on");
    create(&a, "s", parts(DAY, Overlap::Skip)).await;
    assert_ne!(row_of(&a, "s").await.number, number.0, "a late report finds no other schedule");
    assert_eq!((step(&a).await.schedules, state(&a, "s").await), (0, State::default()));
    assert_eq!(a.store.sweep().await.unwrap(), 0);
}

pub(super) async fn schedules_are_listed_by_their_names(lab: Lab) {
    let a = lab.process().await;
    for id in ["b", "ä", "a", "c"] {
        create(&a, id, parts(DAY, Overlap::Skip)).await;
    }
    let page = async |after: Option<&str>, limit| {
        let rows = a.store.schedules(after.map(str::to_owned), limit).await.unwrap();
        rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 10).await, ["a", "b", "c", "ä"]);
    assert_eq!(page(None, 2).await, ["a", "b"]);
    assert_eq!(page(Some("b"), 2).await, ["c", "ä"]);
    assert_eq!(page(Some("ä"), 2).await, [""; 0]);
}

pub(super) async fn an_answer_that_is_lost_starts_one_run(lab: Lab) {
    let (a, armed) = faults::process(&lab, &[]).await;
    create(&a, "s", parts(DAY, Overlap::Skip)).await;
    armed.lock().unwrap().push_back((Stage::AfterCommit, Fault::Lost));
    let input = Input::Trigger { request_id: "r".to_owned(), overlap: Some(Overlap::AllowAll) };
    let ask = ScheduleAsk { id: "s".to_owned(), request_id: "r".to_owned(), what: AskedOf::Tell(input) };
    let lost = a.store.ask_schedule(ask.clone(), keys(&a)).await;
    assert!(lost.is_err(), "{lost:?}");
    let answer = a.store.ask_schedule(ask, keys(&a)).await.unwrap();
    let ScheduleAnswer::Done(Some(run)) = answer else { panic!("{answer:?}") };
    assert_eq!(runs(&a).await.iter().map(|run| run.id).collect::<Vec<_>>(), [run.execution]);
}
