//! What is published: the crates that a user needs, what they say about themselves, and what is in their packages.
//!
//! That they build from their packages is checked by `.ci/run`, from a clean clone.

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// In the order in which they depend on each other.
const PUBLISHED: [&str; 5] = ["abide-core", "abide-analysis", "abide-macros", "abide", "cargo-abide"];

/// All files of a package together, uncompressed. crates.io takes 10 MB, compressed.
const MOST_BYTES: u64 = 3_000_000;

/// What cargo adds to a package.
const MADE_BY_CARGO: [&str; 2] = [".cargo_vcs_info.json", "Cargo.toml.orig"];

fn cargo(arguments: &[&str]) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    let output = cargo.args(arguments).current_dir(root()).output().expect("cargo runs");
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo speaks UTF-8")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests live in a workspace")
}

/// Every package of the workspace, as `cargo metadata` tells it.
fn packages() -> Vec<Value> {
    let told = cargo(&["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let mut told: Value = serde_json::from_str(&told).expect("cargo gives JSON");
    serde_json::from_value(told["packages"].take()).expect("a list of packages")
}

/// Those that may be published.
fn published() -> Vec<Value> {
    packages().into_iter().filter(|package| package["publish"].is_null()).collect()
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn what_users_need_is_published_and_nothing_else() {
    let names: BTreeSet<_> =
        published().iter().filter_map(|p| Some(p["name"].as_str()?.to_owned())).collect();
    assert_eq!(names, PUBLISHED.map(str::to_owned).into());
    // And it depends on nothing of the workspace that is not. A development dependency without a version is left out.
    for package in published() {
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let is_ours = !dependency["path"].is_null() && dependency["kind"] != "dev";
            let name = dependency["name"].as_str().unwrap_or_default();
            assert!(!is_ours || names.contains(name), "{} needs {name}", package["name"]);
            assert!(!is_ours || dependency["req"] == exactly(&package), "{dependency}");
        }
    }
}

/// Crates of one release fit each other only.
fn exactly(package: &Value) -> Value {
    format!("={}", package["version"].as_str().unwrap_or_default()).into()
}

#[test]
fn each_crate_says_what_it_is() {
    for package in published() {
        let name = package["name"].as_str().expect("a name");
        for field in ["description", "license", "readme", "repository", "documentation", "rust_version"] {
            assert!(package[field].as_str().is_some_and(|text| !text.is_empty()), "{name} has no {field}");
        }
        assert_eq!(package["documentation"], format!("https://docs.rs/{name}"));
        let (keywords, categories) = (texts(&package["keywords"]), texts(&package["categories"]));
        // The limits of crates.io.
        assert!(
            (1..=5).contains(&keywords.len()) && keywords.iter().all(|word| word.len() <= 20),
            "{keywords:?}"
        );
        assert!((1..=5).contains(&categories.len()), "{name}: {categories:?}");
    }
}

#[test]
fn docs_rs_shows_every_feature_of_users() {
    for package in published() {
        let docs = &package["metadata"]["docs"]["rs"];
        let features = package["features"].as_object().expect("a table of features");
        let shown: BTreeSet<_> = texts(&docs["features"]).into_iter().collect();
        for feature in &shown {
            assert!(features.contains_key(*feature), "{}: docs.rs asks for `{feature}`", package["name"]);
        }
        if package["name"] == "abide" {
            // Defects on purpose are nothing for users.
            let all: BTreeSet<_> = features.keys().map(String::as_str).collect();
            assert_eq!(shown, &all - &BTreeSet::from(["default", "mutants"]));
        }
    }
}

#[test]
fn a_package_holds_the_sources_the_licences_and_a_readme() {
    for package in published() {
        let name = package["name"].as_str().expect("a name");
        let manifest = Path::new(package["manifest_path"].as_str().expect("a manifest"));
        let folder = manifest.parent().expect("a folder");
        let files = cargo(&["package", "--list", "--allow-dirty", "--offline", "--package", name]);
        let files: BTreeSet<_> = files.lines().map(|file| file.replace('\\', "/")).collect();
        for needed in ["Cargo.toml", "Cargo.lock", "README.md", "LICENSE-MIT", "LICENSE-APACHE"] {
            assert!(files.contains(needed), "{name} lacks {needed}");
        }
        let is_source = |file: &String| file.starts_with("src/") && file.ends_with(".rs");
        let is_page =
            |file: &String| name == "cargo-abide" && (file == "build.rs" || file.starts_with("pages/"));
        assert!(files.contains("src/lib.rs") || files.contains("src/main.rs"), "{name} has no sources");
        let at_root = |file: &String| !file.contains('/') && !file.ends_with(".rs");
        let strange: Vec<_> =
            files.iter().filter(|file| !is_source(file) && !is_page(file) && !at_root(file)).collect();
        assert!(strange.is_empty(), "{name} holds {strange:?}");
        let here = files.iter().filter(|file| !MADE_BY_CARGO.contains(&file.as_str()));
        let bytes: u64 = here.filter_map(|file| Some(folder.join(file).metadata().ok()?.len())).sum();
        assert!(bytes > 1_000 && bytes < MOST_BYTES, "{name}: {bytes} bytes");
    }
}
