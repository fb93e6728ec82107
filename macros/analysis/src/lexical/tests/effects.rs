//! Arguments that a build or a process may leave out, and who listens (AB0120); what replays do not mute (AB0109).

use super::check_body;

const EFFECT: &[&str] = &["AB0120"];

#[test]
fn effects_in_arguments() {
    for told in ["tracing::info!", "tracing::debug_span!", "debug_assert!", "std::debug_assert!"] {
        let check = |args: &str, expected: &[&str]| {
            check_body(
                "use abide::workflow;",
                &format!("let mut n = 1; let mut next = || 1; {told}({args});"),
                expected,
            );
        };
        check("stock(1).await > 1, \"{}\", n", EFFECT);
        check("workflow::uuid() == id", EFFECT);
        check("workflow::random::<u32>() > 1", EFFECT);
        check("{ n += 1; n > 1 }", EFFECT);
        check("{ n = 2; true }", EFFECT);
        check("next() > 1", EFFECT);
        check("[1].iter().all(|x| { n += x; true })", EFFECT);
        check("bump(&mut n)", EFFECT);
        check("parse(n)? > 1", EFFECT);
        check("{ if n > 1 { return } true }", EFFECT);
        check("vec![next()].is_empty()", EFFECT);
        check("{ let mut own = 1; own += 1; own > n }", &[]);
        check("[1].iter().map(|x| parse(x)?.ok()).count() > 1", &[]);
        check("n > 1, \"{n} {}\", workflow::now()", &[]);
        check("is_async(async { stock(1).await })", &[]);
    }
}

#[test]
fn fields_of_an_event() {
    let check = |args: &str, expected: &[&str]| {
        check_body(
            "use tracing::info; use abide::workflow;",
            &format!("let mut n = 1; info!({args});"),
            expected,
        );
    };
    check("id = %workflow::uuid()", EFFECT);
    check("target: \"x\", id = ?workflow::uuid(), \"text {}\", 1", EFFECT);
    check("{ a = 1, id = %workflow::uuid() }, \"text\"", EFFECT);
    check("a.b = stock(1).await, n, ?n, %n", EFFECT);
    check("parent: &span, %stock(1).await, \"text\"", EFFECT);
    check("\"{} {left}\", 1, left = stock(1).await", EFFECT);
    check("a = 1, b = n == 2, c = %n, ?n, \"text {}\", n + 1", &[]);
    check("{ total = n * 2 }, \"text\"", &[]);
    check("{ total = n * 2, other = { n = 2; n } }, \"text\"", EFFECT);
    check("target: \"x\", parent: None, n, total = n * 2", &[]);
}

#[test]
fn macros_however_imported() {
    check_body("use tracing::*;", "let mut next = || 1; info!(\"{}\", next());", EFFECT);
    check_body("use tracing::info as tell;", "let mut next = || 1; tell!(\"{}\", next());", EFFECT);
    check_body("use tracing as t;", "let mut next = || 1; t::event!(t::Level::INFO, n = next());", EFFECT);
    check_body("macro_rules! info { ($($any:tt)*) => {} }", "let mut next = || 1; info!(next());", &[]);
    check_body("", "let mut next = || 1; format!(\"{}\", next());", &[]);
    check_body(
        "fn tell(f: &mut dyn FnMut() -> u32) { tracing::info!(\"{}\", f()); }",
        "tell(&mut || 1);",
        &["AB0116"],
    );
}

#[test]
fn who_listens() {
    check_body("", "if tracing::enabled!(tracing::Level::INFO) { stock(1).await; }", EFFECT);
    check_body("use tracing::event_enabled;", "let on = event_enabled!(tracing::Level::INFO);", EFFECT);
    check_body("", "while tracing::span_enabled!(tracing::Level::INFO) {}", EFFECT);
    check_body("use tracing::level_filters::LevelFilter;", "LevelFilter::current();", EFFECT);
    check_body("", "let s = tracing::info_span!(\"x\"); let n = s.in_scope(|| 1);", &[]);
    check_body("", "tracing::subscriber::with_default(mine(), || 1);", EFFECT);
    check_body("", "if log::log_enabled!(log::Level::Info) {}", EFFECT);
}

#[test]
fn what_replays_do_not_mute() {
    check_body("", "log::info!(\"x\");", &["AB0109"]);
    check_body("use log::{info, warn};", "warn!(\"{}\", n);", &["AB0109"]);
    check_body("", "metrics::counter!(\"orders\").increment(1);", &["AB0109"]);
    check_body("use metrics::*;", "histogram!(\"seconds\").record(1.0);", &["AB0109"]);
}
