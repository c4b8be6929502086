//! The predecessor's side: offering its servers.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::rc::Rc;

use super::giver::{Giver, refuse};
use super::servers::Servers;
use crate::address::Address;
use crate::error::{Error, Kind, Result};
use crate::event_loop::{Core, EventLoop};
use crate::net::Server;
use crate::task::{LoopFuture, Share, Waiters, operation};
use crate::transport::TransportHandle;

/// # Hot restart: the predecessor
impl EventLoop {
    /// Offers `servers` to a successor that comes to the Unix socket at `path`, the control socket,
    /// with [`take_over`](Self::take_over).
    ///
    /// The names are those by which both processes know the servers, 1 to 255 bytes. Only a process
    /// of the same user is served (on Linux the system says so; elsewhere the path's permissions
    /// decide, which allow nobody else). One successor is served at a time.
    ///
    /// When a successor says that it serves, these servers are closed here: `serve_forever`
    /// completes, and so does [`Handover::taken`]. Connections that were accepted but on which
    /// nothing was received or written yet go to the successor, and their protocols get
    /// `connection_lost(None)` here. All others stay; [`Server::shutdown`] is for them. If the
    /// successor dies before that, or does not say so in 60 s, everything goes on as before.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use wharf::{EventLoop, Protocol, Result, Transport};
    /// # struct Echo;
    /// # impl Protocol for Echo {
    /// #     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
    /// #         transport.write(data);
    /// #         Ok(())
    /// #     }
    /// # }
    /// # async fn serve(event_loop: EventLoop) -> Result {
    /// let control = "/run/echo/control";
    /// let (server, handover) = match event_loop.take_over(control).await? {
    ///     Some(mut inherited) => {
    ///         let listeners = inherited.take_listeners("echo");
    ///         let server = event_loop.create_server_on(|| Echo, listeners).await?;
    ///         let handover = inherited.serving([("echo", &server)]).await?;
    ///         (server, handover)
    ///     }
    ///     None => {
    ///         let server = event_loop.create_server(|| Echo, ":7000").await?;
    ///         let handover = event_loop.offer_handover(control, [("echo", &server)]).await?;
    ///         (server, handover)
    ///     }
    /// };
    /// handover.taken().await?;
    /// server.shutdown(Duration::from_secs(30)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`create_unix_server`](Self::create_unix_server) for the control socket;
    /// [`is_invalid`](Error::is_invalid) for a name that is empty, too long or given twice, for
    /// servers of another loop, and for more than 512 listeners;
    /// [`is_unsupported`](Error::is_unsupported) on a loop in memory.
    #[doc(alias("hot_restart"))]
    pub fn offer_handover<'a>(
        &self,
        path: impl AsRef<Path>,
        servers: impl IntoIterator<Item = (&'a str, &'a Server)>,
    ) -> LoopFuture<Handover> {
        let core = Rc::clone(self.core());
        let servers = Servers::checked(&core, servers);
        let path = path.as_ref().to_owned();
        let event_loop = Self::from_core(Rc::clone(&core));
        operation(&core, async move {
            let handover = Handover::new(event_loop.core(), servers?);
            let control = event_loop.create_unix_server(handover.givers(), &path).start();
            let control = control.into_step().await?;
            // It fails for an abstract name, which is no file.
            let _ = fs::set_permissions(&path, fs::Permissions::from_mode(0o600));
            handover.begin(control);
            Ok(handover)
        })
    }
}

/// A standing offer to a successor: what [`EventLoop::offer_handover`] and
/// [`Inherited::serving`](crate::Inherited::serving) give.
///
/// Cheap to clone. Dropping it does not end the offer. The exception is an offer that nobody ever
/// had, because it was still in the result of a [future](LoopFuture) or task that was dropped: it is
/// [closed](Self::close), unless a clone of it is elsewhere.
///
/// The predecessor, which runs until a successor has taken its servers:
///
/// ```no_run
/// use std::time::Duration;
/// use wharf::{EventLoop, Result, Server};
///
/// async fn until_taken(event_loop: EventLoop, server: Server) -> Result {
///     let handover = event_loop.offer_handover("/run/wharf.control", [("main", &server)]).await?;
///     handover.taken().await?;
///     server.shutdown(Duration::from_secs(30)).await?;
///     Ok(())
/// }
/// # let _ = until_taken;
/// ```
#[derive(Clone)]
pub struct Handover {
    core: Rc<Core>,
    offer: Rc<Offer>,
    share: Share,
}

impl Handover {
    pub(super) fn new(core: &Rc<Core>, servers: Servers) -> Self {
        Self {
            core: Rc::clone(core),
            offer: Rc::new(Offer { servers, ..Offer::default() }),
            share: Share::default(),
        }
    }

    /// What makes the protocols of the control socket.
    pub(super) fn givers(&self) -> impl FnMut() -> Giver + 'static {
        let offer = Rc::clone(&self.offer);
        move || Giver::new(&offer)
    }

    /// Answers those who come to `control` from now on.
    pub(super) fn begin(&self, control: Server) {
        *self.offer.control.borrow_mut() = Some(control);
    }

    /// Waits until a successor has taken over. Returns how many connections it was given.
    ///
    /// Fails with [`is_closed`](Error::is_closed) when the offer is [closed](Self::close) before.
    pub fn taken(&self) -> LoopFuture<usize> {
        let taken = self.offer.waiting.wait(&self.core);
        match self.offer.state.get() {
            State::Over(count) => self.offer.tell(Some(count)),
            State::Closed => self.offer.tell(None),
            _ => {}
        }
        taken
    }

    /// The address of the control socket.
    ///
    /// # Errors
    /// [`is_closed`](Error::is_closed) once the offer has ended.
    pub fn local_address(&self) -> Result<Address, Error> {
        match &*self.offer.control.borrow() {
            Some(control) => control.local_address(),
            None => Err(Error::bare(Kind::Closed)),
        }
    }

    /// Takes the offer back: nobody can take over any more. A successor that is about to is refused;
    /// after it said that it serves, this changes nothing.
    pub fn close(&self) {
        if matches!(self.offer.state.get(), State::Open | State::Asked) {
            self.offer.state.set(State::Closed);
            let successor = self.offer.successor.borrow_mut().take();
            if let Some(successor) = successor {
                // Told, since it would take a connection that just ends for this process's death.
                refuse(&successor, "the offer was taken back");
            }
            let control = self.offer.control.borrow_mut().take();
            if let Some(control) = control {
                control.close();
                control.close_clients();
            }
            self.offer.tell(None);
        }
    }
}

impl Drop for Handover {
    fn drop(&mut self) {
        self.share.close_if_untaken(|| self.close());
    }
}

impl fmt::Debug for Handover {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Handover")
            .field("local_address", &self.local_address())
            .field("state", &self.offer.state.get())
            .finish_non_exhaustive()
    }
}

/// What a handover is about, shared by its handles and the protocols of the control socket.
#[derive(Default)]
pub(super) struct Offer {
    pub(super) servers: Servers,
    /// `None` before it listens, and after its end.
    pub(super) control: RefCell<Option<Server>>,
    pub(super) state: Cell<State>,
    /// Who was offered everything.
    pub(super) successor: RefCell<Option<TransportHandle>>,
    pub(super) waiting: Waiters<usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Open,
    /// A successor has the listeners, and does not serve yet.
    Asked,
    /// It serves, and gets the connections.
    Giving,
    /// With so many connections.
    Over(usize),
    Closed,
}

impl Offer {
    /// It has ended: with so many connections given, or taken back.
    pub(super) fn tell(&self, given: Option<usize>) {
        self.waiting.tell(|| given.ok_or_else(no_longer_offered));
    }
}

fn no_longer_offered() -> Error {
    Error::new(Kind::Closed, "the handover is no longer offered")
}
