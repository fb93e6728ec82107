//! The end of a body: its last expression, and how our statements are added after it.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::visit::{self, Visit};
use syn::{Block, Expr, ExprBreak, MacroDelimiter, Stmt};

/// Macros that never return a value.
const DIVERGING: &[&str] = &["panic", "todo", "unreachable", "unimplemented"];

/// Macros in braces that are an expression and not statements.
const EXPRESSIONS: &[&str] = &["select", "vec", "format", "json", "matches"];

/// How `block` ends.
pub(super) enum Tail {
    /// With a value in its last expression. `return` can return it, and expects the same type of it.
    Value,
    /// With a statement, or an expression that acts as one.
    Statement,
    /// With code that nothing can follow.
    Closed,
}

/// The end of `block`, which is not yet rewritten.
pub(super) fn of(block: &Block) -> Tail {
    match block.stmts.last() {
        Some(Stmt::Expr(expr, None)) => of_expr(expr),
        Some(Stmt::Macro(last)) if last.semi_token.is_none() => of_macro(&last.mac),
        _ => Tail::Statement,
    }
}

/// The end of a body that is this expression.
pub(super) fn of_expr(expr: &Expr) -> Tail {
    // The operand of `return` cannot have attributes.
    if expr.to_token_stream().into_iter().next().is_some_and(|token| token.to_string() == "#") {
        return Tail::Closed;
    }
    match expr {
        Expr::ForLoop(_) | Expr::While(_) => Tail::Statement,
        Expr::Loop(inner) if !breaks_with_value(&inner.body) => Tail::Statement,
        Expr::If(inner) if inner.else_branch.is_none() => Tail::Statement,
        Expr::Return(_) | Expr::Continue(_) | Expr::Break(_) => Tail::Statement,
        Expr::Macro(inner) => of_macro(&inner.mac),
        Expr::Verbatim(_) => Tail::Closed,
        _ => Tail::Value,
    }
}

fn of_macro(mac: &syn::Macro) -> Tail {
    let name = mac.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
    match &mac.delimiter {
        _ if DIVERGING.contains(&name.as_str()) => Tail::Statement,
        MacroDelimiter::Brace(_) if !EXPRESSIONS.contains(&name.as_str()) => Tail::Closed,
        _ => Tail::Value,
    }
}

/// Puts `open` before the `statements` of a body and `checks` after them. `tail` is their end before they
/// were rewritten. `unreachable_code` is allowed, because `return TAIL` is unreachable if the tail is
/// a `match` whose arms all return.
pub(super) fn with_checks(
    tail: &Tail,
    open: &TokenStream,
    statements: &[Stmt],
    checks: &TokenStream,
) -> TokenStream {
    match (tail, statements.split_last()) {
        (Tail::Value, Some((last, before))) => quote! {
            #open
            #(#before)*
            #[allow(unreachable_code)]
            return #last;
            #[allow(unreachable_code, clippy::pedantic)]
            { #checks };
        },
        (Tail::Statement, _) => {
            // A block-like last expression is already a statement. A macro becomes one.
            let end = matches!(statements.last(), Some(Stmt::Expr(expr, None)) if !is_block_like(expr))
                .then(|| quote!(;));
            quote! {
                #open
                #(#statements)* #end
                #[allow(unreachable_code, clippy::pedantic)]
                if false { __abide_probe::never(); #checks };
            }
        }
        _ => quote!(#open #(#statements)*),
    }
}

fn is_block_like(expr: &Expr) -> bool {
    matches!(expr, Expr::ForLoop(_) | Expr::While(_) | Expr::Loop(_) | Expr::If(_))
}

fn breaks_with_value(block: &Block) -> bool {
    struct Search(bool);
    impl<'ast> Visit<'ast> for Search {
        fn visit_expr_break(&mut self, expr: &'ast ExprBreak) {
            self.0 |= expr.expr.is_some();
            visit::visit_expr_break(self, expr);
        }

        fn visit_macro(&mut self, mac: &'ast syn::Macro) {
            // `select!` and similar macros have handlers, which may break.
            self.0 |= crate::signature::contains_word(mac.tokens.clone(), &["break"]);
        }
    }
    let mut search = Search(false);
    search.visit_block(block);
    search.0
}
