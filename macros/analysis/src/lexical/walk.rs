//! The walk over one body: scopes, locals with the types that are written, and each path, call, macro and cast on the
//! way.

use super::syntax::{Call, attributes, bound, exempts, is_address};
use super::{Hit, Kind, ends, named};
use crate::errors::Code;
use crate::source::{Content, Crate, Env, Found, Origin, Ty, Want, Written, is_off, text};
use crate::{order, rules};
use quote::ToTokens;
use std::collections::HashMap;
use std::rc::Rc;
use syn::visit::{self, Visit};
use syn::{Block, Expr, FnArg, Item, Pat, Signature, Stmt, Type};

/// One body, or a part of one.
pub(super) struct Walker<'a> {
    pub(super) krate: &'a Crate,
    pub(super) env: Env,
    /// What the locals in scope are, from the outermost block.
    pub(super) locals: Vec<HashMap<String, Ty>>,
    pub(super) hits: Vec<Hit>,
    /// A function that a workflow calls, not the workflow itself: the compiler's layers do not see into it.
    pub(super) followed: bool,
    /// The order of what is visited next shows nowhere.
    pub(super) unordered: bool,
    /// The type that is written for what is visited next.
    expected: Option<Type>,
}

impl<'a> Walker<'a> {
    pub(super) fn new(krate: &'a Crate, env: Env, followed: bool) -> Self {
        Self { krate, env, locals: Vec::new(), hits: Vec::new(), followed, unordered: false, expected: None }
    }

    pub(super) fn function(&mut self, sig: &Signature, block: &Block) {
        self.within(|walker| {
            for input in &sig.inputs {
                match input {
                    FnArg::Typed(arg) => {
                        let ty = walker.krate.type_at(&walker.env, &arg.ty);
                        walker.bind(&arg.pat, ty);
                    }
                    FnArg::Receiver(_) => {}
                }
            }
            walker.visit_block(block);
        });
    }

    /// Runs `f` in a scope of its own.
    pub(super) fn within(&mut self, f: impl FnOnce(&mut Self)) {
        self.locals.push(HashMap::new());
        f(self);
        self.locals.pop();
    }

    /// Binds what a pattern names; only a plain name gets the type.
    pub(super) fn bind(&mut self, pattern: &Pat, ty: Ty) {
        match pattern {
            Pat::Ident(name) if name.subpat.is_none() => self.bind_name(text(&name.ident), ty),
            Pat::Type(typed) => {
                let ty = self.krate.type_at(&self.env, &typed.ty);
                self.bind(&typed.pat, ty);
            }
            Pat::Reference(inner) => self.bind(&inner.pat, ty),
            Pat::Paren(inner) => self.bind(&inner.pat, ty),
            other => {
                for name in bound(other) {
                    self.bind_name(name, Ty::Unknown);
                }
            }
        }
    }

    fn bind_name(&mut self, name: String, ty: Ty) {
        if let Some(scope) = self.locals.last_mut() {
            scope.insert(name, ty);
        }
    }

    pub(super) fn local(&self, name: &str) -> Option<&Ty> {
        self.locals.iter().rev().find_map(|scope| scope.get(name))
    }

    /// A path that is used as a value, or called.
    fn path(&mut self, path: &syn::Path, tokens: &impl ToTokens) {
        let written = Written::of(path);
        if let [name] = written.segments.as_slice()
            && (written.rooted || self.local(name).is_some())
        {
            return;
        }
        let found = self.krate.resolve(&self.env, &written, Want::Value);
        self.found(found, &written.to_string(), tokens);
    }

    /// `<T>::f` and `<T as Trait>::f`: the function may be a rule's by the type or by the trait.
    fn qualified(&mut self, expr: &syn::ExprPath, qself: &syn::QSelf) {
        let written = Written::of(&expr.path);
        let Some(last) = written.segments.last() else { return };
        let ty = self.krate.type_at(&self.env, &qself.ty);
        if self.method_of(&ty, last, expr) {
            return;
        }
        if written.segments.len() > 1 {
            let found = self.krate.resolve(&self.env, &written, Want::Type);
            self.found(found, &written.to_string(), expr);
        }
    }

    /// Looks what a path leads to up in the catalogue, or follows it.
    pub(super) fn found(&mut self, found: Option<Found>, written: &str, tokens: &impl ToTokens) {
        match found {
            Some(Found::Foreign(path)) => {
                self.foreign(&path, written, tokens);
            }
            Some(Found::Function(function)) => self.follow(&function, tokens),
            Some(Found::Type(def, rest)) => {
                if let [name] = rest.as_slice()
                    && let Some(method) = self.krate.method(&def, name)
                {
                    self.follow(&method, tokens);
                }
            }
            Some(Found::Static(item)) => self.static_item(&item, written, tokens),
            Some(Found::Module(_) | Found::Macro(_) | Found::Own) | None => {}
        }
    }

    /// Whether a rule is against this path.
    pub(super) fn foreign(&mut self, path: &[String], written: &str, tokens: &impl ToTokens) -> bool {
        let Some(rule) = rules::find(path) else { return false };
        let what = named(&path.join("::"), written);
        self.hits.push(Hit::rule(tokens, rule.code, what, rule.reason, rule.instead));
        true
    }

    /// A method of a type that is written somewhere. Whether something is known of it.
    fn method_of(&mut self, ty: &Ty, name: &str, tokens: &impl ToTokens) -> bool {
        match ty {
            Ty::Foreign(path, _) => {
                let mut path = path.clone();
                path.push(name.to_owned());
                let full = rules::canonical(path);
                let written = full.join("::");
                self.foreign(&full, &written, tokens)
            }
            Ty::Local(def, _) => match self.krate.method(def, name) {
                Some(method) => {
                    self.follow(&method, tokens);
                    true
                }
                None => false,
            },
            Ty::Unknown => false,
        }
    }

    /// Whether a path that ends like one of abide's is one. The prelude is a glob that nobody can list: what does not
    /// lead anywhere else is ours if it says `workflow::`.
    pub(super) fn is_ours(&self, written: &Written, want: Want) -> bool {
        match self.krate.resolve(&self.env, written, want) {
            Some(Found::Foreign(path)) => path.first().is_some_and(|first| first == "abide"),
            Some(_) => false,
            None => matches!(written.segments.as_slice(), [.., module, _] if module == "workflow"),
        }
    }

    fn method(&mut self, expr: &syn::ExprMethodCall) {
        let name = text(&expr.method);
        let ty = self.infer(&expr.receiver);
        // From the receiver on: then the probes know that it was told of.
        let call = Call(expr);
        if !self.method_of(&ty, &name, &call) {
            self.method_of(&ty.dereferenced(), &name, &call);
        }
        self.hash_order(expr, &ty);
    }

    /// `<State as Default>::default`.
    pub(super) fn default_of(&mut self, ty: &Type) {
        let found = self.krate.type_at(&self.env, ty);
        if let Ty::Local(def, _) = &found
            && let Some(method) = self.krate.method(def, "default")
        {
            self.follow(&method, ty);
        }
    }

    pub(super) fn hit(&mut self, tokens: &impl ToTokens, kind: Kind) {
        let (start, end) = ends(tokens);
        self.hits.push(Hit { start, end, kind });
    }

    fn scoped_block(&mut self, block: &Block) {
        let origin =
            Origin { module: self.env.module, file: Rc::from(std::path::Path::new("")), marked: true };
        let declares = block.stmts.iter().any(|stmt| matches!(stmt, Stmt::Item(_)));
        if declares {
            let content: Content = self.krate.block(block, &origin);
            self.env.blocks.push(Rc::new(content));
        }
        self.within(|walker| {
            for (index, stmt) in block.stmts.iter().enumerate() {
                if let Stmt::Local(local) = stmt {
                    walker.unordered = order::sorted_by(local, block.stmts.get(index + 1));
                    walker.expected = order::written(local).cloned();
                }
                if !is_off(attributes(stmt), walker.krate.cfgs()) {
                    walker.visit_stmt(stmt);
                }
            }
        });
        if declares {
            self.env.blocks.pop();
        }
    }

    /// A function in the body: its own locals, its own `Self`.
    fn inner_function(&mut self, sig: &Signature, block: &Block, self_ty: Option<Rc<Type>>) {
        let outer = std::mem::take(&mut self.locals);
        let outer_ty = std::mem::replace(&mut self.env.self_ty, self_ty);
        self.function(sig, block);
        self.locals = outer;
        self.env.self_ty = outer_ty;
    }
}

impl<'ast> Visit<'ast> for Walker<'_> {
    fn visit_expr(&mut self, expr: &'ast Expr) {
        if !matches!(expr, Expr::MethodCall(_)) {
            (self.unordered, self.expected) = (false, None);
        }
        visit::visit_expr(self, expr);
    }

    fn visit_block(&mut self, block: &'ast Block) {
        self.scoped_block(block);
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        let mut ty = Ty::Unknown;
        if let Some(init) = &local.init {
            self.visit_expr(&init.expr);
            if let Some((_, diverge)) = &init.diverge {
                self.visit_expr(diverge);
            }
            ty = self.infer(&init.expr);
        }
        self.bind(&local.pat, ty);
    }

    fn visit_expr_let(&mut self, expr: &'ast syn::ExprLet) {
        self.visit_expr(&expr.expr);
        self.bind(&expr.pat, Ty::Unknown);
    }

    fn visit_expr_if(&mut self, expr: &'ast syn::ExprIf) {
        self.within(|walker| visit::visit_expr_if(walker, expr));
    }

    fn visit_expr_while(&mut self, expr: &'ast syn::ExprWhile) {
        self.within(|walker| visit::visit_expr_while(walker, expr));
    }

    fn visit_expr_for_loop(&mut self, expr: &'ast syn::ExprForLoop) {
        self.visit_expr(&expr.expr);
        self.iterated(&expr.expr);
        self.within(|walker| {
            walker.bind(&expr.pat, Ty::Unknown);
            walker.visit_block(&expr.body);
        });
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        self.within(|walker| {
            walker.bind(&arm.pat, Ty::Unknown);
            visit::visit_arm(walker, arm);
        });
    }

    fn visit_expr_closure(&mut self, expr: &'ast syn::ExprClosure) {
        self.within(|walker| {
            for input in &expr.inputs {
                walker.bind(input, Ty::Unknown);
            }
            walker.visit_expr(&expr.body);
        });
    }

    /// Only the guards in a pattern are code.
    fn visit_pat(&mut self, pat: &'ast Pat) {
        if let Pat::Guard(pat) = pat {
            self.visit_expr(&pat.guard);
        }
    }

    fn visit_expr_path(&mut self, expr: &'ast syn::ExprPath) {
        match &expr.qself {
            Some(qself) => self.qualified(expr, qself),
            None => self.path(&expr.path, expr),
        }
    }

    fn visit_expr_call(&mut self, expr: &'ast syn::ExprCall) {
        self.visit_expr(&expr.func);
        let exempt = exempts(&expr.func)
            && matches!(&*expr.func, Expr::Path(path) if self.is_ours(&Written::of(&path.path), Want::Value));
        for arg in &expr.args {
            if !exempt {
                self.visit_expr(arg);
            }
        }
    }

    fn visit_expr_method_call(&mut self, expr: &'ast syn::ExprMethodCall) {
        let before = self.hits.len();
        let (outside, expected) = (std::mem::take(&mut self.unordered), self.expected.take());
        self.unordered = order::forgotten(expr, outside, expected.as_ref());
        self.visit_expr(&expr.receiver);
        self.unordered = outside;
        // One mistake, one message: what is told of the receiver is not told again of its method.
        if self.hits.len() == before {
            self.method(expr);
        }
        self.unordered = false;
        expr.args.iter().for_each(|arg| self.visit_expr(arg));
    }

    fn visit_expr_macro(&mut self, expr: &'ast syn::ExprMacro) {
        self.macro_call(&expr.mac);
    }

    fn visit_stmt_macro(&mut self, stmt: &'ast syn::StmtMacro) {
        self.macro_call(&stmt.mac);
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        if item.ident.is_none() {
            self.macro_call(&item.mac);
        }
    }

    fn visit_expr_unsafe(&mut self, expr: &'ast syn::ExprUnsafe) {
        self.hits.push(Hit::rule(
            &expr.unsafe_token,
            Code::Unsafe,
            "`unsafe` in workflow code".to_owned(),
            "is outside of what abide can check",
            "do it in an `#[activity]`, or vouch for it: a function marked `#[workflow::deterministic(\"why\")]`",
        ));
        visit::visit_expr_unsafe(self, expr);
    }

    fn visit_expr_cast(&mut self, expr: &'ast syn::ExprCast) {
        if is_address(&expr.expr) && !matches!(&*expr.ty, Type::Ptr(_)) {
            self.hits.push(Hit::rule(
                expr,
                Code::Address,
                "a pointer cast to a number".to_owned(),
                "is not deterministic: an address differs in every process",
                "give the values ids of your own",
            ));
        }
        visit::visit_expr_cast(self, expr);
    }

    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Fn(item) => self.inner_function(&item.sig, &item.block, None),
            Item::Impl(item) => {
                let self_ty = Rc::new((*item.self_ty).clone());
                for inner in &item.items {
                    if let syn::ImplItem::Fn(method) = inner {
                        self.inner_function(&method.sig, &method.block, Some(self_ty.clone()));
                    }
                }
            }
            Item::Static(item) if matches!(item.mutability, syn::StaticMutability::Mut(_)) => {
                self.hits.push(Hit::rule(
                    &item.ident,
                    Code::Global,
                    format!("`static mut {}`", item.ident),
                    "is state outside of the workflow: a replay finds it changed",
                    "keep it in the workflow's state: a field of its struct",
                ));
            }
            Item::Static(item) => self.visit_expr(&item.expr),
            Item::Const(item) => self.visit_expr(&item.expr),
            Item::Macro(item) => self.visit_item_macro(item),
            // Its own scope, and rare in a body: what it holds is followed when it is called.
            _ => {}
        }
    }

    fn visit_type(&mut self, _: &'ast Type) {}

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}
