//! What `init` writes, seen by clippy itself: the lints hold in workflow code, also inside of macros, and nowhere else.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

/// A crate with every forbidden thing twice: in a workflow, and where it belongs.
const MAIN: &str = r#"
use abide::prelude::*;
use std::collections::HashMap;

macro_rules! hidden {
    () => { std::time::Instant::now() };
}

#[activity]
async fn stock() -> u32 {
    println!("{:?} {:?}", std::time::Instant::now(), std::env::var("A"));
    let one = std::sync::Mutex::new(1);
    one.into_inner().unwrap_or_default()
}

#[workflow::deterministic("the sum does not depend on the order")]
fn sum(of: &HashMap<u32, u32>) -> u32 {
    of.values().sum()
}

#[workflow::helper]
fn region() -> Option<String> {
    std::env::var("REGION").ok() // LINE helper AB0108
}

#[workflow::helper]
mod helpers {
    pub async fn file() -> bool {
        std::path::Path::new("x").exists() // LINE module AB0107
    }

    #[abide::workflow::deterministic("goes to the log only")]
    pub fn vouched() -> u32 {
        std::process::id()
    }
}

#[workflow]
async fn order(of: HashMap<u32, u32>) -> Result<u32, Failure> {
    let _ = hidden!(); // LINE macro AB0101
    println!("order"); // LINE console AB0109
    for one in of.keys() { // LINE hash AB0115
        let _ = one;
    }
    let _ = (region(), helpers::file().await);
    Ok(stock().await? + sum(&of) + of.len() as u32)
}

#[derive(Default)]
struct Order {
    n: u32,
}

#[workflow]
impl Order {
    #[run]
    async fn run(&mut self) {
        std::thread::sleep(secs(1)); // LINE run AB0102
        self.wait().await;
        self.n += self.vouched().await;
    }

    #[workflow::deterministic("goes to the log only")]
    async fn vouched(&self) -> u32 {
        std::process::id() + helpers::vouched()
    }

    async fn wait(&mut self) {
        let lock = std::sync::Mutex::new(1); // LINE method AB0112
        self.n += lock.into_inner().unwrap_or_default();
        workflow::sleep(secs(1)).await;
    }

    #[signal]
    fn later(&mut self) {
        self.n = std::process::id(); // LINE signal AB0108
    }
}

fn main() {
    let _ = (hidden!(), std::env::var("B"), order, Order::run);
}
"#;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository")
}

fn cargo(folder: &Path, args: &[&str]) -> Output {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(args)
        .current_dir(folder)
        // Kept from run to run; apart from the outer build, whose lock is held by whoever runs these tests.
        .env("CARGO_TARGET_DIR", folder.with_file_name("checked"))
        .output()
        .expect("cargo runs")
}

#[test]
fn clippy_finds_the_entries_in_workflow_code_only() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clippy");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("src")).expect("a folder");
    let manifest = format!(
        "[package]\nname = \"shop\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies]\nabide = {{ path = {:?} }}\n",
        root().join("runtime").display().to_string()
    );
    fs::write(folder.join("Cargo.toml"), manifest).expect("written");
    fs::write(folder.join("src/main.rs"), MAIN).expect("written");
    fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).expect("copied");
    let init = Command::new(env!("CARGO_BIN_EXE_cargo-abide")).arg("init").current_dir(&folder).output();
    assert!(init.expect("it starts").status.success());

    let output = cargo(&folder, &["clippy", "--quiet", "--message-format=short"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!told.contains("does not refer to"), "an entry names what does not exist:\n{told}");
    // rustc itself has nothing against it: the lints are clippy's. In its short form clippy gives no reasons.
    let findings: Vec<&str> = told.lines().filter(|line| line.contains("disallowed")).collect();
    let expected = MAIN.lines().enumerate().filter(|(_, line)| line.contains("// LINE "));
    let mut missed = Vec::new();
    let mut count = 0;
    for (at, line) in expected {
        count += 1;
        // The one in a macro is told where the macro is written.
        let at = if line.contains("hidden!") {
            "src/main.rs:6:".to_owned()
        } else {
            format!("src/main.rs:{}:", at + 1)
        };
        if !findings.iter().any(|finding| finding.starts_with(&at) && finding.contains("error")) {
            missed.push(line);
        }
    }
    assert!(
        missed.is_empty() && findings.len() == count,
        "missed {missed:#?}, found {findings:#?} in\n{told}"
    );

    let output = cargo(&folder, &["clippy", "--quiet"]);
    let told = String::from_utf8_lossy(&output.stderr);
    for code in MAIN.lines().filter_map(|line| line.split_once("// LINE ")?.1.split_once(' ')) {
        assert!(told.contains(&format!("{} in workflow code: ", code.1)), "{} is not named:\n{told}", code.1);
    }
}
