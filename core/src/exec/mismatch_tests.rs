//! The reasons of suspensions, and the values that they must not contain.

use super::super::suspension::SHOWN_CHARS;
use super::*;
use crate::failure::{FailureKind, FailureRecord};

fn payload(json: &str) -> Payload {
    Payload::from_json(json.to_owned()).unwrap()
}

fn scheduled(name: &str, json: &str) -> Event {
    let (name, input) = (name.to_owned(), payload(json));
    Event::ActivityScheduled { name, input, task_queue: None, transactional: false, heartbeat: false }
}

fn differs(expected: Event, got: Option<Event>) -> Suspension {
    let reason = Mismatch { at: EventId(6), expected, got }.into_suspension(None);
    assert!(!reason.to_string().contains("secret"), "{reason}");
    assert!(!serde_json::to_string(&reason).unwrap().contains("secret"), "what is stored has no values");
    reason
}

#[test]
fn another_input_is_told_by_its_place_and_length() {
    let (recorded, now) = (r#"[{"card":"secret 1","cents":5}]"#, r#"[{"card":"secret two","cents":5}]"#);
    let reason = differs(scheduled("charge", recorded), Some(scheduled("charge", now)));
    let told = "event 6 is activity `charge` with an input of 31 bytes, but the code asked for it with an \
                input of 33 bytes, which differs first at `[0].card`: a string of 8 characters was \
                recorded, a string of 10 characters now. Likely cause: the same activity with another input";
    assert!(reason.message.contains(told), "{reason}");
    let values = format!("Recorded: {recorded}. Now: {now}");
    assert_eq!(reason.values.as_deref(), Some(&*values));
    assert_eq!(reason.told(false), reason.message);
    assert_eq!(reason.told(true), format!("{}. {values}", reason.message));
}

#[test]
fn other_commands_are_told_by_name_and_length() {
    let reason = differs(scheduled("charge", "[\"secret\"]"), Some(scheduled("refund", "[7]")));
    let told = "activity `charge` with an input of 10 bytes, but the code asked for activity `refund` with \
                an input of 3 bytes";
    assert!(reason.message.contains(told), "{reason}");
    assert!(differs(scheduled("charge", "[\"secret\"]"), None).message.contains("asked for nothing more"));
}

/// The history has an input where the code asks for a command.
#[test]
fn no_event_is_told_with_its_value() {
    let secret = || payload("[\"secret\"]");
    let failure =
        || FailureRecord { data: Some(secret()), ..FailureRecord::new(FailureKind::Application, "no") };
    for event in [
        Event::Started { input: secret(), seed: 1, rules: 2, early: 0, context: Box::default() },
        Event::ActivityCompleted { activity: EventId(2), result: secret() },
        Event::ActivityFailed { activity: EventId(2), failure: failure() },
        Event::AttemptFailed { activity: EventId(2), attempt: 1, failure: failure(), next_at_ms: 1 },
        Event::Signaled {
            name: "paid".to_owned(),
            input: secret(),
            request_id: "secret".to_owned(),
            handled: true,
        },
        Event::CancelRequested { request_id: "secret".to_owned(), reason: "secret".to_owned() },
        Event::SideEffect { value: secret() },
        Event::Completed { result: secret() },
        Event::Failed { failure: failure(), compensation_failures: vec![failure()], next: None },
        Event::Cancelled { reason: "secret".to_owned(), compensation_failures: vec![] },
        Event::Terminated { reason: "secret".to_owned() },
        Event::TimedOut { kind: crate::failure::TimeoutKind::Run, next: None },
    ] {
        differs(event.clone(), Some(scheduled("charge", "[]")));
        differs(scheduled("charge", "[]"), Some(event));
    }
}

#[test]
fn what_is_shown_is_cut() {
    let long = format!("\"{}\"", "é".repeat(500));
    assert_eq!(shown(&payload(&long)).chars().count(), SHOWN_CHARS + 2);
    assert_eq!(shown(&payload("[1]")), "[1]");
}

#[test]
fn what_does_not_decode_is_told_without_its_value() {
    let value = payload("[\"secret\"]");
    let error = value.decode::<Vec<u32>>().unwrap_err();
    let reason = Suspension::undecodable("the workflow's input", &error, Some(&value));
    let told = "the workflow's input does not decode as today's type: AB0404: the recorded payload is not a \
                `alloc::vec::Vec<u32>`: invalid type: string, expected u32, at `[0]`, where a string of 6 \
                characters is (byte 9 of 10)";
    assert_eq!(reason.message, told);
    assert_eq!(reason.values.as_deref(), Some("Recorded: [\"secret\"]"));
    let unhandled = Suspension::unhandled("signal", "paid", &value);
    assert!(!unhandled.message.contains("secret") && unhandled.told(true).contains("secret"));
}
