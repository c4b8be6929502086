//! The input of a stream: what its protocol is given, and its reader takes.

use std::task::{Context, Waker};

use super::super::chunk::{BULK, Chunk};
use super::{ENDS, Link, State};
use crate::error::Error;
use crate::task::Waits;
use crate::transport::{Access as _, Transport};

// What the protocol tells.
impl Link {
    #[inline]
    pub(in crate::streams) fn received(&self, transport: &dyn Transport, data: &[u8]) {
        if self.has(State::READER_GONE) {
            return;
        }
        self.incoming.borrow_mut().push(data);
        if data.len() >= BULK {
            // The next ones need no copy.
            self.set_buffered(true);
        }
        self.note_received(transport, data.len());
    }

    /// A piece was received, which may be kept as it is.
    pub(in crate::streams) fn received_chunk(&self, transport: &dyn Transport, chunk: Chunk) {
        if self.has(State::READER_GONE) {
            return;
        }
        let count = chunk.len();
        if count >= BULK {
            self.incoming.borrow_mut().push_chunk(chunk);
        } else {
            self.incoming.borrow_mut().push(chunk.data());
            self.set_buffered(false);
        }
        self.note_received(transport, count);
    }

    #[cold]
    fn set_buffered(&self, on: bool) {
        if self.with(|stream| stream.set_buffered(on)) == Some(true) {
            self.set(State::BULK);
        } else {
            self.clear(State::BULK);
        }
    }

    #[inline]
    pub(in crate::streams) fn note_received(&self, transport: &dyn Transport, count: usize) {
        let held = self.held.get() + count;
        self.held.set(held);
        if held > self.limit.get() {
            self.set(State::READING_PAUSED);
            transport.pause_reading();
        }
        self.wake_reader();
    }

    pub(in crate::streams) fn ended(&self) {
        self.set(State::EOF);
        self.wake_reader();
    }

    #[inline]
    pub(super) fn wake_reader(&self) {
        if self.has(State::READER_WAITS) {
            self.clear(State::READER_WAITS);
            let Some(waker) = self.reader.take() else { return };
            self.core.run_caught("a waker failed", || waker.wake_by_ref());
            let other = self.reader.replace(Some(waker));
            if other.is_some() {
                // The task was polled meanwhile, with another waker.
                self.drop_waker(self.reader.replace(other));
            }
        }
    }
}

// What the reader asks for.
impl Link {
    /// The next piece of input, which still counts as held.
    #[inline]
    pub(in crate::streams) fn pop(&self) -> Option<Chunk> {
        self.incoming.borrow_mut().pop()
    }

    /// Takes what there is room for in `buffer` out of what was received. The reader's front is empty.
    #[inline]
    pub(in crate::streams) fn read(&self, buffer: &mut [u8]) -> usize {
        let count = self.incoming.borrow_mut().read(buffer);
        if count > 0 {
            self.consumed(count);
        }
        count
    }

    /// The reader has used up so many bytes.
    #[inline]
    pub(in crate::streams) fn consumed(&self, count: usize) {
        self.held.set(self.held.get() - count);
        if self.has(State::READING_PAUSED) {
            self.resume_reading_below_limit();
        }
    }

    #[cold]
    pub(super) fn resume_reading_below_limit(&self) {
        if self.held.get() <= self.limit.get() {
            self.resume();
        }
    }

    #[cold]
    fn resume(&self) {
        if self.has(State::READING_PAUSED) {
            self.clear(State::READING_PAUSED);
            Transport::resume_reading(self);
        }
    }

    /// Whether no more input comes, and why. A shutdown ends the input only of a reader that `holds` nothing.
    #[inline]
    pub(in crate::streams) fn end(&self, holds: bool) -> Option<Result<(), Error>> {
        if self.has(ENDS) { self.end_of_some_kind(holds) } else { None }
    }

    #[cold]
    fn end_of_some_kind(&self, holds: bool) -> Option<Result<(), Error>> {
        if self.has(State::EOF) {
            return Some(Ok(()));
        }
        if self.has(State::LOST) {
            return Some(self.error().map_or(Ok(()), Err));
        }
        (!holds && !self.has(State::WAITS_IN_SHUTDOWN)).then_some(Ok(()))
    }

    /// The reader waits until there is more. What it waits for is read, even if it holds more than the limit.
    #[inline]
    pub(in crate::streams) fn wait_for_input(&self, context: &Context<'_>) {
        if self.has(State::READING_PAUSED) {
            self.resume();
        }
        self.set(State::READER_WAITS);
        self.core.tasks.note_wait(Waits::Input(self.id()));
        let known = self.reader.take();
        match known {
            Some(known) if known.will_wake(context.waker()) => self.reader.set(Some(known)),
            other => self.replace_waker(other, context.waker()),
        }
    }

    #[cold]
    fn replace_waker(&self, former: Option<Waker>, waker: &Waker) {
        let other = self.reader.replace(Some(waker.clone()));
        self.drop_waker(former);
        self.drop_waker(other);
    }

    pub(in crate::streams) fn reader_dropped(&self) {
        self.set(State::READER_GONE);
        self.clear(State::READER_WAITS);
        self.drop_waker(self.reader.take());
        let unread = self.incoming.take();
        drop(unread);
        if self.has(State::WRITER_GONE) {
            Transport::close(self);
        } else {
            Transport::pause_reading(self);
        }
    }
}
