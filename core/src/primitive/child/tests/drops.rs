//! Dropped calls, and which births are left.

use super::*;
use crate::child::ParentClosePolicy;
use crate::flow::select::{Selected2, branch, select};
use crate::flow::{secs, sleep};
use crate::policy::CancellationType;

async fn race(kind: CancellationType) -> Result<String, Failure> {
    let calls = branch(block(ship(3).cancellation(kind)), true, |_: &_| true);
    let race = select((calls, branch(sleep(secs(1)), true, |_: &()| true)));
    match race.await {
        Selected2::A(won) => Ok(format!("{won:?}")),
        Selected2::B(()) => Ok("late".to_owned()),
        Selected2::Nobody => Err(Failure::new("nobody")),
    }
}

workflow!(RaceTry: race(CancellationType::TryCancel));
workflow!(RaceWait: race(CancellationType::WaitCancellationCompleted));
workflow!(RaceAbandon: race(CancellationType::Abandon));

#[test]
fn the_loser_of_a_race_is_cancelled_as_its_call_says() {
    let (mut exec, first) = started::<RaceTry>();
    let second = exec.turn(vec![], 2_000);
    assert_eq!(second.events[1..second.events.len() - 1], [requested(2, false)]);
    assert_eq!(result(&second), "late");
    replays::<RaceTry>(&[&first, &second]);

    let (mut exec, first) = started::<RaceWait>();
    let second = exec.turn(vec![], 2_000);
    assert_eq!(second.events[1..], [requested(2, false)]);
    assert_eq!(second.standing, Standing::Open, "the close waits for the child");
    replays::<RaceWait>(&[&first, &second]);
    let third = exec.turn(vec![ended(2, ChildEnd::Cancelled)], 3_000);
    assert_eq!(result(&third), "late");
    replays::<RaceWait>(&[&first, &second, &third]);

    let (mut exec, first) = started::<RaceAbandon>();
    let second = exec.turn(vec![], 2_000);
    assert_eq!((second.events.len(), result(&second).as_str()), (2, "late"), "it is left alone");
    replays::<RaceAbandon>(&[&first, &second]);
}

#[test]
fn a_cancelled_parent_cancels_its_child_and_waits_for_it() {
    let (mut exec, first) = started::<One>();
    let second = exec.turn(vec![cancel()], 2_000);
    assert_eq!(second.events[1..], [requested(2, false)]);
    let third = exec.turn(vec![ended(2, ChildEnd::Cancelled)], 3_000);
    assert!(matches!(third.events.last(), Some(Event::Cancelled { .. })), "{:?}", third.events);
    replays::<One>(&[&first, &second, &third]);
}

#[test]
fn an_eviction_cancels_nothing() {
    let (exec, first) = started::<One>();
    drop(exec);
    replays::<One>(&[&first]);
}

workflow!(Unborn: async {
    for id in [None, Some("ship-7")] {
        let call = ship(3).cancellation(CancellationType::default());
        let call = id.into_iter().fold(call, |call, id| call.id(id));
        let ready = branch(block(async { 1 }), true, |_: &_| true);
        select((branch(block(call), true, |_: &_| true), ready)).await;
    }
    sleep(secs(1)).await;
    Ok("done".to_owned())
});

#[test]
fn a_child_that_is_given_up_in_its_own_turn_is_never_born() {
    let (mut exec, first) = started::<Unborn>();
    assert_eq!(births(&first), []);
    let cancels = first.events.iter().filter(|event| matches!(event, Event::ChildCancelRequested { .. }));
    assert_eq!(cancels.cloned().collect::<Vec<_>>(), [requested(2, true), requested(4, true)]);
    assert!(!exec.awaits_answer(EventId(4)), "nobody answers it");
    let again = replays::<Unborn>(&[&first]);
    assert!(!again.awaits_answer(EventId(4)));
    let second = exec.turn(vec![], 2_000);
    assert_eq!(result(&second), "done");
    replays::<Unborn>(&[&first, &second]);
}

workflow!(Leaves: async {
    drop(ship(1).start().await?);
    drop(ship(2).parent_close(ParentClosePolicy::Abandon).start().await?);
    Ok(String::new())
});

#[test]
fn a_closing_turn_bears_only_children_that_go_on_alone() {
    let (_, first) = started::<Leaves>();
    assert_eq!((births(&first), first.standing.clone()), (vec![(3, "r1/3")], Standing::Closed));
    replays::<Leaves>(&[&first]);
}
