//! Which items a `#[cfg(..)]` removes. Values on rustc's command line are known (`test`, features, the user's
//! own flags). If a condition needs an unknown value, such as the target, the item stays.

use proc_macro2::TokenTree;
use syn::Attribute;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Meta, Token};

/// Whether an item is certainly not compiled.
pub(crate) fn is_off(attrs: &[Attribute], cfgs: &[String]) -> bool {
    let predicates = attrs.iter().filter(|attr| attr.path().is_ident("cfg"));
    let mut predicates = predicates.filter_map(|attr| attr.parse_args::<Predicate>().ok());
    predicates.any(|predicate| predicate.holds(&mut |leaf| Predicate::leaf(leaf, cfgs)) == Some(false))
}

/// Values that rustc or a driver sets itself, which are not on the command line.
const BUILT_IN: &[&str] = &[
    "clippy",
    "debug_assertions",
    "doc",
    "doctest",
    "emscripten_wasm_eh",
    "fmt_debug",
    "miri",
    "overflow_checks",
    "panic",
    "proc_macro",
    "relocation_model",
    "rustfmt",
    "sanitize",
    "sanitizer_cfi_generalize_pointers",
    "sanitizer_cfi_normalize_integers",
    "ub_checks",
    "unix",
    "windows",
];

/// The predicate of a `#[cfg(..)]`.
pub(crate) enum Predicate {
    Is(bool),
    Leaf(Box<Meta>),
    Not(Box<Self>),
    All(Vec<Self>),
    Any(Vec<Self>),
}

impl Parse for Predicate {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.peek(syn::LitBool) {
            return Ok(Self::Is(input.parse::<syn::LitBool>()?.value));
        }
        let meta: Meta = input.parse()?;
        let Meta::List(list) = &meta else { return Ok(Self::Leaf(Box::new(meta))) };
        let parts = || list.parse_args_with(Punctuated::<Self, Token![,]>::parse_terminated);
        Ok(match list.path.get_ident().map(ToString::to_string).as_deref() {
            Some("not") => Self::Not(Box::new(list.parse_args()?)),
            Some("all") => Self::All(parts()?.into_iter().collect()),
            Some("any") => Self::Any(parts()?.into_iter().collect()),
            _ => Self::Leaf(Box::new(meta)),
        })
    }
}

impl Predicate {
    /// Whether it holds, by its leaves. `None`: unknown; then every leaf that it depends on was asked.
    pub(crate) fn holds(&self, leaf: &mut dyn FnMut(&Meta) -> Option<bool>) -> Option<bool> {
        match self {
            Self::Is(held) => Some(*held),
            Self::Leaf(meta) => leaf(meta),
            Self::Not(inner) => inner.holds(leaf).map(|held| !held),
            Self::All(parts) => fold(parts, false, leaf),
            Self::Any(parts) => fold(parts, true, leaf),
        }
    }

    /// Whether a flag or `key = "value"` is set, as far as rustc's command line says.
    pub(crate) fn leaf(meta: &Meta, cfgs: &[String]) -> Option<bool> {
        let name = meta.path().get_ident()?.to_string();
        if BUILT_IN.contains(&name.as_str()) || name.starts_with("target_") {
            return None;
        }
        match meta {
            Meta::Path(_) => Some(cfgs.contains(&name)),
            Meta::NameValue(pair) => {
                let syn::Expr::Lit(value) = &pair.value else { return None };
                let syn::Lit::Str(value) = &value.lit else { return None };
                Some(cfgs.contains(&format!("{name}=\"{}\"", value.value())))
            }
            Meta::List(_) => None,
        }
    }
}

/// A `true` decides `any`, a `false` decides `all`. Otherwise an unknown part makes the result unknown.
fn fold(parts: &[Predicate], decisive: bool, leaf: &mut dyn FnMut(&Meta) -> Option<bool>) -> Option<bool> {
    let mut known = true;
    for part in parts {
        match part.holds(leaf) {
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

/// An identifier's text without `r#`.
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
        assert!(off(parse_quote!(#[cfg(loom)])));
        assert!(off(parse_quote!(#[cfg(false)])));
        assert!(!off(parse_quote!(#[cfg(target_os = "linux")])));
    }
}
