//! What a path means: through modules, `use`s and re-exports, from crate to crate. Each namespace gives a
//! definition of its own.

use crate::sources::{Crate, is_public, name};
use std::collections::BTreeSet;

/// Where something is defined. Crates and items by their place in their lists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Definition {
    Item {
        krate: usize,
        module: Vec<String>,
        item: usize,
    },
    Module {
        krate: usize,
        module: Vec<String>,
    },
    /// In a crate that is not ours.
    Foreign(String),
}

/// One name that a `use` brings, or a glob.
pub(crate) struct Leaf {
    pub(crate) path: Vec<String>,
    /// `None` for a glob.
    pub(crate) name: Option<String>,
}

pub(crate) fn leaves(tree: &syn::UseTree) -> Vec<Leaf> {
    let mut found = Vec::new();
    collect(tree, &mut Vec::new(), &mut found);
    found
}

fn collect(tree: &syn::UseTree, path: &mut Vec<String>, found: &mut Vec<Leaf>) {
    match tree {
        syn::UseTree::Path(tree) => {
            path.push(tree.ident.to_string());
            collect(&tree.tree, path, found);
            path.pop();
        }
        syn::UseTree::Group(group) => group.items.iter().for_each(|tree| collect(tree, path, found)),
        syn::UseTree::Glob(_) => found.push(Leaf { path: path.clone(), name: None }),
        syn::UseTree::Name(name) if name.ident == "self" => {
            found.push(Leaf { path: path.clone(), name: path.last().cloned() });
        }
        syn::UseTree::Name(name) => {
            let path = path.iter().cloned().chain([name.ident.to_string()]).collect();
            found.push(Leaf { path, name: Some(name.ident.to_string()) });
        }
        syn::UseTree::Rename(name) => {
            let path = path.iter().cloned().chain([name.ident.to_string()]).collect();
            found.push(Leaf { path, name: Some(name.rename.to_string()) });
        }
    }
}

/// Follows names. `asked` ends circles of globs.
pub(crate) struct Names<'a> {
    pub(crate) crates: &'a [Crate],
}

type Asked = BTreeSet<(usize, Vec<String>, String)>;

impl Names<'_> {
    /// What a path means in a module.
    pub(crate) fn resolve(&self, krate: usize, module: &[String], path: &[String]) -> BTreeSet<Definition> {
        self.follow(krate, module, path, &mut Asked::new())
    }

    fn follow(
        &self,
        krate: usize,
        module: &[String],
        path: &[String],
        asked: &mut Asked,
    ) -> BTreeSet<Definition> {
        let (first, rest) = path.split_first().expect("a path has a segment");
        let begin = match first.as_str() {
            "crate" => one(Definition::Module { krate, module: Vec::new() }),
            "self" => one(Definition::Module { krate, module: module.to_vec() }),
            "super" => {
                let parent = &module[..module.len().saturating_sub(1)];
                one(Definition::Module { krate, module: parent.to_vec() })
            }
            name => {
                // A name that is being asked for already is what a `use` of the same name is about to say.
                let Some(mut found) = self.named(krate, module, name, asked) else { return BTreeSet::new() };
                if !rest.is_empty() {
                    found.retain(|found| !matches!(found, Definition::Item { .. }));
                }
                match self.crates.iter().position(|other| other.name == name) {
                    _ if !found.is_empty() => found,
                    Some(krate) => one(Definition::Module { krate, module: Vec::new() }),
                    None => one(Definition::Foreign(name.to_string())),
                }
            }
        };
        rest.iter().fold(begin, |found, name| {
            let inner = found.into_iter().map(|definition| self.inside(definition, name, asked));
            inner.flatten().collect()
        })
    }

    /// What `name` means in a module, a foreign crate or a type.
    fn inside(&self, outer: Definition, name: &str, asked: &mut Asked) -> BTreeSet<Definition> {
        match outer {
            Definition::Module { krate, module } if name == "super" => {
                let parent = &module[..module.len().saturating_sub(1)];
                one(Definition::Module { krate, module: parent.to_vec() })
            }
            Definition::Module { krate, module } => {
                self.named(krate, &module, name, asked).unwrap_or_default()
            }
            Definition::Foreign(path) => one(Definition::Foreign(format!("{path}::{name}"))),
            // A variant or an associated item.
            Definition::Item { .. } => BTreeSet::new(),
        }
    }

    /// All that a name means in a module, its `use`s included. `None` where it is being asked for already.
    fn named(
        &self,
        krate: usize,
        module: &[String],
        wanted: &str,
        asked: &mut Asked,
    ) -> Option<BTreeSet<Definition>> {
        let mut found = BTreeSet::new();
        if !asked.insert((krate, module.to_vec(), wanted.to_string())) {
            return None;
        }
        for (at, item) in self.crates[krate].modules[module].items.iter().enumerate() {
            match item {
                syn::Item::Mod(inner) if inner.ident == wanted => {
                    let module = module.iter().cloned().chain([wanted.to_string()]).collect();
                    found.insert(Definition::Module { krate, module });
                }
                syn::Item::Use(item) => {
                    for leaf in leaves(&item.tree) {
                        found.extend(self.brought(krate, module, leaf, wanted, asked));
                    }
                }
                item if name(item).as_deref() == Some(wanted) => {
                    found.insert(Definition::Item { krate, module: module.to_vec(), item: at });
                }
                _ => {}
            }
        }
        if module.is_empty() {
            found.extend(self.exported_macros(krate).filter(|(name, _)| name == wanted).map(|(_, d)| d));
        }
        asked.remove(&(krate, module.to_vec(), wanted.to_string()));
        Some(found)
    }

    /// What one leaf of a `use` brings under this name.
    fn brought(
        &self,
        krate: usize,
        module: &[String],
        leaf: Leaf,
        wanted: &str,
        asked: &mut Asked,
    ) -> BTreeSet<Definition> {
        match leaf.name.as_deref() {
            Some(name) if name == wanted => {
                // `use x::y` names what is below or a crate: `y` of this very `use` is not meant.
                self.follow(krate, module, &leaf.path, asked)
            }
            Some(_) => BTreeSet::new(),
            None => {
                let outer = self.follow(krate, module, &leaf.path, asked).into_iter();
                let modules = outer.filter(|outer| matches!(outer, Definition::Module { .. }));
                modules.flat_map(|outer| self.inside(outer, wanted, asked)).collect()
            }
        }
    }

    /// `#[macro_export]` puts a macro at its crate's root, wherever it is.
    pub(crate) fn exported_macros(&self, krate: usize) -> impl Iterator<Item = (String, Definition)> + '_ {
        self.crates[krate].modules.iter().flat_map(move |(path, module)| {
            let macros = module.items.iter().enumerate();
            let macros = macros.filter(|(_, item)| matches!(item, syn::Item::Macro(_)) && is_public(item));
            macros.filter_map(move |(item, found)| {
                Some((name(found)?, Definition::Item { krate, module: path.clone(), item }))
            })
        })
    }
}

fn one(definition: Definition) -> BTreeSet<Definition> {
    BTreeSet::from([definition])
}
