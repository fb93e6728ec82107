//! The path to abide in the user's crate: the `crate = path` argument; if there is none, the name in the
//! user's `Cargo.toml` (`x = { package = "abide" }`, there or in the workspace's); if there is none,
//! `::abide`.
//!
//! A few lines here read the manifest, because a TOML parser would be in every user's build.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use std::path::{Path, PathBuf};

/// `::abide::__private`, for generated code.
#[derive(Clone)]
pub(crate) struct Private(TokenStream);

impl Private {
    /// With the `crate = path` argument, if there is one.
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
    /// The same path with another span, where rustc reports errors in generated code.
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

/// The name of abide in `CARGO_MANIFEST_DIR/Cargo.toml`, if it is renamed: there, or in the workspace's
/// manifest for an inherited dependency.
fn renamed() -> Option<String> {
    let directory = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR")?);
    let manifest = std::fs::read_to_string(directory.join("Cargo.toml")).ok()?;
    let name = match rename_in(&manifest, None) {
        Some(name) => name,
        None => {
            let inherited = inherited(&manifest);
            // Usually, only one file is read.
            let renamed = !inherited.is_empty() && !inherited.contains(&"abide");
            let workspace = renamed.then(|| workspace(&directory, &manifest))??;
            rename_in(&workspace, Some(&inherited))?
        }
    };
    Some(name.replace('-', "_")).filter(|name| syn::parse_str::<Ident>(name).is_ok())
}

/// The text of the nearest workspace manifest above, or of the one that `package.workspace` names.
fn workspace(directory: &Path, manifest: &str) -> Option<String> {
    let named = lines(manifest).find_map(|(table, line)| match (table, key_value(line)?) {
        ("package", ("workspace", path)) => Some(unquoted(path)),
        _ => None,
    });
    if let Some(path) = named {
        return std::fs::read_to_string(directory.join(path).join("Cargo.toml")).ok();
    }
    let above = directory.ancestors().filter_map(|at| std::fs::read_to_string(at.join("Cargo.toml")).ok());
    let mut above = above.take(MAX_ANCESTORS);
    above.find(|text| lines(text).any(|(table, _)| table == "workspace" || table.starts_with("workspace.")))
}

/// The most manifests to read, from a crate's own upwards.
const MAX_ANCESTORS: usize = 16;

/// The dependencies with `workspace = true`: `x = { workspace = true }`, `x.workspace = true`, or a table of
/// `x`.
fn inherited(manifest: &str) -> Vec<&str> {
    let found = lines(manifest).filter_map(|(table, line)| {
        let (key, value) = key_value(line)?;
        match dependency_table(table) {
            Some(Some(name)) => (key == "workspace" && value == "true").then_some(name),
            Some(None) => match key.split_once('.') {
                Some((name, "workspace")) => (value == "true").then(|| unquoted(name)),
                _ => is_set(value, "workspace", "true").then(|| unquoted(key)),
            },
            None => None,
        }
    });
    found.collect()
}

/// Searches for `name = { .. package = "abide" .. }` and for `[dependencies.name]` with `package = "abide"`.
/// With `only`, it accepts only one of these names.
fn rename_in(manifest: &str, only: Option<&[&str]>) -> Option<String> {
    let mut found = lines(manifest).filter_map(|(table, line)| {
        let (key, value) = key_value(line)?;
        match (dependency_table(table)?, key) {
            (Some(name), "package") => (value == ABIDE).then_some(name),
            (Some(_), _) => None,
            (None, key) => match key.split_once('.') {
                Some((name, "package")) => (value == ABIDE).then(|| unquoted(name)),
                _ => is_set(value, "package", ABIDE).then(|| unquoted(key)),
            },
        }
    });
    found.find(|name| only.is_none_or(|only| only.contains(name))).map(str::to_owned)
}

const ABIDE: &str = "\"abide\"";

/// `Some(None)` for `[dependencies]` of every kind, `Some(Some(x))` for `[dependencies.x]`.
fn dependency_table(table: &str) -> Option<Option<&str>> {
    let is_list = |table: &str| {
        let last = table.rsplit('.').next().unwrap_or(table);
        ["dependencies", "dev-dependencies", "build-dependencies"].contains(&last)
    };
    if is_list(table) {
        return Some(None);
    }
    let (list, name) = table.rsplit_once('.')?;
    is_list(list).then(|| Some(unquoted(name)))
}

/// The lines of a manifest, each with the name of its table. Only the first line of an inline table is read.
fn lines(manifest: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut table = "";
    manifest.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(
        move |line| {
            if let Some(header) = line.strip_prefix('[') {
                table = header.split(']').next().unwrap_or(header).trim();
                return (table, "");
            }
            (table, line)
        },
    )
}

fn key_value(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once('=')?;
    let value = match value.trim_start().starts_with('{') {
        true => value,
        false => value.split('#').next().unwrap_or(value),
    };
    Some((key.trim(), value.trim()))
}

/// Whether the inline table `value` sets `key` to `to`.
fn is_set(value: &str, key: &str, to: &str) -> bool {
    let Some(fields) = value.strip_prefix('{') else { return false };
    let fields = fields.split('}').next().unwrap_or(fields);
    fields.split(',').filter_map(key_value).any(|(k, v)| k == key && v == to)
}

fn unquoted(name: &str) -> &str {
    name.trim().trim_matches(['"', '\''])
}

#[cfg(test)]
mod tests {
    use super::{inherited, rename_in};

    #[test]
    fn renames() {
        let found = |manifest| rename_in(manifest, None);
        assert_eq!(found("[dependencies]\nabide = \"0.1\"\n"), None);
        assert_eq!(
            found("[dependencies]\nlast-ing = { package = \"abide\", version = \"1\" }"),
            Some("last-ing".into())
        );
        assert_eq!(
            found("[dependencies]\nx = { version = \"1\", package=\"abide\" } # so"),
            Some("x".into())
        );
        assert_eq!(found("[dependencies.x]\nversion = \"1\"\npackage = \"abide\" # so"), Some("x".into()));
        assert_eq!(found("[dependencies]\nx.version = \"1\"\nx.package = \"abide\""), Some("x".into()));
        assert_eq!(
            found("[target.'cfg(unix)'.dependencies]\n\"x\" = {package = \"abide\"}"),
            Some("x".into())
        );
        assert_eq!(found("[dev-dependencies.x]\npackage = \"abide\""), Some("x".into()));
        assert_eq!(found("[package]\nname = \"abide\"\n# x = { package = \"abide\" }"), None);
        assert_eq!(found("[metadata]\nx = { package = \"abide\" }"), None);
        assert_eq!(found("[dependencies]\nx = { package = \"abide-core\" }"), None);
    }

    #[test]
    fn inheritance() {
        let own = "[package]\nversion.workspace = true\n[dependencies]\na.workspace = true\nb = { workspace = true, \
                   features = [\"x\"] }\nc = \"1\"\n[dependencies.d]\nworkspace = true\n[lints]\nworkspace = true";
        assert_eq!(inherited(own), ["a", "b", "d"]);
        let workspace = "[workspace.dependencies]\nz = { package = \"abide\" }\nb = { package = \"abide\" }";
        assert_eq!(rename_in(workspace, Some(&inherited(own))), Some("b".into()));
        assert_eq!(rename_in(workspace, Some(&["c"])), None);
    }
}
