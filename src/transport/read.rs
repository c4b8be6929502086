//! The read side: what an event leads to.

use std::io;
use std::rc::Rc;

use bytes::Bytes;

use super::stream::{Flags, Stream};
use crate::error::{Error, Result};
use crate::event_loop::Core;
use crate::protocol::{Eof, Protocol, empty_buffer};
use crate::transport::Transport;

/// How often one stream is read before the others have their turn.
const READS_PER_TURN: u32 = 4;

/// What stops reading.
const NOT_READING: Flags =
    Flags::PAUSED.and(Flags::HELD).and(Flags::EOF).and(Flags::CLOSING).and(Flags::LOST);

/// With any of these said, only an error or the end shows that all input was read.
const HANGING_UP: Flags = Flags::READ_CLOSED.and(Flags::WRITE_CLOSED).and(Flags::ERROR);

/// What one system call brought.
enum Read {
    Data,
    Eof,
    WouldBlock,
    Failed(io::Error),
}

impl Stream {
    /// Does what the stream is ready for; writes before reads, so that output drains before more
    /// input produces more of it.
    pub(crate) fn dispatch(self: &Rc<Self>, core: &Rc<Core>) {
        self.clear(Flags::QUEUED);
        if self.has(Flags::LOST) {
            return;
        }
        if self.is_unsettled() || (self.has(Flags::WRITABLE) && !self.queue.borrow().is_empty()) {
            self.settle(core);
        }
        if self.is_reading() {
            if self.has(HANGING_UP) {
                self.set(Flags::READABLE);
            }
            self.read(core);
        } else if self.has(Flags::DISCARDING) {
            self.discard_input(core);
        } else if self.has(Flags::ERROR) {
            self.note_error(core);
        }
    }

    #[inline]
    pub(super) fn is_reading(&self) -> bool {
        !self.has(NOT_READING)
    }

    pub(super) fn resume_reading(self: &Rc<Self>, core: &Core) {
        if self.has(Flags::PAUSED) {
            self.clear(Flags::PAUSED);
            if self.has(Flags::READABLE.and(Flags::LEFTOVER)) {
                self.enqueue(core);
            }
        }
    }

    pub(super) fn hold_reading(&self) {
        if self.has(Flags::OVERFLOWED_IN_READ) {
            self.set(Flags::HELD);
        }
    }

    #[inline]
    fn read(self: &Rc<Self>, core: &Rc<Core>) {
        if self.has(Flags::LEFTOVER) {
            self.deliver_leftover(core);
            if !self.is_reading() {
                return;
            }
        }
        let mut turns = 0;
        while self.has(Flags::READABLE) && self.is_reading() {
            if turns == READS_PER_TURN || self.has(Flags::LEFTOVER) {
                return self.enqueue(core);
            }
            turns += 1;
            let read = if self.has(Flags::BUFFERED) {
                self.read_into_protocol(core)
            } else {
                self.read_into_loop(core)
            };
            match read {
                Some(Read::Data) | None => {}
                Some(Read::WouldBlock) => {
                    self.clear(Flags::READABLE);
                    if self.has(Flags::ERROR.and(Flags::WRITE_FAILED)) {
                        self.end_of_input(core, None);
                    }
                }
                Some(Read::Eof) => self.eof(core),
                Some(Read::Failed(error)) => self.end_of_input(core, Some(error)),
            }
        }
    }

    /// Reads into the loop's buffer and lends it to the protocol.
    #[inline]
    fn read_into_loop(self: &Rc<Self>, core: &Rc<Core>) -> Option<Read> {
        let mut buffer = core.take_read_buffer();
        let result = self.with_socket(|socket| socket.read(&mut buffer));
        let read = self.note_read(core, result, buffer.len());
        let read = match read {
            Ok(count) => {
                self.call_in_read(core, "data_received", |protocol, transport| {
                    let data = &buffer[..count];
                    core.unread.set(0);
                    let result = protocol.data_received(transport, data);
                    if core.unread.get() > 0 {
                        self.take_back(core, count, |rest| Bytes::copy_from_slice(&data[rest..]));
                    }
                    result
                });
                Read::Data
            }
            Err(read) => read,
        };
        core.give_read_buffer_back(buffer);
        Some(read)
    }

    /// Reads into the memory of a `BufferedProtocol`.
    fn read_into_protocol(self: &Rc<Self>, core: &Rc<Core>) -> Option<Read> {
        self.call_in_read(core, "buffer_updated", |protocol, transport| {
            let Some(protocol) = protocol.as_buffered() else {
                return Err(Error::invalid("the protocol is no longer a buffered one").into());
            };
            let buffer = protocol.get_buffer(transport, 0)?;
            if buffer.is_empty() {
                return Err(empty_buffer().into());
            }
            let result = self.with_socket(|socket| socket.read(buffer));
            match self.note_read(core, result, buffer.len()) {
                Ok(count) => protocol.buffer_updated(transport, count).map(|()| Read::Data),
                Err(read) => Ok(read),
            }
        })
    }

    /// Notes what a read tells about the socket; the count when it brought anything.
    #[inline]
    fn note_read(
        &self,
        core: &Core,
        result: io::Result<usize>,
        room: usize,
    ) -> std::result::Result<usize, Read> {
        match result {
            Ok(0) => Err(Read::Eof),
            Ok(count) => {
                if count < room && !self.has(HANGING_UP) {
                    self.clear(Flags::READABLE);
                }
                core.counters.add_received(count);
                self.active_at.set(core.tick_time());
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Read::WouldBlock),
            Err(error) => Err(Read::Failed(error)),
        }
    }

    /// Calls one of the callbacks that deliver input, and settles what it left.
    #[inline]
    fn call_in_read<R>(
        self: &Rc<Self>,
        core: &Rc<Core>,
        name: &'static str,
        callback: impl FnOnce(&mut dyn Protocol, &dyn Transport) -> Result<R>,
    ) -> Option<R> {
        self.set(Flags::IN_READ);
        let result = self.call(core, name, callback);
        if self.is_unsettled() {
            self.settle(core);
        }
        self.clear(Flags::IN_READ);
        result
    }

    /// What was left over comes before what the socket has.
    fn deliver_leftover(self: &Rc<Self>, core: &Rc<Core>) {
        self.clear(Flags::LEFTOVER);
        let leftover = self.with_existing_extra(|extra| std::mem::take(&mut extra.leftover));
        self.call_in_read(core, "data_received", |protocol, transport| {
            core.unread.set(0);
            let result = protocol.data_received(transport, &leftover);
            if core.unread.get() > 0 {
                self.take_back(core, leftover.len(), |rest| leftover.slice(rest..));
            }
            result
        });
    }

    /// Keeps what the protocol gave back of `count` bytes, to be delivered in the next round if it
    /// reads then.
    #[cold]
    fn take_back(self: &Rc<Self>, core: &Core, count: usize, rest: impl FnOnce(usize) -> Bytes) {
        self.keep_leftover(rest(count.saturating_sub(core.unread.get())));
        self.enqueue(core);
    }

    /// Notes what the running `data_received` gives back.
    pub(super) fn unread(&self, core: &Core, count: usize) {
        if core.gathering.get() == Some(self.key) {
            core.unread.set(count);
        }
    }

    /// The peer has ended its side: told once.
    fn eof(self: &Rc<Self>, core: &Rc<Core>) {
        if self.has(Flags::WRITE_FAILED) {
            return self.end_of_input(core, None);
        }
        self.set(Flags::EOF);
        self.clear(Flags::READABLE);
        let answer = self.call(core, "eof_received", |protocol, transport| {
            protocol.eof_received(transport)
        });
        if answer == Some(Eof::Close) {
            self.close(core);
        }
        self.settle(core);
    }

    /// All input is delivered, and the connection is broken.
    fn end_of_input(self: &Rc<Self>, core: &Rc<Core>, error: Option<io::Error>) {
        let kept = self.with_existing_extra(|extra| extra.error.take());
        let error = kept.or(error.map(Error::from)).or_else(|| self.take_error());
        match error {
            Some(error) => self.lose(core, Some(error)),
            None => self.clear(Flags::ERROR),
        }
    }

    /// An error was reported while nothing is read: it is not kept waiting.
    fn note_error(self: &Rc<Self>, core: &Rc<Core>) {
        match self.take_error() {
            Some(error) => self.lose(core, Some(error)),
            None => self.clear(Flags::ERROR),
        }
    }

    fn take_error(&self) -> Option<Error> {
        self.socket.borrow().as_ref()?.take_error().map(Error::from)
    }
}
