//! The sources of a crate, module by module. Code for tests only is left out.

use quote::ToTokens;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A crate as it is written.
pub(crate) struct Crate {
    pub(crate) name: String,
    /// By path from the root, which is the empty path.
    pub(crate) modules: BTreeMap<Vec<String>, Module>,
}

/// A module's items, without `mod`s that only tests see.
#[derive(Default)]
pub(crate) struct Module {
    pub(crate) items: Vec<syn::Item>,
}

impl Crate {
    /// Reads `lib.rs` in this folder and what it leads to.
    pub(crate) fn read(name: &str, folder: &Path) -> Self {
        let mut krate = Self { name: name.to_string(), modules: BTreeMap::new() };
        let root = parse(&folder.join("lib.rs"));
        krate.add(Vec::new(), root.items, &|module| {
            let path = module.iter().fold(folder.to_owned(), |path, name| path.join(name));
            let files: [PathBuf; 2] = [path.with_extension("rs"), path.join("mod.rs")];
            let file = files.iter().find(|file| file.exists());
            parse(file.unwrap_or_else(|| panic!("{name}: no file of module {}", module.join("::")))).items
        });
        krate
    }

    /// A crate of one file, for the tests of this program.
    pub(crate) fn of(name: &str, text: &str) -> Self {
        let mut krate = Self { name: name.to_string(), modules: BTreeMap::new() };
        let root = syn::parse_file(text).expect("it parses");
        krate.add(Vec::new(), root.items, &|module| panic!("no file of {}", module.join("::")));
        krate
    }

    fn add(
        &mut self,
        path: Vec<String>,
        mut items: Vec<syn::Item>,
        load: &dyn Fn(&[String]) -> Vec<syn::Item>,
    ) {
        items = items.into_iter().flat_map(projected).collect();
        items.retain(|item| !attributes(item).iter().any(is_for_tests));
        for item in &mut items {
            let syn::Item::Mod(module) = item else { continue };
            let mut inner = path.clone();
            inner.push(module.ident.to_string());
            let items = match module.content.take() {
                Some((_, items)) => items,
                None => load(&inner),
            };
            self.add(inner, items, load);
        }
        self.modules.insert(path, Module { items });
    }
}

/// What `pin_project!` holds is an item as any other.
fn projected(item: syn::Item) -> Vec<syn::Item> {
    match item {
        syn::Item::Macro(found)
            if found.mac.path.segments.last().is_some_and(|s| s.ident == "pin_project") =>
        {
            found.mac.parse_body::<syn::File>().expect("`pin_project!` holds an item").items
        }
        other => vec![other],
    }
}

fn parse(file: &Path) -> syn::File {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// `#[cfg(test)]`, `#[cfg(all(test, ..))]`.
fn is_for_tests(attribute: &syn::Attribute) -> bool {
    let text = attribute.to_token_stream().to_string();
    attribute.path().is_ident("cfg")
        && text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "test")
        && !text.contains("any")
        && !text.contains("not")
}

/// An item's attributes; none of items that have no name.
pub(crate) fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Union(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// An item's name; none of `use`s and `impl`s.
pub(crate) fn name(item: &syn::Item) -> Option<String> {
    Some(match item {
        syn::Item::Const(item) => item.ident.to_string(),
        syn::Item::Enum(item) => item.ident.to_string(),
        syn::Item::Fn(item) => item.sig.ident.to_string(),
        syn::Item::Macro(item) => item.ident.as_ref()?.to_string(),
        syn::Item::Mod(item) => item.ident.to_string(),
        syn::Item::Static(item) => item.ident.to_string(),
        syn::Item::Struct(item) => item.ident.to_string(),
        syn::Item::Trait(item) => item.ident.to_string(),
        syn::Item::Type(item) => item.ident.to_string(),
        syn::Item::Union(item) => item.ident.to_string(),
        _ => return None,
    })
}

/// Whether everybody sees an item. A `macro_rules!` is public where it is exported.
pub(crate) fn is_public(item: &syn::Item) -> bool {
    let visibility = match item {
        syn::Item::Const(item) => &item.vis,
        syn::Item::Enum(item) => &item.vis,
        syn::Item::Fn(item) => &item.vis,
        syn::Item::Mod(item) => &item.vis,
        syn::Item::Static(item) => &item.vis,
        syn::Item::Struct(item) => &item.vis,
        syn::Item::Trait(item) => &item.vis,
        syn::Item::Type(item) => &item.vis,
        syn::Item::Union(item) => &item.vis,
        syn::Item::Use(item) => &item.vis,
        syn::Item::Macro(item) => {
            return item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export"));
        }
        _ => return false,
    };
    matches!(visibility, syn::Visibility::Public(_))
}
