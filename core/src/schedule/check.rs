//! Whether a spec is worth a schedule.

use super::error::SpecError;
use super::spec::Spec;
use super::walk::{Compiled, Next};

/// How many searches may end in excluded time before a spec counts as one that never fires.
const MAX_SEARCHES: usize = 1_000;

/// Checks that a spec can be read and that it has a slot after `now_ms`.
///
/// ```
/// # use abide_core::schedule::{Spec, check};
/// let spec = Spec { crons: vec!["0 25 * * *".into()], ..Spec::default() };
/// let error = check(&spec, 0).unwrap_err();
/// assert_eq!(&error.text[error.at.clone()], "25");
/// assert!(error.to_string().starts_with("AB0425"));
/// ```
///
/// # Errors
/// [`SpecError`]: the field, its text, and what is wrong where.
pub fn check(spec: &Spec, now_ms: i64) -> Result<(), SpecError> {
    if fires(spec, now_ms)? {
        return Ok(());
    }
    let always = Spec { exclude: Vec::new(), ..spec.clone() };
    if fires(&always, now_ms)? {
        return Err(SpecError::whole("exclude", "it leaves no slot after now: exclude less".to_owned()));
    }
    let unbounded = Spec { start_at_ms: None, end_at_ms: None, ..always };
    if fires(&unbounded, now_ms)? {
        let problem =
            "no slot is left between now, `start_at` and `end_at`: set them further apart, or to later times";
        return Err(SpecError::whole("end_at", problem.to_owned()));
    }
    let problem = "the times it names are over, or never come: name some that do".to_owned();
    match (spec.crons.as_slice(), spec.calendars.as_slice()) {
        ([only], []) => Err(SpecError { field: "cron", text: only.clone(), at: 0..only.len(), problem }),
        ([], _) => Err(SpecError::whole("calendar", problem)),
        _ => Err(SpecError::whole("cron", problem)),
    }
}

fn fires(spec: &Spec, now_ms: i64) -> Result<bool, SpecError> {
    let compiled = Compiled::new(spec)?;
    let mut slots = compiled.after(now_ms);
    for _ in 0..MAX_SEARCHES {
        match slots.next() {
            Next::At(_) => return Ok(true),
            Next::Never => return Ok(false),
            Next::NoneUntil(_) => {}
        }
    }
    Ok(false)
}
