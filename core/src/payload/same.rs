//! Compares two JSON texts. `serde_json::Value` cannot be used: its numbers have 64 bits, so it reads
//! `10^30` and `10^30 + 1` as equal.

use super::place::read;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Compares the bytes first, because nearly all compared texts are equal to the byte.
pub(super) fn same(a: &str, b: &str) -> bool {
    a == b || !super::is_too_deep(a) && !super::is_too_deep(b) && same_value(a, b)
}

pub(super) fn same_value(a: &str, b: &str) -> bool {
    let kinds = (a.as_bytes().first(), b.as_bytes().first());
    match kinds {
        _ if a == b => true,
        (Some(b'{'), Some(b'{')) => match (read::<Object<'_>>(a), read::<Object<'_>>(b)) {
            (Some(a), Some(b)) => {
                a.len() == b.len()
                    && a.iter().zip(&b).all(|((k, x), (l, y))| k == l && same_value(x.get(), y.get()))
            }
            _ => false,
        },
        (Some(b'['), Some(b'[')) => match (read::<Vec<&RawValue>>(a), read::<Vec<&RawValue>>(b)) {
            (Some(a), Some(b)) => {
                a.len() == b.len() && a.iter().zip(&b).all(|(x, y)| same_value(x.get(), y.get()))
            }
            _ => false,
        },
        (Some(b'"'), Some(b'"')) => {
            matches!((read::<String>(a), read::<String>(b)), (Some(a), Some(b)) if a == b)
        }
        _ => matches!((Number::of(a), Number::of(b)), (Some(a), Some(b)) if a == b),
    }
}

type Object<'a> = BTreeMap<String, &'a RawValue>;

/// A number's digits without zeros at both ends, and the power of ten of the last digit.
#[derive(PartialEq, Eq)]
struct Number {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Number {
    fn of(json: &str) -> Option<Self> {
        let (negative, json) = json.strip_prefix('-').map_or((false, json), |rest| (true, rest));
        let (mantissa, exponent) = json.split_once(['e', 'E']).unwrap_or((json, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let exponent: i64 = exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?;
        let kept = digits.trim_end_matches('0');
        let exponent =
            exponent.checked_sub(fraction.len() as i64)?.checked_add((digits.len() - kept.len()) as i64)?;
        let kept = kept.trim_start_matches('0');
        // Zero is zero with any exponent and sign.
        Some(match kept.is_empty() {
            true => Self { negative: false, digits: String::new(), exponent: 0 },
            false => Self { negative, digits: kept.to_owned(), exponent },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn numbers_are_compared_exactly() {
        let million = format!("1{}", "0".repeat(30));
        for (a, b, equal) in [
            (million.as_str(), "1000000000000000000000000000001", false),
            (million.as_str(), "1e30", true),
            ("9007199254740993", "9007199254740992", false),
            ("1.0", "1", true),
            ("100", "1E+2", true),
            ("0.10", "1e-1", true),
            ("0", "0.00e7", true),
            ("0.0", "-0.0", true),
            ("-5", "5", false),
            ("1e99999999999999999999", "1e99999999999999999998", false),
            ("null", "false", false),
            ("null", "0", false),
            ("\"5\"", "5", false),
        ] {
            assert_eq!(same(a, b), equal, "{a} and {b}");
            assert_eq!(same(b, a), equal, "{b} and {a}");
        }
    }

    #[test]
    fn the_order_of_keys_and_escapes_are_no_difference() {
        assert!(same(r#"{"a":[1,{"b":2}],"c":"\u0041"}"#, r#"{ "c":"A", "a" : [1, {"b" :2}]}"#));
        assert!(!same(r#"{"a":1}"#, r#"{"a":1,"b":null}"#));
        assert!(!same(r#"{"a":1,"b":1}"#, r#"{"a":1,"c":1}"#));
        assert!(!same("[1,2]", "[2,1]"));
        assert!(!same("[1]", "[1,1]"));
    }

    #[test]
    fn any_depth_ends() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(same(&deep(100_000), &deep(100_000)));
        assert!(!same(&deep(100_000), &deep(100_001)));
        assert!(same(&format!("[{} ]", deep(100)), &format!("[ {}]", deep(100))));
    }
}
