//! The Rust files that a command reads: those of a package, or one.

use crate::Failed;
use std::fs;
use std::path::{Path, PathBuf};

/// A file.
pub(crate) struct Source {
    /// Its path as it is shown: within the folder.
    pub(crate) shown: String,
    pub(crate) text: String,
}

/// All Rust files of a folder, or this one file, in the order of their paths.
pub(crate) fn read(path: &Path) -> Result<Vec<Source>, Failed> {
    let mut files = Vec::new();
    let read = match path.is_file() {
        true => {
            files.push(path.to_path_buf());
            Ok(())
        }
        false => collect(path, &mut files),
    };
    read.map_err(|error| format!("{}: {error}", path.display()))?;
    files.sort();
    let source = |file: PathBuf| {
        let shown = file.strip_prefix(path).ok().filter(|inside| !inside.as_os_str().is_empty());
        let shown = shown.unwrap_or(&file).display().to_string();
        let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(Source { shown, text })
    };
    files.into_iter().map(source).collect()
}

/// All Rust files below a folder, except cargo's build folders and hidden folders.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        // Symbolic links are not followed: they may form a cycle.
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if !name.starts_with('.') && !is_build_folder(&path, &name) {
                collect(&path, files)?;
            }
        } else if kind.is_file() && name.ends_with(".rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// A build folder: `target`, or a folder that cargo has marked as one under another name.
fn is_build_folder(path: &Path, name: &str) -> bool {
    name == "target" || path.join("CACHEDIR.TAG").is_file()
}
