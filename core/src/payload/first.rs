//! The first difference of two values, without their contents (`place` says how a place is named).

use super::place::{Entries, Path, kind, read};
use super::same::same_value;
use super::{Payload, is_too_deep};
use serde_json::value::RawValue;

/// The first difference, and the kinds of both values there:
/// `` at `[0].price`: a number was recorded, null now ``. `None`: they are the same.
pub(super) fn difference(recorded: &str, now: &str) -> Option<String> {
    if recorded == now {
        return None;
    }
    if is_too_deep(recorded) || is_too_deep(now) {
        return Some(at_byte(recorded, now));
    }
    let (mut path, mut found) = (Path::default(), None);
    walk(&mut path, recorded, now, &mut found);
    found
}

/// The first differing byte, for a part whose structure is not read.
fn at_byte(recorded: &str, now: &str) -> String {
    let at = recorded.bytes().zip(now.bytes()).take_while(|(a, b)| a == b).count();
    format!("at byte {at}, below more than 127 lists and maps")
}

/// Whether a difference was found. It is written to `found`. Each container is read once: whether two of them are the
/// same is known when their parts are.
fn walk(path: &mut Path, recorded: &str, now: &str, found: &mut Option<String>) -> bool {
    if recorded == now {
        return false;
    }
    let inside = match (recorded.as_bytes().first(), now.as_bytes().first()) {
        (Some(b'['), Some(b'[')) => lists(path, recorded, now, found),
        (Some(b'{'), Some(b'{')) => objects(path, recorded, now, found),
        _ => same_value(recorded, now).then_some(false),
    };
    inside.unwrap_or_else(|| {
        *found = Some(told(path, Some(recorded), Some(now)));
        true
    })
}

/// `None`: they differ as a whole.
fn lists(path: &mut Path, recorded: &str, now: &str, found: &mut Option<String>) -> Option<bool> {
    let (a, b) = (read::<Vec<&RawValue>>(recorded)?, read::<Vec<&RawValue>>(now)?);
    let differs = a.iter().zip(&b).enumerate().any(|(index, (a, b))| {
        let mark = path.index(index);
        let differs = walk(path, a.get(), b.get(), found);
        path.leave(mark);
        differs
    });
    (differs || a.len() == b.len()).then_some(differs)
}

/// `None`: they cannot be read.
fn objects(path: &mut Path, recorded: &str, now: &str, found: &mut Option<String>) -> Option<bool> {
    let (a, b) = (read::<Entries<'_>>(recorded)?, read::<Entries<'_>>(now)?);
    let (in_a, in_b) = (a.by_key(), b.by_key());
    for (nth, (key, value)) in a.0.iter().enumerate() {
        // Of a key that stands twice, the last value counts.
        if !std::ptr::eq(in_a[key.as_str()], *value) {
            continue;
        }
        let mark = path.key(key, nth + 1);
        let differs = match in_b.get(key.as_str()) {
            Some(other) => walk(path, value.get(), other.get(), found),
            None => {
                *found = Some(told(path, Some(value.get()), None));
                true
            }
        };
        path.leave(mark);
        if differs {
            return Some(true);
        }
    }
    let new = b.0.iter().enumerate().find(|(_, (key, _))| !in_a.contains_key(key.as_str()));
    let Some((nth, (key, value))) = new else { return Some(false) };
    path.key(key, nth + 1);
    *found = Some(told(path, None, Some(value.get())));
    Some(true)
}

fn told(path: &Path, recorded: Option<&str>, now: Option<&str>) -> String {
    let of = |json: Option<&str>| json.map_or_else(|| "nothing".to_owned(), kind);
    let (was, is) = (of(recorded), of(now));
    let is = if was == is { "another now".to_owned() } else { format!("{is} now") };
    format!("{path}: {was} was recorded, {is}")
}

impl Payload {
    /// The first difference between this recorded value and `now`, without their values: names of fields,
    /// positions, kinds and lengths. `None`: they are the same JSON.
    pub(crate) fn differs_at(&self, now: &Self) -> Option<String> {
        difference(self.as_json(), now.as_json())
    }
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn the_first_difference_is_told_without_values() {
        for (recorded, now, told) in [
            ("[2]", "[22]", "at `[0]`: a number was recorded, another now"),
            ("[\"alice\"]", "[\"bobby\"]", "at `[0]`: a string of 5 characters was recorded, another now"),
            ("[\"alice\"]", "[null]", "at `[0]`: a string of 5 characters was recorded, null now"),
            (
                r#"[{"items":[{"price":1},{"price":2},{"price":3}]}]"#,
                r#"[{"items":[{"price":1},{"price":2},{"price":"x"}]}]"#,
                "at `[0].items[2].price`: a number was recorded, a string of 1 character now",
            ),
            // Keys that are data are named by their position.
            (
                r#"[{"a":1,"b@x.org":2}]"#,
                r#"[{"b@x.org":3,"a":1}]"#,
                "at `[0].{key 2}`: a number was recorded, another now",
            ),
            (r#"{"a":1,"b":2}"#, r#"{"a":1}"#, "at `b`: a number was recorded, nothing now"),
            (
                r#"{"a":1}"#,
                r#"{"a":1,"4 2":[]}"#,
                "at `{key 2}`: nothing was recorded, a list of 0 elements now",
            ),
            ("[1]", "[1,2]", "at the top: a list of 1 element was recorded, a list of 2 elements now"),
            ("1", "[1]", "at the top: a number was recorded, a list of 1 element now"),
        ] {
            assert_eq!(difference(recorded, now).as_deref(), Some(told));
        }
        assert_eq!(difference("[1.0, \"\\u0041\"]", "[1,\"A\"]"), None);
    }

    #[test]
    fn large_and_deep_values_are_read_once_for_each_level() {
        let map = |keys: u32, last: u32| {
            let entries = (0..keys).map(|key| format!("\"k{key}\":1")).collect::<Vec<_>>().join(",");
            format!("{{{entries},\"z\":{last}}}")
        };
        assert_eq!(
            difference(&map(50_000, 1), &map(50_000, 2)).as_deref(),
            Some("at `z`: a number was recorded, another now")
        );
        let deep = |last: u32| format!("{}{},{last}{}", "[".repeat(120), map(1_000, 1), "]".repeat(120));
        assert!(
            difference(&deep(1), &deep(2))
                .is_some_and(|told| told.ends_with("a number was recorded, another now"))
        );
        // Of a key that stands twice, the last value counts.
        assert_eq!(difference(r#"{"a":1,"a":2}"#, r#"{"a": 2}"#), None);
    }

    #[test]
    fn what_is_too_deep_is_told_by_bytes() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        let told = difference(&deep(100_000), &deep(100_001)).unwrap();
        assert_eq!(told, "at byte 100000, below more than 127 lists and maps");
    }
}
