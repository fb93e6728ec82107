//! Calendars: times of day and days, field by field.

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

/// Numbers from `start` to `end`, each `step`-th of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalendarRange {
    /// The first number.
    pub start: u16,
    /// The last number.
    pub end: u16,
    /// The distance of two numbers: at least 1. Default: 1.
    #[serde(default = "one")]
    pub step: u16,
}

fn one() -> u16 {
    1
}

impl From<u16> for CalendarRange {
    fn from(at: u16) -> Self {
        Self { start: at, end: at, step: 1 }
    }
}

impl From<RangeInclusive<u16>> for CalendarRange {
    fn from(range: RangeInclusive<u16>) -> Self {
        Self { start: *range.start(), end: *range.end(), step: 1 }
    }
}
