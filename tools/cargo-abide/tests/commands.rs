//! Each command as a user runs it: the built binary, its output and its exit code.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

const BIN: &str = env!("CARGO_BIN_EXE_cargo-abide");

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

fn ran(output: Output) -> Ran {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn run(folder: &Path, args: &[&str]) -> Ran {
    ran(Command::new(BIN).args(args).current_dir(folder).output().expect("it starts"))
}

/// A package with these files.
fn package(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    folder
}

const MANIFEST: (&str, &str) = ("Cargo.toml", "# mine\n[package]\nname = \"shop\"\n");

fn read(folder: &TempDir, path: &str) -> String {
    fs::read_to_string(folder.path().join(path)).expect("the file")
}

#[test]
fn explain_prints_the_page() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors/AB0101.md"));
    let page = page.expect("the page");
    for asked in ["AB0101", "ab0101", "101"] {
        let ran = run(Path::new("."), &["explain", asked]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(0), page.as_str()), "{asked}: {}", ran.err);
    }
}

#[test]
fn explain_without_a_code_lists_all() {
    let ran = run(Path::new("."), &["abide", "explain"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.contains("AB0101  a clock read in workflow code\n"), "{}", ran.out);
    assert!(ran.out.contains("AB0151  a history without an end\n"), "{}", ran.out);
    assert!(ran.out.lines().count() > 70, "{}", ran.out);
}

#[test]
fn explain_helps_with_an_unknown_code() {
    let ran = run(Path::new("."), &["explain", "ab0121"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.out.is_empty());
    assert!(ran.err.starts_with("error: there is no code `ab0121`; the nearest is AB01"), "{}", ran.err);
    assert!(ran.err.contains("`cargo abide explain` lists all codes"), "{}", ran.err);
}

#[test]
fn cargo_finds_it_as_a_subcommand() {
    let bin = Path::new(BIN).parent().expect("a folder").to_path_buf();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([bin].into_iter().chain(std::env::split_paths(&path))).expect("a path");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let ran = ran(Command::new(cargo)
        .args(["abide", "explain", "AB0119"])
        .env("PATH", path)
        .output()
        .expect("cargo"));
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.out.starts_with("# AB0119: an async closure\n"), "{}", ran.out);
}

#[test]
fn init_writes_the_configuration_once() {
    let folder = package(&[MANIFEST]);
    let rehearsed = run(folder.path(), &["init", "--dry-run"]);
    assert_eq!(rehearsed.code, Some(0), "{}", rehearsed.err);
    assert!(rehearsed.out.contains("clippy.toml would be ("), "{}", rehearsed.out);
    assert!(!folder.path().join("clippy.toml").exists(), "a rehearsal wrote");
    assert_eq!(read(&folder, "Cargo.toml"), MANIFEST.1);

    let first = run(folder.path(), &["init"]);
    assert_eq!(first.code, Some(0), "{}", first.err);
    assert!(first.out.contains("clippy.toml: written, "), "{}", first.out);
    assert!(first.out.contains("Cargo.toml: changed, lints allowed outside of workflows"), "{}", first.out);
    let (clippy, manifest) = (read(&folder, "clippy.toml"), read(&folder, "Cargo.toml"));
    let line = "{ path = \"std::time::Instant::now\", reason = \"AB0101 in workflow code: use the \
                workflow's own clock: `workflow::now()`\" },";
    assert!(clippy.contains(line), "{clippy}");
    assert!(rehearsed.out.contains(&clippy) && rehearsed.out.contains(&manifest), "{}", rehearsed.out);
    assert!(manifest.starts_with(MANIFEST.1), "{manifest}");
    assert!(manifest.contains("[lints.clippy]\ndisallowed_methods = \"allow\"\n"), "{manifest}");

    let second = run(folder.path(), &["init"]);
    assert!(second.out.contains("nothing to do, 0 entries added"), "{}", second.out);
    assert_eq!((read(&folder, "clippy.toml"), read(&folder, "Cargo.toml")), (clippy, manifest));
    assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 2, "something was left behind");
}

#[test]
fn init_keeps_what_a_user_wrote() {
    let mine = "# ours\nmsrv = \"1.95\" # soon more\ndisallowed-methods = [\n    # never\n    \
                { path = \"shop::secret\" },\n]\n";
    let root = ("Cargo.toml", "[workspace]\nmembers = [\"shop\"]\n");
    let member = ("shop/Cargo.toml", "[package]\nname = \"shop\"\n\n[lints]\nworkspace = true\n");
    let folder = package(&[root, member, (".clippy.toml", mine)]);
    let ran = run(&folder.path().join("shop"), &["init"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let clippy = read(&folder, ".clippy.toml");
    let kept = mine.trim_end_matches("]\n");
    assert!(clippy.starts_with(kept), "{clippy}");
    assert!(clippy.contains("\n    { path = \"std::time::Instant::now\""), "{clippy}");
    assert!(!folder.path().join("shop/clippy.toml").exists(), "a second file hides the first");
    assert!(ran.out.contains("disallowed-methods has entries of your own"), "{}", ran.out);
    assert!(ran.out.contains("[workspace.lints.clippy]\n    disallowed_types = \"allow\""), "{}", ran.out);
    assert_eq!(read(&folder, "shop/Cargo.toml"), member.1);
}

#[test]
fn init_does_not_touch_what_it_cannot_read() {
    for broken in ["disallowed-methods = 7\n", "disallowed-methods = [\n", "[[[\n"] {
        let folder = package(&[MANIFEST, ("clippy.toml", broken)]);
        let ran = run(folder.path(), &["init"]);
        assert_eq!(ran.code, Some(2), "{}", ran.out);
        assert!(ran.err.starts_with("error: ") && ran.err.contains("clippy.toml"), "{}", ran.err);
        assert_eq!(
            (read(&folder, "clippy.toml").as_str(), read(&folder, "Cargo.toml").as_str()),
            (broken, MANIFEST.1)
        );
    }
    let folder = package(&[("readme", "")]);
    let ran = run(folder.path(), &["init"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("holds no Cargo.toml"), "{}", ran.err);
}

#[test]
fn exceptions_are_listed_with_place_and_reason() {
    let helper = "#[workflow::deterministic(\"a table\")]\nfn rate() {}\n";
    let main = "fn f() {\n    workflow::allow!(\"to the log\", now());\n}\n";
    let built = ("target/debug/out.rs", helper);
    let folder = package(&[MANIFEST, ("src/helper.rs", helper), ("src/main.rs", main), built]);
    let ran = run(folder.path(), &["exceptions"]);
    let expected = "src/helper.rs:1: #[workflow::deterministic] on `fn rate`: a table\n\
                    src/main.rs:2: workflow::allow! on `now()`: to the log\n\
                    2 exceptions in 2 files, 0 without a reason\n";
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), expected), "{}", ran.err);
    let one = run(Path::new("."), &["exceptions", &folder.path().join("src/main.rs").display().to_string()]);
    assert!(one.out.ends_with("1 exceptions in 1 files, 0 without a reason\n"), "{}", one.out);
}

#[test]
fn exceptions_fail_where_a_reason_is_missing() {
    let bad = "fn f() { workflow::assume_deterministic(\"\", g()); }\n";
    let folder = package(&[("src/main.rs", bad)]);
    let ran = run(folder.path(), &["exceptions"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.out.contains("src/main.rs:1: workflow::assume_deterministic on `g()`: NO REASON GIVEN"),
        "{}",
        ran.out
    );
    let folder = package(&[("src/main.rs", "fn f( {")]);
    let ran = run(folder.path(), &["exceptions"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("not read: src/main.rs:1 does not parse"), "{}", ran.out);
}

#[test]
fn loops_without_an_end_are_told() {
    let wrong = "#[workflow]\nasync fn watch() -> u32 {\n    loop { check().await; }\n}\n";
    let right = "#[workflow]\nasync fn once() -> u32 {\n    loop { return check().await; }\n}\n";
    let package = package(&[MANIFEST, ("src/lib.rs", right), ("src/watch.rs", wrong)]);
    let ran = run(package.path(), &["loops"]);
    let first = "warning: AB0151: src/watch.rs:3:5: a loop in `watch` awaits and never ends";
    assert!(ran.out.starts_with(first), "{}", ran.out);
    assert!(ran.out.ends_with("1 endless loops in 2 files\n") && ran.code == Some(0), "{}", ran.out);
    std::fs::write(package.path().join("src/bad.rs"), "fn {").unwrap();
    assert_eq!(run(package.path(), &["loops"]).code, Some(1), "a file that it cannot read");
}
