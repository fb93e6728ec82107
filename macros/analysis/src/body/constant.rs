//! Conditions of `until!` that nothing can change, as far as their form shows: no `self`, and no part that
//! could read a shared cell. The form does not show what a call of the user's function reads. The engine
//! reports that at run time (AB0204).

use super::uses_self;
use crate::errors::{Code, Errors};
use syn::parse::{ParseStream, Parser};
use syn::visit::{self, Visit};
use syn::{Expr, ExprCall, Macro, Path};

/// Methods of `Option` and `Result`, which contain no shared cell themselves.
const PLAIN: &[&str] =
    &["is_some", "is_none", "is_ok", "is_err", "is_some_and", "is_none_or", "is_ok_and", "is_err_and"];

/// Whether the condition was refused.
pub(super) fn check(condition: &Expr, errors: &mut Errors) -> bool {
    let before = errors.len();
    Clock(errors).visit_expr(condition);
    if errors.len() == before && !uses_self(condition) && is_constant(condition) {
        errors.add(
            Code::Constant,
            condition,
            "nothing can change this condition of `until!`: it does not read the workflow's state",
            "keep the value in a field that a `#[signal]` changes, and read that: `until!(self.approved)`; what is \
             known already is an `if`",
        );
    }
    errors.len() > before
}

/// `workflow::now()` in a condition.
struct Clock<'a>(&'a mut Errors);

impl<'ast> Visit<'ast> for Clock<'_> {
    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if reads_clock(call) {
            self.0.add(
                Code::Constant,
                call,
                "`workflow::now()` in the condition of `until!`: the condition is asked again when the state changes, \
                 not when time passes",
                "wait for a time with `workflow::sleep(..)`, or limit the wait for the state: \
                 `until!(..).timeout(hours(1))`",
            );
            return;
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_macro(&mut self, mac: &'ast Macro) {
        if let Some(scrutinee) = of_matches(mac) {
            Clock(self.0).visit_expr(&scrutinee);
        }
    }

    fn visit_item(&mut self, _: &'ast syn::Item) {}
}

fn reads_clock(call: &ExprCall) -> bool {
    let Expr::Path(path) = &*call.func else { return false };
    let mut words = path.path.segments.iter().rev().map(|segment| segment.ident.to_string());
    words.next().is_some_and(|name| name == "now") && words.next().is_some_and(|module| module == "workflow")
}

fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Lit(_) | Expr::Path(_) => true,
        Expr::Paren(inner) => is_constant(&inner.expr),
        Expr::Group(inner) => is_constant(&inner.expr),
        Expr::Field(field) => is_constant(&field.base),
        Expr::Unary(unary) => is_constant(&unary.expr),
        Expr::Reference(reference) => is_constant(&reference.expr),
        Expr::Cast(cast) => is_constant(&cast.expr),
        Expr::Binary(binary) => is_constant(&binary.left) && is_constant(&binary.right),
        Expr::Index(index) => is_constant(&index.expr) && is_constant(&index.index),
        Expr::Let(inner) => is_constant(&inner.expr),
        Expr::Tuple(tuple) => tuple.elems.iter().all(is_constant),
        Expr::Call(call) => is_constructor(&call.func) && call.args.iter().all(is_constant),
        Expr::MethodCall(call) => {
            PLAIN.iter().any(|name| call.method == name)
                && is_constant(&call.receiver)
                && call.args.iter().all(is_plain_test)
        }
        Expr::Macro(inner) => of_matches(&inner.mac).is_some_and(|scrutinee| is_constant(&scrutinee)),
        _ => false,
    }
}

/// `Some(..)`, `Status::Paid(..)`.
fn is_constructor(function: &Expr) -> bool {
    let last = |path: &Path| path.segments.last().map(|last| last.ident.to_string());
    match function {
        Expr::Path(path) => last(&path.path).is_some_and(|name| name.starts_with(char::is_uppercase)),
        _ => false,
    }
}

/// `|value| value > limit`.
fn is_plain_test(expr: &Expr) -> bool {
    match expr {
        Expr::Closure(closure) => is_constant(&closure.body),
        other => is_constant(other),
    }
}

/// The scrutinee of `matches!(scrutinee, ..)`.
fn of_matches(mac: &Macro) -> Option<Expr> {
    let first = |input: ParseStream| {
        let scrutinee: Expr = input.parse()?;
        input.parse::<proc_macro2::TokenStream>()?;
        Ok(scrutinee)
    };
    let named = mac.path.segments.last().is_some_and(|last| last.ident == "matches");
    named.then(|| first.parse2(mac.tokens.clone()).ok()).flatten()
}
