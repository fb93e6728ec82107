//! The numbers of advisory locks and of notified task queues.

use crate::store::NewExecution;
use crate::store::decide::{StartName, start_names};

/// A number that names something for an advisory lock, the same in every process and build: FNV-1a of 64 bits.
pub(super) fn lock_key(schema: &str, what: &str, name: &str) -> i64 {
    let text = ["abide", schema, what, name].join("/");
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, mix).cast_signed()
}

/// The lock of a start's workflow id or request id.
pub(super) fn start_key(schema: &str, name: StartName<'_>) -> i64 {
    match name {
        StartName::Workflow(id) => lock_key(schema, "start", id),
        StartName::Request(id) => lock_key(schema, "request", id),
    }
}

/// All locks of a start.
pub(super) fn start_keys(schema: &str, new: &NewExecution) -> impl Iterator<Item = i64> {
    start_names(new).map(move |name| start_key(schema, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_never_change() {
        assert_eq!(lock_key("abide", "start", "order-1"), -8_578_386_905_196_645_850);
        assert_ne!(lock_key("abide", "start", "order-1"), lock_key("abide", "start", "order-2"));
        assert_ne!(lock_key("abide", "start", "order-1"), lock_key("other", "start", "order-1"));
    }
}
