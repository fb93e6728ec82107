//! `#[cfg(..)]` inside of marked items with unknown values, as in an editor: one item for each outcome.

use super::{expand, show};

/// The outcomes for which an item is emitted, without spaces.
#[track_caller]
fn ways(which: &str, item: &str) -> Vec<String> {
    let shown = show(&expand(which, "no_probes", item)).replace([' ', '\n'], "");
    let ways = shown.split("#[cfg(all(").skip(1);
    ways.map(|way| way.replace("#[__::attributes::", "#[")).collect()
}

#[track_caller]
fn check(which: &str, item: &str, expected: &[&str]) {
    let found = ways(which, item);
    let expected: Vec<String> = expected.iter().map(|way| way.replace(' ', "")).collect();
    assert_eq!(found, expected);
}

#[test]
fn parameters() {
    check(
        "workflow",
        "async fn w(#[cfg(unix)] a: u32, #[cfg(not(unix))] b: u64) -> u32 { 1 }",
        &[
            "not(unix)))]#[workflow(no_probes)]asyncfnw(b:u64)->u32{1}",
            "unix))]#[workflow(no_probes)]asyncfnw(a:u32)->u32{1}",
        ],
    );
}

#[test]
fn every_place() {
    let item = "impl W { #[cfg(x)] #[run] async fn run(&mut self) {} #[cfg(not(x))] #[cfg_attr(not(x), \
        run)] async fn run(&mut self) { #[cfg(x)] a(); let S { #[cfg(x)] b, .. } = S { #[cfg(x)] b: 1, c: \
        [#[cfg(x)] 1, 2] }; match c { #[cfg(x)] 1 => {} _ => f(#[cfg(x)] 1, 2) } let g = |#[cfg(x)] n: u32| \
        {}; } }";
    check(
        "workflow",
        item,
        &[
            "not(x)))]#[workflow(no_probes)]implW{#[run]asyncfnrun(&mutself){letS{..}=S{c:[2]};matchc{_=>f(2),}letg=||{};}}",
            "x))]#[workflow(no_probes)]implW{#[run]asyncfnrun(&mutself){}}",
        ],
    );
    check(
        "helper",
        "fn f<#[cfg(x)] A, B>(b: B) { #[cfg(all(x, y))] one(); #[cfg(any(x, true))] two(); #[cfg(false)] three(); }",
        &[
            "not(x),not(y)))]#[helper(no_probes)]fnf<B>(b:B){two();}",
            "x,not(y)))]#[helper(no_probes)]fnf<A,B>(b:B){two();}",
            "not(x),y))]#[helper(no_probes)]fnf<B>(b:B){two();}",
            "x,y))]#[helper(no_probes)]fnf<A,B>(b:B){one();two();}",
        ],
    );
}

#[test]
fn conditions_of_the_item_itself_are_rustcs() {
    let shown = show(&expand("workflow", "", "#[cfg(unix)] async fn w() {}"));
    assert!(!shown.contains("attributes::workflow"), "{shown}");
    let flags = ["a", "b", "c", "d", "e", "f"];
    let many: String = flags.iter().map(|flag| format!("#[cfg({flag})] x();")).collect();
    let shown = show(&expand("helper", "", &format!("fn w() {{ {many} y(); }}")));
    assert!(shown.contains("y()") && shown.contains("#[cfg(f)]"), "statements keep theirs: {shown}");
    let many: String = flags.iter().map(|flag| format!("#[cfg({flag})] {flag}: u32,")).collect();
    let shown = show(&expand("workflow", "", &format!("async fn w({many} n: u32) {{}}")));
    assert!(shown.contains("fn w(n: u32)"), "an editor gets one way: {shown}");
}
