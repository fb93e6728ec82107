//! Adds entries to TOML documents without changing the rest.

use crate::clippy::{Entry, Lint};
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, Value};

/// The result of adding the entries.
#[derive(Debug, Default)]
pub(super) struct Merged {
    pub(super) added: usize,
    pub(super) kept: usize,
    /// Lists that contain paths which are not from abide.
    pub(super) of_the_user: Vec<Lint>,
}

/// Adds each entry whose path is not yet in its list. The user's list may be an array or
/// `[[disallowed-methods]]`.
pub(super) fn entries(document: &mut DocumentMut, entries: &[Entry]) -> Result<Merged, String> {
    let mut merged = Merged::default();
    for lint in Lint::ALL {
        let key = lint.key();
        let ours: Vec<&Entry> = entries.iter().filter(|entry| entry.lint == lint).collect();
        let item = document.entry(key).or_insert_with(|| Item::Value(Value::Array(Array::new())));
        let known = paths(item).ok_or_else(|| format!("`{key}` is no list of paths"))?;
        if known.iter().any(|path| !ours.iter().any(|entry| entry.path == *path)) {
            merged.of_the_user.push(lint);
        }
        for entry in ours {
            match known.contains(&entry.path) {
                true => merged.kept += 1,
                false => {
                    add(item, entry);
                    merged.added += 1;
                }
            }
        }
    }
    Ok(merged)
}

/// The paths of a list. `None` if the item is not a list of paths.
fn paths(item: &Item) -> Option<Vec<String>> {
    let of_value = |value: &Value| match value {
        Value::String(path) => Some(path.value().clone()),
        Value::InlineTable(table) => table.get("path")?.as_str().map(str::to_owned),
        _ => None,
    };
    match item {
        Item::Value(Value::Array(array)) => array.iter().map(of_value).collect(),
        Item::ArrayOfTables(tables) => {
            tables.iter().map(|table| table.get("path")?.as_str().map(str::to_owned)).collect()
        }
        _ => None,
    }
}

fn add(item: &mut Item, entry: &Entry) {
    match item {
        Item::Value(Value::Array(array)) => {
            let mut table = InlineTable::new();
            table.insert("path", entry.path.as_str().into());
            table.insert("reason", entry.reason.as_str().into());
            if entry.may_be_missing() {
                table.insert("allow-invalid", true.into());
            }
            // The text after the last comma, perhaps a comment, is placed before the new entry.
            let before = array.trailing().as_str().unwrap_or_default().trim_end().to_owned();
            let mut value = Value::InlineTable(table);
            value.decor_mut().set_prefix(format!("{before}\n    "));
            array.push_formatted(value);
            array.set_trailing_comma(true);
            array.set_trailing("\n");
        }
        Item::ArrayOfTables(tables) => {
            let mut table = Table::new();
            table.insert("path", entry.path.as_str().into());
            table.insert("reason", entry.reason.as_str().into());
            if entry.may_be_missing() {
                table.insert("allow-invalid", true.into());
            }
            tables.push(table);
        }
        _ => {}
    }
}

/// The result of setting the lints' levels.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Levels {
    Merged,
    /// `lints.workspace = true`: the levels must be set in another file.
    Inherited,
    Unreadable(&'static str),
}

/// Sets each lint without a level to `allow`: in `[lints.clippy]`, or in the workspace's lints if there is no
/// package.
pub(super) fn levels(manifest: &mut DocumentMut, lints: &[Lint]) -> Levels {
    if lints.is_empty() {
        return Levels::Merged;
    }
    let parent = match is_virtual(manifest) {
        true => manifest.entry("workspace").or_insert_with(implicit),
        false => manifest.as_item_mut(),
    };
    let Some(parent) = parent.as_table_like_mut() else { return Levels::Unreadable("`workspace`") };
    let table = parent.entry("lints").or_insert_with(implicit);
    let Some(table) = table.as_table_like_mut() else { return Levels::Unreadable("`lints`") };
    if table.get("workspace").and_then(Item::as_bool) == Some(true) {
        return Levels::Inherited;
    }
    let clippy = table.entry("clippy").or_insert_with(|| Item::Table(Table::new()));
    let Some(clippy) = clippy.as_table_like_mut() else { return Levels::Unreadable("`lints.clippy`") };
    for lint in lints {
        if !clippy.contains_key(lint.level()) {
            clippy.insert(lint.level(), Item::Value("allow".into()));
        }
    }
    Levels::Merged
}

/// Whether this is a workspace without its own package. Members that ask for it inherit its levels.
pub(super) fn is_virtual(manifest: &DocumentMut) -> bool {
    !manifest.contains_key("package")
}

fn implicit() -> Item {
    let mut table = Table::new();
    table.set_implicit(true);
    Item::Table(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clippy;

    fn merge(text: &str) -> (String, Merged) {
        let mut document: DocumentMut = text.parse().expect("TOML");
        let merged = entries(&mut document, &clippy::entries()).expect("lists");
        (document.to_string(), merged)
    }

    /// Checks that all lines of `text` except the closing bracket are in the merged file, in their order.
    #[track_caller]
    fn check(text: &str) -> String {
        let (once, merged) = merge(text);
        assert!(merged.added > 100, "{merged:?}");
        let (twice, again) = merge(&once);
        assert_eq!(once, twice, "the second run changes something");
        assert_eq!((again.added, again.kept), (0, merged.added + merged.kept));
        let mut rest = once.lines();
        for line in text.lines().filter(|line| !line.is_empty() && *line != "]") {
            let line = line.trim_end_matches(']');
            assert!(rest.any(|kept| kept.starts_with(line)), "lost `{line}` in\n{once}");
        }
        once
    }

    #[test]
    fn what_is_there_stays() {
        check("");
        check("# mine\nallow-unwrap-in-tests = true\n");
        check(
            "disallowed-methods = [\n  # mine\n  \"a::b\",\n  \
             { path = \"std::env::var\", reason = \"no\" }, # why\n  # last\n]\nmsrv = \"1.95\" # x\n",
        );
        check("disallowed-types = [\"a::B\"]\n");
        check("disallowed-types = [\n    \"a::B\" # no comma\n]\n");
        check(
            "[[disallowed-macros]]\npath = \"a::b\" # mine\n\n[[disallowed-macros]]\npath = \"std::dbg\"\n",
        );
    }

    #[test]
    fn entries_of_the_user_are_noticed() {
        let (text, merged) =
            merge("disallowed-methods = [\"std::env::var\"]\ndisallowed-types = [\"a::B\"]\n");
        assert_eq!(merged.of_the_user, [Lint::Types]);
        assert_eq!((merged.kept, text.matches("\"std::env::var\"").count()), (1, 1));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in ["disallowed-methods = 1\n", "disallowed-methods = [1]\n", "[disallowed-methods]\n"] {
            let mut document: DocumentMut = text.parse().expect("TOML");
            assert!(entries(&mut document, &clippy::entries()).is_err(), "{text}");
        }
    }

    #[track_caller]
    fn check_levels(manifest: &str, expected: &Levels, contains: &str) {
        let mut document: DocumentMut = manifest.parse().expect("TOML");
        assert_eq!(levels(&mut document, &Lint::ALL), *expected, "{manifest}");
        let text = document.to_string();
        assert!(text.contains(contains), "{text}");
        let mut again: DocumentMut = text.parse().expect("TOML");
        assert_eq!(levels(&mut again, &Lint::ALL), *expected);
        assert_eq!(text, again.to_string());
    }

    #[test]
    fn no_level_no_table() {
        let mut document: DocumentMut = "[package]\n".parse().expect("TOML");
        assert_eq!(levels(&mut document, &[]), Levels::Merged);
        assert_eq!(document.to_string(), "[package]\n");
    }

    #[test]
    fn levels_are_set_where_there_are_none() {
        use Levels::{Inherited, Merged, Unreadable};
        check_levels("[package]\nname = \"a\"\n", &Merged, "[lints.clippy]\ndisallowed_methods = \"allow\"");
        check_levels("[workspace]\n", &Merged, "[workspace.lints.clippy]");
        check_levels("[package]\n[lints]\nworkspace = true\n", &Inherited, "workspace = true");
        let mine = "[package]\n[lints.clippy]\ndisallowed_methods = \"deny\" # mine\n";
        check_levels(mine, &Merged, "\"deny\" # mine\ndisallowed_types = \"allow\"");
        check_levels("[package]\n[lints]\nclippy = 1\n", &Unreadable("`lints.clippy`"), "clippy = 1");
    }
}
