//! The read side: what an event leads to.

use std::io;
use std::rc::Rc;

use bytes::Bytes;

use super::Stream;
use super::flags::Flags;
use crate::driver::drained::is_drained;
use crate::error::{Error, Result};
use crate::event_loop::Core;
use crate::fence::{self, Trip};
use crate::protocol::sealed::Token;
use crate::protocol::{Eof, Protocol, empty_buffer};
use crate::transport::Transport;
use crate::transport::rate_limit::Direction;

/// How often one stream is read before the others have their turn.
pub(super) const READS_PER_TURN: u32 = 4;

/// What stops reading.
pub(super) const NOT_READING: Flags = Flags::PAUSED
    .and(Flags::HELD)
    .and(Flags::EOF)
    .and(Flags::CLOSING)
    .and(Flags::LOST)
    .and(Flags::THROTTLED);

/// With any of these set nothing will be read any more.
const OVER: Flags = Flags::EOF.and(Flags::CLOSING).and(Flags::LOST);

/// Reading into the loop's buffer goes on while of these just `READABLE` is set, and into that of a
/// `BufferedProtocol` while `BUFFERED` is, too.
pub(super) const MAY_READ: Flags =
    NOT_READING.and(Flags::READABLE).and(Flags::BUFFERED).and(Flags::LEFTOVER);

/// What a failure is reported of where a `BufferedProtocol` is asked for memory and told of its use.
const FILLING: &str = "get_buffer() or protocol.buffer_updated";

/// As [`MAY_READ`], for as much as there is room for.
const MAY_READ_FREELY: Flags = MAY_READ.and(Flags::LIMITED).and(Flags::SPLICED);

/// With any of these set there is more to see to than input.
const NOT_JUST_READING: Flags = NOT_READING
    .and(HANGING_UP)
    .and(Flags::UNSETTLED)
    .and(Flags::SWITCHING)
    .and(Flags::HAS_QUEUE)
    .and(Flags::BUFFERED)
    .and(Flags::LEFTOVER)
    .and(Flags::TAKES_DESCRIPTORS)
    .and(Flags::LIMITED)
    .and(Flags::SPLICED)
    .and(Flags::TLS);

/// With any of these set there is something to do before a connection closes.
const HOLDS_UP_CLOSE: Flags =
    Flags::HAS_QUEUE.and(Flags::LOST).and(Flags::SWITCHING).and(Flags::TLS);

/// With any of these said, only an error or the end shows that all input was read.
pub(super) const HANGING_UP: Flags = Flags::READ_CLOSED.and(Flags::WRITE_CLOSED).and(Flags::ERROR);

impl Stream {
    /// Does what the stream is ready for.
    #[inline(never)]
    pub(crate) fn dispatch(self: &Rc<Self>, core: &Rc<Core>, buffer: &mut [u8]) {
        self.dispatch_inline(core, buffer);
    }

    /// As [`dispatch`](Self::dispatch), for the one place where it pays to spare the call.
    #[inline(always)]
    pub(crate) fn dispatch_inline(self: &Rc<Self>, core: &Rc<Core>, buffer: &mut [u8]) {
        self.clear(Flags::QUEUED);
        fence::trip(Trip::Dispatch);
        if self.flags.get().any(NOT_JUST_READING) {
            self.dispatch_all(core, buffer);
        } else {
            self.read(core, buffer);
        }
    }

    /// Writes before reads, so that output drains before more input produces more of it.
    #[cold]
    #[inline(never)]
    fn dispatch_all(self: &Rc<Self>, core: &Rc<Core>, buffer: &mut [u8]) {
        #[cfg(feature = "tls-core")]
        if self.has(Flags::TLS) {
            return self.dispatch_tls(core, buffer);
        }
        if self.has(Flags::LOST) {
            return;
        }
        if self.has(HANGING_UP) {
            self.note_joined_hang_up();
        }
        if self.is_unsettled() || (self.has(Flags::WRITABLE) && self.has(Flags::HAS_QUEUE)) {
            self.settle(core);
        }
        if self.has(HANGING_UP) && !self.has(OVER) {
            // Also while nothing is read: of a pipe that is empty nothing else is told at its end.
            self.set(Flags::READABLE);
        }
        if self.is_reading() {
            if self.has(Flags::LEFTOVER) {
                self.deliver_leftover(core);
            }
            if self.has(Flags::TAKES_DESCRIPTORS) {
                self.read_with_descriptors(core, buffer);
            } else if self.has(Flags::BUFFERED) {
                self.read_buffered(core);
            } else if self.has(Flags::SPLICED) && self.splice(core) {
                // Without having been read.
            } else if self.has(Flags::LIMITED.and(Flags::SPLICED)) {
                self.read_limited(core, buffer);
            } else {
                self.read(core, buffer);
            }
        } else if self.has(Flags::WRITE_FAILED) {
            self.end_unless_input_waits(core);
        } else if self.discards() {
            self.discard_input(core, buffer);
        } else if self.has(Flags::ERROR.and(Flags::WRITE_CLOSED)) {
            self.note_hang_up(core);
        }
        if self.has(Flags::LIMITED) {
            self.give_shares_back();
        }
    }

    #[inline]
    pub(super) fn is_reading(&self) -> bool {
        !self.has(NOT_READING)
    }

    pub(super) fn pause_reading(self: &Rc<Self>, core: &Core) {
        self.set(Flags::PAUSED);
        if self.has(Flags::WRITE_FAILED) {
            // If there is no input that has to come before the error, that is not kept waiting.
            self.enqueue(core);
        }
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

    /// Stops reading until [`release_hold`](Self::release_hold): what this stream brings goes where
    /// it is not taken fast enough.
    pub(crate) fn hold(&self) {
        self.set(Flags::HELD);
    }

    pub(crate) fn release_hold(self: &Rc<Self>, core: &Core) {
        self.clear(Flags::HELD);
        self.enqueue_if_readable(core);
    }

    #[inline(always)]
    fn read(self: &Rc<Self>, core: &Rc<Core>, buffer: &mut [u8]) {
        if !self.flags.get().just(Flags::READABLE, MAY_READ_FREELY) {
            return self.enqueue_if_readable(core);
        }
        if self.read_once(core, buffer) {
            self.read_on(core, buffer);
        }
    }

    /// The other reads of a turn: apart, so that the one that most turns need has all registers.
    #[inline(never)]
    fn read_on(self: &Rc<Self>, core: &Rc<Core>, buffer: &mut [u8]) {
        for _ in 1..READS_PER_TURN {
            if !self.flags.get().just(Flags::READABLE, MAY_READ_FREELY) {
                break;
            }
            if !self.read_once(core, buffer) {
                return;
            }
        }
        self.enqueue_if_readable(core);
    }

    /// Reads and delivers; whether there may be more.
    #[inline(always)]
    fn read_once(self: &Rc<Self>, core: &Rc<Core>, buffer: &mut [u8]) -> bool {
        match self.socket.read(buffer) {
            Ok(count) if count > 0 => {
                self.note_received(core, count, buffer.len());
                self.deliver(core, &buffer[..count]);
                self.has(Flags::READABLE.and(Flags::LEFTOVER))
            }
            result => {
                self.nothing_read(core, result);
                false
            }
        }
    }

    fn read_buffered(self: &Rc<Self>, core: &Rc<Core>) {
        for _ in 0..READS_PER_TURN {
            let wanted = Flags::READABLE.and(Flags::BUFFERED);
            if !self.flags.get().just(wanted, MAY_READ) {
                break;
            }
            self.read_into_protocol(core);
        }
        self.enqueue_if_readable(core);
    }

    /// There may be more to deliver: the poll does not tell again.
    #[inline(never)]
    pub(super) fn enqueue_if_readable(self: &Rc<Self>, core: &Core) {
        if self.has(Flags::READABLE.and(Flags::LEFTOVER)) && self.is_reading() {
            self.enqueue(core);
        }
    }

    /// Reads into the memory of a `BufferedProtocol`.
    fn read_into_protocol(self: &Rc<Self>, core: &Rc<Core>) {
        let limit =
            if self.has(Flags::LIMITED) { self.read_budget(core, usize::MAX) } else { usize::MAX };
        if limit == 0 {
            return;
        }
        let callback = |protocol: &mut dyn Protocol, transport: &dyn Transport| {
            let Some(protocol) = protocol.as_buffered(Token) else {
                return Err(Error::invalid("the protocol is no longer a buffered one").into());
            };
            let buffer = protocol.get_buffer(transport, 0)?;
            if buffer.is_empty() {
                return Err(empty_buffer().into());
            }
            let room = buffer.len().min(limit);
            match self.socket.read(&mut buffer[..room]) {
                Ok(count) if count > 0 => {
                    self.note_received(core, count, room);
                    if self.has(Flags::LIMITED) {
                        self.spend(Direction::Read, count);
                    }
                    protocol.buffer_updated(transport, count).map(|()| None)
                }
                result => Ok(Some(result)),
            }
        };
        // What is in the protocol's own memory cannot be given back.
        let result = self.call_in_read(core, FILLING, callback, |_| Bytes::new());
        if let Some(Some(result)) = result {
            self.nothing_read(core, result);
        }
    }

    #[inline]
    pub(super) fn note_received(&self, core: &Core, count: usize, room: usize) {
        let known = self.flags.get().readiness();
        if is_drained(count, room, known, || self.socket.last_read_drained()) {
            self.clear(Flags::READABLE);
        }
        core.counters.add_received(count);
        self.active_at.set(core.tick_instant());
    }

    /// A read brought the end, an error, or nothing yet.
    #[cold]
    pub(super) fn nothing_read(self: &Rc<Self>, core: &Rc<Core>, result: io::Result<usize>) {
        match result {
            Ok(_) => self.eof(core),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.clear(Flags::READABLE.and(Flags::URGENT));
                if self.has(Flags::ERROR.and(Flags::WRITE_FAILED)) {
                    self.end_of_input(core, None);
                }
            }
            Err(error) => self.end_of_input(core, Some(error)),
        }
    }

    /// Calls one of the callbacks that deliver input, keeps the `tail` that it gives back, and settles
    /// what it left.
    #[inline(always)]
    pub(super) fn call_in_read<R>(
        self: &Rc<Self>,
        core: &Rc<Core>,
        name: &'static str,
        callback: impl FnOnce(&mut dyn Protocol, &dyn Transport) -> Result<R>,
        tail: impl FnOnce(usize) -> Bytes,
    ) -> Option<R> {
        let result = self.call(core, name, callback);
        if self.is_unsettled() {
            if self.has(Flags::UNREAD) {
                // Given back: to be delivered in the next round, if the protocol reads then.
                self.keep_leftover(core, tail(core.unread.get()));
                self.enqueue(core);
            }
            self.settle_after_read(core);
        }
        result
    }

    #[cold]
    fn settle_after_read(self: &Rc<Self>, core: &Rc<Core>) {
        self.set(Flags::IN_READ);
        self.settle(core);
        self.clear(Flags::IN_READ);
    }

    /// Calls `data_received` with bytes that are read already.
    #[inline(always)]
    pub(super) fn deliver(self: &Rc<Self>, core: &Rc<Core>, data: &[u8]) {
        let callback = |protocol: &mut dyn Protocol, transport: &dyn Transport| {
            protocol.data_received(transport, data)
        };
        let copy = |rest: usize| Bytes::copy_from_slice(&data[data.len() - rest.min(data.len())..]);
        self.call_in_read(core, "data_received", callback, copy);
    }

    /// What a former protocol left comes before what the socket has.
    pub(super) fn deliver_leftover(self: &Rc<Self>, core: &Rc<Core>) {
        self.clear(Flags::LEFTOVER);
        let leftover = self.with_existing_extra(|extra| std::mem::take(&mut extra.leftover));
        if self.has(Flags::BUFFERED) {
            let rest = self.fill_buffers(core, &leftover);
            self.keep_rest(core, leftover.slice(leftover.len() - rest..));
            return core.drop_user(leftover, "buffer");
        }
        let callback = |protocol: &mut dyn Protocol, transport: &dyn Transport| {
            protocol.data_received(transport, &leftover)
        };
        let slice = |rest: usize| leftover.slice(leftover.len() - rest.min(leftover.len())..);
        self.call_in_read(core, "data_received", callback, slice);
        core.drop_user(leftover, "buffer");
    }

    /// Puts bytes in the memory of a `BufferedProtocol`, a few times; how many are left then.
    pub(super) fn fill_buffers(self: &Rc<Self>, core: &Rc<Core>, mut data: &[u8]) -> usize {
        for _ in 0..READS_PER_TURN {
            if data.is_empty() || !self.has(Flags::BUFFERED) || !self.is_reading() {
                break;
            }
            let callback = |protocol: &mut dyn Protocol, transport: &dyn Transport| {
                let Some(protocol) = protocol.as_buffered(Token) else {
                    return Err(Error::invalid("the protocol is no longer a buffered one").into());
                };
                let buffer = protocol.get_buffer(transport, data.len())?;
                if buffer.is_empty() {
                    return Err(empty_buffer().into());
                }
                let count = buffer.len().min(data.len());
                buffer[..count].copy_from_slice(&data[..count]);
                protocol.buffer_updated(transport, count).map(|()| count)
            };
            let filled = self.call_in_read(core, FILLING, callback, |_| Bytes::new());
            data = &data[filled.unwrap_or(data.len())..];
        }
        data.len()
    }

    /// Keeps what is to be delivered later.
    pub(super) fn keep_rest(self: &Rc<Self>, core: &Core, rest: Bytes) {
        if !rest.is_empty() && !self.has(Flags::CLOSING.and(Flags::LOST)) {
            #[cfg(feature = "tls-core")]
            if self.has(Flags::TLS) && !self.has(Flags::LEFTOVER) {
                self.feed_handshake();
            }
            self.keep_leftover(core, rest);
            self.enqueue_if_readable(core);
        }
    }

    /// Notes what the running `data_received` gives back; what a `BufferedProtocol` was given lies
    /// in its own memory.
    pub(super) fn unread(&self, core: &Core, count: usize) {
        let may =
            self.flags.get().just(Flags::IN_CALLBACK, Flags::IN_CALLBACK.and(Flags::BUFFERED));
        if may && count > 0 {
            self.set(Flags::UNREAD);
            core.unread.set(count);
        }
    }

    /// The peer has ended its side: told once.
    pub(super) fn eof(self: &Rc<Self>, core: &Rc<Core>) {
        if self.has(Flags::WRITE_FAILED) {
            return self.end_of_input(core, None);
        }
        self.set(Flags::EOF);
        if !self.has(Flags::TLS) {
            self.clear(Flags::READABLE);
        }
        let answer =
            self.call(core, "eof_received", |protocol, transport| protocol.eof_received(transport));
        // Of a transport that only reads nothing is left to keep open, unless a next protocol is to
        // be told, too.
        let is_over = || self.is_read_only() && !self.has(Flags::SWITCHING);
        if answer == Some(Eof::Close) || (answer.is_some() && is_over()) {
            if !self.has(HOLDS_UP_CLOSE) {
                return self.lose(core, None);
            }
            self.begin_closing(core);
        }
        self.settle(core);
    }

    /// All input is delivered, and the connection is broken.
    pub(super) fn end_of_input(self: &Rc<Self>, core: &Rc<Core>, error: Option<io::Error>) {
        let kept = self.with_existing_extra(|extra| extra.error.take());
        let error = kept.or(error.map(Error::from)).or_else(|| self.take_error());
        match error {
            Some(error) => self.lose(core, Some(error)),
            None => self.clear(Flags::ERROR),
        }
    }

    /// An error was reported while nothing is read: it is not kept waiting, unless input has to come
    /// before it.
    pub(super) fn note_error(self: &Rc<Self>, core: &Rc<Core>) {
        match self.socket.take_error() {
            Some(error) if self.waits_by_itself(core) && self.input_waits() => {
                self.clear(Flags::ERROR);
                self.write_failed(core, error);
            }
            Some(error) if self.is_about_output(&error) => {
                self.clear(Flags::ERROR);
                if self.has(Flags::HAS_QUEUE) {
                    self.write_failed(core, error);
                }
            }
            Some(error) => self.lose(core, Some(error.into())),
            None => self.clear(Flags::ERROR),
        }
    }

    /// Whether an error of the socket says no more than that the peer takes nothing: what it has sent
    /// before is there to be read.
    ///
    /// A broken pipe is what a reset is called that comes after the peer's end. And a peer that closes
    /// with our own tickets unread resets the connection, though it was sent nothing.
    fn is_about_output(&self, error: &io::Error) -> bool {
        if self.has(Flags::CLOSING.and(Flags::EOF)) || self.socket.pipe_direction().is_some() {
            return false;
        }
        match error.kind() {
            io::ErrorKind::BrokenPipe => true,
            #[cfg(feature = "tls-core")]
            io::ErrorKind::ConnectionReset => self.tls_said_nothing() && self.input_waits(),
            _ => false,
        }
    }

    fn take_error(&self) -> Option<Error> {
        self.socket.take_error().map(Error::from)
    }

    /// Whether something was received that the protocol, which does not read now, has not got.
    pub(super) fn input_waits(&self) -> bool {
        self.has(Flags::LEFTOVER) || (!self.has(Flags::EOF) && self.socket.has_input())
    }

    /// A write has failed, and nothing is read. What was received before comes first: a protocol that
    /// has paused, or waits for its limit, gets it when it goes on, if that is soon enough.
    pub(super) fn end_unless_input_waits(self: &Rc<Self>, core: &Rc<Core>) {
        if !self.may_wait_for_reader(core) || !self.input_waits() {
            self.end_of_input(core, None);
        }
    }

    /// Whether it does not read because it has paused, or has to wait, and not because of an end.
    pub(super) fn may_wait_for_reader(&self, core: &Core) -> bool {
        !self.has(Flags::CLOSING)
            && self.has(Flags::PAUSED.and(Flags::HELD).and(Flags::THROTTLED))
            && !self.relays_to_nobody(core)
    }

    /// As [`may_wait_for_reader`](Self::may_wait_for_reader), and it is not the protocol that has paused:
    /// it is a limit, a hold, or a relay whose other side lags behind.
    fn waits_by_itself(&self, core: &Core) -> bool {
        self.may_wait_for_reader(core) && (self.is_relayed() || !self.has(Flags::PAUSED))
    }
}
