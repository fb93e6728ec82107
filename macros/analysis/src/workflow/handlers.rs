//! The rules for the body of a handler or of an `#[init]`. A query is answered at once from the state: it
//! cannot wait, and functions that record history are refused. A plain signal cannot wait either, but for it
//! the help is `async fn`.
//!
//! This module reads names. Names do not show an activity, or an imported `sleep`, called as a statement:
//! their types are checked (`Asked` of abide-core). Other mistakes are reported at run time, in the query's
//! answer (AB0409).

use super::model::{Method, Role};
use crate::body;
use crate::errors::{Code, Errors};
use crate::krate::Private;
use crate::signature::contains_word;
use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::visit_mut::{self, VisitMut};
use syn::{Block, Expr, Local, Pat, Stmt, Token};

/// The functions of `workflow::` that record history or advance a sequence that history depends on.
const RECORDED: &[&str] = &[
    "assume_deterministic",
    "cancelled",
    "continue_as_new",
    "handle",
    "handlers_finished",
    "join",
    "publish",
    "random",
    "random_range",
    "saga",
    "select",
    "shielded",
    "side_effect",
    "sleep",
    "sleep_until",
    "spawn",
    "timeout",
    "timeout_at",
    "try_join",
    "until",
    "uuid",
];

/// Other functions of `workflow::` that an `#[init]` cannot call, because no run with a time or an id exists
/// yet.
const OF_A_RUN: &[&str] = &["info", "now"];

/// Finds code that the handler's role does not allow.
pub(super) fn check_body(method: &mut Method, errors: &mut Errors) {
    let plain = method.function.sig.asyncness.is_none();
    if plain && matches!(method.role, Role::Query | Role::Signal | Role::Update | Role::Init) {
        Check { role: method.role, errors }.visit_block(&method.function.block);
    }
}

struct Check<'a> {
    role: Role,
    errors: &'a mut Errors,
}

impl Check<'_> {
    fn awaits(&mut self, at: Span) {
        let (message, help) = match self.role {
            Role::Query => (
                "a query cannot wait: it is answered at once, from the state",
                "let `run` or a `#[signal]` await it and keep the result in the state; answer from there",
            ),
            Role::Init => (
                "an `#[init]` cannot wait: it makes the state before the workflow begins",
                "let `run` await it, and keep the result in the state",
            ),
            Role::Update => ("an `.await` in an update that is no `async fn`", "write `async fn`"),
            _ => ("an `.await` in a signal that is no `async fn`", "write `async fn`"),
        };
        self.errors.at(self.code(), at, message, help);
    }

    fn code(&self) -> Code {
        if self.role == Role::Init { Code::InitBody } else { Code::Signature }
    }

    /// Checks a path. Returns whether it was reported.
    fn recorded(&mut self, path: &syn::Path) -> bool {
        let mut words = path.segments.iter().rev().map(|segment| segment.ident.to_string());
        let (last, module) = (words.next(), words.next());
        let Some(name) = last.filter(|_| module.as_deref() == Some("workflow")) else { return false };
        let is = |names: &[&str]| names.contains(&name.as_str());
        let (message, help) = match self.role {
            Role::Query if is(RECORDED) => (
                format!("`workflow::{name}` in a query: a query can only read the state"),
                "let `run` or a `#[signal]` call it and keep the result in the state; answer from there",
            ),
            Role::Init if is(RECORDED) || is(OF_A_RUN) => (
                format!("`workflow::{name}` in an `#[init]`: it makes the state from the input alone"),
                "let `run` call it, and keep the result in the state",
            ),
            _ => return false,
        };
        self.errors.add(self.code(), path, &message, help);
        true
    }
}

impl<'ast> Visit<'ast> for Check<'_> {
    fn visit_expr_await(&mut self, expr: &'ast syn::ExprAwait) {
        self.awaits(expr.await_token.span);
        // Its operand belongs to the same mistake.
    }

    fn visit_expr_async(&mut self, expr: &'ast syn::ExprAsync) {
        if matches!(self.role, Role::Query | Role::Init) {
            self.awaits(expr.async_token.span);
        }
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        if self.recorded(&mac.path) {
            return;
        }
        if body::awaiting(mac).is_some() {
            self.awaits(mac.path.span());
            return;
        }
        let hidden = contains_word(mac.tokens.clone(), &["await"]);
        match Punctuated::<Expr, Token![,]>::parse_terminated.parse2(mac.tokens.clone()) {
            Ok(args) => {
                let mut inside = Check { role: self.role, errors: &mut *self.errors };
                args.iter().for_each(|arg| inside.visit_expr(arg));
            }
            Err(_) if hidden && !contains_word(mac.tokens.clone(), &["async"]) => {
                self.awaits(mac.path.span())
            }
            Err(_) => {}
        }
    }

    fn visit_expr_call(&mut self, expr: &'ast syn::ExprCall) {
        // The arguments of a refused call belong to the same mistake.
        let told = matches!(&*expr.func, Expr::Path(function) if self.recorded(&function.path));
        if !told {
            visit::visit_expr_call(self, expr);
        }
    }

    fn visit_expr_path(&mut self, expr: &'ast syn::ExprPath) {
        self.recorded(&expr.path);
        visit::visit_expr_path(self, expr);
    }

    fn visit_item(&mut self, _: &'ast syn::Item) {}
}

/// Checks the types of calls that are statements in a query or an `#[init]`: a value that must be awaited is
/// refused.
pub(super) fn ask_statements(private: &Private, role: Role, block: &Block) -> Block {
    let mut asked = block.clone();
    Asking { private, role }.visit_block_mut(&mut asked);
    asked
}

struct Asking<'a> {
    private: &'a Private,
    role: Role,
}

impl VisitMut for Asking<'_> {
    fn visit_stmt_mut(&mut self, stmt: &mut Stmt) {
        visit_mut::visit_stmt_mut(self, stmt);
        match stmt {
            Stmt::Expr(expr @ (Expr::Call(_) | Expr::MethodCall(_)), Some(_)) => {
                let mut asked = self.ask(expr);
                asked.attrs.push(may_not_return());
                *expr = Expr::Match(asked);
            }
            Stmt::Local(Local { attrs, pat: Pat::Wild(_), init: Some(init), .. })
                if matches!(&*init.expr, Expr::Call(_) | Expr::MethodCall(_)) =>
            {
                attrs.push(may_not_return());
                *init.expr = Expr::Match(self.ask(&init.expr));
            }
            _ => {}
        }
    }

    fn visit_item_mut(&mut self, _: &mut syn::Item) {}
}

impl Asking<'_> {
    /// Checks an expression. The type of a statement's value is known there: no later statement can change
    /// it.
    fn ask(&self, expr: &Expr) -> syn::ExprMatch {
        let at = expr.span().resolved_at(Span::call_site());
        let private = self.private.at(at);
        let only = match self.role {
            Role::Init => quote_spanned!(at=> only_in_an_init),
            _ => quote_spanned!(at=> only_in_a_query),
        };
        let question: TokenStream = quote_spanned! {at=>
            if false {
                #[allow(unused_imports)]
                use #private::AnyAnswer as _;
                #private::#only(#private::Asked::of(&__abide_value).what());
            }
        };
        // The user's expression stays an expression, for the rewriting that follows. The check is not
        // rewritten.
        let mut asked: syn::ExprMatch = syn::parse_quote!(match () {
            #[allow(unreachable_code)]
            __abide_value => {}
        });
        // Not parsed there: `S {}.f()` may not come before a brace, and syn prints it with parentheses.
        *asked.expr = expr.clone();
        // From the expression's start to its end, so that a message about an unused value underlines the
        // user's statement.
        let (start, end) = body::ends(expr);
        asked.match_token.span = start;
        asked.brace_token = syn::token::Brace(end);
        for arm in &mut asked.arms {
            *arm.body = Expr::Verbatim(quote!({ #question __abide_value }));
        }
        asked
    }
}

/// For a statement whose value is checked: it may not return.
fn may_not_return() -> syn::Attribute {
    syn::parse_quote!(#[allow(unreachable_code)])
}
