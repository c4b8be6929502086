//! Masking (RFC 6455, 5.3), and where masks come from.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;

/// Masks `bytes` in place, or unmasks them, which is the same. `mask` applies to the first byte.
pub(super) fn apply_mask(mask: [u8; 4], bytes: &mut [u8]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip([a, b, c, d, a, b, c]) {
        *byte ^= key;
    }
}

/// Appends `bytes` to `output`, masked.
pub(super) fn append_masked(mask: [u8; 4], bytes: &[u8], output: &mut Vec<u8>) {
    // In blocks, so that what was copied is still in the cache when it is masked.
    for block in bytes.chunks(BLOCK) {
        let start = output.len();
        output.extend_from_slice(block);
        apply_mask(mask, &mut output[start..]);
    }
}

/// The mask for what follows `count` bytes.
pub(super) fn rotated(mut mask: [u8; 4], count: usize) -> [u8; 4] {
    mask.rotate_left(count % 4);
    mask
}

/// A multiple of four.
const BLOCK: usize = 4096;

/// Where clients take their masks from: each frame needs a new one that nobody can foresee, or else who chooses the
/// payload chooses what is on the wire, and proxies take it for something else (RFC 6455, 10.3).
#[derive(Clone)]
pub struct MaskKeys(Source);

#[derive(Clone)]
enum Source {
    /// A keyed hash of a counter.
    Random {
        state: RandomState,
        counter: u64,
    },
    Fixed([u8; 4]),
}

impl MaskKeys {
    /// Masks that nobody can foresee: keyed with the operating system's random numbers.
    pub fn random() -> Self {
        Self(Source::Random { state: RandomState::new(), counter: 0 })
    }

    /// Always the same mask: for tests that compare bytes.
    pub const fn fixed(mask: [u8; 4]) -> Self {
        Self(Source::Fixed(mask))
    }

    /// The mask for the next frame.
    pub(super) fn next_mask(&mut self) -> [u8; 4] {
        (self.next_word() as u32).to_ne_bytes()
    }

    /// The nonce of an opening handshake (RFC 6455, 4.1).
    pub(super) fn nonce(&mut self) -> [u8; 16] {
        let mut nonce = [0; 16];
        for half in nonce.as_chunks_mut::<8>().0 {
            *half = self.next_word().to_ne_bytes();
        }
        nonce
    }

    fn next_word(&mut self) -> u64 {
        match &mut self.0 {
            Source::Random { state, counter } => {
                *counter += 1;
                state.hash_one(*counter)
            }
            Source::Fixed(mask) => u64::from(u32::from_ne_bytes(*mask)),
        }
    }
}

impl fmt::Debug for MaskKeys {
    /// Says nothing of the keys.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("MaskKeys").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn masks_as_byte_by_byte(
            mask in any::<[u8; 4]>(),
            bytes in proptest::collection::vec(any::<u8>(), 0..100),
            cut in 0_usize..100,
        ) {
            let expected: Vec<u8> =
                bytes.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]).collect();
            let (head, tail) = bytes.split_at(cut.min(bytes.len()));
            let mut masked = Vec::new();
            append_masked(mask, head, &mut masked);
            append_masked(rotated(mask, head.len()), tail, &mut masked);
            prop_assert_eq!(&masked, &expected);
            apply_mask(mask, &mut masked);
            prop_assert_eq!(masked, bytes);
        }
    }

    #[test]
    fn blocks_keep_the_phase() {
        let bytes = vec![0; 3 * BLOCK + 5];
        let mut masked = Vec::new();
        append_masked([1, 2, 3, 4], &bytes, &mut masked);
        assert!(masked.iter().enumerate().all(|(at, &byte)| usize::from(byte) == at % 4 + 1));
    }

    #[test]
    fn random_masks_differ() {
        let mut keys = MaskKeys::random();
        let masks: std::collections::BTreeSet<_> = (0..1000).map(|_| keys.next_mask()).collect();
        assert!(masks.len() > 990, "{}", masks.len());
        assert_ne!(MaskKeys::random().nonce(), MaskKeys::random().nonce());
    }
}
