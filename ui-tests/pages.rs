//! The programs on the pages of `docs/errors/`: what a page calls right compiles, and what it calls wrong is
//! refused with the page's code.
//!
//! A program is a `rust` block that begins with `// right` or `// wrong`. One generated crate holds them all,
//! each wrong one as a binary of its own, so that one `cargo check` tells everything.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::{env, fs};

/// Wrong for a reader, but no code of today refuses it.
const NOT_EMITTED: &[&str] = &["AB0151"];

/// What the messages of the catalogue say instead. Each is part of some right program.
const REPLACEMENTS: &[&str] = &[
    "workflow::now()",
    "workflow::sleep(",
    "workflow::timeout(",
    "workflow::until!(",
    ").timeout(",
    "workflow::random()",
    "workflow::random_range(",
    "workflow::uuid()",
    "workflow::spawn(",
    "workflow::info()",
    "workflow::select! {",
    "workflow::join!(",
    "workflow::Mutex",
    "workflow::Semaphore",
    "workflow::channel(",
    "workflow::try_join!(",
    "workflow::allow!(\"",
    "workflow::assume_deterministic(\"",
    "#[workflow::deterministic(\"",
    "#[workflow::helper]",
    "#[activity",
    "#[signal]",
    "tracing::info!(",
    "BTreeMap",
];

#[test]
fn right_programs_compile() {
    let errors = CHECKED.errors.get("right").map_or("", String::as_str);
    assert!(errors.is_empty(), "a page shows as right what does not compile:\n{errors}");
}

#[test]
fn wrong_programs_are_refused_with_the_code_of_their_page() {
    let mut findings = Vec::new();
    for program in CHECKED.programs.iter().filter(|program| program.is_wrong()) {
        let errors = CHECKED.errors.get(&program.name).map_or("", String::as_str);
        if !errors.contains(&program.code) {
            findings.push(format!("{}.md, `{}`, says:\n{errors}", program.code, program.name));
        }
    }
    assert!(findings.is_empty(), "{} wrong programs pass:\n{}", findings.len(), findings.join("\n"));
}

#[test]
fn every_page_shows_both_and_every_replacement_is_shown() {
    let programs = programs();
    for code in programs.iter().map(|program| &program.code) {
        for kind in ["right", "wrong"] {
            let has = |program: &&Program| program.code == *code && program.kind == kind;
            assert!(programs.iter().any(|program| has(&program)), "{code}.md shows nothing {kind}");
        }
    }
    for replacement in REPLACEMENTS {
        let shown = |program: &&Program| program.kind == "right" && program.text.contains(replacement);
        assert!(programs.iter().any(|program| shown(&program)), "no right program shows `{replacement}`");
    }
}

/// A block of a page.
struct Program {
    code: String,
    kind: String,
    /// `ab0101_2`: the third of its page.
    name: String,
    text: String,
}

impl Program {
    fn is_wrong(&self) -> bool {
        self.kind == "wrong" && !NOT_EMITTED.contains(&self.code.as_str())
    }
}

struct Checked {
    programs: Vec<Program>,
    /// Target → what rustc says against it.
    errors: BTreeMap<String, String>,
}

/// Both tests look at one run of cargo.
static CHECKED: LazyLock<Checked> = LazyLock::new(|| {
    let programs = programs();
    let folder = write(&programs);
    Checked { errors: check(&folder), programs }
});

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests live in a workspace").to_path_buf()
}

fn programs() -> Vec<Program> {
    let mut programs = Vec::new();
    for page in fs::read_dir(root().join("docs/errors")).expect("pages") {
        let path = page.expect("a page").path();
        let code = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !code.starts_with("AB01") {
            continue;
        }
        let page = fs::read_to_string(&path).expect("a page");
        let blocks = page.split("```rust\n").skip(1).filter_map(|rest| rest.split_once("```"));
        for (number, (block, _)) in blocks.enumerate() {
            let (kind, text) = block.split_once('\n').expect("lines");
            let kind = kind.strip_prefix("// ").filter(|kind| ["right", "wrong"].contains(kind));
            let kind = kind.unwrap_or_else(|| panic!("{code}.md: block {number} is neither right nor wrong"));
            let name = format!("{}_{number}", code.to_lowercase());
            programs.push(Program { code: code.clone(), kind: kind.to_owned(), name, text: text.to_owned() });
        }
    }
    programs.sort_by(|a, b| a.name.cmp(&b.name));
    programs
}

/// Makes the crate, with the dependencies and the lock file of these tests.
fn write(programs: &[Program]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("src/bin")).expect("a folder");
    let section = |manifest: &Path, name: &str| {
        let text = fs::read_to_string(manifest).expect("a manifest");
        let (_, rest) = text.split_once(&format!("[{name}]\n")).expect("the section");
        rest.split("\n[").next().unwrap_or_default().to_owned()
    };
    let ours = section(&root().join("Cargo.toml"), "workspace.dependencies");
    let ours = ours.replace("path = \"", &format!("path = \"{}/", root().display()));
    let used = section(&root().join("ui-tests/Cargo.toml"), "dev-dependencies");
    let manifest = format!(
        "[package]\nname = \"pages\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
         [workspace]\n\n[workspace.dependencies]\n{ours}\n\n[dependencies]\n{used}"
    );
    fs::write(folder.join("Cargo.toml"), manifest).expect("written");
    fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).expect("copied");

    let prelude = "use abide::prelude::*;\n";
    let mut right = String::from("#![allow(unused)]\n");
    for program in programs.iter().filter(|program| program.kind == "right") {
        // Writing to a `String` cannot fail.
        let _ = writeln!(right, "mod {} {{\n{prelude}{}}}", program.name, program.text);
    }
    fs::write(folder.join("src/bin/right.rs"), right + "fn main() {}\n").expect("written");
    for Program { name, text, .. } in programs.iter().filter(|program| program.is_wrong()) {
        let file = folder.join(format!("src/bin/{name}.rs"));
        fs::write(file, format!("#![allow(unused)]\n{prelude}{text}\nfn main() {{}}\n")).expect("written");
    }
    folder
}

/// What rustc says against each binary.
fn check(folder: &Path) -> BTreeMap<String, String> {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["check", "--quiet", "--bins", "--keep-going", "--message-format=json"])
        .current_dir(folder)
        // Kept from run to run; apart from the outer build, whose lock the run of these tests holds.
        .env("CARGO_TARGET_DIR", folder.with_file_name("checked"))
        .output()
        .expect("cargo runs");
    let mut errors = BTreeMap::<String, String>::new();
    let mut seen = false;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(message) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        seen |= message["reason"] == "compiler-artifact";
        if message["reason"] == "compiler-message" && message["message"]["level"] == "error" {
            let target = message["target"]["name"].as_str().unwrap_or_default().to_owned();
            errors
                .entry(target)
                .or_default()
                .push_str(message["message"]["rendered"].as_str().unwrap_or("?"));
        }
    }
    // Without this, a crate that does not build at all would pass for one without errors.
    assert!(seen, "cargo check did nothing:\n{}", String::from_utf8_lossy(&output.stderr));
    errors
}
