//! The walk over one body: scopes, locals with their written types, and each path, call, macro and cast.

use super::locals::Local;
use super::syntax::{exempts, is_address, lends};
use super::{Hit, Kind, ends};
use crate::attributes;
use crate::errors::Code;
use crate::source::{Content, Crate, Env, Macro, Origin, Ty, Want, Written, is_off};
use crate::{order, rules};
use quote::ToTokens;
use std::collections::HashMap;
use std::rc::Rc;
use syn::visit::{self, Visit};
use syn::{Attribute, Block, Expr, FnArg, Item, Pat, Signature, Stmt, Type};

/// A function in a body: its attributes, signature and block.
struct Inner<'a>(&'a [Attribute], &'a Signature, &'a Block);

/// One body, or a part of one.
pub(super) struct Walker<'a> {
    pub(super) krate: &'a Crate,
    pub(super) env: Env,
    /// The locals in scope, from the outermost block.
    pub(super) locals: Vec<HashMap<String, Local>>,
    pub(super) hits: Vec<Hit>,
    /// Whether this is a function called by a workflow, where the compiler's layers do not reach.
    pub(super) followed: bool,
    /// The order of the next visited expression is not observable.
    pub(super) unordered: bool,
    /// The written type of the next visited expression.
    expected: Option<Type>,
    /// The type of the arguments of the next visited closure.
    pub(super) closure_argument: Option<Ty>,
    /// Whether they are borrowed mutably.
    closure_lent: bool,
    /// The macros of the crate being read. A macro that expands to itself is read once.
    pub(super) macros: Vec<*const Macro>,
}

impl<'a> Walker<'a> {
    pub(super) fn new(krate: &'a Crate, env: Env, followed: bool) -> Self {
        Self {
            krate,
            env,
            locals: Vec::new(),
            hits: Vec::new(),
            followed,
            unordered: false,
            expected: None,
            closure_argument: None,
            closure_lent: false,
            macros: Vec::new(),
        }
    }

    pub(super) fn function(&mut self, attrs: &[Attribute], sig: &Signature, block: &Block) {
        self.within(|walker| {
            for input in &sig.inputs {
                match input {
                    FnArg::Typed(arg) => walker.bind_typed(&arg.pat, &arg.ty),
                    FnArg::Receiver(_) => {}
                }
            }
            if sig.asyncness.is_none() {
                walker.instrumented(attrs);
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

    fn arm(&mut self, arm: &syn::Arm, of: &Expr, ty: &Ty) {
        self.within(|walker| {
            match &arm.pat {
                Pat::Guard(guarded) => {
                    walker.bind(&guarded.pat, ty.clone());
                    walker.visit_expr(&guarded.guard);
                }
                pat => walker.bind(pat, ty.clone()),
            }
            walker.lent(&arm.pat, of);
            walker.visit_expr(&arm.body);
        });
    }

    pub(super) fn hit(&mut self, tokens: &impl ToTokens, kind: Kind) {
        let (start, end) = ends(tokens);
        self.hits.push(Hit { start, end, kind });
    }

    /// The origin of items declared in a body. They have no file, and are checked at their declaration.
    fn origin(&self) -> Origin {
        Origin { module: self.env.module, file: Rc::from(std::path::Path::new("")), marked: true }
    }

    fn scoped_block(&mut self, block: &Block) {
        let origin = self.origin();
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
                if !is_off(attributes::of_statement(stmt), walker.krate.cfgs()) {
                    walker.visit_stmt(stmt);
                }
            }
        });
        if declares {
            self.env.blocks.pop();
        }
    }

    /// A function in the body, with its own locals and its own `Self`.
    fn inner_function(&mut self, function: Inner<'_>, self_ty: Option<Rc<Type>>) {
        let Inner(attrs, sig, block) = function;
        let outer = std::mem::take(&mut self.locals);
        let outer_ty = std::mem::replace(&mut self.env.self_ty, self_ty);
        self.function(attrs, sig, block);
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
        self.bind_local(local, ty);
    }

    fn visit_expr_let(&mut self, expr: &'ast syn::ExprLet) {
        self.visit_expr(&expr.expr);
        let ty = self.infer(&expr.expr);
        self.bind(&expr.pat, ty);
        self.lent(&expr.pat, &expr.expr);
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
        let element = self.infer(&expr.expr).element();
        self.within(|walker| {
            walker.bind(&expr.pat, element);
            walker.lent(&expr.pat, &expr.expr);
            walker.visit_block(&expr.body);
        });
    }

    fn visit_expr_match(&mut self, expr: &'ast syn::ExprMatch) {
        self.visit_expr(&expr.expr);
        let ty = self.infer(&expr.expr);
        for arm in expr.arms.iter().filter(|arm| !is_off(&arm.attrs, self.krate.cfgs())) {
            self.arm(arm, &expr.expr, &ty);
        }
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        self.within(|walker| {
            walker.bind(&arm.pat, Ty::Unknown);
            visit::visit_arm(walker, arm);
        });
    }

    fn visit_expr_closure(&mut self, expr: &'ast syn::ExprClosure) {
        let (argument, lent) = (self.closure_argument.take(), std::mem::take(&mut self.closure_lent));
        self.within(|walker| {
            for (index, input) in expr.inputs.iter().enumerate() {
                let ty = argument.clone().filter(|_| index == 0 && expr.inputs.len() == 1);
                walker.bind(input, ty.unwrap_or(Ty::Unknown));
                walker.bound_to_change_all(input, lent);
            }
            walker.visit_expr(&expr.body);
        });
    }

    /// Only the guards of a pattern are code.
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
        if is_off(&expr.attrs, self.krate.cfgs()) {
            return;
        }
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
        if is_off(&expr.attrs, self.krate.cfgs()) {
            return;
        }
        let before = self.hits.len();
        let (outside, expected) = (std::mem::take(&mut self.unordered), self.expected.take());
        self.unordered = order::forgotten(expr, outside, expected.as_ref());
        self.visit_expr(&expr.receiver);
        self.unordered = outside;
        // One mistake gives one message: if the receiver was reported, the method is not.
        if self.hits.len() == before {
            self.method(expr);
        }
        self.unordered = false;
        for arg in &expr.args {
            let is_closure = matches!(arg, Expr::Closure(_));
            self.closure_argument = is_closure.then(|| self.closure_argument_of(expr));
            self.closure_lent = is_closure && lends(&expr.receiver);
            self.visit_expr(arg);
        }
        self.closure_argument = None;
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
                rules::ADDRESS,
                rules::OWN_ID,
            ));
        }
        visit::visit_expr_cast(self, expr);
    }

    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Fn(item) => self.inner_function(Inner(&item.attrs, &item.sig, &item.block), None),
            Item::Impl(item) => {
                let self_ty = Rc::new((*item.self_ty).clone());
                for inner in &item.items {
                    if let syn::ImplItem::Fn(method) = inner {
                        let function = Inner(&method.attrs, &method.sig, &method.block);
                        self.inner_function(function, Some(self_ty.clone()));
                    }
                }
            }
            Item::Static(item) if matches!(item.mutability, syn::StaticMutability::Mut(_)) => {
                self.hits.push(Hit::rule(
                    &item.ident,
                    Code::Global,
                    format!("`static mut {}`", item.ident),
                    rules::GLOBAL,
                    rules::STATE,
                ));
            }
            Item::Static(item) => self.visit_expr(&item.expr),
            Item::Const(item) => self.visit_expr(&item.expr),
            Item::Macro(item) => self.visit_item_macro(item),
            Item::Trait(item) => {
                for inner in &item.items {
                    if let syn::TraitItem::Fn(syn::TraitItemFn { attrs, sig, default: Some(block), .. }) =
                        inner
                    {
                        self.inner_function(Inner(attrs, sig, block), None);
                    }
                }
            }
            Item::Mod(item) => {
                let Some((_, items)) = &item.content else { return };
                let content = self.krate.inner_module(items, &self.origin());
                let outer = std::mem::replace(&mut self.env.blocks, vec![Rc::new(content)]);
                items.iter().for_each(|item| self.visit_item(item));
                self.env.blocks = outer;
            }
            _ => {}
        }
    }

    fn visit_type(&mut self, _: &'ast Type) {}

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}
