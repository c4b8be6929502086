//! Two descriptors that are one transport: one is read, the other written.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::rc::Weak;

use super::{Direction, Means, OsDriver, OsPipe, PipeHost};

/// The descriptor that is written, until its side ends.
pub(super) struct Writer {
    pipe: RefCell<Option<Box<OsPipe>>>,
    host: Weak<dyn PipeHost>,
}

impl OsPipe {
    /// From now on `self` is read and `writer` written. The readiness of both is reported under the
    /// same key.
    pub(crate) fn joined_with(self, host: Weak<dyn PipeHost>, writer: Self) -> Self {
        let pipe = RefCell::new(Some(Box::new(writer)));
        let writer = Writer { pipe, host };
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

    /// Closes it: the reader sees the end, once all copies of the descriptor are closed.
    pub(super) fn end(&self) {
        let Some(pipe) = self.pipe.take() else { return };
        if let Some(host) = self.host.upgrade()
            && let Some(driver) = host.os_driver()
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
