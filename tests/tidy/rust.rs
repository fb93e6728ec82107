//! Rules for Rust sources: length, header, function length, words.

use crate::modules;
use crate::tree::Tree;
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::visit_mut::{self, VisitMut};

/// The most lines of a file and of a function.
const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 70;

/// Files that may be longer than [`FILE_LINES`], each with the reason.
pub(crate) const LONGER_FILES: &[(&str, &str)] = &[];

/// Every file begins with `//!` and has at most [`FILE_LINES`] lines.
pub(crate) fn files(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, text) in tree.sources() {
        if !text.starts_with("//! ") {
            findings
                .push(format!("{path} does not begin with `//!`: what is it, and what must it never do?"));
        }
        let lines = text.lines().count();
        if lines > FILE_LINES && !LONGER_FILES.iter().any(|(file, _)| *file == path) {
            findings.push(format!("{path} has {lines} lines, more than {FILE_LINES}: look for the seam"));
        }
    }
    for (path, _) in LONGER_FILES {
        if tree.text(path).is_none_or(|text| text.lines().count() <= FILE_LINES) {
            findings.push(format!("{path} needs no exception any more"));
        }
    }
    findings
}

/// Every function has at most [`FUNCTION_LINES`] lines, from `fn` to its closing brace.
pub(crate) fn functions(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, text) in tree.sources() {
        match syn::parse_file(text) {
            Ok(file) => Functions { path, findings: &mut findings }.visit_file(&file),
            Err(error) => findings.push(format!("{path} does not parse: {error}")),
        }
    }
    findings
}

struct Functions<'a> {
    path: &'a str,
    findings: &'a mut Vec<String>,
}

impl Functions<'_> {
    fn check(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let start = signature.fn_token.span().start().line;
        let lines = block.brace_token.span.close().end().line - start + 1;
        if lines > FUNCTION_LINES {
            let (path, name) = (self.path, &signature.ident);
            self.findings
                .push(format!("{path}:{start} `{name}` has {lines} lines, more than {FUNCTION_LINES}"));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.check(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.check(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.check(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

/// Words that must not be in a program that is done. Tests may unwrap; no test may be ignored.
pub(crate) fn words(tree: &Tree) -> Vec<String> {
    let test_files = modules::test_files(tree);
    let mut findings = Vec::new();
    for (path, text) in tree.sources() {
        let Ok(file) = syn::parse_file(text) else { continue };
        let mut found = Vec::new();
        scan(file.to_token_stream(), &mut found);
        found.retain(|(_, word)| *word == "#[ignore]");
        if !test_files.contains(path) {
            scan(without_tests(file), &mut found);
        }
        findings.extend(found.into_iter().map(|(line, word)| format!("{path}:{line} says `{word}`")));
    }
    findings.dedup();
    findings
}

/// The tokens of a file but for what only tests see.
pub(crate) fn without_tests(mut file: syn::File) -> TokenStream {
    WithoutTests.visit_file_mut(&mut file);
    file.to_token_stream()
}

/// Takes what only tests see out of a file.
struct WithoutTests;

impl VisitMut for WithoutTests {
    fn visit_file_mut(&mut self, file: &mut syn::File) {
        file.items.retain(|item| !only_in_tests(item));
        visit_mut::visit_file_mut(self, file);
    }

    fn visit_item_mod_mut(&mut self, item: &mut syn::ItemMod) {
        if let Some((_, items)) = &mut item.content {
            items.retain(|item| !only_in_tests(item));
        }
        visit_mut::visit_item_mod_mut(self, item);
    }

    fn visit_item_impl_mut(&mut self, item: &mut syn::ItemImpl) {
        item.items.retain(|item| !matches!(item, syn::ImplItem::Fn(f) if f.attrs.iter().any(marks_a_test)));
        visit_mut::visit_item_impl_mut(self, item);
    }
}

fn only_in_tests(item: &syn::Item) -> bool {
    let attributes = match item {
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        _ => return false,
    };
    attributes.iter().any(marks_a_test)
}

/// `#[test]`, `#[cfg(test)]`, `#[tokio::test]` and their like.
pub(crate) fn marks_a_test(attribute: &syn::Attribute) -> bool {
    let path = attribute.path();
    path.segments.last().is_some_and(|last| last.ident == "test")
        || (path.is_ident("cfg") && has_word(attribute.to_token_stream(), "test"))
}

fn has_word(tokens: TokenStream, word: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == word,
        TokenTree::Group(group) => has_word(group.stream(), word),
        _ => false,
    })
}

fn scan(tokens: TokenStream, found: &mut Vec<(usize, &'static str)>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    for (i, token) in tokens.iter().enumerate() {
        let next = tokens.get(i + 1).map(ToString::to_string).unwrap_or_default();
        let line = token.span().start().line;
        match token {
            TokenTree::Ident(ident) => match ident.to_string().as_str() {
                "todo" if next == "!" => found.push((line, "todo!")),
                "unimplemented" if next == "!" => found.push((line, "unimplemented!")),
                "dbg" if next == "!" => found.push((line, "dbg!")),
                "unwrap" if next == "()" && i > 0 && tokens[i - 1].to_string() == "." => {
                    found.push((line, ".unwrap()"));
                }
                // `Token![unsafe]` speaks of the word and does not use it.
                "unsafe" if tokens.len() > 1 => found.push((line, "unsafe")),
                _ => {}
            },
            TokenTree::Group(group) => {
                let bracketed = group.delimiter() == Delimiter::Bracket && i > 0;
                let first = group.stream().into_iter().next().map(|t| t.to_string());
                if bracketed && tokens[i - 1].to_string() == "#" && first.as_deref() == Some("ignore") {
                    found.push((line, "#[ignore]"));
                }
                scan(group.stream(), found);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Tree {
        Tree::of(&[("a/Cargo.toml", "[package]"), ("a/src/lib.rs", text)])
    }

    #[test]
    fn a_long_file_and_a_missing_header_are_told() {
        assert!(files(&tree("//! A file.\nfn f() {}\n")).is_empty());
        assert_eq!(files(&tree("fn f() {}\n")).len(), 1);
        assert_eq!(files(&tree(&"//! Long.\n".repeat(FILE_LINES + 1))).len(), 1);
    }

    #[test]
    fn a_long_function_is_told_wherever_it_is() {
        let body = "    f();\n".repeat(FUNCTION_LINES);
        for text in [
            format!("fn f() {{\n{body}}}"),
            format!("impl A {{ fn f() {{\n{body}}} }}"),
            format!("trait A {{ fn f() {{\n{body}}} }}"),
            format!("mod m {{ fn g() {{ fn f() {{\n f();\n }}\n{body} }} }}"),
        ] {
            assert_eq!(functions(&tree(&text)).len(), 1, "{text}");
        }
        assert!(functions(&tree("fn f() {\n  f();\n}\nfn g() {}\n")).is_empty());
    }

    #[test]
    fn forbidden_words_are_told_outside_tests_only() {
        for bad in ["fn f() { todo!() }", "fn f() { x.unwrap() }", "fn f() { dbg!(1); }", "unsafe fn f() {}"]
        {
            assert_eq!(words(&tree(bad)).len(), 1, "{bad}");
            assert!(words(&tree(&format!("#[cfg(all(x, test))] mod tests {{ {bad} }}"))).is_empty(), "{bad}");
            assert_eq!(
                words(&tree(&format!("#[cfg(feature = \"testing\")] mod m {{ {bad} }}"))).len(),
                1,
                "{bad}"
            );
        }
        for good in
            ["// todo!()\nfn f() { \"x.unwrap()\" }", "fn f() { x.unwrap_or(1) }", "type T = Token![unsafe];"]
        {
            assert!(words(&tree(good)).is_empty(), "{good}");
        }
        assert_eq!(words(&tree("#[cfg(test)] mod t { #[test] #[ignore] fn f() {} }")).len(), 1);
    }
}
