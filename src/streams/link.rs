//! What the two halves of a stream share with its protocol.

use std::cell::{Cell, RefCell};
use std::fmt;
#[cfg(feature = "hyper")]
use std::io::IoSlice;
use std::rc::Rc;
use std::task::{Context, Waker};

use super::chunk::{BULK, Chunk};
use super::incoming::Incoming;
use crate::driver::Key;
use crate::error::Error;
use crate::event_loop::{Core, Wakers};
use crate::task::Waits;
use crate::transport::{Access, Facts, Stream, Transport, WriteStatus, closed, flags};

/// How much a reader may hold before reading pauses, unless set: asyncio's.
pub(super) const DEFAULT_LIMIT: usize = 64 * 1024;

/// How much a writer may have taken by the system before others have their turn.
const BYTES_PER_TURN: u32 = 1024 * 1024;

flags! {
    /// The state of a stream with two halves, one bit each.
    State: u16;

    /// The reader's task waits for input.
    READER_WAITS,
    /// The protocol paused reading, since the reader holds more than its limit.
    READING_PAUSED,
    /// More is written than the high-water mark, and a resume will come.
    WRITING_PAUSED,
    /// The peer has ended its side.
    EOF,
    /// `connection_lost` was called, or another protocol has taken over.
    LOST,
    /// The server shuts down.
    SHUTTING_DOWN,
    /// A reader without input goes on waiting while the server shuts down.
    WAITS_IN_SHUTDOWN,
    /// A half was dropped, or there never was one.
    READER_GONE,
    WRITER_GONE,
    /// The writer, or the end of its handler, has closed the connection.
    CLOSED_HERE,
    /// The handshake of an upgrade goes on.
    UPGRADING,
    /// Much comes at a time: it is received into pieces.
    BULK,
}

/// With any of these set a reader does not wait.
const ENDS: State = State::EOF.union(State::LOST).union(State::SHUTTING_DOWN);

/// Everything in it is borrowed for a moment only, never while foreign code runs.
pub(super) struct Link {
    core: Rc<Core>,
    state: Cell<State>,
    /// Not known before `connection_made`, when nobody asks.
    key: Cell<Key>,
    /// There from `connection_made` to `connection_lost`.
    stream: RefCell<Option<Rc<Stream>>>,
    incoming: RefCell<Incoming>,
    /// How many bytes were received and not consumed.
    held: Cell<usize>,
    limit: Cell<usize>,
    /// How many bytes were written since the writer left the turn to others.
    written: Cell<u32>,
    /// Of the task that reads. It stays when the task was woken: most of the time the same one waits again.
    reader: Cell<Option<Waker>>,
    /// Those who wait for something else.
    pub(super) waiting: Wakers,
    /// What the connection was lost with.
    error: Cell<Option<Error>>,
    /// Kept for halves that are still there when the connection is gone.
    facts: Cell<Option<Rc<Facts>>>,
}

impl Link {
    pub(super) fn new(core: &Rc<Core>) -> Rc<Self> {
        Rc::new(Self {
            core: Rc::clone(core),
            state: Cell::new(State(0)),
            key: Cell::new(Key { index: u32::MAX, generation: u32::MAX }),
            stream: RefCell::default(),
            incoming: RefCell::default(),
            held: Cell::new(0),
            limit: Cell::new(DEFAULT_LIMIT),
            written: Cell::new(0),
            reader: Cell::new(None),
            waiting: Wakers::default(),
            error: Cell::default(),
            facts: Cell::new(None),
        })
    }

    /// The connection is there.
    pub(super) fn attach(&self, transport: &dyn Transport) {
        let key = transport.id().0;
        self.key.set(key);
        *self.stream.borrow_mut() = self.core.stream(key);
    }

    /// Another protocol takes the connection over.
    pub(super) fn detach(&self) {
        let stream = self.stream.borrow_mut().take();
        drop(stream);
    }

    #[inline]
    pub(super) fn has(&self, state: State) -> bool {
        self.state.get().intersects(state)
    }

    #[inline]
    pub(super) fn set(&self, state: State) {
        self.state.set(self.state.get().union(state));
    }

    #[inline]
    pub(super) fn clear(&self, state: State) {
        self.state.set(self.state.get().difference(state));
    }

    pub(super) fn held(&self) -> usize {
        self.held.get()
    }

    pub(super) fn limit(&self) -> usize {
        self.limit.get()
    }

    pub(super) fn set_limit(&self, limit: usize) {
        self.limit.set(limit);
        self.resume_reading_below_limit();
    }

    // What the protocol is told.

    #[inline]
    pub(super) fn received(&self, transport: &dyn Transport, data: &[u8]) {
        if self.has(State::READER_GONE) {
            return;
        }
        self.incoming.borrow_mut().push(data);
        if data.len() >= BULK {
            // The next ones need no copy.
            self.set_buffered(true);
        }
        self.note_received(transport, data.len());
    }

    /// A piece was received, which may be kept as it is.
    pub(super) fn received_chunk(&self, transport: &dyn Transport, chunk: Chunk) {
        if self.has(State::READER_GONE) {
            return;
        }
        let count = chunk.len();
        if count >= BULK {
            self.incoming.borrow_mut().push_chunk(chunk);
        } else {
            self.incoming.borrow_mut().push(chunk.data());
            self.set_buffered(false);
        }
        self.note_received(transport, count);
    }

    #[cold]
    fn set_buffered(&self, on: bool) {
        if self.with(|stream| stream.set_buffered(on)) == Some(true) {
            self.set(State::BULK);
        } else {
            self.clear(State::BULK);
        }
    }

    #[inline]
    pub(super) fn note_received(&self, transport: &dyn Transport, count: usize) {
        let held = self.held.get() + count;
        self.held.set(held);
        if held > self.limit.get() {
            self.set(State::READING_PAUSED);
            transport.pause_reading();
        }
        self.wake_reader();
    }

    pub(super) fn ended(&self) {
        self.set(State::EOF);
        self.wake_reader();
    }

    pub(super) fn note(&self, state: State) {
        self.set(state);
        self.wake_reader();
        self.waiting.wake_all(&self.core);
    }

    pub(super) fn resumed_writing(&self) {
        self.clear(State::WRITING_PAUSED);
        self.waiting.wake_all(&self.core);
    }

    pub(super) fn lost(&self, error: Option<&Error>) {
        let stream = self.stream.borrow_mut().take();
        if let Some(stream) = stream
            && !(self.has(State::READER_GONE) && self.has(State::WRITER_GONE))
        {
            self.facts.set(Some(stream.facts()));
        }
        self.error.set(error.cloned());
        self.note(State::LOST);
    }

    #[inline]
    fn wake_reader(&self) {
        if self.has(State::READER_WAITS) {
            self.clear(State::READER_WAITS);
            let Some(waker) = self.reader.take() else { return };
            self.core.run_caught("a waker failed", || waker.wake_by_ref());
            let other = self.reader.replace(Some(waker));
            if other.is_some() {
                // The task was polled meanwhile, with another waker.
                self.drop_waker(self.reader.replace(other));
            }
        }
    }

    #[cold]
    fn drop_waker(&self, waker: Option<Waker>) {
        if let Some(waker) = waker {
            self.core.drop_user(waker, "waker");
        }
    }

    // What the reader asks for.

    /// The next piece of input, which still counts as held.
    #[inline]
    pub(super) fn pop(&self) -> Option<Chunk> {
        self.incoming.borrow_mut().pop()
    }

    /// Takes what there is room for in `buffer` out of what was received. The reader's front is empty.
    #[inline]
    pub(super) fn read(&self, buffer: &mut [u8]) -> usize {
        let count = self.incoming.borrow_mut().read(buffer);
        if count > 0 {
            self.consumed(count);
        }
        count
    }

    /// The reader has used up so many bytes.
    #[inline]
    pub(super) fn consumed(&self, count: usize) {
        self.held.set(self.held.get() - count);
        if self.has(State::READING_PAUSED) {
            self.resume_reading_below_limit();
        }
    }

    #[cold]
    fn resume_reading_below_limit(&self) {
        if self.held.get() <= self.limit.get() {
            self.resume();
        }
    }

    #[cold]
    fn resume(&self) {
        if self.has(State::READING_PAUSED) {
            self.clear(State::READING_PAUSED);
            Transport::resume_reading(self);
        }
    }

    /// Whether no more input comes, and why. A shutdown ends the input only of a reader that `holds` nothing.
    #[inline]
    pub(super) fn end(&self, holds: bool) -> Option<Result<(), Error>> {
        if self.has(ENDS) { self.end_of_some_kind(holds) } else { None }
    }

    #[cold]
    fn end_of_some_kind(&self, holds: bool) -> Option<Result<(), Error>> {
        if self.has(State::EOF) {
            return Some(Ok(()));
        }
        if self.has(State::LOST) {
            return Some(self.error().map_or(Ok(()), Err));
        }
        (!holds && !self.has(State::WAITS_IN_SHUTDOWN)).then_some(Ok(()))
    }

    /// The reader waits until there is more. What it waits for is read, even if it holds more than the limit.
    #[inline]
    pub(super) fn wait_for_input(&self, context: &Context<'_>) {
        if self.has(State::READING_PAUSED) {
            self.resume();
        }
        self.set(State::READER_WAITS);
        self.core.tasks.note_wait(Waits::Input(self.id()));
        let known = self.reader.take();
        match known {
            Some(known) if known.will_wake(context.waker()) => self.reader.set(Some(known)),
            other => self.replace_waker(other, context.waker()),
        }
    }

    #[cold]
    fn replace_waker(&self, former: Option<Waker>, waker: &Waker) {
        let other = self.reader.replace(Some(waker.clone()));
        self.drop_waker(former);
        self.drop_waker(other);
    }

    pub(super) fn reader_dropped(&self) {
        self.set(State::READER_GONE);
        self.clear(State::READER_WAITS);
        self.drop_waker(self.reader.take());
        let unread = self.incoming.take();
        drop(unread);
        if self.has(State::WRITER_GONE) {
            Transport::close(self);
        } else {
            Transport::pause_reading(self);
        }
    }

    // What the writer asks for.

    /// The stream itself, as long as the connection is there: no look-up.
    #[inline]
    pub(super) fn write_now(&self, data: &[u8]) -> WriteStatus {
        match &*self.stream.borrow() {
            Some(stream) => stream.write_now(&self.core, data),
            None => WriteStatus::Closed,
        }
    }

    /// Whether the writer has had so much taken that others must have their turn.
    #[inline]
    pub(super) fn must_yield(&self, count: usize) -> bool {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let written = self.written.get().saturating_add(count);
        let is_much = written > BYTES_PER_TURN;
        self.written.set(if is_much { 0 } else { written });
        is_much
    }

    /// As [`write_now`](Self::write_now), of several slices with one system call.
    #[cfg(feature = "hyper")]
    #[inline]
    pub(super) fn write_slices_now(&self, slices: &[IoSlice<'_>]) -> WriteStatus {
        match &*self.stream.borrow() {
            Some(stream) => stream.write_slices_now(&self.core, slices),
            None => WriteStatus::Closed,
        }
    }

    /// Waits until the server shuts down, or the connection is gone.
    pub(super) async fn shutting_down(&self) {
        let ends = State::SHUTTING_DOWN.union(State::LOST);
        self.waiting.wait_for(&self.core, || self.has(ends).then_some(())).await;
    }

    pub(super) fn writer_dropped(&self) {
        self.set(State::WRITER_GONE);
        if self.has(State::READER_GONE) {
            Transport::close(self);
        } else {
            Transport::write_eof(self);
        }
    }

    pub(super) fn close_here(&self) {
        self.set(State::CLOSED_HERE);
        Transport::close(self);
    }

    /// Whether a writer may go on: `None`, not yet.
    pub(super) fn drained(&self) -> Option<Result<(), Error>> {
        if self.has(State::LOST) {
            return Some(Err(self.closed()));
        }
        if Transport::is_closing(self) && !self.has(State::CLOSED_HERE) {
            return Some(Err(self.closed()));
        }
        (!self.has(State::WRITING_PAUSED)).then_some(Ok(()))
    }

    /// Why nothing can be written any more.
    #[cold]
    pub(super) fn closed(&self) -> Error {
        closed(self)
    }

    /// What the connection was lost with.
    pub(super) fn error(&self) -> Option<Error> {
        let error = self.error.take();
        self.error.set(error.clone());
        error
    }
}

impl Access for Link {
    fn core(&self) -> &Rc<Core> {
        &self.core
    }

    fn key(&self) -> Key {
        self.key.get()
    }

    fn facts(&self) -> Rc<Facts> {
        if let Some(stream) = &*self.stream.borrow() {
            return stream.facts();
        }
        let facts = self.facts.take().unwrap_or_default();
        self.facts.set(Some(Rc::clone(&facts)));
        facts
    }

    #[inline]
    fn with<R>(&self, act: impl FnOnce(&Rc<Stream>) -> R) -> Option<R> {
        // Out of its place: `act` may run foreign code.
        let stream = self.stream.borrow().as_ref().map(Rc::clone)?;
        Some(act(&stream))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.drop_waker(self.reader.take());
        if let Some(error) = self.error.get_mut().take() {
            self.core.drop_user(error, "user's error");
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Link")
            .field("key", &self.key.get())
            .field("state", &self.state.get())
            .field("held", &self.held.get())
            .finish_non_exhaustive()
    }
}
