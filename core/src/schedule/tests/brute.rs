//! The search against a walk over each minute that knows nothing of it.

use super::*;
use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan};
use proptest::prelude::*;
use proptest::sample::select;

const ZONES: &[&str] = &[
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Europe/Dublin",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Pacific/Apia",
    "America/Sao_Paulo",
    "Asia/Kathmandu",
];

/// A field as a text, and the numbers that it means.
type Field = (String, Vec<i8>);

fn field(low: i8, high: i8) -> impl Strategy<Value = Field> {
    let list = proptest::collection::vec(low..=high, 1..4).prop_map(|numbers| {
        let texts: Vec<String> = numbers.iter().map(i8::to_string).collect();
        (texts.join(","), numbers)
    });
    let range = (low..=high, low..=high, 1..5i8).prop_map(|(a, b, step)| {
        let (from, to) = (a.min(b), a.max(b));
        (format!("{from}-{to}/{step}"), (from..=to).step_by(step as usize).collect())
    });
    prop_oneof![2 => Just(("*".to_owned(), (low..=high).collect())), 2 => list, 1 => range]
}

/// What a field of days says about a date.
#[derive(Clone, Debug)]
enum Day {
    Any,
    Numbers(Vec<i8>),
    Last,
    LastWeekday,
    Nearest(i8),
    Nth(i8, i8),
    LastOfWeek(i8),
}

/// Any field but `*`.
fn numbers(low: i8, high: i8) -> impl Strategy<Value = (String, Day)> {
    let named = field(low, high).prop_filter("is `*`", |(text, _)| text != "*");
    named.prop_map(|(text, numbers)| (text, Day::Numbers(numbers)))
}

fn month_days() -> impl Strategy<Value = (String, Day)> {
    prop_oneof![
        3 => Just(("*".to_owned(), Day::Any)),
        3 => numbers(1, 31),
        1 => Just(("L".to_owned(), Day::Last)),
        1 => Just(("LW".to_owned(), Day::LastWeekday)),
        1 => (1..=31i8).prop_map(|day| (format!("{day}W"), Day::Nearest(day))),
    ]
}

fn week_days() -> impl Strategy<Value = (String, Day)> {
    prop_oneof![
        3 => Just(("*".to_owned(), Day::Any)),
        2 => numbers(0, 6),
        1 => (0..=6i8, 1..=5i8).prop_map(|(day, nth)| (format!("{day}#{nth}"), Day::Nth(day, nth))),
        1 => (0..=6i8).prop_map(|day| (format!("{day}L"), Day::LastOfWeek(day))),
    ]
}

fn weekday(date: Date) -> i8 {
    date.weekday().to_sunday_zero_offset()
}

fn is_workday(date: Date) -> bool {
    (1..=5).contains(&weekday(date))
}

/// All days of the date's month.
fn month(date: Date) -> Vec<Date> {
    date.first_of_month().series(1.day()).take_while(|day| day.month() == date.month()).collect()
}

impl Day {
    fn is_any(&self) -> bool {
        matches!(self, Self::Any)
    }

    fn matches(&self, date: Date, number: i8) -> bool {
        let month = month(date);
        match self {
            Self::Any => true,
            Self::Numbers(numbers) => numbers.contains(&number),
            Self::Last => month.last() == Some(&date),
            Self::LastWeekday => month.iter().rfind(|day| is_workday(**day)) == Some(&date),
            Self::Nearest(day) => {
                let Some(named) = month.iter().find(|other| other.day() == *day) else { return false };
                let distance = |other: &Date| (other.day() - named.day()).abs();
                month.iter().filter(|day| is_workday(**day)).min_by_key(|other| distance(other))
                    == Some(&date)
            }
            Self::Nth(day, nth) => {
                month.iter().filter(|other| weekday(**other) == *day).nth(*nth as usize - 1) == Some(&date)
            }
            Self::LastOfWeek(day) => month.iter().rfind(|other| weekday(**other) == *day) == Some(&date),
        }
    }
}

/// All matching minutes of a time.
fn walk(zone: &TimeZone, from: i64, to: i64, matches: impl Fn(jiff::civil::DateTime) -> bool) -> Vec<i64> {
    let first = from.div_euclid(MINUTE) * MINUTE + MINUTE;
    let minutes = (first..=to).step_by(MINUTE as usize);
    minutes
        .filter(|minute| matches(zone.to_datetime(Timestamp::from_millisecond(*minute).expect("in range"))))
        .collect()
}

proptest! {
    #![proptest_config(crate::fuzz::cases(200))]

    /// Starts are within days of a change of clocks as often as not.
    #[test]
    fn the_search_finds_what_a_walk_finds(
        minute in field(0, 59),
        hour in field(0, 23),
        (month_text, months) in field(1, 12),
        (day_text, day) in month_days(),
        (week_text, week) in week_days(),
        zone in select(ZONES),
        start in 946_684_800i64..2_524_608_000,
        near_change in any::<bool>(),
    ) {
        let zone_of = TimeZoneDatabase::bundled().get(zone).expect("a zone");
        let change = zone_of.following(Timestamp::from_second(start).expect("in range")).next();
        let start = match change.filter(|_| near_change) {
            Some(change) => change.timestamp().as_millisecond() - DAY,
            None => start * SECOND + 1,
        };
        let text = format!("{} {} {day_text} {month_text} {week_text}", minute.0, hour.0);
        let end = start + 3 * DAY;
        let expected = walk(&zone_of, start, end, |at| {
            let times = minute.1.contains(&at.minute()) && hour.1.contains(&at.hour());
            times && months.contains(&at.month()) && {
                let date = at.date();
                let (in_month, in_week) = (day.matches(date, date.day()), week.matches(date, weekday(date)));
                if !day.is_any() && !week.is_any() { in_month || in_week } else { in_month && in_week }
            }
        });
        let mut found = next_slots(&cron(&text, zone), start, expected.len() + 1).expect("a pattern");
        found.retain(|slot| *slot <= end);
        prop_assert_eq!(found, expected, "{} in {}", text, zone);
    }

    #[test]
    fn exclusions_take_away_what_they_match(
        every_minutes in 1..50i64,
        hour in 0..24u16,
        weekday_of in 0..7u16,
        minute in 0..60u16,
        zone in select(ZONES),
        start in 946_684_800i64..2_524_608_000,
    ) {
        let zone_of = TimeZoneDatabase::bundled().get(zone).expect("a zone");
        let (start, end) = (start * SECOND, start * SECOND + 10 * DAY);
        let all = next_slots(&every(every_minutes * MINUTE), start, 20_000).expect("a spec");
        let expected: Vec<i64> = all.into_iter().take_while(|slot| *slot <= end).filter(|slot| {
            let at = zone_of.to_datetime(Timestamp::from_millisecond(*slot).expect("in range"));
            let excluded = u16::try_from(at.hour()).expect("an hour") == hour
                || u16::try_from(weekday(at.date())).expect("a day") == weekday_of
                || u16::try_from(at.minute()).expect("a minute") == minute;
            !excluded
        }).collect();
        let mut spec = every(every_minutes * MINUTE);
        spec.zone = zone.to_owned();
        spec.exclude = vec![
            Calendar::default().second(0..=59).minute(0..=59).hour(hour),
            Calendar::whole_day().day_of_week(weekday_of),
            Calendar::default().hour(0..=23).minute(minute),
        ];
        let mut found = next_slots(&spec, start, expected.len() + 1).expect("a spec");
        found.retain(|slot| *slot <= end);
        prop_assert_eq!(found, expected);
    }
}
