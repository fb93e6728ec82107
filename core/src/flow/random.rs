//! Randomness that a replay repeats: a sequence from the execution's own seed. Nothing is logged for it.

use crate::exec::context;
use std::ops::Range;

/// The execution's generator: SplitMix64 (Steele, Lea, Flood 2014). Written here and never to be changed: open runs
/// depend on its very numbers, which a library may alter between versions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn reseed(&mut self, seed: u64) {
        self.0 = seed;
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn next() -> u64 {
    let ctx = context::expect("workflow::random");
    // The workflow's own sequence would go on, and a replay, where nobody asks, would not.
    ctx.refuse_in_query(format_args!("drew a random value"));
    ctx.rng.borrow_mut().next()
}

/// A type that [`random`] can draw.
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

/// A random value that is the same on replay: integers over their whole range, `f64` in `[0, 1)`, `bool`.
pub fn random<T: Random>() -> T {
    T::from_bits(next())
}

/// A random number in `range`, the same on replay. An empty range gives its start.
pub fn random_range(range: Range<u64>) -> u64 {
    let width = range.end.saturating_sub(range.start);
    if width == 0 {
        return range.start;
    }
    // Lemire's multiply-shift: the bias is below 2^-32 for any width that people use.
    range.start + ((u128::from(next()) * u128::from(width)) >> 64) as u64
}

/// A random UUID (version 4 in shape) that is the same on replay.
pub fn uuid() -> uuid::Uuid {
    let bits = (u128::from(next()) << 64) | u128::from(next());
    uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
}
