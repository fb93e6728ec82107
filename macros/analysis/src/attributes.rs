//! The attributes before a statement or an expression, of whatever kind it is.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, Expr, Stmt};

/// Those of a statement.
pub(crate) fn of_statement(stmt: &Stmt) -> Vec<Attribute> {
    match stmt {
        Stmt::Local(local) => local.attrs.clone(),
        Stmt::Item(item) => crate::source::attrs_of(item).to_vec(),
        Stmt::Macro(mac) => mac.attrs.clone(),
        Stmt::Expr(expr, _) => of_expression(expr),
    }
}

/// Those of an expression. There are forty kinds, and all of them begin with their attributes.
pub(crate) fn of_expression(expr: &Expr) -> Vec<Attribute> {
    let tokens = expr.to_token_stream();
    let first = tokens.clone().into_iter().next();
    if !matches!(first, Some(TokenTree::Punct(punct)) if punct.as_char() == '#') {
        return Vec::new();
    }
    let attributes = |input: ParseStream<'_>| {
        let attributes = input.call(Attribute::parse_outer)?;
        input.parse::<TokenStream>()?;
        Ok(attributes)
    };
    attributes.parse2(tokens).unwrap_or_default()
}

/// Whether rustc may take the thing away.
pub(crate) fn is_conditional(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident("cfg"))
}
