//! Finds where two JSON values differ, by path, which a truncated table column cannot show. Numbers are
//! compared as text, not as floats.

use abide_core::Payload;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};

/// The most differences that are reported.
const TOLD: usize = 4;
/// Values are cut to this many characters.
const VALUE_CHARS: usize = 60;
/// Deeper values are compared as a whole. No payload of the engine is deeper.
const MAX_DEPTH: usize = 127;

/// The first differences, one sentence each. Empty for equal values. The order of an object's keys does not
/// matter.
pub(super) fn between(recorded: &Payload, now: &Payload) -> Vec<String> {
    let mut found = Vec::new();
    compare("", 0, Some(recorded), Some(now), &mut found);
    let more = found.len().saturating_sub(TOLD);
    found.truncate(TOLD);
    if more > 0 {
        found.push(format!("and {more} more"));
    }
    found
}

fn compare(
    path: &str,
    depth: usize,
    recorded: Option<&Payload>,
    now: Option<&Payload>,
    found: &mut Vec<String>,
) {
    if matches!((recorded, now), (Some(a), Some(b)) if a.is_same(b)) {
        return;
    }
    if let Some((a, b)) = both::<BTreeMap<String, Payload>>(recorded, now, depth) {
        let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
        for name in names {
            let dot = if path.is_empty() { "" } else { "." };
            compare(&format!("{path}{dot}{name}"), depth + 1, a.get(name), b.get(name), found);
        }
    } else if let Some((a, b)) = both::<Vec<Payload>>(recorded, now, depth) {
        for i in 0..a.len().max(b.len()) {
            compare(&format!("{path}[{i}]"), depth + 1, a.get(i), b.get(i), found);
        }
    } else {
        let path = if path.is_empty() { "the value" } else { path };
        found.push(format!("{path}: recorded {}, now {}", short(recorded), short(now)));
    }
}

/// Both values, if both have that shape.
fn both<T: DeserializeOwned>(a: Option<&Payload>, b: Option<&Payload>, depth: usize) -> Option<(T, T)> {
    let read = |value: Option<&Payload>| value?.decode().ok();
    if depth < MAX_DEPTH { Some((read(a)?, read(b)?)) } else { None }
}

fn short(value: Option<&Payload>) -> String {
    value.map_or_else(|| "nothing".to_owned(), |value| super::table::cut(value.as_json(), VALUE_CHARS))
}

#[cfg(test)]
mod tests {
    use abide_core::Payload;
    use serde_json::{Value, json};

    fn between(recorded: &Value, now: &Value) -> Vec<String> {
        let payload = |value| Payload::encode(value).unwrap();
        super::between(&payload(recorded), &payload(now))
    }

    #[test]
    fn differences_are_told_by_their_path() {
        let recorded = json!([{"id": "A-1", "items": [1, 2], "note": null}]);
        let now = json!([{"id": "A-1", "items": [1, 3, 4]}]);
        assert_eq!(
            between(&recorded, &now),
            [
                "[0].items[1]: recorded 2, now 3",
                "[0].items[2]: recorded nothing, now 4",
                "[0].note: recorded null, now nothing"
            ]
        );
        assert_eq!(between(&json!(1), &json!("1")), ["the value: recorded 1, now \"1\""]);
        assert!(between(&json!({"a": 1, "b": 2}), &json!({"b": 2, "a": 1})).is_empty());
    }

    #[test]
    fn many_differences_are_counted() {
        let many = between(&json!([1, 2, 3, 4, 5, 6]), &json!([0, 0, 0, 0, 0, 0]));
        assert_eq!((many.len(), many[4].as_str()), (5, "and 2 more"));
    }

    #[test]
    fn a_number_is_told_to_its_last_digit() {
        let payload = |text: &str| Payload::from_json(text.to_owned()).unwrap();
        let (recorded, now) =
            (payload("[1000000000000000000000000000000]"), payload("[1000000000000000000000000000001]"));
        let told = "[0]: recorded 1000000000000000000000000000000, now 1000000000000000000000000000001";
        assert_eq!(super::between(&recorded, &now), [told]);
        let deep = |n: usize| payload(&format!("{}{}", "[".repeat(n), "]".repeat(n)));
        assert_eq!(super::between(&deep(10_000), &deep(10_001)).len(), 1);
    }
}
