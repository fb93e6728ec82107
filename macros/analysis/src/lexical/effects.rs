//! Arguments that may not be evaluated: those of `tracing`'s macros (for a level that the build leaves out)
//! and of `debug_assert!` (in a release build). Their effects must not matter to the workflow (AB0120).
//!
//! Only certain effects are reported: an `.await`, `workflow::uuid` and similar functions, an assignment, a
//! `&mut` borrow, a call of an `FnMut` local, an exit from the body. The effects of other called functions
//! are not known.

mod fields;
mod own;

use super::Hit;
use super::expand::expand;
use super::walk::Walker;
use crate::attributes;
use crate::body::awaiting;
use crate::errors::Code;
use crate::rules;
use crate::source::{Found, Macro as MacroDef, Want, Written, is_off, text};
use own::Names;
use proc_macro2::TokenTree;
use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::{Block, Expr, Label, Macro, Stmt};

/// The functions of `workflow::` that have an effect when they are called, awaited or not.
const ACTING: &[&str] =
    &["random", "random_range", "uuid", "side_effect", "spawn", "saga", "cancelled", "publish"];
/// The most nested macros of the crate that are expanded, in arguments or expansions.
const MAX_EXPANDED: usize = 16;

impl Walker<'_> {
    /// Finds effects in the arguments of a macro that may leave them out.
    pub(super) fn unheard(&mut self, mac: &Macro, name: &str) {
        let shown = format!("{name}!");
        self.effects(&shown, |effects| match name.starts_with("debug_assert") {
            true => effects.arguments(&mac.tokens, name),
            false => effects.fields(&mac.tokens, name),
        });
    }

    /// Reports the effects that the visit finds in the arguments of `name`.
    fn effects(&mut self, name: &str, visit: impl FnOnce(&mut Effects<'_, '_>)) {
        let mut effects = Effects::new(self, name);
        visit(&mut effects);
        let hits = effects.hits;
        self.hits.extend(hits);
    }

    /// The effect of calling a value, if it is known: `workflow::uuid`, a closure, a local that holds one of
    /// these.
    pub(super) fn acts(&self, value: &Expr) -> Option<String> {
        match value {
            Expr::Paren(inner) => self.acts(&inner.expr),
            Expr::Group(inner) => self.acts(&inner.expr),
            Expr::Reference(inner) => self.acts(&inner.expr),
            Expr::Path(path) => self.acting(path),
            Expr::Closure(closure) => {
                let mut effects = Effects::new(self, "");
                effects.visit_expr_closure(closure);
                effects.found.into_iter().next()
            }
            Expr::Call(call) => match &*call.func {
                Expr::Path(path) if keeps(&path.path) => call.args.iter().find_map(|arg| self.acts(arg)),
                _ => None,
            },
            _ => None,
        }
    }

    /// The effect of calling the named function.
    fn acting(&self, path: &syn::ExprPath) -> Option<String> {
        if let Some(name) = path.path.get_ident().map(text)
            && self.local(&name).is_some()
        {
            return self.local_acts(&name).map(str::to_owned);
        }
        let written = Written::of(&path.path);
        let last = written.segments.last()?;
        let acts =
            path.qself.is_none() && ACTING.contains(&last.as_str()) && self.is_ours(&written, Want::Value);
        acts.then(|| format!("`workflow::{last}`"))
    }
}

/// Whether the called function keeps its argument unchanged: `Some(f)`, `Box::new(f)`.
fn keeps(path: &syn::Path) -> bool {
    let words: Vec<String> = path.segments.iter().rev().take(2).map(|segment| text(&segment.ident)).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    matches!(words.as_slice(), ["Some", ..] | ["new", "Box" | "Rc" | "Arc"])
}

struct Effects<'a, 'w> {
    walker: &'a Walker<'w>,
    /// The macro or attribute.
    name: &'a str,
    hits: Vec<Hit>,
    /// The texts of the findings.
    found: Vec<String>,
    /// Names that the arguments bind themselves. A change of them has no effect outside.
    own: Names,
    /// Whether `return` and `?`, and whether `break` and `continue`, would leave the arguments here.
    returns: bool,
    breaks: bool,
    /// The labels in scope that the arguments declare.
    labels: Vec<String>,
    /// Whether the arguments of the next closure refer only to values that the macro arguments own.
    given: Option<bool>,
    /// The number of the crate's macros around.
    expanded: usize,
}

impl<'a, 'w> Effects<'a, 'w> {
    fn new(walker: &'a Walker<'w>, name: &'a str) -> Self {
        Self {
            walker,
            name,
            hits: Vec::new(),
            found: Vec::new(),
            own: Names::new(),
            returns: true,
            breaks: true,
            labels: Vec::new(),
            given: None,
            expanded: 0,
        }
    }

    fn tell(&mut self, tokens: &impl ToTokens, what: &str) {
        self.found.push(what.to_owned());
        let what = format!("{what} in the arguments of `{}`", self.name);
        self.hits.push(Hit::rule(tokens, Code::Unheard, what, rules::UNHEARD, rules::BEFORE));
    }

    /// Checks a called function. Returns whether it was reported.
    fn call(&mut self, function: &Expr) -> bool {
        let Expr::Path(path) = function else { return false };
        let local = path.path.get_ident().map(text).filter(|local| !self.own.contains_key(local));
        match local {
            Some(local) if self.walker.changes(&local) => {
                self.tell(function, &format!("a call of the `FnMut` `{local}`"));
                true
            }
            _ => false,
        }
    }

    /// Visits code whose bindings end with it.
    fn scoped(&mut self, visit: impl FnOnce(&mut Self)) {
        let outer = self.own.clone();
        visit(self);
        self.own = outer;
    }

    /// Visits code in which `return` or `break` has another target.
    fn inside(&mut self, returns: bool, breaks: bool, visit: impl FnOnce(&mut Self)) {
        let outer = (self.returns, self.breaks);
        (self.returns, self.breaks) = (self.returns && returns, self.breaks && breaks);
        self.scoped(visit);
        (self.returns, self.breaks) = outer;
    }

    fn labelled(&mut self, label: Option<&Label>, visit: impl FnOnce(&mut Self)) {
        let outer = self.labels.len();
        self.labels.extend(label.map(|label| text(&label.name.ident)));
        visit(self);
        self.labels.truncate(outer);
    }

    /// Whether a `break` or `continue` leaves the arguments.
    fn leaves(&self, label: Option<&syn::Lifetime>) -> bool {
        label.map_or(self.breaks, |label| !self.labels.contains(&text(&label.ident)))
    }

    /// Checks the expansion of a macro of the crate. Returns whether it is known.
    fn expanded(&mut self, own: &MacroDef, mac: &Macro) -> bool {
        let at = mac.path.segments.last().map_or_else(proc_macro2::Span::call_site, |last| last.ident.span());
        if self.expanded >= MAX_EXPANDED {
            return false;
        }
        let Some(tokens) = expand(own.rules.clone(), &mac.tokens, at) else { return false };
        self.expanded += 1;
        match syn::parse::Parser::parse2(Block::parse_within, tokens.clone()) {
            Ok(stmts) => self.scoped(|effects| stmts.iter().for_each(|stmt| effects.visit_stmt(stmt))),
            Err(_) => self.awaits_in(&tokens.into_iter().collect::<Vec<TokenTree>>()),
        }
        self.expanded -= 1;
        true
    }
}

impl<'ast> Visit<'ast> for Effects<'_, '_> {
    fn visit_expr_await(&mut self, expr: &'ast syn::ExprAwait) {
        // Its operand belongs to the same mistake.
        self.tell(expr, "`.await`");
    }

    fn visit_expr_macro(&mut self, expr: &'ast syn::ExprMacro) {
        match awaiting(&expr.mac) {
            Some(name) => self.tell(expr, &format!("`{name}!`")),
            None => visit::visit_expr_macro(self, expr),
        }
    }

    fn visit_expr_call(&mut self, expr: &'ast syn::ExprCall) {
        if !self.call(&expr.func) {
            self.visit_expr(&expr.func);
        }
        expr.args.iter().for_each(|arg| self.visit_expr(arg));
    }

    fn visit_expr_path(&mut self, expr: &'ast syn::ExprPath) {
        let is_own = expr.path.get_ident().is_some_and(|name| self.own.contains_key(&text(name)));
        let Some(what) = self.walker.acting(expr).filter(|_| !is_own) else { return };
        match expr.path.get_ident() {
            Some(local) if self.walker.local(&text(local)).is_some() => {
                self.tell(expr, &format!("`{local}`, that is {what},"));
            }
            _ => self.tell(expr, &what),
        }
    }

    fn visit_expr_method_call(&mut self, expr: &'ast syn::ExprMethodCall) {
        self.visit_expr(&expr.receiver);
        for arg in &expr.args {
            self.given = matches!(arg, Expr::Closure(_)).then(|| self.reaches(&expr.receiver));
            self.visit_expr(arg);
        }
        self.given = None;
    }

    fn visit_expr_assign(&mut self, expr: &'ast syn::ExprAssign) {
        if !self.assigns_own(&expr.left) {
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
        // The returned value belongs to the same mistake.
        match self.returns {
            true => self.tell(expr, "`return`"),
            false => visit::visit_expr_return(self, expr),
        }
    }

    fn visit_expr_break(&mut self, expr: &'ast syn::ExprBreak) {
        match self.leaves(expr.label.as_ref()) {
            true => self.tell(expr, "`break`"),
            false => visit::visit_expr_break(self, expr),
        }
    }

    fn visit_expr_continue(&mut self, expr: &'ast syn::ExprContinue) {
        if self.leaves(expr.label.as_ref()) {
            self.tell(expr, "`continue`");
        }
    }

    /// Its code does not run there.
    fn visit_expr_async(&mut self, _: &'ast syn::ExprAsync) {}

    fn visit_expr_closure(&mut self, expr: &'ast syn::ExprClosure) {
        let inner = self.given.take().unwrap_or(true);
        self.inside(false, false, |effects| {
            expr.inputs.iter().for_each(|input| effects.bind(input, inner));
            effects.visit_expr(&expr.body);
        });
    }

    fn visit_expr_loop(&mut self, expr: &'ast syn::ExprLoop) {
        self.labelled(expr.label.as_ref(), |effects| {
            effects.inside(true, false, |effects| effects.visit_block(&expr.body));
        });
    }

    fn visit_expr_while(&mut self, expr: &'ast syn::ExprWhile) {
        self.labelled(expr.label.as_ref(), |effects| {
            effects.inside(true, false, |effects| visit::visit_expr_while(effects, expr));
        });
    }

    fn visit_expr_for_loop(&mut self, expr: &'ast syn::ExprForLoop) {
        self.visit_expr(&expr.expr);
        let inner = self.reaches(&expr.expr);
        self.labelled(expr.label.as_ref(), |effects| {
            effects.inside(true, false, |effects| {
                effects.bind(&expr.pat, inner);
                effects.visit_block(&expr.body);
            });
        });
    }

    fn visit_expr_block(&mut self, expr: &'ast syn::ExprBlock) {
        self.labelled(expr.label.as_ref(), |effects| effects.visit_block(&expr.block));
    }

    fn visit_block(&mut self, block: &'ast Block) {
        self.scoped(|effects| visit::visit_block(effects, block));
    }

    fn visit_stmt(&mut self, stmt: &'ast Stmt) {
        if !is_off(attributes::of_statement(stmt), self.walker.krate.cfgs()) {
            visit::visit_stmt(self, stmt);
        }
    }

    fn visit_expr_if(&mut self, expr: &'ast syn::ExprIf) {
        self.scoped(|effects| visit::visit_expr_if(effects, expr));
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        visit::visit_local(self, local);
        let inner = local.init.as_ref().is_none_or(|init| self.reaches(&init.expr));
        self.bind(&local.pat, inner);
    }

    fn visit_expr_match(&mut self, expr: &'ast syn::ExprMatch) {
        self.visit_expr(&expr.expr);
        let inner = self.reaches(&expr.expr);
        for arm in expr.arms.iter().filter(|arm| !is_off(&arm.attrs, self.walker.krate.cfgs())) {
            self.scoped(|effects| {
                effects.bind(&arm.pat, inner);
                visit::visit_arm(effects, arm);
            });
        }
    }

    fn visit_expr_let(&mut self, expr: &'ast syn::ExprLet) {
        visit::visit_expr_let(self, expr);
        let inner = self.reaches(&expr.expr);
        self.bind(&expr.pat, inner);
    }

    fn visit_macro(&mut self, mac: &'ast Macro) {
        let path = Written::of(&mac.path);
        if let Some(Found::Macro(own)) = self.walker.krate.resolve(&self.walker.env, &path, Want::Macro)
            && self.expanded(&own, mac)
        {
            return;
        }
        let name = path.segments.last().cloned().unwrap_or_default();
        self.arguments(&mac.tokens, &name);
    }

    fn visit_item(&mut self, _: &'ast syn::Item) {}

    fn visit_type(&mut self, _: &'ast syn::Type) {}

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}
