//! The slots of a spec.

use super::error::SpecError;
use super::spec::Spec;
use super::walk::{Compiled, Next};

/// How many searches may end in excluded time before the list does.
const MAX_SEARCHES: usize = 1_000;

/// The next slots after `after_ms`, at most `n`, in Unix milliseconds. They are nominal: without jitter.
///
/// ```
/// # use abide_core::schedule::{Spec, next_slots};
/// let spec = Spec { crons: vec!["0 3 * * *".into()], ..Spec::default() };
/// assert_eq!(next_slots(&spec, 0, 2)?, [3 * 3_600_000, 27 * 3_600_000]);
/// # Ok::<(), abide_core::schedule::SpecError>(())
/// ```
///
/// # Errors
/// [`SpecError`]: the spec cannot be read.
pub fn next_slots(spec: &Spec, after_ms: i64, n: usize) -> Result<Vec<i64>, SpecError> {
    let compiled = Compiled::new(spec)?;
    let mut slots = compiled.after(after_ms);
    let (mut found, mut searches) = (Vec::new(), 0);
    while found.len() < n && searches < MAX_SEARCHES {
        match slots.next() {
            Next::At(slot) => found.push(slot),
            Next::NoneUntil(_) => searches += 1,
            Next::Never => break,
        }
    }
    Ok(found)
}
