//! TLS as a layer between the halves of a stream and its socket.
//!
//! Plaintext waits in the writing half's queue, and becomes records when the socket takes them
//! (`write.rs`); records become what the reading half delivers (`read.rs`). `handshake.rs` begins it,
//! `close.rs` has the ends that only TLS has. Without the feature `tls-core`, `no_tls.rs` stands in the
//! place of this module, with the same names.

mod close;
mod handshake;
mod read;
mod write;

use std::cell::Cell;
use std::io::IoSlice;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::Stream;
use super::flags::Flags;
use super::write::WriteQueue;
use crate::cell::put_back;
use crate::driver::TransportId;
use crate::error::{Error, Kind, text_of};
use crate::event_loop::Core;
use crate::tls::TlsVersion;
use crate::transport::tls::{Layer, Leftover, Scratch, TlsInfo, is_panic_of_rustls};

pub(crate) use self::handshake::PlaceholderProtocol;

/// Where the TLS of a stream is, if it has any.
#[derive(Default)]
pub(in crate::transport::stream) struct TlsPlace(Cell<Option<Box<Tls>>>);

/// The TLS of one stream. Plaintext that waits is in the stream's own queue.
struct Tls {
    layer: Layer,
    /// Final bytes that the socket has not taken. Without [`Flags::HAS_QUEUE`] they are *held*: the
    /// running callback's first write takes them along.
    outgoing: WriteQueue,
    /// `None` once the handshake is done; [`Flags::HANDSHAKING`] is cleared with it.
    handshake: Option<Handshake>,
    /// What the peer said last, until what it sent before is delivered.
    end: Option<PeerEnd>,
    /// How long the peer's `close_notify` is waited for after ours; `None`: not at all.
    shutdown: Option<Duration>,
    /// What is written is not all that there should have been: the end goes without `close_notify`.
    is_cut_off: bool,
}

struct Handshake {
    waiter: Waiter,
    leftover: Leftover,
    /// What a client sent with its first message (0-RTT), until there is a protocol to give it to.
    /// At most what the server allows (`TlsServerBuilder::max_early_data`).
    early: Vec<u8>,
}

/// Who waits for the handshake.
pub(crate) enum Waiter {
    /// A server: the protocol is made when it is done.
    Accept,
    /// A connect: called with how it ended, in which case `Ok` means to make the protocol.
    Connect(Connecting),
    /// A protocol that had the connection before.
    Upgrade,
}

pub(crate) type Connecting = Box<dyn FnOnce(&Rc<Core>, &Rc<Stream>, Result<(), Error>)>;

impl Tls {
    /// Appends what is held to `records`.
    fn take_held(&mut self, stream: &Stream, core: &Core, records: &mut Scratch) {
        if self.outgoing.is_empty() || stream.has(Flags::HAS_QUEUE) {
            return;
        }
        while !self.outgoing.is_empty() {
            let mut slice = [IoSlice::new(&[])];
            self.outgoing.fill(&mut slice, usize::MAX);
            let count = slice[0].len();
            records.append_bytes(&slice[0]);
            core.with_deferred_drops(|drops| self.outgoing.advance(count, drops));
        }
    }
}

enum PeerEnd {
    Closed,
    Failed(Error),
}

impl Stream {
    /// Takes it out while it is worked on.
    fn take_tls(&self) -> Option<Box<Tls>> {
        self.tls.0.take()
    }

    fn put_tls(&self, tls: Box<Tls>) {
        put_back(&self.tls.0, tls);
    }

    /// What `action` makes of it; `None` without TLS.
    fn with_tls<R>(&self, action: impl FnOnce(&mut Tls) -> R) -> Option<R> {
        let mut tls = self.take_tls()?;
        let result = action(&mut tls);
        self.put_tls(tls);
        Some(result)
    }

    /// A panic of rustls, or of what users gave it, is reported beside ending the connection.
    pub(in crate::transport::stream) fn report_tls_panic(&self, core: &Core, error: &Error) {
        if is_panic_of_rustls(error) {
            let report = Error::new(Kind::Panic, text_of(error));
            let message = "a panic under TLS ended a connection";
            core.report_later(message, report, Some(TransportId(self.key)));
        }
    }

    /// Ends the handshake.
    fn take_handshake(&self) -> Option<Handshake> {
        self.clear(Flags::HANDSHAKING);
        self.with_tls(|tls| tls.handshake.take()).flatten()
    }

    /// How long the peer's end is waited for, if it is.
    pub(in crate::transport::stream) fn shutdown_timeout(&self) -> Option<Duration> {
        if self.has(Flags::TLS) { self.with_tls(|tls| tls.shutdown).flatten() } else { None }
    }

    /// The final bytes that wait, beside what is in the queue.
    pub(in crate::transport::stream) fn tls_waiting(&self) -> usize {
        if !self.has(Flags::HAS_QUEUE) {
            return 0;
        }
        self.with_tls(|tls| tls.outgoing.len()).unwrap_or(0)
    }

    /// Whether it is a server that has sent nothing but what TLS itself has to say.
    pub(in crate::transport::stream) fn tls_said_nothing(&self) -> bool {
        self.with_tls(|tls| !tls.layer.has_sealed() && !tls.layer.session().is_client())
            .unwrap_or(false)
    }

    pub(in crate::transport::stream) fn tls_info(&self) -> Option<Rc<TlsInfo>> {
        self.with_tls(|tls| tls.handshake.is_none().then(|| Rc::new(TlsInfo::of(&tls.layer))))
            .flatten()
    }

    pub(in crate::transport::stream) fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<(), Error> {
        let exported = self.with_tls(|tls| {
            (tls.handshake.is_none()).then(|| tls.layer.export(output, label, context))
        });
        exported.flatten().unwrap_or_else(|| {
            Err(Error::invalid("keying material is exported once a TLS handshake is done"))
        })
    }

    /// Whether the write side can end alone: not under TLS 1.2.
    pub(in crate::transport::stream) fn tls_can_write_eof(&self) -> bool {
        if !self.has(Flags::TLS) {
            return true;
        }
        let version = self.with_tls(|tls| tls.layer.session().state().protocol_version()).flatten();
        version.and_then(TlsVersion::from_rustls) != Some(TlsVersion::Tls12)
    }

    /// Forgets what was not sent.
    pub(in crate::transport::stream) fn discard_tls_queue(&self, core: &Core) {
        self.with_tls(|tls| {
            let len = tls.outgoing.len();
            core.with_deferred_drops(|drops: &mut Vec<Bytes>| tls.outgoing.advance(len, drops));
        });
    }

    /// The info has changed: TLS began, or agreed on something.
    fn forget_info(&self) {
        if let Some(facts) = self.facts.take() {
            facts.forget();
            self.facts.set(Some(facts));
        }
    }

    /// Whether something that unwound took the TLS along.
    pub(in crate::transport::stream) fn has_lost_tls(&self) -> bool {
        self.has(Flags::TLS) && self.with_tls(|_| ()).is_none()
    }

    /// The stream is closed.
    #[inline]
    pub(in crate::transport::stream) fn drop_tls(&self, core: &Core) {
        if let Some(tls) = self.take_tls() {
            core.drop_user(tls, "TLS session");
        }
    }

    /// What was written is not all that there should have been. The peer is not told that it is, by
    /// `close_notify`: the connection just ends, after all bytes. Without TLS there is no such thing.
    pub(crate) fn withhold_close_notify(&self) {
        self.with_tls(|tls| tls.is_cut_off = true);
    }
}
