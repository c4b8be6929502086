//! What was received and not read yet.

use std::collections::VecDeque;

use super::chunk::{Chunk, LARGEST};

/// Pieces in the order in which they came. Most of the time there is one, or none.
#[derive(Default)]
pub(super) struct Incoming {
    first: Chunk,
    others: VecDeque<Chunk>,
}

impl Incoming {
    /// Appends a copy of `data`.
    #[inline]
    pub(super) fn push(&mut self, data: &[u8]) {
        let last = self.others.back_mut().unwrap_or(&mut self.first);
        let count = last.append(data);
        if count < data.len() {
            self.push_rest(&data[count..]);
        }
    }

    /// Appends what there was no room for, in a new piece. Of many small fills, each piece is larger than the one
    /// before.
    fn push_rest(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let last = self.others.back().unwrap_or(&self.first);
            let room = data.len().max(last.capacity() + 1).min(LARGEST);
            let mut chunk = Chunk::with_room(room);
            let count = chunk.append(data);
            data = &data[count..];
            self.push_chunk(chunk);
        }
    }

    /// Appends a filled piece.
    pub(super) fn push_chunk(&mut self, chunk: Chunk) {
        if self.first.is_empty() {
            self.first = chunk;
        } else {
            self.others.push_back(chunk);
        }
    }

    /// Takes the first piece; `None`: there is nothing.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Chunk> {
        if self.first.is_empty() {
            return None;
        }
        let next = self.others.pop_front().unwrap_or_default();
        Some(std::mem::replace(&mut self.first, next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(incoming: &mut Incoming) -> Vec<u8> {
        let mut read = Vec::new();
        while let Some(chunk) = incoming.pop() {
            read.extend_from_slice(chunk.data());
        }
        read
    }

    #[test]
    fn what_came_is_read_in_order_however_it_came() {
        let data: Vec<u8> = (0..300_000_u32).map(|number| number as u8).collect();
        for step in [1, 7, 100, 511, 513, 70_000, 300_000] {
            let mut incoming = Incoming::default();
            for part in data.chunks(step) {
                incoming.push(part);
            }
            assert_eq!(read(&mut incoming), data, "in steps of {step}");
            assert!(incoming.pop().is_none());
        }
    }

    #[test]
    fn many_small_fills_take_few_pieces() {
        let mut incoming = Incoming::default();
        for _ in 0..64 * 1024 {
            incoming.push(b"x");
        }
        assert!(incoming.others.len() < 4, "{} pieces", incoming.others.len() + 1);
    }
}
