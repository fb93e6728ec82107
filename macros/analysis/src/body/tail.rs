//! The end of a body: its last expression, and how statements of ours come after it.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::visit::{self, Visit};
use syn::{Block, Expr, ExprBreak, MacroDelimiter, Stmt};

/// Macros that never give a value back.
const DIVERGING: &[&str] = &["panic", "todo", "unreachable", "unimplemented"];

/// Braced macros that stand for an expression, not for statements.
const EXPRESSIONS: &[&str] = &["select", "vec", "format", "json", "matches"];

/// How `block` ends.
pub(super) enum Tail {
    /// With a value, in its last expression: `return` can say the same, and expects the same type of it.
    Value,
    /// With a statement, or an expression that is as good as one.
    Statement,
    /// So that nothing can come after it.
    Closed,
}

/// How `block`, not yet rewritten, ends.
pub(super) fn of(block: &Block) -> Tail {
    match block.stmts.last() {
        Some(Stmt::Expr(expr, None)) => of_expr(expr),
        Some(Stmt::Macro(last)) if last.semi_token.is_none() => of_macro(&last.mac),
        _ => Tail::Statement,
    }
}

/// How a body that is this expression ends.
pub(super) fn of_expr(expr: &Expr) -> Tail {
    // Attributes are refused on the operand of `return`.
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

/// `statements` of a body with `open` before and `checks` behind them; `tail` says how they ended before they were
/// rewritten. The lint must not speak of `return TAIL` where the tail is a `match` whose arms all return.
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
            // A block-like last expression is a statement as it stands; a macro is made one.
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
            // `select!` and its like have handlers, which may break.
            self.0 |= crate::signature::contains_word(mac.tokens.clone(), &["break"]);
        }
    }
    let mut search = Search(false);
    search.visit_block(block);
    search.0
}
