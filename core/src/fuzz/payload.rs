//! Payloads: an encoded value decodes unchanged. Any text is refused, or kept as the JSON that it is.

use super::cases;
use super::values::{json, text};
use crate::payload::{MAX_PAYLOAD_BYTES, Payload};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Every type that serde has, and the floats that JSON has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Value {
    Unit,
    Newtype(Box<Value>),
    Tuple(i64, u64, i128, u128),
    Struct { text: String, letter: char, flag: bool, maybe: Option<u8> },
    Floats(f64, f32),
    List(Vec<Value>),
    Map(BTreeMap<String, Value>),
    Numbered(BTreeMap<i32, Value>),
}

fn value() -> BoxedStrategy<Value> {
    let finite =
        (any::<f64>(), any::<f32>()).prop_filter("not JSON", |(a, b)| a.is_finite() && b.is_finite());
    let leaf = prop_oneof![
        Just(Value::Unit),
        any::<(i64, u64, i128, u128)>().prop_map(|(a, b, c, d)| Value::Tuple(a, b, c, d)),
        (text(), any::<char>(), any::<bool>(), any::<Option<u8>>())
            .prop_map(|(text, letter, flag, maybe)| Value::Struct { text, letter, flag, maybe }),
        finite.prop_map(|(a, b)| Value::Floats(a, b)),
    ];
    leaf.prop_recursive(6, 40, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|value| Value::Newtype(Box::new(value))),
            vec(inner.clone(), 0..4).prop_map(Value::List),
            btree_map(text(), inner.clone(), 0..4).prop_map(Value::Map),
            btree_map(any::<i32>(), inner, 0..4).prop_map(Value::Numbered),
        ]
    })
    .boxed()
}

/// Nested lists of any depth.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Deep(Vec<Deep>);

fn deep(levels: usize) -> Deep {
    (1..levels).fold(Deep(Vec::new()), |inner, _| Deep(vec![inner]))
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn what_encodes_decodes_as_it_was(value in value()) {
        let payload = Payload::encode(&value).expect("it has a JSON");
        prop_assert_eq!(payload.decode::<Value>().expect("its own JSON"), value);
    }

    #[test]
    fn any_float_is_kept_to_the_last_bit(bits in any::<u64>(), low in any::<u32>()) {
        let (wide, narrow) = (f64::from_bits(bits), f32::from_bits(low));
        prop_assume!(wide.is_finite() && narrow.is_finite());
        let (a, b): (f64, f32) = Payload::encode(&(wide, narrow)).expect("numbers").decode().expect("numbers");
        prop_assert_eq!((a.to_bits(), b.to_bits()), (wide.to_bits(), narrow.to_bits()));
    }

    #[test]
    fn json_is_kept_as_it_is(json in json()) {
        let payload = Payload::from_json(format!(" {json}\n")).expect("JSON");
        prop_assert_eq!(payload.as_json(), json.trim());
        prop_assert_eq!(&payload.decode::<Payload>().expect("any JSON"), &payload);
        match Payload::encode(&payload) {
            Ok(again) => prop_assert_eq!(again, payload),
            Err(error) => prop_assert!(error.code() == "AB0403" && json.starts_with(&"[".repeat(100)), "{}", error),
        }
    }

    #[test]
    fn any_text_is_json_or_an_error(text in prop_oneof![text(), "[\\[\\]{}\",:0-9.eE+\\-ntfu\\\\ a]{0,20}"]) {
        match Payload::from_json(text.clone()) {
            Ok(payload) => prop_assert_eq!(payload.as_json(), text.trim()),
            Err(error) => prop_assert_eq!(error.code(), "AB0404"),
        }
    }
}

#[test]
fn the_size_is_limited_to_the_byte() {
    for (over, code) in [(-1, None), (0, None), (1, Some("AB0405"))] {
        // The two quotes belong to JSON.
        let length = MAX_PAYLOAD_BYTES as i64 + over - 2;
        let told = Payload::encode(&"x".repeat(length as usize));
        assert_eq!(told.err().map(|error| error.code()), code);
    }
}

#[test]
fn what_is_too_deep_to_be_read_is_not_written() {
    for levels in [1, 126, 127] {
        let payload = Payload::encode(&deep(levels)).unwrap();
        assert_eq!(payload.decode::<Deep>().unwrap(), deep(levels), "{levels}");
    }
    for levels in [128, 129, 1_000] {
        assert_eq!(Payload::encode(&deep(levels)).unwrap_err().code(), "AB0403", "{levels}");
    }
    // Many lists side by side are not nested, and a bracket in a text is no list.
    let wide = (vec![vec![0_u8; 1]; 200], "[{\\\"[".repeat(200), vec!["\\\\[".repeat(200)]);
    assert_eq!(
        Payload::encode(&wide).unwrap().decode::<(Vec<Vec<u8>>, String, Vec<String>)>().unwrap(),
        wide
    );
}

/// The smallest number found whose last digit changes without `float_roundtrip`.
#[test]
fn a_float_is_not_its_neighbour() {
    let float = f64::from_bits(2_205_094_558_584_903_655);
    assert_eq!(Payload::encode(&float).unwrap().decode::<f64>().unwrap(), float);
}
