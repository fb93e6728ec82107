//! The limits of a spec, and its zone.

use super::error::SpecError;
use super::spec::Spec;
use jiff::tz::{TimeZone, TimeZoneDatabase};

/// The most patterns, intervals, calendars or exclusions, and ranges of a calendar's field.
const MAX_OF_A_KIND: usize = 100;
/// The shortest interval.
const MIN_EVERY_MS: u64 = 1_000;
/// The longest interval and jitter: 1,000 years.
const MAX_MS: u64 = 1_000 * 366 * 86_400_000;
/// The longest text of a spec that an error repeats.
const MAX_SHOWN: usize = 200;

/// Checks what needs no parser.
pub(super) fn limits(spec: &Spec) -> Result<(), SpecError> {
    let kinds = [
        ("cron", spec.crons.len()),
        ("every", spec.every.len()),
        ("calendar", spec.calendars.len()),
        ("exclude", spec.exclude.len()),
    ];
    for (field, count) in kinds {
        if count > MAX_OF_A_KIND {
            return Err(SpecError::whole(
                field,
                format!("{count} of them; at most {MAX_OF_A_KIND} are allowed"),
            ));
        }
    }
    if spec.crons.is_empty() && spec.every.is_empty() && spec.calendars.is_empty() {
        let problem = "nothing says when it fires: give it a pattern, an interval (`every`) or a calendar";
        return Err(SpecError::whole("cron", problem.to_owned()));
    }
    for interval in &spec.every {
        let (every, offset) = (interval.every_ms, interval.offset_ms);
        if !(MIN_EVERY_MS..=MAX_MS).contains(&every) {
            let problem = format!("an interval of {every} ms: it has 1 s at least, and 1,000 years at most");
            return Err(SpecError::whole("every", problem));
        }
        if offset >= every {
            let problem = format!("an offset of {offset} ms: it is less than the interval of {every} ms");
            return Err(SpecError::whole("every", problem));
        }
    }
    if spec.jitter_ms > MAX_MS {
        return Err(SpecError::whole("jitter", format!("{} ms: it has 1,000 years at most", spec.jitter_ms)));
    }
    match (spec.start_at_ms, spec.end_at_ms) {
        (Some(start), Some(end)) if end < start => {
            Err(SpecError::whole("end_at", "it is earlier than `start_at`".to_owned()))
        }
        _ => Ok(()),
    }
}

/// Finds a zone in the bundled database.
pub(super) fn zone(name: &str) -> Result<TimeZone, SpecError> {
    // The lookup takes any case of letters; so does this.
    TimeZoneDatabase::bundled().get(name).map_err(|_| {
        let problem = match near(name) {
            Some(near) => format!("there is no such zone: did you mean `{near}`?"),
            None => "there is no such zone: write an IANA name, such as `Europe/Berlin` or `UTC`".to_owned(),
        };
        let text: String = name.chars().take(MAX_SHOWN).collect();
        SpecError { field: "zone", at: 0..text.len(), text, problem }
    })
}

/// The zone whose city has this name, or whose name differs in up to two letters.
fn near(name: &str) -> Option<String> {
    if name.is_empty() || name.len() > 64 {
        return None;
    }
    let all: Vec<String> =
        TimeZoneDatabase::bundled().available().map(|zone| zone.as_str().to_owned()).collect();
    let city = |zone: &str| {
        zone.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(&name.replace(' ', "_")))
    };
    if let Some(found) = all.iter().find(|zone| zone.contains('/') && city(zone)) {
        return Some(found.clone());
    }
    let wanted = name.to_ascii_lowercase();
    let distances = all.iter().map(|zone| (distance(&wanted, &zone.to_ascii_lowercase()), zone));
    distances.filter(|(distance, _)| *distance <= 2).min().map(|(_, zone)| zone.clone())
}

/// How many letters are to be inserted, removed or replaced (Levenshtein 1966).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut before = i + 1;
        for (cell, right) in row.iter_mut().skip(1).zip(&b) {
            let cost = (diagonal + usize::from(left != *right)).min(before + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, cost);
            before = cost;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}
