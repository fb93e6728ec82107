//! abide under another name: each way to rename it in `Cargo.toml`, in crates that are made for this and checked by
//! cargo, since trybuild gives a case no manifest of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a user's crate holds; `ABIDE` stands for the name, `KRATE` for an argument that tells it.
const SOURCE: &str = r#"
use ABIDE::prelude::*;
use ABIDE::workflow::select as pick;

#[activity(KRATE)]
pub async fn rate(n: u32) -> Result<u32, Failure> { Ok(n) }

pub struct Payments;

#[activity(KRATE)]
impl Payments {
    pub async fn refund(&self, n: u32) -> u32 { n }
}

pub struct Pricing { rate: u32 }

impl Pricing {
    #[workflow::helper(KRATE)]
    pub async fn quote<'a>(&self, name: &'a str, also: impl Fn() -> u32) -> Result<&'a str, Failure> {
        let borrowed = &self.rate;
        rate(also()).await?;
        workflow::sleep(secs(u64::from(*borrowed))).await;
        Ok(name)
    }
}

#[workflow::deterministic("a pure function", KRATE)]
pub async fn later<T>(value: &T) -> &T { value }

#[derive(Default)]
pub struct Order { open: bool, n: u32 }

#[workflow(KRATE)]
impl Order {
    #[run]
    pub async fn run(&mut self, name: String) -> Result<u32, Failure> {
        self.n += rate(1).await? + Payments::refund(2).await?;
        Pricing { rate: 1 }.quote(&name, || 3).await?;
        later(&name).await;
        pick! {
            n = rate(3) => self.n += n?,
            _ = workflow::sleep(secs(1)) => {}
        }
        let (a, _) = workflow::try_join!(rate(4), self.step())?;
        workflow::until!(self.open).await;
        Ok(workflow::allow!("a test", a + self.n))
    }

    async fn step(&mut self) -> Result<(), Failure> { self.n += rate(5).await?; Ok(()) }
    #[signal] fn open(&mut self) { self.open = true; }
    #[signal] async fn bump(&mut self, by: u32) { self.n += by; let _ = rate(by).await; }
    #[query] fn n(&self, times: u32) -> Result<u32, Failure> { rate_of(self.n); Ok(self.n * times) }
}

fn rate_of(n: u32) -> u32 { n }

#[workflow(KRATE)]
pub async fn nightly(n: u32) -> u32 { rate(n).await.unwrap_or(0) }

pub async fn client(client: Client) -> Result<u32, Failure> {
    let order = client.start(Order::run(String::new())).await?;
    order.open().await?;
    order.bump(1).await?;
    Ok(order.n(2).await?)
}
"#;

/// A crate's folder, edition, dependencies, the name it gives to abide, and the `crate = ..` argument.
struct Case {
    name: &'static str,
    edition: &'static str,
    dependencies: &'static str,
    abide: &'static str,
    argument: &'static str,
}

const CASES: &[Case] = &[
    Case {
        name: "inline",
        edition: "2024",
        dependencies: "[dependencies]\nlasting = { package = \"abide\", path = \"ROOT/runtime\", \
                       default-features = false }",
        abide: "lasting",
        argument: "",
    },
    Case {
        name: "table",
        edition: "2024",
        dependencies: "[dependencies.long-lived]\npath = \"ROOT/runtime\"\npackage = \"abide\"\n\
                       default-features = false",
        abide: "long_lived",
        argument: "",
    },
    Case {
        name: "inherited",
        edition: "2024",
        dependencies: "[dependencies]\nkept = { workspace = true }",
        abide: "kept",
        argument: "",
    },
    Case {
        name: "dotted",
        edition: "2024",
        dependencies: "[dependencies]\nkept.workspace = true",
        abide: "kept",
        argument: "",
    },
    Case {
        name: "argument",
        edition: "2024",
        dependencies: "[dependencies]\nfacade = { package = \"renamed-facade\", path = \"../facade\" }",
        abide: "facade::durable",
        argument: "crate = facade::durable",
    },
    // The future of a helper borrows its arguments in every edition.
    Case {
        name: "edition-2021",
        edition: "2021",
        dependencies: "[dependencies]\nabide = { path = \"ROOT/runtime\", default-features = false }",
        abide: "abide",
        argument: "",
    },
];

fn source(case: &Case) -> String {
    // Without an argument `#[activity()]` is the same as `#[activity]`.
    let told = SOURCE.replace("ABIDE", case.abide).replace("KRATE", case.argument);
    told.replace("\"a pure function\", )", "\"a pure function\")")
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
    fs::write(path, text).expect("the file is written");
}

fn package(folder: &Path, name: &str, edition: &str, dependencies: &str, source: &str) {
    let manifest =
        format!("[package]\nname = \"renamed-{name}\"\nedition = \"{edition}\"\n\n{dependencies}\n");
    write(&folder.join(name).join("Cargo.toml"), &manifest);
    write(&folder.join(name).join("src/lib.rs"), source);
}

#[test]
fn every_way_to_rename_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned();
    let at_root = |text: &str| text.replace("ROOT", &root.display().to_string().replace('\\', "/"));
    let temporary = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let folder = temporary.join("renamed");
    let members: Vec<String> = CASES.iter().map(|case| format!("\"{}\"", case.name)).collect();
    let workspace = format!(
        "[workspace]\nresolver = \"3\"\nmembers = [\"facade\", {}]\n\n[workspace.dependencies]\n\
         kept = {{ package = \"abide\", path = \"ROOT/runtime\", default-features = false }}\n",
        members.join(", ")
    );
    write(&folder.join("Cargo.toml"), &at_root(&workspace));
    // The same versions as here, so that nothing is fetched and little is built again.
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).expect("the lock file is copied");
    let dependencies =
        at_root("[dependencies]\nabide = { path = \"ROOT/runtime\", default-features = false }");
    package(&folder, "facade", "2024", &dependencies, "pub use abide as durable;\n");
    for case in CASES {
        package(&folder, case.name, case.edition, &at_root(case.dependencies), &source(case));
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["check", "--offline", "--workspace", "--quiet"]).current_dir(&folder);
    cargo.env("CARGO_TARGET_DIR", temporary.parent().expect("the target directory"));
    let output = cargo.output().expect("cargo runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("warning"), "{said}");
}
