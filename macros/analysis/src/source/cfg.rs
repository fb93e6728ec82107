//! Which items a `#[cfg(..)]` takes away. What rustc's command line says is known (`test`, features); the rest, such as
//! the target, is not, and then the item stays.

use proc_macro2::TokenTree;
use syn::Attribute;
use syn::punctuated::Punctuated;
use syn::{Meta, Token};

/// Whether an item is certainly not compiled.
pub(crate) fn is_off(attrs: &[Attribute], cfgs: &[String]) -> bool {
    attrs
        .iter()
        .filter(|attr| attr.path().is_ident("cfg"))
        .any(|attr| attr.parse_args::<Meta>().is_ok_and(|meta| holds(&meta, cfgs) == Some(false)))
}

/// Whether a predicate holds; `None`: not known.
fn holds(meta: &Meta, cfgs: &[String]) -> Option<bool> {
    match meta {
        Meta::Path(path) if path.is_ident("test") => Some(cfgs.iter().any(|cfg| cfg == "test")),
        Meta::Path(_) => None,
        Meta::NameValue(pair) if pair.path.is_ident("feature") => {
            let syn::Expr::Lit(value) = &pair.value else { return None };
            let syn::Lit::Str(value) = &value.lit else { return None };
            let wanted = format!("feature=\"{}\"", value.value());
            Some(cfgs.contains(&wanted))
        }
        Meta::NameValue(_) => None,
        Meta::List(list) => {
            let parts = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated).ok()?;
            let mut parts = parts.iter().map(|part| holds(part, cfgs));
            match list.path.get_ident()?.to_string().as_str() {
                "not" => parts.next()?.map(|held| !held),
                "all" => fold(parts, false),
                "any" => fold(parts, true),
                _ => None,
            }
        }
    }
}

/// `any` is decided by a `true`, `all` by a `false`; an unknown part makes the rest unknown.
fn fold(parts: impl Iterator<Item = Option<bool>>, decisive: bool) -> Option<bool> {
    let mut known = true;
    for part in parts {
        match part {
            Some(value) if value == decisive => return Some(decisive),
            Some(_) => {}
            None => known = false,
        }
    }
    known.then_some(!decisive)
}

/// The file that `#[path = ".."]` names.
pub(crate) fn path_of(attrs: &[Attribute]) -> Option<String> {
    let attr = attrs.iter().find(|attr| attr.path().is_ident("path"))?;
    let Meta::NameValue(pair) = &attr.meta else { return None };
    let syn::Expr::Lit(value) = &pair.value else { return None };
    match &value.lit {
        syn::Lit::Str(value) => Some(value.value()),
        _ => None,
    }
}

/// An identifier's text, without `r#`.
pub(crate) fn text(ident: &proc_macro2::Ident) -> String {
    let text = ident.to_string();
    text.strip_prefix("r#").map(str::to_owned).unwrap_or(text)
}

/// Whether a token is this punctuation.
pub(crate) fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

#[cfg(test)]
mod tests {
    use super::is_off;
    use syn::parse_quote;

    #[test]
    fn predicates() {
        let cfgs = ["test".to_owned(), "feature=\"a\"".to_owned()];
        let off = |attr: syn::Attribute| is_off(&[attr], &cfgs);
        assert!(!off(parse_quote!(#[cfg(test)])));
        assert!(off(parse_quote!(#[cfg(not(test))])));
        assert!(off(parse_quote!(#[cfg(feature = "b")])));
        assert!(off(parse_quote!(#[cfg(all(unix, feature = "b"))])));
        assert!(!off(parse_quote!(#[cfg(any(unix, feature = "b"))])));
        assert!(!off(parse_quote!(#[cfg(not(unix))])));
        assert!(!off(parse_quote!(#[inline])));
    }
}
