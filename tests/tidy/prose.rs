//! Rules for what is written: the width of lines, and words for which there are plainer ones.

use crate::tree::Tree;
use proc_macro2::{TokenStream, TokenTree};
use std::collections::BTreeSet;

/// The most columns of a line.
const WIDTH: usize = 120;

/// A word longer than this (a path, a link) makes its line as long as it must be.
const LONG_WORD: usize = 60;

/// Names that were given up, each with the name to write instead. No source and no document says them.
const NAMES: &[(&str, &str)] = &[
    ("Tiding", "Notification"),
    ("Tidings", "Notifications"),
    ("Silence", "LastTimeout"),
    ("LAST_WORDS", "ABORT_GRACE"),
    ("guilty", "crash_limit"),
    ("Canceled", "Cancelled"),
    ("Canceling", "Cancelling"),
    ("Cancelation", "Cancellation"),
];

/// Words and phrases that comments and documents do without, each with what to write instead.
const PHRASES: &[(&str, &str)] = &[
    ("nobody", "who does not: no worker, no process, no session, no other"),
    ("nobody's", "`ignored`, `discarded`, or whose it is not"),
    ("whoever", "who does: the worker that .., the session that .."),
    ("stranger", "`another session`, `another process`"),
    ("strangers", "`other sessions`, `other processes`"),
    ("a stranger's", "`another session's`"),
    ("anew", "`again`"),
    ("mended", "`fixed`"),
    ("by lot", "`at random`"),
    ("for others' sake", "why: `as a deadlock's victim`, `to let another commit first`"),
    ("of its own accord", "`by itself`"),
    ("answers the door", "`accepts connections`"),
    ("the end of time", "`i64::MAX`, or what the limit is"),
    ("come about", "`be made`, `happen`"),
    ("comes about", "`is made`, `happens`"),
    ("nothing of it is in", "`nothing of it was written`"),
    ("is dear", "`is expensive`"),
    ("plays fate", "what it does"),
];

/// No line is wider than [`WIDTH`]. What cannot be broken may be wider: raw strings, long words; in Markdown
/// tables, titles and code.
pub(crate) fn width(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    let mut wide = |path: &str, number: usize, line: &str| {
        let long_word = line.split_whitespace().any(|word| word.chars().count() > LONG_WORD);
        let columns = line.chars().count();
        if columns > WIDTH && !long_word {
            findings.push(format!("{path}:{number} has {columns} columns, more than {WIDTH}"));
        }
    };
    for (path, text) in tree.sources() {
        let Ok(tokens) = text.parse() else { continue };
        let mut raw = BTreeSet::new();
        raw_strings(tokens, &mut raw);
        let lines = (1..).zip(text.lines()).filter(|(number, _)| !raw.contains(number));
        let lines = lines.filter(|(_, line)| !in_doc_table(line));
        lines.for_each(|(number, line)| wide(path, number, line));
    }
    for (path, text) in tree.documents() {
        let lines = prose(path, text).filter(|(_, line)| !line.trim_start().starts_with(['|', '#']));
        lines.for_each(|(number, line)| wide(path, number, line));
    }
    findings
}

fn in_doc_table(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("/// |") || line.starts_with("//! |")
}

/// The lines of raw string literals.
fn raw_strings(tokens: TokenStream, lines: &mut BTreeSet<usize>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => raw_strings(group.stream(), lines),
            TokenTree::Literal(literal) if literal.to_string().starts_with(['r', 'b']) => {
                lines.extend(literal.span().start().line..=literal.span().end().line);
            }
            _ => {}
        }
    }
}

/// No name of [`NAMES`] anywhere, no phrase of [`PHRASES`] in a comment or a document.
pub(crate) fn vocabulary(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    let this = |path: &str| path == "tests/tidy/prose.rs";
    for (path, text) in tree.sources().chain(tree.documents()).filter(|(path, _)| !this(path)) {
        for (name, instead) in NAMES {
            let mut lines = (1..).zip(text.lines());
            if let Some((number, _)) = lines.find(|(_, line)| find_word(line, name).is_some()) {
                findings.push(format!("{path}:{number} says `{name}`: write `{instead}`"));
            }
        }
        let (joined, starts) = joined(prose(path, text));
        for (phrase, instead) in PHRASES {
            if let Some(at) = find_word(&joined, phrase) {
                let number = starts.iter().rev().find(|(start, _)| *start <= at).map_or(0, |start| start.1);
                findings.push(format!("{path}:{number} says `{phrase}`: write {instead}"));
            }
        }
    }
    findings
}

/// Where the text has the phrase, not as a part of longer words.
fn find_word(text: &str, phrase: &str) -> Option<usize> {
    let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let found = text.match_indices(phrase).map(|(at, _)| at);
    let mut whole = found.filter(|at| {
        let after = &text[at + phrase.len()..];
        !inside(text[..*at].chars().next_back()) && !inside(after.chars().next()) && !after.starts_with("'s")
    });
    whole.next()
}

/// The prose of a file, line by line: comments of a source, what is not code of a document.
pub(crate) fn prose<'a>(path: &str, text: &'a str) -> Box<dyn Iterator<Item = (usize, &'a str)> + 'a> {
    let lines = (1..).zip(text.lines());
    if path.ends_with(".rs") {
        return Box::new(lines.filter_map(|(number, line)| Some((number, comment(line)?))));
    }
    let mut fenced = false;
    Box::new(lines.filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    }))
}

/// The comment of a line. Slashes inside a string begin none.
fn comment(line: &str) -> Option<&str> {
    let places = line.match_indices("//").map(|(at, _)| at);
    let mut begins = places.filter(|at| {
        let before = &line[..*at];
        (before.is_empty() || before.ends_with(' ')) && before.matches('"').count().is_multiple_of(2)
    });
    Some(line[begins.next()?..].trim_start_matches(['/', '!']))
}

/// The lines in one, in small letters, and where in it each line begins.
fn joined<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> (String, Vec<(usize, usize)>) {
    let (mut text, mut starts) = (String::new(), Vec::new());
    for (number, line) in lines {
        starts.push((text.len(), number));
        text.push_str(&line.trim().to_lowercase());
        text.push(' ');
    }
    (text, starts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(path: &str, text: &str) -> Tree {
        Tree::of(&[(path, text)])
    }

    #[test]
    fn a_wide_line_is_told_where_it_can_be_broken() {
        let (words, word) = ("word ".repeat(25), "w".repeat(130));
        for bad in
            [format!("// {words}\n"), format!("f(\"{words}\");\n"), format!("/// {words}\nfn f() {{}}\n")]
        {
            assert_eq!(width(&tree("a/src/lib.rs", &bad)).len(), 1, "{bad}");
        }
        for good in [
            format!("// {word}\n"),
            format!("f(r\"a\n{words}\");\n"),
            format!("/// | {words} |\nfn f() {{}}\n"),
        ] {
            assert!(width(&tree("a/src/lib.rs", &good)).is_empty(), "{good}");
        }
        assert_eq!(width(&tree("a.md", &words)).len(), 1);
        for good in [format!("| {words} |"), format!("# {words}"), format!("```text\n{words}\n```"), word] {
            assert!(width(&tree("a.md", &good)).is_empty(), "{good}");
        }
    }

    #[test]
    fn a_name_that_was_given_up_is_told_anywhere() {
        for bad in ["struct Tiding;", "// A Tiding.", "f(\"Tiding\");"] {
            assert_eq!(vocabulary(&tree("a/src/lib.rs", bad)).len(), 1, "{bad}");
        }
        assert_eq!(vocabulary(&tree("a.md", "`Tiding`")).len(), 1);
        assert!(vocabulary(&tree("a/src/lib.rs", "struct TidingOf; fn tiding() {}")).is_empty());
    }

    #[test]
    fn a_retired_phrase_is_told_in_comments_and_documents() {
        for bad in [
            "// It is drawn by lot.",
            "/// It is drawn by\n/// lot.",
            "f(); // Nobody does.",
            "//! It's nobody's.",
        ] {
            assert_eq!(vocabulary(&tree("a/src/lib.rs", bad)).len(), 1, "{bad}");
        }
        assert_eq!(vocabulary(&tree("a.md", "It is drawn\nby lot.")).len(), 1);
        for good in ["f(\"nobody\");", "f(\"http://nobody\");", "// By lots.", "let nobody = 1;"] {
            assert!(vocabulary(&tree("a/src/lib.rs", good)).is_empty(), "{good}");
        }
        assert!(vocabulary(&tree("a.md", "```sql\n-- nobody\n```\n")).is_empty());
    }
}
