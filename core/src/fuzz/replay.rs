//! Histories that no execution has produced: events of real ones are dropped, duplicated, moved, or get other
//! numbers. A journal may have been restored by hand or written by other code, and the executor must handle
//! it.

use super::cases;
use super::program::{Kind, Op, Programmed, program};
use super::run::{Step, World, fresh, step};
use super::values::{event, id};
use crate::event::{Event, JournalRow};
use crate::exec::info::Info;
use crate::exec::{Execution, Input, Standing, WorkflowType};
use crate::failure::{FailureKind, FailureRecord};
use crate::ids::EventId;
use crate::payload::Payload;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use std::rc::Rc;

/// A change of a history at one place.
#[derive(Clone, Debug)]
enum Damage {
    Drop,
    Double,
    Swap(Index),
    Insert(Event),
    Put(Event),
    /// Replaces the number that the event names.
    Renumber(EventId),
    /// Removes the rest.
    Cut,
    /// Gives another number to the row that begins here.
    Seq(EventId),
}

fn damage() -> BoxedStrategy<Vec<(Index, Damage)>> {
    let one = prop_oneof![
        3 => Just(Damage::Drop),
        2 => Just(Damage::Double),
        2 => any::<Index>().prop_map(Damage::Swap),
        3 => event().prop_map(Damage::Insert),
        2 => event().prop_map(Damage::Put),
        3 => id().prop_map(Damage::Renumber),
        2 => Just(Damage::Cut),
    ];
    let seq = id().prop_map(Damage::Seq);
    vec((any::<Index>(), prop_oneof![40 => one, 1 => seq]), 0..5).boxed()
}

/// The number that an event names, if it has one.
fn names(event: &mut Event) -> Option<&mut EventId> {
    match event {
        Event::ActivityCompleted { activity: id, .. }
        | Event::ActivityFailed { activity: id, .. }
        | Event::AttemptFailed { activity: id, .. }
        | Event::ActivityCancelRequested { activity: id }
        | Event::TimerFired { timer: id }
        | Event::TimerCancelled { timer: id }
        | Event::Answered { command: id, .. }
        | Event::SignalRedelivered { signal: id } => Some(id),
        Event::Recovered { lost } => lost.first_mut(),
        _ => None,
    }
}

/// One event per row: the boundaries of turns make no difference.
fn damaged(rows: Vec<JournalRow>, changes: &[(Index, Damage)]) -> Vec<JournalRow> {
    let mut events: Vec<(i64, Event)> = Vec::new();
    for row in rows {
        events.extend(row.events.into_iter().map(|event| (row.at_ms, event)));
    }
    let mut wrong = Vec::new();
    for (place, change) in changes {
        if events.is_empty() {
            break;
        }
        let at = place.index(events.len());
        match change {
            Damage::Drop => drop(events.remove(at)),
            Damage::Double => events.insert(at, events[at].clone()),
            Damage::Swap(other) => {
                let other = other.index(events.len());
                events.swap(at, other);
            }
            Damage::Insert(event) => events.insert(at, (events[at].0, event.clone())),
            Damage::Put(event) => events[at].1 = event.clone(),
            Damage::Renumber(id) => names(&mut events[at].1).into_iter().for_each(|named| *named = *id),
            Damage::Cut => events.truncate(at),
            Damage::Seq(seq) => wrong.push((at, *seq)),
        }
    }
    let row = |(at, (at_ms, event)): (usize, (i64, Event))| JournalRow {
        seq: wrong.iter().find(|(wrong, _)| *wrong == at).map_or(EventId(at as u64 + 1), |(_, seq)| *seq),
        at_ms,
        events: vec![event],
    };
    events.into_iter().enumerate().map(row).collect()
}

/// Replays and goes on. [`World::turn`] checks the invariants.
fn stand(rows: Vec<JournalRow>, turns: Vec<Vec<Step>>, take_over: bool) -> Result<(), TestCaseError> {
    let mut world = World::replayed(rows);
    if let Standing::Suspended(reason) = world.exec.standing() {
        prop_assert!(reason.code.starts_with("AB02") && reason.code != "AB0202", "{}", reason);
    }
    world.exec.awaiting();
    // Without a start, nothing can be open.
    prop_assert!(world.exec.standing() != Standing::Open || world.rows.is_empty() || is_started(&world.rows));
    // An execution without a journal is started first.
    if world.rows.is_empty() {
        world.turn(vec![Input::Start { input: Payload::null(), seed: 1, context: Box::default() }])?;
    }
    if take_over {
        world.turn(vec![Input::Recovered { running: Vec::new(), retried_ms: i64::MAX }])?;
    }
    for steps in turns {
        world.take(steps)?;
    }
    Ok(())
}

fn is_started(rows: &[JournalRow]) -> bool {
    matches!(rows[0].events[..], [Event::Started { .. }, ..])
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn a_damaged_history_is_replayed_or_suspends(
        program in program(),
        before in vec(vec(step(), 0..4), 0..8),
        changes in damage(),
        after in vec(vec(step(), 0..3), 0..4),
        take_over in any::<bool>(),
    ) {
        let mut world = World::started(&program, 7)?;
        for steps in before {
            world.take(steps)?;
        }
        stand(damaged(world.rows, &changes), after, take_over)?;
    }

    #[test]
    fn any_history_is_replayed_or_suspends(
        rows in vec((id(), any::<i64>(), vec(event(), 0..3), any::<bool>()), 0..8),
        after in vec(vec(step(), 0..3), 0..3),
        take_over in any::<bool>(),
    ) {
        let mut next = 1;
        let row = |(seq, at_ms, events, honest): (EventId, i64, Vec<Event>, bool)| {
            let row = JournalRow { seq: if honest { EventId(next) } else { seq }, at_ms, events };
            next += row.events.len() as u64;
            row
        };
        stand(rows.into_iter().map(row).collect(), after, take_over)?;
    }
}

#[test]
fn an_empty_row_is_damage() {
    let mut exec = fresh();
    let standing = exec.replay(vec![JournalRow { seq: EventId(1), at_ms: 1, events: Vec::new() }]);
    assert!(matches!(standing, Standing::Suspended(reason) if reason.code == "AB0209"));
}

/// If code halts beyond its history, the commands before the halt had no effect and must not bind the fixed
/// code, as in a live turn.
#[test]
fn a_replay_that_halts_beyond_its_history_writes_nothing() {
    let program = [Op::Both(vec![Op::Call(Kind::Here)], vec![Op::Call(Kind::Transactional)])];
    let input = Payload::encode(&(&program[..],)).unwrap();
    let start = Input::Start { input: input.clone(), seed: 1, context: Box::default() };
    let live = unknowing().turn(vec![start], 1_000);
    assert!(matches!(live.standing, Standing::Suspended(_)));
    assert_eq!((live.events.len(), live.actions.len()), (1, 0));
    let mut exec = unknowing();
    exec.replay(vec![JournalRow { seq: live.seq, at_ms: 1_000, events: live.events }]);
    let turn = exec.turn(Vec::new(), 2_000);
    assert!(matches!(turn.standing, Standing::Suspended(reason) if reason.code == "AB0207"));
    assert!(turn.events.is_empty() && turn.actions.is_empty(), "{:?} {:?}", turn.events, turn.actions);
}

/// A worker that has only one of the two activities.
fn unknowing() -> Execution {
    let info = Info::new("w".to_owned(), "r".to_owned(), "programmed".to_owned(), "q".to_owned());
    Execution::new(&WorkflowType::of::<Programmed>(), info, Rc::new(|name: &str| name == "step"))
}

/// A journal that cannot be loaded is not a new execution: its first number is in use.
#[test]
fn damage_at_the_beginning_takes_nothing_in() {
    let start = || Input::Start { input: Payload::null(), seed: 1, context: Box::default() };
    let row = |seq, event| JournalRow { seq: EventId(seq), at_ms: 1, events: vec![event] };
    for (first, code) in [
        (row(2, Event::TimerFired { timer: EventId(1) }), "AB0209"),
        (row(1, Event::TimerStarted { fire_at_ms: 1 }), "AB0209"),
    ] {
        let mut exec = fresh();
        exec.replay(vec![first]);
        let turn = exec.turn(vec![start()], 2);
        assert!(matches!(turn.standing, Standing::Suspended(reason) if reason.code == code));
        assert_eq!((turn.events.len(), turn.undelivered.len()), (0, 1));
    }
}

#[test]
fn what_was_terminated_before_it_ran_is_closed() {
    let timed_out = Event::TimedOut { kind: crate::failure::TimeoutKind::Execution, next: None };
    for end in [Event::Terminated { reason: String::new() }, timed_out] {
        let standing = fresh().replay(vec![JournalRow { seq: EventId(1), at_ms: 1, events: vec![end] }]);
        assert_eq!(standing, Standing::Closed);
    }
}

#[test]
fn the_last_attempt_that_can_be_counted_fails() {
    let mut world = World::started(&[Op::Call(Kind::Here)], 1).unwrap();
    let failure = FailureRecord::new(FailureKind::Application, "no");
    let event = Event::AttemptFailed { activity: EventId(2), attempt: u32::MAX, failure, next_at_ms: 5 };
    world.rows.push(JournalRow { seq: EventId(3), at_ms: 1_000, events: vec![event] });
    let starts = World::replayed(world.rows).exec.outstanding();
    assert_eq!(starts.iter().map(|start| start.attempt).collect::<Vec<_>>(), [u32::MAX]);
}
