//! Circles of modules: two modules that use each other can be read, tested and moved only together.
//!
//! A module uses another one if a path in its code, outside tests, leads to an item that is defined there.
//! Re-exports (`pub use`) are looked through and make no edge, and neither does `mod x;`. Method calls are
//! not seen: they need types.

use crate::rust::marks_a_test;
use crate::tree::Tree;
use proc_macro2::{TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use syn::visit::{self, Visit};

/// The crates whose modules have no circles.
const CRATES: &[&str] = &["core/src", "macros/analysis/src", "macros/src", "runtime/src"];

/// The circles that there are, each with the folder that they are in and the reason.
const KNOWN: &[(&str, &str, &str)] = &[
    ("core/src", "payload payload::back payload::same", "the type and its checks"),
    (
        "runtime/src",
        "store::memory::server store::memory::shared",
        "a server notifies the processes that are connected to it",
    ),
    ("runtime/src", "store::memory::tables store::memory::write", "tables, and changes of their rows"),
    (
        "runtime/src",
        "testing::replay testing::replay::open",
        "`open` replays the runs of a database for `replay`",
    ),
    ("macros/analysis/src", "crate conditional", "a helper of the root"),
    (
        "macros/analysis/src",
        "body body::cells body::constant body::hoist body::join body::macros body::probe body::rewrite \
         body::select",
        "the rewriting of expressions is one recursion",
    ),
    (
        "macros/analysis/src",
        "lexical lexical::follow lexical::infer lexical::locals lexical::walk",
        "the walk over expressions is one recursion",
    ),
    ("macros/analysis/src", "lexical::effects lexical::effects::own", "one recursion"),
    ("macros/analysis/src", "source source::content source::item", "the reading of sources is one recursion"),
    ("macros/analysis/src", "source::resolve source::types", "names and types are resolved by each other"),
];

/// A module's path from its crate's root.
type Name = Vec<String>;

#[derive(Default)]
struct Module {
    names: BTreeMap<String, Named>,
    globs: Vec<Name>,
    paths: BTreeSet<Name>,
}

/// What a name of a module is.
enum Named {
    Item,
    Module,
    /// Imported: a path from the crate's root.
    Import(Name),
}

/// A crate's modules, by name.
#[derive(Default)]
struct Crate(BTreeMap<Name, Module>);

/// Circles that are not named in [`KNOWN`], and names there that are in no circle any more.
pub(crate) fn findings(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for src in CRATES {
        let mut named: BTreeMap<&str, bool> = BTreeMap::new();
        for (_, modules, _) in KNOWN.iter().filter(|(of, ..)| of == src) {
            named.extend(modules.split_whitespace().map(|module| (module, false)));
        }
        for (circle, edges) in circles(tree, src) {
            let new: Vec<_> = circle.iter().filter(|module| !named.contains_key(module.as_str())).collect();
            if !new.is_empty() {
                findings
                    .push(format!("{src}: {new:?} in a circle of modules:\n    {}", edges.join("\n    ")));
            }
            for module in &circle {
                if let Some(there) = named.get_mut(module.as_str()) {
                    *there = true;
                }
            }
        }
        let gone = named.iter().filter(|(_, there)| !**there);
        findings.extend(
            gone.map(|(module, _)| format!("{src}: {module} is in no circle any more: strike it out")),
        );
    }
    findings
}

/// The circles in the crate whose sources are in this folder: each the sorted names of its modules, with one
/// path for each edge in it.
pub(crate) fn circles(tree: &Tree, src: &str) -> Vec<(Vec<String>, Vec<String>)> {
    let mut modules = Crate::default();
    let root = tree.text(&format!("{src}/lib.rs")).unwrap_or_default();
    let file = syn::parse_file(root).expect("a crate's root parses");
    modules.add(tree, src, &Vec::new(), &file.items);
    modules.circles()
}

impl Crate {
    fn add(&mut self, tree: &Tree, folder: &str, name: &Name, items: &[syn::Item]) {
        let mut module = Module::default();
        for item in items {
            let (ident, attributes) = parts(item);
            if attributes.iter().any(marks_a_test) {
                continue;
            }
            if let syn::Item::Mod(inner) = item {
                self.add_inner(tree, folder, name, inner, &mut module);
            } else if let syn::Item::Use(uses) = item {
                collect(&uses.tree, Vec::new(), name, &mut module);
            } else {
                if let Some(ident) = ident {
                    module.names.insert(ident.to_string(), Named::Item);
                }
                Paths { paths: &mut module.paths }.visit_item(item);
            }
        }
        self.0.insert(name.clone(), module);
    }

    fn add_inner(
        &mut self,
        tree: &Tree,
        folder: &str,
        name: &Name,
        inner: &syn::ItemMod,
        module: &mut Module,
    ) {
        let ident = inner.ident.to_string();
        module.names.insert(ident.clone(), Named::Module);
        let mut below = name.clone();
        below.push(ident.clone());
        let inside = format!("{folder}/{}", ident.trim_start_matches("r#"));
        if let Some((_, items)) = &inner.content {
            return self.add(tree, &inside, &below, items);
        }
        for path in [format!("{inside}.rs"), format!("{inside}/mod.rs")] {
            if let Some(file) = tree.text(&path).and_then(|text| syn::parse_file(text).ok()) {
                self.add(tree, &inside, &below, &file.items);
            }
        }
    }

    /// The module that defines what the path means in `from`.
    fn resolve(&self, from: &Name, path: &[String], depth: usize) -> Option<Name> {
        if depth > 30 {
            return None;
        }
        if let Some(absolute) = absolute(from, path) {
            return self.walk(&Vec::new(), &absolute, depth + 1);
        }
        self.walk(from, path, depth + 1)
    }

    fn walk(&self, from: &Name, path: &[String], depth: usize) -> Option<Name> {
        let mut at = from.clone();
        for (index, segment) in path.iter().enumerate() {
            let module = self.0.get(&at)?;
            match module.names.get(segment) {
                Some(Named::Item) => return Some(at),
                Some(Named::Module) => at.push(segment.clone()),
                Some(Named::Import(import)) => {
                    let mut whole = import.clone();
                    whole.extend_from_slice(&path[index + 1..]);
                    return self.resolve(&at, &whole, depth + 1);
                }
                None => {
                    return module.globs.iter().find_map(|glob| {
                        let mut whole = glob.clone();
                        whole.extend_from_slice(&path[index..]);
                        self.resolve(&at, &whole, depth + 1)
                    });
                }
            }
        }
        None
    }

    /// For each module: those it uses, each with a path that says so.
    fn edges(&self) -> BTreeMap<&Name, BTreeMap<Name, String>> {
        let uses = |(name, module): (&Name, &Module)| {
            module
                .paths
                .iter()
                .filter_map(|path| Some((self.resolve(name, path, 0)?, path.join("::"))))
                .filter(|(target, _)| target != name)
                .collect()
        };
        self.0.iter().map(|entry| (entry.0, uses(entry))).collect()
    }

    fn circles(&self) -> Vec<(Vec<String>, Vec<String>)> {
        let edges = self.edges();
        let reach = |from: &Name| {
            let (mut seen, mut next) = (BTreeSet::new(), vec![from.clone()]);
            while let Some(at) = next.pop() {
                for target in edges.get(&at).into_iter().flat_map(BTreeMap::keys) {
                    if seen.insert(target.clone()) {
                        next.push(target.clone());
                    }
                }
            }
            seen
        };
        let reached: BTreeMap<&Name, BTreeSet<Name>> =
            edges.keys().map(|name| (*name, reach(name))).collect();
        let (mut done, mut circles) = (BTreeSet::new(), Vec::new());
        for (name, targets) in reached.iter().filter(|(name, targets)| targets.contains(**name)) {
            if done.contains(*name) {
                continue;
            }
            let circle: Vec<&Name> = reached
                .iter()
                .filter(|(other, back)| targets.contains(**other) && back.contains(*name))
                .map(|(other, _)| *other)
                .collect();
            let within = circle.iter().flat_map(|from| {
                edges[*from]
                    .iter()
                    .filter(|(target, _)| circle.contains(target))
                    .map(|(target, path)| format!("{} -> {} ({path})", shown(from), shown(target)))
            });
            circles.push((circle.iter().map(|name| shown(name)).collect(), within.collect()));
            done.extend(circle);
        }
        circles
    }
}

fn shown(name: &Name) -> String {
    if name.is_empty() { "crate".to_owned() } else { name.join("::") }
}

/// The path from the crate's root, where it says where it begins.
fn absolute(from: &Name, path: &[String]) -> Option<Name> {
    let mut base = from.clone();
    let mut rest = path;
    match path.first()?.as_str() {
        "crate" => (base, rest) = (Vec::new(), &path[1..]),
        "self" => rest = &path[1..],
        "super" => {
            while rest.first().is_some_and(|segment| segment == "super") {
                base.pop()?;
                rest = &rest[1..];
            }
        }
        _ => return None,
    }
    base.extend_from_slice(rest);
    Some(base)
}

/// The names that a `use` brings.
fn collect(tree: &syn::UseTree, mut prefix: Name, module: &Name, into: &mut Module) {
    match tree {
        syn::UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            collect(&path.tree, prefix, module, into);
        }
        syn::UseTree::Group(group) => {
            group.items.iter().for_each(|tree| collect(tree, prefix.clone(), module, into));
        }
        syn::UseTree::Glob(_) => into.globs.push(absolute(module, &prefix).map_or(prefix, rooted)),
        syn::UseTree::Name(name) => import(&name.ident, &name.ident, prefix, module, into),
        syn::UseTree::Rename(rename) => import(&rename.ident, &rename.rename, prefix, module, into),
    }
}

fn import(ident: &syn::Ident, known: &syn::Ident, mut prefix: Name, module: &Name, into: &mut Module) {
    let known = if *known == "self" { prefix.last().cloned() } else { Some(known.to_string()) };
    if *ident != "self" {
        prefix.push(ident.to_string());
    }
    let path = absolute(module, &prefix).map_or(prefix, rooted);
    if let Some(known) = known {
        // An item of that name wins: a macro and a module may share one.
        into.names.entry(known).or_insert(Named::Import(path));
    }
}

fn rooted(path: Name) -> Name {
    std::iter::once("crate".to_owned()).chain(path).collect()
}

/// All paths of some code.
struct Paths<'a> {
    paths: &'a mut BTreeSet<Name>,
}

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.paths.insert(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        visit::visit_macro(self, called);
        self.tokens(called.tokens.clone());
    }

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}

impl Paths<'_> {
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.paths.insert(std::mem::take(&mut path));
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    self.paths.insert(std::mem::take(&mut path));
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.paths.insert(path);
    }
}

/// An item's name and attributes.
fn parts(item: &syn::Item) -> (Option<&syn::Ident>, &[syn::Attribute]) {
    use syn::Item;
    match item {
        Item::Const(item) => (Some(&item.ident), &item.attrs),
        Item::Enum(item) => (Some(&item.ident), &item.attrs),
        Item::Fn(item) => (Some(&item.sig.ident), &item.attrs),
        Item::Impl(item) => (None, &item.attrs),
        Item::Macro(item) => (item.ident.as_ref(), &item.attrs),
        Item::Mod(item) => (Some(&item.ident), &item.attrs),
        Item::Static(item) => (Some(&item.ident), &item.attrs),
        Item::Struct(item) => (Some(&item.ident), &item.attrs),
        Item::Trait(item) => (Some(&item.ident), &item.attrs),
        Item::Type(item) => (Some(&item.ident), &item.attrs),
        Item::Use(item) => (None, &item.attrs),
        _ => (None, &[]),
    }
}

#[test]
fn a_circle_is_told_and_re_exports_are_looked_through() {
    let root = "mod a;\nmod b;\npub use a::A;\n#[cfg(test)]\nmod tests { use super::b::B; }";
    let tree = |a: &str| {
        Tree::of(&[
            ("x/lib.rs", root),
            ("x/a.rs", a),
            ("x/b.rs", "use crate::A;\npub struct B(A);\nfn all() { vec![B::new()]; }"),
        ])
    };
    assert_eq!(circles(&tree("pub struct A;"), "x"), []);
    let found = circles(&tree("pub struct A;\nimpl A { fn of() -> crate::b::B { todo!() } }"), "x");
    let edges = ["a -> b (crate::b::B)".to_owned(), "b -> a (A)".to_owned()];
    assert_eq!(found, [(vec!["a".to_owned(), "b".to_owned()], edges.to_vec())]);
}
