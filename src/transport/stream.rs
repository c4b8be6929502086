//! The state of one stream connection.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;

use super::deadlines::Deadlines;
use super::{Info, Key, StreamOptions, WriteQueue};
use crate::driver::Socket;
use crate::error::Error;
use crate::event_loop::Core;
use crate::net::{Address, ServerCore};
use crate::protocol::Protocol;

/// One stream connection: its socket, its protocol and what is between them.
///
/// Protocol and transport state are apart: while a callback runs, the protocol is taken out, and
/// the callback works on the rest.
pub(crate) struct Stream {
    pub(crate) key: Key,
    pub(crate) flags: Cell<Flags>,
    /// Closed when the connection is over.
    pub(super) socket: Socket,
    /// `None` while one of its callbacks runs, and after the last.
    pub(super) protocol: Cell<Option<Box<dyn Protocol>>>,
    pub(super) queue: RefCell<WriteQueue>,
    pub(super) high_water: Cell<usize>,
    pub(super) low_water: Cell<usize>,
    /// What one callback can write before it goes out.
    pub(super) gather_limit: Cell<usize>,
    pub(super) write_cap: Cell<usize>,
    /// When bytes last went in or out.
    pub(super) active_at: Cell<Instant>,
    pub(super) deadlines: RefCell<Option<Box<Deadlines>>>,
    /// What is rarely there at all.
    pub(super) extra: Cell<Option<Box<Extra>>>,
    pub(super) server: Option<Rc<ServerCore>>,
    pub(super) peer: Option<Address>,
    pub(super) info: OnceCell<Rc<Info>>,
}

/// What most connections never have.
#[derive(Default)]
pub(super) struct Extra {
    /// The protocol that is to take over when the running callback has returned.
    pub(super) next: Option<Box<dyn Protocol>>,
    /// Received, but left over by a former protocol or given back: to be delivered first.
    pub(super) leftover: Bytes,
    /// What `connection_lost` is to be told.
    pub(super) error: Option<Error>,
}

/// What a socket is ready for, as the low bits of [`Flags`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Readiness(pub(super) u32);

impl Readiness {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const READ: Self = Self(Flags::READABLE.0);
    pub(crate) const WRITE: Self = Self(Flags::WRITABLE.0);
    pub(crate) const READ_CLOSED: Self = Self(Flags::READ_CLOSED.0);
    pub(crate) const WRITE_CLOSED: Self = Self(Flags::WRITE_CLOSED.0);
    pub(crate) const ERROR: Self = Self(Flags::ERROR.0);

    #[inline]
    pub(crate) fn set(&mut self, other: Self, on: bool) {
        if on {
            self.0 |= other.0;
        }
    }

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The state of a stream, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags(u32);

impl Flags {
    // What the operating system said. Edge-triggered: it says it once.
    pub(super) const READABLE: Self = Self(1);
    pub(super) const WRITABLE: Self = Self(1 << 1);
    pub(super) const READ_CLOSED: Self = Self(1 << 2);
    pub(super) const WRITE_CLOSED: Self = Self(1 << 3);
    pub(super) const ERROR: Self = Self(1 << 4);

    // Membership in the loop's lists.
    pub(super) const QUEUED: Self = Self(1 << 5);
    pub(super) const DIRTY: Self = Self(1 << 6);

    // Reading stops for three independent reasons: the user's, the engine's, the end.
    pub(super) const PAUSED: Self = Self(1 << 7);
    pub(super) const HELD: Self = Self(1 << 8);
    pub(super) const EOF: Self = Self(1 << 9);

    /// The protocol was told to pause writing.
    pub(super) const WRITING_PAUSED: Self = Self(1 << 10);
    /// A callback that delivers input has just returned.
    pub(super) const IN_READ: Self = Self(1 << 11);
    /// The buffer passed its high-water mark in a callback that delivers input.
    pub(super) const OVERFLOWED_IN_READ: Self = Self(1 << 12);

    // The end of the write side, and of the connection.
    pub(super) const EOF_WANTED: Self = Self(1 << 13);
    pub(super) const SHUT_DOWN: Self = Self(1 << 14);
    pub(super) const CLOSING: Self = Self(1 << 15);
    pub(super) const DISCARDING: Self = Self(1 << 16);
    pub(super) const LOST: Self = Self(1 << 17);

    /// `connection_made` was called.
    pub(super) const MADE: Self = Self(1 << 18);
    pub(super) const BUFFERED: Self = Self(1 << 19);
    /// There is a next protocol.
    pub(super) const SWITCHING: Self = Self(1 << 20);
    /// There are bytes that were left over.
    pub(super) const LEFTOVER: Self = Self(1 << 21);
    /// The marks, or the end of something, have to be looked at again.
    pub(super) const UNSETTLED: Self = Self(1 << 22);
    /// A write failed: the rest of the input is delivered, then the connection is over.
    pub(super) const WRITE_FAILED: Self = Self(1 << 23);

    /// One of its callbacks runs, and is the one whose writes are gathered.
    pub(super) const IN_CALLBACK: Self = Self(1 << 24);
    /// The running `data_received` gives some of its input back.
    pub(super) const UNREAD: Self = Self(1 << 26);
    /// A write was answered with `AboveHighWater`: a pause, and later a resume, is owed.
    pub(super) const TOLD_ABOVE: Self = Self(1 << 27);
    /// Something waits to be sent.
    pub(super) const HAS_QUEUE: Self = Self(1 << 25);

    /// Whether of all `mask` just `wanted` is set.
    #[inline]
    pub(super) const fn just(self, wanted: Self, mask: Self) -> bool {
        self.0 & mask.0 == wanted.0
    }

    #[inline]
    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[inline]
    pub(super) const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
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
            if protocol.as_buffered().is_some() { Flags::BUFFERED } else { Flags::WRITABLE };
        core.stream_pool.place(Self {
            key,
            flags: Cell::new(Flags::WRITABLE.and(buffered)),
            socket,
            protocol: Cell::new(Some(protocol)),
            queue: RefCell::default(),
            high_water: Cell::new(options.high_water),
            low_water: Cell::new(options.low_water),
            gather_limit: Cell::new(options.high_water.min(super::options::HIGH_WATER)),
            write_cap: Cell::new(options.write_cap.unwrap_or(usize::MAX)),
            active_at: Cell::new(core.tick_instant()),
            deadlines: RefCell::new(Deadlines::from_options(options)),
            extra: Cell::new(None),
            server,
            peer,
            info: OnceCell::new(),
        })
    }

    /// Lets go of everything, the socket first: what is left is memory.
    pub(super) fn vacate(&mut self) {
        self.socket = Socket::Closed;
        self.server = None;
        self.peer = None;
        self.info.take();
    }

    /// Notes whether the protocol receives into memory of its own.
    pub(super) fn note_kind(&self, mut protocol: Box<dyn Protocol>) -> Box<dyn Protocol> {
        if protocol.as_buffered().is_some() {
            self.set(Flags::BUFFERED);
        } else {
            self.clear(Flags::BUFFERED);
        }
        protocol
    }

    #[inline]
    pub(super) fn has(&self, flags: Flags) -> bool {
        self.flags.get().any(flags)
    }

    #[inline]
    pub(super) fn set(&self, flags: Flags) {
        self.flags.set(Flags(self.flags.get().0 | flags.0));
    }

    #[inline]
    pub(super) fn clear(&self, flags: Flags) {
        self.flags.set(Flags(self.flags.get().0 & !flags.0));
    }

    /// Notes what the socket is ready for; whether the stream has to be put in the ready list.
    #[inline]
    pub(crate) fn note(&self, readiness: Readiness) -> bool {
        let before = self.flags.get();
        self.flags.set(Flags(before.0 | readiness.0 | Flags::QUEUED.0));
        !before.any(Flags::QUEUED)
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
    pub(super) fn with_extra<R>(&self, change: impl FnOnce(&mut Extra) -> R) -> R {
        let mut extra = self.extra.take().unwrap_or_default();
        let result = change(&mut extra);
        if extra.next.is_some() || !extra.leftover.is_empty() || extra.error.is_some() {
            self.extra.set(Some(extra));
        }
        result
    }

    /// As [`with_extra`](Self::with_extra) where there is something, else the default.
    pub(super) fn with_existing_extra<R: Default>(
        &self,
        change: impl FnOnce(&mut Extra) -> R,
    ) -> R {
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
        Rc::clone(self.info.get_or_init(|| {
            let socket = &self.socket;
            Rc::new(Info {
                local_address: socket.local_address(),
                peer_address: self.peer.clone().or_else(|| socket.peer_address()),
                peer_credentials: socket.peer_credentials(),
            })
        }))
    }
}
