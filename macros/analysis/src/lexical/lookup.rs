//! Finds the target of a path or a method call: a rule, or a function of the crate, which is then followed.

use super::syntax::{Call, is_address};
use super::walk::Walker;
use super::{Hit, named};
use crate::errors::Code;
use crate::rules;
use crate::source::{Env, Found, Ty, Want, Written, text};
use quote::ToTokens;
use syn::Type;

impl Walker<'_> {
    /// A path that is used as a value, or called.
    pub(super) fn path(&mut self, path: &syn::Path, tokens: &impl ToTokens) {
        let written = Written::of(path);
        if let [name] = written.segments.as_slice()
            && (written.rooted || self.local(name).is_some())
        {
            return;
        }
        let found = self.krate.resolve(&self.env, &written, Want::Value);
        self.found(found, &written.to_string(), tokens);
    }

    /// `<T>::f` and `<T as Trait>::f`. A rule may forbid the function by its type or by its trait.
    pub(super) fn qualified(&mut self, expr: &syn::ExprPath, qself: &syn::QSelf) {
        let written = Written::of(&expr.path);
        let Some(last) = written.segments.last() else { return };
        let ty = self.krate.type_at(&self.env, &qself.ty);
        let mut path = written.clone();
        path.segments.pop();
        let of_trait = match self.krate.resolve(&self.env, &path, Want::Type) {
            Some(Found::Type(def, rest)) if qself.position > 0 && rest.is_empty() => Some(def),
            _ => None,
        };
        if let (Ty::Local(def, _), Some(_)) = (&ty, &of_trait) {
            let method = self.krate.method(def, last, of_trait.as_ref());
            method.iter().for_each(|method| self.follow(method, expr));
            return;
        }
        if self.method_of(&ty, last, expr) {
            return;
        }
        if written.segments.len() > 1 {
            let found = self.krate.resolve(&self.env, &written, Want::Type);
            self.found(found, &written.to_string(), expr);
        }
    }

    /// Searches the rules for the target of a path, or follows it.
    pub(super) fn found(&mut self, found: Option<Found>, written: &str, tokens: &impl ToTokens) {
        match found {
            Some(Found::Foreign(path)) => {
                self.foreign(&path, written, tokens);
            }
            Some(Found::Function(function)) => self.follow(&function, tokens),
            Some(Found::Type(def, rest)) => {
                let [name] = rest.as_slice() else { return };
                if let Some(method) = self.krate.method(&def, name, None) {
                    self.follow(&method, tokens);
                } else if let Some(constant) = self.krate.constant(&def, name) {
                    self.static_item(&constant, written, tokens);
                }
            }
            Some(Found::Static(item)) => self.static_item(&item, written, tokens),
            Some(Found::Module(_) | Found::Macro(_) | Found::Own) | None => {}
        }
    }

    /// Whether a rule forbids this path.
    pub(super) fn foreign(&mut self, path: &[String], written: &str, tokens: &impl ToTokens) -> bool {
        let Some(rule) = rules::find(path) else { return false };
        let what = named(&path.join("::"), written);
        self.hits.push(Hit::rule(tokens, rule.code, what, rule.reason, rule.instead));
        true
    }

    /// A method of a type that is written in the code. Returns whether the method is known.
    fn method_of(&mut self, ty: &Ty, name: &str, tokens: &impl ToTokens) -> bool {
        match ty {
            Ty::Foreign(path, _) => {
                let mut path = path.clone();
                path.push(name.to_owned());
                let full = rules::canonical(path);
                let written = full.join("::");
                self.foreign(&full, &written, tokens)
            }
            Ty::Local(def, _) => match self.krate.method(def, name, None) {
                Some(method) => {
                    self.follow(&method, tokens);
                    true
                }
                None => false,
            },
            Ty::Unknown => false,
        }
    }

    /// Whether a path that ends like one of abide's belongs to abide. The prelude's glob cannot be listed, so
    /// a path that resolves to nothing else belongs to abide if it contains `workflow::`.
    pub(super) fn is_ours(&self, written: &Written, want: Want) -> bool {
        match self.krate.resolve(&self.env, written, want) {
            Some(Found::Foreign(path)) => path.first().is_some_and(|first| first == "abide"),
            Some(_) => false,
            None => matches!(written.segments.as_slice(), [.., module, _] if module == "workflow"),
        }
    }

    pub(super) fn method(&mut self, expr: &syn::ExprMethodCall) {
        let name = text(&expr.method);
        if is_address(&expr.receiver) && ["addr", "expose_provenance"].contains(&name.as_str()) {
            self.hits.push(Hit::rule(
                &Call(expr),
                Code::Address,
                "the number of a pointer".to_owned(),
                rules::ADDRESS,
                rules::OWN_ID,
            ));
        }
        let ty = self.infer(&expr.receiver);
        // Starts at the receiver, so that the probes find the report.
        let call = Call(expr);
        if !self.method_of(&ty, &name, &call) {
            self.method_of(&ty.dereferenced(), &name, &call);
        }
        self.hash_order(expr, &ty);
    }

    /// `<State as Default>::default`.
    pub(super) fn default_of(&mut self, ty: &Type) {
        let found = self.krate.type_at(&self.env, ty);
        self.default_within(&found, ty, 0);
    }

    /// A written `Default`, or the `Default`s of the fields that a derived one calls.
    fn default_within(&mut self, found: &Ty, tokens: &impl ToTokens, depth: usize) {
        const MAX_DEPTH: usize = 8;
        let Ty::Local(def, _) = found else { return };
        if let Some(method) = self.krate.method(def, "default", None) {
            return self.follow(&method, tokens);
        }
        let mut fields: Vec<_> = def.fields.iter().filter(|_| depth < MAX_DEPTH).collect();
        fields.sort_by_key(|(name, _)| *name);
        let env = Env { module: def.module, blocks: self.env.blocks.clone(), self_ty: None };
        for (_, ty) in fields {
            let inner = self.krate.type_at(&env, ty);
            self.default_within(&inner, tokens, depth + 1);
        }
    }
}
