//! The version of the engine's rules that a run follows.

use std::cell::Cell;

/// The version of the rules for runs that begin now. A run keeps the version that it began with, so that a
/// recorded history replays as it was recorded. From 1 on, the engine refuses an activity's input and a run's
/// result that do not come back from their JSON, and a time limit of zero. From 2 on, each call of
/// `workflow::cancelled()` waits for the next request. From 3 on, the end of `run` drops the tasks that its last poll
/// has spawned.
pub const RULES: u32 = 3;

thread_local! {
    static HERE: Cell<u32> = const { Cell::new(RULES) };
}

/// The rules of the run whose code runs on this thread; [`RULES`] outside of runs.
pub(crate) fn here() -> u32 {
    HERE.get()
}

/// Until the guard is dropped, code on this thread follows these rules.
pub(crate) fn enter(rules: u32) -> Entered {
    Entered(HERE.replace(rules))
}

/// Returns to the rules before when dropped; see [`enter`].
pub(crate) struct Entered(u32);

impl Drop for Entered {
    fn drop(&mut self) {
        HERE.set(self.0);
    }
}
