//! Each way in which an attempt begins or ends, and what it changes in the row.

use super::*;
use abide_core::{ActivityOptions, Payload, Runs};
use std::sync::Arc;

const AT: i64 = 1_000;

fn start(attempt: u32, options: &ActivityOptions) -> Action {
    Action::Start(ActivityStart {
        activity: EventId(2),
        attempt,
        name: "charge",
        input: Payload::from_json("[7]".to_owned()).unwrap(),
        options: options.clone(),
        scheduled_at_ms: AT,
        not_before_ms: (attempt > 1).then_some(AT + 500),
        details: None,
    })
}

fn elsewhere() -> ActivityOptions {
    ActivityOptions { task_queue: Some(Arc::from("gpu")), ..ActivityOptions::default() }
}

fn transactional() -> ActivityOptions {
    ActivityOptions { transactional: true, ..ActivityOptions::default() }
}

fn stop(elsewhere: bool, wait: bool, attempt: u32) -> Action {
    let runs = if elsewhere { Runs::Elsewhere } else { Runs::HereTransactional };
    Action::Cancel(Stop { activity: EventId(2), attempt, runs, wait })
}

fn ended(attempt: u32) -> Action {
    Action::Ended { activity: EventId(2), attempt }
}

/// The outcome of an attempt. `decided`: its row was deleted with it.
fn outcome(attempt: u32, decided: bool) -> Pending {
    let input = Input::Attempt { activity: EventId(2), attempt, outcome: AttemptOutcome::Cancelled };
    Pending { decided, ..input.into() }
}

/// The changes in a few words, the number of messages, and the number of remaining actions.
fn check(actions: Vec<Action>, origins: &[Pending], closes: bool, expected: (&[&str], usize, usize)) {
    let shown = format!("{actions:?}");
    let rows = of(ExecutionId(1), actions, origins, closes, AT);
    let words = rows.changes.iter().map(|change| match change {
        TaskChange::Insert(task) => format!("insert {}", task.attempt),
        TaskChange::Replace { of, with } => format!("replace {of} with {}", with.attempt),
        TaskChange::Settle { attempt, .. } => format!("settle {attempt}"),
        TaskChange::Drop(_) => "drop".to_owned(),
        TaskChange::Cancel(_) => "cancel".to_owned(),
    });
    let words: Vec<String> = words.collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    assert_eq!((words.as_slice(), rows.messages.len(), rows.here.len()), expected, "{shown}");
}

#[test]
fn a_plain_activity_has_no_row_and_does_not_begin_in_the_turn_that_gives_it_up() {
    let plain = ActivityOptions::default();
    let cancel = Action::Cancel(Stop { activity: EventId(2), attempt: 1, runs: Runs::Here, wait: false });
    let here = vec![start(1, &plain), cancel, Action::Abandon(EventId(3))];
    check(here, &[], false, (&[], 0, 2));
}

#[test]
fn an_attempt_elsewhere_is_a_row_and_nothing_here() {
    let remote = elsewhere();
    check(vec![start(1, &remote)], &[], false, (&["insert 1"], 0, 0));
    check(vec![start(2, &remote)], &[outcome(1, true)], false, (&["insert 2"], 0, 0));
    check(vec![stop(true, false, 1)], &[], false, (&["drop"], 0, 0));
    check(vec![stop(true, true, 1)], &[], false, (&["cancel"], 0, 0));
    check(vec![Action::Abandon(EventId(2))], &[], false, (&[], 0, 1));
}

#[test]
fn what_begins_and_ends_in_one_turn_never_was() {
    let remote = elsewhere();
    check(vec![start(1, &remote), stop(true, false, 1)], &[], false, (&[], 0, 0));
    check(vec![start(1, &remote), Action::Abandon(EventId(2))], &[], false, (&[], 0, 1));
    // The workflow waits for its end, so there must be one.
    check(vec![start(1, &remote), stop(true, true, 1)], &[], false, (&[], 1, 0));
    check(vec![start(2, &remote), stop(true, true, 2)], &[outcome(1, true)], false, (&[], 1, 0));
    let ours = transactional();
    check(vec![start(1, &ours), stop(false, false, 1)], &[], false, (&[], 0, 1));
    check(vec![start(1, &ours), Action::Abandon(EventId(2))], &[], false, (&[], 0, 1));
    // It is settled when its end, which is created here, is taken in.
    check(vec![start(1, &ours), stop(false, true, 1)], &[], false, (&["insert 1"], 0, 2));
}

#[test]
fn the_owner_decides_what_nobody_has_decided() {
    let ours = transactional();
    check(vec![start(1, &ours)], &[], false, (&["insert 1"], 0, 1));
    check(vec![start(2, &ours)], &[outcome(1, false)], false, (&["replace 1 with 2"], 0, 1));
    check(vec![start(2, &ours)], &[], false, (&["replace 1 with 2"], 0, 1));
    check(vec![start(2, &ours)], &[outcome(1, true)], false, (&["insert 2"], 0, 1));
    check(vec![ended(1)], &[outcome(1, false)], false, (&["settle 1"], 0, 0));
    check(vec![ended(1)], &[outcome(1, true), outcome(1, false)], false, (&[], 0, 0));
    check(vec![ended(2)], &[outcome(1, true)], false, (&["settle 2"], 0, 0));
    check(vec![stop(false, false, 1)], &[], false, (&["drop"], 0, 1));
    check(vec![stop(false, true, 1)], &[], false, (&[], 0, 1));
    // The decision about the first attempt stands, whatever happens to the second.
    check(vec![start(2, &ours), stop(false, false, 2)], &[], false, (&["settle 1"], 0, 1));
    check(vec![start(2, &ours), Action::Abandon(EventId(2))], &[], false, (&["settle 1"], 0, 1));
}

/// A row that only keeps heartbeats goes the way of a transactional attempt's, and each attempt brings what is known.
#[test]
fn a_row_of_heartbeats_comes_goes_and_is_replaced_with_its_attempt() {
    let beats = ActivityOptions { keeps_heartbeats: true, ..ActivityOptions::default() };
    check(vec![start(1, &beats)], &[], false, (&["insert 1"], 0, 1));
    check(vec![start(2, &beats)], &[outcome(1, false)], false, (&["replace 1 with 2"], 0, 1));
    check(vec![ended(2)], &[outcome(2, false)], false, (&["settle 2"], 0, 0));
    let Action::Start(start) = start(2, &beats) else { unreachable!() };
    let start = ActivityStart { details: Some(Payload::encode(&[7]).unwrap()), ..start };
    assert_eq!(new_task(&start).details.as_deref(), Some("[7]"));
}

#[test]
fn a_close_leaves_decisions_only() {
    let (remote, ours) = (elsewhere(), transactional());
    check(vec![start(1, &remote)], &[], true, (&[], 0, 0));
    check(vec![stop(true, false, 1)], &[], true, (&[], 0, 0));
    check(vec![start(2, &ours)], &[], true, (&["settle 1"], 0, 1));
    check(vec![ended(1)], &[outcome(1, false)], true, (&["settle 1"], 0, 0));
}

#[test]
fn the_row_says_what_its_runner_must_know() {
    let second = Duration::from_secs(1);
    let limits = ActivityOptions {
        start_to_close: Some(second),
        schedule_to_start: Some(second * 2),
        schedule_to_close: Some(second * 3),
        ..elsewhere()
    };
    let row = |attempt, options: &ActivityOptions| match start(attempt, options) {
        Action::Start(start) => new_task(&start),
        _ => unreachable!(),
    };
    let task = row(2, &limits);
    assert_eq!(
        (task.name.as_str(), task.input.as_str(), task.queue.as_deref()),
        ("charge", "[7]", Some("gpu"))
    );
    assert_eq!(task.limits, r#"{"start_to_close_ms":1000}"#);
    let times = (task.run_at_ms, task.start_by_ms, task.close_by_ms);
    assert_eq!(times, (AT + 500, Some(AT + 2_500), Some(AT + 3_000)));
    let endless = ActivityOptions { schedule_to_close: Some(Duration::MAX), ..elsewhere() };
    assert_eq!((row(1, &endless).close_by_ms, row(1, &endless).limits.as_str()), (None, "{}"));
    let here = row(1, &ActivityOptions { task_queue: None, transactional: true, ..limits });
    assert_eq!((here.queue, here.input.as_str(), here.start_by_ms, here.close_by_ms), (None, "", None, None));
}
