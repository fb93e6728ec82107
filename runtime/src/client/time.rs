//! Times of the database as the API gives them.

use jiff::Timestamp;

/// A time of the store's; what jiff has no time for is the end of its range. A timer may be set for later than that.
pub(super) fn timestamp(ms: i64) -> Timestamp {
    let end = if ms < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_millisecond(ms).unwrap_or(end)
}
