//! Values of arguments that are written as literals or paths.

use crate::errors::{Code, Errors};
use quote::ToTokens;
use syn::parse::Parser;
use syn::{Expr, ExprLit, Lit, LitStr, Path};

/// A string literal that is not blank.
pub(crate) fn is_reason(value: &Expr) -> bool {
    text(value).is_some_and(|why| !why.value().trim().is_empty())
}

pub(crate) fn text(value: &Expr) -> Option<&LitStr> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text),
        _ => None,
    }
}

/// A string literal, not empty, at most 200 characters: it becomes a key in the database. Postgres accepts no
/// NUL.
pub(crate) fn name_text(value: &Expr, errors: &mut Errors) -> Option<LitStr> {
    let help = "write a text of 1 to 200 characters, like `name = \"orders\"`";
    bounded(value, 200, ("not a name", help), errors)
}

/// How the task queue of an activity is written.
pub(crate) const ACTIVITY_QUEUE: &str = "write a text of 1 to 1,000 characters, like `task_queue = \"gpu\"`; one \
     that is computed goes to the call: `transcode(clip).task_queue(queue)`";

/// A string literal no longer than a task queue's name may be. The call checks values unknown at compile
/// time.
pub(crate) fn queue_text(value: &Expr, help: &str, errors: &mut Errors) -> Option<LitStr> {
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

pub(crate) fn crate_path(value: &Expr, errors: &mut Errors) -> Option<Path> {
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
