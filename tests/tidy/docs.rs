//! Rules for documents: error pages, the README, paths of the machine.

use crate::modules;
use crate::rust;
use crate::tree::Tree;
use proc_macro2::{TokenStream, TokenTree};
use std::collections::BTreeSet;

/// The tables of codes: of a running program, and of compile errors.
const TABLES: &[&str] = &["core/src/code.rs", "macros/analysis/src/errors.rs"];

/// Texts that cannot use a table name their code so: notes of trait bounds, `compile_error!`. Names in
/// compile errors end in `_see_ab0316`.
const EXPLAINED: &str = "cargo abide explain AB";

/// Each code of the tables, and each in a text that cannot use them, has a page in `docs/errors/`; each page
/// has a code; each code that anything names has a page.
pub(crate) fn error_codes(tree: &Tree) -> Vec<String> {
    let in_tables = all_codes(tree, |path| TABLES.contains(&path));
    let is_tested = |path: &str| path.starts_with("tests/") || path.starts_with("ui-tests/");
    let sources = tree.sources().filter(|(path, _)| !is_tested(path));
    let explained = sources.flat_map(|(_, text)| text.split(EXPLAINED).chain(text.split("_see_ab")).skip(1));
    let explained =
        explained.filter_map(|rest| rest.get(..4).filter(|n| n.bytes().all(|b| b.is_ascii_digit())));
    let explained = explained.map(|number| format!("AB{number}"));
    let kept = tree.text("tools/cargo-abide/src/explain.rs").and_then(|text| {
        let list = text.split("const LATER: ").nth(1)?;
        Some(codes(list.split(';').next()?))
    });
    let used: BTreeSet<_> = in_tables.into_iter().chain(explained).chain(kept.unwrap_or_default()).collect();
    let is_ours = |path: &str| path.ends_with(".md") || (path.ends_with(".rs") && !is_tested(path));
    let named = all_codes(tree, is_ours);
    let pages: BTreeSet<_> = tree.texts().filter_map(|(path, _)| page_of(path)).map(str::to_string).collect();
    let missing = used.union(&named).filter(|code| !pages.contains(*code));
    let index = tree.text("docs/errors/README.md").unwrap_or_default();
    missing
        .map(|code| format!("{code} has no page docs/errors/{code}.md"))
        .chain(pages.difference(&used).map(|code| format!("docs/errors/{code}.md: no table has {code}")))
        .chain(pages.iter().filter_map(|code| {
            let title = tree.text(&format!("docs/errors/{code}.md"))?.lines().next()?.strip_prefix("# ")?;
            let line = format!("- [{code}]({code}.md){}", title.strip_prefix(code.as_str())?);
            let listed = index.lines().any(|listed| listed == line);
            (!listed).then(|| format!("docs/errors/README.md lacks the line {line}"))
        }))
        .collect()
}

/// No text of a program names a code but by a table, so that a code and its text cannot differ.
pub(crate) fn written_codes(tree: &Tree) -> Vec<String> {
    let test_files = modules::test_files(tree);
    let programs = tree.sources().filter(|(path, _)| {
        let program = path.contains("src/") && !path.starts_with("tests/") && !path.ends_with("explain.rs");
        program && !TABLES.contains(path) && !test_files.contains(*path)
    });
    let mut findings = Vec::new();
    for (path, text) in programs {
        let Ok(file) = syn::parse_file(text) else { continue };
        let mut found = Vec::new();
        texts(rust::without_tests(file), &mut found);
        findings.extend(found.into_iter().filter(|(_, text)| !text.contains(EXPLAINED)).flat_map(
            |(line, text)| {
                codes(&text)
                    .into_iter()
                    .map(move |code| format!("{path}:{line} writes {code}: take it from a table"))
            },
        ));
    }
    findings
}

/// The string literals of some code, with their lines; not those that are documentation.
fn texts(tokens: TokenStream, found: &mut Vec<(usize, String)>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let first = group.stream().into_iter().next().map(|token| token.to_string());
                if first.as_deref() != Some("doc") {
                    texts(group.stream(), found);
                }
            }
            TokenTree::Literal(literal) => found.push((literal.span().start().line, literal.to_string())),
            _ => {}
        }
    }
}

fn page_of(path: &str) -> Option<&str> {
    let code = path.strip_prefix("docs/errors/")?.strip_suffix(".md")?;
    code.starts_with("AB").then_some(code)
}

fn all_codes(tree: &Tree, wanted: impl Fn(&str) -> bool) -> BTreeSet<String> {
    tree.texts().filter(|(path, _)| wanted(path)).flat_map(|(_, text)| codes(text)).collect()
}

/// `AB` and exactly four digits, with no word character on either side.
fn codes(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let is_code = |word: &&str| {
        word.strip_prefix("AB").is_some_and(|n| n.len() == 4 && n.bytes().all(|digit| digit.is_ascii_digit()))
    };
    words.filter(is_code).map(str::to_string).collect()
}

/// One `sh` block with two commands, and a program of at most 25 lines that is `examples/hello.rs`.
pub(crate) fn readme(tree: &Tree) -> Vec<String> {
    let readme = tree.text("README.md").unwrap_or_default();
    let mut findings = Vec::new();
    match fences(readme, "sh").as_slice() {
        [block] => match block.lines().collect::<Vec<_>>()[..] {
            [
                "cargo run --release --example order_service",
                "ABIDE_POSTGRES=install cargo test --workspace",
            ] => {}
            _ => findings.push(format!("README.md: its `sh` block holds other commands:\n{block}")),
        },
        blocks => findings.push(format!("README.md has {} `sh` blocks, not one", blocks.len())),
    }
    let hello = tree.text("examples/hello.rs").unwrap_or_default();
    match fences(readme, "rust").first() {
        Some(program) if program != hello => {
            findings.push("README.md: its first program is not examples/hello.rs, line for line".to_string());
        }
        Some(program) if program.lines().count() > 25 => {
            findings.push(format!("README.md: its program has {} lines, not 25", program.lines().count()));
        }
        Some(_) => {}
        None => findings.push("README.md shows no program".to_string()),
    }
    findings
}

/// The blocks fenced as `language`.
pub(crate) fn fences(text: &str, language: &str) -> Vec<String> {
    let open = format!("```{language}\n");
    let blocks = text.split(open.as_str()).skip(1).filter_map(|rest| rest.split_once("```"));
    blocks.map(|(block, _)| block.to_string()).collect()
}

/// No file says where on somebody's disk it was written: here, in this user's home, or in the usual places.
pub(crate) fn machine_paths(tree: &Tree) -> Vec<String> {
    let here = env!("CARGO_MANIFEST_DIR").trim_end_matches("tests").to_string();
    let home = std::env::var("HOME").ok().filter(|home| home.len() > 1).map(|home| format!("{home}/"));
    // In two halves, so that this file does not name them itself.
    let usual =
        [("/ro", "ot/"), ("/Us", "ers/"), ("/wo", "rk/"), ("C:\\", "Us")].map(|(a, b)| format!("{a}{b}"));
    let forbidden: BTreeSet<String> = usual.into_iter().chain([here]).chain(home).collect();
    let mut findings = Vec::new();
    for (path, text) in tree.texts() {
        for word in &forbidden {
            // A folder of that name inside the tree is fine; a path from a disk's root has no name before it.
            let mut places = text.match_indices(word.as_str()).map(|(at, _)| text[..at].chars().next_back());
            let rooted =
                places.any(|before| before.is_none_or(|c| !c.is_alphanumeric() && !"._-".contains(c)));
            findings.extend(rooted.then(|| format!("{path} says `{word}`")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_without_a_page_and_a_page_without_a_code_are_told() {
        let page = ("docs/errors/AB0401.md", "# AB0401: taken\n");
        let index = ("docs/errors/README.md", "- [AB0401](AB0401.md): taken\n");
        let source = ("core/src/code.rs", "codes! { Taken = \"AB0401\", }");
        assert!(error_codes(&Tree::of(&[page, index, source])).is_empty());
        assert_eq!(error_codes(&Tree::of(&[source])).len(), 1);
        assert_eq!(error_codes(&Tree::of(&[page, index])).len(), 1);
        assert_eq!(error_codes(&Tree::of(&[page, source])).len(), 1);
        assert_eq!(error_codes(&Tree::of(&[("core/src/a.rs", "//! AB0401: x")])).len(), 1);
        assert_eq!(codes("AB0401, `AB0402`: AB04, AB04011, XAB0403 AB05xx"), ["AB0401", "AB0402"]);
    }

    #[test]
    fn a_code_in_a_text_is_told() {
        let written = |text: &str| {
            written_codes(&Tree::of(&[("a/Cargo.toml", "[package]"), ("a/src/lib.rs", text)])).len()
        };
        for bad in [
            "fn f() { g(\"AB0401\") }",
            "#[error(\"AB0401: x\")] struct E;",
            "fn f() { g!(a, \"AB0401: x\") }",
        ] {
            assert_eq!(written(bad), 1, "{bad}");
        }
        for good in [
            "/// AB0401\nfn f() {}",
            "#[a(note = \"AB0301, explained by `cargo abide explain AB0301`\")] struct E;",
            "#[cfg(test)] mod tests { fn f() { g(\"AB0401\") } }",
        ] {
            assert_eq!(written(good), 0, "{good}");
        }
    }

    #[test]
    fn a_readme_that_breaks_a_promise_is_told() {
        let good = "```sh\ncargo run --release --example order_service\n\
                    ABIDE_POSTGRES=install cargo test --workspace\n```\n```rust\nx\n```\n";
        let check =
            |text: &str, hello: &str| readme(&Tree::of(&[("README.md", text), ("examples/hello.rs", hello)]));
        assert!(check(good, "x\n").is_empty());
        assert_eq!(check(good, "y\n").len(), 1);
        assert_eq!(check(&good.replace("cargo test", "make test"), "x\n").len(), 1);
        assert_eq!(check(&format!("{good}```sh\nls\n```\n"), "x\n").len(), 1);
        let long = "x\n".repeat(26);
        assert_eq!(check(&good.replace("x\n", &long), &long).len(), 1);
    }

    #[test]
    fn a_machine_path_is_told() {
        assert_eq!(machine_paths(&Tree::of(&[("a.md", concat!("see /ro", "ot/x"))])).len(), 1);
        assert!(machine_paths(&Tree::of(&[("a.md", concat!("see docs/ro", "ot/x"))])).is_empty());
    }
}
