//! Where two JSON values differ, by path: what a column that is cut cannot show.

use serde_json::Value;

/// At most this many differences are told.
const TOLD: usize = 4;
/// A value is cut to this many characters.
const VALUE_CHARS: usize = 60;

/// The first differences, one sentence each; empty for equal values. The order of an object's keys is no difference.
pub(super) fn between(recorded: &Value, now: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", Some(recorded), Some(now), &mut found);
    let more = found.len().saturating_sub(TOLD);
    found.truncate(TOLD);
    if more > 0 {
        found.push(format!("and {more} more"));
    }
    found
}

fn compare(path: &str, recorded: Option<&Value>, now: Option<&Value>, found: &mut Vec<String>) {
    match (recorded, now) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                let dot = if path.is_empty() { "" } else { "." };
                compare(&format!("{path}{dot}{name}"), a.get(name), b.get(name), found);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            for i in 0..a.len().max(b.len()) {
                compare(&format!("{path}[{i}]"), a.get(i), b.get(i), found);
            }
        }
        (a, b) if a == b => {}
        (a, b) => {
            let path = if path.is_empty() { "the value" } else { path };
            found.push(format!("{path}: recorded {}, now {}", short(a), short(b)));
        }
    }
}

fn short(value: Option<&Value>) -> String {
    let Some(value) = value else { return "nothing".to_owned() };
    super::table::cut(&value.to_string(), VALUE_CHARS)
}

#[cfg(test)]
mod tests {
    use super::between;
    use serde_json::json;

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
}
