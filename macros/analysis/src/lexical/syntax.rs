//! Checks on one piece of syntax.

use crate::source::text;
use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::visit::Visit;
use syn::{Expr, Pat, Type};

/// Whether the arguments of a function need not be deterministic: `workflow::side_effect(..)` records the
/// value of its closure, and with `workflow::assume_deterministic("why", ..)` the author takes responsibility
/// for the future.
pub(crate) fn exempts(function: &Expr) -> bool {
    let Expr::Path(path) = function else { return false };
    let last = path.path.segments.last();
    last.is_some_and(|last| last.ident == "assume_deterministic" || last.ident == "side_effect")
}

/// `x as *const T`, `v.as_ptr()`.
pub(super) fn is_address(expr: &Expr) -> bool {
    match expr {
        Expr::Paren(inner) => is_address(&inner.expr),
        Expr::Group(inner) => is_address(&inner.expr),
        Expr::Cast(inner) => matches!(&*inner.ty, Type::Ptr(_)),
        Expr::RawAddr(_) => true,
        Expr::Call(call) => matches!(&*call.func, Expr::Path(path) if path.path.segments.last()
            .is_some_and(|last| last.ident == "from_ref" || last.ident == "from_mut")),
        Expr::MethodCall(call) => call.method == "as_ptr" || call.method == "as_mut_ptr",
        _ => false,
    }
}

/// Whether a value is borrowed mutably: `&mut f`, `fs.iter_mut()`, `f.as_mut().unwrap()`.
pub(super) fn lends(value: &Expr) -> bool {
    match value {
        Expr::Paren(inner) => lends(&inner.expr),
        Expr::Group(inner) => lends(&inner.expr),
        Expr::Try(inner) => lends(&inner.expr),
        Expr::Reference(inner) => inner.mutability.is_some(),
        Expr::MethodCall(call) => text(&call.method).ends_with("_mut") || lends(&call.receiver),
        _ => false,
    }
}

struct Names(Vec<String>);

/// The names that a pattern binds.
pub(super) fn bound(pattern: &Pat) -> Vec<String> {
    let mut names = Names(Vec::new());
    names.visit_pat(pattern);
    names.0
}

impl<'ast> Visit<'ast> for Names {
    fn visit_pat_ident(&mut self, pat: &'ast syn::PatIdent) {
        let name = text(&pat.ident);
        // `None`, `MAX`: a name in capitals is a constant or a variant.
        if !name.starts_with(char::is_uppercase) {
            self.0.push(name);
        }
        if let Some((_, inner)) = &pat.subpat {
            self.visit_pat(inner);
        }
    }
}

/// The tokens of a method call up to the method's name.
pub(super) struct Call<'a>(pub(super) &'a syn::ExprMethodCall);

impl ToTokens for Call<'_> {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.0.receiver.to_tokens(tokens);
        self.0.method.to_tokens(tokens);
    }
}
