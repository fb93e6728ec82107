//! Converts the database's times to the API's type.

use jiff::Timestamp;

/// Converts a time in milliseconds. A time outside of jiff's range, which a timer may have, becomes the end
/// of that range.
pub(super) fn timestamp(ms: i64) -> Timestamp {
    let end = if ms < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_millisecond(ms).unwrap_or(end)
}
