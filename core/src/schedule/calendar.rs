//! Calendars: times of day and days, field by field.

use super::error::SpecError;
use super::fields::{Days, Fields};
use super::range::CalendarRange;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// Times that match in every field. The default matches each midnight.
///
/// ```
/// # use abide_core::schedule::Calendar;
/// let workdays_at_nine = Calendar::default().hour(9).day_of_week(1..=5);
/// let christmas = Calendar::whole_day().month(12).day_of_month(25..=26); // to exclude
/// # assert_ne!(workdays_at_nine, christmas);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Calendar {
    /// 0 to 59. Empty: 0.
    pub second: Vec<CalendarRange>,
    /// 0 to 59. Empty: 0.
    pub minute: Vec<CalendarRange>,
    /// 0 to 23. Empty: 0.
    pub hour: Vec<CalendarRange>,
    /// 1 to 31. Empty: all.
    pub day_of_month: Vec<CalendarRange>,
    /// 1 to 12. Empty: all.
    pub month: Vec<CalendarRange>,
    /// 1970 to 9999. Empty: all.
    pub year: Vec<CalendarRange>,
    /// 0 to 7; Sunday is 0 and 7. Empty: all.
    pub day_of_week: Vec<CalendarRange>,
}

macro_rules! fields {
    ($($(#[doc = $doc:literal])+ $field:ident,)+) => {
        impl Calendar {
            $(
                $(#[doc = $doc])+
                ///
                /// A number or a range; each further call adds to the one before.
                #[must_use]
                pub fn $field(mut self, at: impl Into<CalendarRange>) -> Self {
                    self.$field.push(at.into());
                    self
                }
            )+
        }
    };
}

fields! {
    /// Matches these seconds: 0 to 59. Default: 0.
    second,
    /// Matches these minutes: 0 to 59. Default: 0.
    minute,
    /// Matches these hours: 0 to 23. Default: 0.
    hour,
    /// Matches these days of the month: 1 to 31. Default: all.
    day_of_month,
    /// Matches these months: 1 to 12. Default: all.
    month,
    /// Matches these years: 1970 to 9999. Default: all.
    year,
    /// Matches these days of the week: 0 (Sunday) to 6, and 7 (Sunday). Default: all.
    day_of_week,
}

impl Calendar {
    /// Each second of each day: what an exclusion of days begins with.
    pub fn whole_day() -> Self {
        Self::default().second(0..=59).minute(0..=59).hour(0..=23)
    }
}

/// The ranges of a field as a set, or all of it.
fn set(
    field: &'static str,
    name: &str,
    ranges: &[CalendarRange],
    allowed: RangeInclusive<u16>,
    all: RangeInclusive<u16>,
) -> Result<u64, SpecError> {
    check_ranges(field, name, ranges, &allowed)?;
    let all = [CalendarRange::from(all)];
    let ranges = if ranges.is_empty() { &all } else { ranges };
    Ok(ranges.iter().fold(0, |set, range| set | range.bits()))
}

fn check_ranges(
    field: &'static str,
    name: &str,
    ranges: &[CalendarRange],
    allowed: &RangeInclusive<u16>,
) -> Result<(), SpecError> {
    let (low, high) = (allowed.start(), allowed.end());
    for range in ranges {
        if range.start > range.end || range.step == 0 {
            let problem = format!(
                "`{name}` {range} has no number: write the smaller one first, and a step of at least 1"
            );
            return Err(SpecError::whole(field, problem));
        }
        if !allowed.contains(&range.start) || !allowed.contains(&range.end) {
            return Err(SpecError::whole(field, format!("`{name}` {range} is not within {low} to {high}")));
        }
    }
    Ok(())
}

/// Reads a calendar. `field`: of the spec.
pub(super) fn compile(calendar: &Calendar, field: &'static str) -> Result<Fields, SpecError> {
    check_ranges(field, "year", &calendar.year, &(1970..=9999))?;
    let of_week = set(field, "day_of_week", &calendar.day_of_week, 0..=7, 0..=6)?;
    Ok(Fields {
        second: set(field, "second", &calendar.second, 0..=59, 0..=0)?,
        minute: set(field, "minute", &calendar.minute, 0..=59, 0..=0)?,
        hour: set(field, "hour", &calendar.hour, 0..=23, 0..=0)?,
        month: set(field, "month", &calendar.month, 1..=12, 1..=12)?,
        year: calendar.year.clone(),
        day: Days {
            of_month: set(field, "day_of_month", &calendar.day_of_month, 1..=31, 1..=31)?,
            of_week: sunday(of_week),
            ..Days::default()
        },
    })
}

/// Makes the seventh day the day 0.
pub(super) fn sunday(of_week: u64) -> u64 {
    of_week & 0x7f | of_week >> 7 & 1
}
