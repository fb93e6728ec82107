//! Selects the expressions to probe by their form alone: iterables and calls whose type the rules could
//! refuse. An expression whose type a probe could change for rustc is left out (see `probe`).

use crate::order;
use syn::visit::{self, Visit};
use syn::{Expr, ExprCall, ExprMethodCall, Pat};

/// Names of constructors. The name of their type tells what they return.
const CONSTRUCTORS: &[&str] = &[
    "new", "default", "from", "try_from", "into", "try_into", "pin", "parse", "identity", "take", "replace",
    "swap", "drop", "max", "min",
];

/// Common methods of std without arguments. None of them reads a clock.
const PLAIN: &[&str] = &[
    "abs",
    "as_bytes",
    "as_deref",
    "as_deref_mut",
    "as_mut",
    "as_ref",
    "as_slice",
    "as_str",
    "borrow",
    "borrow_mut",
    "by_ref",
    "bytes",
    "ceil",
    "chars",
    "clear",
    "clone",
    "cloned",
    "collect",
    "copied",
    "count",
    "cycle",
    "dedup",
    "elapsed",
    "deref",
    "enumerate",
    "err",
    "first",
    "flatten",
    "floor",
    "flush",
    "fuse",
    "get",
    "get_mut",
    "id",
    "into",
    "is_empty",
    "is_err",
    "is_none",
    "is_ok",
    "is_some",
    "iter",
    "last",
    "len",
    "lines",
    "lock",
    "max",
    "min",
    "name",
    "next",
    "next_back",
    "ok",
    "or_default",
    "parse",
    "peek",
    "peekable",
    "pop",
    "pop_back",
    "pop_front",
    "product",
    "rev",
    "reverse",
    "round",
    "sort",
    "sort_unstable",
    "sqrt",
    "sum",
    "take",
    "to_lowercase",
    "to_owned",
    "to_string",
    "to_uppercase",
    "to_vec",
    "transpose",
    "trim",
    "try_into",
    "unwrap",
    "unwrap_err",
    "unwrap_or_default",
    "unzip",
    "values",
    "keys",
    "into_iter",
    "iter_mut",
    "into_inner",
    "into_boxed_slice",
    "into_string",
    "into_bytes",
];

/// Times that std reads from a file, for any argument.
const FILE_TIMES: &[&str] = &["modified", "accessed", "created"];

/// What a call may read from a clock.
#[derive(Clone, Copy)]
pub(super) enum Clock {
    /// An `Instant` or a `SystemTime`: no argument can contain a recorded `SystemTime`.
    Any,
    /// An `Instant`, which history cannot store.
    Instant,
}

/// Whether this call returns an unordered iterator, on a hash map or set.
pub(super) fn is_unordered(call: &ExprMethodCall) -> bool {
    // Not twice: `m.keys().into_iter()`.
    order::iterates(call)
        && !is_literal(&call.receiver)
        && !matches!(bare(&call.receiver), Expr::MethodCall(inner) if is_unordered(inner))
}

/// Whether the iterable of a `for` is known without its type, or has been checked already.
pub(super) fn is_known_iterable(expr: &Expr) -> bool {
    is_literal(expr) || matches!(bare(expr), Expr::MethodCall(call) if is_unordered(call))
}

fn is_literal(expr: &Expr) -> bool {
    match bare(expr) {
        Expr::Range(_) | Expr::Array(_) | Expr::Repeat(_) | Expr::Lit(_) => true,
        Expr::Macro(mac) => mac.mac.path.is_ident("vec"),
        _ => false,
    }
}

/// The expression inside parentheses or a borrow.
pub(super) fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(inner) => bare(&inner.expr),
        Expr::Group(inner) => bare(&inner.expr),
        Expr::Reference(inner) => bare(&inner.expr),
        other => other,
    }
}

/// Whether and how a call `path(..)` could read a clock.
pub(super) fn clock_of_call(call: &ExprCall) -> Option<Clock> {
    let Expr::Path(path) = &*call.func else { return None };
    let name = path.path.segments.last()?.ident.to_string();
    let constructor = name.starts_with(char::is_uppercase)
        || CONSTRUCTORS.contains(&name.as_str())
        || ["from_", "with_", "new_", "try_"].iter().any(|start| name.starts_with(start));
    let ours =
        path.path.segments.first().is_some_and(|first| first.ident == "workflow" || first.ident == "abide");
    if constructor || ours || call.args.iter().any(has_closure) {
        return None;
    }
    match call.args.is_empty() || FILE_TIMES.contains(&name.as_str()) {
        true => Some(Clock::Any),
        false => Some(Clock::Instant),
    }
}

/// Whether and how a call `value.method()` could read a clock.
pub(super) fn clock_of_method(call: &ExprMethodCall) -> Option<Clock> {
    let plain = PLAIN.iter().any(|name| call.method == name);
    if plain || !call.args.is_empty() || call.turbofish.is_some() {
        return None;
    }
    match FILE_TIMES.iter().any(|name| call.method == name) {
        true => Some(Clock::Any),
        false => Some(Clock::Instant),
    }
}

/// Methods whose only argument may be any iterable.
pub(super) fn takes_iterable(call: &ExprMethodCall) -> bool {
    call.args.len() == 1 && ["extend", "zip", "chain"].iter().any(|name| call.method == name)
}

/// `x`, `self.x`, `x.y[0]` without calls: an expression that may be repeated.
pub(super) fn is_plain_place(expr: &Expr) -> bool {
    match expr {
        Expr::Path(_) => true,
        Expr::Field(field) => is_plain_place(&field.base),
        Expr::Paren(paren) => is_plain_place(&paren.expr),
        _ => false,
    }
}

/// The names that a pattern binds without a type of its own.
pub(super) fn untyped_names<'a>(pats: impl IntoIterator<Item = &'a Pat>) -> Vec<String> {
    let named = pats.into_iter().filter_map(|pat| match pat {
        Pat::Ident(bound) => Some(bound.ident.to_string()),
        _ => None,
    });
    named.collect()
}

/// Closures need the type that their call expects.
fn has_closure(expr: &Expr) -> bool {
    struct Search(bool);
    impl<'ast> Visit<'ast> for Search {
        fn visit_expr(&mut self, expr: &'ast Expr) {
            self.0 |= matches!(expr, Expr::Closure(_));
            visit::visit_expr(self, expr);
        }
    }
    let mut search = Search(false);
    search.visit_expr(expr);
    search.0
}
