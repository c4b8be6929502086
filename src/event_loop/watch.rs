//! `add_reader` and `add_writer`: readiness of descriptors that are not the loop's.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::rc::Rc;

use rustix::event::{PollFd, PollFlags, Timespec};

use super::core::Core;
use super::entries::{Entry, Source};
use super::{EventLoop, Ready, SlowWatch};
use crate::driver::{Key, Readiness};
use crate::error::Error;

/// The watched descriptors of a loop.
pub(crate) type WatchTable = BTreeMap<RawFd, Rc<Watch>>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Read,
    Write,
}

type WatchCallback = Box<dyn FnMut()>;

/// One watched descriptor, with a callback for either direction.
pub(crate) struct Watch {
    key: Key,
    /// The user's: it may panic when it is asked for its descriptor, and when it is dropped.
    fd: Box<dyn AsFd>,
    raw: RawFd,
    reader: RefCell<Option<Rc<Cell<Option<WatchCallback>>>>>,
    writer: RefCell<Option<Rc<Cell<Option<WatchCallback>>>>>,
    ready: Cell<Readiness>,
    queued: Cell<bool>,
}

/// # Watching descriptors
///
/// For descriptors of other libraries; for sockets without a protocol see "Sockets of your own".
impl EventLoop {
    /// Calls `callback` whenever `fd` is readable, until [`remove_reader`](Self::remove_reader).
    ///
    /// `fd` is anything that owns a descriptor, or shares one (`Rc<UdpSocket>`); the loop keeps it
    /// open while it is watched. Level-triggered, as asyncio's: it is called again as long as
    /// something is left to read, so the callback need not drain it. A reader that was there before
    /// is replaced; the writer is left alone. The descriptor should be non-blocking.
    ///
    /// # Errors
    /// What the operating system says to watching this descriptor (a regular file cannot be);
    /// [`is_closed`](Error::is_closed); [`is_unsupported`](Error::is_unsupported) on a loop in
    /// memory.
    #[doc(alias("addReader", "AsyncFd"))]
    pub fn add_reader(
        &self,
        fd: impl AsFd + 'static,
        callback: impl FnMut() + 'static,
    ) -> Result<(), Error> {
        self.core().watch(Box::new(fd), Direction::Read, Box::new(callback))
    }

    /// Calls `callback` whenever `fd` is writable, until [`remove_writer`](Self::remove_writer).
    ///
    /// See [`add_reader`](Self::add_reader).
    ///
    /// # Errors
    /// As [`add_reader`](Self::add_reader).
    #[doc(alias("addWriter", "AsyncFd"))]
    pub fn add_writer(
        &self,
        fd: impl AsFd + 'static,
        callback: impl FnMut() + 'static,
    ) -> Result<(), Error> {
        self.core().watch(Box::new(fd), Direction::Write, Box::new(callback))
    }

    /// Ends the watching of `fd` for input. Returns whether it was watched. Its callback is not
    /// called any more, even if its readiness is known already.
    pub fn remove_reader(&self, fd: impl AsFd) -> bool {
        self.core().unwatch(fd.as_fd(), Direction::Read)
    }

    /// Ends the watching of `fd` for output. Returns whether it was watched.
    pub fn remove_writer(&self, fd: impl AsFd) -> bool {
        self.core().unwatch(fd.as_fd(), Direction::Write)
    }
}

impl Core {
    fn watch(
        self: &Rc<Self>,
        fd: Box<dyn AsFd>,
        direction: Direction,
        callback: WatchCallback,
    ) -> Result<(), Error> {
        self.check_open()?;
        let driver = self.driver.require_os("watch descriptors")?;
        let raw = fd.as_fd().as_raw_fd();
        let known = self.watches.borrow().get(&raw).map(Rc::clone);
        let watch = match known {
            Some(watch) => watch,
            None => {
                let key = self.reserve_slot()?;
                if let Err(error) = driver.register(fd.as_fd(), key) {
                    self.free_slot(key);
                    return Err(Error::io("the descriptor cannot be watched", error));
                }
                let watch = Rc::new(Watch {
                    key,
                    fd,
                    raw,
                    reader: RefCell::default(),
                    writer: RefCell::default(),
                    ready: Cell::new(Readiness::NONE),
                    queued: Cell::new(false),
                });
                self.fill_slot(key, Entry::Source(Rc::clone(&watch) as Rc<dyn Source>));
                self.watches.borrow_mut().insert(raw, Rc::clone(&watch));
                watch
            }
        };
        let callback = Rc::new(Cell::new(Some(callback)));
        let former = watch.place(direction).borrow_mut().replace(callback);
        self.drop_user(former, "descriptor's callback");
        // It may have been ready all the time: the poll reports an edge only once.
        watch.look_again(self);
        Ok(())
    }

    fn unwatch(self: &Rc<Self>, fd: BorrowedFd<'_>, direction: Direction) -> bool {
        let raw = fd.as_raw_fd();
        let Some(watch) = self.watches.borrow().get(&raw).map(Rc::clone) else { return false };
        let former = watch.place(direction).borrow_mut().take();
        let was_watched = former.is_some();
        self.drop_user(former, "descriptor's callback");
        if watch.reader.borrow().is_none() && watch.writer.borrow().is_none() {
            watch.let_go(self);
        }
        self.drop_user(watch, "watched descriptor");
        was_watched
    }
}

impl Watch {
    fn place(&self, direction: Direction) -> &RefCell<Option<Rc<Cell<Option<WatchCallback>>>>> {
        match direction {
            Direction::Read => &self.reader,
            Direction::Write => &self.writer,
        }
    }

    /// The descriptor. A watch whose owner panics instead of giving it is taken out of the loop.
    fn fd(self: &Rc<Self>, core: &Core) -> Option<BorrowedFd<'_>> {
        match core.run_inside(|| self.fd.as_fd()) {
            Ok(fd) => Some(fd),
            Err(panic) => {
                let message = "a watched descriptor failed, and is watched no more";
                core.report_when_free(message, panic.into_error(), None);
                self.forget(core);
                None
            }
        }
    }

    /// Takes the descriptor out of the loop.
    fn let_go(self: &Rc<Self>, core: &Core) {
        if core.watches.borrow().get(&self.raw).is_some_and(|known| Rc::ptr_eq(known, self))
            && let Some(fd) = self.fd(core)
            && let Some(driver) = core.driver.os()
        {
            driver.deregister(fd);
        }
        self.forget(core);
    }

    fn forget(self: &Rc<Self>, core: &Core) {
        let mut watches = core.watches.borrow_mut();
        let is_known = watches.get(&self.raw).is_some_and(|known| Rc::ptr_eq(known, self));
        let removed = if is_known { watches.remove(&self.raw) } else { None };
        drop(watches);
        if removed.is_some() {
            // This reference is not the last.
            core.free_slot(self.key);
        }
    }

    /// Calls the callback of one direction, unless it is gone.
    fn call(&self, core: &Rc<Core>, direction: Direction) {
        let Some(place) = self.place(direction).borrow().as_ref().map(Rc::clone) else { return };
        if let Some(mut callback) = place.take() {
            core.counters.count_callback();
            let watch = SlowWatch::start(core);
            core.run_caught("a descriptor's callback failed", &mut callback);
            watch.stop(core, "a descriptor's callback");
            place.set(Some(callback));
            // The last reference, if it was removed or replaced while it ran.
            core.drop_user(place, "descriptor's callback");
        }
    }

    /// Asks the operating system what the descriptor is ready for now: level-triggered readiness on
    /// top of a poll that tells of edges.
    fn look_again(self: &Rc<Self>, core: &Core) {
        let mut wanted = PollFlags::empty();
        if self.reader.borrow().is_some() {
            wanted |= PollFlags::IN;
        }
        if self.writer.borrow().is_some() {
            wanted |= PollFlags::OUT;
        }
        if wanted.is_empty() {
            return;
        }
        let Some(fd) = self.fd(core) else { return };
        let mut fds = [PollFd::from_borrowed_fd(fd, wanted)];
        loop {
            match rustix::event::poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
                Ok(_) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
        let found = fds[0].revents();
        let ended = found.intersects(PollFlags::HUP | PollFlags::ERR);
        let mut ready = Readiness::NONE;
        ready.set(Readiness::READ, found.contains(PollFlags::IN) || ended);
        ready.set(Readiness::WRITE, found.contains(PollFlags::OUT) || ended);
        if ready != Readiness::NONE {
            self.ready.set(self.ready.get().union(ready));
            if !self.queued.replace(true) {
                core.push_ready(Ready::Source(Rc::clone(self) as Rc<dyn Source>));
            }
        }
    }
}

impl Source for Watch {
    fn note(&self, _: Key, readiness: Readiness) -> bool {
        self.ready.set(self.ready.get().union(readiness));
        !self.queued.replace(true)
    }

    fn run(self: Rc<Self>, core: &Rc<Core>) {
        self.queued.set(false);
        let ready = self.ready.replace(Readiness::NONE);
        let ended = Readiness::READ_CLOSED.union(Readiness::WRITE_CLOSED).union(Readiness::ERROR);
        if ready.intersects(Readiness::READ.union(ended)) {
            self.call(core, Direction::Read);
        }
        if ready.intersects(Readiness::WRITE.union(ended)) {
            self.call(core, Direction::Write);
        }
        self.look_again(core);
        core.drop_user(self, "watched descriptor");
    }

    fn close(self: Rc<Self>, core: &Rc<Core>) {
        let (reader, writer) = (self.reader.take(), self.writer.take());
        self.let_go(core);
        core.drop_user(reader, "descriptor's callback");
        core.drop_user(writer, "descriptor's callback");
        core.drop_user(self, "watched descriptor");
    }
}
