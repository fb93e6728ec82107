//! Runs clippy with the files that `init` writes. The lints apply in workflow code and nowhere else. They
//! also reach the expansions of other crates' macros, which no other check does.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

/// Macros of another crate. abide's own checks cannot look into their expansions; rustc and clippy can.
const OUTSIDE: &str = r#"
#[macro_export]
macro_rules! clock { () => { ::std::time::Instant::now() }; }
#[macro_export]
macro_rules! nap { () => { ::std::thread::sleep(::std::time::Duration::from_millis(1)) }; }
#[macro_export]
macro_rules! file { () => { ::std::path::Path::new("x").exists() }; }
#[macro_export]
macro_rules! region { () => { ::std::env::var("REGION").ok() }; }
#[macro_export]
macro_rules! pid { () => { ::std::process::id() }; }
#[macro_export]
macro_rules! say { () => { ::std::println!("order") }; }
#[macro_export]
macro_rules! lock { () => { ::std::sync::Mutex::new(1) }; }
"#;

/// A crate that uses these macros in workflow code, and also where they are allowed.
const MAIN: &str = r#"
use abide::prelude::*;
use std::collections::HashMap;

#[activity]
async fn stock() -> u32 {
    outside::say!();
    println!("{:?} {:?} {:?}", outside::clock!(), outside::region!(), outside::lock!());
    outside::pid!()
}

#[workflow::deterministic("goes to the log only")]
fn now() -> std::time::Instant {
    outside::clock!()
}

#[workflow::helper]
fn region() -> Option<String> {
    outside::region!() // LINE AB0108
}

#[workflow::helper]
mod helpers {
    pub async fn file() -> bool {
        outside::file!() // LINE AB0107
    }

    #[abide::workflow::deterministic("goes to the log only")]
    pub fn vouched() -> u32 {
        outside::pid!()
    }
}

#[workflow]
async fn order(of: HashMap<u32, u32>) -> Result<u32, Failure> {
    let _ = outside::clock!(); // LINE AB0101
    let _ = workflow::allow!("goes to the log only", outside::clock!());
    let _ = workflow::side_effect(|| outside::pid!()).await + workflow::side_effect(std::process::id).await;
    outside::say!(); // LINE AB0109
    let _ = (region(), helpers::file().await);
    let _ = now();
    // The order of a sum does not show: here clippy must not be stricter than the macro.
    Ok(stock().await? + of.values().sum::<u32>() + of.len() as u32)
}

#[derive(Default)]
struct Order {
    n: u32,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) {
        outside::nap!(); // LINE AB0102
        self.wait().await;
        self.n += self.vouched().await;
    }

    #[workflow::deterministic("goes to the log only")]
    async fn vouched(&self) -> u32 {
        outside::pid!() + helpers::vouched()
    }

    async fn wait(&mut self) {
        let _ = outside::lock!(); // LINE AB0112
        workflow::sleep(secs(1)).await;
    }

    #[signal]
    fn later(&mut self) {
        self.n = outside::pid!(); // LINE AB0108
    }
}

fn main() {
    let _ = (outside::clock!(), outside::region!(), order, Order::run);
}
"#;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

fn cargo(folder: &Path, args: &[&str]) -> Output {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(args)
        .current_dir(folder)
        // Kept from run to run. Separate from the outer build, whose lock is held by the process that runs
        // these tests.
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("checked"))
        .output()
        .expect("cargo runs")
}

/// The crate and its neighbour, with this repository's lock file. Outside of the repository: otherwise `init`
/// would write to the repository's `clippy.toml`, as it should for a crate in it.
fn shop() -> tempfile::TempDir {
    let shop = tempfile::tempdir().expect("a folder");
    let folder = shop.path();
    let package = |path: &str, name: &str, rest: &str| {
        fs::create_dir_all(folder.join(path).join("src")).expect("a folder");
        let manifest = format!("[package]\nname = {name:?}\nversion = \"0.0.0\"\nedition = \"2024\"\n{rest}");
        fs::write(folder.join(path).join("Cargo.toml"), manifest).expect("written");
    };
    let abide = root().join("runtime").display().to_string();
    let needs =
        format!("[dependencies]\nabide = {{ path = {abide:?} }}\noutside = {{ path = \"outside\" }}\n");
    package("", "shop", &format!("\n[workspace]\nexclude = [\"outside\"]\n\n{needs}"));
    package("outside", "outside", "");
    fs::write(folder.join("src/main.rs"), MAIN).expect("written");
    fs::write(folder.join("outside/src/lib.rs"), OUTSIDE).expect("written");
    fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).expect("copied");
    shop
}

#[test]
fn clippy_finds_in_workflow_code_alone_what_other_crates_macros_hide() {
    let (ours, shop) = (fs::read_to_string(root().join("clippy.toml")).expect("ours"), shop());
    let folder = shop.path();
    let init = Command::new(env!("CARGO_BIN_EXE_cargo-abide")).arg("init").current_dir(folder).output();
    assert!(init.expect("it starts").status.success());
    assert_eq!(fs::read_to_string(root().join("clippy.toml")).expect("ours"), ours, "the repository's own");
    // Without clippy it compiles: no other check sees into these macros.
    let checked = cargo(folder, &["check", "--quiet"]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));

    let output = cargo(folder, &["clippy", "--quiet", "--message-format=json"]);
    let mut found = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(message) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        let told = message["message"]["rendered"].as_str().unwrap_or_default();
        assert!(!told.contains("does not refer to"), "an entry names what does not exist:\n{told}");
        if told.contains("disallowed") {
            assert!(told.starts_with("error"), "{told}");
            let code = told.split("= note: ").find_map(|note| note.split_once(" in workflow code: "));
            found.push((line_of(&message["message"]["spans"][0]), code.map(|(code, _)| code.to_owned())));
        }
    }
    found.sort();
    found.dedup();
    let expected = MAIN.lines().enumerate().filter_map(|(at, line)| {
        let (_, code) = line.split_once("// LINE ")?;
        Some((at as u64 + 1, Some(code.to_owned())))
    });
    assert_eq!(found, expected.collect::<Vec<_>>(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The line in the user's code: a span in a macro leads to the place of its call.
fn line_of(span: &serde_json::Value) -> u64 {
    match &span["expansion"] {
        serde_json::Value::Object(expansion) => line_of(&expansion["span"]),
        _ => span["line_start"].as_u64().unwrap_or_default(),
    }
}
