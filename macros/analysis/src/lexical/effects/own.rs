//! Whose a place is that is changed in the arguments: their own (a local of a block, a temporary value), or that of the
//! code around, which a `&mut` may reach however long the chain of methods is that gave it.

use super::Effects;
use crate::source::text;
use std::collections::HashMap;
use syn::visit::{self, Visit};
use syn::{Expr, Pat};

/// Methods that give a value of its own, which shares nothing with what they are called on.
const COPYING: &[&str] =
    &["clone", "cloned", "copied", "to_owned", "to_string", "to_vec", "len", "count", "sum", "product"];

/// A name that the arguments bind.
#[derive(Clone, Copy)]
pub(super) struct Own {
    /// `mut n`: it is the value itself that is changed by way of it. Another one is changed only through a `&mut` that it
    /// holds.
    mutable: bool,
    /// What it refers to is the arguments' own as well.
    inner: bool,
}

pub(super) type Names = HashMap<String, Own>;

impl Effects<'_, '_> {
    /// `inner`: what the value refers to is the arguments' own.
    pub(super) fn bind(&mut self, pattern: &Pat, inner: bool) {
        Bind { names: &mut self.own, inner }.visit_pat(pattern);
    }

    /// Whether all that an assignment changes is the arguments' own.
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

    /// Whether what is borrowed is the arguments' own: a local of theirs, or a value that lives there alone.
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

    /// Whether a part of it is the arguments' own.
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

    /// Whether `*reference` is the arguments' own. A reference that a function gives is to something elsewhere.
    fn points_to_own(&self, reference: &Expr) -> bool {
        !matches!(reference, Expr::Call(_)) && self.reaches(reference)
    }

    /// Whether what a value refers to is the arguments' own.
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
            // A method takes `self` by reference where that is what it wants.
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

    /// A part of a new value: one that is copied or moved into it is its own from then on.
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
