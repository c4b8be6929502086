//! What was received and not read yet.

use std::collections::VecDeque;

use super::chunk::{Chunk, LARGEST};

/// Pieces in the order in which they came. Most of the time there is one, or none.
#[derive(Default)]
pub(super) struct Incoming {
    first: Chunk,
    /// There from the first time on that one piece was not enough.
    #[expect(clippy::box_collection, reason = "most streams never have it: a pointer is small")]
    others: Option<Box<VecDeque<Chunk>>>,
}

impl Incoming {
    /// Appends a copy of `data`, of at least one byte.
    #[inline]
    pub(super) fn push(&mut self, data: &[u8]) {
        if self.first.is_empty() {
            self.first = Chunk::with_room(data.len().min(LARGEST));
        }
        if self.others.is_some() || !self.first.append_all(data) {
            self.push_more(data);
        }
    }

    /// Appends what there is no room for in the first piece. Of many small fills, each piece is larger than the one
    /// before.
    #[cold]
    fn push_more(&mut self, data: &[u8]) {
        let last = match &mut self.others {
            Some(others) => others.back_mut().unwrap_or(&mut self.first),
            None => &mut self.first,
        };
        let mut capacity = last.capacity();
        let count = last.append(data);
        let mut rest = &data[count..];
        while !rest.is_empty() {
            let mut chunk = Chunk::with_room(rest.len().max(capacity + 1).min(LARGEST));
            capacity = chunk.capacity();
            let count = chunk.append(rest);
            rest = &rest[count..];
            self.push_chunk(chunk);
        }
    }

    /// Appends a filled piece.
    pub(super) fn push_chunk(&mut self, chunk: Chunk) {
        if self.first.is_empty() {
            self.first = chunk;
        } else {
            self.others.get_or_insert_default().push_back(chunk);
        }
    }

    /// Copies as much as there is room for into `buffer`, and takes it away.
    #[inline]
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> usize {
        let count = self.first.len().min(buffer.len());
        if count == 0 {
            return 0;
        }
        buffer[..count].copy_from_slice(&self.first.data()[..count]);
        self.first.consume(count);
        if self.others.is_some() { self.read_others(buffer, count) } else { count }
    }

    #[cold]
    fn read_others(&mut self, buffer: &mut [u8], mut count: usize) -> usize {
        loop {
            if self.first.is_empty() {
                self.take_next();
            }
            let part = self.first.len().min(buffer.len() - count);
            if part == 0 {
                return count;
            }
            buffer[count..count + part].copy_from_slice(&self.first.data()[..part]);
            self.first.consume(part);
            count += part;
        }
    }

    /// Takes the first piece; `None`: there is nothing.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<Chunk> {
        if self.first.is_empty() {
            return None;
        }
        let first = std::mem::take(&mut self.first);
        if self.others.is_some() {
            self.take_next();
        }
        Some(first)
    }

    #[cold]
    fn take_next(&mut self) {
        self.first = self.others.as_mut().and_then(|others| others.pop_front()).unwrap_or_default();
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
        let others = incoming.others.map_or(0, |others| others.len());
        assert!(others < 4, "{} pieces", others + 1);
    }
}
