//! A retry that its own turn gives up: what is kept of the attempt before it.

use super::*;
use crate::def::{ActivityDef, WorkflowDef};
use crate::flow::timeout;
use crate::guard::guard;
use crate::outcome::Sel;
use crate::payload::Payload;
use crate::policy::CancellationType;
use crate::primitive::activity::ActivityCall;
use crate::site::Site;
use crate::state::Slot;
use std::time::Duration;

static SITE: Site = Site { file: "abandon_tests.rs", line: 1, column: 1, text: "a step" };

struct Step;

impl ActivityDef for Step {
    const NAME: &'static str = "step";
    type Host = ();
    type Args = ();
    type Returned = ();
    type Outcome = Sel<(), false>;

    async fn call((): &(), (): ()) {}
}

/// Gives an activity up after a second, and waits a minute.
struct Impatient;

impl WorkflowDef for Impatient {
    const NAME: &'static str = "impatient";
    type State = ();
    type Args = (bool,);
    type Returned = ();
    type Outcome = Sel<(), false>;

    fn init() {}

    async fn run(_: Slot<()>, (abandons,): (bool,)) {
        let kind = if abandons { CancellationType::Abandon } else { CancellationType::TryCancel };
        let step = ActivityCall::<Step>::new(()).cancellation(kind);
        guard(timeout(Duration::from_secs(1), step), &SITE).await.ok();
        guard(crate::flow::sleep(Duration::from_secs(60)), &SITE).await;
    }
}

/// The worker dies, and the time limit runs out in the turn of the take-over.
fn taken_over(abandons: bool) -> Turn {
    let info = Info::new("w".to_owned(), "r".to_owned(), "impatient".to_owned(), "q".to_owned());
    let mut exec = Execution::new(&WorkflowType::of::<Impatient>(), info, Rc::new(|_: &str| true));
    exec.turn(vec![Input::Start { input: Payload::encode(&(abandons,)).unwrap(), seed: 1 }], 0);
    exec.turn(vec![Input::Recovered { running: Vec::new(), retried_ms: 0 }], 2_000)
}

#[test]
fn an_abandoned_retry_runs_and_the_attempt_before_it_is_kept() {
    let turn = taken_over(true);
    assert!(matches!(turn.actions[..], [Action::Start(_), Action::Abandon(_)]), "{:?}", turn.actions);
    assert!(matches!(turn.attempts[..], [AttemptChange::Failed(_)]), "{:?}", turn.attempts);
}

#[test]
fn of_a_cancelled_retry_nothing_is_kept() {
    let turn = taken_over(false);
    assert!(matches!(turn.actions[..], [Action::Start(_), Action::Cancel(_)]), "{:?}", turn.actions);
    assert!(matches!(turn.attempts[..], [AttemptChange::Gone(_)]), "{:?}", turn.attempts);
}
