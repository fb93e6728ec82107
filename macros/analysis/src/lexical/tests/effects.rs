//! Arguments that may not be evaluated, depending on the build and on subscribers (AB0120), and output that a
//! replay repeats (AB0109).

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

#[test]
fn places_that_are_not_the_arguments_own() {
    let check = |args: &str, expected: &[&str]| {
        for told in ["debug_assert!(", "tracing::info!(\"{}\", "] {
            let body = format!("let (mut a, mut b, mut n) = (1, 2, 3); {told}{args});");
            let code = format!(
                "struct W {{ list: Vec<P>, tries: M, n: u32 }} struct P {{ n: u32 }}\n\
                 #[workflow] impl W {{ async fn run(&mut self, xs: Vec<u32>) {{ {body} }} }}"
            );
            super::check(&code, expected);
        }
    };
    check("{ *self.tries.entry(1).or_default() += 1; true }", EFFECT);
    check("{ self.list.last_mut().unwrap().n = 1; true }", EFFECT);
    check("{ (a, b) = (b, a); true }", EFFECT);
    check("{ [a, _] = [b, a]; true }", EFFECT);
    check("{ P { n: self.n } = made(); true }", EFFECT);
    check("{ (P { n: a }, ..) = made(); true }", EFFECT);
    check("{ Some((_, a)) = made(); true }", EFFECT);
    check("{ slot(&self.list).n = 1; true }", EFFECT);
    check("{ (*slot()).n = 1; true }", EFFECT);
    check("self.list.iter_mut().all(|p| { p.n += 1; true })", EFFECT);
    check("self.list.iter_mut().all(|p| { *p = P { n: 1 }; true })", EFFECT);
    check("self.list.iter_mut().all(|P { n }| { *n = 1; true })", EFFECT);
    check("{ for p in self.list.iter_mut() { p.n = 1 } true }", EFFECT);
    check("{ if let Some(p) = self.list.last_mut() { p.n = 1 } true }", EFFECT);
    check("match self.list.last_mut() { Some(p) => { p.n = 1; true } None => true }", EFFECT);
    check("{ let p = self.list.last_mut().unwrap(); p.n = 1; true }", EFFECT);
    check("{ let Some(p) = self.list.last_mut() else { panic!() }; *p = made(); true }", EFFECT);
    check("{ let last = self.list.len(); self.list[last].n = 1; true }", EFFECT);
    // The arguments own these.
    check("{ let (mut c, mut d) = (a, b); (c, d) = (d, c); c > d }", &[]);
    check("{ let mut p = P { n: 1 }; p.n = 2; P { n: 1 }.n = 2; p.n > 1 }", &[]);
    check("{ let mut m = M::new(); for x in &xs { *m.entry(x).or_insert(0) += 1; } m.is_empty() }", &[]);
    check("xs.iter().fold(M::new(), |mut m, x| { *m.entry(x).or_insert(0) += 1; m }).is_empty()", &[]);
    check(
        "{ let mut v = self.list.clone(); v[0].n = 1; for p in v.iter_mut() { p.n = 2 } v.is_empty() }",
        &[],
    );
    check(
        "{ let mut v = vec![1]; if let Some(x) = v.last_mut() { *x = 1 } sort(&mut v); v.is_empty() }",
        &[],
    );
    check("[1, 2].iter_mut().all(|x| { *x += 1; true })", &[]);
    check("{ let mut c = Box::new(a); *c = 2; let c = &mut *c; *c = 3; true }", &[]);
    check("xs.iter().copied().map(|mut x| { x += 1; x }).count() > 1", &[]);
    check("fill(&mut Vec::new(), &mut [0; 4]) > 1", &[]);
}

#[test]
fn what_is_bound_in_a_scope_is_bound_there_alone() {
    let check = |args: &str, expected: &[&str]| {
        check_body("", &format!("let mut n = 1; tracing::info!({args});"), expected);
    };
    check("\"{:?} {}\", xs.iter().map(|n| n + 1).max(), { n += 1; n }", EFFECT);
    check("\"{} {}\", { let n = 2; n }, { n += 1; n }", EFFECT);
    check("\"{} {}\", match x { n => n }, { n += 1; n }", EFFECT);
    check("\"{} {}\", if let Some(n) = x { n } else { 1 }, { n += 1; n }", EFFECT);
    check("\"{}\", { for n in xs {} n += 1; n }", EFFECT);
    check("\"{}\", { let n = { n += 1; n }; n }", EFFECT);
    check("\"{}\", matches!(x, Some(n) if n > 1)", &[]);
    check("\"{}\", { let mut n = 1; { n += 1; } n }", &[]);
}

#[test]
fn ways_out_and_their_labels() {
    let check = |args: &str, expected: &[&str]| {
        let body = format!("let mut next = || 1; 'out: loop {{ debug_assert!({args}); }}");
        check_body("", &body, expected);
    };
    check("loop { break next() > 0 }", EFFECT);
    check("xs.iter().all(|x| return next() > *x)", EFFECT);
    check("loop { break 'out }", EFFECT);
    check("{ for x in xs { continue 'out } true }", EFFECT);
    check("{ if n > 1 { break } true }", EFFECT);
    check("'a: { if n == 0 { break 'a next() > 1 } n > 1 }", EFFECT);
    check("{ for x in { if n > 1 { break } xs } {} true }", EFFECT);
    check("'a: { if n == 0 { break 'a true } n > 1 }", &[]);
    check("'a: loop { loop { break 'a true } }", &[]);
    check("{ 'a: for x in xs { while true { continue 'a } } true }", &[]);
}

#[test]
fn functions_that_act_wherever_they_are_named() {
    let check = |before: &str, args: &str, expected: &[&str]| {
        let body = format!("let given: Option<Uuid> = None; {before} tracing::info!({args});");
        check_body("use abide::workflow; use abide::workflow::{random, cancelled};", &body, expected);
    };
    check("", "key = %given.unwrap_or_else(workflow::uuid)", EFFECT);
    check("", "\"{}\", xs.map(random::<u32>)", EFFECT);
    check("", "\"{}\", race(cancelled())", EFFECT);
    check("let draw = workflow::uuid;", "key = %draw()", EFFECT);
    check("let draw = workflow::uuid; let again = &draw;", "key = %given.unwrap_or_else(again)", EFFECT);
    check("let draw = || workflow::uuid();", "key = %draw()", EFFECT);
    check("let draw: Box<dyn Fn() -> u32> = Box::new(|| random());", "key = %draw()", EFFECT);
    check("let mut next = || { n += 1; n };", "\"{:?}\", xs.map(next)", EFFECT);
    check("let uuid = workflow::uuid();", "%uuid, key = %uuid", &[]);
    check("let random = random();", "\"{}\", random", &[]);
    check("let double = |n: u32| { let mut n = n; n *= 2; n };", "\"{}\", double(1)", &[]);
    check("", "\"{:?}\", xs.map(|random| random + 1)", &[]);
    check("let id = made_by(workflow::uuid);", "%id", &[]);
}

#[test]
fn closures_behind_a_reference() {
    let check = |before: &str, expected: &[&str]| {
        check_body("", &format!("let mut next = || {{ n += 1; n }}; {before}"), expected);
    };
    check("let f = &mut next; tracing::info!(\"{}\", f());", EFFECT);
    check("let (f, m) = (&mut next, 1); tracing::info!(\"{}\", f());", EFFECT);
    check("for f in &mut fs { debug_assert!(f() > 1); }", EFFECT);
    check("for f in fs.iter_mut() { debug_assert!(f() > 1); }", EFFECT);
    check("if let Some(f) = fs.last_mut() { debug_assert!(f() > 1); }", EFFECT);
    check("match &mut fs[0] { f => debug_assert!(f() > 1) }", EFFECT);
    check("fs.iter_mut().for_each(|f| debug_assert!(f() > 1));", EFFECT);
    check("for f in &fs { debug_assert!(f() > 1); }", &[]);
    check("fs.iter().for_each(|f| debug_assert!(f() > 1));", &[]);
}

const MACROS: &str = "use abide::workflow; use abide::prelude::*;
    macro_rules! tell { ($($t:tt)*) => { tracing::info!($($t)*) } }
    macro_rules! deeper { ($text:literal $(, $value:expr)* $(,)?) => {{ let it = 1; tell!($text, $($value),*); it }} }
    macro_rules! timed { ($name:literal, $e:expr) => {{ tracing::info!(\"begins {}\", $name); let r = $e; \
    tell!(\"{r}\"); r }} }
    macro_rules! either { (@quiet $e:expr) => { $e }; ($level:ident: $e:expr) => { tracing::$level!(\"{}\", $e) } }
    macro_rules! each { ($($name:ident = $value:expr);* $(;)?) => { $(tracing::info!(name = \
    stringify!($name), value = %$value);)* } }
    macro_rules! one_by_one { () => {}; ($head:expr $(, $tail:expr)*) => { tell!(\"{}\", $head); \
    one_by_one!($($tail),*) } }
    macro_rules! sure { ($($t:tt)*) => { debug_assert!($($t)*) } }
    macro_rules! bump { ($n:ident) => {{ $n += 1; $n }} }
    macro_rules! bumped { () => { bump!(n) } }
    macro_rules! own { ($e:expr) => {{ let mut own = $e; own += 1; own }} }
    macro_rules! nothing { ($($t:tt)*) => { 1 } }
    macro_rules! forever { ($($t:tt)*) => { forever!($($t)* $($t)*) } }";

#[test]
fn macros_of_the_crate_that_hand_their_arguments_on() {
    let check = |body: &str, expected: &[&str]| {
        check_body(MACROS, &format!("let mut next = || 1; let mut n = 1; {body}"), expected);
    };
    check("tell!(\"{} left\", stock(id).await?);", EFFECT);
    check("tell!(key = %workflow::uuid());", EFFECT);
    check("tell!(\"{}\", next());", EFFECT);
    check("deeper!(\"{}\", next());", EFFECT);
    check("deeper!(\"{} {}\", n, { n += 1; n },);", EFFECT);
    check("each!(a = n; b = next());", EFFECT);
    check("either!(info: next());", EFFECT);
    check("one_by_one!(n, n + 1, next());", EFFECT);
    check("sure!(next() > 1);", EFFECT);
    check("timed!(\"charge\", next());", &[]);
    check("either!(@quiet next());", &[]);
    check("nothing!(next());", &[]);
    check("tell!(\"{}\", n + 1); each!(a = n); deeper!(\"x\"); own!(n);", &[]);
    check("forever!(next());", &[]);
}

#[test]
fn macros_of_the_crate_in_arguments() {
    let check = |body: &str, expected: &[&str]| {
        check_body(MACROS, &format!("let mut next = || 1; let mut n = 1; {body}"), expected);
    };
    check("tracing::info!(\"{}\", bump!(n));", EFFECT);
    check("tracing::info!(\"{}\", bumped!());", EFFECT);
    check("debug_assert!(bump!(n) > 1);", EFFECT);
    check("tell!(\"{}\", bump!(n));", EFFECT);
    check("debug_assert!(own!(next()) > 1);", EFFECT);
    check("tracing::info!(\"{}\", own!(n));", &[]);
    check("tracing::info!(\"{}\", nothing!(next()));", &[]);
    check("tracing::info!(\"{}\", forever!(n));", &[]);
    // The macro itself is wrong at every call.
    check_body(
        "macro_rules! told { ($x:expr) => { tracing::info!(\"{} {}\", $x, workflow::uuid()) } }",
        "told!(1);",
        &["AB0116"],
    );
}

#[test]
fn macros_that_an_extern_crate_brings() {
    let next = "let mut next = || 1; info!(\"{}\", next());";
    check_body("#[macro_use] extern crate tracing;", next, EFFECT);
    check_body("#[macro_use(info, warn)] extern crate tracing;", next, EFFECT);
    check_body("#[macro_use(warn)] extern crate tracing;", next, &[]);
    check_body("#[macro_use] extern crate tracing as t;", next, EFFECT);
    check_body("#[macro_use] extern crate log;", "info!(\"x\");", &["AB0109"]);
    check_body("#[macro_use] extern crate metrics;", "counter!(\"x\").increment(1);", &["AB0109"]);
    check_body("#[cfg(feature = \"x\")] #[macro_use] extern crate log;", "info!(\"x\");", &[]);
    check_body("extern crate log;", "info!(\"x\");", &[]);
    check_body("#[macro_use] extern crate log; macro_rules! info { () => {} }", "info!();", &[]);
    super::check(
        "#[macro_use] extern crate log; mod flows {\n #[workflow]\n async fn w() { warn!(\"x\"); }\n}",
        &["AB0109"],
    );
}

#[test]
fn fields_of_an_instrumented_function() {
    let check = |attribute: &str, expected: &[&str]| {
        let uses = "use abide::workflow; use tracing::instrument;";
        let handler =
            format!("{uses} #[workflow] impl W {{ {attribute} fn note(&self, n: u32) {{}} }} struct W;");
        super::check(&handler, expected);
        let followed: Vec<&str> = expected.iter().map(|_| "AB0116").collect();
        check_body(&format!("{uses} {attribute} fn note(n: u32) {{}}"), "note(1);", &followed);
        check_body(uses, &format!("{attribute} fn note(n: u32) {{}} note(1);"), expected);
    };
    check("#[tracing::instrument(level = \"debug\", fields(id = %workflow::uuid()))]", EFFECT);
    check("#[instrument(skip_all, fields(a = 1, b = ?workflow::random::<u32>()))]", EFFECT);
    check("#[instrument(parent = made(workflow::uuid()))]", EFFECT);
    check("#[instrument(fields(at = ?std::time::Instant::now()))]", &["AB0101"]);
    check(
        "#[instrument(name = \"note\", target = \"x\", skip(n), err, fields(n, double = n * 2, other))]",
        &[],
    );
    check("#[mine::instrument(fields(id = %workflow::uuid()))]", &[]);
    let all = "use abide::workflow; use tracing::*;";
    check_body(
        &format!("{all} #[instrument(fields(id = workflow::uuid()))] fn f() {{}}"),
        "f();",
        &["AB0116"],
    );
}

#[test]
fn what_a_span_says_of_who_listens() {
    let check = |body: &str, expected: &[&str]| {
        check_body("use tracing::{Span, info_span};", body, expected);
    };
    check("let s = tracing::debug_span!(\"x\"); if !s.is_disabled() { dump(1).await?; }", EFFECT);
    check("let s = info_span!(\"x\", n).entered(); s.is_none();", EFFECT);
    check("tracing::Span::current().id();", EFFECT);
    check("let s = Span::none(); s.clone().or_current().id();", EFFECT);
    check("let s = tracing::span!(tracing::Level::INFO, \"x\"); s.with_subscriber(|x| x);", EFFECT);
    check("let f = |s: &Span| s.metadata().is_some();", EFFECT);
    check("let f = |s: tracing::span::Span| s.has_field(\"x\");", EFFECT);
    check("let s = info_span!(\"x\"); s.record(\"n\", 1).id();", EFFECT);
    check(
        "let s = info_span!(\"x\"); s.in_scope(|| 1); let e = s.enter(); s.record(\"n\", 1); s.clone().exit();",
        &[],
    );
    check("struct S; impl S { fn id(&self) {} } let s = S; s.id();", &[]);
}
