use std::fmt;

use serde::Serialize;
use wharf::Transport;

use super::codec::WireError;

/// How much is gathered before it goes out, in bytes.
const FULL: usize = 64 * 1024;
/// What a buffer that is empty may keep, in bytes.
const KEPT: usize = 256 * 1024;

/// Messages for a peer that go out together: what is said in one turn of the loop costs one system call and, at the other
/// end, one wake-up.
///
/// What was not written when it is dropped is lost.
#[derive(Default)]
pub struct Outbox {
    frames: Vec<u8>,
}

impl Outbox {
    /// One for a new connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is nothing to be written.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Whether there is so much that it should not wait for more.
    pub fn is_full(&self) -> bool {
        self.frames.len() >= FULL
    }

    /// Adds a message.
    ///
    /// # Errors
    /// It is longer than [`MAX_LENGTH`](super::MAX_LENGTH), and is not added.
    pub fn push(&mut self, message: &impl Serialize) -> Result<(), WireError> {
        let begin = self.frames.len();
        self.frames.extend_from_slice(&[0; 4]);
        let encoded = serde_json::to_writer(&mut self.frames, message);
        let checked = encoded.map_err(|error| WireError::new(error.to_string()));
        let length = self.frames.len() - begin - 4;
        let checked = checked.and_then(|()| WireError::check_length(length));
        match checked {
            Ok(length) => self.frames[begin..begin + 4].copy_from_slice(&length.to_be_bytes()),
            Err(_) => self.frames.truncate(begin),
        }
        checked.map(drop)
    }

    /// Adds a message that is JSON already, by [`encode`](super::encode()).
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn push_json(&mut self, json: &[u8]) -> Result<(), WireError> {
        let length = WireError::check_length(json.len())?;
        self.frames.extend_from_slice(&length.to_be_bytes());
        self.frames.extend_from_slice(json);
        Ok(())
    }

    /// Forgets what there is: the connection is another.
    pub fn clear(&mut self) {
        self.frames.clear();
        self.frames.shrink_to(KEPT);
    }

    /// Writes what there is.
    pub fn write_to(&mut self, transport: &dyn Transport) {
        if !self.frames.is_empty() {
            transport.write(&self.frames);
            self.clear();
        }
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Outbox").field("bytes", &self.frames.len()).finish()
    }
}
