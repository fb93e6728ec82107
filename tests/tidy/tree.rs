//! The repository as the rules see it: paths from its root, with `/`, and the texts of the files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// All files, text or not (`None`).
pub(crate) struct Tree(BTreeMap<String, Option<String>>);

impl Tree {
    pub(crate) fn of_this_repository() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests live in a workspace");
        let mut files = BTreeMap::new();
        walk(root, "", &mut files);
        assert!(files.contains_key("README.md"), "{} is not the repository", root.display());
        Self(files)
    }

    /// A small tree for a rule's own test.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| (path.to_string(), Some(text.to_string()))).collect())
    }

    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path)?.as_deref()
    }

    /// The Rust sources, but for the cases of the compile-fail tests, which are wrong on purpose.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts().filter(|(path, _)| path.ends_with(".rs") && !is_ui_case(path))
    }

    /// The Markdown files.
    pub(crate) fn documents(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts().filter(|(path, _)| path.ends_with(".md"))
    }

    /// Whether there is such a file or folder. `./` and `../` are resolved.
    pub(crate) fn exists(&self, path: &str) -> bool {
        let Some(path) = resolve(path) else { return false };
        let folder = format!("{path}/");
        path.is_empty() || self.0.keys().any(|file| *file == path || file.starts_with(&folder))
    }

    /// Whether the path of some file, or with a `/` at its end of some folder, ends so.
    pub(crate) fn has_end(&self, end: &str) -> bool {
        let inside = format!("/{end}");
        self.0.keys().any(|file| match end.ends_with('/') {
            true => file.starts_with(end) || file.contains(&inside),
            false => file == end || file.ends_with(&inside),
        })
    }
}

/// The folder of a file, `""` for the root.
pub(crate) fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// `folder/name`, where the folder may be the root.
pub(crate) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_string() } else { format!("{folder}/{name}") }
}

/// Takes `.` and `..` out of a path; `None` where it leaves the repository.
pub(crate) fn resolve(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn is_ui_case(path: &str) -> bool {
    path.starts_with("ui-tests/fail/") || path.starts_with("ui-tests/pass/")
}

fn walk(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Option<String>>) {
    for entry in fs::read_dir(folder).expect("the repository can be read") {
        let entry = entry.expect("the repository can be read");
        let name = entry.file_name().to_string_lossy().into_owned();
        if matches!(name.as_str(), "target" | ".git") {
            continue;
        }
        let path = join(prefix, &name);
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), &path, files);
        } else {
            files.insert(path, fs::read(entry.path()).ok().and_then(|bytes| String::from_utf8(bytes).ok()));
        }
    }
}

#[test]
fn paths_are_resolved() {
    let tree = Tree::of(&[("docs/a/b.md", ""), ("README.md", "")]);
    for there in ["docs", "docs/a/", "docs/a/b.md", "docs/a/../../README.md", "./README.md"] {
        assert!(tree.exists(there), "{there}");
    }
    for there in ["b.md", "a/b.md", "docs/a/b.md", "docs/", "a/"] {
        assert!(tree.has_end(there), "{there}");
    }
    for missing in [".md", "c.md", "ocs/a/b.md", "cs/", "b.md/"] {
        assert!(!tree.has_end(missing), "{missing}");
    }
    for missing in ["docs/b.md", "doc", "README", "../README.md"] {
        assert!(!tree.exists(missing), "{missing}");
    }
}
