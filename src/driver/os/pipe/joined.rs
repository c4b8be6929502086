//! Two descriptors that are one transport: one is read, the other written.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::rc::{Rc, Weak};

use super::{Direction, Means, OsDriver, OsPipe};
use crate::driver::Driver;
use crate::event_loop::Core;

/// The descriptor that is written, until its side ends.
pub(super) struct Writer {
    pipe: RefCell<Option<Box<OsPipe>>>,
    core: Weak<Core>,
}

impl OsPipe {
    /// Has `self` read and `writer` written. Both have their readiness reported under the same key.
    pub(crate) fn joined_with(self, core: &Rc<Core>, writer: Self) -> Self {
        let pipe = RefCell::new(Some(Box::new(writer)));
        let writer = Writer { pipe, core: Rc::downgrade(core) };
        Self { direction: Direction::Joined, writer: Some(writer), ..self }
    }
}

impl Writer {
    pub(super) fn with(
        &self,
        action: impl FnOnce(&OsPipe) -> io::Result<usize>,
    ) -> io::Result<usize> {
        match &*self.pipe.borrow() {
            Some(pipe) => action(pipe),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    pub(super) fn deregister(&self, driver: &OsDriver) {
        if let Some(pipe) = &*self.pipe.borrow() {
            pipe.deregister(driver);
        }
    }

    /// Closes it: whoever reads sees the end, once all copies of the descriptor are closed.
    pub(super) fn end(&self) {
        let Some(pipe) = self.pipe.take() else { return };
        if let Some(core) = self.core.upgrade()
            && let Driver::Os(driver) = &core.driver
        {
            pipe.deregister(driver);
        }
        if let Means::Polled(pipe) = &pipe.means {
            pipe.end();
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pipe.fmt(formatter)
    }
}
