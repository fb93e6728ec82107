//! The types of the names in a pattern, as far as types are written around it.

use super::syntax::{bound, lends};
use super::walk::Walker;
use crate::source::{Env, Found, Ty, Want, Written, text};
use syn::{Expr, ExprMethodCall, Member, Pat, Type};

/// Methods that pass the items of a collection, an iterator, an `Option` or a `Result` to a closure, one by
/// one.
const ONE_BY_ONE: &[&str] = &[
    "map",
    "filter",
    "filter_map",
    "flat_map",
    "for_each",
    "any",
    "all",
    "find",
    "find_map",
    "position",
    "inspect",
    "take_while",
    "skip_while",
    "map_while",
    "partition",
    "max_by_key",
    "min_by_key",
    "is_some_and",
    "is_ok_and",
    "and_then",
    "retain",
    "sort_by_key",
];

impl Walker<'_> {
    /// Binds the names of a `let`.
    pub(super) fn bind_local(&mut self, local: &syn::Local, ty: Ty) {
        let init = local.init.as_ref().map(|init| &*init.expr);
        // Before the new names shadow older ones.
        let acting = init.map(|init| self.acting_parts(&local.pat, init)).unwrap_or_default();
        self.bind(&local.pat, ty);
        init.into_iter().for_each(|init| self.lent(&local.pat, init));
        for (name, acts) in acting {
            self.bound_to_act(&name, acts);
        }
    }

    /// The names of a pattern whose values have an effect when they are called.
    fn acting_parts(&self, pattern: &Pat, value: &Expr) -> Vec<(String, String)> {
        match (pattern, value) {
            (Pat::Type(typed), value) => self.acting_parts(&typed.pat, value),
            (Pat::Tuple(pats), Expr::Tuple(values)) if pats.elems.len() == values.elems.len() => {
                let pairs = pats.elems.iter().zip(&values.elems);
                pairs.flat_map(|(pat, value)| self.acting_parts(pat, value)).collect()
            }
            (Pat::Ident(name), value) => {
                self.acts(value).map(|acts| (text(&name.ident), acts)).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    /// The last bound names are parts of `value`. A call of one may change something if `value` is borrowed
    /// by `&mut`.
    pub(super) fn lent(&mut self, pattern: &Pat, value: &Expr) {
        match (pattern, value) {
            (Pat::Type(typed), value) => self.lent(&typed.pat, value),
            (Pat::Tuple(pats), Expr::Tuple(values)) if pats.elems.len() == values.elems.len() => {
                pats.elems.iter().zip(&values.elems).for_each(|(pat, value)| self.lent(pat, value));
            }
            _ => self.bound_to_change_all(pattern, lends(value)),
        }
    }

    pub(super) fn bound_to_change_all(&mut self, pattern: &Pat, changes: bool) {
        for name in bound(pattern).iter().filter(|_| changes) {
            self.bound_to_change(name);
        }
    }

    pub(super) fn bind(&mut self, pattern: &Pat, ty: Ty) {
        match pattern {
            Pat::Ident(name) if name.subpat.is_none() => {
                self.bind_name(text(&name.ident), ty);
                if name.mutability.is_some() {
                    self.bound_to_change(&text(&name.ident));
                }
            }
            Pat::Type(typed) => self.bind_typed(&typed.pat, &typed.ty),
            Pat::Reference(inner) => self.bind(&inner.pat, ty),
            Pat::Paren(inner) => self.bind(&inner.pat, ty),
            Pat::Guard(inner) => self.bind(&inner.pat, ty),
            Pat::TupleStruct(inner) => {
                for (index, pat) in inner.elems.iter().enumerate() {
                    let part = self.part(&inner.path, &ty, &index.to_string());
                    self.bind(pat, part);
                }
            }
            Pat::Struct(inner) => {
                for field in &inner.fields {
                    let name = match &field.member {
                        Member::Named(name) => text(name),
                        Member::Unnamed(index) => index.index.to_string(),
                    };
                    let part = self.part(&inner.path, &ty, &name);
                    self.bind(&field.pat, part);
                }
            }
            other => {
                for name in bound(other) {
                    self.bind_name(name, Ty::Unknown);
                }
            }
        }
    }

    /// `let (a, b): (Item, u32)`.
    pub(super) fn bind_typed(&mut self, pattern: &Pat, ty: &Type) {
        match (pattern, ty) {
            (Pat::Tuple(pats), Type::Tuple(types)) if pats.elems.len() == types.elems.len() => {
                for (pat, ty) in pats.elems.iter().zip(&types.elems) {
                    self.bind_typed(pat, ty);
                }
            }
            _ => {
                let found = self.krate.type_at(&self.env, ty);
                self.bind(pattern, found);
                if let (Pat::Ident(name), Type::Reference(reference)) = (pattern, ty)
                    && reference.mutability.is_some()
                {
                    self.bound_to_change(&text(&name.ident));
                }
            }
        }
    }

    /// The type of a field of `path { .. }` or `path(..)`.
    fn part(&self, path: &syn::Path, ty: &Ty, field: &str) -> Ty {
        match path.segments.last().map(|last| text(&last.ident)).as_deref() {
            Some("Some" | "Ok") => ty.unwrapped(),
            Some("Err") => ty.args().get(1).cloned().unwrap_or(Ty::Unknown),
            _ => match self.krate.resolve(&self.env, &Written::of(path), Want::Type) {
                Some(Found::Type(def, rest)) if rest.is_empty() => {
                    let env = Env { module: def.module, blocks: self.env.blocks.clone(), self_ty: None };
                    def.fields.get(field).map_or(Ty::Unknown, |ty| self.krate.type_at(&env, ty))
                }
                _ => Ty::Unknown,
            },
        }
    }

    /// The type that a method passes to its closure.
    pub(super) fn closure_argument_of(&self, call: &ExprMethodCall) -> Ty {
        match ONE_BY_ONE.contains(&text(&call.method).as_str()) {
            true => self.infer(&call.receiver).element(),
            false => Ty::Unknown,
        }
    }

    /// The output of an awaited expression: a call of the crate's own functions, without its options.
    pub(super) fn infer_awaited(&self, mut expr: &Expr) -> Ty {
        while let Expr::MethodCall(call) = expr {
            expr = &call.receiver;
        }
        let Expr::Call(call) = expr else { return Ty::Unknown };
        let Expr::Path(path) = &*call.func else { return Ty::Unknown };
        let function = match self.krate.resolve(&self.env, &Written::of(&path.path), Want::Value) {
            Some(Found::Function(function)) => function,
            Some(Found::Type(def, rest)) => match rest.as_slice() {
                [name] => match self.krate.method(&def, name, None) {
                    Some(method) => method,
                    None => return Ty::Unknown,
                },
                _ => return Ty::Unknown,
            },
            _ => return Ty::Unknown,
        };
        if function.sig.asyncness.is_none() {
            return Ty::Unknown;
        }
        let output = self.output(&function);
        let is_result = output.path().is_some_and(|path| path.ends_with("Result"));
        // An activity can fail, even if its body returns no `Result`.
        match function.marked && !is_result {
            true => Ty::Foreign(vec!["std".into(), "result".into(), "Result".into()], vec![output]),
            false => output,
        }
    }
}
