//! Finds the type of an expression where it is written: on a `let`, an argument, a field, a constructor's
//! path, the return type of a function of the crate. It never guesses.

use super::walk::Walker;
use super::{Hit, Kind};
use crate::errors::Code;
use crate::source::{Env, Found, Function, Static, Ty, Want, Written, text};
use crate::{order, rules};
use quote::ToTokens;
use std::rc::Rc;
use syn::{Expr, ExprMethodCall, Member, ReturnType};

/// Associated functions that return a value of their type.
const CONSTRUCTORS: &[&str] = &["new", "from", "default", "with_capacity", "open"];
/// Methods that return the type of their receiver.
const SAME: &[&str] =
    &["clone", "to_owned", "as_ref", "as_mut", "borrow", "borrow_mut", "to_path_buf", "as_path", "cloned"];
/// Methods that return the value inside an `Option` or `Result`.
const UNWRAPPING: &[&str] = &["unwrap", "expect", "unwrap_or", "unwrap_or_else", "unwrap_or_default"];
/// Methods that iterate over the items of their receiver.
const ITERATORS: &[&str] =
    &["iter", "iter_mut", "into_iter", "drain", "filter", "rev", "skip", "take", "copied", "chain"];
/// Methods that may return one item of their receiver.
const PICKING: &[&str] = &["first", "last", "get", "pop", "next", "nth", "find", "remove", "peek"];
/// Methods of a span, or of an entered one, that return it.
const SPANS: &[&str] = &["entered", "exit", "or_current", "record", "follows_from"];
const HASHED: &[&str] = &[
    "std::collections::HashMap",
    "std::collections::HashSet",
    "std::collections::hash_map::HashMap",
    "std::collections::hash_set::HashSet",
];

impl Walker<'_> {
    pub(super) fn infer(&self, expr: &Expr) -> Ty {
        match expr {
            Expr::Path(path) if path.qself.is_none() => self.infer_path(&path.path),
            Expr::Reference(inner) => self.infer(&inner.expr),
            Expr::Paren(inner) => self.infer(&inner.expr),
            Expr::Group(inner) => self.infer(&inner.expr),
            Expr::Unary(inner) if matches!(inner.op, syn::UnOp::Deref(_)) => {
                self.infer(&inner.expr).dereferenced()
            }
            Expr::Cast(cast) => self.krate.type_at(&self.env, &cast.ty),
            Expr::Field(field) => self.infer_field(field),
            Expr::Struct(literal) => {
                let path = syn::Type::Path(syn::TypePath {
                    attrs: Vec::new(),
                    qself: None,
                    path: literal.path.clone(),
                });
                self.krate.type_at(&self.env, &path)
            }
            Expr::Try(inner) => self.infer(&inner.expr).unwrapped(),
            Expr::Call(call) => match &*call.func {
                Expr::Path(path) if path.qself.is_none() => self.infer_call(&path.path),
                _ => Ty::Unknown,
            },
            Expr::Await(inner) => self.infer_awaited(&inner.base),
            Expr::Index(index) => self.infer(&index.expr).element(),
            Expr::If(inner) => self.infer_block(&inner.then_branch),
            Expr::Block(inner) => self.infer_block(&inner.block),
            Expr::MethodCall(call) => self.infer_method(call),
            Expr::Macro(call) => self.infer_macro(&call.mac),
            _ => Ty::Unknown,
        }
    }

    fn infer_macro(&self, mac: &syn::Macro) -> Ty {
        match self.krate.resolve(&self.env, &Written::of(&mac.path), Want::Macro) {
            Some(Found::Foreign(path)) if rules::makes_span(&path) => span(),
            _ => Ty::Unknown,
        }
    }

    fn infer_path(&self, path: &syn::Path) -> Ty {
        if let Some(name) = path.get_ident() {
            if name == "self" {
                let own = self.env.self_ty.as_ref();
                return own.map_or(Ty::Unknown, |ty| self.krate.type_at(&self.env, ty));
            }
            if let Some(ty) = self.local(&text(name)) {
                return ty.clone();
            }
        }
        match self.krate.resolve(&self.env, &Written::of(path), Want::Value) {
            Some(Found::Static(item)) => self.krate.type_at(&at(&item), &item.ty),
            Some(Found::Own | Found::Type(..)) => self.constructed(path),
            _ => Ty::Unknown,
        }
    }

    /// A unit or tuple struct, or a variant of an enum. Its name is its constructor.
    fn constructed(&self, path: &syn::Path) -> Ty {
        match self.krate.resolve(&self.env, &Written::of(path), Want::Type) {
            Some(Found::Type(def, rest)) if rest.iter().all(|name| name.starts_with(char::is_uppercase)) => {
                Ty::Local(def, Vec::new())
            }
            _ => Ty::Unknown,
        }
    }

    /// The type of its last expression, if that needs no name declared in the block.
    fn infer_block(&self, block: &syn::Block) -> Ty {
        match block.stmts.as_slice() {
            [syn::Stmt::Expr(expr, None)] => self.infer(expr),
            _ => Ty::Unknown,
        }
    }

    fn infer_field(&self, field: &syn::ExprField) -> Ty {
        let Ty::Local(def, _) = self.infer(&field.base).dereferenced() else { return Ty::Unknown };
        let name = match &field.member {
            Member::Named(name) => text(name),
            Member::Unnamed(index) => index.index.to_string(),
        };
        let env = Env { module: def.module, blocks: self.env.blocks.clone(), self_ty: None };
        def.fields.get(&name).map_or(Ty::Unknown, |ty| self.krate.type_at(&env, ty))
    }

    fn infer_call(&self, path: &syn::Path) -> Ty {
        match self.krate.resolve(&self.env, &Written::of(path), Want::Value) {
            Some(Found::Function(function)) => self.returned(&function),
            Some(Found::Type(def, rest)) => match rest.as_slice() {
                [name] => match self.krate.method(&def, name, None) {
                    Some(method) => self.returned(&method),
                    None => self.constructed(path),
                },
                _ => Ty::Unknown,
            },
            Some(Found::Own) => self.constructed(path),
            Some(Found::Foreign(path)) if rules::makes_span(&path) => span(),
            Some(Found::Foreign(mut path)) => match path.pop() {
                Some(last) if CONSTRUCTORS.contains(&last.as_str()) => Ty::Foreign(path, Vec::new()),
                _ => Ty::Unknown,
            },
            _ => Ty::Unknown,
        }
    }

    fn infer_method(&self, call: &ExprMethodCall) -> Ty {
        let (name, receiver) = (text(&call.method), self.infer(&call.receiver));
        if let Ty::Local(def, _) = receiver.dereferenced()
            && let Some(method) = self.krate.method(&def, &name, None)
        {
            return self.returned(&method);
        }
        match name.as_str() {
            name if SAME.contains(&name) => receiver,
            name if UNWRAPPING.contains(&name) => receiver.unwrapped(),
            name if ITERATORS.contains(&name) => receiver.iterator(),
            name if PICKING.contains(&name) => receiver.picked(),
            name if SPANS.contains(&name) && receiver.path() == span().path() => receiver,
            "join" if receiver.path().as_deref() == Some("std::path::Path") => receiver,
            _ => Ty::Unknown,
        }
    }

    fn returned(&self, function: &Function) -> Ty {
        match function.sig.asyncness {
            // An async function returns its future.
            Some(_) => Ty::Unknown,
            None => self.output(function),
        }
    }

    /// The type behind the arrow.
    pub(super) fn output(&self, function: &Function) -> Ty {
        let env = Env { module: function.module, blocks: Vec::new(), self_ty: function.self_ty.clone() };
        match &function.sig.output {
            ReturnType::Type(_, ty) => self.krate.type_at(&env, ty),
            ReturnType::Default => Ty::Unknown,
        }
    }

    /// Checks the order of a hash map in a followed function, where the compiler's probes do not reach.
    pub(super) fn hash_order(&mut self, call: &ExprMethodCall, receiver: &Ty) {
        if !self.followed || self.unordered || !order::iterates(call) || !is_hashed(receiver) {
            return;
        }
        self.hash_hit(&call.method);
    }

    /// Checks `for x in &map`.
    pub(super) fn iterated(&mut self, expr: &Expr) {
        if self.followed && is_hashed(&self.infer(expr)) {
            self.hash_hit(expr);
        }
    }

    fn hash_hit(&mut self, tokens: &impl ToTokens) {
        self.hits.push(Hit::rule(
            tokens,
            Code::HashOrder,
            "iterating a hash map or set".to_owned(),
            "is not deterministic: the order differs on every replay",
            "use `BTreeMap` / `BTreeSet`, or collect and sort",
        ));
    }

    /// Checks a `static` of the crate: whether it may be read, and the effects of its initializer.
    pub(super) fn static_item(&mut self, item: &Rc<Static>, written: &str, tokens: &impl ToTokens) {
        let ty = self.krate.type_at(&at(item), &item.ty);
        let shared = match (item.mutable, item.constant) {
            (true, _) => Some("static mut".to_owned()),
            (false, true) => None,
            (false, false) => shared_type(&ty),
        };
        match shared {
            // A `static` declared in the body was reported at its declaration.
            Some(_) if item.mutable && item.file.as_os_str().is_empty() => {}
            Some(what) => self.hits.push(Hit::rule(
                tokens,
                Code::Global,
                format!("the global `{written}` (`{what}`)"),
                rules::GLOBAL,
                rules::STATE,
            )),
            // A `static` declared in the body is checked at its declaration.
            None if item.file.as_os_str().is_empty() => {}
            None => {
                let chains = self.initializer(item, written);
                if !chains.is_empty() {
                    self.hit(tokens, Kind::Reaches { what: written.to_owned(), chains });
                }
            }
        }
    }
}

fn span() -> Ty {
    Ty::Foreign(vec!["tracing".to_owned(), "Span".to_owned()], Vec::new())
}

fn is_hashed(ty: &Ty) -> bool {
    ty.dereferenced().path().is_some_and(|path| HASHED.contains(&path.as_str()))
}

/// The first type in it that shares state between threads.
fn shared_type(ty: &Ty) -> Option<String> {
    let Ty::Foreign(path, args) = ty else { return None };
    let mut called = path.clone();
    called.push("new".to_owned());
    let shared =
        crate::rules::find(&called).is_some_and(|rule| matches!(rule.code, Code::Global | Code::Lock));
    if shared { ty.path() } else { args.iter().find_map(shared_type) }
}

/// The scope of a `static`.
pub(super) fn at(item: &Static) -> Env {
    Env { module: item.module, blocks: Vec::new(), self_ty: None }
}
