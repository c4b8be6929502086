//! Identity of what the loop drives: an index and a generation, never a file descriptor.

use std::fmt;

use mio::Token;

/// The identity of a connection in its loop: never used again for another connection.
///
/// See [`Remote`](crate::Remote) for its use from other threads. On the loop it is a key for maps:
///
/// ```
/// use std::collections::HashMap;
/// use wharf::testing::Recorder;
/// use wharf::{Transport, TransportId};
/// # struct Idle;
/// # impl wharf::Protocol for Idle {
/// #     fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> wharf::Result { Ok(()) }
/// # }
///
/// # fn main() -> wharf::Result {
/// let recorder = Recorder::new(|| Idle)?;
/// let id = recorder.connection().id();
/// let mut names: HashMap<TransportId, &str> = HashMap::new();
/// names.insert(id, "the first");
/// assert!(recorder.event_loop().transport(id).is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransportId(pub(crate) Key);

/// Where something lives in the loop's slots, and which of the slot's successive entries it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl Key {
    /// How many bits of a poll token hold the index; the others hold the generation.
    const INDEX_BITS: u32 = if usize::BITS == 64 { 32 } else { 20 };
    const INDEX_MASK: usize = (1 << Self::INDEX_BITS) - 1;

    /// The most slots a loop can have: tokens must tell them apart, and leave one for the waker.
    pub(crate) const MAX_INDEX: usize = Self::INDEX_MASK - 1;

    /// The bits of a generation that a token can carry.
    pub(crate) const GENERATION_MASK: u32 =
        if usize::BITS == 64 { u32::MAX } else { (1 << (32 - Self::INDEX_BITS)) - 1 };

    pub(crate) fn token(self) -> Token {
        Token(self.index as usize | (self.generation as usize) << Self::INDEX_BITS)
    }

    pub(crate) fn from_token(Token(token): Token) -> Self {
        Self {
            index: (token & Self::INDEX_MASK) as u32,
            generation: (token >> Self::INDEX_BITS) as u32,
        }
    }
}

impl fmt::Debug for TransportId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl fmt::Display for TransportId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.0.index, self.0.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_token() {
        for key in [
            Key { index: 0, generation: 0 },
            Key { index: 7, generation: 1 },
            Key { index: Key::MAX_INDEX as u32, generation: Key::GENERATION_MASK },
        ] {
            assert_eq!(Key::from_token(key.token()), key);
        }
    }
}
