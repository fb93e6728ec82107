//! The house rules that a program can check (files, functions, words, dead files, docs that name what is not).
//!
//! Each rule is a function from a [`Tree`] to findings, one sentence each, and has a test of its own that shows it can
//! fail. A finding is fixed, not listed: the only list of exceptions is [`rust::LONGER_FILES`], with reasons.

#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/cited.rs"]
mod cited;
#[path = "tidy/docs.rs"]
mod docs;
#[path = "tidy/modules.rs"]
mod modules;
#[path = "tidy/pictures.rs"]
mod pictures;
#[path = "tidy/prose.rs"]
mod prose;
#[path = "tidy/quoted.rs"]
mod quoted;
#[path = "tidy/rust.rs"]
mod rust;
#[path = "tidy/tree.rs"]
mod tree;

use tree::Tree;

#[track_caller]
fn none(findings: Vec<String>) {
    assert!(findings.is_empty(), "{} findings:\n  {}\n", findings.len(), findings.join("\n  "));
}

#[test]
fn files_are_short_and_say_what_they_are() {
    none(rust::files(&Tree::of_this_repository()));
}

#[test]
fn functions_fit_a_screen() {
    none(rust::functions(&Tree::of_this_repository()));
}

#[test]
fn forbidden_words_stay_out() {
    none(rust::words(&Tree::of_this_repository()));
}

#[test]
fn lines_are_not_wide() {
    none(prose::width(&Tree::of_this_repository()));
}

#[test]
fn retired_words_are_not_used() {
    none(prose::vocabulary(&Tree::of_this_repository()));
}

#[test]
fn every_source_file_is_compiled_by_something() {
    none(modules::dead_files(&Tree::of_this_repository()));
}

#[test]
fn every_error_code_has_a_page_and_every_page_a_code() {
    none(docs::error_codes(&Tree::of_this_repository()));
}

#[test]
fn codes_are_written_in_their_tables_only() {
    none(docs::written_codes(&Tree::of_this_repository()));
}

#[test]
fn what_is_cited_exists() {
    none(cited::citations(&Tree::of_this_repository()));
}

#[test]
fn the_pictures_show_what_there_is() {
    none(pictures::findings(&Tree::of_this_repository()));
}

#[test]
fn the_readme_keeps_its_promises() {
    none(docs::readme(&Tree::of_this_repository()));
}

#[test]
fn what_a_page_quotes_is_compiled() {
    none(quoted::findings(&Tree::of_this_repository()));
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    none(docs::machine_paths(&Tree::of_this_repository()));
}

#[test]
fn modules_have_no_circles_but_those_that_are_named() {
    none(circles::findings(&Tree::of_this_repository()));
}
