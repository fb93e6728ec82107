//! Mistakes: all are reported at once, and the names that other code needs still exist.

use super::{expand, show};

#[track_caller]
fn check(which: &str, args: &str, item: &str, codes: &[&str], left: &[&str]) {
    let shown = show(&expand(which, args, item));
    let told: Vec<&str> = shown.match_indices("note: AB").map(|(at, _)| &shown[at + 6..at + 12]).collect();
    assert_eq!(told, codes, "{shown}");
    for name in left {
        assert!(shown.contains(name), "`{name}` is missing from\n{shown}");
    }
}

#[test]
fn an_activity_keeps_its_call() {
    check(
        "activity",
        "start_to_clsoe = \"30s\", retry(max = 1), cancellation = 3",
        "async fn charge(n: u32) -> u32 { n }",
        &["AB0302", "AB0302", "AB0304"],
        &["fn charge(n: u32)", "enum charge", "async fn body"],
    );
    check(
        "activity",
        "",
        "pub fn charge<T>(n: &T) -> u32 { n }",
        &["AB0303", "AB0303"],
        &["pub fn charge<T>(n: &T)", "pub enum charge", "ActivityDef for charge"],
    );
    check("activity", "name = \"\"", "async fn charge() {}", &["AB0304"], &["ActivityDef for charge"]);
}

#[test]
fn a_transactional_activity_keeps_its_call() {
    let check = |item: &str, left: &str| check("activity", "transactional", item, &["AB0303"], &[left]);
    check("async fn debit() {}", "fn debit()");
    check("async fn debit(cents: i64) {}", "fn debit(cents: i64)");
    check("async fn debit(tx: &PgConnection, cents: i64) {}", "fn debit(cents: i64)");
    check("async fn debit(tx: PgConnection, cents: i64) {}", "fn debit(cents: i64)");
    check("async fn debit(tx: &'static mut PgConnection, cents: i64) {}", "fn debit(cents: i64)");
    check("impl Bank { async fn debit(&self, cents: i64) {} }", "debit<fn(Bank, i64)");
}

#[test]
fn a_connection_needs_the_word() {
    check("activity", "", "async fn debit(tx: &mut PgConnection) {}", &["AB0303"], &["fn debit("]);
    let both = "transactional, task_queue = \"gpu\"";
    check("activity", both, "async fn debit(tx: &mut PgConnection) {}", &["AB0304"], &["fn debit()"]);
    check("activity", "transactional = true", "async fn debit(n: u32) {}", &["AB0304"], &["fn debit("]);
}

#[test]
fn an_activity_is_still_there_where_its_limits_are_wrong() {
    for (args, codes) in [
        ("most = 5", &["AB0622"][..]),
        ("most = 5, rate = \"1/s\"", &["AB0622", "AB0622"]),
        ("task_queue = \"q\", most = 0", &["AB0304"]),
        ("task_queue = \"q\", rate = \"often\"", &["AB0304"]),
        ("task_queue = \"q\", burst = 2", &["AB0304"]),
        ("task_queue = \"q\", priority = \"urgent\"", &["AB0304"]),
        ("task_queue = \"q\", most", &["AB0304"]),
        ("task_queue = \"q\", rate_limit = \"1/s\"", &["AB0302"]),
    ] {
        check("activity", args, "async fn charge(n: u32) {}", codes, &["fn charge(n: u32)"]);
    }
}

#[test]
fn a_workflow_keeps_its_start_where_a_limit_is_wrong() {
    for (args, code) in [
        ("run_timeout = \"0s\"", "AB0304"),
        ("execution_timeout = \"soon\"", "AB0304"),
        ("run_timeout", "AB0304"),
        ("task_queue = \"\"", "AB0304"),
        ("timeout = \"1d\"", "AB0302"),
        ("retry = 3", "AB0304"),
        ("retry(initial_interval = \"0s\")", "AB0311"),
        ("retry(attempts = 3)", "AB0302"),
        ("max_attempts = 3", "AB0302"),
        ("retry_if", "AB0304"),
    ] {
        let item = "async fn report(day: u32) {}";
        check("workflow", args, item, &[code], &["fn report(day: u32)", "WorkflowDef for report"]);
    }
}

#[test]
fn a_workflow_keeps_its_init() {
    let run = "#[run] async fn run(&mut self, n: u32) {}";
    let check = |init: &str, code: &str, left: &str| {
        let left = [left, "fn run(n: u32)", "const FROM_INPUT: bool = true", "Messages<R> for Order"];
        check("workflow", "", &format!("impl Order {{ {init} {run} }}"), &[code], &left);
    };
    check("#[init] async fn new(n: u32) -> Self { Self }", "AB0317", "fn new(");
    check("#[init] fn new(self, n: u32) -> Self { self }", "AB0317", "fn new(self, n: u32)");
    check("#[init] fn new<T>(n: T) -> Self { Self }", "AB0317", "fn new<T>(n: T)");
    check("#[init] fn new(n: u32) -> Result<Self, u32> { Ok(Self) }", "AB0317", "-> Result<Self, u32>");
    check("#[init] fn a(n: u32) -> Self { Self } #[init] fn b(n: u32) -> Self { Self }", "AB0317", "fn b(");
    check("#[init] fn new() -> Self { Self }", "AB0318", "fn new()");
    check("#[init] fn new(n: u32) -> Self { workflow::now(); Self }", "AB0319", "fn new(n: u32)");
    check("#[inti] fn new(n: u32) -> Self { Self }", "AB0302", "fn new(n: u32)");
}

/// The name of an attribute of rustc that is similar to it.
#[test]
fn inline_is_no_init() {
    check(
        "workflow",
        "",
        "impl Order { #[run] async fn run(&self) {} #[inline] fn n(&self) {} }",
        &[],
        &["#[inline]"],
    );
}

#[test]
fn a_workflow_keeps_its_methods() {
    check(
        "workflow",
        "",
        "impl Order { #[querry] fn total(&self) -> u32 { 1 } fn other(&self) {} }",
        &["AB0302", "AB0303"],
        &["fn total(&self)", "fn other(&self)"],
    );
    check(
        "workflow",
        "",
        "impl Order { #[run] async fn run(&mut self) -> u32 { match self.x { a if b().await => 1, _ => 2 } } }",
        &["AB0306"],
        &["fn run()", "WorkflowDef for Order", "never::<u32>"],
    );
    check(
        "workflow",
        "tiemout = 3",
        "async fn report() {}",
        &["AB0302"],
        &["fn report()", "WorkflowDef for report"],
    );
}

#[test]
fn wrong_places_keep_the_item() {
    check("activity", "", "struct Payments;", &["AB0301"], &["struct Payments;"]);
    check(
        "workflow",
        "",
        "impl Clone for Order { fn clone(&self) -> Self { todo() } }",
        &["AB0301"],
        &["impl Clone for Order"],
    );
    check("helper", "", "mod away;", &["AB0301"], &["mod away;"]);
    check("signal", "", "fn approve() {}", &["AB0301"], &["fn approve() {}"]);
    check("deterministic", "", "fn table(n: u32) -> u32 { n }", &["AB0304"], &["fn table(n: u32)"]);
}

#[test]
fn hidden_awaits() {
    check("workflow", "", "async fn f() { row!{ a => b().await }; }", &["AB0118"], &["fn f()"]);
    check("workflow", "", "async fn f() { tokio::select! { _ = a() => {} } }", &["AB0114"], &["fn f()"]);
    check("workflow", "", "async fn f() { let c = async |x: u32| x; }", &["AB0119"], &["fn f()"]);
    check(
        "helper",
        "",
        "async fn f(ready: bool) { workflow::until!(ready).await; }",
        &["AB0301"],
        &["fn f(ready: bool)"],
    );
}

/// `#![allow(..)]` in a body is valid Rust. The expansion must not print it at a place where it is an error.
#[test]
fn inner_attributes_come_out_as_outer_ones() {
    let inner = "#![allow(dead_code)]";
    let run = "#[run] async fn run(&mut self)";
    for (which, item) in [
        ("activity", format!("async fn f() {{ {inner} }}")),
        ("activity", format!("impl A {{ {inner} async fn f(&self) {{ {inner} }} fn g() {{ {inner} }} }}")),
        ("workflow", format!("async fn f() {{ {inner} }}")),
        ("workflow", format!("impl W {{ {inner} {run} {{ {inner} }} async fn h(&self) {{ {inner} }} }}")),
        ("helper", format!("async fn f(&self) {{ {inner} }}")),
        ("helper", format!("fn f() {{ {inner} }}")),
        ("helper", format!("trait T {{ {inner} async fn f(&self) {{ {inner} }} }}")),
        (
            "helper",
            format!("mod m {{ {inner} async fn f() {{ {inner} }} mod n {{ fn f() {{ {inner} }} }} }}"),
        ),
    ] {
        check(which, "", &item, &[], &["allow(dead_code)"]);
    }
}

#[test]
fn a_path_to_abide_is_a_plain_one() {
    for path in ["a::<T>::b", "<A as B>::c", "\"a::<T>\"", "\"a b\"", "\"\"", "1"] {
        check("activity", &format!("crate = {path}"), "async fn f() {}", &["AB0304"], &["fn f()"]);
    }
    check("activity", "crate = ::a::b", "async fn f() {}", &[], &["::a::b::__private::ActivityDef"]);
    check("activity", "crate = \"crate::b\"", "async fn f() {}", &[], &["crate::b::__private::ActivityDef"]);
}

/// A query's call is checked in a `match`, where a struct's braces would be read as the arms.
#[test]
fn a_query_may_call_a_method_of_a_struct_in_braces() {
    let item = "impl W { #[run] async fn run(&mut self) {} \
        #[query] fn q(&self) -> u32 { S { x: 1 }.a(); let _ = S {}.b(); S {} (1); 1 } }";
    check("workflow", "", item, &[], &["(S { x: 1 }.a(),)", "(S {}.b(),)", "match (S {})(1) {"]);
}
