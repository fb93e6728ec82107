//! The arguments of rustc, from its command line: the crate's root file, the names and real names of its
//! dependencies, and its `cfg`s. They are exact, but a manifest would have to be interpreted.
//!
//! If no rustc runs (an editor's macro server, a unit test), there is no command line, and no file is read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One run of rustc.
#[derive(Debug, Default)]
pub(crate) struct Invocation {
    /// The crate's root file.
    pub(crate) root: PathBuf,
    /// The names of the extern prelude, each with the crate's own name: `clock = { package = "chrono" }` is
    /// `("clock", "chrono")`.
    pub(crate) externs: BTreeMap<String, String>,
    /// `test`, `feature="x"`, and so on.
    pub(crate) cfgs: Vec<String>,
}

impl Invocation {
    /// The run that this process is.
    pub(crate) fn current() -> Option<Self> {
        let args = std::env::args_os().filter_map(|arg| arg.into_string().ok());
        Self::parse(args.flat_map(expand_file))
    }

    /// Reads rustc's arguments. `None`: they are not rustc's.
    fn parse(args: impl Iterator<Item = String>) -> Option<Self> {
        let mut found = Self::default();
        let (mut named, mut args) = (false, args.skip(1));
        while let Some(arg) = args.next() {
            let (flag, inline) = match arg.split_once('=') {
                Some((flag, value)) if flag.starts_with("--") => (flag.to_owned(), Some(value.to_owned())),
                _ => (arg.clone(), None),
            };
            match flag.as_str() {
                "--crate-name" => {
                    named = true;
                    let _ = inline.or_else(|| args.next());
                }
                "--extern" => {
                    found.externs.extend(inline.or_else(|| args.next()).and_then(|value| external(&value)))
                }
                "--cfg" => found.cfgs.extend(inline.or_else(|| args.next())),
                "--test" => found.cfgs.push("test".to_owned()),
                flag if !flag.starts_with('-') && flag.ends_with(".rs") => found.root = PathBuf::from(flag),
                _ => {}
            }
        }
        (named && !found.root.as_os_str().is_empty()).then_some(found)
    }

    /// The crate's own name for a name of the extern prelude.
    pub(crate) fn external(&self, name: &str) -> Option<&str> {
        match name {
            "std" | "core" | "alloc" => Some("std"),
            name => self.externs.get(name).map(String::as_str),
        }
    }
}

/// Cargo passes a long command line in a file, one argument per line.
fn expand_file(arg: String) -> Vec<String> {
    match arg.strip_prefix('@').map(std::fs::read_to_string) {
        Some(Ok(text)) => text.lines().map(str::to_owned).collect(),
        _ => vec![arg],
    }
}

/// `priv,noprelude:clock=/deps/libchrono-0123.rmeta`.
fn external(value: &str) -> Option<(String, String)> {
    let (options_and_name, file) =
        value.split_once('=').map_or((value, None), |(name, file)| (name, Some(file)));
    let name = options_and_name.rsplit(':').next()?.to_owned();
    let own = file.and_then(crate_of_file).unwrap_or_else(|| name.clone());
    Some((name, own))
}

/// `libchrono-0123.rmeta` is `chrono`.
fn crate_of_file(file: &str) -> Option<String> {
    let stem = Path::new(file).file_stem()?.to_str()?;
    let stem = stem.strip_prefix("lib").unwrap_or(stem);
    Some(stem.rsplit_once('-').map_or(stem, |(name, _)| name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::Invocation;

    fn parse(line: &str) -> Option<Invocation> {
        Invocation::parse(line.split(' ').map(str::to_owned))
    }

    #[test]
    fn what_cargo_writes() {
        let line = "rustc --crate-name shop --edition=2024 src/lib.rs --crate-type lib --test --cfg \
                    feature=\"x\" --extern clock=/t/deps/libchrono-12ab.rmeta \
                    --extern=priv:rand=/t/deps/librand-1.rlib -C opt-level=1";
        let found = parse(line).expect("rustc's");
        assert_eq!(found.root.to_str(), Some("src/lib.rs"));
        assert_eq!(found.cfgs, ["test", "feature=\"x\""]);
        assert_eq!(found.external("clock"), Some("chrono"));
        assert_eq!(found.external("rand"), Some("rand"));
        assert_eq!(found.external("core"), Some("std"));
        assert_eq!(found.external("other"), None);
    }

    #[test]
    fn what_is_not_rustc() {
        assert!(parse("rust-analyzer-proc-macro-srv").is_none());
        assert!(parse("some-test --exact module.rs").is_none());
    }
}
