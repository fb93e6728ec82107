//! Which attempts are asked to stop, and which are forgotten, depending on what happens to their execution.

use super::*;
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
