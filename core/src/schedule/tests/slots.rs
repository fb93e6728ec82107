//! Slots of patterns, intervals and calendars: tables that were written by hand.

use super::*;

fn check_table(pattern: &str, zone: &str, from: &str, expected: &[&str]) {
    assert_eq!(after(&cron(pattern, zone), from, expected.len()), expected, "{pattern} in {zone}");
}

#[test]
fn patterns_name_times() {
    for (pattern, expected) in [
        ("*/15 * * * *", ["2026-01-01T00:15:00Z", "2026-01-01T00:30:00Z"]),
        ("5/20 * * * *", ["2026-01-01T00:05:00Z", "2026-01-01T00:25:00Z"]),
        ("30 9-17/4 * * *", ["2026-01-01T09:30:00Z", "2026-01-01T13:30:00Z"]),
        ("0 3 * * MON-FRI", ["2026-01-01T03:00:00Z", "2026-01-02T03:00:00Z"]),
        ("0 0 * * sat,0", ["2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z"]),
        ("0 0 * * 7", ["2026-01-04T00:00:00Z", "2026-01-11T00:00:00Z"]),
        ("0 0 * * FRI-SUN", ["2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"]),
        ("0 0 1 feb,JUN *", ["2026-02-01T00:00:00Z", "2026-06-01T00:00:00Z"]),
        ("*/20 0 0 * * *", ["2026-01-01T00:00:20Z", "2026-01-01T00:00:40Z"]),
        ("0 0 12 * * * 2027-2028", ["2027-01-01T12:00:00Z", "2027-01-02T12:00:00Z"]),
        ("0 0 0 1 1 ? 2027/2", ["2027-01-01T00:00:00Z", "2029-01-01T00:00:00Z"]),
        ("@hourly", ["2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z"]),
        ("@daily", ["2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"]),
        ("@weekly", ["2026-01-04T00:00:00Z", "2026-01-11T00:00:00Z"]),
        ("@monthly", ["2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"]),
        ("@yearly", ["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"]),
        // Both fields of days are restricted: one of them is enough (crontab(5)). 2026-02-13 is a Friday.
        ("0 0 13 * FRI", ["2026-01-02T00:00:00Z", "2026-01-09T00:00:00Z"]),
    ] {
        check_table(pattern, "UTC", "2026-01-01T00:00:00Z", &expected);
    }
    check_table(
        "0 0 13 * FRI",
        "UTC",
        "2026-01-10T00:00:00Z",
        &["2026-01-13T00:00:00Z", "2026-01-16T00:00:00Z"],
    );
}

#[test]
fn days_that_months_do_not_all_have() {
    for (pattern, expected) in [
        // Leap days: 2100 has none.
        ("0 0 29 2 *", ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z", "2036-02-29T00:00:00Z"]),
        ("0 0 31 * *", ["2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z", "2026-05-31T00:00:00Z"]),
        ("0 0 L * *", ["2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z"]),
        ("0 0 L 2 *", ["2026-02-28T00:00:00Z", "2027-02-28T00:00:00Z", "2028-02-29T00:00:00Z"]),
        // 2026-01-31 is a Saturday, 2026-02-28 too, 2026-03-31 a Tuesday.
        ("0 0 LW * *", ["2026-01-30T00:00:00Z", "2026-02-27T00:00:00Z", "2026-03-31T00:00:00Z"]),
        // 2026-01-15 is a Thursday; 2026-02-15 and 2026-03-15 are Sundays.
        ("0 0 15W * *", ["2026-01-15T00:00:00Z", "2026-02-16T00:00:00Z", "2026-03-16T00:00:00Z"]),
        // 2026-02-01 and 2026-03-01 are Sundays. The weekday stays in the month: 2026-08-01 is a Saturday.
        ("0 0 1W 2,3,8 *", ["2026-02-02T00:00:00Z", "2026-03-02T00:00:00Z", "2026-08-03T00:00:00Z"]),
        // 2026-05-31 is a Sunday: the nearest weekday of the month is before it.
        ("0 0 31W 5,7,8 *", ["2026-05-29T00:00:00Z", "2026-07-31T00:00:00Z", "2026-08-31T00:00:00Z"]),
        ("0 0 * * 1#2", ["2026-01-12T00:00:00Z", "2026-02-09T00:00:00Z", "2026-03-09T00:00:00Z"]),
        ("0 0 * * FRI#5", ["2026-01-30T00:00:00Z", "2026-05-29T00:00:00Z", "2026-07-31T00:00:00Z"]),
        ("0 0 * * 5L", ["2026-01-30T00:00:00Z", "2026-02-27T00:00:00Z", "2026-03-27T00:00:00Z"]),
        ("0 0 * * SUN#L", ["2026-01-25T00:00:00Z", "2026-02-22T00:00:00Z", "2026-03-29T00:00:00Z"]),
    ] {
        check_table(pattern, "UTC", "2026-01-01T00:00:00Z", &expected);
    }
    check_table("0 0 29 2 *", "UTC", "2096-02-29T00:00:00Z", &["2104-02-29T00:00:00Z"]);
    // A pattern that comes every 28 years.
    let rare = Spec {
        calendars: vec![Calendar::default().month(2).day_of_month(29).day_of_week(1)],
        ..Spec::default()
    };
    assert_eq!(after(&rare, "2026-01-01T00:00:00Z", 1), ["2044-02-29T00:00:00Z"]);
}

/// Rule 70: slots are instants. The hour that comes twice has two, the one that is left out has none.
#[test]
fn clocks_go_forward_and_back() {
    // Berlin: 2026-03-29 02:00 (+1) becomes 03:00 (+2); 2026-10-25 03:00 (+2) becomes 02:00 (+1).
    let zone = "Europe/Berlin";
    let spring = "2026-03-28T02:00:00Z";
    check_table("30 2 * * *", zone, spring, &["2026-03-30T00:30:00Z", "2026-03-31T00:30:00Z"]);
    check_table("0 3 * * *", zone, "2026-03-28T02:00:00Z", &["2026-03-29T01:00:00Z", "2026-03-30T01:00:00Z"]);
    check_table(
        "30 * * * *",
        zone,
        "2026-03-29T00:00:00Z",
        &["2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z", "2026-03-29T02:30:00Z"],
    );
    let autumn = "2026-10-24T01:00:00Z";
    check_table(
        "30 2 * * *",
        zone,
        autumn,
        &["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"],
    );
    check_table("0 3 * * *", zone, autumn, &["2026-10-25T02:00:00Z", "2026-10-26T02:00:00Z"]);
    check_table(
        "0 2 * * *",
        zone,
        autumn,
        &["2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-26T01:00:00Z"],
    );
    // New York: 2026-03-08 02:00 (-5) becomes 03:00 (-4); 2026-11-01 02:00 (-4) becomes 01:00 (-5).
    let zone = "America/New_York";
    check_table("30 2 * * *", zone, "2026-03-07T08:00:00Z", &["2026-03-09T06:30:00Z"]);
    check_table(
        "30 1 * * *",
        zone,
        "2026-10-31T06:00:00Z",
        &["2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z", "2026-11-02T06:30:00Z"],
    );
    // Half an hour: Lord Howe goes from +11 to +10:30 at 2026-04-05 02:00.
    check_table(
        "45 1 5 4 *",
        "Australia/Lord_Howe",
        "2026-01-01T00:00:00Z",
        &["2026-04-04T14:45:00Z", "2026-04-04T15:15:00Z"],
    );
    // A day that was left out: Samoa had no 2011-12-30.
    check_table(
        "0 12 * * *",
        "Pacific/Apia",
        "2011-12-29T00:00:00Z",
        &["2011-12-29T22:00:00Z", "2011-12-30T22:00:00Z"],
    );
}

#[test]
fn intervals_count_from_1970() {
    let two_hours =
        Spec { every: vec![Interval { every_ms: 7_200_000, offset_ms: 1_800_000 }], ..Spec::default() };
    assert_eq!(
        after(&two_hours, "2026-03-29T00:00:00Z", 2),
        ["2026-03-29T00:30:00Z", "2026-03-29T02:30:00Z"]
    );
    assert_eq!(
        after(&two_hours, "2026-03-29T00:30:00Z", 1),
        ["2026-03-29T02:30:00Z"],
        "a slot is not after itself"
    );
    // The zone does not matter.
    let zoned = Spec { zone: "Europe/Berlin".to_owned(), ..two_hours.clone() };
    assert_eq!(after(&zoned, "2026-03-28T22:30:00Z", 3), after(&two_hours, "2026-03-28T22:30:00Z", 3));
    let odd = Spec { every: vec![Interval { every_ms: 1_500, offset_ms: 250 }], ..Spec::default() };
    assert_eq!(
        after(&odd, "1970-01-01T00:00:00Z", 3),
        ["1970-01-01T00:00:00.25Z", "1970-01-01T00:00:01.75Z", "1970-01-01T00:00:03.25Z"]
    );
}

#[test]
fn all_sources_count_once() {
    let spec = Spec {
        crons: vec!["0 * * * *".to_owned(), "0,30 3 * * *".to_owned()],
        every: vec![Interval { every_ms: 5_400_000, offset_ms: 0 }],
        calendars: vec![Calendar::default().hour(2).minute(15)],
        ..Spec::default()
    };
    assert_eq!(
        after(&spec, "2026-01-01T00:30:00Z", 6),
        [
            "2026-01-01T01:00:00Z",
            "2026-01-01T01:30:00Z",
            "2026-01-01T02:00:00Z",
            "2026-01-01T02:15:00Z",
            "2026-01-01T03:00:00Z",
            "2026-01-01T03:30:00Z",
        ]
    );
}

#[test]
fn what_is_excluded_is_no_slot() {
    let mut spec = cron("0 3 * * *", "Europe/Berlin");
    spec.exclude =
        vec![Calendar::whole_day().month(12).day_of_month(25..=26), Calendar::whole_day().day_of_week(0)];
    // 2026-12-27 is a Sunday.
    assert_eq!(after(&spec, "2026-12-24T00:00:00Z", 2), ["2026-12-24T02:00:00Z", "2026-12-28T02:00:00Z"]);
    // A calendar without times excludes its midnight only.
    spec.exclude = vec![Calendar::default().month(12).day_of_month(25)];
    assert_eq!(after(&spec, "2026-12-24T12:00:00Z", 1), ["2026-12-25T02:00:00Z"]);
    // Long stretches are passed in one go: seconds of a working day in summer.
    let mut busy = every(SECOND);
    busy.zone = "America/New_York".to_owned();
    busy.exclude = vec![
        Calendar::default().second(0..=59).minute(0..=59).hour(0..=16),
        Calendar::whole_day().year(2026),
    ];
    assert_eq!(after(&busy, "2026-01-01T05:00:00Z", 1), ["2027-01-01T22:00:00Z"]);
}

#[test]
fn slots_lie_between_start_and_end() {
    let mut spec = cron("0 3 * * *", "UTC");
    spec.start_at_ms = Some(at("2026-01-03T03:00:00Z"));
    spec.end_at_ms = Some(at("2026-01-04T03:00:00Z"));
    assert_eq!(after(&spec, "2026-01-01T00:00:00Z", 5), ["2026-01-03T03:00:00Z", "2026-01-04T03:00:00Z"]);
    spec.end_at_ms = Some(at("2026-01-04T02:59:59Z"));
    assert_eq!(after(&spec, "2026-01-01T00:00:00Z", 5), ["2026-01-03T03:00:00Z"]);
}

#[test]
fn times_at_the_ends_of_all_time_do_no_harm() {
    for after in [i64::MIN, i64::MIN + 1, -1, i64::MAX - 1, i64::MAX, at("9999-12-30T00:00:00Z")] {
        for spec in [cron("* * * * * *", "Europe/Berlin"), every(SECOND), cron("0 0 1 1 *", "Pacific/Apia")] {
            let found = next_slots(&spec, after, 3).expect("a spec");
            assert!(found.iter().all(|slot| *slot > after));
            let schedule = Schedule { last_slot_ms: after, ..schedule(spec, Overlap::AllowAll) };
            step(&schedule, Vec::new(), after).expect("a spec");
        }
    }
}
