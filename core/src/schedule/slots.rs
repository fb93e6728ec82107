//! The slots of a spec.

use super::check::SpecError;
use super::spec::Spec;

/// The next slots after `after_ms`, at most `n`, in Unix milliseconds. They are nominal: without jitter.
///
/// # Errors
/// [`SpecError`]: the spec cannot be read.
pub fn next_slots(spec: &Spec, after_ms: i64, n: usize) -> Result<Vec<i64>, SpecError> {
    let _ = (spec, after_ms, n);
    Ok(Vec::new())
}
