//! What the two halves of a stream share with its protocol.

mod input;
mod output;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::task::Waker;

use super::incoming::Incoming;
use crate::driver::Key;
use crate::error::Error;
use crate::event_loop::{Core, Wakers};
use crate::transport::{Access, Facts, Stream, Transport, flags};

/// How much a reader may hold before reading pauses, unless set: asyncio's.
pub(super) const DEFAULT_LIMIT: usize = 64 * 1024;

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
    /// How often writing was resumed.
    pub(super) resumes: Cell<u16>,
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
            resumes: Cell::new(0),
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

    pub(super) fn note(&self, state: State) {
        self.set(state);
        self.wake_reader();
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

    #[cold]
    fn drop_waker(&self, waker: Option<Waker>) {
        if let Some(waker) = waker {
            self.core.drop_user(waker, "waker");
        }
    }

    /// Waits until the server shuts down, or the connection is gone.
    pub(super) async fn shutting_down(&self) {
        let ends = State::SHUTTING_DOWN.union(State::LOST);
        self.waiting.wait_for(&self.core, || self.has(ends).then_some(())).await;
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
