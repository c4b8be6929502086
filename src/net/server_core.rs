//! What a server's listeners, connections and handles share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::accept::Accepting;
use super::factory::{Factory, Make};
use super::server_builder::Settings;
use crate::cell::put_back;
use crate::driver::unix_path::BoundPath;
use crate::driver::{Listener, SocketOptions};
use crate::error::{Error, Kind};
use crate::event_loop::{Core, Exception, Wakers};
use crate::fence;
use crate::protocol::Protocol;
use crate::task::{Promise, Waiters};
#[cfg(feature = "tls-core")]
use crate::tls::TlsServer;
use crate::transport::{Info, StreamOptions};

pub(super) type AcceptErrorHandler = Box<dyn FnMut(&Error)>;

/// The state of a server, shared by its handles, its listeners and its connections.
pub(crate) struct ServerCore {
    /// Taken out while it runs: it is the user's code.
    pub(super) factory: Cell<Option<Factory>>,
    /// `None` without TLS, and once the server is over: users put code of their own into it.
    #[cfg(feature = "tls-core")]
    pub(super) tls: RefCell<Option<TlsServer>>,
    pub(super) settings: ServerSettings,
    pub(super) socket_options: SocketOptions,
    pub(super) stream_options: StreamOptions,
    pub(super) serving: Cell<bool>,
    pub(super) connections: Cell<usize>,
    /// How many async functions serve a connection, or one that is gone.
    handlers: Cell<usize>,
    pub(super) listeners: RefCell<Vec<Rc<Accepting>>>,
    pub(super) paths: Cell<Vec<BoundPath>>,
    pub(super) closed: Cell<bool>,
    pub(super) forever: RefCell<Option<Promise<()>>>,
    pub(super) waiting: Waiters<()>,
    /// Woken when it is closed.
    pub(super) closing: Wakers,
    on_accept_error: Cell<Option<AcceptErrorHandler>>,
    /// When the last accept error was reported by default, and how many have not been reported
    /// since.
    reported: Cell<(Option<u64>, u64)>,
}

pub(super) struct ServerSettings {
    pub(super) max_connections: usize,
    pub(super) accept_batch: u32,
}

/// The least time between two accept errors that are reported by default, in nanoseconds.
const REPORT_INTERVAL: u64 = 1_000_000_000;

impl ServerCore {
    pub(super) fn new(
        factory: Factory,
        settings: Settings,
        socket_options: SocketOptions,
        stream_options: StreamOptions,
        paths: Vec<BoundPath>,
    ) -> Rc<Self> {
        Rc::new(Self {
            factory: Cell::new(Some(factory)),
            settings: ServerSettings {
                max_connections: settings.max_connections.unwrap_or(usize::MAX),
                accept_batch: settings.accept_batch,
            },
            #[cfg(feature = "tls-core")]
            tls: RefCell::new(settings.tls),
            socket_options,
            stream_options,
            serving: Cell::new(false),
            connections: Cell::new(0),
            handlers: Cell::new(0),
            listeners: RefCell::default(),
            paths: Cell::new(paths),
            closed: Cell::new(false),
            forever: RefCell::default(),
            waiting: Waiters::default(),
            closing: Wakers::default(),
            on_accept_error: Cell::new(settings.on_accept_error),
            reported: Cell::new((None, 0)),
        })
    }

    pub(super) fn listen(
        self: &Rc<Self>,
        core: &Rc<Core>,
        listeners: Vec<Listener>,
    ) -> Result<(), Error> {
        for listener in listeners {
            match Accepting::register(core, self, listener) {
                Ok(accepting) => self.listeners.borrow_mut().push(accepting),
                Err(error) => {
                    self.close(core);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Makes a protocol for a connection, by the factory.
    pub(crate) fn make_protocol(
        &self,
        info: impl FnOnce() -> Rc<Info>,
    ) -> Result<Box<dyn Protocol>, Error> {
        let Some(mut factory) = self.factory.take() else {
            return Err(Error::bare(Kind::Closed));
        };
        let made = fence::run(|| match &mut factory {
            Factory(Make::Plain(make)) => Ok(make()),
            Factory(Make::WithInfo(make)) => make(&info()),
        });
        put_back(&self.factory, factory);
        match made {
            Ok(Ok(protocol)) => Ok(protocol),
            Ok(Err(failure)) => Err(Error::from(failure)),
            Err(panic) => Err(panic.into_error()),
        }
    }

    #[cfg(feature = "tls-core")]
    pub(super) fn has_tls(&self) -> bool {
        self.tls.borrow().is_some()
    }

    pub(super) fn may_accept(&self) -> bool {
        self.serving.get()
            && !self.closed.get()
            && self.connections.get() < self.settings.max_connections
    }

    pub(super) fn accept_soon(&self, core: &Core) {
        let listeners = self.listeners.borrow().clone();
        for listener in listeners {
            listener.enqueue_if_ready(core);
        }
    }

    #[inline]
    pub(crate) fn client_is_gone(&self, core: &Core) {
        let before = self.connections.get();
        self.connections.set(before - 1);
        if before == self.settings.max_connections {
            self.accept_soon(core);
        }
        self.tell_if_over(core);
    }

    pub(crate) fn handler_begins(&self) {
        self.handlers.set(self.handlers.get() + 1);
    }

    pub(crate) fn handler_ends(&self) {
        self.handlers.set(self.handlers.get() - 1);
    }

    pub(super) fn has_handlers(&self) -> bool {
        self.handlers.get() > 0
    }

    pub(super) fn close(&self, core: &Rc<Core>) {
        if self.closed.replace(true) {
            return;
        }
        // While the listeners are still open: see `BoundPath`.
        drop(self.paths.take());
        let listeners = std::mem::take(&mut *self.listeners.borrow_mut());
        for listener in listeners {
            listener.let_go(core);
        }
        let forever = self.forever.borrow_mut().take();
        if let Some(forever) = forever {
            forever.set(Ok(()));
        }
        self.closing.wake_all(core);
        self.tell_if_over(core);
    }

    pub(super) fn is_over(&self) -> bool {
        self.closed.get() && self.connections.get() == 0
    }

    #[inline]
    fn tell_if_over(&self, core: &Core) {
        if self.is_over() {
            self.tell_over(core);
        }
    }

    #[cold]
    fn tell_over(&self, core: &Core) {
        self.waiting.tell(|| Ok(()));
        // No protocol is made any more: everything of the user's is dropped here, behind the fence
        // and one at a time, since it may hold this server. What drops the rest of the server later
        // runs no foreign code.
        core.drop_user(self.factory.take(), "protocol factory");
        core.drop_user(self.on_accept_error.take(), "accept error handler");
        #[cfg(feature = "tls-core")]
        {
            let tls = self.tls.borrow_mut().take();
            core.drop_user(tls, "TLS configuration");
        }
    }

    /// An incoming connection came to nothing. The error may be the user's, and is dropped here.
    pub(crate) fn accept_failed(&self, core: &Core, error: Error) {
        self.tell_accept_error(core, &error);
        core.drop_user(error, "user's error");
    }

    fn tell_accept_error(&self, core: &Core, error: &Error) {
        if let Some(mut handler) = self.on_accept_error.take() {
            core.run_caught("the accept error handler failed", || handler(error));
            if self.is_over() {
                core.drop_user(handler, "accept error handler");
            } else {
                self.on_accept_error.set(Some(handler));
            }
            return;
        }
        let now = core.tick_time();
        let (last, held_back) = self.reported.get();
        if last.is_some_and(|last| now < last.saturating_add(REPORT_INTERVAL)) {
            self.reported.set((last, held_back + 1));
            return;
        }
        self.reported.set((Some(now), 0));
        let message = match held_back {
            0 => "an incoming connection failed".to_owned(),
            _ => format!("an incoming connection failed (and {held_back} before, not reported)"),
        };
        core.report(&Exception::new(&message, Some(error), None));
    }
}
