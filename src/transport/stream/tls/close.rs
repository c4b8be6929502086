//! The ends that only TLS has: the peer's `close_notify` is waited for, or TLS broke.

use std::io::{self, IoSlice};
use std::rc::Rc;

use super::read::READ_AT_ONCE;
use crate::error::Error;
use crate::event_loop::Core;
use crate::transport::stream::Stream;
use crate::transport::stream::flags::Flags;
use crate::transport::stream::life::{Phase, SocketEnd};
use crate::transport::tls::End;

impl Stream {
    /// Drops what comes in until the peer says that it has ended, too.
    pub(in crate::transport::stream) fn await_end(
        self: &Rc<Self>,
        core: &Rc<Core>,
        buffer: &mut [u8],
    ) {
        let Some(mut tls) = self.take_tls() else { return };
        let start = tls.layer.input_start();
        let room = (buffer.len() - start).min(READ_AT_ONCE);
        let result = self.socket.read(&mut buffer[start..start + room]);
        match result {
            Ok(count) if count > 0 => {
                self.note_discarded(core, count);
                let opened = core.tls.with_records(|answer| {
                    let opened = core.by_the_clock(|| tls.layer.open(buffer, count, answer));
                    if !tls.layer.close_was_sent() {
                        // New keys, which what is still to be sent goes by.
                        self.send_answer(core, &mut tls, answer);
                    }
                    opened
                });
                if !matches!(opened.end, End::No) {
                    self.set(Flags::EOF);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !self.has(Flags::ERROR) => {
                self.clear(Flags::READABLE);
            }
            // The peer has closed or reset the connection.
            _ => {
                self.set(Flags::EOF.union(Flags::INPUT_ENDED));
                self.clear(Flags::READABLE);
            }
        }
        self.put_tls(tls);
        if self.has(Flags::EOF) && self.phase() == Phase::AwaitingPeer {
            if self.input_has_ended() {
                self.end(core, None);
            } else {
                self.end_and_linger(core, None);
            }
        } else if self.discards() {
            // What was written is still being sent.
            self.enqueue(core);
        }
    }

    /// TLS failed: the alert that says why is sent, then the connection is closed. The socket lingers, so
    /// that the alert arrives though the peer is still writing.
    pub(in crate::transport::stream) fn tls_failed(self: &Rc<Self>, core: &Rc<Core>, error: Error) {
        if self.has(Flags::CLOSED) {
            return;
        }
        // It is the reason, whatever writing or shutting down says now.
        if !self.flush_alert(core) {
            self.end_with(core, Some(error), SocketEnd::Reset);
        } else if self.socket.shutdown().is_ok() {
            self.end_and_linger(core, Some(error));
        } else {
            self.end_with(core, Some(error), SocketEnd::Close);
        }
    }

    /// Sends what is ready. Returns whether that was all.
    fn flush_alert(&self, core: &Core) -> bool {
        let is_out = self.with_tls(|tls| {
            while !tls.outgoing.is_empty() {
                let mut slice = [IoSlice::new(&[])];
                tls.outgoing.fill(&mut slice, usize::MAX);
                match self.socket.write(&slice[0]) {
                    Ok(sent) if sent > 0 => {
                        core.with_deferred_drops(|drops| tls.outgoing.advance(sent, drops));
                    }
                    _ => return false,
                }
            }
            true
        });
        is_out == Some(true)
    }
}
