//! Waiting until a descriptor that is not the loop's is ready.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::{Core, EventLoop};
use crate::error::Error;

/// # Waiting for a descriptor
impl EventLoop {
    /// Waits until `fd` is readable, has ended, or has failed.
    ///
    /// It watches a duplicate of the descriptor: it is apart from
    /// [`add_reader`](Self::add_reader), several can wait for the same descriptor, and giving up
    /// waiting takes nothing from anybody else.
    ///
    /// # Errors
    /// As [`add_reader`](Self::add_reader). When the loop closes, [`is_closed`](Error::is_closed)
    /// if it is asked again.
    #[doc(alias("readable", "AsyncFd"))]
    pub async fn wait_readable(&self, fd: impl AsFd) -> Result<(), Error> {
        Wait::begin(self, fd.as_fd(), Direction::Read)?.await;
        self.core().check_open()
    }

    /// Waits until `fd` is writable or has failed. See [`wait_readable`](Self::wait_readable).
    ///
    /// # Errors
    /// As [`wait_readable`](Self::wait_readable).
    #[doc(alias("writable", "AsyncFd"))]
    pub async fn wait_writable(&self, fd: impl AsFd) -> Result<(), Error> {
        Wait::begin(self, fd.as_fd(), Direction::Write)?.await;
        self.core().check_open()
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// Ready when the descriptor is. Dropping it ends the watching.
pub(crate) struct Wait {
    event_loop: EventLoop,
    /// Our own, so that it stays open and nobody else watches it.
    fd: Rc<OwnedFd>,
    direction: Direction,
    state: Rc<State>,
}

#[derive(Default)]
struct State {
    ready: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Wait {
    pub(crate) fn begin(
        event_loop: &EventLoop,
        fd: BorrowedFd<'_>,
        direction: Direction,
    ) -> Result<Self, Error> {
        let duplicate = |error| Error::io("the descriptor cannot be duplicated", error);
        let fd = Rc::new(fd.try_clone_to_owned().map_err(duplicate)?);
        let state = Rc::new(State::default());
        let callback = {
            let state = Rc::clone(&state);
            let event_loop = event_loop.clone();
            move || state.wake(event_loop.core())
        };
        match direction {
            Direction::Read => event_loop.add_reader(Rc::clone(&fd), callback)?,
            Direction::Write => event_loop.add_writer(Rc::clone(&fd), callback)?,
        }
        Ok(Self { event_loop: event_loop.clone(), fd, direction, state })
    }
}

impl State {
    fn wake(&self, core: &Core) {
        self.ready.set(true);
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            core.run_caught("a waker failed", || waker.wake());
        }
    }
}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.state.ready.get() {
            return Poll::Ready(());
        }
        let former = self.state.waker.replace(Some(context.waker().clone()));
        self.event_loop.core().drop_user(former, "waker");
        Poll::Pending
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        match self.direction {
            Direction::Read => self.event_loop.remove_reader(&self.fd),
            Direction::Write => self.event_loop.remove_writer(&self.fd),
        };
        let waker = self.state.waker.take();
        self.event_loop.core().drop_user(waker, "waker");
    }
}
