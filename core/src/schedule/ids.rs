//! Workflow ids of runs, and the jitter of slots.

use jiff::Timestamp;

/// The longest part of a request id that a workflow id repeats.
const MAX_REQUEST_ID: usize = 64;

/// `<prefix>-<slot>`, or `<prefix>-<slot>-<request id>`. A long request id is cut, and made unique by its hash.
pub(super) fn workflow_id(prefix: &str, slot_ms: i64, request_id: Option<&str>) -> String {
    let slot = match Timestamp::from_millisecond(slot_ms) {
        Ok(slot) => slot.to_string(),
        Err(_) => slot_ms.to_string(),
    };
    match request_id {
        None => format!("{prefix}-{slot}"),
        Some(id) if id.chars().count() <= MAX_REQUEST_ID => format!("{prefix}-{slot}-{id}"),
        Some(id) => {
            let begin: String = id.chars().take(MAX_REQUEST_ID - 17).collect();
            format!("{prefix}-{slot}-{begin}-{:016x}", hash(id, 0))
        }
    }
}

/// The delay of a slot: less than or equal to `jitter_ms`, and before the next slot. The same in all processes and
/// releases.
pub(super) fn delay(id: &str, slot_ms: i64, next_ms: Option<i64>, jitter_ms: u64) -> i64 {
    let gap =
        next_ms.map_or(u64::MAX, |next| next.saturating_sub(slot_ms).saturating_sub(1).max(0).unsigned_abs());
    let most = jitter_ms.min(gap).min(i64::MAX as u64);
    if most == 0 {
        return 0;
    }
    i64::try_from(hash(id, slot_ms) % (most + 1)).unwrap_or(0)
}

/// FNV-1a of the text and the number, mixed as SplitMix64 does (Steele, Lea, Flood 2014).
fn hash(text: &str, number: i64) -> u64 {
    let bytes = text.bytes().chain(number.to_le_bytes());
    let fnv = bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mixed = (fnv ^ fnv >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}
