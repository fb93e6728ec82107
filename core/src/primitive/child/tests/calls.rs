//! Awaited calls, given ids and handles.

use super::super::ChildHandle;
use super::*;
use crate::call_error::{CallError, ChildError};
use crate::child::ParentClosePolicy;
use crate::event::Recipient;
use crate::failure::{FailureKind, FailureRecord};
use crate::fault::Fault;
use crate::flow::{secs, sleep};

#[test]
fn an_awaited_call_is_a_birth_and_its_end_an_input() {
    let (mut exec, first) = started::<One>();
    assert_eq!((births(&first), first.standing.clone()), (vec![(2, "r1/2")], Standing::Open));
    let birth = &first.births[0];
    assert_eq!((birth.ids.execution, birth.ids.run_id.as_str()), (ExecutionId(101), "run-101"));
    assert_eq!((birth.depth, birth.named, birth.workflow_type.as_str()), (1, false, "ship"));
    assert_eq!(birth.input.as_json(), "[3]");
    let mut again = replays::<One>(&[&first]);
    assert!(again.turn(vec![], 1_000).births.is_empty(), "it was born by the recorded turn");
    let second = exec.turn(vec![completed(2, 5), completed(2, 6)], 2_000);
    assert_eq!(result(&second), "5");
    assert_eq!(second.events.len(), 2, "an end counts once");
    assert_eq!(result(&again.turn(vec![completed(2, 5)], 2_000)), "5", "after an eviction");
    replays::<One>(&[&first, &second]);
}

workflow!(Shown: async { Ok(format!("{:?} {:?}", ship(3).await, WorkflowCall::<Plain>::new(&()).await)) });

#[test]
fn each_end_is_an_error_of_its_kind() {
    let failure = Failure::new("lost").to_record().unwrap();
    let invalid = FailureRecord::new(FailureKind::Invalid, "AB0403: no");
    for (end, told) in [
        (ChildEnd::Failed(failure), format!("{:?}", Err::<u32, _>(ChildError::Failed(Failure::new("lost"))))),
        (ChildEnd::Failed(invalid), "Err(Invalid(\"AB0403: no\"))".to_owned()),
        (ChildEnd::Cancelled, "Err(Cancelled)".to_owned()),
        (ChildEnd::Terminated, "Err(Terminated)".to_owned()),
        (ChildEnd::TimedOut(crate::TimeoutKind::StartToClose), "Err(TimedOut(StartToClose))".to_owned()),
    ] {
        let (mut exec, first) = started::<Shown>();
        let second = exec.turn(vec![ended(2, end)], 2_000);
        let third = exec.turn(vec![ended(4, ChildEnd::Terminated)], 3_000);
        assert_eq!(result(&third), format!("{told} Err(Terminated)"));
        replays::<Shown>(&[&first, &second, &third]);
    }
    let error: ChildError<Failure> = CallError::IdTaken("ship-7".to_owned()).into();
    assert_eq!(error.to_string(), "workflow id `ship-7` is taken by another run");
    let inner = Failure::new("lost").context("at sea");
    assert_eq!(Failure::from(ChildError::Failed(inner.clone())), inner, "`?` keeps the child's own failure");
}

#[test]
fn a_result_of_another_type_suspends() {
    let (mut exec, _) = started::<One>();
    let text = ChildEnd::Completed(Payload::encode("five").unwrap());
    let turn = exec.turn(vec![ended(2, text)], 2_000);
    let Standing::Suspended(reason) = turn.standing else { panic!("{:?}", turn.standing) };
    assert!(reason.code == "AB0203" && reason.message.contains("child `ship`"), "{reason}");
}

workflow!(Named: async {
    let call = ship(3).id("ship-7").task_queue("ships").parent_close(ParentClosePolicy::Abandon);
    Ok(format!("{:?}", call.run_timeout(secs(5)).await))
});

#[test]
fn a_given_id_may_be_taken() {
    let (mut exec, first) = started::<Named>();
    assert_eq!(births(&first), [(2, "ship-7")]);
    let birth = &first.births[0];
    assert!(birth.named && birth.task_queue.as_deref() == Some("ships"));
    assert_eq!(birth.options.parent_close, ParentClosePolicy::Abandon);
    assert_eq!(birth.options.run_timeout_ms, Some(5_000));
    let second = exec.turn(vec![answered(2, Some("taken"))], 2_000);
    assert_eq!(result(&second), "Err(IdTaken(\"ship-7\"))");
    replays::<Named>(&[&first, &second]);
    let (mut exec, first) = started::<Named>();
    let second = exec.turn(vec![answered(2, None)], 2_000);
    assert_eq!((second.events.len(), second.standing.clone()), (1, Standing::Open));
    let third = exec.turn(vec![completed(2, 1)], 3_000);
    assert_eq!(result(&third), "Ok(1)");
    replays::<Named>(&[&first, &second, &third]);
}

workflow!(Handled: async {
    let ship = ship(3).start().await?;
    ship.hold(true).await?;
    let (first, again) = (ship.result().await, ship.result().await);
    let late = ship.cancel("late").await;
    Ok(format!("{} {} {first:?} {again:?} {late:?}", ship.id(), ship.run_id()))
});

#[test]
fn a_handle_has_signals_and_the_result_as_often_as_it_is_asked() {
    let (mut exec, first) = started::<Handled>();
    let input = Payload::encode(&(true,)).unwrap();
    let to = Recipient::Child(EventId(2));
    let signal = Event::SignalSent { to: to.clone(), name: "hold".to_owned(), input };
    assert_eq!(first.events[2], signal, "the start of a child without an id of its own is ready at once");
    assert_eq!(births(&first).len(), 1, "the signal goes to what is born with it");
    let second = exec.turn(vec![completed(2, 9), answered(3, None)], 2_000);
    let last = Event::CancelSent { to, reason: "late".to_owned() };
    assert_eq!(second.events.last(), Some(&last));
    let third = exec.turn(vec![answered(6, None)], 3_000);
    assert_eq!(result(&third), "r1/2 run-101 Ok(9) Ok(9) Ok(())");
    replays::<Handled>(&[&first, &second, &third]);
}

workflow!(Apart: async {
    drop(ship(3).start().await?);
    let taken = ship(4).id("ship-7").start().await.map(|ship: ChildHandle<Ship>| ship.id().to_owned());
    sleep(secs(1)).await;
    Ok(format!("{taken:?}"))
});

#[test]
fn a_dropped_handle_leaves_its_child_alone_and_a_named_start_waits() {
    let (mut exec, first) = started::<Apart>();
    assert_eq!(births(&first), [(2, "r1/2"), (3, "ship-7")]);
    assert_eq!(first.events.len(), 3, "nothing is cancelled, and no timer has begun");
    let second = exec.turn(vec![answered(3, Some("taken")), completed(2, 1)], 2_000);
    assert!(matches!(second.events.last(), Some(Event::ChildEnded { .. })), "{:?}", second.events);
    let third = exec.turn(vec![], 3_000);
    assert_eq!(result(&third), "Err(IdTaken(\"ship-7\"))");
    replays::<Apart>(&[&first, &second, &third]);
}
