//! Which functions are followed, how far, and which cannot be followed.

use super::{check, check_body};

#[test]
fn what_refers_to_itself_is_read_once() {
    let count = "macro_rules! count { () => { 0 }; ($h:expr $(, $t:expr)*) => { 1 + count!($($t),*) } }";
    check_body(count, "count!(1, 2, 3);", &[]);
    check_body(
        "macro_rules! a { ($n:expr) => { b!($n) } } macro_rules! b { ($n:expr) => { a!($n) } }",
        "a!(1);",
        &[],
    );
    check_body("", "macro_rules! own { ($n:expr) => { own!($n) } } own!(1);", &[]);
    check_body(&format!("{count} fn f() {{ count!(1) }}"), "f();", &[]);
    check_body(
        "static A: Node = Node(&B); static B: Node = Node(&A); struct Node(&'static Node);",
        "A;",
        &[],
    );
    check_body("static A: X = X(&A, rand::random()); struct X(&'static X, u8);", "A;", &["AB0116"]);
}

#[test]
fn circles_of_functions_are_walked_once() {
    let size = 60;
    let ring: String = (0..size)
        .map(|i| {
            let leaf = if i == size - 1 { "rand::random();" } else { "" };
            format!(
                "fn h{i}() {{ h{}(); h{}(); h{}(); {leaf} }}\n",
                (i + 1) % size,
                (i + 2) % size,
                (i + 3) % size
            )
        })
        .collect();
    check_body(&ring, "h0(); h7();", &["AB0116", "AB0116"]);
    check_body(&ring.replace("rand::random();", ""), "h0(); h7();", &[]);
}

#[test]
fn constants() {
    check_body("const NOW: fn() -> X = std::time::Instant::now;", "NOW();", &["AB0116"]);
    check_body("const T: &[fn() -> u32] = &[rand::random];", "T[0]();", &["AB0116"]);
    check_body("struct F; impl F { const G: fn() -> u32 = rand::random; }", "(F::G)();", &["AB0116"]);
    check_body("const LIMIT: u32 = 5 * 7;", "LIMIT + 1;", &[]);
}

#[test]
fn one_of_several() {
    let arms =
        "macro_rules! log { (quiet $e:expr) => { drop($e) }; (loud $e:expr) => { println!(\"{}\", $e) }; }";
    check_body(arms, "log!(quiet n);", &[]);
    check_body(arms, "log!(loud n);", &["AB0116"]);
    let froms = "struct R; impl From<A> for R { fn from(a: A) -> R { rand::random() } } impl From<B> for R \
                 { fn from(b: B) -> R { R } }";
    check_body(froms, "R::from(b);", &[]);
    let traits = "struct X; trait P { fn go(&self); } trait Q { fn go(&self); } impl P for X { fn go(&self) \
                  {} } impl Q for X { fn go(&self) { rand::random() } }";
    check_body(traits, "<X as P>::go(&x);", &[]);
    check_body(traits, "<X as Q>::go(&x);", &["AB0116"]);
    let platforms =
        "#[cfg(windows)] fn os() -> u32 { std::process::id() } #[cfg(not(windows))] fn os() -> u32 { 1 }";
    check_body(platforms, "os();", &[]);
    check_body("", "match n { #[cfg(feature = \"nope\")] 1 => rand::random(), _ => 1 };", &[]);
    check_body("", "vec![#[cfg(feature = \"nope\")] rand::random::<u32>(), 1];", &[]);
}

#[test]
fn types_out_of_patterns_and_collections() {
    let check = |body: &str| {
        let item = "struct Item(u8); impl Item { fn stamp(&self) -> u32 { rand::random() } } \
                    #[activity] async fn load() -> Item { x } \
                    enum Kind { A } impl Kind { fn go(&self) { rand::random() } }";
        check_body(item, body, &["AB0116"]);
    };
    check("Item(1).stamp();");
    check("let i = load().await?; i.stamp();");
    check("let items: Vec<Item> = x; for i in &items { i.stamp(); }");
    check("let items: Vec<Item> = x; items.iter().map(|i| i.stamp()).sum();");
    check("let items: Vec<Item> = x; items[0].stamp();");
    check("let items: Vec<Item> = x; items.first().unwrap().stamp();");
    check("let item: Option<Item> = x; if let Some(i) = item { i.stamp(); }");
    check("let item: Option<Item> = x; match item { Some(i) => i.stamp(), None => 1 };");
    check("let item: Option<Item> = x; let Some(i) = item else { return }; i.stamp();");
    check("let (a, b): (Item, u32) = x; a.stamp();");
    check("Kind::A.go();");
    check("let i = if n > 1 { Item(1) } else { Item(2) }; i.stamp();");
    check("serde_json::json!({ \"a\": Item(1).stamp(), \"b\": [1, { \"c\": 2 }] });");
    check_body(
        "use std::path::PathBuf;",
        "let paths: Vec<PathBuf> = x; for p in &paths { p.exists(); }",
        &["AB0107"],
    );
    check_body("use std::path::Path;", "Path::new(&s).join(\"x\").exists();", &["AB0107"]);
}

#[test]
fn items_in_the_body() {
    check_body("", "mod x { pub fn f() -> u32 { rand::random() } } x::f();", &["AB0103"]);
    check_body("", "mod x { use std::time::Instant as I; pub fn f() { I::now(); } }", &["AB0101"]);
    check_body("", "trait T { fn f(&self) -> u32 { rand::random() } }", &["AB0103"]);
    check(
        "#[derive(Default)] struct W { ids: Seed } struct Seed(u8); impl Default for Seed { fn default() -> \
         Self { rand::random() } }\n#[workflow] impl W { async fn run(&mut self) {} }",
        &["AB0116"],
    );
}
