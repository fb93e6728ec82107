//! Names the places in a value and the kinds of values there, without the values: names of fields, positions,
//! kinds and lengths. They go into logs and suspensions, which must not contain data of a user's customers.
//!
//! The keys of a map are data, and JSON does not tell a map from a struct. So a key is shown if it could be a
//! field's name (ASCII letters, digits and `_`, no digit first, at most 40 of them). Any other key is shown
//! by its position among the keys, from 1: `{key 3}`.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// The most bytes of a path. They are all ASCII.
const PATH_BYTES: usize = 200;
/// The longest key that is shown.
const KEY_BYTES: usize = 40;

/// A path such as `items[2].price`. An empty one is the value itself.
#[derive(Default)]
pub(super) struct Path(String);

impl Path {
    /// Enters a field. Returns the argument for [`Path::leave`].
    pub(super) fn field(&mut self, name: &str) -> usize {
        let mark = self.0.len();
        if mark > 0 {
            self.0.push('.');
        }
        self.0.push_str(name);
        mark
    }

    pub(super) fn index(&mut self, index: usize) -> usize {
        let mark = self.0.len();
        let _ = write!(self.0, "[{index}]");
        mark
    }

    /// Enters the `nth` key of an object, from 1.
    pub(super) fn key(&mut self, key: &str, nth: usize) -> usize {
        match is_name(key) {
            true => self.field(key),
            false => self.field(&format!("{{key {nth}}}")),
        }
    }

    pub(super) fn leave(&mut self, mark: usize) {
        self.0.truncate(mark);
    }

    /// The path, or the beginning of one that is too long.
    pub(super) fn cut(&self) -> Cow<'_, str> {
        match self.0.len() <= PATH_BYTES {
            true => Cow::Borrowed(&self.0),
            false => Cow::Owned(format!("{}..", &self.0[..self.0.floor_char_boundary(PATH_BYTES)])),
        }
    }
}

/// `` at `items[2].price` ``, or `at the top`.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.is_empty() {
            true => f.write_str("at the top"),
            false => write!(f, "at `{}`", self.cut()),
        }
    }
}

/// Whether a key could be the name of a field.
pub(super) fn is_name(key: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !key.is_empty() && key.len() <= KEY_BYTES && !key.as_bytes()[0].is_ascii_digit() && key.bytes().all(word)
}

/// Describes a JSON text: `a string of 5 characters`.
pub(super) fn kind(json: &str) -> String {
    let counted = |n: usize, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
    match json.trim_start().as_bytes().first() {
        Some(b'n') => "null".to_owned(),
        Some(b't' | b'f') => "a boolean".to_owned(),
        Some(b'"') => match read::<String>(json) {
            Some(text) => format!("a string of {}", counted(text.chars().count(), "character", "characters")),
            None => "a string".to_owned(),
        },
        Some(b'[') => match read::<Vec<&RawValue>>(json) {
            Some(list) => format!("a list of {}", counted(list.len(), "element", "elements")),
            None => "a list".to_owned(),
        },
        Some(b'{') => match read::<Entries<'_>>(json) {
            Some(entries) => format!("an object of {}", counted(entries.0.len(), "key", "keys")),
            None => "an object".to_owned(),
        },
        _ => "a number".to_owned(),
    }
}

/// Reads a part of a JSON text. `None`: it has another kind.
pub(super) fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Option<T> {
    serde_json::from_str(json).ok()
}

/// An object's entries, in the order of the text.
pub(super) struct Entries<'a>(pub(super) Vec<(String, &'a RawValue)>);

impl<'a> Entries<'a> {
    /// The value of each key: of a key that stands twice, the last.
    pub(super) fn by_key(&self) -> BTreeMap<&str, &'a RawValue> {
        self.0.iter().map(|(key, value)| (key.as_str(), *value)).collect()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(entries)
            }
        }

        deserializer.deserialize_map(InOrder).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_where_it_could_be_a_field() {
        let mut path = Path::default();
        assert_eq!(path.to_string(), "at the top");
        path.index(0);
        path.key("customer_2", 7);
        let mark = path.key("alice@example.com", 3);
        assert_eq!(path.to_string(), "at `[0].customer_2.{key 3}`");
        path.leave(mark);
        assert_eq!(path.to_string(), "at `[0].customer_2`");
        for data in ["", "7", "4111111111111111", "a b", "é", "a.b", "a\"", &"x".repeat(41)] {
            assert!(!is_name(data), "{data:?}");
        }
        assert!(is_name("_id") && is_name("userId") && is_name(&"x".repeat(40)));
    }

    #[test]
    fn a_long_path_is_cut() {
        let mut path = Path::default();
        for n in 0..100 {
            path.key("customer", n);
        }
        assert_eq!(path.cut().len(), PATH_BYTES + 2);
    }

    #[test]
    fn kinds_tell_lengths_and_no_values() {
        for (json, told) in [
            ("null", "null"),
            ("true", "a boolean"),
            ("-1.5e3", "a number"),
            ("\"secret\"", "a string of 6 characters"),
            ("\"\\u00e9\"", "a string of 1 character"),
            ("[1,2]", "a list of 2 elements"),
            ("{\"a\":1}", "an object of 1 key"),
            ("{", "an object"),
        ] {
            assert_eq!(kind(json), told);
        }
    }
}
