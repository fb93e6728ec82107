//! A value that does not come back from its JSON is refused on write, with its path. Other values are
//! accepted.

use super::{Payload, PayloadError};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::{BTreeMap, HashMap, HashSet};

fn refused<T: Serialize + DeserializeOwned>(value: &T) -> (&'static str, String) {
    let error = Payload::keep(value).expect_err("it does not come back");
    let places = match &error {
        PayloadError::Unreadable { places, .. } | PayloadError::Changed { places, .. } => places.clone(),
        other => panic!("{other}"),
    };
    assert!(error.to_string().starts_with(error.code()) && error.to_string().contains(&places), "{error}");
    (error.code(), places)
}

fn kept<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
    let payload = Payload::keep(value).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(&payload.decode::<T>().expect("its own JSON"), value);
    assert_eq!(payload, Payload::encode(value).unwrap(), "it is written as before");
}

const AB0216: &str = "AB0216";
const AB0217: &str = "AB0217";

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Quote {
    price: f64,
    rebate: Option<f32>,
    #[serde(default)]
    more: Vec<Quote>,
}

#[test]
fn floats_that_json_has_not() {
    let is_nan = "`price` is `NaN`, which JSON has not";
    assert_eq!(refused(&Quote { price: f64::NAN, ..Quote::default() }), (AB0216, is_nan.to_owned()));
    let deep = Quote {
        more: vec![Quote::default(), Quote { rebate: Some(f32::NAN), ..Quote::default() }],
        ..Quote::default()
    };
    let is_nan = "`[1].more[1].rebate` is `NaN`, which JSON has not";
    assert_eq!(refused(&("id".to_owned(), deep)), (AB0217, is_nan.to_owned()));
    assert_eq!(refused(&f64::INFINITY), (AB0216, "the value is infinite, which JSON has not".to_owned()));
    let low = vec![Some(0.5), Some(f64::NEG_INFINITY)];
    assert_eq!(refused(&low), (AB0217, "`[1]` is negative infinity, which JSON has not".to_owned()));
    let priced = HashMap::from([("NYC".to_owned(), f64::NAN)]);
    assert_eq!(refused(&priced), (AB0216, "`NYC` is `NaN`, which JSON has not".to_owned()));
    for finite in [f64::MAX, f64::MIN_POSITIVE, -0.0, 5e-324] {
        kept(&Quote { price: finite, rebate: Some(f32::MIN), more: Vec::new() });
    }
}

#[test]
fn options_that_become_none() {
    let some = "the value is a `Some` that is written as `null`, as `None` is".to_owned();
    assert_eq!(refused(&Some(())), (AB0217, some.clone()));
    assert_eq!(refused(&Some(None::<u8>)), (AB0217, some.clone()));
    assert_eq!(refused(&Some(Some(()))), (AB0217, some.clone()));
    assert_eq!(refused(&Some(serde_json::Value::Null)), (AB0217, some));
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Marker;
    assert_eq!(refused(&(1, vec![Some(Marker)])).0, AB0217);
    assert_eq!(refused(&Some(Payload::null())).0, AB0217);
    kept(&None::<()>);
    kept(&None::<Option<u8>>);
    kept(&Some(Some(3)));
    kept(&((), Marker, vec![()], Some(false)));
    kept(&Ok::<Option<u8>, String>(None));
}

/// A common way to tell "leave it" from "delete it". It comes back.
#[test]
fn a_type_that_reads_its_own_null_is_taken() {
    fn present<'de, D: serde::Deserializer<'de>>(field: D) -> Result<Option<Option<u8>>, D::Error> {
        Option::deserialize(field).map(Some)
    }
    fn nan<'de, D: serde::Deserializer<'de>>(field: D) -> Result<f64, D::Error> {
        Option::deserialize(field).map(|number| number.unwrap_or(f64::NAN))
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct Patch {
        #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
        age: Option<Option<u8>>,
        #[serde(deserialize_with = "nan")]
        rate: f64,
    }
    for age in [None, Some(None), Some(Some(7))] {
        let payload = Payload::keep(&Patch { age, rate: f64::NAN }).unwrap();
        let back: Patch = payload.decode().unwrap();
        assert!(back.age == age && back.rate.is_nan(), "{back:?}");
    }
    // The value that reads as `NaN` was an infinity.
    let infinite = refused(&Patch { age: Some(None), rate: f64::INFINITY });
    assert_eq!(infinite, (AB0217, "`rate` is infinite, which JSON has not".to_owned()));
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Small(u64),
    Wide(u128),
    Named { code: i128 },
    ByNumber(BTreeMap<u32, String>),
    ByName(BTreeMap<String, String>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    Plain { id: u64 },
    Wide { id: u128 },
    Shelves { by_number: BTreeMap<i32, u8> },
    Told { failure: crate::Failure },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    id: u8,
    #[serde(flatten)]
    rest: BTreeMap<u16, u128>,
}

#[test]
fn what_serde_buffers() {
    let wide = |path: &str| format!("{path} is a 128-bit integer");
    assert_eq!(refused(&vec![Untagged::Wide(1 << 80)]), (AB0216, wide("`[0]`")));
    assert_eq!(refused(&Untagged::Named { code: -5 }), (AB0216, wide("`code`")));
    assert_eq!(refused(&Tagged::Wide { id: 5 }), (AB0216, wide("`id`")));
    // It would come back as the other variant.
    assert_eq!(refused(&Untagged::Wide(5)), (AB0217, wide("the value")));
    let keys = |path: &str| format!("{path} has keys that are no texts");
    let numbered = BTreeMap::from([(7, "x".to_owned())]);
    assert_eq!(refused(&Untagged::ByNumber(numbered)), (AB0217, keys("the value")));
    let shelves = Tagged::Shelves { by_number: BTreeMap::from([(-1, 1), (2, 2)]) };
    assert_eq!(refused(&shelves), (AB0216, keys("`by_number`")));
    assert_eq!(refused(&Flat { id: 1, rest: BTreeMap::from([(1, 2)]) }).0, AB0216);
    let failure = crate::Failure::typed(&crate::Elapsed).unwrap();
    assert_eq!(
        refused(&Tagged::Told { failure }),
        (AB0216, "`failure.data` is JSON kept as text".to_owned())
    );

    kept(&Untagged::Small(u64::MAX));
    kept(&Untagged::ByName(BTreeMap::from([("a".to_owned(), "b".to_owned())])));
    kept(&Tagged::Plain { id: 5 });
    kept(&Tagged::Told { failure: crate::Failure::new("no") });
    kept(&Flat { id: 1, rest: BTreeMap::new() });
    kept(&(u128::MAX, i128::MIN, BTreeMap::from([(1_u128, true)]), BTreeMap::from([(true, 'c')])));
}

#[test]
fn fields_that_are_left_out() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Forgotten {
        id: Option<u128>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        lines: Vec<u8>,
    }
    assert_eq!(
        refused(&Forgotten { id: Some(1), lines: Vec::new() }),
        (AB0216, "`lines` is left out".to_owned())
    );
    kept(&Forgotten { id: Some(1), lines: vec![1] });
    fn five() -> u8 {
        5
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Other {
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        #[serde(default = "five", skip_serializing_if = "is_zero")]
        count: u8,
    }
    fn is_zero(count: &u8) -> bool {
        *count == 0
    }
    assert_eq!(refused(&Other { note: None, count: 0 }), (AB0217, "`count` is left out".to_owned()));
    kept(&Other { note: None, count: 5 });
}

/// A hash map has another order when it is read back.
#[test]
fn order_is_no_difference() {
    let map: HashMap<u64, Option<u128>> = (0..200).map(|n| (n, Some(u128::from(n) << 70))).collect();
    kept(&map);
    kept(&map.keys().map(|n| u128::from(*n)).collect::<HashSet<_>>());
}

#[test]
fn many_places_and_long_paths_are_cut() {
    let many = vec![f64::NAN; 10_000];
    let (_, places) = refused(&many);
    assert!(places.ends_with("`[2]` is `NaN`, which JSON has not; and 997 more"), "{places}");
    let long = BTreeMap::from([("ä".repeat(10_000), vec![Some(())])]);
    let (_, places) = refused(&long);
    assert!(places.len() < 200 && places.contains("`{key 1}[0]`"), "{places}");
}

#[test]
fn a_serialize_that_fails_the_second_time_is_told() {
    #[derive(Default)]
    struct Once(std::cell::Cell<bool>);
    impl Serialize for Once {
        fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            if self.0.replace(true) { Err(serde::ser::Error::custom("no")) } else { to.serialize_u8(1) }
        }
    }
    impl<'de> Deserialize<'de> for Once {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            u8::deserialize(from).map(|_| Self::default())
        }
    }
    assert_eq!(Payload::keep(&Once::default()).unwrap_err().code(), "AB0403");
}
