//! What a page quotes is compiled: each Rust block of a page of [`PAGES`] stands in a file of its folder. Token by
//! token, so the page may break lines and comment as its columns need.

use crate::docs::fences;
use crate::tree::Tree;
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The pages, each with the folder of what it quotes.
const PAGES: &[(&str, &str)] = &[
    ("docs/coming-from-temporal.md", "tests/examples/temporal/"),
    ("docs/chains.md", "tests/examples/chains/"),
];

/// Blocks that no source has, and sources that the page does not link to.
pub(crate) fn findings(tree: &Tree) -> Vec<String> {
    PAGES.iter().flat_map(|(page, folder)| of(tree, page, folder)).collect()
}

fn of(tree: &Tree, name: &str, folder: &str) -> Vec<String> {
    let page = tree.text(name).unwrap_or_default();
    let sources = || tree.sources().filter(|(path, _)| path.starts_with(folder));
    let compiled: Vec<_> = sources().filter_map(|(_, text)| words(text)).collect();
    let mut findings = Vec::new();
    for block in fences(page, "rust") {
        let first = block.lines().next().unwrap_or_default();
        match words(&block) {
            None => findings.push(format!("{name}: the block `{first}` is not Rust")),
            Some(quoted) if !compiled.iter().any(|source| has(source, &quoted)) => {
                findings.push(format!("{name}: the block `{first}` stands in no file of {folder}"));
            }
            Some(_) => {}
        }
    }
    let unlinked = sources().map(|(path, _)| path).filter(|path| !path.ends_with("/mod.rs"));
    let unlinked = unlinked.filter(|path| !page.contains(&format!("](../{path})")));
    findings.extend(unlinked.map(|path| format!("{name} does not link to {path}")));
    findings
}

fn has(source: &[String], quoted: &[String]) -> bool {
    !quoted.is_empty() && source.windows(quoted.len()).any(|window| window == quoted)
}

/// The tokens of a text, without comments and without the commas that only a line break asks for.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    flatten(text.parse().ok()?, &mut words);
    Some(words)
}

fn flatten(tokens: TokenStream, words: &mut Vec<String>) {
    for token in tokens {
        let TokenTree::Group(group) = token else {
            words.push(token.to_string());
            continue;
        };
        let (open, close) = match group.delimiter() {
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Brace => ("{", "}"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::None => ("", ""),
        };
        words.push(open.to_owned());
        flatten(group.stream(), words);
        words.pop_if(|last| last == ",");
        words.push(close.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_no_source_has_is_told() {
        let check = |page: &str| {
            let source = ("tests/examples/temporal/a.rs", "fn f() { g(1, 2); /* why */ h() }");
            findings(&Tree::of(&[(PAGES[0].0, page), source])).len()
        };
        let link = "[a](../tests/examples/temporal/a.rs)\n";
        for good in ["g(1, 2);", "g(\n    1,\n    2,\n); // this\nh()", "fn f() {\n g(1, 2);\n h()\n}"] {
            assert_eq!(check(&format!("{link}```rust\n{good}\n```\n")), 0, "{good}");
        }
        for bad in ["g(1, 3);", "h(); g(1, 2);", "g(1", ""] {
            assert_eq!(check(&format!("{link}```rust\n{bad}\n```\n")), 1, "{bad}");
        }
        assert_eq!(check("```rust\nh()\n```\n"), 1, "no link");
    }
}
