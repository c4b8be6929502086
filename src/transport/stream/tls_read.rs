//! The read side of TLS: records become what the protocol receives.

use std::rc::Rc;

use bytes::Bytes;

use super::Stream;
use super::flags::Flags;
use super::read::{HANGING_UP, NOT_READING};
use super::tls::PeerEnd;
use crate::error::{Error, Kind};
use crate::event_loop::Core;
use crate::protocol::Protocol;
use crate::tls::tls_error;
use crate::transport::Transport;
use crate::transport::rate_limit::Direction;
use crate::transport::tls::{End, Opened};

/// The most that is read at once: what it becomes is delivered in one piece.
pub(super) const READ_AT_ONCE: usize = 128 * 1024;

impl Stream {
    /// Does what a stream with TLS is ready for.
    #[cold]
    #[inline(never)]
    pub(super) fn dispatch_tls(self: &Rc<Self>, core: &Rc<Core>, buffer: &mut [u8]) {
        if self.has(Flags::LOST) {
            return;
        }
        if self.has(HANGING_UP) {
            self.note_joined_hang_up();
        }
        if self.is_unsettled() || (self.has(Flags::WRITABLE) && self.has(Flags::HAS_QUEUE)) {
            self.settle(core);
        }
        if self.has(Flags::LOST) {
            return;
        }
        if self.is_shaking_hands() && !self.is_closing_for_good() {
            return self.shake_hands(core, buffer);
        }
        if self.is_reading() {
            if self.has(HANGING_UP) {
                self.set(Flags::READABLE);
            }
            if self.has(Flags::LEFTOVER) {
                self.deliver_leftover(core);
            }
            self.read_tls(core, buffer);
        } else if self.has(Flags::WRITE_FAILED) {
            if !self.may_wait_for_reader(core) || !self.look_ahead(core, buffer) {
                self.end_of_input(core, None);
            }
        } else if self.discards() {
            if self.shutdown_timeout().is_some() && !self.has(Flags::EOF) {
                self.await_end(core, buffer);
            } else {
                self.discard_input(core, buffer);
            }
        } else if self.has(Flags::ERROR) {
            self.note_error(core);
        }
        if self.has(Flags::LIMITED) {
            self.give_shares_back();
        }
    }

    fn read_tls(self: &Rc<Self>, core: &Rc<Core>, buffer: &mut [u8]) {
        let may_read = Flags::READABLE.and(Flags::LEFTOVER).and(NOT_READING);
        if !self.flags.get().just(Flags::READABLE, may_read) {
            return self.enqueue_if_readable(core);
        }
        let Some(mut tls) = self.take_tls() else { return };
        if let Some(end) = tls.end.take() {
            if let PeerEnd::Closed = end {
                // It stays: a protocol that is installed later is told, too.
                tls.end = Some(PeerEnd::Closed);
            }
            self.put_tls(tls);
            return self.end_of_tls(core, end);
        }
        let start = tls.layer.input_start();
        let room = self.room(core, buffer.len() - start);
        if room == 0 {
            return self.put_tls(tls);
        }
        match self.socket.read(&mut buffer[start..start + room]) {
            Ok(count) if count > 0 => {
                self.note_tls_received(core, count, room);
                let Opened { plaintext, end } = core.tls.with_records(|answer| {
                    let opened = core.by_the_clock(|| tls.layer.open(buffer, count, answer));
                    self.send_answer(core, &mut tls, answer);
                    opened
                });
                self.put_tls(tls);
                self.deliver_opened(core, &buffer[..plaintext]);
                self.note_end(core, end, tls_error);
                self.enqueue_if_readable(core);
            }
            Ok(_) => {
                self.put_tls(tls);
                self.truncated(core);
            }
            result => {
                self.put_tls(tls);
                self.nothing_read(core, result);
            }
        }
    }

    /// A write has failed, and the protocol does not read now: whether there is something for it, which is
    /// not known before it is decrypted. It is kept then.
    #[cold]
    fn look_ahead(self: &Rc<Self>, core: &Rc<Core>, buffer: &mut [u8]) -> bool {
        while !self.has(Flags::LEFTOVER.and(Flags::EOF)) {
            let Some(mut tls) = self.take_tls() else { break };
            if tls.end.is_some() || tls.handshake.is_some() {
                self.put_tls(tls);
                break;
            }
            let start = tls.layer.input_start();
            let room = (buffer.len() - start).min(READ_AT_ONCE);
            let read = self.socket.read(&mut buffer[start..start + room]);
            let Ok(count @ 1..) = read else {
                self.put_tls(tls);
                break;
            };
            let opened = core
                .tls
                .with_records(|answer| core.by_the_clock(|| tls.layer.open(buffer, count, answer)));
            tls.end = match opened.end {
                End::No => None,
                End::Closed => Some(PeerEnd::Closed),
                End::Failed(error) => Some(PeerEnd::Failed(tls_error(error))),
            };
            self.put_tls(tls);
            self.keep_rest(core, Bytes::copy_from_slice(&buffer[..opened.plaintext]));
        }
        self.has(Flags::LEFTOVER)
    }

    /// How much may be read of what there is room for.
    pub(super) fn room(self: &Rc<Self>, core: &Rc<Core>, room: usize) -> usize {
        let room = room.min(READ_AT_ONCE);
        if self.has(Flags::LIMITED) { self.read_budget(core, room) } else { room }
    }

    pub(super) fn note_tls_received(&self, core: &Core, count: usize, room: usize) {
        self.note_received(core, count, room);
        if self.has(Flags::LIMITED) {
            self.spend(Direction::Read, count);
        }
    }

    /// The peer's side ended without its `close_notify`: what it sent may be cut off.
    fn truncated(self: &Rc<Self>, core: &Rc<Core>) {
        if self.has(Flags::WRITE_FAILED) {
            return self.end_of_input(core, None);
        }
        let text = "the peer ended the connection without saying so under TLS (close_notify): \
                    what it sent may be cut off";
        self.lose(core, Some(Error::new(Kind::Truncated, text)));
    }

    /// Gives the protocol what was decrypted, or keeps it until the protocol reads.
    pub(super) fn deliver_opened(self: &Rc<Self>, core: &Rc<Core>, data: &[u8]) {
        if data.is_empty() || self.has(Flags::CLOSING.and(Flags::LOST)) {
            return;
        }
        if !self.is_reading() || self.has(Flags::LEFTOVER) || self.is_shaking_hands() {
            return self.keep_rest(core, Bytes::copy_from_slice(data));
        }
        if self.has(Flags::BUFFERED) {
            let rest = self.fill_buffers(core, data);
            return self.keep_rest(core, Bytes::copy_from_slice(&data[data.len() - rest..]));
        }
        let callback = |protocol: &mut dyn Protocol, transport: &dyn Transport| {
            protocol.data_received(transport, data)
        };
        let copy = |rest: usize| Bytes::copy_from_slice(&data[data.len() - rest.min(data.len())..]);
        self.call_in_read(core, "data_received", callback, copy);
    }

    /// Notes that the peer's side is over; told when what came before is delivered.
    pub(super) fn note_end(
        self: &Rc<Self>,
        core: &Rc<Core>,
        end: End,
        describe: fn(rustls::Error) -> Error,
    ) {
        let end = match end {
            End::No => return,
            End::Closed => PeerEnd::Closed,
            End::Failed(error) => {
                let error = describe(error);
                if !self.is_reading() || !self.has(Flags::LEFTOVER) {
                    // As a reset, it does not wait for a protocol that has paused.
                    return self.tls_failed(core, error);
                }
                PeerEnd::Failed(error)
            }
        };
        self.with_tls(|tls| tls.end = Some(end));
        self.set(Flags::READABLE);
    }

    fn end_of_tls(self: &Rc<Self>, core: &Rc<Core>, end: PeerEnd) {
        match end {
            PeerEnd::Closed => self.eof(core),
            PeerEnd::Failed(error) => self.tls_failed(core, error),
        }
    }
}
