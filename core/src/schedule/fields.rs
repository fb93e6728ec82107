//! Sets of civil times, field by field: what a cron pattern and a calendar come to.

use super::range::CalendarRange;
use jiff::civil::{Date, DateTime, Time};

/// The civil times, in whole seconds, that match in every field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) second: u64,
    pub(super) minute: u64,
    pub(super) hour: u64,
    pub(super) month: u64,
    /// Empty: all.
    pub(super) year: Vec<CalendarRange>,
    pub(super) day: Days,
}

/// The days of a month that match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Days {
    /// Bits 1 to 31.
    pub(super) of_month: u64,
    /// `L`: the last day.
    pub(super) last: bool,
    /// `15W`: bits of days whose nearest weekday matches.
    pub(super) nearest: u64,
    /// `LW`: the last weekday.
    pub(super) last_weekday: bool,
    /// Bits 0 (Sunday) to 6.
    pub(super) of_week: u64,
    /// `1#2`: for each day of the week, bits 1 to 5.
    pub(super) nth: [u8; 7],
    /// `5L`: bits of days of the week, the last of which matches.
    pub(super) last_of_week: u64,
    /// A day matches if it is a day of the month *or* one of the week: in a pattern that says both.
    pub(super) either: bool,
}

/// The bits from `low` to `high`.
pub(super) fn bits(low: u32, high: u32) -> u64 {
    (low..=high).fold(0, |set, bit| set | 1 << bit)
}

/// The least bit of a set that is at least `from`.
fn next_bit(set: u64, from: u32) -> Option<u32> {
    let rest = set.checked_shr(from)?.checked_shl(from)?;
    (rest != 0).then(|| rest.trailing_zeros())
}

fn has(set: u64, bit: i8) -> bool {
    u32::try_from(bit).is_ok_and(|bit| set >> bit & 1 == 1)
}

/// The day of the week, from Sunday.
fn weekday(date: Date) -> i8 {
    date.weekday().to_sunday_zero_offset()
}

/// A date of the same month. The day is in the month.
fn same_month(date: Date, day: i8) -> Option<Date> {
    date.with().day(day).build().ok()
}

impl Days {
    fn matches(&self, date: Date) -> bool {
        if self.either {
            self.in_month(date) || self.in_week(date)
        } else {
            self.in_month(date) && self.in_week(date)
        }
    }

    fn in_month(&self, date: Date) -> bool {
        has(self.of_month, date.day())
            || self.last && date.day() == date.days_in_month()
            || self.last_weekday && Self::weekday_before(date).is_some_and(|last| last == date)
            || self.nearest != 0 && self.is_nearest(date)
    }

    /// The last weekday of the date's month.
    fn weekday_before(date: Date) -> Option<Date> {
        let last = date.last_of_month();
        let back = match weekday(last) {
            0 => 2,
            6 => 1,
            _ => 0,
        };
        same_month(date, last.day() - back)
    }

    /// Whether the date is the weekday that is nearest to one of the days, in their month.
    fn is_nearest(&self, date: Date) -> bool {
        let days = (1..=date.days_in_month()).filter(|day| has(self.nearest, *day));
        days.filter_map(|day| same_month(date, day)).any(|named| {
            let day = named.day();
            let nearest = match weekday(named) {
                6 if day == 1 => 3,
                6 => day - 1,
                0 if day == named.days_in_month() => day - 2,
                0 => day + 1,
                _ => day,
            };
            nearest == date.day()
        })
    }

    fn in_week(&self, date: Date) -> bool {
        let day = weekday(date);
        let nth = self.nth.get(day as usize).copied().unwrap_or(0);
        has(self.of_week, day)
            || nth >> ((date.day() - 1) / 7 + 1) & 1 == 1
            || has(self.last_of_week, day) && date.day() + 7 > date.days_in_month()
    }
}

impl Fields {
    /// Whether a time matches, whatever is below its second.
    pub(super) fn matches(&self, at: DateTime) -> bool {
        has(self.second, at.second())
            && has(self.minute, at.minute())
            && has(self.hour, at.hour())
            && self.has_date(at.date())
    }

    fn has_date(&self, date: Date) -> bool {
        has(self.month, date.month()) && self.has_year(date.year()) && self.day.matches(date)
    }

    fn has_year(&self, year: i16) -> bool {
        let year = u16::try_from(year).unwrap_or(0);
        self.year.is_empty() || self.year.iter().any(|range| range.has(year))
    }

    /// The first time from `from` on, and before `end`.
    pub(super) fn next(&self, from: DateTime, end: DateTime) -> Option<DateTime> {
        let (mut date, mut floor) = (from.date(), from.time());
        while date <= end.date() {
            if !self.has_year(date.year()) {
                date = Date::new(self.next_year(date.year())?, 1, 1).ok()?;
                floor = Time::midnight();
                continue;
            }
            if !has(self.month, date.month()) {
                date = date.last_of_month().tomorrow().ok()?;
                floor = Time::midnight();
                continue;
            }
            if self.day.matches(date)
                && let Some(time) = self.next_time(floor)
            {
                let at = date.to_datetime(time);
                return (at < end).then_some(at);
            }
            date = date.tomorrow().ok()?;
            floor = Time::midnight();
        }
        None
    }

    /// The first year after this one.
    fn next_year(&self, year: i16) -> Option<i16> {
        let after = u16::try_from(year.saturating_add(1)).ok()?;
        let least = self.year.iter().filter_map(|range| range.next(after)).min()?;
        i16::try_from(least).ok()
    }

    /// The first time of day from `floor` on.
    fn next_time(&self, floor: Time) -> Option<Time> {
        let unsigned = |value: i8| u32::try_from(value).unwrap_or(0);
        let (mut minute, mut second) = (unsigned(floor.minute()), unsigned(floor.second()));
        let mut hour = unsigned(floor.hour());
        loop {
            let found = next_bit(self.hour, hour)?;
            if found > hour {
                (minute, second) = (0, 0);
            }
            hour = found;
            let within = next_bit(self.minute, minute).and_then(|found| {
                let from = if found > minute { 0 } else { second };
                match next_bit(self.second, from) {
                    Some(second) => Some((found, second)),
                    None => Some((next_bit(self.minute, found + 1)?, next_bit(self.second, 0)?)),
                }
            });
            if let Some((minute, second)) = within {
                return Time::new(hour as i8, minute as i8, second as i8, 0).ok();
            }
            (hour, minute, second) = (hour + 1, 0, 0);
        }
    }

    /// Until when all times match, from one that matches: its second, or all of its minute, hour or day.
    pub(super) fn matches_until(&self, at: DateTime) -> Option<DateTime> {
        let (date, time) = (at.date(), at.time());
        let (hour, minute, second) = (time.hour(), time.minute(), time.second());
        let seconds = if self.second != bits(0, 59) {
            date.at(hour, minute, second, 0).checked_add(jiff::Span::new().seconds(1))
        } else if self.minute != bits(0, 59) {
            date.at(hour, minute, 0, 0).checked_add(jiff::Span::new().minutes(1))
        } else if self.hour != bits(0, 23) {
            date.at(hour, 0, 0, 0).checked_add(jiff::Span::new().hours(1))
        } else {
            date.at(0, 0, 0, 0).checked_add(jiff::Span::new().days(1))
        };
        seconds.ok()
    }
}
