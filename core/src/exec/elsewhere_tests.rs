//! An attempt elsewhere is not one of its owner's running attempts. The actions of a turn belong to the
//! events that stay in it, also if the turn is halted, and if a replay goes on beyond its history.

use super::*;
use crate::def::{ActivityDef, SignalFn, WorkflowDef};
use crate::event::Event;
use crate::failure::{FailureKind, FailureRecord};
use crate::outcome::Sel;
use crate::payload::Payload;
use crate::policy::Runs;
use crate::policy::{ActivityOptions, CancellationType};
use crate::primitive::activity::ActivityCall;
use crate::state::Slot;
use std::sync::Arc;
use std::time::Duration;

#[path = "heartbeat_tests.rs"]
mod heartbeats;

/// An activity with the options of this thread's test.
struct Step;

thread_local! {
    static OPTIONS: RefCell<ActivityOptions> = RefCell::default();
}

impl ActivityDef for Step {
    const NAME: &'static str = "step";
    type Host = ();
    type Args = ();
    type Returned = u32;
    type Outcome = Sel<u32, false>;

    fn options() -> ActivityOptions {
        OPTIONS.with_borrow(Clone::clone)
    }

    async fn call((): &(), (): ()) -> u32 {
        7
    }
}

/// Calls the activity twice, one call after the other. Signal `bad` panics.
struct Twice;

impl WorkflowDef for Twice {
    const NAME: &'static str = "twice";
    type State = ();
    type Args = ();
    type Returned = u32;
    type Outcome = Sel<u32, false>;

    fn init() {}

    async fn run(_: Slot<()>, (): ()) -> u32 {
        let first = ActivityCall::<Step>::new(()).await;
        first.unwrap_or(0) + ActivityCall::<Step>::new(()).await.unwrap_or(0)
    }

    fn signal(name: &str) -> Option<SignalFn<()>> {
        (name == "bad").then_some(SignalFn::Sync(|(), _| panic!("bad")))
    }
}

fn elsewhere() -> ActivityOptions {
    ActivityOptions { task_queue: Some(Arc::from("gpu")), ..ActivityOptions::default() }
}

fn new(options: ActivityOptions) -> Execution {
    OPTIONS.set(options);
    let info = Info::new("w".to_owned(), "r".to_owned(), "twice".to_owned(), "q".to_owned());
    Execution::new(&WorkflowType::of::<Twice>(), info, Rc::new(|_: &str| true))
}

fn started(options: ActivityOptions) -> (Execution, Turn) {
    let mut exec = new(options);
    let turn = exec.turn(
        vec![Input::Start { input: Payload::encode(&()).unwrap(), seed: 1, context: Box::default() }],
        1_000,
    );
    (exec, turn)
}

fn attempt(activity: u64, attempt: u32, outcome: AttemptOutcome) -> Input {
    Input::Attempt { activity: EventId(activity), attempt, outcome }
}

fn failed(kind: FailureKind) -> AttemptOutcome {
    let failure = FailureRecord::new(kind, "no");
    AttemptOutcome::Failed {
        failure,
        retryable: true,
        retry_after: Some(Duration::from_millis(50)),
        details: None,
    }
}

fn done() -> AttemptOutcome {
    AttemptOutcome::Completed(Payload::encode(&7).unwrap())
}

/// Prints actions in short: kind, activity, attempt.
fn words(turn: &Turn) -> Vec<String> {
    let word = |action: &Action| match action {
        Action::Start(start) => format!("start {} {}", start.activity, start.attempt),
        Action::Cancel(stop) => format!("cancel {} {}", stop.activity, stop.attempt),
        Action::Abandon(activity) => format!("abandon {activity}"),
        Action::Ended { activity, attempt } => format!("ended {activity} {attempt}"),
    };
    turn.actions.iter().map(word).collect()
}

#[test]
fn one_elsewhere_is_none_of_the_owners() {
    for (options, here) in [(ActivityOptions::default(), true), (elsewhere(), false)] {
        let (mut exec, first) = started(options);
        assert_eq!(words(&first), ["start 2 1"], "whoever starts it");
        assert_eq!((exec.has_activities(), exec.any_due(1_000)), (here, here));
        assert_eq!(exec.outstanding().len(), usize::from(here));
        // The owner dies. The activity has lost an attempt only if it ran in the owner.
        let turn = exec.turn(vec![Input::Recovered { running: vec![], retried_ms: 1_000 }], 2_000);
        let lost = if here { vec![EventId(2)] } else { vec![] };
        assert_eq!(turn.events[0], Event::Recovered { lost });
        assert_eq!(exec.lost_in_a_row(), u32::from(here));
        // The owner does not handle its back-off either.
        let (mut exec, _) = started(OPTIONS.with_borrow(Clone::clone));
        let turn = exec.turn(vec![attempt(2, 1, failed(FailureKind::WorkerLost))], 2_000);
        assert_eq!(words(&turn), ["start 2 2"]);
        assert_eq!(exec.next_retry_ms(0), here.then_some(2_050));
        assert_eq!(exec.lost_in_a_row(), u32::from(here));
    }
}

/// What is recorded is where a later build looks for it, also if it is not completed later there.
#[test]
fn one_that_is_completed_later_is_a_task_of_the_workflows_queue_unless_it_names_one() {
    let later =
        |task_queue| ActivityOptions { complete_later: true, task_queue, ..ActivityOptions::default() };
    for (named, queue) in [(None, "q"), (Some(Arc::from("gpu")), "gpu")] {
        let (_, turn) = started(later(named));
        let Some(Event::ActivityScheduled { task_queue, .. }) = turn.events.last() else {
            panic!("{turn:?}")
        };
        assert_eq!(task_queue.as_deref(), Some(queue));
        let [Action::Start(start)] = &turn.actions[..] else { panic!("{turn:?}") };
        assert_eq!(
            (start.options.runs(), start.options.task_queue.as_deref()),
            (Runs::Elsewhere, Some(queue))
        );
        let mut loaded = new(ActivityOptions::default());
        loaded.replay(rows(&[&turn]));
        assert!(loaded.outstanding().is_empty(), "its attempt is not the owner's");
    }
    let (mut here, first) = started(ActivityOptions::default());
    assert_eq!(here.outstanding().len(), 1);
    here = new(later(None));
    here.replay(rows(&[&first]));
    assert_eq!(here.outstanding().len(), 1, "recorded before the word was there, it stays the owner's");
}

#[test]
fn one_elsewhere_that_is_to_stop_is_waited_for_and_not_declared_stopped() {
    for here in [true, false] {
        let options = if here { ActivityOptions::default() } else { elsewhere() };
        let wait = CancellationType::WaitCancellationCompleted;
        let (mut exec, _) = started(ActivityOptions { cancellation: wait, ..options });
        let cancel = Input::Cancel { request_id: "c".to_owned(), reason: "enough".to_owned() };
        let turn = exec.turn(vec![cancel], 2_000);
        assert_eq!((words(&turn), turn.standing), (vec!["cancel 2 1".to_owned()], Standing::Open));
        assert_eq!(exec.cancelling().len(), usize::from(here));
        let turn = exec.turn(vec![attempt(2, 1, failed(FailureKind::Application))], 3_000);
        assert_eq!(turn.standing, Standing::Closed, "asked to stop, it is not tried again");
    }
}

#[test]
fn whoever_arbitrates_is_told_of_an_end_once() {
    let ours = ActivityOptions { transactional: true, ..ActivityOptions::default() };
    for (options, told) in [
        (ours, &["ended 2 1", "start 4 1"][..]),
        (elsewhere(), &["start 4 1"]),
        (ActivityOptions::default(), &["start 4 1"]),
    ] {
        let (mut exec, _) = started(options);
        let turn = exec.turn(vec![attempt(2, 1, done()), attempt(2, 1, done())], 2_000);
        assert_eq!(words(&turn), told);
    }
}

#[test]
fn one_that_takes_its_workers_down_elsewhere_waits_longer_and_longer() {
    let (mut exec, _) = started(elsewhere());
    let mut waits = Vec::new();
    for n in 1..=4 {
        let turn = exec.turn(vec![attempt(2, n, failed(FailureKind::WorkerLost))], 2_000);
        let Some(AttemptChange::Failed(failed)) = turn.attempts.first() else { panic!("{turn:?}") };
        assert_eq!((turn.events.len(), failed.attempt, failed.lost), (0, n, n));
        waits.push(failed.next_at_ms - 2_000);
    }
    assert_eq!(waits, [50, 2_000, 4_000, 8_000], "the first is tried again when it asks to be");
}

#[test]
fn a_halted_turn_keeps_the_actions_of_the_events_that_it_keeps() {
    let bad = || Input::Signal { name: "bad".to_owned(), input: Payload::null(), request_id: "s".to_owned() };
    // A command that an earlier input led to, and a retry.
    for (outcome, kept) in [(done(), "start 4 1"), (failed(FailureKind::Application), "start 2 2")] {
        let (mut exec, _) = started(elsewhere());
        let turn = exec.turn(vec![attempt(2, 1, outcome), bad()], 2_000);
        assert!(matches!(turn.standing, Standing::Suspended(_)));
        assert_eq!(words(&turn), [kept], "{:?}", turn.events);
    }
    let (mut exec, _) = started(elsewhere());
    let turn = exec.turn(vec![bad(), attempt(2, 1, done())], 2_000);
    assert_eq!(
        (words(&turn).len(), turn.undelivered.len()),
        (0, 1),
        "neither the event nor what it leads to"
    );
}

#[test]
fn a_replay_starts_what_its_history_does_not_have() {
    let (mut exec, first) = started(elsewhere());
    let second = exec.turn(vec![attempt(2, 1, done())], 2_000);
    let row = |turn: &Turn, events: &[Event]| JournalRow {
        seq: turn.seq,
        at_ms: turn.at_ms,
        events: events.to_vec(),
    };
    let whole = vec![row(&first, &first.events), row(&second, &second.events)];
    let mut replayed = new(elsewhere());
    assert_eq!(replayed.replay(whole), Standing::Open);
    assert_eq!(words(&replayed.turn(vec![], 3_000)), [""; 0], "all of it was sent");
    // The code of that time recorded only the completion and was suspended there.
    let cut = vec![row(&first, &first.events), row(&second, &second.events[..1])];
    let mut replayed = new(elsewhere());
    assert_eq!(replayed.replay(cut), Standing::Open);
    assert!(replayed.has_more());
    assert_eq!(words(&replayed.turn(vec![], 3_000)), ["start 4 1"]);
    // An attempt that was never started cannot be lost.
    let cut = vec![row(&first, &first.events), row(&second, &second.events[..1])];
    let mut replayed = new(ActivityOptions::default());
    replayed.replay(cut);
    let turn = replayed.turn(vec![Input::Recovered { running: vec![], retried_ms: 3_000 }], 3_000);
    assert_eq!(turn.events[1..], [Event::Recovered { lost: vec![] }]);
}

#[test]
fn a_replay_keeps_to_where_it_was_sent() {
    let (_, first) = started(elsewhere());
    let rows = || vec![JournalRow { seq: first.seq, at_ms: first.at_ms, events: first.events.clone() }];
    let mut replayed = new(ActivityOptions::default());
    assert_eq!(replayed.replay(rows()), Standing::Open);
    assert!(!replayed.has_activities(), "it is elsewhere, whatever its attribute says now");
    let text = serde_json::to_string(&first.events[1]).unwrap();
    assert_eq!(text, r#"{"activity_scheduled":{"name":"step","input":null,"task_queue":"gpu"}}"#);
    let old: Event = serde_json::from_str(r#"{"activity_scheduled":{"name":"step","input":null}}"#).unwrap();
    let old = JournalRow { seq: first.seq, at_ms: 1, events: vec![first.events[0].clone(), old] };
    let mut replayed = new(elsewhere());
    assert_eq!(replayed.replay(vec![old]), Standing::Open);
    assert!(replayed.has_activities(), "it is here");
}

#[test]
fn a_queue_without_a_name_is_told_at_the_call() {
    let queue =
        |name: String| ActivityOptions { task_queue: Some(name.into()), ..ActivityOptions::default() };
    assert!(queue("ä".repeat(1_000)).check("step").is_ok());
    for bad in [String::new(), "x".repeat(1_001)] {
        assert!(queue(bad).check("step").unwrap_err().starts_with("AB0610: "));
    }
}

fn rows(turns: &[&Turn]) -> Vec<JournalRow> {
    let row = |turn: &&Turn| JournalRow { seq: turn.seq, at_ms: turn.at_ms, events: turn.events.clone() };
    turns.iter().filter(|turn| !turn.events.is_empty()).map(row).collect()
}

fn kept(turn: &Turn) -> FailedAttempt {
    match &turn.attempts[..] {
        [AttemptChange::Failed(failed)] => failed.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn retries_leave_the_history_as_it_is() {
    let (mut exec, first) = started(ActivityOptions::default());
    let mut last = None;
    for n in 1..=60_000 {
        let now_ms = 1_000 + i64::from(n) * 100;
        let turn = exec.turn(vec![attempt(2, n, failed(FailureKind::Application))], now_ms);
        assert_eq!((turn.events.len(), &turn.standing), (0, &Standing::Open));
        last = Some(kept(&turn));
    }
    assert_eq!(exec.history_len(), 2);
    let last = last.unwrap();
    assert_eq!((last.activity, last.attempt, last.next_at_ms), (EventId(2), 60_000, 6_001_050));
    // A load brings it back.
    let mut replayed = new(ActivityOptions::default());
    replayed.resume_attempts(vec![last]);
    assert_eq!(replayed.replay(rows(&[&first])), Standing::Open);
    let starts = replayed.outstanding();
    assert_eq!((starts[0].attempt, starts[0].not_before_ms), (60_001, Some(6_001_050)));
    for mut exec in [exec, replayed] {
        let turn = exec.turn(vec![attempt(2, 60_001, done())], 7_000_000);
        assert_eq!(turn.attempts, [AttemptChange::Gone(EventId(2))], "its end takes it out");
        assert_eq!(turn.events.len(), 2);
    }
}

#[test]
fn attempts_of_what_is_given_up_are_kept_while_it_is_waited_for() {
    let cancel = || Input::Cancel { request_id: "c".to_owned(), reason: "enough".to_owned() };
    let (mut exec, first) =
        started(ActivityOptions { cancellation: CancellationType::WaitCancellationCompleted, ..elsewhere() });
    let second = exec.turn(vec![attempt(2, 1, failed(FailureKind::Panicked))], 2_000);
    let third = exec.turn(vec![cancel()], 3_000);
    assert_eq!((words(&third), &third.attempts[..]), (vec!["cancel 2 2".to_owned()], &[][..]));
    let mut replayed = new(OPTIONS.with_borrow(Clone::clone));
    replayed.resume_attempts(vec![kept(&second)]);
    assert_eq!(replayed.replay(rows(&[&first, &second, &third])), Standing::Open);
    let turn = replayed.turn(vec![attempt(2, 2, AttemptOutcome::Cancelled)], 4_000);
    assert_eq!((turn.standing, turn.attempts), (Standing::Closed, vec![]), "it knows which attempt it was");
    // A turn deletes the stored attempt of an activity it gives up, also if a replay goes on beyond its
    // history.
    let race = |exec: &mut Execution| exec.turn(vec![cancel()], 3_000).attempts;
    let (mut exec, first) = started(elsewhere());
    let second = exec.turn(vec![attempt(2, 1, failed(FailureKind::Panicked))], 2_000);
    assert_eq!(race(&mut exec), [], "it closes");
    let mut replayed = new(elsewhere());
    replayed.resume_attempts(vec![kept(&second)]);
    let asked = Event::CancelRequested { request_id: "c".to_owned(), reason: "enough".to_owned() };
    let asked = JournalRow { seq: EventId(3), at_ms: 3_000, events: vec![asked] };
    replayed.replay(rows(&[&first]).into_iter().chain([asked]).collect());
    assert_eq!(words(&replayed.turn(vec![], 4_000)), ["cancel 2 2"], "the attempt that runs, not the first");
}

#[test]
fn histories_that_hold_failed_attempts_replay() {
    let (_, first) = started(ActivityOptions::default());
    let failure = FailureRecord::new(FailureKind::WorkerLost, "gone");
    let old = |attempt| Event::AttemptFailed {
        activity: EventId(2),
        attempt,
        failure: failure.clone(),
        next_at_ms: 2_000,
    };
    let old = JournalRow { seq: EventId(3), at_ms: 2_000, events: vec![old(1), old(2)] };
    let whole = || rows(&[&first]).into_iter().chain([old.clone()]).collect::<Vec<_>>();
    let mut replayed = new(ActivityOptions::default());
    assert_eq!(replayed.replay(whole()), Standing::Open);
    assert_eq!((replayed.outstanding()[0].attempt, replayed.lost_in_a_row()), (3, 2));
    let turn = replayed.turn(vec![attempt(2, 3, failed(FailureKind::WorkerLost))], 3_000);
    let younger = kept(&turn);
    assert_eq!((younger.attempt, younger.lost, replayed.history_len()), (3, 3, 4));
    let mut replayed = new(ActivityOptions::default());
    replayed.resume_attempts(vec![younger]);
    replayed.replay(whole());
    assert_eq!((replayed.outstanding()[0].attempt, replayed.lost_in_a_row()), (4, 3));
}

/// The limit also counts inputs that wake no task. An execution at the limit can be read and cancelled.
#[test]
fn at_its_limit_it_can_be_read_and_cancelled_and_nothing_else() {
    let (mut exec, first) = started(ActivityOptions::default());
    let note = |n: u64| Input::Signal {
        name: "gone".to_owned(),
        input: Payload::null(),
        request_id: format!("{n}"),
    };
    let cancel = |n: u64| Input::Cancel { request_id: format!("c{n}"), reason: "enough".to_owned() };
    let lost = |n: u64| Input::Recovered { running: vec![], retried_ms: n as i64 };
    // A take-over is an input that wakes no task.
    let turn = exec.turn((0..60_000).map(lost).collect(), 2_000);
    assert_eq!((exec.history_len(), turn.undelivered.len() as u64), (51_200, 60_000 - 51_198));
    assert!(matches!(&turn.standing, Standing::Suspended(reason) if reason.code == "AB0211"));
    let whole = || rows(&[&first, &turn]);
    let load = || {
        let mut exec = new(ActivityOptions::default());
        exec.resume_attempts(turn.attempts.iter().map(|_| kept(&turn)).collect());
        assert_eq!(exec.replay(whole()), Standing::Open);
        assert!(exec.broke_off().is_none() && exec.is_at_limit() && exec.has_more());
        exec
    };
    let again = load().turn(vec![note(1), attempt(2, 60_000, done())], 3_000);
    assert!(matches!(again.standing, Standing::Suspended(reason) if reason.code == "AB0211"));
    assert_eq!((again.events.len(), again.undelivered.len()), (0, 2), "nothing is taken in, nothing is lost");
    let mut exec = load();
    // The inputs of a take-over or a resume come before the request.
    let end = exec.turn(vec![lost(9), cancel(1)], 3_000);
    assert_eq!(end.standing, Standing::Closed, "{end:?}");
}

#[path = "look_tests.rs"]
mod look;
