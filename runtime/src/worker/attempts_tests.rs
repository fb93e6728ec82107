//! Which attempts are asked to stop, and which are forgotten, depending on what happens to their execution.

use super::*;
use crate::activity::HeartbeatError;
use crate::activity::context::ActivityContext;
use crate::activity::heartbeat::Kept;
use crate::activity::info::AttemptInfo;
use abide_core::{ActivityOptions, CancellationType, Payload};

const RUN: ExecutionId = ExecutionId(1);

fn start(activity: u64, attempt: u32, cancellation: CancellationType) -> ActivityStart {
    ActivityStart {
        activity: EventId(activity),
        attempt,
        name: "act",
        input: Payload::null(),
        options: ActivityOptions { cancellation, ..ActivityOptions::default() },
        scheduled_at_ms: 0,
        not_before_ms: None,
        details: None,
    }
}

/// Three running attempts: the second activity is in its second attempt, the third activity may be abandoned.
fn running() -> (Attempts, [ActivityStart; 3], [CancellationToken; 3]) {
    let attempts = Attempts::default();
    let starts = [
        start(2, 1, CancellationType::TryCancel),
        start(3, 2, CancellationType::WaitCancellationCompleted),
        start(4, 1, CancellationType::Abandon),
    ];
    let tokens = starts.each_ref().map(|start| {
        let abandonable = start.options.cancellation == CancellationType::Abandon;
        attempts.enter(Key::Own(RUN, start.activity), start.attempt, abandonable, &Beats::unheard())
    });
    (attempts, starts, tokens)
}

fn stopped(tokens: &[CancellationToken; 3]) -> [bool; 3] {
    tokens.each_ref().map(CancellationToken::is_cancelled)
}

/// A turn whose commit was unknown gave some up: its actions were never performed.
#[test]
fn what_is_not_waited_for_any_more_is_stopped_and_still_known() {
    let (attempts, [first, second, _], tokens) = running();
    attempts.stop_others(RUN, &[first.clone(), second]);
    assert_eq!(stopped(&tokens), [false, false, false], "what may be abandoned runs on");
    let another_attempt = start(3, 3, CancellationType::WaitCancellationCompleted);
    attempts.stop_others(RUN, &[first, another_attempt]);
    assert_eq!(stopped(&tokens), [false, true, false]);
    attempts.stop_others(ExecutionId(2), &[]);
    assert_eq!(stopped(&tokens), [false, true, false], "another execution's are not touched");
    assert_eq!(attempts.of(RUN).len(), 3, "their outcomes are waited for");
}

#[test]
fn a_close_leaves_what_may_be_abandoned_and_a_termination_nothing() {
    let (attempts, _, tokens) = running();
    attempts.leave(RUN);
    assert_eq!((stopped(&tokens), attempts.runs().len()), ([true, true, false], 0));
    let (attempts, _, tokens) = running();
    attempts.drop_all(RUN);
    assert_eq!((stopped(&tokens), attempts.runs().len()), ([true, true, true], 0));
}

/// Heartbeats are written once, by the row of each attempt, and the answer says who has to stop.
#[tokio::test(start_paused = true)]
async fn the_answer_to_a_heartbeat_stops_who_has_no_row_and_who_is_cancelled() {
    let attempts = Attempts::default();
    let enter = |activity: u64, abandonable| {
        let kept = Kept { now_ms: Box::new(|| 7), writer: Arc::clone(&attempts.beats_hint) };
        let beats = Beats::new(None, None, Some(kept));
        let token = attempts.enter(Key::Own(RUN, EventId(activity)), 3, abandonable, &beats);
        let name: Arc<str> = Arc::from("w");
        let (run_id, workflow_type) = (Arc::clone(&name), Arc::clone(&name));
        let info =
            AttemptInfo { workflow_id: name, run_id, workflow_type, activity: EventId(activity), attempt: 3 };
        let context = ActivityContext::new(info, "act", None, token.clone());
        (context.beating(beats, CancellationToken::new()), token)
    };
    let all = [enter(2, false), enter(3, false), enter(4, true), enter(5, false)];
    assert_eq!(attempts.due_beats(Instant::now()), (Vec::new(), None));
    all.iter().for_each(|(context, _)| context.heartbeat(&1).unwrap());
    let (now, (due, next)) = (Instant::now(), attempts.due_beats(Instant::now()));
    assert_eq!((due.len(), next), (4, None));
    assert!(due.iter().all(|(key, told)| (key.attempt, key.nonce, told.at_ms) == (3, 0, 7)), "{due:?}");
    attempts.beat_written(&due[0].0, &due[0].1, true, now);
    attempts.beat_gone(&due[1].0, &due[1].1, now);
    attempts.beat_gone(&due[2].0, &due[2].1, now);
    attempts.beat_written(&due[3].0, &due[3].1, false, now);
    let stopped = all.each_ref().map(|(_, token)| token.is_cancelled());
    assert_eq!(stopped, [true, true, false, false], "cancelled, gone, gone and abandoned, written");
    assert_eq!(attempts.due_beats(now), (Vec::new(), None), "each is written once");
    assert_eq!(all[0].0.heartbeat(&2), Err(HeartbeatError::Cancelled));
    assert_eq!(all[3].0.heartbeat(&2), Ok(()));
    let (due, next) = attempts.due_beats(now);
    assert_eq!(
        (due, next),
        (Vec::new(), Some(now + std::time::Duration::from_secs(30))),
        "the next one waits"
    );
}
