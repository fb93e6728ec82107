//! Arguments that may not be evaluated: those of `tracing`'s macros (a level that the build leaves out) and of
//! `debug_assert!` (a release build). What they do there must not matter to the workflow (AB0120).
//!
//! Told is what certainly does something: an `.await`, a call of `workflow::uuid` and its kin, an assignment, a `&mut`
//! borrow, a call of an `FnMut` local, a way out of the body. What a function does that is called there is not known.

use super::Hit;
use super::macros::expressions;
use super::walk::Walker;
use crate::body::awaiting;
use crate::errors::Code;
use crate::rules;
use crate::source::{Want, Written, is_punct, text};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;
use std::collections::HashSet;
use syn::visit::{self, Visit};
use syn::{Expr, Macro, Pat};

/// What of `workflow::` does something when it is called, awaited or not.
const ACTING: &[&str] =
    &["random", "random_range", "uuid", "side_effect", "spawn", "saga", "patched", "continue_as_new"];

impl Walker<'_> {
    /// Looks for effects in the arguments of a macro that may leave them out.
    pub(super) fn unheard(&mut self, mac: &Macro, name: &str) {
        let mut effects = Effects {
            walker: self,
            name,
            hits: Vec::new(),
            own: HashSet::new(),
            returns: true,
            breaks: true,
        };
        match name.starts_with("debug_assert") {
            true => effects.arguments(&mac.tokens, name),
            false => effects.fields(&mac.tokens, name),
        }
        let hits = effects.hits;
        self.hits.extend(hits);
    }
}

struct Effects<'a, 'w> {
    walker: &'a Walker<'w>,
    /// The macro.
    name: &'a str,
    hits: Vec<Hit>,
    /// What the arguments bind themselves: a change of that is nobody else's.
    own: HashSet<String>,
    /// Whether `return` and `?`, and whether `break` and `continue`, would leave the arguments here.
    returns: bool,
    breaks: bool,
}

impl Effects<'_, '_> {
    fn tell(&mut self, tokens: &impl ToTokens, what: &str) {
        let what = format!("{what} in the arguments of `{}!`", self.name);
        self.hits.push(Hit::rule(tokens, Code::Unheard, what, rules::UNHEARD, rules::BEFORE));
    }

    /// Of a macro of `tracing`: what looks like a block may be fields.
    fn fields(&mut self, tokens: &TokenStream, name: &str) {
        let mut parts = split(tokens.clone());
        match parts.iter().any(|part| is_fields(part)) {
            true => parts.drain(..).for_each(|part| self.part(part)),
            false => self.arguments(tokens, name),
        }
    }

    fn arguments(&mut self, tokens: &TokenStream, name: &str) {
        match expressions(tokens.clone(), name) {
            Some(arguments) => {
                for argument in &arguments.expressions {
                    match argument {
                        // `name = value` is a field.
                        Expr::Assign(field) if matches!(&*field.left, Expr::Path(_) | Expr::Field(_)) => {
                            self.visit_expr(&field.right);
                        }
                        other => self.visit_expr(other),
                    }
                }
            }
            None => split(tokens.clone()).into_iter().for_each(|part| self.part(part)),
        }
    }

    /// `target: "x"`, `a.b = %value`, `?value`, `{ a = 1 }`.
    fn part(&mut self, mut part: Vec<TokenTree>) {
        if let [TokenTree::Ident(_), colon, next, ..] = part.as_slice()
            && is_punct(colon, ':')
            && !is_punct(next, ':')
        {
            part.drain(..2);
        }
        if let [TokenTree::Group(group)] = part.as_slice()
            && is_fields(&part)
        {
            return split(group.stream()).into_iter().for_each(|part| self.part(part));
        }
        if let Some(at) = (0..part.len()).find(|at| is_lone_equals(&part, *at))
            && part[..at].iter().all(
                |token| !matches!(token, TokenTree::Group(group) if group.delimiter() != Delimiter::Brace),
            )
        {
            part.drain(..=at);
        }
        let sigils = part.iter().take_while(|token| is_punct(token, '%') || is_punct(token, '?')).count();
        part.drain(..sigils);
        match syn::parse2::<Expr>(part.iter().cloned().collect()) {
            Ok(expr) => self.visit_expr(&expr),
            Err(_) => self.awaits_in(&part),
        }
    }

    /// `.await` in tokens that are no expression.
    fn awaits_in(&mut self, tokens: &[TokenTree]) {
        let mut before = None;
        for token in tokens {
            match token {
                TokenTree::Ident(word) if word == "await" && before.is_some_and(|it| is_punct(it, '.')) => {
                    self.tell(token, "`.await`");
                }
                TokenTree::Group(group) => {
                    self.awaits_in(&group.stream().into_iter().collect::<Vec<_>>());
                }
                _ => {}
            }
            before = Some(token);
        }
    }

    /// Whether what is changed there is the arguments' own.
    fn is_own(&self, place: &Expr) -> bool {
        match place {
            Expr::Path(path) => path.path.get_ident().is_some_and(|name| self.own.contains(&text(name))),
            Expr::Field(field) => self.is_own(&field.base),
            Expr::Index(index) => self.is_own(&index.expr),
            Expr::Paren(paren) => self.is_own(&paren.expr),
            Expr::Unary(unary) => self.is_own(&unary.expr),
            // A value that lives in the arguments alone.
            _ => true,
        }
    }

    fn bind(&mut self, pattern: &Pat) {
        self.own.extend(super::syntax::bound(pattern));
    }

    fn call(&mut self, call: &syn::ExprCall) {
        let Expr::Path(function) = &*call.func else { return };
        if let Some(local) = function.path.get_ident().map(text)
            && !self.own.contains(&local)
            && self.walker.changes(&local)
        {
            return self.tell(&call.func, &format!("a call of the `FnMut` `{local}`"));
        }
        let written = Written::of(&function.path);
        let last = written.segments.last().cloned().unwrap_or_default();
        if ACTING.contains(&last.as_str()) && self.walker.is_ours(&written, Want::Value) {
            self.tell(&call.func, &format!("`workflow::{last}`"));
        }
    }

    /// Visits code that a way out of leads somewhere else.
    fn inside(&mut self, returns: bool, breaks: bool, visit: impl FnOnce(&mut Self)) {
        let outer = (self.returns, self.breaks);
        (self.returns, self.breaks) = (self.returns && returns, self.breaks && breaks);
        visit(self);
        (self.returns, self.breaks) = outer;
    }
}

impl<'ast> Visit<'ast> for Effects<'_, '_> {
    fn visit_expr_await(&mut self, expr: &'ast syn::ExprAwait) {
        // What it awaits is part of the same mistake.
        self.tell(expr, "`.await`");
    }

    fn visit_expr_macro(&mut self, expr: &'ast syn::ExprMacro) {
        match awaiting(&expr.mac) {
            Some(name) => self.tell(expr, &format!("`{name}!`")),
            None => visit::visit_expr_macro(self, expr),
        }
    }

    fn visit_expr_call(&mut self, expr: &'ast syn::ExprCall) {
        self.call(expr);
        visit::visit_expr_call(self, expr);
    }

    fn visit_expr_assign(&mut self, expr: &'ast syn::ExprAssign) {
        if !self.is_own(&expr.left) {
            self.tell(expr, "an assignment");
        }
        visit::visit_expr_assign(self, expr);
    }

    fn visit_expr_binary(&mut self, expr: &'ast syn::ExprBinary) {
        use syn::BinOp::*;
        let assigns = matches!(
            expr.op,
            AddAssign(_)
                | SubAssign(_)
                | MulAssign(_)
                | DivAssign(_)
                | RemAssign(_)
                | BitXorAssign(_)
                | BitAndAssign(_)
                | BitOrAssign(_)
                | ShlAssign(_)
                | ShrAssign(_)
        );
        if assigns && !self.is_own(&expr.left) {
            self.tell(expr, "an assignment");
        }
        visit::visit_expr_binary(self, expr);
    }

    fn visit_expr_reference(&mut self, expr: &'ast syn::ExprReference) {
        if expr.mutability.is_some() && !self.is_own(&expr.expr) {
            self.tell(expr, "a `&mut` borrow");
        }
        visit::visit_expr_reference(self, expr);
    }

    fn visit_expr_try(&mut self, expr: &'ast syn::ExprTry) {
        let before = self.hits.len();
        visit::visit_expr_try(self, expr);
        if self.returns && self.hits.len() == before {
            self.tell(expr, "`?`");
        }
    }

    fn visit_expr_return(&mut self, expr: &'ast syn::ExprReturn) {
        if self.returns {
            self.tell(expr, "`return`");
        }
    }

    fn visit_expr_break(&mut self, expr: &'ast syn::ExprBreak) {
        if self.breaks {
            self.tell(expr, "`break`");
        }
    }

    fn visit_expr_continue(&mut self, expr: &'ast syn::ExprContinue) {
        if self.breaks {
            self.tell(expr, "`continue`");
        }
    }

    /// Nothing in it runs there.
    fn visit_expr_async(&mut self, _: &'ast syn::ExprAsync) {}

    fn visit_expr_closure(&mut self, expr: &'ast syn::ExprClosure) {
        expr.inputs.iter().for_each(|input| self.bind(input));
        self.inside(false, false, |effects| effects.visit_expr(&expr.body));
    }

    fn visit_expr_loop(&mut self, expr: &'ast syn::ExprLoop) {
        self.inside(true, false, |effects| visit::visit_expr_loop(effects, expr));
    }

    fn visit_expr_while(&mut self, expr: &'ast syn::ExprWhile) {
        self.inside(true, false, |effects| visit::visit_expr_while(effects, expr));
    }

    fn visit_expr_for_loop(&mut self, expr: &'ast syn::ExprForLoop) {
        self.bind(&expr.pat);
        self.inside(true, false, |effects| visit::visit_expr_for_loop(effects, expr));
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        self.bind(&local.pat);
        visit::visit_local(self, local);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        self.bind(&arm.pat);
        visit::visit_arm(self, arm);
    }

    fn visit_expr_let(&mut self, expr: &'ast syn::ExprLet) {
        self.bind(&expr.pat);
        visit::visit_expr_let(self, expr);
    }

    fn visit_macro(&mut self, mac: &'ast Macro) {
        let name = mac.path.segments.last().map(|last| text(&last.ident)).unwrap_or_default();
        self.arguments(&mac.tokens, &name);
    }

    fn visit_item(&mut self, _: &'ast syn::Item) {}

    fn visit_type(&mut self, _: &'ast syn::Type) {}

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}

/// `{ a = 1, %b }`, not a block of code.
fn is_fields(part: &[TokenTree]) -> bool {
    let [TokenTree::Group(group)] = part else { return false };
    let inside: Vec<TokenTree> = group.stream().into_iter().collect();
    let code = inside.iter().any(|token| is_punct(token, ';'));
    let fields = || {
        inside.iter().any(|token| is_punct(token, ','))
            || (0..inside.len()).any(|at| is_lone_equals(&inside, at))
    };
    group.delimiter() == Delimiter::Brace && !code && fields()
}

/// The parts between commas and semicolons.
fn split(tokens: TokenStream) -> Vec<Vec<TokenTree>> {
    let mut parts = vec![Vec::new()];
    for token in tokens {
        match (is_punct(&token, ',') || is_punct(&token, ';'), parts.last_mut()) {
            (false, Some(part)) => part.push(token),
            _ => parts.push(Vec::new()),
        }
    }
    parts
}

/// `=` that is no part of another operator.
fn is_lone_equals(part: &[TokenTree], at: usize) -> bool {
    const OPERATORS: &str = "=!<>+-*/%^&|";
    let is_any = |token: Option<&TokenTree>, of: &str| {
        token.is_some_and(|token| of.chars().any(|wanted| is_punct(token, wanted)))
    };
    is_any(part.get(at), "=")
        && !is_any(part.get(at + 1), "=>")
        && !(at > 0 && is_any(part.get(at - 1), OPERATORS))
}
