//! Macro invocations in a body. Arguments that parse as expressions are rewritten as such; other tokens only get
//! their `self` renamed, and an `.await` among them is refused, since it would escape the guard.
//!
//! `select!` and `until!` are expanded here and handed to the macro of that name behind an `@abide`: so the user's
//! path is resolved by rustc, and an editor finds the documentation.

use super::cells::{self, Ends};
use super::probe::{Operands, Place};
use super::rewrite::{Rewriter, Scope};
use super::{ME, constant, hoist, select, uses_self};
use crate::errors::Code;
use crate::signature::contains_word;
use crate::text;
use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit_mut::VisitMut;
use syn::{Expr, ExprMacro, ExprTry, Macro, Token};

type Args = Punctuated<Expr, Token![,]>;

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

/// Macros that do with an argument what a function would: it can be probed. Not `assert!`, which shows its source.
const LIKE_FUNCTIONS: &[&str] = &["vec", "matches", "todo", "unimplemented", "unreachable"];

/// Macros of ours, whose operands are futures: only what is inside of those is worth a probe.
const OF_FUTURES: &[&str] = &["join", "try_join"];

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
        "until" => {
            until(rewriter, &mut expr.mac);
            Expr::Macro(expr)
        }
        _ => arguments(rewriter, expr, &name),
    }
}

/// A `select!` or join of another crate: the lexical layer has told of it, and its expansion would fail anyway.
fn is_foreign(rewriter: &mut Rewriter<'_>, mac: &Macro) -> bool {
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
            // The lexical layer has told of it.
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
            // `name = value` of a format macro.
            Expr::Assign(named) => rewriter.visit_expr_mut(&mut named.right),
            future if OF_FUTURES.contains(&name) => rewriter.future(future),
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
        name if OF_FUTURES.contains(&name) => Operands::Futures,
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

/// `try_join!(a, b).await?`: `?` converts the error of each operand by itself, so that their types may differ.
pub(super) fn expr_try(rewriter: &mut Rewriter<'_>, mut expr: ExprTry) -> Expr {
    let ends = (cells::ends(&expr.expr).0, expr.question_token.span());
    let Some((mut mac, site, at, count)) = try_join(rewriter, &expr.expr) else {
        rewriter.visit_expr_mut(&mut expr.expr);
        return Expr::Try(expr);
    };
    mac.tokens = {
        let tokens = &mac.tokens;
        quote!(@each #tokens)
    };
    let private = rewriter.private.at(at.resolved_at(proc_macro2::Span::call_site()));
    let awaited = rewriter.awaited(&mac.to_token_stream(), &site, at, ends);
    let one_of = format_ident!("OneOf{}", count);
    let question = expr.question_token;
    let arms = variants(count).map(|variant| {
        let error = quote_spanned!(question.span()=> ::core::result::Result::Err::<#private::Never, _>(__abide_error));
        quote! {
            ::core::result::Result::Err(#private::flow::join::#one_of::#variant(__abide_error)) => match #error #question {},
        }
    });
    let opened =
        quote!(match #awaited { ::core::result::Result::Ok(__abide_values) => __abide_values, #(#arms)* });
    Expr::Verbatim(rewriter.whole(ends, &opened))
}

/// The parts of `try_join!(..).await`, its operands rewritten.
fn try_join(
    rewriter: &mut Rewriter<'_>,
    expr: &Expr,
) -> Option<(Macro, TokenStream, proc_macro2::Span, usize)> {
    let Expr::Await(expr) = expr else { return None };
    let Expr::Macro(inner) = &*expr.base else { return None };
    let last = inner.mac.path.segments.last()?;
    let ours = last.ident == "try_join" && !is_foreign(rewriter, &inner.mac);
    if !ours || !rewriter.scope.awaits {
        return None;
    }
    let mut args = Args::parse_terminated.parse2(inner.mac.tokens.clone()).ok()?;
    let count = args.len();
    if !(1..=12).contains(&count) {
        return None;
    }
    let site = text::site(rewriter.private, &inner, inner.mac.path.span());
    for arg in &mut args {
        rewriter.in_macro(Operands::Futures, |rewriter| rewriter.future(arg));
    }
    let mut mac = inner.mac.clone();
    mac.tokens = args.to_token_stream();
    Some((mac, site, expr.await_token.span, count))
}

/// The names of the variants of `OneOf3` and `Selected3`.
pub(super) fn variants(count: usize) -> impl Iterator<Item = Ident> {
    ('A'..='L').take(count).map(|letter| format_ident!("{}", letter))
}
