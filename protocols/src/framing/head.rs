use std::ops::Deref;

/// What comes before a payload, without an allocation.
pub(super) struct Head {
    bytes: [u8; MOST],
    length: usize,
}

/// The longest is that of a netstring: 20 digits and a colon.
const MOST: usize = 21;

impl Head {
    /// A copy of `bytes`, of which there may be 21.
    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut head = Self { bytes: [0; MOST], length: bytes.len() };
        head.bytes[..bytes.len()].copy_from_slice(bytes);
        head
    }
}

impl Deref for Head {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}
