//! Facts about the running execution, and its time.

use crate::exec::context;
use crate::exec::info::Info;

/// Returns facts about the running execution.
pub fn info() -> Info {
    context::expect("workflow::info").info()
}

/// The workflow's own clock: the time of the current turn, the same on replay. It does not move between
/// awaits.
pub fn now() -> jiff::Timestamp {
    let ms = context::expect("workflow::now").look_at_clock();
    jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX)
}
