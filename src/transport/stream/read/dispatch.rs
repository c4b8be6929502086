//! What a stream's turn is for, and the reads of it.

use std::io;
use std::rc::Rc;

use super::deliver::last;
use super::{HANGING_UP, MAY_READ, NOT_READING, READS_PER_TURN};
use crate::driver::Readiness;
use crate::driver::drained::is_drained;
use crate::event_loop::Core;
use crate::fence::{self, Trip};
use crate::transport::rate_limit::Direction;
use crate::transport::stream::Stream;
use crate::transport::stream::flags::Flags;

/// As [`MAY_READ`], for as much as there is room for.
const MAY_READ_FREELY: Flags = MAY_READ.union(Flags::LIMITED).union(Flags::SPLICED);

/// With any of these set a turn is for more than reading.
const NOT_JUST_READING: Flags = NOT_READING
    .union(HANGING_UP)
    .union(Flags::NEEDS_UPDATE)
    .union(Flags::SWITCHING)
    .union(Flags::HAS_QUEUE)
    .union(Flags::BUFFERED)
    .union(Flags::LEFTOVER)
    .union(Flags::TAKES_DESCRIPTORS)
    .union(Flags::LIMITED)
    .union(Flags::SPLICED)
    .union(Flags::TLS);

/// With any of these set nothing will be read any more.
const READ_NO_MORE: Flags = Flags::EOF.union(Flags::CLOSING).union(Flags::CLOSED);

/// What a turn is for, once what waited to be written was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// To read and deliver.
    Read,
    /// A write has failed and nothing is read: to end, unless input has to be delivered first.
    EndAfterInput,
    /// To read what the protocol does not get any more, and drop it.
    Discard,
    /// To look at an error, or at the end of a pipe, that reading does not show.
    HangUp,
    Nothing,
}

impl Turn {
    fn of(flags: Flags) -> Self {
        if !flags.intersects(NOT_READING) {
            Self::Read
        } else if flags.intersects(Flags::CLOSED) {
            Self::Nothing
        } else if flags.intersects(Flags::WRITE_FAILED) {
            Self::EndAfterInput
        } else if discards(flags) {
            Self::Discard
        } else if flags.intersects(Flags::ERROR.union(Flags::WRITE_CLOSED)) {
            Self::HangUp
        } else {
            Self::Nothing
        }
    }
}

/// Whether input is there that is to be read and dropped.
///
/// That is so while the stream closes, and after the peer's `close_notify`: what follows means
/// nothing, but reading it lets the peer finish.
const fn discards(flags: Flags) -> bool {
    const MAY: Flags = Flags::READABLE
        .union(Flags::CLOSED)
        .union(Flags::DISCARD_LIMIT_REACHED)
        .union(Flags::INPUT_ENDED);
    const ENDED_BY_TLS: Flags = Flags::EOF.union(Flags::TLS);
    flags.matches(Flags::READABLE, MAY)
        && (flags.matches(ENDED_BY_TLS, ENDED_BY_TLS)
            || flags.matches(Flags::CLOSING, Flags::CLOSING.union(Flags::EOF)))
}

impl Stream {
    /// Notes what the socket is ready for. Returns whether the stream has to be put in the ready
    /// list.
    #[inline]
    pub(crate) fn note(&self, readiness: Readiness) -> bool {
        let before = self.flags.get();
        self.flags.set(before.union(Flags::from(readiness)).union(Flags::QUEUED));
        !before.intersects(Flags::QUEUED)
    }

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
        if self.has(NOT_JUST_READING) {
            self.dispatch_all(core, buffer);
        } else if self.has(Flags::READABLE) && self.read(core, buffer) {
            self.read_on(core, buffer);
        }
    }

    /// Writes before it reads, so that output drains before more input produces more of it.
    #[cold]
    fn dispatch_all(self: &Rc<Self>, core: &Rc<Core>, buffer: &mut [u8]) {
        if self.has(Flags::CLOSED) {
            return;
        }
        if self.has(HANGING_UP) {
            self.note_joined_hang_up();
        }
        if self.needs_update() || (self.has(Flags::WRITABLE) && self.has(Flags::HAS_QUEUE)) {
            self.update(core);
        }
        if self.has(HANGING_UP) && !self.has(READ_NO_MORE) {
            // Also while nothing is read: at the end of an empty pipe the poll reports nothing
            // else.
            self.set(Flags::READABLE);
        }
        if self.has(Flags::HANDSHAKING) && !self.closes_before_handshake() {
            self.continue_handshake(core, buffer);
        } else {
            match Turn::of(self.flags.get()) {
                Turn::Read => self.read_any(core, buffer),
                Turn::EndAfterInput => self.end_unless_input_waits(core, buffer),
                Turn::Discard => self.discard_input(core, buffer),
                Turn::HangUp => self.note_hang_up(core),
                Turn::Nothing => {}
            }
        }
        if self.has(Flags::LIMITED) {
            self.give_shares_back();
        }
    }

    /// What was left over comes first, then what the socket has, in the way in which it is taken.
    #[inline(always)]
    fn read_any(self: &Rc<Self>, core: &Rc<Core>, buffer: &mut [u8]) {
        if self.has(Flags::LEFTOVER) {
            self.deliver_leftover(core);
        }
        if self.has(Flags::TLS) {
            self.read_tls(core, buffer);
        } else if self.has(Flags::TAKES_DESCRIPTORS) {
            self.read_with_descriptors(core, buffer);
        } else if self.has(Flags::BUFFERED) {
            self.read_buffered(core);
        } else if self.has(Flags::SPLICED) && self.splice(core) {
            // It was spliced, not read.
        } else if self.has(Flags::LIMITED.union(Flags::SPLICED)) {
            self.read_limited(core, buffer);
        } else if !self.flags.get().matches(Flags::READABLE, MAY_READ_FREELY) {
            self.enqueue_if_readable(core);
        } else if self.read(core, buffer) {
            self.read_on(core, buffer);
        }
    }

    /// Reads and delivers. Returns whether there may be more.
    #[inline(always)]
    fn read(self: &Rc<Self>, core: &Rc<Core>, buffer: &mut [u8]) -> bool {
        match self.socket.read(buffer) {
            Ok(count) if count > 0 => {
                self.note_received(core, count, buffer.len());
                let data = &buffer[..count];
                self.deliver(core, data, |rest| last(data, rest));
                self.has(Flags::READABLE.union(Flags::LEFTOVER))
            }
            result => {
                self.nothing_read(core, result);
                false
            }
        }
    }

    /// Reads a few times more.
    // Out of line, so that the one read that most turns need has all registers.
    #[inline(never)]
    fn read_on(self: &Rc<Self>, core: &Rc<Core>, buffer: &mut [u8]) {
        for _ in 1..READS_PER_TURN {
            if !self.flags.get().matches(Flags::READABLE, MAY_READ_FREELY) {
                break;
            }
            if !self.read(core, buffer) {
                return;
            }
        }
        self.enqueue_if_readable(core);
    }

    /// Reads no more at a time than the limit allows.
    fn read_limited(self: &Rc<Self>, core: &Rc<Core>, buffer: &mut [u8]) {
        for _ in 0..READS_PER_TURN {
            if !self.flags.get().matches(Flags::READABLE, MAY_READ) {
                break;
            }
            let room = self.read_room(core, buffer.len());
            if room == 0 {
                break;
            }
            match self.socket.read(&mut buffer[..room]) {
                Ok(count) if count > 0 => {
                    self.note_received_in_room(core, count, room);
                    let data = &buffer[..count];
                    self.deliver(core, data, |rest| last(data, rest));
                    if !self.has(Flags::READABLE.union(Flags::LEFTOVER)) {
                        return;
                    }
                }
                result => return self.nothing_read(core, result),
            }
        }
        self.enqueue_if_readable(core);
    }

    /// Reads into the memory of a `BufferedProtocol`.
    fn read_buffered(self: &Rc<Self>, core: &Rc<Core>) {
        for _ in 0..READS_PER_TURN {
            let wanted = Flags::READABLE.union(Flags::BUFFERED);
            if !self.flags.get().matches(wanted, MAY_READ) {
                break;
            }
            let limit = self.read_room(core, usize::MAX);
            if limit == 0 {
                break;
            }
            let result = self.fill_protocol(core, 0, |memory| {
                let room = memory.len().min(limit);
                let result = self.socket.read(&mut memory[..room]);
                if let Ok(count @ 1..) = result {
                    self.note_received_in_room(core, count, room);
                }
                result
            });
            match result {
                Some(Ok(1..)) | None => {}
                Some(result) => self.nothing_read(core, result),
            }
        }
        self.enqueue_if_readable(core);
    }

    #[inline]
    fn note_received(&self, core: &Core, count: usize, room: usize) {
        let known = self.flags.get().readiness();
        if is_drained(count, room, known, || self.socket.last_read_drained()) {
            self.clear(Flags::READABLE);
        }
        core.counters.add_received(count);
        self.active_at.set(core.tick_instant());
    }

    /// As [`note_received`](Self::note_received), for a read of what [`read_room`](Self::read_room)
    /// allowed.
    pub(in crate::transport::stream) fn note_received_in_room(
        &self,
        core: &Core,
        count: usize,
        room: usize,
    ) {
        self.note_received(core, count, room);
        self.spend(Direction::Read, count);
    }

    /// Counts what came in another way than by a plain read.
    pub(in crate::transport::stream) fn count_received(&self, core: &Core, count: usize) {
        core.counters.add_received(count);
        self.active_at.set(core.tick_instant());
        self.spend(Direction::Read, count);
    }

    /// A read brought the end, an error, or nothing yet.
    #[cold]
    pub(in crate::transport::stream) fn nothing_read(
        self: &Rc<Self>,
        core: &Rc<Core>,
        result: io::Result<usize>,
    ) {
        match result {
            Ok(_) => self.eof(core),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.clear(Flags::READABLE.union(Flags::URGENT));
                if self.has(Flags::ERROR.union(Flags::WRITE_FAILED)) {
                    self.end_of_input(core, None);
                }
            }
            Err(error) => self.end_of_input(core, Some(error)),
        }
    }

    /// Whether the next turn has input to read and drop.
    pub(in crate::transport::stream) fn discards(&self) -> bool {
        discards(self.flags.get())
    }

    /// Reads once and drops it, unless that is too much.
    fn discard_input(self: &Rc<Self>, core: &Rc<Core>, buffer: &mut [u8]) {
        if self.shutdown_timeout().is_some() && !self.has(Flags::EOF) {
            return self.await_end(core, buffer);
        }
        match self.socket.read(buffer) {
            Ok(0) => {
                self.set(Flags::EOF.union(Flags::INPUT_ENDED));
                self.clear(Flags::READABLE);
            }
            Ok(count) => {
                self.note_discarded(core, count);
                if self.discards() {
                    self.enqueue(core);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.clear(Flags::READABLE);
                if self.has(Flags::ERROR) {
                    self.note_error(core);
                }
            }
            Err(error) => self.end(core, Some(error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READABLE: Flags = Flags::READABLE;

    #[test]
    fn every_reason_not_to_read_counts_by_itself() {
        assert_eq!(Turn::of(READABLE), Turn::Read);
        for reason in [Flags::PAUSED, Flags::HELD, Flags::THROTTLED, Flags::EOF] {
            assert_eq!(Turn::of(READABLE.union(reason)), Turn::Nothing, "{reason:?}");
        }
    }

    #[test]
    fn a_protocol_that_reads_gets_its_input_before_a_failed_write() {
        let failed = READABLE.union(Flags::WRITE_FAILED);
        assert_eq!(Turn::of(failed), Turn::Read);
        assert_eq!(Turn::of(failed.union(Flags::PAUSED)), Turn::EndAfterInput);
    }

    #[test]
    fn a_stream_that_closes_drops_input_up_to_a_limit_and_to_its_end() {
        let closing = READABLE.union(Flags::CLOSING);
        assert_eq!(Turn::of(closing), Turn::Discard);
        for end in [Flags::EOF, Flags::INPUT_ENDED, Flags::DISCARD_LIMIT_REACHED] {
            assert_eq!(Turn::of(closing.union(end)), Turn::Nothing, "{end:?}");
        }
        assert_eq!(Turn::of(closing.union(Flags::CLOSED)), Turn::Nothing);
    }

    #[test]
    fn what_follows_close_notify_is_dropped() {
        let ended = READABLE.union(Flags::TLS).union(Flags::EOF);
        assert_eq!(Turn::of(ended), Turn::Discard);
        assert_eq!(Turn::of(ended.union(Flags::CLOSING)), Turn::Discard);
        assert_eq!(Turn::of(ended.union(Flags::INPUT_ENDED)), Turn::Nothing);
    }

    #[test]
    fn an_error_is_looked_at_where_reading_does_not_show_it() {
        let paused = Flags::PAUSED.union(Flags::ERROR);
        assert_eq!(Turn::of(paused), Turn::HangUp);
        assert_eq!(Turn::of(Flags::ERROR), Turn::Read);
        assert_eq!(Turn::of(Flags::EOF.union(Flags::WRITE_CLOSED)), Turn::HangUp);
    }
}
