//! The read side of TLS: records become what the protocol receives.

use std::rc::Rc;

use bytes::Bytes;

use super::PeerEnd;
use crate::error::{Error, Kind};
use crate::event_loop::Core;
use crate::tls::tls_error;
use crate::transport::stream::Stream;
use crate::transport::stream::flags::Flags;
use crate::transport::stream::read::NOT_READING;
use crate::transport::tls::{End, Opened};

/// The most that is read at once: what it becomes is delivered in one piece.
pub(in crate::transport::stream) const READ_AT_ONCE: usize = 128 * 1024;

/// A read goes on while of these only `READABLE` is set.
const MAY_READ: Flags = Flags::READABLE.union(Flags::LEFTOVER).union(NOT_READING);

impl Stream {
    pub(in crate::transport::stream) fn read_tls(
        self: &Rc<Self>,
        core: &Rc<Core>,
        buffer: &mut [u8],
    ) {
        if !self.flags.get().matches(Flags::READABLE, MAY_READ) {
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
        let room = self.tls_room(core, buffer.len() - start);
        if room == 0 {
            return self.put_tls(tls);
        }
        match self.socket.read(&mut buffer[start..start + room]) {
            Ok(count) if count > 0 => {
                self.note_received_in_room(core, count, room);
                let Opened { plaintext, end } = core.tls.with_records(|answer| {
                    let opened = core.by_the_clock(|| tls.layer.open(buffer, count, answer));
                    self.send_answer(core, &mut tls, answer);
                    opened
                });
                self.put_tls(tls);
                self.deliver_or_keep(core, &buffer[..plaintext]);
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
    pub(in crate::transport::stream) fn look_ahead(
        self: &Rc<Self>,
        core: &Rc<Core>,
        buffer: &mut [u8],
    ) -> bool {
        while !self.has(Flags::LEFTOVER.union(Flags::EOF)) {
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
    pub(super) fn tls_room(self: &Rc<Self>, core: &Rc<Core>, room: usize) -> usize {
        self.read_room(core, room.min(READ_AT_ONCE))
    }

    /// The peer's side ended without its `close_notify`: what it sent may be cut off.
    fn truncated(self: &Rc<Self>, core: &Rc<Core>) {
        if self.has(Flags::WRITE_FAILED) {
            return self.end_of_input(core, None);
        }
        let text = "the peer ended the connection without saying so under TLS (close_notify): \
                    what it sent may be cut off";
        self.end(core, Some(Error::new(Kind::Truncated, text)));
    }

    /// Notes that the peer's side has ended; told when what came before is delivered.
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
