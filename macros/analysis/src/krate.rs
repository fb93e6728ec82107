//! The path to abide in the user's crate: the `crate = path` argument, else the name that the user's `Cargo.toml`
//! gives it (`x = { package = "abide" }`), else `::abide`.
//!
//! The manifest is read by a few lines of our own: a TOML parser would be in every user's build.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use std::path::PathBuf;

/// `::abide::__private`, for generated code.
#[derive(Clone)]
pub(crate) struct Private(TokenStream);

impl Private {
    /// With the `crate = path` argument, where there is one.
    pub(crate) fn new(path: Option<&syn::Path>) -> Self {
        match path {
            Some(path) => Self(quote!(#path::__private)),
            None => {
                let name = Ident::new(&renamed().unwrap_or_else(|| "abide".to_owned()), Span::call_site());
                Self(quote!(::#name::__private))
            }
        }
    }
}

impl Private {
    /// The same path with another span: errors in generated code are then told there.
    pub(crate) fn at(&self, span: Span) -> Self {
        let respan = |mut token: proc_macro2::TokenTree| {
            token.set_span(span);
            token
        };
        Self(self.0.clone().into_iter().map(respan).collect())
    }
}

impl quote::ToTokens for Private {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.0.to_tokens(tokens);
    }
}

/// What `CARGO_MANIFEST_DIR/Cargo.toml` calls abide, where it is renamed.
fn renamed() -> Option<String> {
    let directory = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR")?);
    let manifest = std::fs::read_to_string(directory.join("Cargo.toml")).ok()?;
    rename_in(&manifest).filter(|name| syn::parse_str::<Ident>(name).is_ok())
}

/// Looks for `name = { .. package = "abide" .. }` and for `[dependencies.name]` with `package = "abide"`.
fn rename_in(manifest: &str) -> Option<String> {
    let mut table = None;
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            table = header.trim_end_matches(']').rsplit_once("dependencies.").map(|(_, name)| name.trim());
        } else if is_package_abide(line) {
            let own = line.split_once('=').map(|(name, _)| name.trim()).filter(|name| *name != "package");
            let name = own.or(table)?;
            return Some(name.trim_matches('"').replace('-', "_"));
        }
    }
    None
}

fn is_package_abide(line: &str) -> bool {
    let code: String = line.chars().filter(|c| !c.is_whitespace()).collect();
    !code.starts_with('#')
        && (code.starts_with("package=\"abide\"")
            || code.contains("{package=\"abide\"")
            || code.contains(",package=\"abide\""))
}

#[cfg(test)]
mod tests {
    use super::rename_in;

    #[test]
    fn renames() {
        let found = |manifest| rename_in(manifest);
        assert_eq!(found("[dependencies]\nabide = \"0.1\"\n"), None);
        assert_eq!(
            found("[dependencies]\nlast-ing = { package = \"abide\", version = \"1\" }"),
            Some("last_ing".into())
        );
        assert_eq!(found("[dependencies]\nx = { version = \"1\", package=\"abide\" }"), Some("x".into()));
        assert_eq!(found("[dependencies.x]\nversion = \"1\"\npackage = \"abide\""), Some("x".into()));
        assert_eq!(found("[package]\nname = \"abide\"\n# x = { package = \"abide\" }"), None);
    }
}
