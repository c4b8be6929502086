//! What is kept of a connection's info for the handles that outlive it.

use std::cell::RefCell;
use std::rc::Rc;

use super::Info;

/// The info of one connection, shared by its stream and its handles.
#[derive(Debug, Default)]
pub(crate) struct Facts(RefCell<Option<Rc<Info>>>);

impl Facts {
    pub(crate) fn info(&self) -> Option<Rc<Info>> {
        self.0.borrow().as_ref().map(Rc::clone)
    }

    /// What is there, or what `make` gives.
    pub(crate) fn info_or(&self, make: impl FnOnce() -> Info) -> Rc<Info> {
        let known = self.info();
        known.unwrap_or_else(|| {
            let info = Rc::new(make());
            *self.0.borrow_mut() = Some(Rc::clone(&info));
            info
        })
    }

    /// It has changed: it is made again when it is asked for.
    #[cfg(feature = "tls-core")]
    pub(crate) fn forget(&self) {
        let former = self.0.borrow_mut().take();
        drop(former);
    }
}
