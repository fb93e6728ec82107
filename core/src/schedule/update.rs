//! A change of a schedule.

use super::check::check;
use super::error::SpecError;
use super::policy::Policy;
use super::row::{Schedule, Step};
use super::spec::Spec;
use super::step::step;
use super::walk::{Compiled, Next};

/// The most slots that an update counts as missed.
const MAX_COUNTED: u64 = 10_000;

/// What changes; `None` keeps what is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// When runs are started.
    pub spec: Option<Spec>,
    /// How they are started.
    pub policy: Option<Policy>,
    /// How many more slots are started; `Some(None)`: no limit.
    pub remaining: Option<Option<u64>>,
}

/// Changes a schedule: what is due by its old spec is started, and slots after `now_ms` follow the new one.
///
/// If the spec changes, slots that jitter still holds back start at once, and slots beyond the 1,000 of a step count
/// as missed. A `last_slot` beyond now is set back to now: after a clock that was years ahead, the schedule would be
/// silent for years. The caller writes the new spec and policy with the step.
///
/// # Errors
/// [`SpecError`]: the new spec cannot be read, or has no slot after `now_ms`.
pub fn update(schedule: &Schedule, change: Change, now_ms: i64) -> Result<Step, SpecError> {
    let mut new = Schedule { policy: change.policy.unwrap_or(schedule.policy.clone()), ..schedule.clone() };
    let changed = change.spec.filter(|spec| *spec != schedule.spec);
    let first = match &changed {
        None => step(schedule, Vec::new(), now_ms)?,
        Some(spec) => {
            check(spec, now_ms)?;
            by_old_spec(schedule, now_ms)
        }
    };
    new.state = first.state.clone();
    new.last_slot_ms = first.last_slot_ms.min(now_ms);
    if changed.is_some() || change.remaining.is_some() && schedule.state.remaining == Some(0) {
        new.last_slot_ms = now_ms;
    }
    if let Some(spec) = changed {
        new.spec = spec;
    }
    if let Some(remaining) = change.remaining {
        new.state.remaining = remaining;
    }
    let mut second = step(&new, Vec::new(), now_ms)?;
    second.starts.splice(0..0, first.starts);
    second.cancels.splice(0..0, first.cancels);
    second.terminates.splice(0..0, first.terminates);
    Ok(second)
}

/// The last step by a spec that is replaced. A spec that cannot be read, of another release, has no slots.
fn by_old_spec(schedule: &Schedule, now_ms: i64) -> Step {
    let mut old = schedule.clone();
    old.spec.jitter_ms = 0;
    let (Ok(mut step), Ok(compiled)) = (step(&old, Vec::new(), now_ms), Compiled::new(&old.spec)) else {
        return Step::idle(schedule);
    };
    if step.paused || schedule.state.remaining == Some(0) {
        return step;
    }
    let mut slots = compiled.after(step.last_slot_ms);
    for _ in 0..MAX_COUNTED {
        match slots.next() {
            Next::At(slot) if slot <= now_ms => step.state.counts.missed += 1,
            Next::NoneUntil(until) if until <= now_ms => {}
            _ => break,
        }
    }
    step
}
