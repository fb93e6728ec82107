//! What must not compile, and with which words; and what must compile.
//!
//! Each `fail/<code or rule>/<case>.rs` breaks one rule and has its rustc output beside it. After a change on purpose:
//! `TRYBUILD=overwrite cargo test -p abide-ui-tests`, and read the diff.

mod pages;

#[test]
fn ui() {
    let tests = trybuild::TestCases::new();
    tests.pass("pass/*.rs");
    tests.compile_fail("fail/*/*.rs");
}
