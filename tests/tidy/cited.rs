//! What prose cites exists: links, files and folders in backticks, rules of the protocol, pages.

use crate::prose::prose;
use crate::tree::{Tree, folder, join};
use std::collections::BTreeSet;

/// The page of the numbered rules that are cited as `PROTOCOL n`.
const PROTOCOL: &str = "docs/protocol.md";

/// Pages that are not in the repository. What they said stands where it is needed.
const NOT_HERE: &[&str] = &["DESIGN", "SEMANTICS", "HOUSE", "FINDS", "PROTOCOL2", "STYLE"];

/// Documents that speak of the repository's own files by their ends, as `store/group.rs`. Others name a
/// user's files too.
const ABOUT_US: &[&str] = &["CONTRIBUTING.md", "docs/ARCHITECTURE.md", PROTOCOL];

/// What comments and documents cite, and what does not exist.
pub(crate) fn citations(tree: &Tree) -> Vec<String> {
    let rules = rules(tree.text(PROTOCOL).unwrap_or_default());
    let mut findings = Vec::new();
    for (path, text) in tree.sources().chain(tree.documents()) {
        let lines: Vec<&str> = prose(path, text).map(|(_, line)| line.trim()).collect();
        let joined = lines.join(" ");
        let mut tell = |what: String| findings.push(format!("{path} {what}"));
        for link in links(&joined) {
            let file = path.ends_with(".md") || link.ends_with(".md") || link.ends_with(".rs");
            if file && !tree.exists(&join(folder(path), link)) {
                tell(format!("links to {link}, which does not exist"));
            }
        }
        let about_us = path.ends_with(".rs") || ABOUT_US.contains(&path);
        for named in lines.iter().flat_map(|line| backticked(line)) {
            let ours = looks_like_ours(tree, named) && !tree.exists(named);
            if ours || (about_us && looks_like_a_source(named) && !tree.has_end(named)) {
                tell(format!("names `{named}`, which does not exist"));
            }
        }
        for rule in cited_rules(&joined).into_iter().filter(|rule| !rules.contains(rule)) {
            tell(format!("cites rule {rule}, which {PROTOCOL} does not have"));
        }
        for page in NOT_HERE.iter().filter(|page| words(&joined).any(|word| word == **page)) {
            tell(format!("cites {page}, which is not in the repository: say the thing itself"));
        }
    }
    findings
}

/// The numbers of the rules: `**n.**`.
fn rules(page: &str) -> BTreeSet<u32> {
    page.split("**").filter_map(|bold| bold.strip_suffix('.')?.parse().ok()).collect()
}

/// `PROTOCOL 4, 22 and 34`.
fn cited_rules(prose: &str) -> Vec<u32> {
    let mut cited = Vec::new();
    for rest in prose.split("PROTOCOL ").skip(1) {
        let mut rest = rest;
        loop {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let Ok(rule) = rest[..digits].parse() else { break };
            cited.push(rule);
            rest = &rest[digits..];
            let Some(more) = rest.strip_prefix(", ").or_else(|| rest.strip_prefix(" and ")) else { break };
            rest = more;
        }
    }
    cited
}

fn words(prose: &str) -> impl Iterator<Item = &str> {
    prose.split(|c: char| !c.is_alphanumeric() && c != '_')
}

fn links(prose: &str) -> Vec<&str> {
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let files = targets.map(|(target, _)| target.split('#').next().unwrap_or_default());
    files.filter(|target| !target.is_empty() && !target.contains("://")).collect()
}

fn backticked(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).collect()
}

fn is_plain(named: &str) -> bool {
    named.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c))
}

/// A path that begins with one of our top folders.
fn looks_like_ours(tree: &Tree, named: &str) -> bool {
    let below = named.split_once('/');
    is_plain(named) && below.is_some_and(|(top, _)| !top.is_empty() && top != "." && tree.exists(top))
}

/// The name of a source or a page, with or without folders before it. `x.rs` stands for any.
fn looks_like_a_source(named: &str) -> bool {
    let stands_for_any = named.split(['/', '.']).any(|part| part.len() == 1);
    is_plain(named) && !stands_for_any && (named.ends_with(".rs") || named.ends_with(".md"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_links_and_paths_are_told() {
        let tree = Tree::of(&[
            (
                "docs/a.md",
                "[x](b.md) [y](../README.md#z) [z](https://x.y) `docs/b.md` `docs/c.md` `a/b` `docs/*.md`",
            ),
            ("README.md", "```text\n[x](gone.md)\n```\n`main.rs`"),
            ("core/src/lib.rs", "//! See `docs/gone.md`, `src/lib.rs`.\nlet x = \"`docs/gone.md`\";"),
            ("core/src/a.rs", "f(); // `gone.rs`, `xlib.rs`, `x.rs`, `core/src/`, `gone/`, [b](gone.md)"),
        ]);
        let findings = citations(&tree);
        assert_eq!(findings.len(), 7, "{findings:#?}");
    }

    #[test]
    fn a_rule_that_does_not_exist_and_a_page_that_is_not_here_are_told() {
        let cites = |text: &str| {
            citations(&Tree::of(&[(PROTOCOL, "- **1.** **Poll.**\n- **22.** x"), ("a/src/lib.rs", text)]))
                .len()
        };
        for good in [
            "// PROTOCOL 1, 22",
            "// PROTOCOL n",
            "// A design.",
            "// PROTOCOL 1, as\n// they say",
            "f(\"HOUSE\")",
        ] {
            assert_eq!(cites(good), 0, "{good}");
        }
        for bad in
            ["// PROTOCOL 2", "// PROTOCOL 1, 3", "// PROTOCOL 1 and 3", "/// PROTOCOL\n/// 3", "// HOUSE 4"]
        {
            assert_eq!(cites(bad), 1, "{bad}");
        }
    }
}
