//! The state of one stream connection.

mod access;
mod closing;
mod deadlines;
mod deliver;
mod descriptors;
mod flags;
mod flush;
mod flush_mixed;
mod hand_over;
mod one_way;
mod pool;
mod read;
mod send_file;
mod settle;
mod splice;
mod throttle;
#[cfg(feature = "tls-core")]
mod tls;
#[cfg(feature = "tls-core")]
mod tls_handshake;
#[cfg(feature = "tls-core")]
mod tls_read;
#[cfg(feature = "tls-core")]
mod tls_write;
mod write;
mod write_queue;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;

use self::closing::Phase;
use self::deadlines::Deadlines;
use self::flags::Flags;
use self::splice::Splice;
use self::write_queue::WriteQueue;
use crate::address::Address;
use crate::driver::{Key, Readiness, ShortReads, Socket};
use crate::error::Error;
use crate::event_loop::{Core, ServerCore};
use crate::fence;
use crate::protocol::Protocol;
use crate::protocol::sealed::Token;
use crate::transport::rate_limit::Limits;
use crate::transport::{Facts, Info, StreamOptions, options};

pub(crate) use self::access::Access;
pub(crate) use self::access::sealed;
pub(crate) use self::closing::Lingering;
pub(crate) use self::deliver::Failed;
pub(crate) use self::pool::StreamPool;
#[cfg(feature = "tls-core")]
pub(crate) use self::tls::Waiter;
#[cfg(feature = "tls-core")]
pub(crate) use self::tls_handshake::Nobody;

/// One stream connection: its socket, its protocol and what is between them.
///
/// Protocol and transport state are apart: while a callback runs, the protocol is taken out, and
/// the callback works on the rest.
pub(crate) struct Stream {
    pub(crate) key: Key,
    pub(crate) flags: Cell<Flags>,
    phase: Cell<Phase>,
    /// Closed when the connection is over.
    socket: Socket,
    /// `None` while one of its callbacks runs, and after the last.
    protocol: Cell<Option<Box<dyn Protocol>>>,
    queue: RefCell<WriteQueue>,
    high_water: Cell<usize>,
    low_water: Cell<usize>,
    /// What one callback can write before it goes out.
    gather_limit: Cell<usize>,
    write_cap: Cell<usize>,
    /// When bytes last went in or out.
    active_at: Cell<Instant>,
    /// How many relays have a protocol here: one, or two while one takes over from another.
    relays: Cell<u8>,
    deadlines: RefCell<Option<Box<Deadlines>>>,
    /// What is rarely there at all.
    extra: Cell<Option<Box<Extra>>>,
    server: Option<Rc<ServerCore>>,
    peer: Option<Address>,
    /// Made when somebody asks, or has a handle.
    facts: Cell<Option<Rc<Facts>>>,
}

/// What most connections never have.
#[derive(Default)]
struct Extra {
    /// The protocol that is to take over when the running callback has returned.
    next: Option<Box<dyn Protocol>>,
    /// Received, but left over by a former protocol or given back: to be delivered first.
    leftover: Bytes,
    /// What `connection_lost` is to be told.
    error: Option<Error>,
    /// How many descriptors one read may bring; 0: none are received.
    descriptors: usize,
    limits: Option<Rc<Limits>>,
    splice: Option<Rc<Splice>>,
    /// The other connection of its relay.
    relayed_to: Option<Key>,
    #[cfg(feature = "tls-core")]
    tls: Option<Box<tls::Tls>>,
}

impl Extra {
    /// What a connection has of it from its beginning, and the flag that says so.
    #[inline]
    fn from_options(options: &StreamOptions) -> (Flags, Option<Box<Self>>) {
        if options.descriptors == 0 {
            return (Flags::WRITABLE, None);
        }
        let extra = Self { descriptors: options.descriptors, ..Self::default() };
        (Flags::TAKES_DESCRIPTORS, Some(Box::new(extra)))
    }
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
            if protocol.as_buffered(Token).is_some() { Flags::BUFFERED } else { Flags::WRITABLE };
        let reads = match socket.short_reads() {
            ShortReads::Drain => Flags::WRITABLE,
            ShortReads::Tell | ShortReads::ShowNothing => Flags::ENDS_EARLY,
        };
        let (descriptors, extra) = Extra::from_options(options);
        let stream = core.stream_pool.place(Self {
            key,
            flags: Cell::new(Flags::WRITABLE.and(buffered).and(reads).and(descriptors)),
            phase: Cell::new(Phase::Open),
            socket,
            protocol: Cell::new(Some(protocol)),
            queue: RefCell::default(),
            high_water: Cell::new(options.marks.high),
            low_water: Cell::new(options.marks.low),
            gather_limit: Cell::new(options.marks.high.min(options::GATHER_LIMIT)),
            write_cap: Cell::new(options.write_cap.unwrap_or(usize::MAX)),
            active_at: Cell::new(core.tick_instant()),
            relays: Cell::new(0),
            deadlines: RefCell::new(Deadlines::from_options(core, options)),
            extra: Cell::new(extra),
            server,
            peer,
            facts: Cell::new(None),
        });
        if let Some(limits) = &options.limits {
            stream.begin_limited(core, limits);
        }
        stream
    }

    /// Lets go of everything, the socket first: what is left is memory, and needs no drop.
    #[inline(always)]
    fn vacate(&mut self) {
        self.socket = Socket::Closed;
        self.protocol = Cell::new(None);
        self.queue = RefCell::default();
        self.deadlines = RefCell::new(None);
        self.extra = Cell::new(None);
        self.server = None;
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

    #[inline]
    fn has(&self, flags: Flags) -> bool {
        self.flags.get().any(flags)
    }

    #[inline]
    fn set(&self, flags: Flags) {
        self.flags.set(self.flags.get().and(flags));
    }

    #[inline]
    fn clear(&self, flags: Flags) {
        self.flags.set(self.flags.get().without(flags));
    }

    /// Notes what the socket is ready for; whether the stream has to be put in the ready list.
    #[inline]
    pub(crate) fn note(&self, readiness: Readiness) -> bool {
        let before = self.flags.get();
        self.flags.set(before.and(Flags::from(readiness)).and(Flags::QUEUED));
        !before.any(Flags::QUEUED)
    }

    #[cfg(feature = "tls-core")]
    pub(crate) fn is_made(&self) -> bool {
        self.has(Flags::MADE)
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.has(Flags::LOST)
    }

    pub(crate) fn belongs_to(&self, server: &Rc<ServerCore>) -> bool {
        self.server.as_ref().is_some_and(|own| Rc::ptr_eq(own, server))
    }

    /// Puts the stream in the ready list, unless it is there.
    pub(crate) fn enqueue(self: &Rc<Self>, core: &Core) {
        if !self.has(Flags::QUEUED) {
            self.set(Flags::QUEUED);
            core.push_ready(crate::event_loop::Ready::Stream(Rc::clone(self)));
        }
    }

    /// Changes what most connections never have; the box goes when it is empty again.
    ///
    /// It is out of its place meanwhile: `change` runs no foreign code, nor drops what is the user's.
    fn with_extra<R>(&self, change: impl FnOnce(&mut Extra) -> R) -> R {
        let _hold = fence::hold();
        let mut extra = self.extra.take().unwrap_or_default();
        let result = change(&mut extra);
        let is_needed = extra.next.is_some()
            || !extra.leftover.is_empty()
            || extra.error.is_some()
            || extra.descriptors > 0
            || extra.limits.is_some()
            || extra.splice.is_some()
            || extra.relayed_to.is_some()
            || self.has(Flags::TLS);
        if is_needed {
            self.extra.set(Some(extra));
        }
        result
    }

    #[inline]
    fn has_extra(&self) -> bool {
        let extra = self.extra.take();
        let has = extra.is_some();
        self.extra.set(extra);
        has
    }

    /// As [`with_extra`](Self::with_extra) where there is something, else the default.
    fn with_existing_extra<R: Default>(&self, change: impl FnOnce(&mut Extra) -> R) -> R {
        match self.extra.take() {
            None => R::default(),
            extra => {
                self.extra.set(extra);
                self.with_extra(change)
            }
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

    /// Where the info is, or will be when the connection is over.
    pub(crate) fn facts(&self) -> Rc<Facts> {
        let facts = self.facts.take().unwrap_or_default();
        self.facts.set(Some(Rc::clone(&facts)));
        facts
    }

    /// The info has changed: TLS began, or agreed on something.
    #[cfg(feature = "tls-core")]
    fn forget_info(&self) {
        if let Some(facts) = self.facts.take() {
            facts.forget();
            self.facts.set(Some(facts));
        }
    }

    /// The connection is over: its handles go on knowing what it was.
    fn leave_info(&self) {
        if let Some(facts) = self.facts.take() {
            let is_shared = Rc::strong_count(&facts) > 1;
            self.facts.set(Some(facts));
            if is_shared {
                let _ = self.info();
            }
        }
    }
}
