//! What a stream with TLS has, and where it is kept.

use std::io::IoSlice;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::Stream;
use super::flags::Flags;
use super::write_queue::WriteQueue;
use crate::driver::TransportId;
use crate::error::{Error, Kind, text_of};
use crate::event_loop::Core;
use crate::tls::TlsVersion;
use crate::transport::tls::{Layer, Leftover, Scratch, TlsInfo, is_panic_of_rustls};

/// The TLS of one stream. Plaintext that waits is in the stream's own queue.
pub(super) struct Tls {
    pub(super) layer: Layer,
    /// Final bytes that the socket has not taken. Without [`Flags::HAS_QUEUE`] they are *held*: the
    /// running callback's first write takes them along.
    pub(super) outgoing: WriteQueue,
    /// `None` once the handshake is done, with [`Flags::SHAKING_HANDS`] cleared.
    pub(super) handshake: Option<Handshake>,
    /// What the peer said last, until what it sent before is delivered.
    pub(super) end: Option<PeerEnd>,
    /// How long the peer's `close_notify` is waited for after ours; `None`: not at all.
    pub(super) shutdown: Option<Duration>,
    /// What is written is not all that there should have been: the end goes without `close_notify`.
    pub(super) is_cut_off: bool,
}

pub(super) struct Handshake {
    pub(super) waiter: Waiter,
    pub(super) leftover: Leftover,
    /// What a client sent with its first message (0-RTT), until there is a protocol to give it to.
    /// At most what the server allows (`TlsServerBuilder::max_early_data`).
    pub(super) early: Vec<u8>,
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
    pub(super) fn take_held(&mut self, stream: &Stream, core: &Core, records: &mut Scratch) {
        if self.outgoing.is_empty() || stream.has(Flags::HAS_QUEUE) {
            return;
        }
        while !self.outgoing.is_empty() {
            let mut slice = [IoSlice::new(&[])];
            self.outgoing.fill(&mut slice, usize::MAX);
            let count = slice[0].len();
            records.append_bytes(&slice[0]);
            core.with_spent(|spent| self.outgoing.advance(count, spent));
        }
    }
}

pub(super) enum PeerEnd {
    Closed,
    Failed(Error),
}

impl Stream {
    /// Takes it out while it is worked on.
    pub(super) fn take_tls(&self) -> Option<Box<Tls>> {
        let mut extra = self.extra.take()?;
        let tls = extra.tls.take();
        self.extra.set(Some(extra));
        tls
    }

    pub(super) fn put_tls(&self, tls: Box<Tls>) {
        let former = self.with_extra(|extra| extra.tls.replace(tls));
        drop(former);
    }

    /// What `action` makes of it; `None` without TLS.
    pub(super) fn with_tls<R>(&self, action: impl FnOnce(&mut Tls) -> R) -> Option<R> {
        let mut tls = self.take_tls()?;
        let result = action(&mut tls);
        self.put_tls(tls);
        Some(result)
    }

    /// A panic of rustls, or of what users gave it, is reported beside ending the connection.
    #[cold]
    pub(super) fn report_tls_panic(&self, core: &Core, error: &Error) {
        if is_panic_of_rustls(error) {
            let report = Error::new(Kind::Panic, text_of(error));
            let message = "a panic under TLS ended a connection";
            core.report_later(message, report, Some(TransportId(self.key)));
        }
    }

    pub(super) fn is_shaking_hands(&self) -> bool {
        self.has(Flags::SHAKING_HANDS)
    }

    /// Ends the handshake.
    pub(super) fn take_handshake(&self) -> Option<Handshake> {
        self.clear(Flags::SHAKING_HANDS);
        self.with_tls(|tls| tls.handshake.take()).flatten()
    }

    /// How long the peer's end is waited for, if it is.
    pub(super) fn shutdown_timeout(&self) -> Option<Duration> {
        if self.has(Flags::TLS) { self.with_tls(|tls| tls.shutdown).flatten() } else { None }
    }

    /// The final bytes that wait, beside what is in the queue.
    pub(super) fn tls_waiting(&self) -> usize {
        if !self.has(Flags::HAS_QUEUE) {
            return 0;
        }
        self.with_tls(|tls| tls.outgoing.len()).unwrap_or(0)
    }

    /// Whether it is a server that has sent nothing but what TLS itself has to say.
    pub(super) fn tls_said_nothing(&self) -> bool {
        self.with_tls(|tls| !tls.layer.has_sealed() && !tls.layer.session().is_client())
            .unwrap_or(false)
    }

    pub(super) fn tls_info(&self) -> Option<Rc<TlsInfo>> {
        self.with_tls(|tls| tls.handshake.is_none().then(|| Rc::new(TlsInfo::of(&tls.layer))))
            .flatten()
    }

    pub(super) fn export_keying_material(
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

    /// TLS 1.2 cannot end one side only.
    pub(super) fn tls_can_write_eof(&self) -> bool {
        let version = self.with_tls(|tls| tls.layer.session().state().protocol_version()).flatten();
        version.and_then(TlsVersion::from_rustls) != Some(TlsVersion::Tls12)
    }

    /// Forgets what was not sent.
    pub(super) fn discard_tls_queue(&self, core: &Core) {
        self.with_tls(|tls| {
            let len = tls.outgoing.len();
            core.with_spent(|spent: &mut Vec<Bytes>| tls.outgoing.advance(len, spent));
        });
    }
}
