//! The buffer of one direction of a connection.

use std::collections::VecDeque;
use std::io::IoSlice;

use super::DEFAULT_CAPACITY;
use super::marks::Marks;

/// What is on its way to one side, or there and not read.
pub(super) struct Buffer {
    /// What was written and not read.
    bytes: VecDeque<u8>,
    /// How many of these have arrived.
    arrived: usize,
    /// How many arrived together, where the links split what was written: a read ends there.
    parts: VecDeque<usize>,
    capacity: usize,
    /// The writer has ended its side: it writes no more.
    pub(super) shut: bool,
    /// The end has arrived.
    pub(super) ended: bool,
    /// The writer found it full, and waits to be told of room.
    pub(super) writer_waits: bool,
    /// It has not been told yet.
    pub(super) awaits_room: bool,
    /// How many bytes are before the mark of urgent data, where a read ends.
    mark: Option<usize>,
    marks: Option<Marks>,
}

impl Buffer {
    /// One that holds no more than so many bytes, and one at least.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            bytes: VecDeque::new(),
            arrived: 0,
            parts: VecDeque::new(),
            capacity: capacity.max(1),
            shut: false,
            ended: false,
            writer_waits: false,
            awaits_room: false,
            mark: None,
            marks: None,
        }
    }

    /// From now on there is urgent data in what is written.
    pub(super) fn set_marks(&mut self, marks: Marks) {
        self.marks = Some(marks);
    }

    pub(super) fn is_urgent(&self) -> bool {
        self.mark.is_some()
    }

    /// How many bytes were written and not read.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// How many more can be written.
    pub(super) fn room(&self) -> usize {
        self.capacity - self.bytes.len()
    }

    /// How many have arrived and were not read.
    pub(super) fn arrived(&self) -> usize {
        self.arrived
    }

    /// How many of these one read brings, if nothing else ends it before.
    pub(super) fn arrived_together(&self) -> usize {
        self.parts.front().copied().unwrap_or(self.arrived)
    }

    /// How many more may arrive.
    #[cfg(feature = "sim")]
    pub(super) fn window(&self) -> usize {
        self.capacity.saturating_sub(self.arrived)
    }

    /// Writes no more than `most` bytes, which is no more than there is [room](Self::room). Returns how many it was.
    pub(super) fn write(&mut self, slices: &[IoSlice<'_>], most: usize) -> usize {
        let before = self.bytes.len();
        let mut written = 0;
        for slice in slices {
            let count = slice.len().min(most - written);
            self.bytes.extend(&slice[..count]);
            written += count;
        }
        if written > 0
            && self.mark.is_none()
            && let Some(marks) = &mut self.marks
        {
            self.mark = marks.place(written).map(|place| before + place);
        }
        written
    }

    /// The next so many bytes that were written have arrived. `apart`: a read does not join them with the next.
    pub(super) fn arrive(&mut self, count: usize, apart: bool) {
        self.arrived += count;
        if apart {
            self.parts.push_back(count);
        }
    }

    /// Reads no more than has [arrived together](Self::arrived_together), and not past a mark of urgent data.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Read {
        let mut count = buffer.len();
        self.mark = match self.mark {
            None | Some(0) => None,
            Some(mark) => {
                count = count.min(mark);
                Some(mark - count)
            }
        };
        let (front, back) = self.bytes.as_slices();
        let from_front = front.len().min(count);
        buffer[..from_front].copy_from_slice(&front[..from_front]);
        buffer[from_front..count].copy_from_slice(&back[..count - from_front]);
        if count == self.bytes.len() {
            self.bytes.clear();
        } else {
            self.bytes.drain(..count);
        }
        self.arrived -= count;
        let is_next_part = self.leave_part(count);
        if self.bytes.is_empty() && self.bytes.capacity() > DEFAULT_CAPACITY {
            self.bytes = VecDeque::new();
        }
        Read { count, is_next_part }
    }

    /// Whether what was read is a whole part, and the next one is there.
    fn leave_part(&mut self, count: usize) -> bool {
        match self.parts.front_mut() {
            Some(part) if *part == count => {
                self.parts.pop_front();
                self.arrived > 0
            }
            Some(part) => {
                *part -= count;
                false
            }
            None => false,
        }
    }
}

/// What a read has brought.
pub(super) struct Read {
    pub(super) count: usize,
    /// More is there, which arrived apart.
    pub(super) is_next_part: bool,
}
