//! The output of a stream: what its writer asks for.

#[cfg(feature = "hyper")]
use std::io::IoSlice;

use super::{Link, State};
use crate::error::Error;
use crate::transport::{Transport, WriteStatus, closed};

/// How much a writer may have taken by the system before others have their turn.
const BYTES_PER_TURN: u32 = 1024 * 1024;

impl Link {
    pub(in crate::streams) fn resumed_writing(&self) {
        self.clear(State::WRITING_PAUSED);
        self.resumes.set(self.resumes.get().wrapping_add(1));
        self.waiting.wake_all(&self.core);
    }

    /// The stream itself, as long as the connection is there: no look-up.
    #[inline]
    pub(in crate::streams) fn write_now(&self, data: &[u8]) -> WriteStatus {
        match &*self.stream.borrow() {
            Some(stream) => stream.write_now(&self.core, data),
            None => WriteStatus::Closed,
        }
    }

    /// As [`write_now`](Self::write_now), of several slices with one system call.
    #[cfg(feature = "hyper")]
    #[inline]
    pub(in crate::streams) fn write_slices_now(&self, slices: &[IoSlice<'_>]) -> WriteStatus {
        match &*self.stream.borrow() {
            Some(stream) => stream.write_slices_now(&self.core, slices),
            None => WriteStatus::Closed,
        }
    }

    /// Whether the writer has had so much taken that others must have their turn.
    #[inline]
    pub(in crate::streams) fn must_yield(&self, count: usize) -> bool {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let written = self.written.get().saturating_add(count);
        let is_much = written > BYTES_PER_TURN;
        self.written.set(if is_much { 0 } else { written });
        is_much
    }

    /// Whether others must have their turn before `count` bytes are written: once, however many they are.
    #[inline]
    pub(in crate::streams) fn must_yield_before(&self, count: usize) -> bool {
        self.must_yield(count.min(BYTES_PER_TURN as usize))
    }

    /// Whether a writer may go on: `None`, not yet.
    pub(in crate::streams) fn drained(&self) -> Option<Result<(), Error>> {
        if self.has(State::LOST) {
            return Some(Err(self.closed()));
        }
        if Transport::is_closing(self) && !self.has(State::CLOSED_HERE) {
            return Some(Err(self.closed()));
        }
        (!self.has(State::WRITING_PAUSED)).then_some(Ok(()))
    }

    /// Why nothing can be written any more.
    #[cold]
    pub(in crate::streams) fn closed(&self) -> Error {
        closed(self)
    }

    pub(in crate::streams) fn close_here(&self) {
        self.set(State::CLOSED_HERE);
        Transport::close(self);
    }

    pub(in crate::streams) fn writer_dropped(&self) {
        self.set(State::WRITER_GONE);
        if self.has(State::READER_GONE) {
            Transport::close(self);
        } else {
            Transport::write_eof(self);
        }
    }
}
