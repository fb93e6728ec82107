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

/// Whether a difference was found. It is written to `found`.
fn walk(path: &mut Path, recorded: &str, now: &str, found: &mut Option<String>) -> bool {
    if same_value(recorded, now) {
        return false;
    }
    let inside = match (recorded.as_bytes().first(), now.as_bytes().first()) {
        (Some(b'['), Some(b'[')) => lists(path, recorded, now, found),
        (Some(b'{'), Some(b'{')) => objects(path, recorded, now, found),
        _ => false,
    };
    if !inside {
        *found = Some(told(path, Some(recorded), Some(now)));
    }
    true
}

fn lists(path: &mut Path, recorded: &str, now: &str, found: &mut Option<String>) -> bool {
    let (Some(a), Some(b)) = (read::<Vec<&RawValue>>(recorded), read::<Vec<&RawValue>>(now)) else {
        return false;
    };
    a.iter().zip(&b).enumerate().any(|(index, (a, b))| {
        let mark = path.index(index);
        let differs = walk(path, a.get(), b.get(), found);
        path.leave(mark);
        differs
    })
}

fn objects(path: &mut Path, recorded: &str, now: &str, found: &mut Option<String>) -> bool {
    let (Some(a), Some(b)) = (read::<Entries<'_>>(recorded), read::<Entries<'_>>(now)) else { return false };
    for (nth, (key, value)) in a.0.iter().enumerate() {
        let mark = path.key(key, nth + 1);
        let differs = match b.get(key) {
            Some(other) => walk(path, value.get(), other.get(), found),
            None => {
                *found = Some(told(path, Some(value.get()), None));
                true
            }
        };
        path.leave(mark);
        if differs {
            return true;
        }
    }
    let Some((nth, (key, value))) = b.0.iter().enumerate().find(|(_, (key, _))| a.get(key).is_none()) else {
        return false;
    };
    path.key(key, nth + 1);
    *found = Some(told(path, None, Some(value.get())));
    true
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
    fn what_is_too_deep_is_told_by_bytes() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        let told = difference(&deep(100_000), &deep(100_001)).unwrap();
        assert_eq!(told, "at byte 100000, below more than 127 lists and maps");
    }
}
