//! What is said: bytes that follow from the first four.

/// What a client says, and hears from the server.
pub(super) struct Speech(Vec<u8>);

impl Speech {
    /// Of this many bytes, and the head. Speeches of different keys differ in all bytes.
    pub(super) fn new(key: u8, amount: usize) -> Self {
        let [low, middle, high, ..] = amount.to_le_bytes();
        let head = [key, low, middle, high];
        let said = (0..amount).map(|index| byte(key, HEAD + index));
        Self(head.into_iter().chain(said).collect())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has these bytes there.
    pub(super) fn has(&self, at: usize, bytes: &[u8]) -> bool {
        self.0.get(at..at + bytes.len()) == Some(bytes)
    }
}

/// Who hears a speech, and knows from its head how it goes on.
#[derive(Default)]
pub(super) struct Listener {
    head: Vec<u8>,
    heard: usize,
}

impl Listener {
    /// Whether this is how it goes on.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> bool {
        let mut is_right = true;
        for byte_heard in bytes {
            if self.heard < HEAD {
                self.head.push(*byte_heard);
            } else {
                is_right &= *byte_heard == byte(self.head[0], self.heard);
            }
            self.heard += 1;
        }
        is_right && self.length().is_none_or(|length| self.heard <= length)
    }

    /// Whether that was all of it.
    pub(super) fn has_all(&self) -> bool {
        self.length() == Some(self.heard)
    }

    fn length(&self) -> Option<usize> {
        let [_, low, middle, high] = *self.head.as_slice() else { return None };
        Some(HEAD + usize::from(low) + (usize::from(middle) << 8) + (usize::from(high) << 16))
    }
}

const HEAD: usize = 4;

fn byte(key: u8, index: usize) -> u8 {
    // A period that no buffer's length is a multiple of.
    (index % 251) as u8 ^ (index / 251) as u8 ^ key
}
