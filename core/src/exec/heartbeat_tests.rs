//! What heartbeats have told reaches the next attempt.

use super::*;
use crate::policy::Runs;

/// What the last heartbeat told goes from attempt to attempt: with a failure, over an attempt without a heartbeat, over
/// a loss, and over a load.
#[test]
fn the_next_attempt_gets_what_the_last_heartbeat_told() {
    let told = |n: u32| Some(Payload::encode(&n).unwrap());
    let failed = |details| match failed(FailureKind::Application) {
        AttemptOutcome::Failed { failure, retryable, retry_after, .. } => {
            AttemptOutcome::Failed { failure, retryable, retry_after, details }
        }
        other => other,
    };
    let details = |turn: &Turn| match &turn.actions[..] {
        [Action::Start(start)] => (start.options.runs(), start.details.clone()),
        other => panic!("{other:?}"),
    };
    let beats =
        ActivityOptions { heartbeat_timeout: Some(Duration::from_secs(9)), ..ActivityOptions::default() };
    for (options, runs) in [
        (ActivityOptions::default(), Runs::Here),
        (beats.clone(), Runs::HereBeating),
        (elsewhere(), Runs::Elsewhere),
        (ActivityOptions { task_queue: Some(Arc::from("gpu")), ..beats }, Runs::Elsewhere),
    ] {
        let (mut exec, first) = started(options.clone());
        assert_eq!(details(&first), (runs, None));
        let second = exec.turn(vec![attempt(2, 1, failed(told(3)))], 2_000);
        assert_eq!(details(&second), (runs, told(3)));
        let third = exec.turn(vec![attempt(2, 2, failed(None))], 3_000);
        assert_eq!(details(&third), (runs, told(3)), "the second attempt told nothing");
        let fourth = exec.turn(vec![attempt(2, 3, failed(told(5)))], 4_000);
        assert_eq!(details(&fourth), (runs, told(5)));
        if runs == Runs::Elsewhere {
            continue;
        }
        // The limit of a later build does not change where its heartbeats are.
        let mut loaded = new(ActivityOptions::default());
        loaded.resume_attempts(vec![kept(&fourth)]);
        loaded.replay(rows(&[&first]));
        loaded.resume_heartbeats(vec![(EventId(2), told(6).unwrap()), (EventId(9), Payload::null())]);
        assert_eq!(loaded.outstanding()[0].details, told(6));
        let lost = loaded.turn(vec![Input::Recovered { running: vec![], retried_ms: 5_000 }], 5_000);
        assert_eq!(details(&lost), (runs, told(6)));
        let end = loaded.turn(vec![attempt(2, 5, done())], 6_000);
        let ended = if runs == Runs::HereBeating { "ended 2 5" } else { "start 5 1" };
        assert!(words(&end).contains(&ended.to_owned()), "{:?}", words(&end));
    }
}
