//! The escape hatches in a file: each place where an author allows code that abide would refuse, with the
//! reason.
//!
//! The search reads tokens, so it also covers macro arguments. Names are resolved with the file's `use`s, and
//! never guessed from a last segment alone.

use crate::depth;
use crate::text;
use proc_macro2::{Delimiter, Spacing, Span, TokenStream, TokenTree};
use std::collections::BTreeMap;
use std::fmt;

/// One escape hatch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
    /// The kind of escape hatch.
    pub kind: ExceptionKind,
    /// The covered code: an expression, or the head of an item.
    pub covers: String,
    /// The author's reason. Empty if there is none, or if it is not a string literal.
    pub reason: String,
}

/// The kinds of escape hatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExceptionKind {
    /// `workflow::allow!("why", expression)`.
    Allow,
    /// `#[workflow::deterministic("why")]` on a helper.
    Deterministic,
    /// `workflow::assume_deterministic("why", future)`.
    AssumeDeterministic,
}

impl ExceptionKind {
    const ALL: [Self; 3] = [Self::Allow, Self::Deterministic, Self::AssumeDeterministic];

    fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deterministic => "deterministic",
            Self::AssumeDeterministic => "assume_deterministic",
        }
    }
}

impl fmt::Display for ExceptionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "workflow::allow!",
            Self::Deterministic => "#[workflow::deterministic]",
            Self::AssumeDeterministic => "workflow::assume_deterministic",
        })
    }
}

/// All escape hatches of a file, in source order. Returns an error if the text is not a Rust file.
pub fn exceptions(file_text: &str) -> Result<Vec<Exception>, syn::Error> {
    let file = depth::parse_file(file_text)?;
    let tokens: TokenStream = file_text.parse()?;
    let mut names = Names::default();
    names.items(&file.items);
    let mut found = Vec::new();
    scan(tokens, &names, &mut found);
    found.sort_by_key(|exception| (exception.line, exception.column));
    Ok(found)
}

/// The names that the `use`s of a file import.
#[derive(Default)]
struct Names {
    /// Local name → full path.
    aliases: BTreeMap<String, Vec<String>>,
    /// `use abide::workflow::*`, or `abide::*`, or the prelude.
    globs: Vec<Vec<String>>,
}

impl Names {
    fn items(&mut self, items: &[syn::Item]) {
        for item in items {
            match item {
                syn::Item::Use(item) => self.tree(&item.tree, &mut Vec::new()),
                syn::Item::Mod(syn::ItemMod { content: Some((_, items)), .. }) => self.items(items),
                _ => {}
            }
        }
    }

    fn tree(&mut self, tree: &syn::UseTree, path: &mut Vec<String>) {
        match tree {
            syn::UseTree::Path(part) => {
                path.push(part.ident.to_string());
                self.tree(&part.tree, path);
                path.pop();
            }
            syn::UseTree::Name(name) if name.ident == "self" => {
                self.aliases.extend(path.last().cloned().map(|last| (last, path.clone())));
            }
            syn::UseTree::Name(name) => self.alias(&name.ident.to_string(), &name.ident, path),
            syn::UseTree::Rename(rename) => self.alias(&rename.rename.to_string(), &rename.ident, path),
            syn::UseTree::Glob(_) => self.globs.push(path.clone()),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(tree, path)),
        }
    }

    fn alias(&mut self, local: &str, name: &syn::Ident, path: &[String]) {
        let full = path.iter().cloned().chain((name != "self").then(|| name.to_string())).collect();
        self.aliases.insert(local.to_owned(), full);
    }

    /// The escape hatch that a path means.
    fn kind(&self, path: &[String]) -> Option<ExceptionKind> {
        let (first, rest) = path.split_first()?;
        let full: Vec<String> = match self.aliases.get(first) {
            // `use abide::workflow` is its own full path. Resolving it again would not end.
            Some(full) => full.iter().chain(rest).cloned().collect(),
            None => path.to_vec(),
        };
        let kind = ExceptionKind::ALL
            .into_iter()
            .find(|kind| full.last().is_some_and(|last| last == kind.name()))?;
        match full.as_slice() {
            [.., module, _] => (module == "workflow").then_some(kind),
            [_] => {
                let globbed =
                    self.globs.iter().any(|glob| glob.last().is_some_and(|last| last == "workflow"));
                globbed.then_some(kind)
            }
            [] => None,
        }
    }
}

fn scan(tokens: TokenStream, names: &Names, found: &mut Vec<Exception>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if let TokenTree::Group(group) = token {
            let attribute = group.delimiter() == Delimiter::Bracket && at > 0 && is(tokens.get(at - 1), '#');
            match attribute.then(|| hatch_in_attribute(group.stream(), names)).flatten() {
                Some(reason) => found.push(exception(
                    ExceptionKind::Deterministic,
                    group.span_open(),
                    head(tokens.get(at + 1..).unwrap_or_default()),
                    reason,
                )),
                None => scan(group.stream(), names, found),
            }
            at += 1;
            continue;
        }
        let (path, span, next) = path_at(&tokens, at);
        if path.is_empty() {
            at += 1;
            continue;
        }
        let mac = is(tokens.get(next), '!');
        if let Some(TokenTree::Group(group)) = tokens.get(next + usize::from(mac))
            && let Some(kind) = names.kind(&path)
            && mac == (kind == ExceptionKind::Allow)
            && kind != ExceptionKind::Deterministic
        {
            let (reason, covers) = arguments(group.stream());
            found.push(exception(kind, span, covers, reason));
        }
        at = next;
    }
}

fn exception(kind: ExceptionKind, span: Span, covers: String, reason: String) -> Exception {
    let start = span.start();
    Exception { line: start.line, column: start.column + 1, kind, covers, reason }
}

fn is(token: Option<&TokenTree>, sign: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == sign)
}

/// The path `a::b::c` that begins at `at`, its position, and the index after it. Empty if none begins there.
fn path_at(tokens: &[TokenTree], at: usize) -> (Vec<String>, Span, usize) {
    let mut path = Vec::new();
    let mut next = at;
    let span = tokens.get(at).map_or_else(Span::call_site, TokenTree::span);
    while let Some(TokenTree::Ident(ident)) = tokens.get(next) {
        path.push(ident.to_string());
        next += 1;
        let joined = matches!(
            tokens.get(next),
            Some(TokenTree::Punct(punct)) if punct.as_char() == ':' && punct.spacing() == Spacing::Joint
        );
        let named = matches!(tokens.get(next + 2), Some(TokenTree::Ident(_)));
        if !(joined && named && is(tokens.get(next + 1), ':')) {
            break;
        }
        next += 2;
    }
    (path, span, next)
}

/// The reason in `workflow::deterministic("why")`.
fn hatch_in_attribute(tokens: TokenStream, names: &Names) -> Option<String> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let (path, _, next) = path_at(&tokens, 0);
    if names.kind(&path) != Some(ExceptionKind::Deterministic) {
        return None;
    }
    match tokens.get(next) {
        Some(TokenTree::Group(group)) => Some(arguments(group.stream()).0),
        _ => Some(String::new()),
    }
}

/// The reason and the rest of `("why", rest)`.
fn arguments(tokens: TokenStream) -> (String, String) {
    let mut tokens = tokens.into_iter();
    let reason = tokens.next().and_then(|first| syn::parse2::<syn::LitStr>(first.into()).ok());
    let rest = tokens.skip_while(|token| is(Some(token), ',')).collect();
    (
        reason.map(|reason| reason.value().trim().to_owned()).unwrap_or_default(),
        text::shorten(text::source(rest).trim_end_matches(',')),
    )
}

/// `fn name` or `mod name` of the item that follows an attribute.
fn head(tokens: &[TokenTree]) -> String {
    let mut pairs = tokens.windows(2);
    let named = pairs.find_map(|pair| match pair {
        [TokenTree::Ident(word), TokenTree::Ident(name)] if word == "fn" || word == "mod" => {
            Some(format!("{word} {name}"))
        }
        _ => None,
    });
    named.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(usize, ExceptionKind, &str, &str)]) {
        let found = exceptions(text).expect("a Rust file");
        let found: Vec<_> =
            found.iter().map(|one| (one.line, one.kind, one.covers.as_str(), one.reason.as_str())).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn each_kind_is_found_wherever_it_is() {
        use ExceptionKind::{Allow, AssumeDeterministic, Deterministic};
        let text = "use abide::prelude::*;\n\
            #[workflow::deterministic(\"a table\")]\n/// Docs.\npub const fn rate(n: u32) -> u32 { n }\n\
            fn f() {\n  let x = format!(\"{}\", workflow::allow!(\"read once\", CONFIG.get(1)));\n  \
            abide::workflow::assume_deterministic(\n    \"only waits for ours\", fut).await;\n}\n\
            #[workflow::deterministic]\nmod m {}\n";
        check(
            text,
            &[
                (2, Deterministic, "fn rate", "a table"),
                (6, Allow, "CONFIG.get(1)", "read once"),
                (7, AssumeDeterministic, "fut", "only waits for ours"),
                (10, Deterministic, "mod m", ""),
            ],
        );
    }

    #[test]
    fn names_are_resolved() {
        use ExceptionKind::{Allow, AssumeDeterministic};
        check(
            "use abide::workflow as wf;\nfn f() { wf::allow!(\"a\", 1); allow!(\"b\", 2); }",
            &[(2, Allow, "1", "a")],
        );
        check(
            "use abide::workflow::{allow as just, assume_deterministic};\n\
             fn f() { just!(\"a\", 1); assume_deterministic(\"b\", g()); }",
            &[(2, Allow, "1", "a"), (2, AssumeDeterministic, "g()", "b")],
        );
        check("use abide::workflow::*;\nfn f() { allow!(r\"a\", 1) }", &[(2, Allow, "1", "a")]);
        check("fn f() { mine::allow!(\"a\", 1); workflow::allow(\"a\", 1); }", &[]);
    }

    #[test]
    fn a_missing_reason_is_empty() {
        check("fn f() { workflow::allow!(WHY, 1) }", &[(1, ExceptionKind::Allow, "1", "")]);
        check("fn f() { workflow::allow!(\" \", 1) }", &[(1, ExceptionKind::Allow, "1", "")]);
        check("// workflow::allow!(\"a\", 1)\nconst S: &str = \"workflow::allow!(1)\";", &[]);
        assert!(exceptions("fn f( {").is_err());
    }
}
