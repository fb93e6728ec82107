//! Cron patterns: five fields as crontab(5) has them, with the additions that croner, Quartz and others agree on.

use super::error::SpecError;
use super::fields::{Days, Fields, bits};
use super::range::CalendarRange;
use std::ops::Range;

/// The longest pattern.
const MAX_TEXT: usize = 1_000;

/// What is wrong in a text, and where.
type Wrong = (Range<usize>, String);

/// A field of a pattern: its name, its numbers, and words for them.
struct Kind {
    name: &'static str,
    low: u16,
    high: u16,
    words: &'static [&'static str],
}

const MONTHS: &[&str] = &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: &[&str] = &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

const SECOND: Kind = Kind { name: "a second", low: 0, high: 59, words: &[] };
const MINUTE: Kind = Kind { name: "a minute", low: 0, high: 59, words: &[] };
const HOUR: Kind = Kind { name: "an hour", low: 0, high: 23, words: &[] };
const DAY: Kind = Kind { name: "a day of the month", low: 1, high: 31, words: &[] };
const MONTH: Kind = Kind { name: "a month", low: 1, high: 12, words: MONTHS };
const WEEKDAY: Kind = Kind { name: "a day of the week", low: 0, high: 7, words: WEEKDAYS };
const YEAR: Kind = Kind { name: "a year", low: 1970, high: 9999, words: &[] };

/// A part of a pattern, and the byte where it begins.
#[derive(Clone, Copy)]
struct Part<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Part<'a> {
    fn wrong<T>(self, problem: impl Into<String>) -> Result<T, Wrong> {
        Err((self.at..self.at + self.text.len(), problem.into()))
    }

    /// What is before and after the first such character.
    fn split_once(self, character: char) -> Option<(Self, Self)> {
        let (before, after) = self.text.split_once(character)?;
        let at = self.at + before.len() + character.len_utf8();
        Some((Self { text: before, at: self.at }, Self { text: after, at }))
    }

    /// What is between the characters for which `is_between` holds.
    fn split(self, is_between: impl Fn(char) -> bool) -> Vec<Self> {
        let mut at = self.at;
        let mut parts = Vec::new();
        for piece in self.text.split_inclusive(&is_between) {
            let text = piece.strip_suffix(&is_between).unwrap_or(piece);
            parts.push(Self { text, at });
            at += piece.len();
        }
        if self.text.is_empty() || self.text.ends_with(&is_between) {
            parts.push(Self { text: "", at });
        }
        parts
    }

    fn without_suffix(self, suffix: &str) -> Option<Self> {
        self.text.strip_suffix(suffix).map(|text| Self { text, at: self.at })
    }
}

/// Reads a pattern.
pub(super) fn parse(text: &str) -> Result<Fields, SpecError> {
    if text.len() > MAX_TEXT {
        let problem = format!("a pattern of {} bytes; {MAX_TEXT} are allowed", text.len());
        return Err(SpecError::whole("cron", problem));
    }
    pattern(text).map_err(|(at, problem)| SpecError { field: "cron", text: text.to_owned(), at, problem })
}

fn pattern(text: &str) -> Result<Fields, Wrong> {
    let whole = Part { text, at: 0 };
    let parts: Vec<Part<'_>> =
        whole.split(char::is_whitespace).into_iter().filter(|part| !part.text.is_empty()).collect();
    if let Some(first) = parts.first() {
        if first.text.starts_with('@') {
            return nickname(*first, parts.len());
        }
        if first.text.contains('=') {
            return first.wrong("a zone does not stand in a pattern: name it beside it, with `zone`");
        }
    }
    let zero = Part { text: "0", at: 0 };
    let any = Part { text: "*", at: 0 };
    let [second, minute, hour, day, month, weekday, year] = match *parts.as_slice() {
        [minute, hour, day, month, weekday] => [zero, minute, hour, day, month, weekday, any],
        [second, minute, hour, day, month, weekday] => [second, minute, hour, day, month, weekday, any],
        [second, minute, hour, day, month, weekday, year] => {
            [second, minute, hour, day, month, weekday, year]
        }
        _ => {
            return whole.wrong(format!(
                "{} fields: a pattern has 5 (minute, hour, day of the month, month, day of the week), 6 with seconds \
                 first, or 7 with a year last",
                parts.len()
            ));
        }
    };
    let six = parts.len() == 6;
    if six && weekday.text.parse().is_ok_and(|number: u16| number >= YEAR.low) {
        return weekday.wrong("a year is the seventh field: write the seconds, which come first, too");
    }
    Ok(Fields {
        second: set(second, &SECOND)?,
        minute: set(minute, &MINUTE)?,
        hour: set(hour, &HOUR)?,
        month: set(month, &MONTH)?,
        year: if year.text == "*" { Vec::new() } else { ranges(year, &YEAR)? },
        day: days(day, weekday)?,
    })
}

fn nickname(name: Part<'_>, count: usize) -> Result<Fields, Wrong> {
    let full = match name.text.to_ascii_lowercase().as_str() {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        "@every" => {
            return name.wrong("a fixed distance is no pattern: write it as an interval, with `every`");
        }
        _ => return name.wrong("the names are @yearly, @monthly, @weekly, @daily and @hourly"),
    };
    if count > 1 {
        return name.wrong("nothing comes after such a name");
    }
    pattern(full)
}

fn set(field: Part<'_>, kind: &Kind) -> Result<u64, Wrong> {
    Ok(ranges(field, kind)?.iter().fold(0, |set, range| set | range.bits()))
}

fn ranges(field: Part<'_>, kind: &Kind) -> Result<Vec<CalendarRange>, Wrong> {
    field.split(|c| c == ',').into_iter().map(|element| range(element, kind)).collect()
}

/// `*`, `5`, `5-9`, each with or without `/2`; `5/2` goes on to the last number.
fn range(element: Part<'_>, kind: &Kind) -> Result<CalendarRange, Wrong> {
    let (range, step) = match element.split_once('/') {
        Some((range, step)) => (range, Some(step)),
        None => (element, None),
    };
    let last = if kind.words.len() == 7 { 6 } else { kind.high };
    let (start, end) = if range.text == "*" {
        (kind.low, last)
    } else if let Some((start, end)) = range.split_once('-') {
        let first = number(start, kind)?;
        // `FRI-SUN`: the week ends with its Sunday.
        let end = match number(end, kind)? {
            0 if kind.words.len() == 7 && first > 0 => 7,
            end => end,
        };
        (first, end)
    } else {
        let start = number(range, kind)?;
        (start, if step.is_some() { last.max(start) } else { start })
    };
    if start > end {
        return range.wrong(format!(
            "a range goes from the smaller number to the larger: write it as two, `{start}-{last},{}-{end}`",
            kind.low
        ));
    }
    let step = match step {
        None => 1,
        Some(step) => match step.text.parse() {
            Ok(number) if number > 0 => number,
            _ => return step.wrong("after `/` comes a whole number, at least 1"),
        },
    };
    Ok(CalendarRange { start, end, step })
}

fn number(part: Part<'_>, kind: &Kind) -> Result<u16, Wrong> {
    let word = kind.words.iter().position(|word| word.eq_ignore_ascii_case(part.text));
    if let Some(word) = word.and_then(|word| u16::try_from(word).ok()) {
        return Ok(word + u16::from(kind.low == 1));
    }
    let Kind { name, low, high, words } = kind;
    let digits = !part.text.is_empty() && part.text.bytes().all(|byte| byte.is_ascii_digit());
    match part.text.parse() {
        Ok(number) if digits && (*low..=*high).contains(&number) => Ok(number),
        _ if digits => part.wrong(format!("{name} is {low} to {high}")),
        _ => match (words.first(), words.last()) {
            (Some(first), Some(last)) => {
                part.wrong(format!("{name} is {low} to {high}, or {first} to {last}"))
            }
            _ => part.wrong(format!(
                "a {name} is a number, {low} to {high}; `*`, `5-9`, `*/2` and lists are allowed"
            )),
        },
    }
}

/// Both fields of days. If both name days, a day that one of them names matches, as in crontab(5).
fn days(of_month: Part<'_>, of_week: Part<'_>) -> Result<Days, Wrong> {
    let all = |field: Part<'_>| matches!(field.text, "*" | "?");
    let mut days = Days { either: !all(of_month) && !all(of_week), ..Days::default() };
    if all(of_month) {
        days.of_month = bits(1, 31);
    } else {
        for element in of_month.split(|c| c == ',') {
            day_of_month(element, &mut days)?;
        }
    }
    if all(of_week) {
        days.of_week = bits(0, 6);
    } else {
        for element in of_week.split(|c| c == ',') {
            day_of_week(element, &mut days)?;
        }
    }
    Ok(days)
}

/// `L`: the last day; `LW`: the last weekday; `15W`: the weekday that is nearest to the 15th.
fn day_of_month(element: Part<'_>, days: &mut Days) -> Result<(), Wrong> {
    if element.text.eq_ignore_ascii_case("L") {
        days.last = true;
    } else if element.text.eq_ignore_ascii_case("LW") {
        days.last_weekday = true;
    } else if element.text.starts_with(['L', 'l']) {
        return element
            .wrong("`L` is the last day and `LW` the last weekday of the month: nothing else begins with L");
    } else if let Some(day) = element.without_suffix("W").or_else(|| element.without_suffix("w")) {
        days.nearest |= 1 << number(day, &DAY)?;
    } else {
        days.of_month |= range(element, &DAY)?.bits();
    }
    Ok(())
}

/// `5L` and `5#L`: the last Friday of the month; `5#2`: the second.
fn day_of_week(element: Part<'_>, days: &mut Days) -> Result<(), Wrong> {
    let weekday = |part: Part<'_>| number(part, &WEEKDAY).map(|day| usize::from(day % 7));
    if element.text.eq_ignore_ascii_case("L") {
        return element.wrong("which day? `5L` is the last Friday of the month");
    }
    if let Some((day, nth)) = element.split_once('#') {
        let day = weekday(day)?;
        match nth.text.parse::<u8>() {
            Ok(nth @ 1..=5) => days.nth.iter_mut().skip(day).take(1).for_each(|set| *set |= 1 << nth),
            _ if nth.text.eq_ignore_ascii_case("L") => days.last_of_week |= 1 << day,
            _ => return nth.wrong("after `#` comes 1 to 5, or L for the last one of the month"),
        }
    } else if let Some(day) = element.without_suffix("L").or_else(|| element.without_suffix("l")) {
        days.last_of_week |= 1 << weekday(day)?;
    } else {
        days.of_week |= super::calendar::sunday(range(element, &WEEKDAY)?.bits());
    }
    Ok(())
}
