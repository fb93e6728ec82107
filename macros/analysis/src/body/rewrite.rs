//! The walk over a body: awaits, async blocks, closures, `self`.

use super::cells::Ends;
use super::probe::{Place, Probes};
use super::{ME, STATE, Taken, cells, hoist, join, local, macros, tail, take_state, uses_self};
use crate::errors::{Code, Errors};
use crate::krate::Private;
use crate::{lexical, lints, text};
use proc_macro2::{Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{
    Block, Expr, ExprAsync, ExprAwait, ExprClosure, ExprRepeat, GenericArgument, Item, Local, Pat, Stmt,
};

/// The rules at one place of the body.
#[derive(Clone, Copy)]
pub(super) struct Scope {
    /// `self` is `__self` here, and awaits hand over the state.
    pub(super) me: bool,
    /// `self` is the user's own receiver here: a method that is not `async`.
    pub(super) native: bool,
    /// `__abide_slot` is in scope.
    pub(super) slot: bool,
    /// Awaits belong to this async body.
    pub(super) awaits: bool,
}

pub(super) struct Rewriter<'a> {
    pub(super) private: &'a Private,
    pub(super) errors: &'a mut Errors,
    pub(super) scope: Scope,
    /// Whether the rewritten code names `__abide_slot`.
    pub(super) slot_used: bool,
    /// Whether the rewritten code hands the state over at an await.
    pub(super) awaited: bool,
    /// Whether the body contains code that must not be compiled. Its mistake was reported before.
    pub(super) broken: bool,
    /// Whether it is the body of a free-function workflow.
    pub(super) is_free_workflow: bool,
    /// The `self` of the signature, for hygiene.
    receiver: Span,
    pub(super) probes: Probes,
}

/// Functions of `workflow` that take a future.
const TAKES_FUTURE: &[&str] = &["spawn", "timeout", "shielded"];

impl<'a> Rewriter<'a> {
    pub(super) fn new(
        private: &'a Private,
        errors: &'a mut Errors,
        scope: Scope,
        receiver: Span,
        probes: Probes,
    ) -> Self {
        Self {
            private,
            errors,
            scope,
            slot_used: false,
            awaited: false,
            broken: false,
            is_free_workflow: false,
            receiver,
            probes,
        }
    }

    pub(super) fn local(&self, name: &str, at: Span) -> proc_macro2::Ident {
        local(name, at, self.receiver)
    }

    /// The rewritten statements of the function's own block.
    pub(super) fn statements(&mut self, block: &Block) -> TokenStream {
        let (mut block, ends) = (block.clone(), tail::of(block));
        self.visit_block_mut(&mut block);
        self.checked(&ends, &block.stmts)
    }

    /// Runs `f` in another scope. Returns whether it named the slot.
    pub(super) fn within(&mut self, scope: Scope, f: impl FnOnce(&mut Self)) -> bool {
        let outer = std::mem::replace(&mut self.scope, scope);
        let used = std::mem::replace(&mut self.slot_used, false);
        f(self);
        self.scope = outer;
        std::mem::replace(&mut self.slot_used, used)
    }

    /// A guarded await of `future`, which has already been rewritten. With a state, it hands the state over.
    ///
    /// `ends` are those of the whole expression. `at` is the span where rustc reports that the state is
    /// handed over.
    pub(super) fn awaited(
        &mut self,
        future: &TokenStream,
        site: &TokenStream,
        at: Span,
        ends: Ends,
    ) -> TokenStream {
        let (state, me) = (self.local(STATE, at), self.local(ME, at));
        let at = at.resolved_at(Span::call_site());
        let private = self.private.at(at);
        if !self.scope.me {
            return self.whole(ends, &quote_spanned!(at=> #private::guard(#future, &#site).await));
        }
        self.awaited = true;
        let handed_over = quote_spanned! {at=> match #private::guard(#future, &#site) { __abide_future => {
            let __abide_parked = #state.park();
            let __abide_value = __abide_future.await;
            #me = __abide_parked.resume();
            let _ = &#me;
            __abide_value
        }}};
        self.whole(ends, &handed_over)
    }

    /// Rewrites an awaited expression. One mistake gives one message: if the lexical layer has reported the
    /// future, rustc must not refuse it too.
    pub(super) fn future(&mut self, expr: &mut Expr) {
        let told = self.errors.holds(expr);
        self.visit_expr_mut(expr);
        if told {
            *expr = Expr::Verbatim(self.excused(expr));
        }
    }

    /// Converts a future whose mistake was reported into one that rustc accepts.
    fn excused(&self, expr: &Expr) -> TokenStream {
        let private = self.private;
        quote!(#private::flow::assume_deterministic("told of", #expr))
    }

    /// The same for `workflow::spawn(future)` and similar functions.
    fn excuse(&self, expr: &mut Expr) {
        let Expr::Call(call) = expr else { return };
        let Expr::Path(path) = &*call.func else { return };
        let mut words = path.path.segments.iter().rev().map(|segment| segment.ident.to_string());
        let takes = words.next().is_some_and(|name| TAKES_FUTURE.contains(&name.as_str()));
        if !takes || words.next().is_none_or(|module| module != "workflow") {
            return;
        }
        for arg in call.args.iter_mut().filter(|arg| self.errors.holds(arg)) {
            let excused = self.excused(arg);
            *arg = Expr::Verbatim(excused);
        }
    }

    fn expr_await(&mut self, mut expr: ExprAwait) -> Expr {
        if !self.scope.awaits {
            // Not an async body. rustc reports that.
            self.visit_expr_mut(&mut expr.base);
            return Expr::Await(expr);
        }
        if join::awaited_again(self, &expr) {
            return Expr::Await(expr);
        }
        let ends = (cells::ends(&expr.base).0, expr.await_token.span);
        let site = text::site(self.private, &expr.base, expr.base.span());
        self.future(&mut expr.base);
        let future = expr.base.to_token_stream();
        let attrs = &expr.attrs;
        let awaited = self.awaited(&future, &site, expr.await_token.span, ends);
        Expr::Verbatim(quote!(#(#attrs)* #awaited))
    }

    fn expr_async(&mut self, expr: ExprAsync) -> Expr {
        let (outer, ends) = (self.scope, (expr.async_token.span, expr.block.brace_token.span.close()));
        let me = (outer.me || outer.native) && uses_self(&expr.block);
        let scope = Scope { me, native: false, slot: outer.slot, awaits: true };
        let outer_awaits = std::mem::replace(&mut self.awaited, false);
        let mut statements = TokenStream::new();
        let slot_used = self.within(scope, |this| {
            statements = this.probe_body(Place::Async, |this| this.statements(&expr.block));
        });
        let awaits = std::mem::replace(&mut self.awaited, outer_awaits);
        let private = self.private;
        let taken = Taken { receiver: self.receiver, shared: false, slot_used, awaits };
        let prelude = match me {
            true => take_state(private, expr.async_token.span, &taken),
            false => TokenStream::new(),
        };
        let slot = (me || slot_used).then(|| {
            self.slot_used = true;
            quote!(let __abide_slot = __abide_slot.clone();)
        });
        let ExprAsync { attrs, async_token, capture, block, .. } = &expr;
        let body = quote_spanned!(block.brace_token.span.join()=> { #prelude #statements });
        // The slot moves in even if the block does not say `move`, because the block uses it by value.
        let future = quote!(#private::block(#(#attrs)* #async_token #capture #body));
        match slot {
            Some(slot) => Expr::Verbatim(self.whole(ends, &quote!({ #slot #future }))),
            None => Expr::Verbatim(future),
        }
    }

    fn expr_closure(&mut self, mut expr: ExprClosure) -> Expr {
        if let Some(token) = expr.asyncness {
            self.errors.at(
                Code::AsyncClosure,
                token.span,
                "async closures are not supported in workflow code",
                "write a closure that gives an async block: `|x| async move { .. }`",
            );
            return Expr::Closure(expr);
        }
        let (scope, ends) = (Scope { awaits: false, ..self.scope }, cells::ends(&expr.body));
        let slot_used = self.within(scope, |this| {
            this.probe_body(Place::Closure, |this| this.checked_expr(&mut expr.body));
        });
        self.slot_used |= slot_used;
        match expr.capture.is_some() && slot_used {
            // A `move` closure would take the body's own slot.
            true => {
                let ends = (expr.inputs_begin.span, ends.1);
                Expr::Verbatim(self.whole(ends, &quote!({ let __abide_slot = __abide_slot.clone(); #expr })))
            }
            false => Expr::Closure(expr),
        }
    }

    fn expr_plain(&mut self, mut expr: Expr) -> Expr {
        if !self.iterated_arguments(&mut expr) {
            visit_mut::visit_expr_mut(self, &mut expr);
        }
        expr
    }

    fn match_guards(&mut self, expr: &syn::ExprMatch) {
        if !self.scope.me || !hoist::is_state_place(&expr.expr) {
            return;
        }
        for arm in &expr.arms {
            let Pat::Guard(pat) = &arm.pat else { continue };
            if hoist::has_await(&pat.guard) {
                let scrutinee = text::source(expr.expr.to_token_stream());
                self.errors.add(
                    Code::GuardAwait,
                    &pat.guard,
                    "an await in a match guard, while the match looks into the workflow's state",
                    &format!("copy it first: `let value = {scrutinee};`, then `match value {{ .. }}`"),
                );
            }
        }
    }

    /// Rewrites `self` in tokens that are not expressions.
    pub(super) fn tokens(&mut self, stream: TokenStream) -> TokenStream {
        if !self.scope.me {
            return stream;
        }
        let mut out = Vec::new();
        let mut tokens = stream.into_iter().peekable();
        while let Some(token) = tokens.next() {
            out.push(match token {
                TokenTree::Ident(ident) if ident == "self" && !is_colon(tokens.peek()) => {
                    TokenTree::Ident(self.local(ME, ident.span()))
                }
                TokenTree::Group(group) => {
                    let mut new = Group::new(group.delimiter(), self.tokens(group.stream()));
                    new.set_span(group.span());
                    TokenTree::Group(new)
                }
                other => other,
            });
        }
        out.into_iter().collect()
    }
}

fn is_colon(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == ':')
}

/// Values recorded by `workflow::side_effect(..)` may differ, so clippy must not check them either. A match
/// arm can have attributes, but an argument cannot.
fn spare(expr: &mut Expr) {
    let Expr::Call(call) = expr else { return };
    if let Some(arg) = call.args.last_mut() {
        let lints = lints::allow();
        *arg = Expr::Verbatim(quote!(match () { #lints () => #arg }));
    }
}

impl VisitMut for Rewriter<'_> {
    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        self.excuse(expr);
        let exempt = matches!(expr, Expr::Call(call) if lexical::exempts(&call.func));
        let entered = self.enter(expr);
        let taken = std::mem::replace(expr, Expr::Verbatim(TokenStream::new()));
        *expr = match taken {
            Expr::Await(inner) => self.expr_await(inner),
            Expr::Async(inner) => self.expr_async(inner),
            Expr::Closure(inner) => self.expr_closure(inner),
            Expr::Macro(inner) => macros::expr_macro(self, inner),
            Expr::Try(inner) => join::expr_try(self, inner),
            Expr::Path(inner) if self.scope.me && inner.path.is_ident("self") => {
                Expr::Verbatim(self.local(ME, inner.span()).into_token_stream())
            }
            Expr::Const(inner) => Expr::Const(inner),
            Expr::Match(inner) => {
                self.match_guards(&inner);
                let mut expr = Expr::Match(inner);
                visit_mut::visit_expr_mut(self, &mut expr);
                expr
            }
            inner if self.scope.me && self.scope.awaits => match hoist::plan(&inner) {
                Some(plan) => plan.apply(self, inner),
                None => self.expr_plain(inner),
            },
            inner => self.expr_plain(inner),
        };
        self.leave(entered, expr);
        if exempt {
            spare(expr);
        }
    }

    fn visit_block_mut(&mut self, block: &mut Block) {
        self.probe_statements(block);
    }

    fn visit_local_mut(&mut self, local: &mut Local) {
        self.probe_local(local, false);
    }

    /// The count is a constant.
    fn visit_expr_repeat_mut(&mut self, expr: &mut ExprRepeat) {
        self.visit_expr_mut(&mut expr.expr);
    }

    /// Types and constants.
    fn visit_generic_argument_mut(&mut self, _: &mut GenericArgument) {}

    fn visit_stmt_mut(&mut self, stmt: &mut Stmt) {
        if let Stmt::Macro(inner) = stmt {
            let expr = syn::ExprMacro { attrs: std::mem::take(&mut inner.attrs), mac: inner.mac.clone() };
            *stmt = Stmt::Expr(Expr::Macro(expr), inner.semi_token);
        }
        visit_mut::visit_stmt_mut(self, stmt);
    }

    fn visit_arm_mut(&mut self, arm: &mut syn::Arm) {
        self.conditionally(&arm.attrs.clone(), |this| visit_mut::visit_arm_mut(this, arm));
    }

    /// An item in a body is not part of the body.
    fn visit_item_mut(&mut self, _: &mut Item) {}

    fn visit_type_mut(&mut self, _: &mut syn::Type) {}
}
