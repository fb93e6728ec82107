//! What stands behind the `=` of an argument: texts, names, paths, durations.

use crate::errors::{Code, Errors};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::parse::Parser;
use syn::{Expr, ExprLit, Lit, LitStr, Path};

/// A text that says something.
pub(crate) fn is_reason(value: &Expr) -> bool {
    text(value).is_some_and(|why| !why.value().trim().is_empty())
}

pub(super) fn text(value: &Expr) -> Option<&LitStr> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text),
        _ => None,
    }
}

/// A string literal, not empty, at most 200 characters: it becomes a key in the database. Postgres keeps no NUL.
pub(super) fn name_text(value: &Expr, errors: &mut Errors) -> Option<LitStr> {
    let help = "write a text of 1 to 200 characters, like `name = \"orders\"`";
    bounded(value, 200, ("not a name", help), errors)
}

/// A string literal as long as a worker's queue may be; what it does not know at compile time is checked at the call.
pub(super) fn queue_text(value: &Expr, errors: &mut Errors) -> Option<LitStr> {
    let help = "write a text of 1 to 1,000 characters, like `task_queue = \"gpu\"`; one that is computed goes to the call: \
                `transcode(clip).task_queue(queue)`";
    bounded(value, 1_000, ("not a task queue", help), errors)
}

fn bounded(value: &Expr, most: usize, (what, help): (&str, &str), errors: &mut Errors) -> Option<LitStr> {
    let fits = |text: &str| (1..=most).contains(&text.chars().count()) && !text.contains('\0');
    let found = text(value).filter(|text| fits(&text.value())).cloned();
    if found.is_none() {
        errors.add(Code::Value, value, what, help);
    }
    found
}

pub(super) fn crate_path(value: &Expr, errors: &mut Errors) -> Option<Path> {
    let path = match value {
        Expr::Path(path) => Path::parse_mod_style.parse2(path.to_token_stream()).ok(),
        Expr::Lit(_) => text(value).and_then(|text| text.parse_with(Path::parse_mod_style).ok()),
        _ => None,
    };
    if path.is_none() {
        errors.add(Code::Value, value, "not a path to abide", "write `crate = path::to::abide`");
    }
    path
}

/// `"500ms"`, `"30s"`, `"5m"`, `"2h"`, `"3d"`, or several in a row: `"1m30s"`.
pub(super) fn duration(value: &Expr, errors: &mut Errors) -> Option<TokenStream> {
    match text(value).and_then(|text| millis(&text.value())) {
        Some(millis) => Some(quote!(::core::time::Duration::from_millis(#millis))),
        None => {
            let help = "write a text like \"500ms\", \"30s\", \"5m\", \"2h\", \"3d\" or \"1m30s\"";
            errors.add(Code::Value, value, "not a duration", help);
            None
        }
    }
}

pub(super) fn millis(text: &str) -> Option<u64> {
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
