//! Macro invocations in a body. Arguments that parse as expressions are rewritten as expressions. In other
//! tokens, only `self` is renamed. An `.await` among them is refused, because the guard would not see it.
//!
//! `select!`, `join!`, `try_join!` and `until!` are expanded here. The expansion calls the macro of that name
//! with an `@abide` before the arguments, so rustc resolves the user's path and an editor finds the
//! documentation.

use super::cells::{self, Ends};
use super::probe::{Operands, Place};
use super::rewrite::{Rewriter, Scope};
use super::{ME, constant, hoist, join, select, uses_self};
use crate::errors::Code;
use crate::signature::contains_word;
use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit_mut::VisitMut;
use syn::{Expr, ExprMacro, Macro, Token};

pub(super) type Args = Punctuated<Expr, Token![,]>;

/// Macros of std and tracing that borrow their arguments.
const BY_REFERENCE: &[&str] = &[
    "print",
    "println",
    "eprint",
    "eprintln",
    "format",
    "write",
    "writeln",
    "panic",
    "assert",
    "assert_eq",
    "assert_ne",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
    "trace",
    "debug",
    "info",
    "warn",
    "error",
];

/// Macros that use an argument as a function would, so it can be probed. Not `assert!`, which shows its
/// source.
const LIKE_FUNCTIONS: &[&str] = &["vec", "matches", "todo", "unimplemented", "unreachable"];

pub(super) fn expr_macro(rewriter: &mut Rewriter<'_>, mut expr: ExprMacro) -> Expr {
    let name = expr.mac.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
    if rewriter.scope.awaits && is_foreign(rewriter, &expr.mac) {
        return Expr::Macro(expr);
    }
    match name.as_str() {
        "select" if rewriter.scope.awaits => {
            select::expand(rewriter, &mut expr.mac);
            Expr::Macro(expr)
        }
        _ if rewriter.scope.awaits && select::select_of(&expr.mac).is_some() => {
            select::expand(rewriter, &mut expr.mac);
            Expr::Macro(expr)
        }
        "join" | "try_join" if rewriter.scope.awaits => join::expand(rewriter, expr, name == "try_join"),
        "until" => {
            until(rewriter, &mut expr.mac);
            Expr::Macro(expr)
        }
        _ => arguments(rewriter, expr, &name),
    }
}

/// A `select!` or join of another crate. The lexical layer has reported it, and its expansion would fail
/// anyway.
pub(super) fn is_foreign(rewriter: &mut Rewriter<'_>, mac: &Macro) -> bool {
    let found = rewriter.errors.is_at(Code::ForeignSelect, &mac.path);
    rewriter.broken |= found;
    found
}

fn arguments(rewriter: &mut Rewriter<'_>, mut expr: ExprMacro, name: &str) -> Expr {
    let tokens = expr.mac.tokens.clone();
    if let Ok(args) = Args::parse_terminated.parse2(tokens.clone()) {
        return parsed(rewriter, expr, name, args);
    }
    if let Some(repeat) = repeat(rewriter, tokens.clone()) {
        expr.mac.tokens = repeat;
        return Expr::Macro(expr);
    }
    if rewriter.scope.awaits && contains_word(tokens.clone(), &["await"]) {
        if rewriter.errors.holds(&tokens) {
            // The lexical layer has reported it.
            rewriter.broken = true;
            return Expr::Macro(expr);
        }
        rewriter.errors.add(
            Code::HiddenAwait,
            &expr.mac.path,
            &format!("an `.await` in the arguments of `{name}!`, which abide cannot read"),
            "await first, into a variable, and hand that to the macro",
        );
        return Expr::Macro(expr);
    }
    expr.mac.tokens = rewriter.tokens(tokens);
    Expr::Macro(expr)
}

fn parsed(rewriter: &mut Rewriter<'_>, mut expr: ExprMacro, name: &str, args: Args) -> Expr {
    let (ends, trailing) = (of_macro(&expr.mac), args.trailing_punct());
    let mut args: Vec<Expr> = args.into_iter().collect();
    let plan = match rewriter.scope.me && BY_REFERENCE.contains(&name) {
        true => hoist::plan_by_reference(&args),
        false => None,
    };
    let mut taken = Vec::new();
    if let Some(plan) = &plan {
        plan.take(args.iter_mut(), &mut taken);
    }
    for arg in &mut args {
        rewriter.in_macro(operands(name), |rewriter| match arg {
            // `name = value` in a format macro.
            Expr::Assign(named) => rewriter.visit_expr_mut(&mut named.right),
            arg => rewriter.visit_expr_mut(arg),
        });
    }
    let comma = trailing.then(|| quote!(,));
    expr.mac.tokens = quote!(#(#args),* #comma);
    match taken.is_empty() {
        true => Expr::Macro(expr),
        false => Expr::Verbatim(hoist::around(ends, rewriter, taken, &expr.to_token_stream())),
    }
}

fn operands(name: &str) -> Operands {
    match name {
        "assert" | "debug_assert" => Operands::Hidden,
        name if LIKE_FUNCTIONS.contains(&name) || BY_REFERENCE.contains(&name) => Operands::Values,
        _ => Operands::Hidden,
    }
}

/// `vec![value; count]`.
fn repeat(rewriter: &mut Rewriter<'_>, tokens: TokenStream) -> Option<TokenStream> {
    let parser = |input: syn::parse::ParseStream| -> syn::Result<(Expr, Token![;], Expr)> {
        Ok((input.parse()?, input.parse()?, input.parse()?))
    };
    let (mut value, semi, mut count) = parser.parse2(tokens).ok()?;
    rewriter.in_macro(Operands::Hidden, |rewriter| {
        rewriter.visit_expr_mut(&mut value);
        rewriter.visit_expr_mut(&mut count);
    });
    Some(quote!(#value #semi #count))
}

fn until(rewriter: &mut Rewriter<'_>, mac: &mut Macro) {
    let Ok(mut condition) = syn::parse2::<Expr>(mac.tokens.clone()) else {
        let help = "write `workflow::until!(self.approved.is_some()).await`";
        rewriter.errors.add(Code::Value, &mac.path, "`until!` takes one condition", help);
        return;
    };
    if hoist::has_await(&condition) {
        let help =
            "await first, into a variable: the condition is asked again after every change of the state";
        rewriter.errors.add(Code::HiddenAwait, &condition, "an `.await` in the condition of `until!`", help);
        return;
    }
    if !rewriter.scope.slot {
        let (message, help) = match rewriter.is_free_workflow {
            true => (
                "`until!` in a workflow without state: nothing can change its condition",
                "write a type with a `#[workflow] impl`: its `#[signal]` methods change the state that the condition \
                 reads. To wait for a time write `workflow::sleep(..)`, for a task its `JoinHandle`",
            ),
            false => (
                "`until!` in a function without the workflow's state",
                "it watches the workflow's state: make the helper a method of the `#[workflow] impl`",
            ),
        };
        rewriter.errors.add(Code::Misplaced, &mac.path, message, help);
        return;
    }
    if constant::check(&condition, rewriter.errors) {
        return;
    }
    let me = rewriter.local(ME, mac.path.span());
    let (until, me) = match uses_self(&condition) {
        true => (quote!(until), quote!(#me)),
        false => (quote!(until_apart), quote!(_)),
    };
    let scope = Scope { me: rewriter.scope.me || rewriter.scope.native, awaits: false, ..rewriter.scope };
    rewriter.within(scope, |rewriter| {
        rewriter.probe_body(Place::Closure, |rewriter| rewriter.checked_expr(&mut condition));
    });
    rewriter.slot_used = true;
    let private = rewriter.private;
    let until = quote!(#private::flow::until::#until(&__abide_slot, |#me| #condition));
    let until = rewriter.whole(of_macro(mac), &until);
    mac.tokens = quote!(@abide #until);
}

/// The ends of an invocation.
pub(super) fn of_macro(mac: &Macro) -> Ends {
    (cells::ends(&mac.path).0, mac.delimiter.span().close())
}

/// The names of the variants of `OneOf3` and `Selected3`.
pub(super) fn variants(count: usize) -> impl Iterator<Item = Ident> {
    ('A'..='L').take(count).map(|letter| format_ident!("{}", letter))
}
