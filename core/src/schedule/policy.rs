//! What a schedule does when a run still runs, fails, or could not start in time.

use serde::{Deserialize, Serialize};

/// What a schedule does at a slot while the run of an earlier one is still open.
///
/// Runs that were started under [`Overlap::AllowAll`] do not count as open runs here, as in Temporal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Overlap {
    /// Nothing is started for the slot. The default.
    #[default]
    Skip,
    /// The slot waits for the end of the open run. Only one waits: further slots are skipped.
    BufferOne,
    /// Slots wait in their order, at most 1,000 of them. Further slots are dropped, and counted.
    BufferAll,
    /// The open run is asked to cancel. The newest slot starts when it has ended.
    CancelOther,
    /// The open run is terminated. The newest slot starts when it has ended.
    TerminateOther,
    /// All slots start at once.
    AllowAll,
}

/// How a schedule starts runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// What happens at a slot while an earlier run is open. Default: [`Overlap::Skip`].
    pub overlap: Overlap,
    /// How late a slot may be started when no worker lived at its time, in milliseconds. Older slots are counted as
    /// missed. Default: 365 days.
    pub catch_up_ms: u64,
    /// Whether a run that fails or times out pauses the schedule. Default: no.
    pub pause_on_failure: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { overlap: Overlap::Skip, catch_up_ms: 365 * 24 * 60 * 60 * 1_000, pause_on_failure: false }
    }
}
