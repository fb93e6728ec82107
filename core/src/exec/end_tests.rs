//! The end of `run` ends every task, also one that its last poll has spawned.

use super::*;
use crate::def::{ActivityDef, WorkflowDef};
use crate::failure::{Failure, FailureRecord};
use crate::flow::{saga, sleep, spawn, timeout};
use crate::guard::{block, guard};
use crate::outcome::Sel;
use crate::payload::Payload;
use crate::policy::CancellationType;
use crate::primitive::activity::ActivityCall;
use crate::site::Site;
use crate::state::Slot;
use std::time::Duration;

static SITE: Site = Site { file: "end_tests.rs", line: 1, column: 1, text: "a step" };

struct Step;

impl ActivityDef for Step {
    const NAME: &'static str = "step";
    type Host = ();
    type Args = ();
    type Returned = ();
    type Outcome = Sel<(), false>;

    async fn call((): &(), (): ()) {}
}

/// Its end waits for an activity. Its last poll spawns a task that begins a saga.
struct Hasty;

impl WorkflowDef for Hasty {
    const NAME: &'static str = "hasty";
    type State = ();
    type Args = (bool,);
    type Returned = Result<(), Failure>;
    type Outcome = Sel<Result<(), Failure>, true>;

    fn init() {}

    async fn run(_: Slot<()>, (fails,): (bool,)) -> Result<(), Failure> {
        let slow = ActivityCall::<Step>::new(()).cancellation(CancellationType::WaitCancellationCompleted);
        guard(timeout(Duration::from_secs(1), slow), &SITE).await.ok();
        spawn(block(async {
            let mut steps = saga();
            guard(ActivityCall::<Step>::new(()), &SITE).await.ok();
            steps.on_failure(ActivityCall::<Step>::new(()));
            guard(sleep(Duration::from_secs(9)), &SITE).await;
        }));
        if fails { Err(Failure::new("enough")) } else { Ok(()) }
    }
}

fn fresh() -> Execution {
    let info = Info::new("w".to_owned(), "r".to_owned(), "hasty".to_owned(), "q".to_owned());
    Execution::new(&WorkflowType::of::<Hasty>(), info, Rc::new(|_: &str| true))
}

fn row(turn: &Turn) -> JournalRow {
    JournalRow { seq: turn.seq, at_ms: turn.at_ms, events: turn.events.clone() }
}

#[test]
fn what_the_last_poll_has_spawned_does_not_begin() {
    for fails in [true, false] {
        let mut exec = fresh();
        let first = exec.turn(
            vec![Input::Start {
                input: Payload::encode(&(fails,)).unwrap(),
                seed: 1,
                context: Box::default(),
            }],
            0,
        );
        let second = exec.turn(Vec::new(), 1_000);
        let [Event::TimerFired { .. }, Event::ActivityCancelRequested { activity }] = &second.events[..]
        else {
            panic!("{:?}", second.events)
        };
        assert_eq!(second.standing, Standing::Open, "the activity must end first");
        let ended = Input::Attempt { activity: *activity, attempt: 1, outcome: AttemptOutcome::Cancelled };
        let third = exec.turn(vec![ended], 2_000);
        assert_eq!((third.events.len(), &third.standing), (2, &Standing::Closed), "{:?}", third.events);
        let mut again = fresh();
        assert_eq!(again.replay(vec![row(&first), row(&second), row(&third)]), Standing::Closed);
        assert!(again.broke_off().is_none());
    }
}

/// A history of older rules goes on as it was recorded: its task was polled after the end of `run`.
#[test]
fn a_run_of_older_rules_polls_it() {
    let activity = EventId(2);
    let scheduled = || {
        let (name, input) = ("step".to_owned(), Payload::encode(&()).unwrap());
        Event::ActivityScheduled { name, input, task_queue: None, transactional: false, heartbeat: false }
    };
    let input = Payload::encode(&(true,)).unwrap();
    let events = vec![
        Event::Started { input, seed: 1, rules: 2, early: 0, context: Box::default() },
        scheduled(),
        Event::TimerStarted { fire_at_ms: 1_000 },
        Event::TimerFired { timer: EventId(3) },
        Event::ActivityCancelRequested { activity },
        scheduled(),
    ];
    let mut exec = fresh();
    assert_eq!(exec.replay(vec![JournalRow { seq: EventId(1), at_ms: 0, events }]), Standing::Open);
    let failure = FailureRecord::new(crate::failure::FailureKind::Cancelled, "stopped");
    let outcome = AttemptOutcome::Failed { failure, retryable: false, retry_after: None, details: None };
    let turn = exec.turn(vec![Input::Attempt { activity, attempt: 1, outcome }], 2_000);
    assert_eq!(turn.standing, Standing::Closed, "{:?}", turn.events);
}
