//! The next slot after an instant.
//!
//! A zone cuts the time line into stretches of one offset. Within a stretch civil times and instants go side by side.
//! So the search goes from stretch to stretch: a time of day that comes twice is found in two of them, one that the
//! clocks leave out in none.

use super::calendar::compile as compile_calendar;
use super::cron;
use super::error::SpecError;
use super::fields::Fields;
use super::limits::{limits, zone};
use super::spec::{Interval, Spec};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// How far a search goes: the calendar repeats itself after 400 years, days of the week included.
const HORIZON_SECONDS: i64 = 146_097 * 86_400;
/// The latest slot: the end of the year 9999, less two days for the offset of a zone.
const LATEST_MS: i64 = 253_402_300_799_000 - 2 * 86_400_000;
/// The earliest slot: 1900.
const EARLIEST_MS: i64 = -2_208_988_800_000;
/// How many stretches of excluded time one search passes.
const MAX_EXCLUDED: usize = 100;

/// What a search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The next slot.
    At(i64),
    /// There is none up to this time; the search has passed so much excluded time that it stopped here.
    NoneUntil(i64),
    /// There is none.
    Never,
}

/// A spec that has been read.
#[derive(Debug)]
pub(super) struct Compiled {
    fields: Vec<Fields>,
    every: Vec<Interval>,
    exclude: Vec<Fields>,
    zone: TimeZone,
    start_at_ms: i64,
    end_at_ms: i64,
}

impl Compiled {
    /// Reads a spec.
    pub(super) fn new(spec: &Spec) -> Result<Self, SpecError> {
        limits(spec)?;
        let crons = spec.crons.iter().map(|text| cron::parse(text));
        let calendars = spec.calendars.iter().map(|calendar| compile_calendar(calendar, "calendar"));
        Ok(Self {
            zone: zone(&spec.zone)?,
            fields: crons.chain(calendars).collect::<Result<_, _>>()?,
            every: spec.every.clone(),
            exclude: spec
                .exclude
                .iter()
                .map(|all| compile_calendar(all, "exclude"))
                .collect::<Result<_, _>>()?,
            start_at_ms: spec.start_at_ms.unwrap_or(i64::MIN),
            end_at_ms: spec.end_at_ms.unwrap_or(i64::MAX),
        })
    }

    /// The slots after an instant, in their order.
    pub(super) fn after(&self, after_ms: i64) -> Slots<'_> {
        let at = after_ms.max(self.start_at_ms.saturating_sub(1)).max(EARLIEST_MS);
        let sources = (0..self.fields.len() + self.every.len()).map(|_| None).collect();
        Slots { compiled: self, at, sources }
    }

    /// The next slot of one source after an instant, before exclusions.
    fn next_of(&self, source: usize, after_ms: i64) -> Option<i64> {
        match self.fields.get(source) {
            Some(fields) => next_match(fields, &self.zone, after_ms),
            None => next_multiple(self.every.get(source - self.fields.len())?, after_ms),
        }
    }

    /// Until when all is excluded, from an instant that is.
    fn excluded_until(&self, at_ms: i64) -> Option<i64> {
        if self.exclude.is_empty() {
            return None;
        }
        let at = Timestamp::from_second(at_ms.div_euclid(1_000)).ok()?;
        let stretch = Stretch::of(&self.zone, at);
        let civil = stretch.offset.to_datetime(at);
        let excluded = self.exclude.iter().filter(|fields| fields.matches(civil));
        let until = excluded.filter_map(|fields| fields.matches_until(civil)).max()?;
        let until = stretch.offset.to_timestamp(until).ok()?;
        Some(stretch.end.map_or(until, |end| until.min(end)).as_millisecond())
    }
}

/// The slots after an instant, in their order.
#[derive(Debug)]
pub(super) struct Slots<'a> {
    compiled: &'a Compiled,
    /// All up to here is done.
    at: i64,
    /// The next slot of each source: `None` before it was looked for, `Some(None)` where there is none.
    sources: Vec<Option<Option<i64>>>,
}

impl Slots<'_> {
    /// The next slot.
    pub(super) fn next(&mut self) -> Next {
        for _ in 0..MAX_EXCLUDED {
            let least = self.least().filter(|slot| *slot <= self.compiled.end_at_ms);
            let Some(slot) = least else {
                return Next::Never;
            };
            match self.compiled.excluded_until(slot) {
                // The last millisecond that is excluded. `slot` itself is at least.
                Some(until) => self.at = slot.max(until - 1),
                None => {
                    self.at = slot;
                    return Next::At(slot);
                }
            }
        }
        Next::NoneUntil(self.at)
    }

    /// The next slot of all sources, before exclusions.
    fn least(&mut self) -> Option<i64> {
        let Self { compiled, at, sources } = self;
        for (number, source) in sources.iter_mut().enumerate() {
            let passed = |next: &Option<i64>| next.is_some_and(|slot| slot <= *at);
            if source.as_ref().is_none_or(passed) {
                *source = Some(compiled.next_of(number, *at));
            }
        }
        sources.iter().filter_map(|source| source.flatten()).min()
    }
}

/// A stretch of the time line with one offset.
struct Stretch {
    offset: jiff::tz::Offset,
    /// Where the next stretch begins.
    end: Option<Timestamp>,
}

impl Stretch {
    fn of(zone: &TimeZone, at: Timestamp) -> Self {
        Self { offset: zone.to_offset(at), end: zone.following(at).next().map(|change| change.timestamp()) }
    }
}

fn next_match(fields: &Fields, zone: &TimeZone, after_ms: i64) -> Option<i64> {
    let mut from = after_ms.div_euclid(1_000).checked_add(1)?;
    let horizon = from.saturating_add(HORIZON_SECONDS).min(LATEST_MS / 1_000);
    while from <= horizon {
        let at = Timestamp::from_second(from).ok()?;
        let stretch = Stretch::of(zone, at);
        let end = stretch.end.map_or(horizon + 1, |end| end.as_second()).min(horizon + 1);
        let civil_end: DateTime = stretch.offset.to_datetime(Timestamp::from_second(end).ok()?);
        if let Some(found) = fields.next(stretch.offset.to_datetime(at), civil_end) {
            return Some(stretch.offset.to_timestamp(found).ok()?.as_millisecond());
        }
        from = end;
    }
    None
}

fn next_multiple(interval: &Interval, after_ms: i64) -> Option<i64> {
    let every = i64::try_from(interval.every_ms).ok().filter(|every| *every > 0)?;
    let offset = i64::try_from(interval.offset_ms).ok()?;
    let passed = after_ms.checked_sub(offset)?.div_euclid(every);
    let slot = passed.checked_add(1)?.checked_mul(every)?.checked_add(offset)?;
    (slot <= LATEST_MS).then_some(slot)
}
