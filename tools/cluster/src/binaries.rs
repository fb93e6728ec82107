//! Finds Postgres' programs: in the given folder, on PATH, or in Debian's folder.
//!
//! It never skips: without the programs it returns an error, and the text says how to get them.

use crate::error::Error;
use crate::install;
use std::env;
use std::path::{Path, PathBuf};

/// The programs that a folder must have. `pg_ctl` is not needed: servers are our own children.
const PROGRAMS: [&str; 3] = ["initdb", "postgres", "pg_basebackup"];

/// A folder that holds all of [`PROGRAMS`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Binaries(PathBuf);

impl Binaries {
    /// Looks for the programs. Installs them first if `install` is set or by `ABIDE_POSTGRES=install`.
    pub(crate) fn locate(install: bool) -> Result<Self, Error> {
        let search = Search::of_the_environment();
        if install || env::var_os("ABIDE_POSTGRES").is_some_and(|wish| wish == "install") {
            install::unless(|| Ok(search.find()?.is_some()))?;
        }
        search.find()?.ok_or_else(|| Error::Missing(search.how_to_get_them()))
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn in_folder(folder: &Path) -> Option<Self> {
        PROGRAMS.iter().all(|name| folder.join(name).is_file()).then(|| Self(folder.to_path_buf()))
    }
}

/// Where to look. A struct, so that a test can look elsewhere without changing its environment.
struct Search {
    /// `ABIDE_POSTGRES_BIN`: if it is set, only this folder counts.
    named: Option<PathBuf>,
    path: Vec<PathBuf>,
    /// This folder has a folder for each version, which contains `bin`.
    versions: PathBuf,
}

impl Search {
    fn of_the_environment() -> Self {
        Self {
            named: env::var_os("ABIDE_POSTGRES_BIN").filter(|name| !name.is_empty()).map(PathBuf::from),
            path: env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default(),
            versions: PathBuf::from("/usr/lib/postgresql"),
        }
    }

    fn find(&self) -> Result<Option<Binaries>, Error> {
        if let Some(named) = &self.named {
            let folder = std::path::absolute(named).unwrap_or_else(|_| named.clone());
            let refused = format!(
                "ABIDE_POSTGRES_BIN names {}, which does not hold all of {}",
                named.display(),
                PROGRAMS.join(", ")
            );
            return Binaries::in_folder(&folder).map(Some).ok_or(Error::Missing(refused));
        }
        let on_path = self.path.iter().find_map(|folder| Binaries::in_folder(folder));
        Ok(on_path.or_else(|| self.newest()))
    }

    fn newest(&self) -> Option<Binaries> {
        let folders = std::fs::read_dir(&self.versions).ok()?.flatten();
        let versions = folders.filter_map(|folder| folder.file_name().to_str()?.parse::<u32>().ok());
        let found = versions.filter_map(|version| {
            Some((version, Binaries::in_folder(&self.versions.join(version.to_string()).join("bin"))?))
        });
        found.max_by_key(|(version, _)| *version).map(|(_, binaries)| binaries)
    }

    fn how_to_get_them(&self) -> String {
        format!(
            "no Postgres server here: no folder of PATH and no {}/*/bin holds all of {}\n  \
             help: let the tests install Debian's package, as root: `ABIDE_POSTGRES=install cargo test --workspace`\n  \
             help: or install it: `apt-get install postgresql` on Debian, `dnf install postgresql-server` on Fedora, \
             `brew install postgresql` with Homebrew\n  \
             help: or name the folder that holds them: `ABIDE_POSTGRES_BIN=/path/to/bin`",
            self.versions.display(),
            PROGRAMS.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A new empty folder for this test.
    fn scene(name: &str) -> PathBuf {
        let folder = env::temp_dir().join(format!("cluster-binaries-{}-{name}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        folder
    }

    fn fill(folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        for name in PROGRAMS {
            fs::write(folder.join(name), "").unwrap();
        }
    }

    #[test]
    fn a_named_folder_comes_first_then_path_then_the_newest_version() {
        let root = scene("order");
        for folder in ["named", "path", "versions/9/bin", "versions/17/bin"] {
            fill(&root.join(folder));
        }
        // Newer, but incomplete.
        fs::create_dir_all(root.join("versions/18/bin")).unwrap();
        let mut search = Search {
            named: Some(root.join("named")),
            path: vec![root.clone(), root.join("path")],
            versions: root.join("versions"),
        };
        assert_eq!(search.find().unwrap(), Some(Binaries(root.join("named"))));
        search.named = None;
        assert_eq!(search.find().unwrap(), Some(Binaries(root.join("path"))));
        search.path.pop();
        assert_eq!(search.find().unwrap(), Some(Binaries(root.join("versions/17/bin"))));
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn what_is_missing_says_how_to_get_it() {
        let root = scene("missing");
        let mut search = Search { named: None, path: vec![root.clone()], versions: root.join("versions") };
        assert_eq!(search.find().unwrap(), None);
        let text = search.how_to_get_them();
        for part in ["ABIDE_POSTGRES=install cargo test", "apt-get", "dnf", "brew", "ABIDE_POSTGRES_BIN="] {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
        // A wrong name is an error, even if PATH has the programs.
        fill(&root);
        search.named = Some(root.join("elsewhere"));
        let text = search.find().unwrap_err().to_string();
        assert!(text.contains(&root.join("elsewhere").display().to_string()), "{text}");
        fs::remove_dir_all(root).unwrap();
    }
}
