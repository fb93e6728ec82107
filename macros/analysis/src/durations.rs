//! Durations in attributes: a text with units. Some must not be zero.

use crate::errors::{Code, Errors};
use crate::literals::text;
use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, ExprPath};

/// A time limit of an activity.
pub(crate) fn limit(value: &Expr, errors: &mut Errors) -> Option<TokenStream> {
    let help = "write at least \"1ms\", or leave it out where there is no limit";
    let wrong = "a time limit of zero has run out before an attempt can begin";
    positive(value, (Code::Value, wrong, help), errors)
}

/// A time limit of a workflow.
pub(crate) fn run_limit(value: &Expr, errors: &mut Errors) -> Option<TokenStream> {
    let help = "write at least \"1ms\", or leave it out where there is no limit";
    let wrong = "a time limit of zero has run out before a run can begin";
    positive(value, (Code::Value, wrong, help), errors)
}

/// A wait between attempts.
pub(crate) fn wait(value: &Expr, errors: &mut Errors) -> Option<TokenStream> {
    let help = "write at least \"1ms\", better what the service can bear: each failed attempt is written to \
                the database, so that one that is down would cost hundreds of commits a second";
    positive(value, (Code::Wait, "a retry without a wait", help), errors)
}

/// A duration that is not zero; reports one that is.
fn positive(
    value: &Expr,
    (code, wrong, help): (Code, &str, &str),
    errors: &mut Errors,
) -> Option<TokenStream> {
    if text(value).and_then(|text| millis(&text.value())) == Some(0) {
        errors.add(code, value, wrong, help);
        return None;
    }
    if let Expr::Path(constant) = value {
        return Some(named(constant, &format!("{}: {wrong}", code.text())));
    }
    duration(value, errors)
}

/// `start_to_close = LIMIT`: a constant `Duration`. rustc checks that it is not zero when it knows the value.
fn named(constant: &ExprPath, wrong: &str) -> TokenStream {
    let at = constant.span().resolved_at(Span::call_site());
    quote_spanned! {at=> {
        const __ABIDE_LIMIT: ::core::time::Duration = #constant;
        const _: () = ::core::assert!(!__ABIDE_LIMIT.is_zero(), #wrong);
        __ABIDE_LIMIT
    }}
}

/// `"500ms"`, `"30s"`, `"5m"`, `"2h"`, `"3d"`, or several in a row: `"1m30s"`.
fn duration(value: &Expr, errors: &mut Errors) -> Option<TokenStream> {
    match text(value).and_then(|text| millis(&text.value())) {
        Some(millis) => Some(quote!(::core::time::Duration::from_millis(#millis))),
        None => {
            let help = "write a text like \"500ms\", \"30s\", \"5m\", \"2h\", \"3d\" or \"1m30s\", or the \
                        name of a constant `Duration`";
            errors.add(Code::Value, value, "not a duration", help);
            None
        }
    }
}

fn millis(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut sum = 0_u64;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = match rest[..end].trim() {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        sum = sum.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[end..];
        if rest.is_empty() {
            return Some(sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::millis;

    #[test]
    fn durations() {
        assert_eq!(millis("500ms"), Some(500));
        assert_eq!(millis("1m30s"), Some(90_000));
        assert_eq!(millis(" 3d "), Some(259_200_000));
        assert_eq!(millis("0s"), Some(0));
        for bad in
            ["", "30", "s", "30 seconds", "-1s", "1.5h", "99999999999999999999s", "18446744073709551615d"]
        {
            assert_eq!(millis(bad), None, "{bad}");
        }
    }
}
