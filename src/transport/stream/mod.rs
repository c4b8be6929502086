//! One stream connection, cut into a reading half (`read/`), a writing half (`write/`) and a life
//! (`life/`).
//!
//! Each part is a type whose state only its own module touches; what it decides, it decides without
//! I/O. TLS (`tls/`) is a layer between the halves and the socket. The methods of [`Stream`] connect the
//! parts with the socket, the protocol and the loop.

mod access;
mod callback;
mod describe;
mod flags;
mod life;
mod one_way;
mod pool;
mod rare;
mod read;
mod throttle;
#[cfg_attr(not(feature = "tls-core"), path = "no_tls.rs")]
mod tls;
mod update;
mod write;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use self::flags::Flags;
use self::life::Life;
use self::read::ReadHalf;
use self::throttle::Throttle;
use self::tls::TlsPlace;
use self::write::WriteHalf;
use crate::address::Address;
use crate::driver::{Key, ShortReads, Socket};
use crate::event_loop::{Core, ServerCore};
use crate::protocol::Protocol;
use crate::protocol::sealed::Token;
use crate::transport::{Facts, Info, StreamOptions};

pub(crate) use self::access::{Access, closed, sealed};
pub(crate) use self::callback::Failed;
pub(crate) use self::describe::ConnectionFacts;
pub(crate) use self::life::{Lingering, flush, poll_flush, wait_closed};
pub(crate) use self::pool::StreamPool;
#[cfg(feature = "tls-core")]
pub(crate) use self::tls::{PlaceholderProtocol, Waiter};

/// One stream connection: its socket, its protocol and what is between them.
///
/// Protocol and transport state are apart: while a callback runs, the protocol is taken out, and
/// the callback works on the rest.
pub(crate) struct Stream {
    pub(crate) key: Key,
    flags: Cell<Flags>,
    /// Closed when the connection is.
    socket: Socket,
    /// `None` while one of its callbacks runs, and after the last.
    protocol: Cell<Option<Box<dyn Protocol>>>,
    /// When bytes last went in or out.
    active_at: Cell<Instant>,
    reading: ReadHalf,
    writing: WriteHalf,
    life: Life,
    throttle: Throttle,
    tls: TlsPlace,
    peer: Option<Address>,
    /// Made when somebody asks, or has a handle.
    facts: Cell<Option<Rc<Facts>>>,
}

impl Stream {
    #[inline]
    pub(crate) fn new(
        core: &Core,
        key: Key,
        socket: Socket,
        mut protocol: Box<dyn Protocol>,
        options: &StreamOptions,
        server: Option<Rc<ServerCore>>,
        peer: Option<Address>,
    ) -> Rc<Self> {
        let buffered =
            if protocol.as_buffered(Token).is_some() { Flags::BUFFERED } else { Flags::NONE };
        let reads = match socket.short_reads() {
            ShortReads::Drain => Flags::NONE,
            ShortReads::Tell | ShortReads::ShowNothing => Flags::ENDS_EARLY,
        };
        let (descriptors, reading) = ReadHalf::new(options);
        let flags = Flags::WRITABLE.union(buffered).union(reads).union(descriptors);
        let stream = core.stream_pool.place(Self {
            key,
            flags: Cell::new(flags),
            socket,
            protocol: Cell::new(Some(protocol)),
            active_at: Cell::new(core.tick_instant()),
            reading,
            writing: WriteHalf::new(options),
            life: Life::new(core, options, server),
            throttle: Throttle::default(),
            tls: TlsPlace::default(),
            peer,
            facts: Cell::new(None),
        });
        if let Some(limits) = &options.limits {
            stream.begin_limited(core, limits);
        }
        stream
    }

    /// Releases everything, the socket first: what is left is memory, and needs no drop.
    #[inline(always)]
    fn vacate(&mut self) {
        self.socket = Socket::Closed;
        self.protocol = Cell::new(None);
        self.reading.vacate();
        self.writing.vacate();
        self.life.vacate();
        self.throttle = Throttle::default();
        self.tls = TlsPlace::default();
        self.peer = None;
        self.facts = Cell::new(None);
    }

    /// Notes whether the protocol receives into memory of its own.
    fn note_kind(&self, mut protocol: Box<dyn Protocol>) -> Box<dyn Protocol> {
        if protocol.as_buffered(Token).is_some() {
            self.set(Flags::BUFFERED);
        } else {
            self.clear(Flags::BUFFERED);
        }
        protocol
    }

    /// Whether its protocol, which can do both, is to receive into memory of its own from now on. Under TLS, and
    /// where descriptors come along, that would spare no copy.
    pub(crate) fn set_buffered(&self, on: bool) -> bool {
        if !on {
            self.clear(Flags::BUFFERED);
        } else if !self.has(Flags::TLS.union(Flags::TAKES_DESCRIPTORS)) {
            self.set(Flags::BUFFERED);
        }
        self.has(Flags::BUFFERED)
    }

    #[inline]
    fn has(&self, flags: Flags) -> bool {
        self.flags.get().intersects(flags)
    }

    #[inline]
    fn set(&self, flags: Flags) {
        self.flags.set(self.flags.get().union(flags));
    }

    #[inline]
    fn clear(&self, flags: Flags) {
        self.flags.set(self.flags.get().difference(flags));
    }

    pub(crate) fn is_made(&self) -> bool {
        self.has(Flags::MADE)
    }

    /// Puts the stream in the ready list, unless it is there.
    pub(crate) fn enqueue(self: &Rc<Self>, core: &Core) {
        if !self.has(Flags::QUEUED) {
            self.set(Flags::QUEUED);
            core.push_ready(crate::event_loop::Ready::Stream(Rc::clone(self)));
        }
    }

    /// The info, made when it is first asked for: it takes system calls.
    pub(crate) fn info(&self) -> Rc<Info> {
        self.facts().info_or(|| Info {
            local_address: self.socket.local_address(),
            peer_address: self.peer.clone().or_else(|| self.socket.peer_address()),
            peer_credentials: self.socket.peer_credentials(),
            #[cfg(feature = "tls-core")]
            tls: self.tls_info(),
        })
    }

    /// Where the info is, or will be when the connection is closed.
    pub(crate) fn facts(&self) -> Rc<Facts> {
        let facts = self.facts.take().unwrap_or_default();
        self.facts.set(Some(Rc::clone(&facts)));
        facts
    }

    /// The connection is closed: its handles go on knowing what it was, and why it is closed.
    fn leave_info(&self) {
        if let Some(facts) = self.facts.take() {
            let is_shared = Rc::strong_count(&facts) > 1;
            self.facts.set(Some(facts));
            if is_shared {
                let _ = self.info();
                self.facts().set_close_reason(self.close_reason());
            }
        }
    }
}
