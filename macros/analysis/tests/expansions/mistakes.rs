//! Mistakes: all of them are told at once, and the names that other code needs are still there.

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
        &["AB0303", "AB0303", "AB0303"],
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
