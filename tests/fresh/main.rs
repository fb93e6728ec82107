//! A newcomer's first program: a new crate outside of the workspace, into which the README's lines are
//! pasted. It is run and tested by cargo, offline, with the versions of the workspace's lock file.
//!
//! The lines are read from README.md; only the path to the clone is put in the place of `../abide`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn the_first_program_runs_in_a_new_crate() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests live in a workspace");
    let readme = fs::read_to_string(root.join("README.md")).expect("there is a README");
    let dependencies = blocks(&readme, "toml").next().expect("README.md says how to depend on abide");
    let mut rust = blocks(&readme, "rust");
    let program = rust.next().expect("README.md shows a program");
    let test = rust.next().expect("README.md shows its test");
    assert!(
        test.starts_with("#[cfg(test)]\nmod tests {"),
        "README.md's second program is the first one's test"
    );

    let folder = tempfile::tempdir().expect("a temporary folder");
    cargo(folder.path(), &["new", "--quiet", "--vcs", "none", "first"]);
    let krate = folder.path().join("first");
    let manifest = fs::read_to_string(krate.join("Cargo.toml")).expect("cargo has made one");
    let before = manifest.strip_suffix("[dependencies]\n").expect("a new crate has no dependencies");
    write(&krate.join("Cargo.toml"), &format!("{before}{}", pasted(dependencies, root)));
    write(&krate.join("src/main.rs"), &format!("{program}\n{test}"));
    fs::copy(root.join("Cargo.lock"), krate.join("Cargo.lock")).expect("the lock file is copied");

    let said = cargo(&krate, &["run", "--offline", "--quiet"]);
    assert_eq!(said.trim(), "Hello, world! Hello, world, again!");
    let said = cargo(&krate, &["test", "--offline", "--quiet"]);
    assert!(said.contains("1 passed"), "{said}");
    // Its folder is another one each time: nothing of it would be used again.
    cargo(&krate, &["clean", "--offline", "--quiet", "--package", "first"]);
}

/// The blocks fenced as `language`.
fn blocks<'a>(text: &'a str, language: &str) -> impl Iterator<Item = &'a str> {
    let open = format!("```{language}\n");
    let rest: Vec<_> = text.split(open.as_str()).skip(1).collect();
    rest.into_iter().filter_map(|rest| Some(rest.split_once("```")?.0))
}

/// The clone is where it is, not beside the new crate.
fn pasted(dependencies: &str, root: &Path) -> String {
    assert!(dependencies.contains("\"../abide/runtime\""), "the README's path of a clone: {dependencies}");
    dependencies.replace("../abide", &root.display().to_string().replace('\\', "/"))
}

/// Runs cargo in `folder`, with the target directory of the workspace. Gives what it has printed.
fn cargo(folder: &Path, arguments: &[&str]) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(arguments).current_dir(folder).env("CARGO_TARGET_DIR", target()).env("TMPDIR", folder);
    // As the workspace's profile says: what was compiled for it serves here too.
    cargo.env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only");
    let output = cargo.output().expect("cargo runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("warning"), "cargo {arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Where the workspace was built: what both have in common is not built again.
fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target directory").to_owned()
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("the file is written");
}
