//! Why JSON is not read, for every kind of serde's errors. The message never contains the value.

use super::unread;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Person {
    name: String,
    age: u8,
    #[serde(default)]
    state: Option<State>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code)]
enum State {
    New,
    Shipped { by: String },
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
#[allow(dead_code)]
enum Either {
    A(u8),
    B(bool),
}

#[derive(Debug)]
struct Even;

impl<'de> Deserialize<'de> for Even {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let n = String::deserialize(deserializer)?;
        Err(D::Error::custom(format!("`{n}` is odd")))
    }
}

fn told<T: DeserializeOwned + std::fmt::Debug>(json: &str) -> String {
    let told = unread(json, &serde_json::from_str::<T>(json).unwrap_err());
    assert!(!told.contains("secret") && !told.contains("4711"), "{told}");
    told
}

#[test]
fn what_serde_says_is_told_without_the_value() {
    for (told, expected) in [
        (
            told::<(Person,)>(r#"[{"name":"Ann","age":"secret"}]"#),
            "invalid type: string, expected u8, at `[0].age`, where a string of 6 characters is (byte 29 of 31)",
        ),
        (
            told::<(Person,)>(r#"[{"name":4711,"age":1}]"#),
            "invalid type: integer, expected a string, at `[0].name`, where a number is (byte 13 of 23)",
        ),
        (
            told::<Person>(r#"{"name":"secret","age":4711}"#),
            "invalid value: integer, expected u8, at `age`, where a number is (byte 27 of 28)",
        ),
        (
            told::<Person>(r#"{"name":"secret"}"#),
            "missing field `age`, at the top, where an object of 1 key is (byte 17 of 17)",
        ),
        (
            told::<State>(r#""secret`, expected `x`""#),
            "unknown variant, expected `new` or `shipped`, at the top, where a string of 21 characters is \
             (byte 23 of 23)",
        ),
        (
            told::<BTreeMap<String, u8>>(r#"{"a":1,"secret@x.org":"4711"}"#),
            "invalid type: string, expected u8, at `{key 2}`, where a string of 4 characters is (byte 28 of 29)",
        ),
        (
            told::<Vec<u8>>("[1,\n 2,\n \"secret\\\", expected \\\"\"]"),
            "invalid type: string, expected u8, at `[2]`, where a string of 19 characters is (byte 32 of 33)",
        ),
        (told::<u8>("null"), "invalid type: null, expected u8, at the top, where null is (byte 4 of 4)"),
        (
            told::<bool>("47.11"),
            "invalid type: floating point, expected a boolean, at the top, where a number is (byte 5 of 5)",
        ),
    ] {
        assert_eq!(told, expected);
    }
}

#[test]
fn names_of_fields_are_told_and_other_keys_are_not() {
    assert!(
        told::<Person>(r#"{"nick":1}"#).starts_with("unknown field `nick`, expected one of `name`, `age`")
    );
    assert!(told::<Person>(r#"{"secret@x.org":1}"#).starts_with("unknown field, expected one of `name`"));
    assert!(told::<Person>(r#"{"age":1,"age":2}"#).starts_with("duplicate field `age`"));
    assert!(told::<State>(r#"{"shipped":{"to":"secret"}}"#).contains("missing field `by`, at `shipped`"));
    assert!(told::<(u8, u8)>("[1]").starts_with("invalid length 1, expected a tuple of size 2"));
}

/// The message of a custom `Deserialize` may quote the value.
#[test]
fn the_words_of_a_deserialize_are_left_out() {
    let own = told::<Vec<Even>>("[\"secret\"]");
    assert!(
        own.starts_with("its `Deserialize` refuses it, at the top, where a list of 1 element is"),
        "{own}"
    );
    let either = told::<Vec<Either>>("[1,\"secret\"]");
    assert!(
        either.starts_with("data did not match any variant of untagged enum Either, at the top"),
        "{either}"
    );
}

#[test]
fn what_is_no_json_is_told_by_its_position() {
    assert!(told::<Vec<u8>>("[1,secret]").contains("column 4"));
    assert!(told::<String>("\"secret").starts_with("EOF while parsing a string"));
    assert!(told::<Vec<u8>>("").starts_with("EOF"));
}

/// Every text and every error has an answer.
#[test]
fn any_text_has_an_answer() {
    for json in [
        "\"\\",
        "{\"a\":\"\\\"",
        "[[[[",
        "{\"é\":1,\"secret\":[",
        "\u{feff}",
        "{\"a\":{\"b\":[1,{}]}}",
        "[\"é\"]",
    ] {
        for error in
            [serde_json::from_str::<u8>(json).map(drop), serde_json::from_str::<Person>(json).map(drop)]
        {
            let _ = error.map_err(|error| unread(json, &error));
        }
        for offset in 0..=json.len() {
            let _ = super::place(json, offset);
        }
    }
}
