//! What is wrong with a spec, and where.

use super::*;
use insta::assert_snapshot;

fn error(spec: &Spec) -> String {
    check(spec, at("2026-01-01T00:00:00Z")).expect_err("a bad spec").to_string()
}

#[test]
fn a_bad_pattern_is_marked() {
    let patterns = [
        "61 3 * * *",
        "0 3 * *",
        "",
        "0 3 * * MOON",
        "0 3 32 * *",
        "0 3 * 13 *",
        "0 22-3 * * *",
        "0 3 * * FRI-MON",
        "*/0 * * * *",
        "*/x * * * *",
        "0, 3 * * *",
        "0 3 L-2 * *",
        "0 3 * * L",
        "0 3 * * 5#6",
        "0 3 * * * 2027",
        "0 0 3 * * * 1969",
        "+5 3 * * *",
        "@every 5m",
        "@reboot",
        "@daily *",
        "CRON_TZ=Europe/Berlin 0 3 * * *",
        "0 ü * * *",
        "0 3  *  * 8,1",
    ];
    let errors: Vec<String> = patterns.iter().map(|pattern| error(&cron(pattern, "UTC"))).collect();
    assert_snapshot!(errors.join("\n"));
}

#[test]
fn other_fields_are_checked() {
    let night = || cron("0 3 * * *", "UTC");
    let specs = [
        Spec::default(),
        cron("0 3 * * *", "Berlin"),
        cron("0 3 * * *", "Europe/Belrin"),
        cron("0 3 * * *", "Mars/Olympus Mons"),
        cron("0 3 * * *", ""),
        every(999),
        Spec { every: vec![Interval { every_ms: 5_000, offset_ms: 5_000 }], ..Spec::default() },
        Spec { jitter_ms: u64::MAX, ..night() },
        Spec { start_at_ms: Some(2), end_at_ms: Some(1), ..night() },
        Spec { calendars: vec![Calendar::default().hour(24)], ..Spec::default() },
        Spec { exclude: vec![Calendar::whole_day().day_of_month(0..=3)], ..night() },
        Spec {
            calendars: vec![Calendar::default().hour(CalendarRange { start: 5, end: 3, step: 1 })],
            ..night()
        },
        Spec { crons: vec!["0 3 * * *".to_owned(); 101], ..Spec::default() },
        cron(&"0,".repeat(600), "UTC"),
    ];
    let errors: Vec<String> = specs.iter().map(error).collect();
    assert_snapshot!(errors.join("\n"));
}

#[test]
fn a_spec_that_never_fires_is_refused() {
    let specs = [
        cron("0 0 30 2 *", "UTC"),
        cron("0 0 0 1 1 * 2025", "UTC"),
        Spec { calendars: vec![Calendar::default().month(4).day_of_month(31)], ..Spec::default() },
        Spec { end_at_ms: Some(at("2025-12-31T00:00:00Z")), ..cron("0 3 * * *", "UTC") },
        Spec { exclude: vec![Calendar::whole_day()], ..cron("0 3 * * *", "Europe/Berlin") },
        Spec {
            exclude: vec![Calendar::default().second(0..=59).minute(0..=59).hour(3)],
            ..cron("0 3 * * *", "UTC")
        },
    ];
    let errors: Vec<String> = specs.iter().map(error).collect();
    assert_snapshot!(errors.join("\n"));
}

#[test]
fn zones_are_found_in_any_case() {
    assert_eq!(check(&cron("0 3 * * *", "europe/berlin"), 0), Ok(()));
}

#[test]
fn a_spec_may_have_fields_of_a_later_release() {
    let spec: Spec = serde_json::from_str(r#"{"crons":["0 3 * * *"],"later":1}"#).expect("a spec");
    assert_eq!(spec, cron("0 3 * * *", "UTC"));
    let json = serde_json::to_string(&State::default()).expect("JSON");
    assert_eq!(serde_json::from_str::<State>(&json).expect("a state"), State::default());
    assert_eq!(serde_json::from_str::<State>("{}").expect("a state"), State::default());
    assert_eq!(serde_json::from_str::<Policy>("{}").expect("a policy"), Policy::default());
}
