//! Where output is made before it goes to the socket.

use rustls::Error;

use super::session::Written;

/// What full records of the most that one callback gathers take.
const CAPACITY: usize = 72 * 1024;

/// Above this the memory is given back after use.
const KEPT: usize = 256 * 1024;

/// Memory that is written from the front, and used again and again.
#[derive(Default)]
pub(crate) struct Scratch {
    /// All of it initialised: the records are written into a slice.
    memory: Vec<u8>,
    len: usize,
}

impl Scratch {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.memory[..self.len]
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
        if self.memory.len() > KEPT {
            self.memory = Vec::new();
        }
    }

    /// Lets `write` append to what is there; it says how much it wrote, or how much room it needs.
    pub(crate) fn append(
        &mut self,
        mut write: impl FnMut(&mut [u8]) -> Written,
    ) -> Result<(), Error> {
        loop {
            match write(&mut self.memory[self.len..])? {
                Ok(written) => {
                    self.len += written;
                    return Ok(());
                }
                Err(needed) => self.make_room(needed),
            }
        }
    }

    /// Has room for so much without being asked again.
    pub(crate) fn reserve(&mut self, len: usize) {
        if self.memory.len() - self.len < len {
            self.make_room(len);
        }
    }

    pub(crate) fn append_bytes(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.memory[self.len..][..bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn make_room(&mut self, needed: usize) {
        let len = (self.len + needed).max(CAPACITY);
        self.memory.resize(len.max(self.memory.len() + 1), 0);
    }
}
