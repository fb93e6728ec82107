//! Generates the table of error pages that `explain` prints, each page by `include_str!`. The pages are in
//! `pages/` (in the repository a link to `docs/errors/`). It never writes outside of `OUT_DIR`.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let pages = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("pages");
    // In a checkout without symbolic links, `pages` is a file that contains the link's target.
    let pages = match pages.is_file() {
        true => pages.with_file_name(fs::read_to_string(&pages)?.trim()),
        false => pages,
    };
    println!("cargo::rerun-if-changed={}", pages.display());
    let mut codes = Vec::new();
    for entry in fs::read_dir(&pages)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if let Some(code) = name.strip_suffix(".md").filter(|code| code.starts_with("AB")) {
            codes.push(code.to_owned());
        }
    }
    codes.sort();
    let mut table = String::from("&[\n");
    for code in codes {
        let path = pages.join(format!("{code}.md"));
        println!("cargo::rerun-if-changed={}", path.display());
        let line = writeln!(table, "    ({code:?}, include_str!({:?})),", path.display().to_string());
        line.map_err(io::Error::other)?;
    }
    table.push(']');
    fs::write(PathBuf::from(variable("OUT_DIR")?).join("pages.rs"), table)
}

fn variable(name: &str) -> io::Result<String> {
    env::var(name).map_err(|error| io::Error::other(format!("{name}: {error}")))
}
