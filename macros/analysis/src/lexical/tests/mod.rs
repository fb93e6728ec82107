//! The findings of the walk, in crates written in these tests. `ui-tests` have the compiler's messages.

mod effects;
mod following;

use super::Check;
use crate::errors::Errors;
use crate::source::{Crate, Place};
use std::path::Path;
use std::rc::Rc;
use syn::Item;
use syn::visit::{self, Visit};

const EXTERNS: &[(&str, &str)] = &[
    ("abide", "abide"),
    ("tokio", "tokio"),
    ("rand", "rand"),
    ("clock", "chrono"),
    ("uuid", "uuid"),
    ("serde_json", "serde_json"),
    ("tracing", "tracing"),
    ("log", "log"),
    ("metrics", "metrics"),
];

/// The findings of all items marked `#[workflow]` in the first file.
fn findings(files: &[(&str, &str)]) -> Vec<String> {
    let krate = Crate::of(files, EXTERNS);
    let file = syn::parse_file(files[0].1).expect("the test's code parses");
    let mut marked = Marked(Vec::new());
    marked.visit_file(&file);
    assert!(!marked.0.is_empty(), "nothing to check");
    let place = Place { file: Rc::from(Path::new(files[0].0)), line: 0 };
    let check = Check { krate, place: Some(place) };
    let mut errors = Errors::default();
    marked.0.iter().for_each(|item| check.item(item, &mut errors));
    errors.summary()
}

struct Marked(Vec<Item>);

impl<'ast> Visit<'ast> for Marked {
    fn visit_item(&mut self, item: &'ast Item) {
        let attrs = match item {
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if attrs.iter().any(|attr| attr.path().is_ident("workflow")) {
            self.0.push(item.clone());
        }
        visit::visit_item(self, item);
    }
}

/// Checks the codes of the findings in `code`, in order.
#[track_caller]
fn check(code: &str, expected: &[&str]) {
    check_files(&[("src/lib.rs", code)], expected);
}

#[track_caller]
fn check_files(files: &[(&str, &str)], expected: &[&str]) {
    let found = findings(files);
    let codes: Vec<&str> = found.iter().map(|text| &text[..6]).collect();
    assert_eq!(codes, expected, "{found:#?}");
}

/// A body with these module-level lines.
#[track_caller]
fn check_body(module: &str, body: &str, expected: &[&str]) {
    let code = format!("{module}\n#[workflow]\nasync fn w(n: u32) {{\n{body}\n}}\n");
    check(&code, expected);
}

#[test]
fn paths_however_written() {
    check_body("", "let t = std::time::Instant::now();", &["AB0101"]);
    check_body("", "let t = ::std::time::SystemTime::now();", &["AB0101"]);
    check_body("", "let t = core::time::Duration::ZERO;", &[]);
    check_body("use std::time::Instant;", "Instant::now();", &["AB0101"]);
    check_body("use std::time::Instant as Clock;", "Clock::now();", &["AB0101"]);
    check_body("use std::time::{self, Duration};", "time::Instant::now(); Duration::ZERO;", &["AB0101"]);
    check_body("use std::time::*;", "Instant::now();", &["AB0101"]);
    check_body("use std::time as t;", "t::Instant::now();", &["AB0101"]);
    check_body("use std as s;", "s::time::Instant::now();", &["AB0101"]);
    check_body("type Clock = std::time::Instant;", "Clock::now();", &["AB0101"]);
    check_body("use clock::Utc;", "Utc::now();", &["AB0101"]);
    check_body("extern crate rand as dice;", "let x: u8 = dice::random();", &["AB0103"]);
    check_body("use rand::prelude::*;", "let x: u8 = random();", &["AB0103"]);
    check_body("", "use std::time::Instant as I; I::now();", &["AB0101"]);
    check_body("", "let f = std::time::SystemTime::now; f();", &["AB0101"]);
    check_body("", "<std::time::Instant>::now();", &["AB0101"]);
    check_body("use std::time::Instant;", "[1].map(|_| Instant::now());", &["AB0101"]);
    check_body("", "let f = Some(1).map(tokio::spawn);", &["AB0106"]);
}

#[test]
fn wherever_in_the_body() {
    let uses = "use std::time::Instant;";
    check_body(uses, "{ { Instant::now(); } }", &["AB0101"]);
    check_body(uses, "let f = || { Instant::now() };", &["AB0101"]);
    check_body(uses, "let f = async { Instant::now() };", &["AB0101"]);
    check_body(uses, "match n { 1 if Instant::now() > x => {} _ => {} }", &["AB0101"]);
    check_body(uses, "const X: Option<Instant> = Some(Instant::now());", &["AB0101"]);
    check_body(uses, "fn inner() { Instant::now(); }", &["AB0101"]);
    check_body(uses, "format!(\"{:?}\", Instant::now());", &["AB0101"]);
    check_body(uses, "format!(\"{x:?}\", x = Instant::now());", &["AB0101"]);
    check_body(uses, "vec![Instant::now(); 3];", &["AB0101"]);
    check_body(uses, "assert!(Instant::now() > x, \"{}\", 1);", &["AB0101"]);
    check_body(uses, "matches!(Instant::now(), x if x > y);", &["AB0101"]);
    check_body(uses, "serde_json::json!({ \"at\": Instant::now() });", &["AB0101"]);
    check_body(
        uses,
        "workflow::select! { x = f(Instant::now()) => g(), _ = h() => Instant::now() }",
        &["AB0101", "AB0101"],
    );
    check_body("", "tokio::select! { _ = a() => {} }", &["AB0114"]);
    check_body("use tokio::select as pick;", "pick! { _ = a() => {} }", &["AB0114"]);
    check_body("", "println!(\"x\"); dbg!(n);", &["AB0109", "AB0109"]);
    check_body("", "unsafe { f() }", &["AB0113"]);
    check_body("", "let a = &n as *const u32 as usize; format!(\"{:p}\", &n);", &["AB0110", "AB0110"]);
}

#[test]
fn look_alikes_pass() {
    check_body("struct Instant; impl Instant { fn now() {} }", "Instant::now();", &[]);
    check_body("mod rand { pub fn random() -> u8 { 4 } }", "rand::random();", &[]);
    check_body(
        "use self::mine::Instant; mod mine { pub struct Instant; impl Instant { pub fn now() {} } }",
        "Instant::now();",
        &[],
    );
    check_body("mod std { pub mod time { pub struct Instant; } }", "std::time::Instant::now();", &[]);
    check_body("fn sleep() {}", "sleep();", &[]);
    check_body("use std::thread::sleep;", "let sleep = |x: u8| x; sleep(1);", &[]);
    check_body("use std::time::*; struct Instant;", "Instant::now();", &[]);
    check_body("macro_rules! println { () => {} }", "println!();", &[]);
    check_body("use std::time::Instant;", "let t: Option<Instant> = None; time.now(); x.elapsed();", &[]);
    check_body("", "use my::Instant; Instant::now();", &[]);
    check_body("", "std::path::Path::new(\"a\").join(\"b\"); uuid::Uuid::nil();", &[]);
}

#[test]
fn methods_of_written_types() {
    check_body("use std::time::Instant;", "let f = |t: Instant| t.elapsed();", &["AB0101"]);
    check_body("use std::path::PathBuf;", "let p: PathBuf = x(); p.exists();", &["AB0107"]);
    check_body("use std::path::Path;", "Path::new(\"x\").exists();", &["AB0107"]);
    check_body(
        "struct S { at: Option<std::time::Instant> }",
        "let s: S = f(); s.at.unwrap().elapsed();",
        &["AB0101"],
    );
    check_body("fn at() -> std::time::Instant { x() }", "at().elapsed();", &["AB0101"]);
}

#[test]
fn helpers_of_the_crate() {
    check_files(
        &[
            ("src/lib.rs", "mod util;\n#[workflow] async fn w() { util::pick(); }"),
            (
                "src/util.rs",
                "pub fn pick() -> u8 {\n    helper()\n}\nfn helper() -> u8 {\n    rand::random()\n}",
            ),
        ],
        &["AB0116"],
    );
    let found = findings(&[
        ("src/lib.rs", "mod util;\n#[workflow] async fn w() { util::pick(); }"),
        ("src/util.rs", "pub fn pick() -> u8 {\n    helper()\n}\nfn helper() -> u8 {\n    rand::random()\n}"),
    ]);
    let chain = "  -> util::pick (src/util.rs:1)\n    -> util::helper (src/util.rs:4)\n      \
                 -> rand::random (src/util.rs:5)  AB0103 randomness";
    assert!(found[0].contains(chain), "{}", found[0]);
    check_body(
        "fn a() { b() } fn b() { a(); c() } fn c() { std::thread::sleep(x) }",
        "a(); b();",
        &["AB0116", "AB0116"],
    );
    check_body("fn a() { b() } fn b() { a() }", "a(); b();", &[]);
    check_body("#[activity] async fn a() { std::fs::read(x); }", "a().await;", &[]);
    check_body("#[workflow::deterministic(\"why\")] fn a() { std::fs::read(x); }", "a();", &[]);
    check_body("fn a() { println!(); }", "let f = a; [1].map(|_| a());", &["AB0116", "AB0116"]);
    check_body("macro_rules! now { () => { std::time::Instant::now() } }", "now!();", &["AB0116"]);
    check_files(
        &[
            (
                "src/lib.rs",
                "#[macro_use] mod macros; mod flows {\n #[workflow]\n async fn w() { now!(); crate::later!(); }\n}",
            ),
            (
                "src/macros.rs",
                "macro_rules! now { () => { std::time::Instant::now() } }\n\
                 #[macro_export] macro_rules! later { () => { println!() } }",
            ),
        ],
        &["AB0116", "AB0116"],
    );
    check_body("macro_rules! m { ($e:expr) => { $e.await } }", "m!(x);", &["AB0118"]);
}

#[test]
fn hash_order_in_helpers() {
    let helper = |body: &str, expected: &[&str]| {
        let helper = format!("use std::collections::*; fn h(m: &HashMap<u8, u8>) {{ {body} }}");
        check_body(&helper, "h(&x);", expected);
    };
    helper("for x in m {}", &["AB0116"]);
    helper("m.keys().collect::<Vec<_>>();", &["AB0116"]);
    helper("m.keys().next();", &["AB0116"]);
    helper("f(|| m.values().map(g).fold(0, h));", &["AB0116"]);
    helper("m.get(&1); m.len(); m.contains_key(&1);", &[]);
    helper("m.keys().collect::<BTreeSet<_>>(); m.values().count();", &[]);
    helper("let s: BTreeSet<_> = m.keys().collect();", &[]);
    helper("let mut v: Vec<_> = m.keys().collect(); v.sort();", &[]);
    helper("let mut v: Vec<_> = m.keys().collect(); v.pop();", &["AB0116"]);
}

#[test]
fn methods_of_the_crate() {
    let files = [
        (
            "src/lib.rs",
            "mod a; mod b;\nuse a::Pricing;\n\
             #[workflow] impl W { async fn run(&mut self, p: Pricing) { p.quote(); Pricing::new(); \
             self.own.quote(); } }\nstruct W { own: Pricing }",
        ),
        ("src/a.rs", "pub struct Pricing;"),
        (
            "src/b/mod.rs",
            "use crate::a::Pricing;\n\
             impl Pricing { pub fn quote(&self) { std::env::var(\"X\"); } pub fn new() -> Self { Self } }",
        ),
    ];
    check_files(&files, &["AB0116", "AB0116"]);
    check(
        "struct W; impl Default for W { fn default() -> Self { std::time::Instant::now(); W } }\n\
         #[workflow] impl W { async fn run(&mut self) {} }",
        &["AB0116"],
    );
}

#[test]
fn what_abide_marks_is_not_followed() {
    check_body("use abide::activity as step; #[step] async fn a() { std::fs::read(x); }", "a().await;", &[]);
    check_body(
        "impl P { #[abide::activity] async fn a(&self) { std::fs::read(x); } } struct P;",
        "P::a().await;",
        &[],
    );
    check_body(
        "#[activity] impl P { async fn a(&self) { std::fs::read(x); } } struct P;",
        "P::a().await;",
        &[],
    );
    check_body("#[other] fn a() { std::fs::read(x); }", "a();", &["AB0116"]);
}

#[test]
fn methods_of_traits() {
    let module = "struct P; trait T { fn now(&self) { std::time::Instant::now(); } fn pure(&self) {} } impl T for P {}";
    check_body(module, "let p: P = f(); p.now(); p.pure();", &["AB0116"]);
    check_body(module, "T::now(&p);", &["AB0116"]);
}

#[test]
fn what_is_not_compiled() {
    check_body(
        "",
        "#[cfg(feature = \"trace\")]\nprintln!(); #[cfg(feature = \"trace\")]\nlet x = std::fs::read(y);",
        &[],
    );
    check_body(
        "#[cfg(feature = \"x\")] use std::time::Instant; #[cfg(not(feature = \"x\"))] use mine::Instant;",
        "Instant::now();",
        &[],
    );
}

#[test]
fn globals() {
    check_body("static N: std::sync::atomic::AtomicU8 = x();", "N.load(y);", &["AB0111"]);
    check_body("static N: &[u8] = &[1]; const M: u8 = 1;", "N.len(); M;", &[]);
    check_body("static mut N: u8 = 1;", "N;", &["AB0111"]);
    check_body("thread_local! { static N: u8 = 1; }", "N.with(|n| n);", &["AB0111"]);
    check_body("static N: std::sync::LazyLock<u8> = std::sync::LazyLock::new(|| 1);", "*N;", &[]);
    check_body(
        "static N: std::sync::LazyLock<u8> = std::sync::LazyLock::new(|| rand::random());",
        "*N;",
        &["AB0116"],
    );
    check_body("use std::sync::Mutex;", "let m = Mutex::new(1); m.lock();", &["AB0112", "AB0112"]);
}

#[test]
fn where_the_item_stands() {
    check(
        "mod inner {\n use std::time::Instant as T;\n #[workflow]\n async fn w() { T::now(); }\n}",
        &["AB0101"],
    );
    check("mod inner {\n #[workflow]\n async fn w() { T::now(); }\n}\nuse std::time::Instant as T;", &[]);
    check(
        "use std::time::Instant as T;\nmod inner {\n use super::*;\n #[workflow]\n async fn w() { T::now(); }\n}",
        &["AB0101"],
    );
    check(
        "#[test]\nfn t() {\n use std::time::Instant as T;\n #[workflow]\n async fn w() { T::now(); }\n}",
        &["AB0101"],
    );
}

#[test]
fn escape_hatches() {
    check_body("", "workflow::allow!(\"why\", std::time::Instant::now());", &[]);
    check_body("", "workflow::side_effect(|| std::time::Instant::now()).await;", &[]);
    check_body(
        "mod other { pub fn side_effect<T>(t: T) {} }",
        "other::side_effect(std::time::Instant::now());",
        &["AB0101"],
    );
    check_body(
        "mod workflow { pub fn side_effect<T>(t: T) {} }",
        "workflow::side_effect(std::time::Instant::now());",
        &["AB0101"],
    );
    check_body("use abide::workflow as wf;", "wf::side_effect(std::time::Instant::now());", &[]);
    check_body("use abide::workflow::allow;", "allow!(\"why\", std::time::Instant::now());", &[]);
    check_body("", "workflow::assume_deterministic(\"why\", tokio::time::sleep(x)).await;", &[]);
}
