//! The entries for `clippy.toml`: paths that workflow code must not name, each with its code and its
//! replacement. They come from the macros' own table.
//!
//! Clippy accepts only exact paths. The table's exact paths are taken over. Of the paths that the table
//! forbids with a `*`, the well-known ones are listed here. Those of std must exist, or clippy reports them;
//! those of other crates may be missing.
//!
//! Hash order (AB0115) is left to the macro: it allows code in which the order does not matter, which clippy
//! cannot see.

use abide_analysis::{catalogue, forbidden};

/// One of clippy's three lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lint {
    Methods,
    Types,
    Macros,
}

impl Lint {
    pub(crate) const ALL: [Self; 3] = [Self::Methods, Self::Types, Self::Macros];

    /// The key in `clippy.toml`.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Methods => "disallowed-methods",
            Self::Types => "disallowed-types",
            Self::Macros => "disallowed-macros",
        }
    }

    /// The lint's name in `Cargo.toml`.
    pub(crate) fn level(self) -> &'static str {
        match self {
            Self::Methods => "disallowed_methods",
            Self::Types => "disallowed_types",
            Self::Macros => "disallowed_macros",
        }
    }

    /// The kind of a path: a macro, a type (upper case), otherwise a function.
    fn of(path: &str) -> Self {
        let last = path.rsplit("::").next().unwrap_or_default();
        match last.chars().next() {
            _ if path.ends_with('!') => Self::Macros,
            Some(first) if first.is_uppercase() => Self::Types,
            _ => Self::Methods,
        }
    }
}

/// One forbidden path.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) lint: Lint,
    pub(crate) path: String,
    /// The text that clippy prints below its own message.
    pub(crate) reason: String,
}

impl Entry {
    fn new(path: &str, code: &str, instead: &str) -> Self {
        let reason = format!("{code} in workflow code: {instead}");
        Self { lint: Lint::of(path), path: path.trim_end_matches('!').to_owned(), reason }
    }

    /// Whether the path is outside of std: its crate may not be there, or may lack the feature.
    pub(crate) fn may_be_missing(&self) -> bool {
        !self.path.starts_with("std::")
    }
}

/// All forbidden paths, each once.
pub(crate) fn entries() -> Vec<Entry> {
    let exact = catalogue().filter_map(|line| {
        // `Type::*` becomes the type itself. `module::*` cannot be expressed.
        let path = line.path.strip_suffix("::*").unwrap_or(&line.path);
        let whole = path.len() == line.path.len() || Lint::of(path) == Lint::Types;
        (whole && !is_unknown_to_clippy(path)).then(|| Entry::new(path, line.code, line.instead))
    });
    let spelt_out = SPELT_OUT.iter().filter_map(|path| {
        let line = forbidden(path)?;
        Some(Entry::new(path, line.code, line.instead))
    });
    let mut entries: Vec<Entry> = exact.chain(spelt_out).collect();
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    entries.dedup_by(|a, b| a.path == b.path && a.lint == b.lint);
    entries
}

/// Whether the macro resolves the path and clippy does not: an alias, or a path through `Deref` or a trait.
fn is_unknown_to_clippy(path: &str) -> bool {
    path == "std::lazy_static!" || path.starts_with("std::path::PathBuf::") || path.ends_with("::default")
}

/// Known paths of what the table forbids with a `*`.
const SPELT_OUT: &[&str] = &[
    "fastrand::bool",
    "fastrand::f64",
    "fastrand::shuffle",
    "fastrand::u32",
    "fastrand::u64",
    "fastrand::usize",
    "futures::channel::mpsc::channel",
    "futures::channel::oneshot::channel",
    "futures::executor::block_on",
    "getrandom::fill",
    "getrandom::getrandom",
    "hostname::get",
    "num_cpus::get",
    "rayon::join",
    "rayon::scope",
    "rayon::spawn",
    "reqwest::Client",
    "reqwest::blocking::get",
    "reqwest::get",
    "std::env::args",
    "std::env::args_os",
    "std::env::current_dir",
    "std::env::current_exe",
    "std::env::temp_dir",
    "std::env::var",
    "std::env::var_os",
    "std::env::vars",
    "std::env::vars_os",
    "std::fs::File",
    "std::fs::OpenOptions",
    "std::fs::copy",
    "std::fs::create_dir",
    "std::fs::create_dir_all",
    "std::fs::exists",
    "std::fs::metadata",
    "std::fs::read",
    "std::fs::read_dir",
    "std::fs::read_to_string",
    "std::fs::remove_dir_all",
    "std::fs::remove_file",
    "std::fs::rename",
    "std::fs::write",
    "std::process::Command",
    "std::sync::mpsc::channel",
    "std::sync::mpsc::sync_channel",
    "tokio::fs::read",
    "tokio::fs::read_to_string",
    "tokio::fs::write",
    "tokio::net::TcpListener",
    "tokio::net::TcpStream",
    "tokio::runtime::Handle",
    "tokio::runtime::Runtime",
    "tokio::sync::Mutex",
    "tokio::sync::Notify",
    "tokio::sync::RwLock",
    "tokio::sync::Semaphore",
    "tokio::sync::broadcast::channel",
    "tokio::sync::mpsc::channel",
    "tokio::sync::mpsc::unbounded_channel",
    "tokio::sync::oneshot::channel",
    "tokio::sync::watch::channel",
    "tokio::task::JoinSet",
    "tokio::task::block_in_place",
    "tokio::task::spawn",
    "tokio::task::spawn_blocking",
    "tokio::task::spawn_local",
    "ureq::get",
    "ureq::post",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spelt_out_is_in_the_table() {
        for path in SPELT_OUT {
            assert!(forbidden(path).is_some(), "{path} is allowed by the macros");
        }
    }

    #[test]
    fn a_path_says_what_it_names() {
        assert_eq!(Lint::of("std::println!"), Lint::Macros);
        assert_eq!(Lint::of("std::sync::Mutex"), Lint::Types);
        assert_eq!(Lint::of("std::time::Instant::now"), Lint::Methods);
    }
}
