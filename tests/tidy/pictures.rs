//! The pictures and names of `docs/ARCHITECTURE.md` are true of the code: each folder, module, crate,
//! attribute, function and field that they show is there.

use crate::prose::prose;
use crate::tree::{Tree, folder};
use std::collections::{BTreeMap, BTreeSet};
use syn::visit::{self, Visit};

const PAGE: &str = "docs/ARCHITECTURE.md";

/// What the two pictures, the map's table and the text of [`PAGE`] name and the code does not have.
pub(crate) fn findings(tree: &Tree) -> Vec<String> {
    let page = tree.text(PAGE).unwrap_or_default();
    let pictures: Vec<&str> =
        page.split("```text\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0)).collect();
    let mut missing = Vec::new();
    if pictures.len() != 2 {
        missing.push(format!("two pictures (there are {})", pictures.len()));
    }
    let code = Code::of(tree);
    for picture in pictures {
        rooms(tree, picture, &mut missing);
        for line in picture.lines() {
            crates(tree, line, &mut missing);
            attributes(tree, line, &mut missing);
            code.shown(line, &mut missing);
        }
    }
    table(tree, page, &mut missing);
    let words = words_of_the_code(tree);
    let named = prose(PAGE, page).flat_map(|(_, line)| line.split('`').skip(1).step_by(2));
    let plain = named.map(|name| name.trim_end_matches('!')).filter(|name| is_ident(name));
    // SQL's words are written in capitals in prose only.
    let known = |name: &str| words.contains(name) || words.contains(name.to_lowercase().as_str());
    missing.extend(plain.filter(|name| !known(name)).map(|name| format!("`{name}`")));
    missing.into_iter().map(|what| format!("{PAGE} shows {what}, which the code does not have")).collect()
}

fn is_ident(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// The folders of a picture, and the modules that branch off (`├─ store/     decide/ + sqlite/`) below them.
fn rooms(tree: &Tree, picture: &str, missing: &mut Vec<String>) {
    let lines: Vec<Vec<char>> = picture.lines().map(|line| line.chars().collect()).collect();
    for (number, line) in lines.iter().enumerate() {
        let branches = line.windows(3).position(|w| "├└".contains(w[0]) && w[1..] == ['─', ' ']);
        let whole: String = line.iter().collect();
        let before: String = line[..branches.unwrap_or(line.len())].iter().collect();
        let roots = before.split_whitespace().filter(|word| is_folder(word));
        missing.extend(roots.filter(|root| !tree.has_end(root)).map(|root| format!("the folder {root}")));
        let Some(column) = branches else { continue };
        let Some(parent) = lines[..number].iter().rev().find_map(|above| folder_at(above, column)) else {
            missing.push(format!("a branch of no folder: {whole}"));
            continue;
        };
        let text: String = line[column + 3..].iter().collect();
        let names = text.split("  ").next().and_then(|names| names.split(':').next()).unwrap_or_default();
        for name in names.split(", ") {
            let path = format!("{parent}src/{}", name.trim_end_matches('/'));
            let file = !name.ends_with('/') && tree.exists(&format!("{path}.rs"));
            let inside = text[names.len()..].split_whitespace().filter(|word| is_folder(word));
            let inside: Vec<String> = inside.map(|word| format!("{path}/{word}")).collect();
            let all = inside.iter().chain((!file).then_some(&path));
            missing.extend(all.filter(|path| !tree.exists(path)).map(|path| format!("the module {path}")));
        }
    }
}

fn is_folder(word: &str) -> bool {
    word.len() > 1
        && word.ends_with('/')
        && word.chars().all(|c| c.is_ascii_alphanumeric() || "/_-".contains(c))
}

/// The folder whose name begins in this column.
fn folder_at(line: &[char], column: usize) -> Option<String> {
    let begins = column == 0 || line.get(column - 1) == Some(&' ');
    let word: String = line.get(column..)?.iter().take_while(|c| !c.is_whitespace()).collect();
    (begins && is_folder(&word)).then_some(word)
}

/// `core/  (crate `abide-core`)`.
fn crates(tree: &Tree, line: &str, missing: &mut Vec<String>) {
    for (before, after) in
        line.match_indices("(crate `").map(|(at, begin)| (&line[..at], &line[at + begin.len()..]))
    {
        let folder = before.split_whitespace().last().unwrap_or_default();
        package(tree, folder, after.split('`').next().unwrap_or_default(), missing);
    }
}

fn package(tree: &Tree, folder: &str, name: &str, missing: &mut Vec<String>) {
    let manifest = tree.text(&format!("{folder}Cargo.toml")).unwrap_or_default();
    if !manifest.lines().any(|line| line == format!("name = \"{name}\"")) {
        missing.push(format!("the crate {name} in {folder}"));
    }
}

/// The map's table: `| `core/` | `abide-core` | .. |`.
fn table(tree: &Tree, page: &str, missing: &mut Vec<String>) {
    for row in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        if let [_, folder, name, ..] = cells[..]
            && is_folder(folder)
            && !name.is_empty()
        {
            package(tree, folder, name, missing);
        }
    }
}

/// `#[workflow]`, among those of `macros/`.
fn attributes(tree: &Tree, line: &str, missing: &mut Vec<String>) {
    let macros = tree.text("macros/src/lib.rs").unwrap_or_default();
    let names = line.split("#[").skip(1).filter_map(|rest| rest.split(']').next());
    let unknown = names.filter(|name| !macros.contains(&format!("pub fn {name}(")));
    missing.extend(unknown.map(|name| format!("the attribute {name}")));
}

/// The code as far as pictures show it: structs with their fields, methods by type, modules of the facade.
#[derive(Default)]
struct Code {
    fields: BTreeMap<String, BTreeSet<String>>,
    methods: BTreeSet<(String, String)>,
    facade: String,
}

impl Code {
    fn of(tree: &Tree) -> Self {
        let mut code = Self::default();
        for (path, text) in tree.sources().filter(|(path, _)| folder(path).contains("src")) {
            if let Ok(file) = syn::parse_file(text) {
                code.visit_file(&file);
            }
            if path == "runtime/src/lib.rs" {
                code.facade = text.to_owned();
            }
        }
        code
    }

    /// `Turn { events, actions }`, `Execution::turn(..)` and `::abide::__private` in a line.
    fn shown(&self, line: &str, missing: &mut Vec<String>) {
        for (at, _) in line.match_indices(" { ") {
            let name = last_ident(&line[..at]);
            let shown = line[at + 3..].split('}').next().unwrap_or_default();
            for field in shown.split(',').map(str::trim) {
                if !self.fields.get(name).is_some_and(|fields| fields.contains(field)) {
                    missing.push(format!("{name} {{ {field} }}"));
                }
            }
        }
        for (at, _) in line.match_indices("::") {
            let (before, after) = (last_ident(&line[..at]), first_ident(&line[at + 2..]));
            let is_type = before.starts_with(char::is_uppercase);
            if is_type && !self.methods.contains(&(before.to_owned(), after.to_owned())) {
                missing.push(format!("{before}::{after}"));
            }
            if before == "abide" && !self.facade.contains(&format!("pub mod {after}")) {
                missing.push(format!("{before}::{after}"));
            }
        }
    }
}

impl<'ast> Visit<'ast> for Code {
    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        let fields = item.fields.iter().filter_map(|field| Some(field.ident.as_ref()?.to_string()));
        self.fields.entry(item.ident.to_string()).or_default().extend(fields);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if let syn::Type::Path(of) = &*item.self_ty
            && let Some(last) = of.path.segments.last()
        {
            let methods = item.items.iter().filter_map(|item| match item {
                syn::ImplItem::Fn(method) => Some(method.sig.ident.to_string()),
                _ => None,
            });
            self.methods.extend(methods.map(|method| (last.ident.to_string(), method)));
        }
        visit::visit_item_impl(self, item);
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn last_ident(text: &str) -> &str {
    &text[text.trim_end_matches(is_word).len()..]
}

fn first_ident(text: &str) -> &str {
    &text[..text.len() - text.trim_start_matches(is_word).len()]
}

/// All words of the sources and manifests, and the names of files and folders.
fn words_of_the_code(tree: &Tree) -> BTreeSet<&str> {
    let texts = tree.texts().filter(|(path, _)| path.ends_with(".rs") || path.ends_with(".toml"));
    let words = texts.flat_map(|(_, text)| text.split(|c| !is_word(c)));
    let paths = tree.texts().flat_map(|(path, _)| path.split(|c| !is_word(c)));
    words.chain(paths).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOMS: &str = "core/  (crate `a-core`)      #[flow]
├─ exec/   decide/ and more
└─ event, hub: plain types
";
    const LIFE: &str = "Run::turn(inputs) ──▶ Turn { events, actions } ::abide::__private\n";

    fn told(rooms: &str, life: &str, rest: &str) -> Vec<String> {
        let page = format!("```text\n{rooms}```\n```text\n{life}```\n{rest}");
        findings(&Tree::of(&[
            (PAGE, &page),
            ("core/Cargo.toml", "[package]\nname = \"a-core\""),
            (
                "core/src/exec/decide/x.rs",
                "struct Turn { events: u8, actions: u8 } impl Run { fn turn() {} }",
            ),
            ("core/src/event.rs", ""),
            ("core/src/hub.rs", ""),
            ("macros/src/lib.rs", "pub fn flow(x: u8) {}"),
            ("runtime/src/lib.rs", "pub mod __private {}"),
        ]))
    }

    #[test]
    fn what_a_picture_shows_and_the_code_lacks_is_told() {
        let rest = "| `core/` | `a-core` | x |\n`Turn`, `exec`, `turn!`, `#[x]`, `a b`\n";
        assert_eq!(told(ROOMS, LIFE, rest), [] as [&str; 0]);
        for (now, then) in [
            ("core/ ", "cord/ "),
            ("a-core", "b-core"),
            ("flow", "work"),
            ("exec/", "exes/"),
            ("decide/", "choose/"),
            ("event", "events"),
            ("hub", "tub"),
        ] {
            assert!(!told(&ROOMS.replacen(now, then, 1), LIFE, rest).is_empty(), "{then}");
        }
        for (now, then) in
            [("Run", "Ran"), ("turn", "run"), ("events", "event"), ("actions", "acts"), ("__p", "p")]
        {
            assert_eq!(told(ROOMS, &LIFE.replacen(now, then, 1), rest).len(), 1, "{then}");
        }
        for (now, then) in [("a-core", "core"), ("`Turn`", "`Turner`"), ("turn!", "until!")] {
            assert_eq!(told(ROOMS, LIFE, &rest.replace(now, then)).len(), 1, "{then}");
        }
        assert_eq!(findings(&Tree::of(&[(PAGE, "")])).len(), 1);
    }
}
