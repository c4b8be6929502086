//! The operating system as the driver: mio for readiness, its sockets, its clock.

// mio's other pollers report a descriptor once and then forget it until it is registered again, so
// connections would hang there.
#[cfg(any(
    mio_unsupported_force_poll_poll,
    not(any(
        target_os = "android",
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "illumos",
        target_os = "ios",
        target_os = "linux",
        target_os = "macos",
        target_os = "netbsd",
        target_os = "openbsd",
        target_os = "redox",
        target_os = "tvos",
        target_os = "visionos",
        target_os = "watchos",
    ))
))]
compile_error!("wharf needs a system with epoll or kqueue");

mod connect;
mod datagram;
mod descriptors;
#[cfg(linux_kernel)]
mod diagnosis;
#[cfg(not(linux_kernel))]
#[path = "no_diagnosis.rs"]
mod diagnosis;
mod listener;
mod pipe;
#[cfg(linux_kernel)]
mod splice;
#[cfg(not(linux_kernel))]
#[path = "no_splice.rs"]
mod splice;
mod stream;
mod unwaiting;

#[cfg(feature = "udp-batch")]
use std::cell::OnceCell;
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::cell::put_back;
use crate::driver::{Key, Readiness};

pub(crate) use self::connect::{connect, connect_unix};
pub(crate) use self::datagram::OsDatagramSocket;
#[cfg(all(feature = "udp-batch", linux_kernel))]
pub(crate) use self::datagram::ReceiveHeaders;
pub(crate) use self::descriptors::MOST_PER_MESSAGE;
pub(crate) use self::diagnosis::SocketDiagnosis;
pub(crate) use self::listener::{ListenOptions, OsListener, listen, listen_unix};
pub(crate) use self::pipe::{
    Direction, FileJob, FileJobDone, OsPipe, PipeHost, PolledPipe, open_other_end, own_description,
};
pub(crate) use self::splice::{
    SplicePipe, SplicePipes, SpliceUser, cannot_splice, splice_directly,
};
pub(crate) use self::stream::OsSocket;

/// How many events one poll can report.
const EVENTS: usize = 1024;

/// The token of the waker: no slot has this index.
const WAKER: Token = Token(usize::MAX);

pub(crate) struct OsDriver {
    poll: RefCell<Poll>,
    /// In a box, so that taking them out of their place moves a word.
    events: Cell<Option<Box<Events>>>,
    /// How many times in a row [`left_events`](Self::left_events) was said.
    left_events: Cell<usize>,
    waker: Arc<mio::Waker>,
    /// How many times to poll without waiting before going to sleep.
    spin: u32,
    /// Made with the first UDP socket; `None` in it where it cannot be.
    #[cfg(feature = "udp-batch")]
    batching: OnceCell<datagram::Batching>,
}

impl OsDriver {
    pub(crate) fn new(spin: u32) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(mio::Waker::new(poll.registry(), WAKER)?);
        Ok(Self {
            poll: RefCell::new(poll),
            events: Cell::new(Some(Box::new(Events::with_capacity(EVENTS)))),
            left_events: Cell::new(0),
            waker,
            spin,
            #[cfg(feature = "udp-batch")]
            batching: OnceCell::new(),
        })
    }

    pub(crate) fn waker(&self) -> Arc<mio::Waker> {
        Arc::clone(&self.waker)
    }

    #[inline(always)]
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> io::Result<()> {
        let Some(mut events) = self.events.take() else { return Ok(()) };
        let result = self.fill(&mut events, timeout);
        put_back(&self.events, events);
        result
    }

    /// Whether the last wait filled the room for events, so that more may wait.
    ///
    /// The poll reports every source once, the one that waits longest first. So after that many
    /// waits all that was ready at first has been reported.
    pub(crate) fn left_events(&self, sources: usize) -> bool {
        let Some(events) = self.events.take() else { return false };
        let is_full = events.iter().nth(EVENTS - 1).is_some();
        put_back(&self.events, events);
        let times = self.left_events.get();
        let left = is_full && times <= sources / EVENTS;
        self.left_events.set(if left { times + 1 } else { 0 });
        left
    }

    /// The events are out of their place meanwhile: `ready` runs the user's code.
    #[inline(always)]
    pub(crate) fn take_events(
        &self,
        mut ready: impl FnMut(Key, Readiness),
        unserved: impl FnMut(Key, Readiness),
    ) {
        let Some(events) = self.events.take() else { return };
        let mut guard = Unserved { place: &self.events, events: Some(events), served: 0, unserved };
        if let Some(events) = &guard.events {
            for event in events.iter() {
                guard.served += 1;
                if event.token() != WAKER {
                    ready(Key::from_token(event.token()), readiness(event));
                }
            }
        }
        if let Some(events) = guard.events.take() {
            put_back(&self.events, events);
        }
        // Nothing is left in it to be put in order: asking costs.
        std::mem::forget(guard);
    }

    #[inline(always)]
    fn fill(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        let mut poll = self.poll.borrow_mut();
        if self.spin > 0 && timeout != Some(Duration::ZERO) && self.spin(&mut poll, events)? {
            return Ok(());
        }
        match poll.poll(events, timeout) {
            // Timers must not run before input that waits, which happens after the process was
            // stopped and continued. So the poll is asked at once what is ready. The next tick
            // sleeps for the rest of the time.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => poll_now(&mut poll, events),
            result => result,
        }
    }

    /// Polls some times without waiting. Returns whether something was ready.
    #[cold]
    fn spin(&self, poll: &mut Poll, events: &mut Events) -> io::Result<bool> {
        for _ in 0..self.spin {
            poll_now(poll, events)?;
            if !events.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Registers a stream socket for both directions and urgent data, once and for all.
    pub(crate) fn register_stream(&self, fd: BorrowedFd<'_>, key: Key) -> io::Result<()> {
        const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);
        #[cfg(linux_kernel)]
        const INTEREST_IN_STREAMS: Interest = INTEREST.add(Interest::PRIORITY);
        #[cfg(not(linux_kernel))]
        const INTEREST_IN_STREAMS: Interest = INTEREST;
        self.register_for(fd, key, INTEREST_IN_STREAMS)
    }

    /// Registers for both directions, once and for all.
    pub(crate) fn register(&self, fd: BorrowedFd<'_>, key: Key) -> io::Result<()> {
        self.register_for(fd, key, Interest::READABLE | Interest::WRITABLE)
    }

    pub(crate) fn register_for(
        &self,
        fd: BorrowedFd<'_>,
        key: Key,
        interest: Interest,
    ) -> io::Result<()> {
        self.poll.borrow().registry().register(
            &mut SourceFd(&fd.as_raw_fd()),
            key.token(),
            interest,
        )
    }

    /// Registers for input alone: a datagram socket reports that it is writable with every datagram
    /// that leaves, and each report wakes the loop.
    pub(crate) fn register_datagram(&self, fd: BorrowedFd<'_>, key: Key) -> io::Result<()> {
        self.poll.borrow().registry().register(
            &mut SourceFd(&fd.as_raw_fd()),
            key.token(),
            Interest::READABLE,
        )
    }

    /// Whether to be told when datagrams can be sent again, at once if they can.
    pub(crate) fn watch_room(&self, fd: BorrowedFd<'_>, key: Key, on: bool) -> io::Result<()> {
        let interest =
            if on { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        self.poll.borrow().registry().reregister(
            &mut SourceFd(&fd.as_raw_fd()),
            key.token(),
            interest,
        )
    }

    /// What sending and receiving several datagrams at once takes.
    #[cfg(feature = "udp-batch")]
    fn batching(&self) -> Option<&datagram::Batching> {
        if self.batching.get().is_none() {
            // Without a descriptor for it now, there may be one for the next endpoint.
            self.batching.set(datagram::Batching::new()?).ok()?;
        }
        self.batching.get()
    }

    pub(crate) fn register_source(
        &self,
        source: &mut impl mio::event::Source,
        key: Key,
    ) -> io::Result<()> {
        self.poll.borrow().registry().register(source, key.token(), Interest::READABLE)
    }

    pub(crate) fn deregister(&self, fd: BorrowedFd<'_>) {
        // It fails only for a descriptor that is not registered, which is what is wanted.
        let _ = self.poll.borrow().registry().deregister(&mut SourceFd(&fd.as_raw_fd()));
    }
}

/// What is ready now, whatever signals come.
#[cold]
fn poll_now(poll: &mut Poll, events: &mut Events) -> io::Result<()> {
    loop {
        match poll.poll(events, Some(Duration::ZERO)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Puts the events back when something unwinds, and hands out those that were not served: the poll
/// does not report them again.
struct Unserved<'a, F: FnMut(Key, Readiness)> {
    place: &'a Cell<Option<Box<Events>>>,
    events: Option<Box<Events>>,
    served: usize,
    unserved: F,
}

impl<F: FnMut(Key, Readiness)> Drop for Unserved<'_, F> {
    #[inline]
    fn drop(&mut self) {
        let Some(events) = self.events.take() else { return };
        for event in events.iter().skip(self.served) {
            if event.token() != WAKER {
                (self.unserved)(Key::from_token(event.token()), readiness(event));
            }
        }
        self.place.set(Some(events));
    }
}

#[inline(always)]
fn readiness(event: &mio::event::Event) -> Readiness {
    if says_more(event) {
        return full_readiness(event);
    }
    let mut readiness = Readiness::NONE;
    readiness.set(Readiness::READ, event.is_readable());
    readiness.set(Readiness::WRITE, event.is_writable());
    readiness
}

/// Whether an event says more than that its source can be read or written, which few do.
#[inline(always)]
fn says_more(event: &mio::event::Event) -> bool {
    // On Linux the end of the write side comes with an error or a hang-up, which the other flags
    // show.
    const WRITE_CLOSED_IS_APART: bool = !cfg!(linux_kernel);
    event.is_error()
        || event.is_priority()
        || event.is_read_closed()
        || (WRITE_CLOSED_IS_APART && event.is_write_closed())
}

#[cold]
fn full_readiness(event: &mio::event::Event) -> Readiness {
    let mut readiness = Readiness::NONE;
    readiness.set(Readiness::READ, event.is_readable());
    readiness.set(Readiness::WRITE, event.is_writable());
    readiness.set(Readiness::URGENT, event.is_priority());
    readiness.set(Readiness::READ_CLOSED, event.is_read_closed());
    readiness.set(Readiness::WRITE_CLOSED, event.is_write_closed());
    readiness.set(Readiness::ERROR, event.is_error());
    readiness
}
