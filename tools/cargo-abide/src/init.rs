//! `cargo abide init`: merges the forbidden paths into `clippy.toml`, and sets clippy's three lints to
//! `allow` by default. `#[workflow]` turns them on for each function.
//!
//! It only adds. The user's comments, order and entries stay unchanged. A file that it cannot parse is not
//! changed.

mod merge;

use crate::clippy::{self, Lint};
use crate::{Answer, Failed};
use merge::Merged;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use toml_edit::DocumentMut;

pub(crate) fn run(folder: &Path, dry_run: bool) -> Result<Answer, Failed> {
    let folder = fs::canonicalize(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let manifest = folder.join("Cargo.toml");
    if !manifest.is_file() {
        let here = folder.display();
        return Err(format!(
            "{here} holds no Cargo.toml\nhelp: say where: `cargo abide init path/to/package`"
        ));
    }
    let clippy = clippy_toml(&folder);
    let mut report = Report { dry_run, text: String::new() };

    let before = read(&clippy)?;
    let mut document = parse(&clippy, before.as_deref().unwrap_or(HEAD))?;
    let merged = merge::entries(&mut document, &clippy::entries());
    let merged = merged.map_err(|why| format!("{}: {why}", clippy.display()))?;
    let counts = format!("{} entries added, {} were there", merged.added, merged.kept);
    report.file(&clippy, before.as_deref(), &document.to_string(), &counts)?;
    levels(&manifest, &merged, &mut report)?;
    report
        .line("`cargo clippy` now finds these paths in workflow code, also inside of other crates' macros.");
    Ok(Answer::good(report.text))
}

/// The first lines of a new file.
const HEAD: &str =
    "# Added by `cargo abide init`: what workflow code must not name. Only functions that `#[workflow]` and
# `#[workflow::helper]` mark are checked; each code has a page: `cargo abide explain AB0101`.
";

/// The configuration file that clippy would read for a package in `folder`. If there is none: a new file
/// beside the workspace's `Cargo.toml`. A second file nearer to the package would hide the first.
fn clippy_toml(folder: &Path) -> PathBuf {
    let names = [".clippy.toml", "clippy.toml"];
    let there = folder.ancestors().flat_map(|above| names.map(|name| above.join(name)));
    there.into_iter().find(|file| file.is_file()).unwrap_or_else(|| {
        let roots = folder.ancestors().filter(|above| is_workspace(&above.join("Cargo.toml")));
        roots.last().unwrap_or(folder).join("clippy.toml")
    })
}

fn is_workspace(manifest: &Path) -> bool {
    let text = fs::read_to_string(manifest).unwrap_or_default();
    text.parse::<DocumentMut>().is_ok_and(|manifest| manifest.contains_key("workspace"))
}

/// Without a level, clippy would also warn about a clock in an activity, where clocks are allowed.
fn levels(manifest: &Path, merged: &Merged, report: &mut Report) -> Result<(), Failed> {
    for lint in &merged.of_the_user {
        let (key, level) = (lint.key(), lint.level());
        report.line(&format!(
            "{key} has entries of your own, so `{level}` keeps its level: clippy tells the new ones in all code."
        ));
    }
    let free: Vec<Lint> = Lint::ALL.into_iter().filter(|lint| !merged.of_the_user.contains(lint)).collect();
    let before = read(manifest)?.unwrap_or_default();
    let mut document = parse(manifest, &before)?;
    match merge::levels(&mut document, &free) {
        merge::Levels::Merged => {
            let what = "lints allowed outside of workflows";
            report.file(manifest, Some(&before), &document.to_string(), what)?;
            if merge::is_virtual(&document) {
                report.line("Members take the levels over with `workspace = true` in their `[lints]`.");
            }
            Ok(())
        }
        merge::Levels::Inherited => {
            let lines = free.iter().map(|lint| format!("    {} = \"allow\"", lint.level()));
            let lines = lines.collect::<Vec<_>>().join("\n");
            report.line(&format!(
                "the lints of this package are the workspace's. Its Cargo.toml needs, unless it has them:\n\
                 \n    [workspace.lints.clippy]\n{lines}\n"
            ));
            Ok(())
        }
        merge::Levels::Unreadable(what) => Err(format!("{}: {what} is not a table", manifest.display())),
    }
}

fn read(path: &Path) -> Result<Option<String>, Failed> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

fn parse(path: &Path, text: &str) -> Result<DocumentMut, Failed> {
    text.parse::<DocumentMut>().map_err(|error| format!("{} does not parse: {error}", path.display()))
}

/// What was done, as text for the user.
struct Report {
    dry_run: bool,
    text: String,
}

impl Report {
    fn line(&mut self, line: &str) {
        // Writing to a `String` cannot fail.
        let _ = writeln!(self.text, "{line}");
    }

    /// Writes a file, if it changes and this is not a dry run, and reports it.
    fn file(&mut self, path: &Path, before: Option<&str>, after: &str, what: &str) -> Result<(), Failed> {
        let shown = path.display();
        if before == Some(after) {
            self.line(&format!("{shown}: nothing to do, {what}"));
            return Ok(());
        }
        if self.dry_run {
            self.line(&format!("{shown} would be ({what}):\n\n{after}"));
            return Ok(());
        }
        replace(path, after).map_err(|error| format!("{shown}: {error}"))?;
        self.line(&format!("{shown}: {}, {what}", if before.is_some() { "changed" } else { "written" }));
        Ok(())
    }
}

/// Writes a new file and renames it over the old one: after a power cut, either the old or the new file is
/// there.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    let beside = path.with_file_name(name);
    fs::write(&beside, text)?;
    fs::rename(&beside, &path)
}
