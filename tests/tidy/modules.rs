//! Which files are compiled: from the targets of each package along `mod x;`. What is not reached is dead.

use crate::rust::marks_a_test;
use crate::tree::{Tree, folder, join, resolve};
use std::collections::BTreeSet;

/// Rust files that no target of any package reaches.
pub(crate) fn dead_files(tree: &Tree) -> Vec<String> {
    let reached = reach(tree);
    tree.sources()
        .filter(|(path, _)| !reached.all.contains(*path))
        .map(|(path, _)| format!("{path} is compiled by nothing: no target and no `mod` names it"))
        .collect()
}

/// Files that only tests compile: integration tests and what is behind `#[cfg(test)] mod x;`.
pub(crate) fn test_files(tree: &Tree) -> BTreeSet<String> {
    let reached = reach(tree);
    &reached.all - &reached.outside_tests
}

#[derive(Default)]
struct Reached {
    all: BTreeSet<String>,
    outside_tests: BTreeSet<String>,
}

fn reach(tree: &Tree) -> Reached {
    let mut reached = Reached::default();
    for (manifest, text) in tree.texts().filter(|(path, _)| path.ends_with("Cargo.toml")) {
        if !text.contains("[package]") {
            continue;
        }
        let package = folder(manifest);
        for target in targets(tree, package, text) {
            let test = ["tests", "ui-tests"].contains(&package) || target.contains("/tests/");
            follow(tree, &target, folder(&target), test, &mut reached);
        }
    }
    reached
}

/// The files at which cargo starts to compile a package: those its manifest names, and those cargo finds by itself.
fn targets(tree: &Tree, package: &str, manifest: &str) -> Vec<String> {
    let named = manifest.lines().filter_map(|line| {
        let path = line.trim().strip_prefix("path = \"")?.strip_suffix("\"")?;
        path.ends_with(".rs").then(|| join(package, path))
    });
    let found = tree.sources().map(|(path, _)| path.to_string()).filter(|path| {
        let inside =
            if package.is_empty() { Some(path.as_str()) } else { path.strip_prefix(&format!("{package}/")) };
        inside.is_some_and(|inside| {
            let parts: Vec<_> = inside.split('/').collect();
            matches!(
                parts[..],
                ["build.rs"]
                    | ["src", "lib.rs" | "main.rs"]
                    | ["src", "bin", _]
                    | ["src", "bin", _, "main.rs"]
            ) || matches!(
                parts[..],
                ["tests" | "examples" | "benches", _] | ["tests" | "examples", _, "main.rs"]
            )
        })
    });
    named.chain(found).filter(|path| tree.text(path).is_some()).collect()
}

/// `dir` is where the file's own `mod x;` look.
fn follow(tree: &Tree, path: &str, dir: &str, test: bool, reached: &mut Reached) {
    let new = reached.all.insert(path.to_string());
    let newly_outside = !test && reached.outside_tests.insert(path.to_string());
    if !new && !newly_outside {
        return;
    }
    if let Some(file) = tree.text(path).and_then(|text| syn::parse_file(text).ok()) {
        follow_items(tree, &file.items, (folder(path), dir), test, reached);
    }
}

/// `beside` is the folder of the file, `dir` where `mod x;` looks for `x.rs`.
fn follow_items(
    tree: &Tree,
    items: &[syn::Item],
    (beside, dir): (&str, &str),
    test: bool,
    reached: &mut Reached,
) {
    for item in items {
        let syn::Item::Mod(item) = item else { continue };
        let test = test || item.attrs.iter().any(marks_a_test);
        let name = item.ident.to_string();
        let below = join(dir, name.trim_start_matches("r#"));
        if let Some((_, items)) = &item.content {
            follow_items(tree, items, (&below, &below), test, reached);
        } else if let Some(path) = path_attribute(item).and_then(|path| resolve(&join(beside, &path))) {
            follow(tree, &path, folder(&path), test, reached);
        } else {
            for (file, dir) in
                [(format!("{below}.rs"), below.as_str()), (format!("{below}/mod.rs"), below.as_str())]
            {
                if tree.text(&file).is_some() {
                    follow(tree, &file, dir, test, reached);
                }
            }
        }
    }
}

fn path_attribute(item: &syn::ItemMod) -> Option<String> {
    item.attrs.iter().filter(|attribute| attribute.path().is_ident("path")).find_map(|attribute| {
        let value = &attribute.meta.require_name_value().ok()?.value;
        let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(path), .. }) = value else { return None };
        Some(path.value())
    })
}

#[test]
fn dead_files_are_told_and_reached_ones_are_not() {
    let tree = Tree::of(&[
        ("Cargo.toml", "[workspace]"),
        ("a/Cargo.toml", "[package]\n[[example]]\npath = \"demo/run.rs\"\n"),
        ("a/src/lib.rs", "mod b; mod inner { mod c; } #[path = \"odd.rs\"] mod d; #[cfg(test)] mod tests;"),
        ("a/src/b.rs", "mod e;"),
        ("a/src/b/e.rs", ""),
        ("a/src/inner/c.rs", ""),
        ("a/src/odd.rs", "mod f;"),
        ("a/src/f/mod.rs", ""),
        ("a/src/tests.rs", ""),
        ("a/demo/run.rs", ""),
        ("a/tests/it.rs", ""),
        ("a/src/dead.rs", ""),
        ("a/src/b/dead.rs", ""),
        ("tests/dead.rs", ""),
    ]);
    let dead = dead_files(&tree);
    assert_eq!(dead.len(), 3, "{dead:?}");
    assert!(dead.iter().all(|finding| finding.contains("dead.rs ")));
    let tests = test_files(&tree);
    assert_eq!(tests.iter().map(String::as_str).collect::<Vec<_>>(), ["a/src/tests.rs", "a/tests/it.rs"]);
}
