//! `join!` and `try_join!`: like tokio's, they await by themselves. Each is expanded into a guarded await.

use super::cells;
use super::macros::{self, Args, of_macro, variants};
use super::probe::Operands;
use super::rewrite::Rewriter;
use super::select_of;
use crate::errors::Code;
use crate::text;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::{Expr, ExprAwait, ExprMacro, ExprTry, Macro};

/// The name of the macro if it awaits by itself: `select!`, `join!`, `try_join!`.
pub(crate) fn awaiting(mac: &Macro) -> Option<String> {
    let name = mac.path.segments.last()?.ident.to_string();
    let known = ["select", "join", "try_join"].contains(&name.as_str());
    (known || select_of(mac).is_some()).then_some(name)
}

/// Refuses `join!(..).await`. Returns whether it was one.
pub(super) fn awaited_again(rewriter: &mut Rewriter<'_>, expr: &ExprAwait) -> bool {
    let Expr::Macro(inner) = unwrapped(&expr.base) else { return false };
    let Some(name) = awaiting(&inner.mac) else { return false };
    if macros::is_foreign(rewriter, &inner.mac) {
        return false;
    }
    rewriter.errors.at(
        Code::AwaitedAgain,
        expr.await_token.span,
        &format!("`.await` after `{name}!`, which awaits by itself, as tokio's does"),
        "remove the `.await`: what the macro gives is the value",
    );
    true
}

fn unwrapped(expr: &Expr) -> &Expr {
    match expr {
        Expr::Paren(inner) => unwrapped(&inner.expr),
        Expr::Group(inner) => unwrapped(&inner.expr),
        other => other,
    }
}

/// The operands, rewritten. `None`: this number of operands cannot be joined.
fn operands(rewriter: &mut Rewriter<'_>, mac: &Macro) -> Option<Vec<Expr>> {
    let parsed = Args::parse_terminated.parse2(mac.tokens.clone());
    let mut operands: Vec<Expr> = match parsed {
        Ok(operands) if (1..=12).contains(&operands.len()) => operands.into_iter().collect(),
        _ => {
            let help = "write `workflow::join!(first, second)`; for more of them, or a number known only at run time, \
                        `futures::future::join_all`";
            rewriter.errors.add(
                Code::Value,
                &mac.path,
                "it takes 1 to 12 futures, separated by commas",
                help,
            );
            return None;
        }
    };
    for operand in &mut operands {
        rewriter.in_macro(Operands::Futures, |rewriter| rewriter.future(operand));
    }
    Some(operands)
}

/// The future of a join: `function` joins the operands, each checked by `check`.
fn race(rewriter: &Rewriter<'_>, at: Span, function: &str, check: &str, operands: &[Expr]) -> TokenStream {
    // With this hygiene, rustc's "required by this call" underlines the macro's name.
    let at = at.resolved_at(Span::call_site());
    let private = rewriter.private.at(at);
    let (function, check) = (Ident::new(function, at), Ident::new(check, at));
    let check = quote_spanned!(at=> #private::flow::join::#check);
    quote!(#private::flow::join::#function((#(#check(#operands),)*)))
}

/// `join!(..)`, and `try_join!(..)` without a following `?`.
pub(super) fn expand(rewriter: &mut Rewriter<'_>, mut expr: ExprMacro, is_try: bool) -> Expr {
    let (at, ends) = (expr.mac.path.span(), of_macro(&expr.mac));
    let site = text::site(rewriter.private, &expr.mac, at);
    let Some(operands) = operands(rewriter, &expr.mac) else { return Expr::Macro(expr) };
    let race = match is_try {
        true => race(rewriter, at, "try_join", "try_check", &operands),
        false => race(rewriter, at, "join", "check", &operands),
    };
    let awaited = rewriter.awaited(&race, &site, at, ends);
    expr.mac.tokens = quote!(@abide #awaited);
    Expr::Macro(expr)
}

/// `try_join!(a, b)?`: `?` converts the error of each operand by itself, so the error types may differ.
pub(super) fn expr_try(rewriter: &mut Rewriter<'_>, mut expr: ExprTry) -> Expr {
    let ends = (cells::ends(&expr.expr).0, expr.question_token.span);
    let mut mac = match &*expr.expr {
        Expr::Macro(inner) if is_try_join(rewriter, &inner.mac) => inner.mac.clone(),
        _ => {
            syn::visit_mut::VisitMut::visit_expr_mut(rewriter, &mut expr.expr);
            return Expr::Try(expr);
        }
    };
    let at = mac.path.span();
    let site = text::site(rewriter.private, &mac, at);
    let Some(operands) = operands(rewriter, &mac) else { return Expr::Try(expr) };
    let race = race(rewriter, at, "try_join_each", "try_check", &operands);
    let awaited = rewriter.awaited(&race, &site, at, (ends.0, mac.delimiter.span().close()));
    mac.tokens = quote!(@abide #awaited);
    let private = rewriter.private.at(at.resolved_at(Span::call_site()));
    let one_of = format_ident!("OneOf{}", operands.len());
    let question = expr.question_token;
    let arms = variants(operands.len()).map(|variant| {
        let error = quote_spanned!(question.span()=> ::core::result::Result::Err::<#private::Never, _>(__abide_error));
        quote! {
            ::core::result::Result::Err(#private::flow::join::#one_of::#variant(__abide_error)) => {
                match #error #question {}
            }
        }
    });
    let joined = mac.to_token_stream();
    let opened =
        quote!(match #joined { ::core::result::Result::Ok(__abide_values) => __abide_values, #(#arms)* });
    Expr::Verbatim(rewriter.whole(ends, &opened))
}

fn is_try_join(rewriter: &mut Rewriter<'_>, mac: &Macro) -> bool {
    let named = mac.path.segments.last().is_some_and(|last| last.ident == "try_join");
    named && rewriter.scope.awaits && !macros::is_foreign(rewriter, mac)
}
