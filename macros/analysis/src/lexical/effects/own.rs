//! The owner of a place that the arguments change: the arguments (a local of a block, a temporary value), or
//! the code around them. A `&mut` may reach the code around through a method chain of any length.

use super::Effects;
use crate::source::text;
use std::collections::HashMap;
use syn::visit::{self, Visit};
use syn::{Expr, Pat};

/// Methods that return a new value, which shares nothing with their receiver.
const COPYING: &[&str] =
    &["clone", "cloned", "copied", "to_owned", "to_string", "to_vec", "len", "count", "sum", "product"];

/// A name that the arguments bind.
#[derive(Clone, Copy)]
pub(super) struct Own {
    /// `mut n`: a change through this name changes the value itself. Without `mut`, only a `&mut` in the
    /// value allows a change.
    mutable: bool,
    /// The arguments also own the values that it refers to.
    inner: bool,
}

pub(super) type Names = HashMap<String, Own>;

impl Effects<'_, '_> {
    /// `inner`: the arguments own the values that this value refers to.
    pub(super) fn bind(&mut self, pattern: &Pat, inner: bool) {
        Bind { names: &mut self.own, inner }.visit_pat(pattern);
    }

    /// Whether an assignment changes only values that the arguments own.
    pub(super) fn assigns_own(&self, target: &Expr) -> bool {
        match target {
            Expr::Tuple(tuple) => tuple.elems.iter().all(|target| self.assigns_own(target)),
            Expr::Array(array) => array.elems.iter().all(|target| self.assigns_own(target)),
            Expr::Call(call) => call.args.iter().all(|target| self.assigns_own(target)),
            Expr::Struct(literal) => literal.fields.iter().all(|field| self.assigns_own(&field.expr)),
            // `_`, `..`
            Expr::Infer(_) | Expr::Range(_) => true,
            Expr::Paren(inner) => self.assigns_own(&inner.expr),
            Expr::Group(inner) => self.assigns_own(&inner.expr),
            Expr::Path(_) | Expr::Field(_) | Expr::Index(_) | Expr::Unary(_) => self.is_own(target),
            _ => false,
        }
    }

    /// Whether the arguments own the borrowed place: a local of theirs, or a temporary value.
    pub(super) fn is_own(&self, place: &Expr) -> bool {
        match place {
            Expr::Path(path) => path.path.get_ident().is_some_and(|name| self.own.contains_key(&text(name))),
            Expr::Paren(inner) => self.is_own(&inner.expr),
            Expr::Group(inner) => self.is_own(&inner.expr),
            Expr::Field(_) | Expr::Index(_) => self.holds(place),
            Expr::Unary(unary) if matches!(unary.op, syn::UnOp::Deref(_)) => self.points_to_own(&unary.expr),
            Expr::Verbatim(_) => false,
            _ => true,
        }
    }

    /// Whether the arguments own a part of it.
    fn holds(&self, base: &Expr) -> bool {
        match base {
            Expr::Path(path) => self.named(path).is_some_and(|own| own.mutable || own.inner),
            Expr::Paren(inner) => self.holds(&inner.expr),
            Expr::Group(inner) => self.holds(&inner.expr),
            Expr::Field(field) => self.holds(&field.base),
            Expr::Index(index) => self.holds(&index.expr),
            Expr::Unary(unary) => self.points_to_own(&unary.expr),
            Expr::Call(call) => call.args.iter().all(|arg| matches!(arg, Expr::Lit(_))),
            Expr::MethodCall(_) => self.reaches(base),
            Expr::Lit(_)
            | Expr::Struct(_)
            | Expr::Array(_)
            | Expr::Tuple(_)
            | Expr::Repeat(_)
            | Expr::Macro(_) => true,
            _ => false,
        }
    }

    /// Whether the arguments own `*reference`. A reference that a function returns points elsewhere.
    fn points_to_own(&self, reference: &Expr) -> bool {
        !matches!(reference, Expr::Call(_)) && self.reaches(reference)
    }

    /// Whether the arguments own all that a value refers to.
    pub(super) fn reaches(&self, value: &Expr) -> bool {
        match value {
            Expr::Path(path) => self.named(path).is_some_and(|own| own.inner),
            Expr::Paren(inner) => self.reaches(&inner.expr),
            Expr::Group(inner) => self.reaches(&inner.expr),
            Expr::Try(inner) => self.reaches(&inner.expr),
            Expr::Field(_) | Expr::Index(_) => self.holds(value),
            Expr::Unary(unary) if matches!(unary.op, syn::UnOp::Deref(_)) => self.reaches(&unary.expr),
            Expr::Reference(inner) => self.is_own(&inner.expr),
            Expr::MethodCall(call) if COPYING.contains(&text(&call.method).as_str()) => true,
            // A method may take `self` by reference.
            Expr::MethodCall(call) => match &*call.receiver {
                Expr::Path(path) => self.named(path).is_some_and(|own| own.mutable || own.inner),
                receiver => self.reaches(receiver),
            },
            Expr::Call(call) => call.args.iter().all(|part| self.is_let_in(part)),
            Expr::Tuple(tuple) => tuple.elems.iter().all(|part| self.is_let_in(part)),
            Expr::Array(array) => array.elems.iter().all(|part| self.is_let_in(part)),
            Expr::Struct(literal) => literal.fields.iter().all(|field| self.is_let_in(&field.expr)),
            _ => true,
        }
    }

    /// A part of a new value. A copied or moved part belongs to the new value.
    fn is_let_in(&self, part: &Expr) -> bool {
        match part {
            Expr::MethodCall(_) | Expr::Reference(_) | Expr::Call(_) => self.reaches(part),
            _ => true,
        }
    }

    fn named(&self, path: &syn::ExprPath) -> Option<&Own> {
        self.own.get(&text(path.path.get_ident()?))
    }
}

struct Bind<'a> {
    names: &'a mut Names,
    inner: bool,
}

impl<'ast> Visit<'ast> for Bind<'_> {
    fn visit_pat_ident(&mut self, pat: &'ast syn::PatIdent) {
        let name = text(&pat.ident);
        // `None`, `MAX`: a name in capitals is a constant or a variant.
        if !name.starts_with(char::is_uppercase) {
            let mutable = pat.mutability.is_some() && pat.by_ref.is_none();
            self.names.insert(name, Own { mutable, inner: self.inner });
        }
        visit::visit_pat_ident(self, pat);
    }

    fn visit_expr(&mut self, _: &'ast Expr) {}
}
