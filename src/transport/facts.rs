//! What is kept of a connection for the handles that outlive it.

use std::cell::RefCell;
use std::rc::Rc;

use super::{CloseReason, Info};

/// The info of one connection, shared by its stream and its handles, and how it ended.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    info: RefCell<Option<Rc<Info>>>,
    close_reason: RefCell<Option<CloseReason>>,
}

impl Facts {
    pub(crate) fn info(&self) -> Option<Rc<Info>> {
        self.info.borrow().as_ref().map(Rc::clone)
    }

    /// What is there, or what `make` gives.
    pub(crate) fn info_or(&self, make: impl FnOnce() -> Info) -> Rc<Info> {
        let known = self.info();
        known.unwrap_or_else(|| {
            let info = Rc::new(make());
            *self.info.borrow_mut() = Some(Rc::clone(&info));
            info
        })
    }

    /// It has changed: it is made again when it is asked for.
    #[cfg(feature = "tls-core")]
    pub(crate) fn forget(&self) {
        let former = self.info.borrow_mut().take();
        drop(former);
    }

    pub(crate) fn close_reason(&self) -> Option<CloseReason> {
        self.close_reason.borrow().clone()
    }

    pub(crate) fn set_close_reason(&self, reason: Option<CloseReason>) {
        *self.close_reason.borrow_mut() = reason;
    }
}
