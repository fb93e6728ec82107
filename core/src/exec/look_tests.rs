//! When a replay that only looks may answer, which messages are duplicates, and that times never go back.

use super::*;

/// A suspended run that was terminated: its code halts by itself, as it did in the recorded run.
#[test]
fn code_that_halts_where_its_history_ends_is_where_it_was() {
    let (mut exec, first) = started(ActivityOptions::default());
    let bad = Input::Signal { name: "bad".to_owned(), input: Payload::null(), request_id: "s".to_owned() };
    let suspended = exec.turn(vec![bad], 2_000);
    assert!(matches!(suspended.standing, Standing::Suspended(_)));
    let terminated = Event::Terminated { reason: "enough".to_owned() };
    let events = first.events.into_iter().chain(suspended.events).chain([terminated]).collect();
    let mut exec = new(ActivityOptions::default());
    let standing = exec.replay_to_look(vec![JournalRow { seq: EventId(1), at_ms: 1_000, events }]);
    assert!(matches!(standing, Standing::Suspended(_)));
    assert_eq!(exec.broke_off(), None);
}

/// PROTOCOL 21: a replay that only looks may answer if the code asked for exactly the events in the journal.
#[test]
fn a_replay_that_goes_on_beyond_its_history_is_no_answer() {
    let ended = |activity| attempt(activity, 1, AttemptOutcome::Completed(Payload::encode(&1).unwrap()));
    let (mut exec, first) = started(ActivityOptions::default());
    let mut events = first.events;
    events.extend(exec.turn(vec![ended(2)], 2_000).events);
    events.extend(exec.turn(vec![ended(4)], 3_000).events);
    assert!(matches!(events.as_slice(), [.., Event::Completed { .. }]) && events.len() == 6, "{events:?}");
    let replayed = |events: Vec<Event>| {
        let mut exec = new(ActivityOptions::default());
        exec.replay_to_look(vec![JournalRow { seq: EventId(1), at_ms: 1_000, events }]);
        exec.broke_off().map(|reason| reason.code)
    };
    let beyond = Some("AB0201".to_owned());
    for len in 1..=6 {
        // After an odd number of events the code goes on: it asks for a command, or ends.
        let expected = if len % 2 == 0 { None } else { beyond.clone() };
        assert_eq!(replayed(events[..len].to_vec()), expected, "after {len} events");
        let terminated = Event::Terminated { reason: "enough".to_owned() };
        let timed_out = Event::TimedOut { kind: crate::failure::TimeoutKind::Run, next: None };
        for end in [terminated, timed_out].into_iter().filter(|_| len < 6) {
            let stopped = events[..len].iter().cloned().chain([end.clone()]).collect();
            assert_eq!(replayed(stopped), expected, "{end:?} after {len} events");
        }
    }
}

/// PROTOCOL 41: a signal and a cancel request with the same id are two messages. The same one twice is one
/// message.
#[test]
fn an_id_names_one_message_of_each_kind() {
    let (mut exec, _) = started(ActivityOptions::default());
    let signal = || Input::Signal {
        name: "nobody takes it".to_owned(),
        input: Payload::null(),
        request_id: "order-7".to_owned(),
    };
    let cancel = || Input::Cancel { request_id: "order-7".to_owned(), reason: "enough".to_owned() };
    let turn = exec.turn(vec![signal(), cancel(), signal(), cancel()], 2_000);
    let count = |is: fn(&Event) -> bool| turn.events.iter().filter(|event| is(event)).count();
    assert_eq!(count(|event| matches!(event, Event::Signaled { .. })), 1);
    assert_eq!(count(|event| matches!(event, Event::CancelRequested { .. })), 1);
}

/// PROTOCOL 20: a turn without an input also has a time. The next owner's clock may be behind it.
#[test]
fn time_does_not_go_back_behind_a_row_of_commands_alone() {
    let (_, first) = started(ActivityOptions::default());
    let [begun, scheduled] = first.events.try_into().unwrap();
    let row = |seq, at_ms, event| JournalRow { seq: EventId(seq), at_ms, events: vec![event] };
    let mut exec = new(ActivityOptions::default());
    exec.replay(vec![row(1, 1_000, begun), row(2, 2_000, scheduled)]);
    let ended = AttemptOutcome::Completed(Payload::encode(&1).unwrap());
    assert_eq!(exec.turn(vec![attempt(2, 1, ended)], 1_500).at_ms, 2_000);
}
