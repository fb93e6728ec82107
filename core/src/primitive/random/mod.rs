//! Random values that a replay repeats: a sequence from the execution's own seed. History records no event
//! for them.

pub(crate) mod rng;

use crate::exec::context;
use std::ops::Range;

fn next() -> u64 {
    let ctx = context::expect("workflow::random");
    // A query would advance the workflow's sequence. A replay runs no query, so its sequence would differ.
    ctx.refuse_in_query(format_args!("drew a random value"));
    ctx.tables.rng.borrow_mut().next()
}

/// A type of which [`random`] can return a value.
pub trait Random: Sized {
    #[doc(hidden)]
    fn from_bits(bits: u64) -> Self;
}

macro_rules! random_ints {
    ($($int:ty)*) => {$(
        impl Random for $int {
            #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_lossless)]
            fn from_bits(bits: u64) -> Self {
                bits as $int
            }
        }
    )*};
}
random_ints!(u8 u16 u32 u64 usize i8 i16 i32 i64 isize);

impl Random for bool {
    fn from_bits(bits: u64) -> Self {
        bits >> 63 == 1
    }
}

impl Random for f64 {
    fn from_bits(bits: u64) -> Self {
        (bits >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Returns a random value that is the same on replay: integers over their whole range, `f64` in `[0, 1)`,
/// `bool`.
pub fn random<T: Random>() -> T {
    T::from_bits(next())
}

/// Returns a random number in `range` that is the same on replay. An empty range returns its start.
pub fn random_range(range: Range<u64>) -> u64 {
    let width = range.end.saturating_sub(range.start);
    if width == 0 {
        return range.start;
    }
    // Lemire's multiply-shift. The bias is below 2^-32 for a width below 2^32.
    range.start + ((u128::from(next()) * u128::from(width)) >> 64) as u64
}

/// Returns a random UUID (in the format of version 4) that is the same on replay.
pub fn uuid() -> uuid::Uuid {
    let bits = (u128::from(next()) << 64) | u128::from(next());
    uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
}
