//! Where urgent data is.

/// Where urgent data is among what is written: pseudorandom, the same for equal seeds.
#[derive(Clone, Copy)]
pub(in crate::driver::memory) struct Marks(u64);

impl Marks {
    pub(in crate::driver::memory) fn new(seed: u64) -> Self {
        // Of zero nothing else would come.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Those of the next connection.
    pub(super) fn split(&mut self) -> Self {
        Self::new(self.next())
    }

    /// Where in a write of `len` bytes urgent data follows, if it does.
    pub(super) fn place(&mut self, len: usize) -> Option<usize> {
        let number = self.next();
        let within = usize::try_from(number >> 33).unwrap_or(0) % (len + 1);
        (number & 3 != 0).then_some(within)
    }

    fn next(&mut self) -> u64 {
        // Xorshift.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
