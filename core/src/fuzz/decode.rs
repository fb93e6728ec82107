//! The journal's codec: events are read back as they were written, and bytes that are no event are an error,
//! never a panic.

use super::cases;
use super::values::{event, failure, json};
use crate::event::Event;
use crate::failure::{Failure, FailureRecord};
use crate::fault::Fault;
use crate::payload::Payload;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use std::time::Duration;

/// Changes a few bytes of a text, at the places in `changes`.
fn damaged(text: &str, changes: &[(Index, u8, u8)]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for (place, byte, kind) in changes {
        if bytes.is_empty() {
            break;
        }
        let at = place.index(bytes.len());
        match kind % 4 {
            0 => bytes[at] = *byte,
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, *byte),
            _ => bytes.truncate(at),
        }
    }
    bytes
}

/// If `bytes` decode as an event, encoding and decoding that event again returns the same event.
fn read(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(events) = serde_json::from_slice::<Vec<Event>>(bytes) {
        let text = serde_json::to_string(&events).expect("events encode");
        prop_assert_eq!(&serde_json::from_str::<Vec<Event>>(&text).expect("its own text"), &events);
    }
    if let Ok(record) = serde_json::from_slice::<FailureRecord>(bytes) {
        let text = serde_json::to_string(&record).expect("a record encodes");
        prop_assert_eq!(serde_json::from_str::<FailureRecord>(&text).expect("its own text"), record);
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn events_come_back_as_they_were(events in vec(event(), 0..6)) {
        let text = serde_json::to_string(&events).expect("events encode");
        prop_assert_eq!(serde_json::from_str::<Vec<Event>>(&text).expect(&text), events);
    }

    #[test]
    fn failures_come_back_as_they_were(
        record in failure(),
        retryable in any::<bool>(),
        delay in any::<Option<Duration>>(),
    ) {
        let text = serde_json::to_string(&record).expect("a record encodes");
        prop_assert_eq!(&serde_json::from_str::<FailureRecord>(&text).expect(&text), &record);
        let mut failure = Failure::new(&record.message);
        failure = if retryable { failure } else { failure.non_retryable() };
        failure = delay.map_or(failure.clone(), |delay| failure.retry_after(delay));
        let kept = Payload::encode(&failure).expect("a failure encodes");
        prop_assert_eq!(kept.decode::<Failure>().expect("its own text"), failure);
    }

    #[test]
    fn any_bytes_are_events_or_an_error(bytes in vec(any::<u8>(), 0..200), text in any::<String>(), json in json()) {
        read(&bytes)?;
        read(text.as_bytes())?;
        read(json.as_bytes())?;
        read(format!("[{json}]").as_bytes())?;
    }

    #[test]
    fn a_damaged_row_is_events_or_an_error(
        events in vec(event(), 1..4),
        record in failure(),
        changes in vec((any::<Index>(), any::<u8>(), any::<u8>()), 1..6),
    ) {
        read(&damaged(&serde_json::to_string(&events).expect("events encode"), &changes))?;
        read(&damaged(&serde_json::to_string(&record).expect("a record encodes"), &changes))?;
    }
}

/// An error without fields is `null` in JSON. After a replay it is still an error of its type.
#[test]
fn an_error_without_fields_comes_back() {
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize, thiserror::Error)]
    #[error("not found")]
    struct NotFound;

    let record = NotFound.to_record().unwrap();
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(text, r#"{"kind":"application","message":"not found","data":null}"#);
    let back: FailureRecord = serde_json::from_str(&text).unwrap();
    assert_eq!(NotFound::from_record(&back).unwrap(), NotFound);
    let kept = Payload::encode(&Failure::typed(&NotFound).unwrap()).unwrap();
    assert_eq!(kept.decode::<Failure>().unwrap().downcast::<NotFound>(), Some(NotFound));
    let none: FailureRecord = serde_json::from_str(r#"{"kind":"application","message":"x"}"#).unwrap();
    assert_eq!(none.data, None);
}
