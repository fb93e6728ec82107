//! `cargo abide exceptions`: lists every place of a crate that exempts itself from a check, for a reviewer.

use crate::{Answer, Failed};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) fn run(path: &Path) -> Result<Answer, Failed> {
    let mut files = Vec::new();
    let read = match path.is_file() {
        true => {
            files.push(path.to_path_buf());
            Ok(())
        }
        false => sources(path, &mut files),
    };
    read.map_err(|error| format!("{}: {error}", path.display()))?;
    files.sort();
    let (mut text, mut count, mut without) = (String::new(), 0, 0);
    let mut failed = Vec::new();
    for file in &files {
        let shown = file.strip_prefix(path).ok().filter(|inside| !inside.as_os_str().is_empty());
        let shown = shown.unwrap_or(file).display();
        let source = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let exceptions = match abide_analysis::exceptions(&source) {
            Ok(exceptions) => exceptions,
            Err(error) => {
                failed.push(format!("{shown}:{} does not parse: {error}", error.span().start().line));
                continue;
            }
        };
        for one in exceptions {
            count += 1;
            without += usize::from(one.reason.is_empty());
            let reason = if one.reason.is_empty() { "NO REASON GIVEN" } else { &one.reason };
            let (line, kind, covers) = (one.line, one.kind, &one.covers);
            // Writing to a `String` cannot fail.
            let _ = writeln!(text, "{shown}:{line}: {kind} on `{covers}`: {reason}");
        }
    }
    let _ = writeln!(text, "{count} exceptions in {} files, {without} without a reason", files.len());
    for file in &failed {
        let _ = writeln!(text, "not read: {file}");
    }
    Ok(Answer { text, exit: u8::from(without > 0 || !failed.is_empty()) })
}

/// All Rust files below a folder, except cargo's build folders and hidden folders.
fn sources(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        // Symbolic links are not followed: they may form a cycle.
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if !name.starts_with('.') && !is_build_folder(&path, &name) {
                sources(&path, files)?;
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
