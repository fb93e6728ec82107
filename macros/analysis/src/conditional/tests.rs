//! Conditions that are evaluated when rustc's command line is known, as in a build.

use super::{Decide, Marked};
use quote::ToTokens;

const CFGS: &[&str] = &["test", "feature=\"fees\""];

/// The item that is passed on, and the tokens after it.
#[track_caller]
fn decided(attribute: &str, item: &str) -> (String, String) {
    let cfgs: Vec<String> = CFGS.iter().map(ToString::to_string).collect();
    let mut item = Marked::parse(&item.parse().expect("tokens")).expect("an item");
    let mut decide = Decide::new(Some(&cfgs), attribute, attribute != "activity");
    item.visit(&mut decide);
    assert!(decide.open.is_empty(), "everything is known");
    let behind = item.ask(&decide.closed);
    let shown = |tokens: proc_macro2::TokenStream| tokens.to_string().replace([' ', '\n'], "");
    (shown(item.into_token_stream()), shown(behind.unwrap_or_default()))
}

#[track_caller]
fn check(attribute: &str, item: &str, expected: &str) {
    let (item, behind) = decided(attribute, item);
    assert_eq!(item + &behind, expected.replace([' ', '\n'], ""));
}

/// In an `impl` or a `trait` a `const _` is an error.
#[test]
fn what_was_asked_stays_in_the_body_of_a_method() {
    let body = "{ #[cfg(feature = \"fees\")] let n = n + 1; n }";
    let asked = "{ #[cfg(any(feature = \"fees\"))] const _: () = (); let n = n + 1; n }";
    for head in
        ["fn fee(&self, n: u32) -> u32", "pub fn fee(n: u32) -> u32", "default fn fee(&self, n: u32) -> u32"]
    {
        check("helper", &format!("{head} {body}"), &format!("{head} {asked}"));
    }
    check(
        "helper",
        "fn fee(&self, #[cfg(feature = \"x\")] n: u32);",
        "#[cfg_attr(all(any(feature = \"x\"), false), allow(unused))] fn fee(&self);",
    );
    check(
        "helper",
        "impl A { #[cfg(feature = \"fees\")] fn a(&self) {} }",
        "impl A { fn a(&self) {} } #[cfg(any(feature = \"fees\"))] const _: () = ();",
    );
}

#[test]
fn handlers_under_test_are_handlers() {
    let asked = "#[cfg(any(feature = \"big\", test))] const _: () = ();";
    check(
        "workflow",
        "impl W { #[cfg(test)] #[signal] fn poke(&mut self, #[cfg(feature = \"big\")] n: u32) {} }",
        &format!("impl W {{ #[signal] fn poke(&mut self) {{}} }} {asked}"),
    );
    check(
        "workflow",
        "impl W { #[cfg(test)] fn made(#[cfg(feature = \"big\")] n: u32) {} }",
        &format!("impl W {{ #[cfg(test)] fn made() {{}} }} {asked}"),
    );
    // Among helpers it belongs to a test, and does not change.
    check(
        "helper",
        "impl W { #[cfg(test)] fn made(#[cfg(feature = \"big\")] n: u32) {} }",
        "impl W { #[cfg(test)] fn made(#[cfg(feature = \"big\")] n: u32) {} }
         #[cfg(any(test))] const _: () = ();",
    );
}

#[test]
fn every_kind_of_statement_item_and_pattern() {
    let dropped = |statement: &str| {
        let item = format!("fn f() {{ #[cfg(feature = \"x\")] {statement} g(); }}");
        let (item, _) = decided("helper", &item);
        assert_eq!(item, "fnf(){#[cfg(any(feature=\"x\"))]const_:()=();g();}", "{statement}");
    };
    for statement in [
        "n = 1;",
        "n += 1;",
        "n as u64;",
        "n = charge(1).await?;",
        "[0; 3];",
        "0..3;",
        "(g());",
        "const { g() };",
        "extern crate core;",
        "union U { a: u32 }",
        "extern \"C\" {}",
    ] {
        dropped(statement);
    }
    check(
        "activity",
        "mod m { #[cfg(feature = \"x\")] union U { a: u32 } }",
        "mod m {} #[cfg(any(feature = \"x\"))] const _: () = ();",
    );
    check("helper", "fn f() { |#[cfg(true)] (a, b), #[cfg(false)] &c| a; }", "fn f() { |(a, b)| a; }");
}
