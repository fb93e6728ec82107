//! When a schedule starts runs.

use super::calendar::Calendar;
use serde::{Deserialize, Serialize};

/// When a schedule starts runs: the union of its cron patterns, intervals and calendars, without what is excluded.
///
/// A slot is an instant. Where the clocks of the zone are set back, a time of day comes twice and so has two slots;
/// where they are set forward, the times of day that are left out have none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spec {
    /// Cron patterns of 5 fields (minute, hour, day of month, month, day of week), of 6 (seconds first) or of 7 (a
    /// year last). At most 100. Default: none.
    pub crons: Vec<String>,
    /// Fixed distances. At most 100. Default: none.
    pub every: Vec<Interval>,
    /// Calendars. At most 100. Default: none.
    pub calendars: Vec<Calendar>,
    /// A slot that one of these matches is left out. At most 100. Default: none.
    pub exclude: Vec<Calendar>,
    /// The IANA zone of patterns and calendars: `Europe/Berlin`. Default: `UTC`.
    pub zone: String,
    /// The longest delay of a run after its slot, in milliseconds. The delay of a slot is always the same, and never
    /// reaches the next slot. Default: 0.
    pub jitter_ms: u64,
    /// The earliest slot, in Unix milliseconds. Default: none.
    pub start_at_ms: Option<i64>,
    /// The latest slot, in Unix milliseconds. Default: none.
    pub end_at_ms: Option<i64>,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            crons: Vec::new(),
            every: Vec::new(),
            calendars: Vec::new(),
            exclude: Vec::new(),
            zone: "UTC".to_owned(),
            jitter_ms: 0,
            start_at_ms: None,
            end_at_ms: None,
        }
    }
}

/// A slot at each multiple of `every_ms` since 1970, moved by `offset_ms`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Interval {
    /// The distance of two slots in milliseconds: at least 1,000 (`AB0425`).
    pub every_ms: u64,
    /// How far slots are moved, in milliseconds: less than `every_ms` (`AB0425`). Default: 0.
    pub offset_ms: u64,
}
