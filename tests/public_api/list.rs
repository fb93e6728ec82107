//! Walks what is public, from the root of the first crate, and lists it.

use crate::names::{Definition, Leaf, Names, leaves};
use crate::print;
use crate::sources::{Crate, attributes, is_public, name};
use std::collections::{BTreeMap, BTreeSet};

/// The API of the first of these crates, a line for each item, sorted by path.
pub(crate) fn public_api(crates: &[Crate], unnamed: &[&str]) -> String {
    let mut list = List { names: Names { crates }, reached: BTreeMap::new(), lines: BTreeSet::new() };
    list.module(&crates[0].name, 0, &[], "");
    for name in unnamed {
        let leaf = Leaf { path: vec![name.to_string()], name: Some(name.to_string()) };
        list.leaf("(unnamed)", 1, &[], leaf, "");
    }
    list.implementations();
    list.lines.iter().map(|(_, line)| format!("{line}\n")).collect()
}

struct List<'a> {
    names: Names<'a>,
    /// Under which path and which conditions each item was listed first.
    reached: BTreeMap<Definition, (String, String)>,
    /// Each with what it is sorted by.
    lines: BTreeSet<((String, u8, String), String)>,
}

impl List<'_> {
    fn line(&mut self, path: &str, rank: u8, line: String) {
        // What is sorted is the line without its conditions.
        self.lines.insert(((path.to_string(), rank, line.clone()), line));
    }

    /// What is public in a module, under `path`. Its re-exports come first: they are the shorter names.
    fn module(&mut self, path: &str, krate: usize, module: &[String], conditions: &str) {
        let items = &self.names.crates[krate].modules[module].items;
        let shown = |item: &&syn::Item| is_public(item) && !print::is_hidden(attributes(item));
        let (modules, others): (Vec<_>, Vec<_>) = items
            .iter()
            .enumerate()
            .filter(|(_, item)| shown(item))
            .partition(|(_, item)| matches!(item, syn::Item::Mod(_)));
        for (at, item) in others {
            match item {
                syn::Item::Use(item) => {
                    let conditions = format!("{conditions}{}", print::conditions(&item.attrs));
                    for leaf in leaves(&item.tree) {
                        self.leaf(path, krate, module, leaf, &conditions);
                    }
                }
                syn::Item::Macro(_) => {} // at the root, by its name there
                item => {
                    let definition = Definition::Item { krate, module: module.to_vec(), item: at };
                    let name = name(item).unwrap_or_default();
                    self.definition(&format!("{path}::{name}"), definition, conditions);
                }
            }
        }
        // The prelude's names are short for those of the others.
        let (last, first): (Vec<_>, Vec<_>) =
            modules.into_iter().partition(|(_, item)| name(item).as_deref() == Some("prelude"));
        for (_, item) in first.into_iter().chain(last) {
            let name = name(item).unwrap_or_default();
            let conditions = format!("{conditions}{}", print::conditions(attributes(item)));
            let inner: Vec<_> = module.iter().cloned().chain([name.clone()]).collect();
            let path = format!("{path}::{name}");
            self.definition(&path, Definition::Module { krate, module: inner }, &conditions);
        }
    }

    /// What one name of a `pub use`, or a glob, makes public.
    fn leaf(&mut self, path: &str, krate: usize, module: &[String], leaf: Leaf, conditions: &str) {
        let found = self.names.resolve(krate, module, &leaf.path);
        assert!(!found.is_empty(), "`pub use {}` leads nowhere", leaf.path.join("::"));
        for definition in found {
            match (leaf.name.as_deref(), definition) {
                (Some(name), definition) => {
                    self.definition(&format!("{path}::{name}"), definition, conditions);
                }
                (None, Definition::Module { krate, module }) => self.module(path, krate, &module, conditions),
                (None, other) => panic!("`pub use {}::*` is of {other:?}", leaf.path.join("::")),
            }
        }
    }

    fn definition(&mut self, path: &str, definition: Definition, conditions: &str) {
        match &definition {
            Definition::Foreign(foreign) => {
                self.line(path, 0, format!("{conditions}pub use {path} = {foreign}"));
            }
            Definition::Module { .. } if self.reached.contains_key(&definition) => {
                let (first, _) = &self.reached[&definition];
                let line = format!("{conditions}pub use {path} = {first}");
                self.line(path, 0, line);
            }
            Definition::Module { krate, module } => {
                self.reached.insert(definition.clone(), (path.to_string(), conditions.to_string()));
                self.line(path, 0, format!("{conditions}pub mod {path}"));
                self.module(path, *krate, module, conditions);
            }
            Definition::Item { krate, module, item } => {
                if let Some((first, _)) = self.reached.get(&definition) {
                    if first != path {
                        self.line(path, 0, format!("{conditions}pub use {path} = {first}"));
                    }
                    return;
                }
                let item = &self.names.crates[*krate].modules[module].items[*item];
                if print::is_hidden(attributes(item))
                    && name(item).is_some_and(|name| path.ends_with(&format!("::{name}")))
                {
                    return;
                }
                self.reached.insert(definition.clone(), (path.to_string(), conditions.to_string()));
                self.item(path, item, conditions);
            }
        }
    }

    fn item(&mut self, path: &str, item: &syn::Item, conditions: &str) {
        let Some(head) = print::head(path, item) else { return };
        self.line(path, 0, format!("{conditions}{}{head}", print::marks(attributes(item))));
        match item {
            syn::Item::Struct(item) => {
                for (at, field) in item.fields.iter().enumerate() {
                    let public = matches!(field.vis, syn::Visibility::Public(_));
                    if public && !print::is_hidden(&field.attrs) {
                        let name = field.ident.as_ref().map_or(at.to_string(), ToString::to_string);
                        self.line(
                            path,
                            1,
                            format!("{conditions}pub {path}::{name}: {}", print::of_type(&field.ty)),
                        );
                    }
                }
            }
            syn::Item::Enum(item) => {
                for variant in item.variants.iter().filter(|variant| !print::is_hidden(&variant.attrs)) {
                    let marks = print::marks(&variant.attrs);
                    self.line(path, 1, format!("{conditions}{marks}{path}::{}", print::variant(variant)));
                }
            }
            syn::Item::Trait(item) => {
                item.items.iter().for_each(|item| self.of_trait(path, item, conditions))
            }
            _ => {}
        }
    }

    fn of_trait(&mut self, path: &str, item: &syn::TraitItem, conditions: &str) {
        let line = match item {
            syn::TraitItem::Fn(item) if print::is_hidden(&item.attrs) => return,
            syn::TraitItem::Fn(item) => {
                let name = format!("{path}::{}", item.sig.ident);
                let line = print::function(&name, &syn::Visibility::Inherited, &item.sig);
                let given = if item.default.is_some() { " { .. }" } else { "" };
                format!("{}{line}{given}", print::marks(&item.attrs))
            }
            other => format!("{path}: {}", print::associated(other)),
        };
        self.line(path, 2, format!("{conditions}{line}"));
    }

    /// The methods of what was listed, and the traits that it implements.
    fn implementations(&mut self) {
        let crates = self.names.crates;
        for (krate, of) in crates.iter().enumerate() {
            for (module, items) in &of.modules {
                let implementations = items.items.iter().filter_map(|item| match item {
                    syn::Item::Impl(item) if !print::is_hidden(&item.attrs) => Some(item),
                    _ => None,
                });
                implementations.for_each(|item| self.implementation(krate, module, item));
            }
        }
    }

    fn implementation(&mut self, krate: usize, module: &[String], item: &syn::ItemImpl) {
        let syn::Type::Path(of) = &*item.self_ty else { return };
        let segments =
            |path: &syn::Path| path.segments.iter().map(|s| s.ident.to_string()).collect::<Vec<_>>();
        let meant = self.names.resolve(krate, module, &segments(&of.path));
        let Some((path, conditions)) = meant.iter().find_map(|meant| self.reached.get(meant)).cloned() else {
            return;
        };
        let conditions = format!("{conditions}{}", print::conditions(&item.attrs));
        let Some((implemented, _)) = &item.trait_ else {
            return self.methods(&path, item, &conditions);
        };
        // A trait of ours that is not public is of no use to a caller.
        let meant = self.names.resolve(krate, module, &segments(implemented));
        let ours = meant.iter().any(|meant| matches!(meant, Definition::Item { .. }));
        if ours && !meant.iter().any(|meant| self.reached.contains_key(meant)) {
            return;
        }
        let ident = of.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
        self.line(&path, 3, format!("{conditions}{}", print::implementation(item, &ident, &path)));
    }

    fn methods(&mut self, path: &str, item: &syn::ItemImpl, conditions: &str) {
        for item in &item.items {
            match item {
                syn::ImplItem::Fn(item)
                    if matches!(item.vis, syn::Visibility::Public(_)) && !print::is_hidden(&item.attrs) =>
                {
                    let line = print::function(&format!("{path}::{}", item.sig.ident), &item.vis, &item.sig);
                    self.line(path, 2, format!("{conditions}{}{line}", print::marks(&item.attrs)));
                }
                syn::ImplItem::Const(item) if matches!(item.vis, syn::Visibility::Public(_)) => {
                    let line = format!("pub const {path}::{}: {}", item.ident, print::of_type(&item.ty));
                    self.line(path, 2, format!("{conditions}{line}"));
                }
                _ => {}
            }
        }
    }
}
