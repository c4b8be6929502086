//! Memory for what was received: pieces of a few sizes, kept for the next one who needs some.
//!
//! A stream without input holds none. A piece goes back as soon as it is empty, so that the streams of a thread
//! share as much memory as their input takes at one time.

use std::cell::RefCell;

/// The sizes of pieces, and how many of each a thread keeps: 1.5 MiB at most together.
const SIZES: [usize; 4] = [512, 4 * 1024, 16 * 1024, 64 * 1024];
const KEPT: [usize; 4] = [1024, 64, 16, 8];

/// The largest piece that is kept.
pub(super) const LARGEST: usize = SIZES[3];

/// From so much at a time on, input is received into a piece of the largest size without a copy. Less would keep too
/// much memory for what is in it.
pub(super) const BULK: usize = LARGEST / 4;

/// What almost all messages fit in.
const SMALL: usize = SIZES[0];

thread_local! {
    static POOL: RefCell<[Vec<Box<[u8]>>; 4]> =
        const { RefCell::new([const { Vec::new() }; 4]) };
}

/// A piece of memory, of which the part from `start` to `end` is filled.
#[derive(Default)]
pub(super) struct Chunk {
    memory: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Chunk {
    /// An empty one with room for at least `room` bytes.
    #[inline]
    pub(super) fn with_room(room: usize) -> Self {
        let memory = if room <= SMALL { take(0) } else { take_large(room) };
        Self { memory, start: 0, end: 0 }
    }

    /// A copy of `data` in no more memory than that takes.
    pub(super) fn exactly(data: &[u8]) -> Self {
        Self { memory: data.into(), start: 0, end: data.len() }
    }

    #[inline]
    pub(super) fn data(&self) -> &[u8] {
        &self.memory[self.start..self.end]
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// How many bytes it could hold.
    pub(super) fn capacity(&self) -> usize {
        self.memory.len()
    }

    /// The memory behind what is filled.
    pub(super) fn spare(&mut self) -> &mut [u8] {
        &mut self.memory[self.end..]
    }

    /// The first `count` bytes of the spare memory were filled.
    pub(super) fn add(&mut self, count: usize) {
        self.end = (self.end + count).min(self.memory.len());
    }

    /// Appends all of `data` if there is room for it; else nothing.
    #[inline]
    pub(super) fn append_all(&mut self, data: &[u8]) -> bool {
        let end = self.end + data.len();
        match self.memory.get_mut(self.end..end) {
            Some(room) => {
                room.copy_from_slice(data);
                self.end = end;
                true
            }
            None => false,
        }
    }

    /// Appends as much of `data` as there is room for. Returns how much that was.
    pub(super) fn append(&mut self, data: &[u8]) -> usize {
        let count = data.len().min(self.memory.len() - self.end);
        self.append_all(&data[..count]);
        count
    }

    /// Takes the first `count` bytes away. An empty one gives its memory back.
    #[inline]
    pub(super) fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.len());
        self.start += count;
        if self.start >= self.end {
            self.release();
        }
    }

    /// Makes room for `more` bytes behind what is filled, which is moved or copied for it. The memory at least
    /// doubles when it has to grow, so that filling it bit by bit copies each byte a few times only.
    pub(super) fn make_room(&mut self, more: usize) {
        let length = self.len();
        if self.memory.len() - self.end >= more {
            return;
        }
        if self.memory.len() >= 2 * length + more {
            self.memory.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, length);
            return;
        }
        let mut larger = Self::with_room((length + more).max(2 * length));
        larger.append(self.data());
        *self = larger;
    }

    /// What is filled, as memory of its own.
    pub(super) fn into_vec(mut self) -> Vec<u8> {
        if SIZES.contains(&self.memory.len()) {
            return self.data().to_vec();
        }
        let mut bytes = std::mem::take(&mut self.memory).into_vec();
        bytes.truncate(self.end);
        bytes.drain(..self.start);
        (self.start, self.end) = (0, 0);
        bytes
    }

    /// Gives its memory back.
    #[inline]
    fn release(&mut self) {
        (self.start, self.end) = (0, 0);
        let memory = std::mem::take(&mut self.memory);
        if memory.len() == SMALL {
            give(memory, 0);
        } else {
            give_large(memory);
        }
    }
}

impl Drop for Chunk {
    #[inline]
    fn drop(&mut self) {
        if !self.memory.is_empty() {
            self.release();
        }
    }
}

/// Memory of a size: kept, or new.
#[inline]
fn take(class: usize) -> Box<[u8]> {
    let kept = POOL.try_with(|pool| pool.borrow_mut()[class].pop());
    match kept {
        Ok(Some(memory)) => memory,
        _ => new(SIZES[class]),
    }
}

#[cold]
fn new(size: usize) -> Box<[u8]> {
    vec![0; size].into()
}

#[cold]
fn take_large(room: usize) -> Box<[u8]> {
    SIZES.iter().position(|size| *size >= room).map_or_else(|| new(room), take)
}

/// Keeps memory, if there is not enough of its size already.
#[inline]
fn give(memory: Box<[u8]>, class: usize) {
    // A thread that ends has no pool any more: the memory is freed.
    let _ = POOL.try_with(|pool| {
        let kept = &mut pool.borrow_mut()[class];
        if kept.len() < KEPT[class] {
            kept.push(memory);
        }
    });
}

#[cold]
fn give_large(memory: Box<[u8]>) {
    if let Some(class) = SIZES.iter().position(|size| *size == memory.len()) {
        give(memory, class);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(data: &[u8]) -> Chunk {
        let mut chunk = Chunk::with_room(data.len());
        assert_eq!(chunk.append(data), data.len());
        chunk
    }

    #[test]
    fn a_piece_is_as_large_as_the_next_size_and_goes_back_when_it_is_empty() {
        for (room, capacity) in
            [(0, 512), (512, 512), (513, 4096), (65_536, 65_536), (65_537, 65_537)]
        {
            assert_eq!(Chunk::with_room(room).capacity(), capacity);
        }
        let mut chunk = filled(b"hello");
        chunk.consume(2);
        assert_eq!(chunk.data(), b"llo");
        chunk.consume(3);
        assert_eq!(chunk.capacity(), 0, "it holds no memory");
        assert!(POOL.with_borrow(|pool| !pool[0].is_empty()), "it is there for the next one");
    }

    #[test]
    fn no_more_is_kept_than_is_meant_to_be() {
        let many: Vec<_> = (0..2 * KEPT[2]).map(|_| Chunk::with_room(SIZES[2])).collect();
        drop(many);
        assert_eq!(POOL.with_borrow(|pool| pool[2].len()), KEPT[2]);
    }

    #[test]
    fn room_is_made_by_moving_where_that_is_enough_and_by_doubling_where_not() {
        let mut chunk = filled(&[1; 500]);
        chunk.consume(490);
        chunk.make_room(400);
        assert_eq!((chunk.capacity(), chunk.len()), (512, 10), "it was moved");
        chunk.make_room(1000);
        assert_eq!((chunk.capacity(), chunk.data()), (4096, &[1; 10][..]));
        let mut chunk = filled(&[2; 70_000]);
        chunk.make_room(1);
        assert_eq!(chunk.capacity(), 140_000);
        assert_eq!(chunk.into_vec(), [2; 70_000]);
        assert_eq!(filled(b"small").into_vec(), b"small");
    }
}
