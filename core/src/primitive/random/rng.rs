//! The generator of an execution's random values.

/// The execution's generator: SplitMix64 (Steele, Lea, Flood 2014). It is written here and must never change.
/// Open runs depend on its exact numbers, which a library may change between versions.
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
