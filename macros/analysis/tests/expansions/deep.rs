//! Nesting. syn, like rustc, walks code by recursion. Up to a depth beyond all written code, the macros do so too,
//! on the stack that rustc gives them. Beyond it, they report an error before the stack overflows.

use super::cases::on_rustcs_stack;
use super::expand;
use super::mutations::told;

/// The tokens that open and close one level, and the number of brackets in it.
const SHAPES: &[(&str, &str, usize)] = &[
    ("(", ")", 1),
    ("{", "}", 1),
    ("[", "]", 1),
    ("f(", ")", 1),
    ("g(", ").await", 1),
    ("async { ", " }.await", 1),
    ("if x { ", " } else { 2 }", 1),
    ("match 1 { _ => ", " }", 1),
    ("for i in x {", "}", 1),
    ("S { x: ", " }", 1),
    ("x[", "]", 1),
    ("|x| {", "}", 1),
    ("format!(\"\", ", ")", 1),
    ("other! { ", " }", 1),
    ("workflow::select! { x = a() => { ", " } }", 2),
    ("{ fn f() {", "} }", 2),
    ("workflow::allow!(\"why\", { ", " })", 2),
    ("-", "", 0),
    ("&", "", 0),
    ("|| ", "", 0),
    ("return ", "", 0),
    ("", ".f()", 0),
    ("", "?", 0),
    ("", " + 1", 0),
    ("if x { 1 } else ", "", 0),
];

/// The codes that each kind of item gets with this expression in its body.
fn codes(open: &str, close: &str, levels: usize) -> Vec<String> {
    let inner = if open.ends_with("else ") { "{ 2 }" } else { "1" };
    let deep = format!("{}{inner}{}", open.repeat(levels), close.repeat(levels));
    let items = [
        ("workflow", "", format!("impl W {{ #[run] async fn run(&mut self) {{ let x = {deep}; }} }}")),
        ("workflow", "", format!("async fn f() {{ let x = {deep}; }}")),
        ("helper", "", format!("mod m {{ async fn f() {{ let x = {deep}; }} }}")),
        ("deterministic", "\"why\"", format!("fn f() {{ let x = {deep}; }}")),
        ("activity", "", format!("async fn f() {{ let x = {deep}; }}")),
        ("activity", &*format!("retry_if = {deep}"), "async fn f() {}".to_owned()),
    ];
    on_rustcs_stack(|| {
        let mut texts = Vec::new();
        items.iter().for_each(|(which, args, item)| told(expand(which, args, item), &mut texts));
        texts
    })
}

#[test]
fn what_people_write_is_within_the_stack() {
    for (open, close, brackets) in SHAPES {
        // The item itself has three brackets.
        let levels = if *brackets == 0 { 300 } else { 125 / brackets };
        let told = codes(open, close, levels);
        assert!(!told.iter().any(|text| text.contains("AB0307")), "{open}: {told:?}");
    }
}

#[test]
fn deeper_brackets_are_refused_before_they_overflow_it() {
    for (open, close, _) in SHAPES.iter().filter(|(.., brackets)| *brackets > 0) {
        for levels in [129, 1_000, 20_000] {
            let told = codes(open, close, levels);
            assert_eq!(told.len(), 6, "{open}: {told:?}");
            assert!(told.iter().all(|text| text.contains("AB0307")), "{open}: {told:?}");
        }
    }
}
