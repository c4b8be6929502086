/// Xorshift64*: enough to choose places to cut at, and what to change.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// The same numbers for the same bytes.
    pub(super) fn seeded(bytes: &[u8]) -> Self {
        let mix = |seed: u64, &byte: &u8| (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self(bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix) | 1)
    }

    /// A number from 0 to `most`.
    pub(super) fn up_to(&mut self, most: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let scrambled = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        (scrambled % (most as u64 + 1)) as usize
    }

    /// One of some.
    pub(super) fn choose<'a, T>(&mut self, some: &'a [T]) -> Option<&'a T> {
        some.get(self.up_to(some.len().saturating_sub(1)))
    }
}
