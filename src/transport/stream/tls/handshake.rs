//! From a plain connection to one with TLS.

use std::io;
use std::rc::Rc;

use bytes::Bytes;

use super::{Connecting, Handshake, Tls, Waiter};
use crate::error::{Error, Kind};
use crate::event_loop::{Core, nanoseconds};
use crate::protocol::Protocol;
use crate::tls::{handshake_error, tls_error};
use crate::transport::Transport;
use crate::transport::stream::Stream;
use crate::transport::stream::flags::Flags;
use crate::transport::stream::read::HANGING_UP;
use crate::transport::stream::write::WriteQueue;
use crate::transport::tls::{Leftover, Opened, Setup, TlsUpgrade};

/// Stands for the protocol of a connection that has none before its handshake is done.
pub(crate) struct PlaceholderProtocol;

impl Protocol for PlaceholderProtocol {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> crate::error::Result {
        Ok(())
    }
}

impl Stream {
    /// Begins a handshake on a connection that was just made or accepted.
    pub(crate) fn begin_tls(self: &Rc<Self>, core: &Rc<Core>, setup: Setup, waiter: Waiter) {
        self.active_at.set(core.tick_instant());
        self.attach_tls(
            core,
            setup,
            WriteQueue::default(),
            Handshake {
                waiter,
                // There is nothing before the handshake.
                leftover: Leftover::Feed,
                early: Vec::new(),
            },
        );
        self.flush(core);
        if self.has(Flags::READABLE) {
            self.enqueue(core);
        }
    }

    /// Begins a handshake for a connect.
    pub(crate) fn connect_tls(self: &Rc<Self>, core: &Rc<Core>, setup: Setup, done: Connecting) {
        self.begin_tls(core, setup, Waiter::Connect(done));
    }

    /// Begins a handshake on a connection that its protocol has used before.
    pub(in crate::transport::stream) fn start_tls(
        self: &Rc<Self>,
        core: &Rc<Core>,
        upgrade: &TlsUpgrade,
        leftover: &Bytes,
    ) {
        if self.has(Flags::CLOSING.union(Flags::CLOSED)) {
            return;
        }
        if let Err(error) = self.try_start_tls(core, upgrade, leftover) {
            self.end(core, Some(error));
        }
    }

    fn try_start_tls(
        self: &Rc<Self>,
        core: &Rc<Core>,
        upgrade: &TlsUpgrade,
        leftover: &Bytes,
    ) -> Result<(), Error> {
        if self.is_read_only() || self.is_write_only() {
            let text = "TLS needs both directions, and this pipe goes one way: connect_pipes makes one \
                        transport of two";
            return Err(Error::new(Kind::Unsupported, text));
        }
        if self.has(Flags::EOF_WANTED) {
            return Err(Error::invalid("start_tls() after write_eof()"));
        }
        if self.is_relayed() {
            return Err(Error::invalid("start_tls() on a connection that is relayed"));
        }
        if self.writing.queue().borrow().is_mixed() {
            let text = "start_tls() while a file or descriptors wait to be sent";
            return Err(Error::invalid(text));
        }
        if self.has(Flags::HANDSHAKING) {
            return Err(Error::invalid("start_tls() while a handshake is going on"));
        }
        if !leftover.is_empty() {
            refuse_or_feed(upgrade.leftover())?;
        }
        let setup = upgrade.setup(core, None)?;
        let outgoing = self.written_before(core)?;
        let handshake =
            Handshake { waiter: Waiter::Upgrade, leftover: upgrade.leftover(), early: Vec::new() };
        self.attach_tls(core, setup, outgoing, handshake);
        // Delivered to nobody but TLS, once the running callback has returned.
        self.take_leftover_back(core, leftover.clone());
        self.update_soon(core);
        self.enqueue(core);
        Ok(())
    }

    /// What was written so far, as it has to go out: before TLS as it is, under TLS as records of the
    /// layer that there was.
    fn written_before(self: &Rc<Self>, core: &Rc<Core>) -> Result<WriteQueue, Error> {
        self.queue_gathered(core);
        if !self.has(Flags::TLS) {
            return Ok(self.writing.queue().take());
        }
        self.with_tls(|tls| self.seal_all(core, tls)).unwrap_or(Ok(())).map_err(tls_error)?;
        Ok(self.with_tls(|tls| std::mem::take(&mut tls.outgoing)).unwrap_or_default())
    }

    /// Puts TLS on the stream, over the TLS that it has.
    fn attach_tls(
        self: &Rc<Self>,
        core: &Rc<Core>,
        setup: Setup,
        outgoing: WriteQueue,
        handshake: Handshake,
    ) {
        let below = self.take_tls().map(|tls| tls.layer);
        let mut tls = Box::new(Tls {
            layer: setup.layer.over(below),
            outgoing,
            handshake: Some(handshake),
            end: None,
            shutdown: setup.timeouts.shutdown,
            is_cut_off: false,
        });
        let begun = core.tls.with_records(|records| {
            let begun = core.by_the_clock(|| tls.layer.begin(records));
            tls.outgoing.push_copy(records.bytes());
            begun
        });
        let has_outgoing = !tls.outgoing.is_empty();
        self.set(Flags::TLS.union(Flags::HANDSHAKING));
        self.put_tls(tls);
        if has_outgoing {
            self.set(Flags::HAS_QUEUE);
        }
        self.forget_info();
        let until = core.tick_time().saturating_add(nanoseconds(setup.timeouts.handshake));
        self.set_handshake_deadline(core, Some(until));
        if let Err(error) = begun {
            self.end(core, Some(handshake_error(error)));
        }
    }

    /// Goes on with the handshake, if it is its turn.
    pub(in crate::transport::stream) fn continue_handshake(
        self: &Rc<Self>,
        core: &Rc<Core>,
        buffer: &mut [u8],
    ) {
        if self.has(HANGING_UP) {
            self.set(Flags::READABLE);
        }
        if !self.has(Flags::READABLE.union(Flags::LEFTOVER)) {
            return;
        }
        if !core.tls.may_step(core.counters.ticks()) {
            self.set(Flags::QUEUED);
            core.tls.put_off(Rc::clone(self));
            return core.mark_pending();
        }
        let Some(mut tls) = self.take_tls() else { return };
        // What was received before has come through the layers below already.
        let is_leftover = self.has(Flags::LEFTOVER);
        let start = if is_leftover { tls.layer.own_input_start() } else { tls.layer.input_start() };
        let room = self.tls_room(core, buffer.len() - start);
        if room == 0 {
            return self.put_tls(tls);
        }
        let space = &mut buffer[start..start + room];
        let leftover = self.take_leftover(core, &tls, space);
        match leftover.unwrap_or_else(|| self.socket.read(space).map_err(Ok)) {
            Ok(count) if count > 0 => {
                if !is_leftover {
                    self.note_received_in_room(core, count, room);
                }
                let opened = core.tls.with_records(|answer| {
                    let opened = core.by_the_clock(|| {
                        if is_leftover {
                            tls.layer.open_own(buffer, count, answer)
                        } else {
                            tls.layer.open(buffer, count, answer)
                        }
                    });
                    if tls.layer.is_established() {
                        self.hold_answer(core, &mut tls, answer);
                    } else {
                        self.send_answer(core, &mut tls, answer);
                    }
                    opened
                });
                self.put_tls(tls);
                self.handshake_went_on(core, opened, buffer);
            }
            Ok(_) => {
                self.put_tls(tls);
                let text = "the peer ended the connection during the TLS handshake";
                self.end(core, Some(Error::new(Kind::Truncated, text)));
            }
            Err(Ok(error)) => {
                self.put_tls(tls);
                self.nothing_read(core, Err(error));
            }
            Err(Err(error)) => {
                self.put_tls(tls);
                self.end(core, Some(error));
            }
        }
    }

    /// What was received before TLS began, put in the handshake's input if the upgrade says so.
    fn take_leftover(
        &self,
        core: &Core,
        tls: &Tls,
        space: &mut [u8],
    ) -> Option<Result<usize, std::result::Result<io::Error, Error>>> {
        if !self.has(Flags::LEFTOVER) {
            return None;
        }
        let feeds = tls.handshake.as_ref().map_or(Leftover::Refuse, |handshake| handshake.leftover);
        if let Err(error) = refuse_or_feed(feeds) {
            return Some(Err(Err(error)));
        }
        let leftover = self.reading.take_leftover();
        let count = leftover.len().min(space.len());
        space[..count].copy_from_slice(&leftover[..count]);
        self.clear(Flags::LEFTOVER);
        self.keep_leftover(core, leftover.slice(count..));
        core.with_deferred_drops(|drops| drops.push(leftover));
        Some(Ok(count))
    }

    /// What is kept now was not seen by the protocol that began the handshake: it is as if it was
    /// still with the system.
    pub(in crate::transport::stream) fn feed_handshake(&self) {
        self.with_tls(|tls| {
            if let Some(handshake) = &mut tls.handshake {
                handshake.leftover = Leftover::Feed;
            }
        });
    }

    fn handshake_went_on(self: &Rc<Self>, core: &Rc<Core>, opened: Opened, buffer: &mut [u8]) {
        let plaintext = &buffer[..opened.plaintext];
        let early = self.with_tls(|tls| match &mut tls.handshake {
            Some(handshake) if !tls.layer.is_established() => {
                handshake.early.extend_from_slice(plaintext);
                None
            }
            Some(handshake) => Some(std::mem::take(&mut handshake.early)),
            None => Some(Vec::new()),
        });
        if let Some(mut early) = early.flatten() {
            self.handshake_is_done(core);
            if early.is_empty() {
                self.deliver_or_keep(core, plaintext);
            } else {
                early.extend_from_slice(plaintext);
                self.deliver_or_keep(core, &early);
            }
        }
        self.send_held(core);
        self.note_end(core, opened.end, handshake_error);
        if self.has(Flags::READABLE.union(Flags::LEFTOVER)) && !self.has(Flags::CLOSED) {
            self.enqueue(core);
        }
    }

    fn handshake_is_done(self: &Rc<Self>, core: &Rc<Core>) {
        if self.with_tls(|tls| tls.layer.has_early_rest()).unwrap_or(false) {
            self.send_early_rest(core);
            if self.has(Flags::CLOSED) {
                return;
            }
        }
        let handshake = self.take_handshake();
        self.set_handshake_deadline(core, None);
        self.forget_info();
        match handshake.map(|handshake| handshake.waiter) {
            Some(Waiter::Accept) => self.begin_accepted(core),
            Some(Waiter::Connect(done)) => done(core, self, Ok(())),
            Some(Waiter::Upgrade) => {
                self.call(core, "tls_established", |protocol, transport| {
                    protocol.tls_established(transport)
                });
                self.update(core);
            }
            None => {}
        }
    }

    /// Makes the protocol of an accepted connection, now that it is known who it is with.
    fn begin_accepted(self: &Rc<Self>, core: &Rc<Core>) {
        let Some(server) = self.life.server().cloned() else { return };
        match server.make_protocol(|| self.info()) {
            Ok(protocol) => self.begin_with(core, protocol),
            Err(error) => {
                server.accept_failed(core, self.name_peer(error));
                self.end(core, None);
            }
        }
    }

    /// Installs the first protocol, and begins.
    pub(crate) fn begin_with(self: &Rc<Self>, core: &Rc<Core>, protocol: Box<dyn Protocol>) {
        let protocol = self.note_kind(protocol);
        let placeholder = self.protocol.replace(Some(protocol));
        drop(placeholder);
        self.begin_user_deadline(core);
        self.begin(core);
    }

    /// The connection is closed, and its protocol was never told of it.
    pub(in crate::transport::stream) fn handshake_failed(
        self: &Rc<Self>,
        core: &Rc<Core>,
        error: Option<Error>,
    ) {
        let handshake = self.take_handshake();
        match handshake.map(|handshake| handshake.waiter) {
            Some(Waiter::Connect(done)) => {
                let error = error.unwrap_or_else(|| Error::bare(Kind::Cancelled));
                done(core, self, Err(error));
            }
            Some(Waiter::Accept) => {
                if let (Some(server), Some(error)) = (self.life.server(), error) {
                    let error = match error.kind() {
                        Kind::Io => error.in_context("the TLS handshake failed"),
                        _ => error,
                    };
                    server.accept_failed(core, self.name_peer(error));
                }
            }
            Some(Waiter::Upgrade) | None => {}
        }
    }

    fn name_peer(&self, error: Error) -> Error {
        match &self.peer {
            Some(peer) => error.in_context(format!("connection from {peer}")),
            None => error,
        }
    }

    /// Whether it is closing, and nothing waits that only TLS could send.
    pub(in crate::transport::stream) fn closes_before_handshake(&self) -> bool {
        self.has(Flags::CLOSING) && self.writing.queue().borrow().is_empty()
    }
}

fn refuse_or_feed(leftover: Leftover) -> Result<(), Error> {
    match leftover {
        Leftover::Feed => Ok(()),
        Leftover::Refuse => Err(Error::new(
            Kind::Tls,
            "bytes were received before TLS began and not consumed: somebody between the peers may \
             have put them there",
        )),
    }
}
