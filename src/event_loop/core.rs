//! The state of one loop, shared by everything that runs on it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

#[cfg(feature = "tls-core")]
use super::entries::TlsWork;
use super::entries::{
    DatagramEndpoint, DatagramShared, Entry, Jobs, Lookups, ProcessTable, Ready, Source, Stream,
    StreamPool, TaskTable,
};
use super::exceptions::ExceptionHandler;
use super::fence::Fence;
use super::lingering::LingeringSockets;
use super::read_buffer;
use super::ready::Due;
use super::registry;
use super::remote::{RemoteItem, RemoteQueue};
use super::signals::SignalTable;
use super::slots::Slots;
use super::statistics::Counters;
use super::wakers::Ticket;
use super::watch::WatchTable;
use crate::cell::Borrowed;
use crate::driver::{Driver, Key, Readiness, Signals, SplicePipes};
use crate::error::Error;
use crate::time::{Wheel, next_random};

/// How many entries the memory of a list is kept for in any case.
const KEPT_ENTRIES: usize = 4096;

/// The state of one loop. Every cell in it is borrowed only between user code, never across it.
pub(crate) struct Core {
    pub(crate) driver: Driver,
    /// Readiness of memory sockets, filled by their peers.
    pub(crate) signals: Signals,
    pub(crate) slots: RefCell<Slots<Entry>>,
    pub(crate) ready: RefCell<Vec<Ready>>,
    /// The memory of the last round's list, for the next one.
    spare: Cell<Vec<Ready>>,
    /// Whether there may be anything in `ready`, `dirty`, `lost` or `deferred_drops`.
    pending: Cell<bool>,
    /// Whether there may be anything in `dirty`, `deferred_drops` or the datagrams' lists.
    unsettled: Cell<bool>,
    /// Streams written to from outside their own callbacks: flushed at the end of the round.
    pub(crate) dirty: RefCell<Vec<Rc<Stream>>>,
    /// Streams that are over: `connection_lost` is due.
    pub(crate) lost: RefCell<VecDeque<Rc<Stream>>>,
    pub(crate) timers: RefCell<Wheel<Due>>,
    pub(crate) remote: Arc<RemoteQueue>,
    /// The memory of a list of what other threads sent, for reuse.
    pub(super) remote_spare: Cell<VecDeque<RemoteItem>>,

    /// What the running callback wrote to its own connection.
    pub(crate) gather: RefCell<Vec<u8>>,
    /// Whether a callback runs whose writes are gathered.
    pub(crate) gathering: Cell<bool>,
    /// How many of the bytes it was given the running `data_received` gives back.
    pub(crate) unread: Cell<usize>,
    pub(super) read_buffer: Cell<Option<Box<[u8]>>>,
    /// Sockets without their connections.
    pub(crate) lingering: LingeringSockets,
    pub(crate) stream_pool: StreamPool,
    pub(crate) splice_pipes: SplicePipes,
    pub(crate) datagrams: DatagramShared,
    /// `Bytes` that were sent, until it is safe to run their owners' code.
    pub(crate) deferred_drops: RefCell<Vec<Bytes>>,

    #[cfg(feature = "tls-core")]
    pub(crate) tls: TlsWork,
    pub(crate) tasks: TaskTable,
    pub(crate) jobs: Jobs,
    pub(crate) lookups: Lookups,
    pub(crate) watches: RefCell<WatchTable>,
    pub(crate) signal_handlers: SignalTable,
    /// Whether SIGINT may end a run of this loop.
    pub(super) is_interruptible: Cell<bool>,
    pub(crate) processes: ProcessTable,
    pub(super) fence: Fence,
    pub(crate) exception_handler: Cell<Option<ExceptionHandler>>,
    /// How often it was set or reset: whether it was while it ran.
    pub(crate) exception_handler_changes: Cell<u64>,
    pub(crate) slow_callback: Cell<Option<Duration>>,
    pub(crate) counters: Counters,
    /// How many tickets of `Wakers` were given out.
    tickets: Cell<u64>,
    /// Where the seeds of random delays come from.
    jitter: Cell<u64>,

    /// When the loop was made: the zero of its timers.
    pub(crate) started: Instant,
    /// The time of the current tick. Reckoned in nanoseconds only when somebody asks: most ticks
    /// end without.
    pub(super) tick_instant: Cell<Instant>,
    pub(crate) stopping: Cell<bool>,
    pub(crate) state: Cell<State>,
    /// The owner was dropped by a callback: the loop closes when none runs any more.
    pub(crate) close_wanted: Cell<bool>,
    itself: Weak<Core>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Idle,
    Running,
    Closing,
    Closed,
}

impl Core {
    pub(crate) fn new(driver: Driver, executor_limit: usize, resolver_limit: usize) -> Rc<Self> {
        let remote = Arc::new(RemoteQueue::new(driver.waker()));
        let started = driver.now();
        let jitter = driver.seed();
        let core = Rc::new_cyclic(|itself| Self {
            driver,
            signals: Signals::default(),
            slots: RefCell::default(),
            ready: RefCell::default(),
            spare: Cell::default(),
            pending: Cell::new(false),
            unsettled: Cell::new(false),
            dirty: RefCell::default(),
            lost: RefCell::default(),
            timers: RefCell::new(Wheel::new()),
            remote,
            remote_spare: Cell::default(),
            gather: RefCell::default(),
            gathering: Cell::new(false),
            unread: Cell::new(0),
            read_buffer: Cell::new(None),
            stream_pool: StreamPool::default(),
            lingering: LingeringSockets::default(),
            splice_pipes: SplicePipes::default(),
            datagrams: DatagramShared::default(),
            deferred_drops: RefCell::default(),
            #[cfg(feature = "tls-core")]
            tls: TlsWork::default(),
            tasks: TaskTable::default(),
            jobs: Jobs::new(executor_limit),
            lookups: Lookups::new(resolver_limit),
            watches: RefCell::default(),
            signal_handlers: SignalTable::default(),
            is_interruptible: Cell::new(true),
            processes: ProcessTable::default(),
            fence: Fence::default(),
            exception_handler: Cell::new(None),
            exception_handler_changes: Cell::new(0),
            slow_callback: Cell::new(None),
            counters: Counters::default(),
            tickets: Cell::new(0),
            jitter: Cell::new(jitter),
            started,
            tick_instant: Cell::new(started),
            stopping: Cell::new(false),
            state: Cell::new(State::Idle),
            close_wanted: Cell::new(false),
            itself: Weak::clone(itself),
        });
        registry::enter(&core);
        let own: Weak<Self> = Rc::downgrade(&core);
        core.driver.join(own, &core.signals);
        core
    }

    pub(crate) fn strong(&self) -> Option<Rc<Self>> {
        self.itself.upgrade()
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.state.get(), State::Closing | State::Closed)
    }

    pub(crate) fn is_running(&self) -> bool {
        self.state.get() == State::Running
    }

    /// Whether a protocol is inside one of its callbacks.
    pub(crate) fn is_in_protocol(&self) -> bool {
        self.gathering.get()
    }

    /// Whether the user's code that calls now can be one of the loop's callbacks.
    pub(crate) fn may_be_in_callback(&self) -> bool {
        self.is_in_protocol() || matches!(self.state.get(), State::Running | State::Closing)
    }

    /// Whether closing is over, so that nothing is called any more.
    pub(crate) fn is_finished(&self) -> bool {
        self.state.get() == State::Closed
    }

    pub(crate) fn check_open(&self) -> Result<(), Error> {
        if self.is_closed() { Err(closed()) } else { Ok(()) }
    }

    /// A seed for the delays of something that is retried. In memory equal runs get equal ones;
    /// elsewhere each loop of each process has its own.
    pub(crate) fn jitter_seed(&self) -> u64 {
        let mut state = self.jitter.get();
        let seed = next_random(&mut state);
        self.jitter.set(state);
        seed
    }

    pub(crate) fn next_ticket(&self) -> Ticket {
        let next = self.tickets.get() + 1;
        self.tickets.set(next);
        Ticket::new(next).unwrap_or(Ticket::MIN)
    }

    #[inline(always)]
    pub(crate) fn push_ready(&self, entry: Ready) {
        if !self.is_running() && !self.is_told_outside() {
            return;
        }
        self.pending.set(true);
        self.ready.borrow_mut().push(entry);
    }

    /// Something is to be done, or a timer has changed: others are told if it has no tick.
    #[inline]
    pub(crate) fn tell(&self) {
        if !self.is_running() {
            self.is_told_outside();
        }
    }

    /// As [`tell`](Self::tell), where it has no tick. Whether it will ever have one.
    #[cold]
    fn is_told_outside(&self) -> bool {
        self.driver.mark();
        self.state.get() != State::Closed
    }

    /// Updates the stream at the end of the round.
    pub(crate) fn push_dirty(&self, stream: Rc<Stream>) {
        self.mark_unsettled();
        self.dirty.borrow_mut().push(stream);
    }

    /// Delivers the stream's end at the end of the tick.
    pub(crate) fn push_lost(&self, stream: Rc<Stream>) {
        self.mark_pending();
        self.lost.borrow_mut().push_back(stream);
    }

    /// Calls `action` with the place where `Bytes` that were sent wait to be dropped.
    pub(crate) fn with_deferred_drops(&self, action: impl FnOnce(&mut Vec<Bytes>)) {
        let mut drops = self.deferred_drops.borrow_mut();
        action(&mut drops);
        if !drops.is_empty() {
            self.mark_unsettled();
        }
    }

    /// Runs the source in the slot `key`, if there still is one, in the next round.
    pub(crate) fn note_ready(&self, key: Key, readiness: Readiness) {
        let source = match self.slots.borrow().source(key) {
            Some(source) if source.note(key, readiness) => Rc::clone(source),
            _ => return,
        };
        self.push_ready(Ready::Source(source));
    }

    pub(crate) fn mark_pending(&self) {
        self.tell();
        self.pending.set(true);
    }

    /// Something is to be done at the end of the round.
    #[inline]
    pub(crate) fn mark_unsettled(&self) {
        self.mark_pending();
        self.unsettled.set(true);
    }

    /// Whether there may be anything to do at the end of the round; not until it is marked again.
    #[inline]
    pub(crate) fn take_unsettled(&self) -> bool {
        self.unsettled.replace(false)
    }

    /// The user's code is about to run: nothing of the engine may be borrowed.
    #[inline]
    pub(crate) fn debug_assert_nothing_borrowed(&self) {
        debug_assert!(
            self.slots.try_borrow_mut().is_ok()
                && self.ready.try_borrow_mut().is_ok()
                && self.dirty.try_borrow_mut().is_ok()
                && self.lost.try_borrow_mut().is_ok()
                && self.timers.try_borrow_mut().is_ok()
                && self.gather.try_borrow_mut().is_ok()
                && self.deferred_drops.try_borrow_mut().is_ok()
                && self.datagrams.is_free(),
            "the user's code would run while the engine is borrowed"
        );
    }

    /// Whether there may be anything to do.
    #[inline]
    pub(crate) fn is_pending(&self) -> bool {
        self.pending.get()
    }

    /// The end of a tick: looks what is left to do in the next one.
    pub(crate) fn note_pending(&self) {
        self.pending.set(
            !self.ready.borrow().is_empty()
                || !self.dirty.borrow().is_empty()
                || !self.lost.borrow().is_empty()
                || !self.deferred_drops.borrow().is_empty()
                || self.datagrams.is_pending()
                || self.has_waiting_handshakes(),
        );
    }

    fn has_waiting_handshakes(&self) -> bool {
        #[cfg(feature = "tls-core")]
        {
            self.tls.has_waiting()
        }
        #[cfg(not(feature = "tls-core"))]
        {
            false
        }
    }

    /// Takes the whole ready list; what is pushed from now on is for the next round.
    pub(crate) fn take_ready(&self) -> Vec<Ready> {
        self.ready.replace(self.spare.take())
    }

    /// Puts what was to run in this round in front of what is to run in the next.
    #[cold]
    pub(crate) fn put_first(&self, mut list: Vec<Ready>) {
        self.mark_pending();
        let mut ready = self.ready.borrow_mut();
        list.append(&mut ready);
        *ready = list;
    }

    /// Returns the memory of a list for reuse. The list is empty, and had `used` entries.
    pub(crate) fn give_list_back(&self, list: Vec<Ready>, used: usize) {
        debug_assert!(list.is_empty());
        // A burst's memory is kept while half of it is needed.
        if list.capacity() <= KEPT_ENTRIES.max(2 * used) {
            self.spare.set(list);
        }
    }

    /// Returns the memory of a list of what other threads sent for reuse. The list is empty.
    pub(super) fn give_remote_list_back(&self, list: VecDeque<RemoteItem>) {
        if list.capacity() <= KEPT_ENTRIES {
            self.remote_spare.set(list);
        }
    }

    pub(crate) fn stream(&self, key: Key) -> Option<Rc<Stream>> {
        self.slots.borrow().stream(key).map(Rc::clone)
    }

    pub(crate) fn datagram_endpoint(&self, key: Key) -> Option<Rc<DatagramEndpoint>> {
        self.slots.borrow().datagram_endpoint(key).map(Rc::clone)
    }

    // Inlined, as are the next two: `churn` counts each call.
    #[inline(always)]
    pub(crate) fn reserve_slot(&self) -> Result<Key, Error> {
        self.slots
            .borrow_mut()
            .reserve()
            .ok_or_else(|| Error::invalid("the event loop has no room for another connection"))
    }

    #[inline(always)]
    pub(crate) fn fill_slot(&self, key: Key, entry: Entry) {
        let former = self.slots.borrow_mut().fill(key, entry);
        drop(former);
    }

    /// Puts the socket that a connection has left behind in the connection's place.
    pub(crate) fn fill_lingering_slot(&self, key: Key, socket: Rc<dyn Source>) {
        let former = self.slots.borrow_mut().fill_lingering(key, Entry::Source(socket));
        drop(former);
    }

    #[inline(always)]
    pub(crate) fn free_slot(&self, key: Key) {
        let former = self.slots.borrow_mut().free(key);
        drop(former);
    }

    /// The buffer that sockets are read into, as long as the guard lives.
    #[inline]
    pub(crate) fn borrow_read_buffer(&self) -> Borrowed<'_, Box<[u8]>> {
        Borrowed::take(&self.read_buffer, read_buffer::take)
    }

    /// The end of a run. A loop in memory leaves the buffer to those whose turn is next.
    pub(super) fn leave_read_buffer(&self) {
        if self.driver.memory().is_some()
            && let Some(buffer) = self.read_buffer.take()
        {
            read_buffer::leave(buffer);
        }
    }

    /// Runs the `Drop` code of `Bytes` that were sent, now that nothing is borrowed.
    pub(crate) fn run_deferred_drops(&self) {
        let mut drops = std::mem::take(&mut *self.deferred_drops.borrow_mut());
        for bytes in drops.drain(..) {
            self.drop_user(bytes, "buffer");
        }
        let mut place = self.deferred_drops.borrow_mut();
        if place.is_empty() && drops.capacity() <= KEPT_ENTRIES {
            *place = drops;
        }
    }
}

pub(crate) fn closed() -> Error {
    Error::new(crate::error::Kind::Closed, "the event loop is closed")
}
