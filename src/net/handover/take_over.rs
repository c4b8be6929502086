//! The successor's side: taking over.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

use super::offer::Handover;
use super::servers::Servers;
use super::wire::{Frame, FrameDecoder, VERSION};
use super::{PATIENCE, is_own_user, next_frame, send, unexpected};
use crate::driver::MOST_PER_MESSAGE;
use crate::driver::shared_listeners::note_shared;
use crate::error::{Error, Kind, Result};
use crate::event_loop::{Core, EventLoop};
use crate::net::Server;
use crate::protocol::Protocol;
use crate::task::{LoopFuture, Promise, future, operation};
use crate::timeout::Timeout;
use crate::transport::{Transport, TransportHandle};

/// The most listeners that a predecessor is believed to have.
const MOST_LISTENERS: usize = 1024;

/// # Hot restart: the successor
impl EventLoop {
    /// Asks the process that [offers](Self::offer_handover) its servers at `path` for them; `None`
    /// if there is none, so that this process is the first.
    ///
    /// Nothing changes for the predecessor until [`Inherited::serving`]. See
    /// [`offer_handover`](Self::offer_handover) for the whole.
    ///
    /// # Errors
    /// The predecessor refuses ([`is_closed`](Error::is_closed): it serves another successor just
    /// now, or its servers are closed), or runs as another user; it does not answer in 60 s ([`is_timeout`](Error::is_timeout)), or
    /// what it says makes no sense; [`is_unsupported`](Error::is_unsupported) on a loop in memory.
    #[doc(alias("hot_restart"))]
    pub fn take_over(&self, path: impl AsRef<Path>) -> LoopFuture<Option<Inherited>> {
        let core = Rc::clone(self.core());
        let path = path.as_ref().to_owned();
        let event_loop = Self::from_core(Rc::clone(&core));
        operation(&core, async move {
            let core = event_loop.core();
            Servers::checked(core, [])?;
            let (promise, offered) = future(core);
            let shared = Rc::new(RefCell::new(Shared::new(promise)));
            let taker = Taker { shared: Rc::clone(&shared), decoder: FrameDecoder::default() };
            let connecting = event_loop
                .create_unix_connection(|| taker, &path)
                .timeout(Some(PATIENCE))
                .receive_descriptors(MOST_PER_MESSAGE);
            let connection = match connecting.start().into_step().await {
                Ok(connection) => connection,
                Err(error) if is_nobody(&error) => return Ok(None),
                Err(error) => return Err(error),
            };
            let transport = Closing(connection.handle().clone());
            offered.into_step().await?;
            Ok(Some(Inherited { core: Rc::clone(core), shared, transport }))
        })
    }
}

/// What a predecessor has offered: what [`EventLoop::take_over`] gives.
///
/// Dropping it declines: the predecessor goes on.
///
/// The successor, which is the first where there is nobody to take over from:
///
/// ```no_run
/// use wharf::{EventLoop, Result, Server};
/// # struct Echo;
/// # impl wharf::Protocol for Echo {
/// #     fn data_received(&mut self, _: &dyn wharf::Transport, _: &[u8]) -> Result { Ok(()) }
/// # }
///
/// async fn begin(event_loop: EventLoop) -> Result<Server> {
///     let Some(mut inherited) = event_loop.take_over("/run/wharf.control").await? else {
///         return Ok(event_loop.create_server(|| Echo, "127.0.0.1:7000").await?);
///     };
///     let listeners = inherited.take_listeners("main");
///     let server = event_loop.create_server_on(|| Echo, listeners).await?;
///     inherited.serving([("main", &server)]).await?;
///     Ok(server)
/// }
/// # let _ = begin;
/// ```
#[must_use = "dropping it declines: the predecessor goes on"]
pub struct Inherited {
    core: Rc<Core>,
    shared: Rc<RefCell<Shared>>,
    transport: Closing,
}

impl Inherited {
    /// The names of the servers, each once, in the predecessor's order.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (name, _) in &self.shared.borrow().listeners {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// The listeners of the server with this name, for
    /// [`create_server_on`](EventLoop::create_server_on). They are given out once, and none for a
    /// name that is not there.
    pub fn take_listeners(&mut self, name: &str) -> Vec<OwnedFd> {
        let mut shared = self.shared.borrow_mut();
        let (taken, left) =
            std::mem::take(&mut shared.listeners).into_iter().partition(|(own, _)| own == name);
        shared.listeners = left;
        let taken: Vec<_> = taken.into_iter().map(|(_, listener)| listener).collect();
        // The predecessor goes on if this process does not come to serve.
        taken.iter().for_each(note_shared);
        taken
    }

    /// Tells the predecessor that this process serves now, with these servers, so that it stops.
    ///
    /// It completes when the predecessor has stopped accepting and has passed on the connections on
    /// which nothing had happened yet; these are served by the server of the same name, as if it had
    /// accepted them. From then on this process offers its servers in its turn, at the same path:
    /// that is what the result is for. Listeners under names that are not among `servers` are
    /// closed.
    ///
    /// If the predecessor has died in the meantime, this process just goes on in its place.
    ///
    /// # Errors
    /// Those of [`offer_handover`](EventLoop::offer_handover) for `servers`. The predecessor took
    /// its offer back, or gave up waiting ([`is_closed`](Error::is_closed)): it goes on, and the servers here have to be closed.
    pub fn serving<'a>(
        self,
        servers: impl IntoIterator<Item = (&'a str, &'a Server)>,
    ) -> LoopFuture<Handover> {
        let Self { core, shared, transport } = self;
        let servers = Servers::checked(&core, servers);
        let event_loop = EventLoop::from_core(Rc::clone(&core));
        operation(&core, async move {
            let servers = servers?;
            let (promise, released) = future(event_loop.core());
            let (control, with_paths) = {
                let mut shared = shared.borrow_mut();
                shared.servers = servers.clone();
                (shared.control.take(), std::mem::take(&mut shared.with_paths))
            };
            let handover = Handover::new(event_loop.core(), servers.clone());
            let givers = handover.givers();
            // Not before the predecessor has stopped: it still answers there.
            let control = event_loop.create_server_on(givers, control).start_serving(false);
            let control = control.cleanup_socket(false).start().into_step().await?;
            let mut unused = Unused(Some(control.clone()));
            Shared::tell(&shared, &transport.0, promise);
            released.into_step().await?;
            unused.0 = None;
            servers.own_paths(&with_paths);
            control.own_path();
            handover.begin(control.clone());
            control.start_serving()?;
            Ok(handover)
        })
    }
}

impl fmt::Debug for Inherited {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Inherited").field("names", &self.names()).finish_non_exhaustive()
    }
}

/// The connection to the predecessor, closed with this.
struct Closing(TransportHandle);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// A control socket that is closed with this, unless it came to be used.
struct Unused(Option<Server>);

impl Drop for Unused {
    fn drop(&mut self) {
        if let Some(control) = self.0.take() {
            control.close();
        }
    }
}

/// What the connection to the predecessor has brought.
struct Shared {
    phase: Phase,
    listeners: Vec<(String, OwnedFd)>,
    /// The names of those whose paths are to be removed at their end.
    with_paths: BTreeSet<String>,
    control: Option<OwnedFd>,
    /// Carried by frames that are not complete yet.
    descriptors: VecDeque<OwnedFd>,
    /// Those that serve here.
    servers: Servers,
}

enum Phase {
    /// Until `End`.
    Asking(Promise<()>),
    /// It is this process's turn.
    Offered,
    /// Until `Released`.
    Serving(Promise<()>),
    /// The predecessor refused, or the connection broke, before anybody waited for it.
    Failed(Error),
    Over,
}

impl Shared {
    fn new(offered: Promise<()>) -> Self {
        Self {
            phase: Phase::Asking(offered),
            listeners: Vec::new(),
            with_paths: BTreeSet::new(),
            control: None,
            descriptors: VecDeque::new(),
            servers: Servers::default(),
        }
    }

    /// Tells the predecessor; `promise` completes when it has answered.
    fn tell(shared: &RefCell<Self>, transport: &TransportHandle, promise: Promise<()>) {
        let phase = std::mem::replace(&mut shared.borrow_mut().phase, Phase::Over);
        match phase {
            Phase::Offered => {
                shared.borrow_mut().phase = Phase::Serving(promise);
                send(transport, &Frame::Serving);
                transport.set_timeout(Timeout::Idle, Some(PATIENCE));
            }
            Phase::Failed(error) => promise.set(Err(error)),
            // The predecessor is gone.
            _ => promise.set(Ok(())),
        }
    }

    /// Ends what is waited for.
    fn end(shared: &RefCell<Self>, error: Option<Error>) {
        let phase = std::mem::replace(&mut shared.borrow_mut().phase, Phase::Over);
        match (phase, error) {
            (Phase::Asking(promise), error) => {
                let text = "the predecessor went away before it had offered everything";
                promise.set(Err(error.unwrap_or_else(|| Error::new(Kind::Closed, text))));
            }
            (Phase::Serving(promise), None) => promise.set(Ok(())),
            (Phase::Serving(promise), Some(error)) => promise.set(Err(error)),
            (Phase::Offered, Some(error)) => shared.borrow_mut().phase = Phase::Failed(error),
            (phase @ Phase::Failed(_), _) => shared.borrow_mut().phase = phase,
            (Phase::Offered | Phase::Over, _) => {}
        }
    }

    fn carried(&mut self) -> Result<OwnedFd, Error> {
        let missing =
            || Error::protocol_violation("the descriptor that a frame carries is missing");
        self.descriptors.pop_front().ok_or_else(missing)
    }
}

/// Listens to the predecessor.
struct Taker {
    shared: Rc<RefCell<Shared>>,
    decoder: FrameDecoder,
}

impl Taker {
    fn take(&self, transport: &dyn Transport, frame: Frame) -> Result<(), Error> {
        let mut shared = self.shared.borrow_mut();
        let asking = matches!(shared.phase, Phase::Asking(_));
        let serving = matches!(shared.phase, Phase::Serving(_));
        match frame {
            Frame::Hello { version: VERSION } if asking => {}
            Frame::Listener { server, removes_path } if asking => {
                let listener = shared.carried()?;
                if shared.listeners.len() == MOST_LISTENERS {
                    let text = "the predecessor has too many listeners";
                    return Err(Error::protocol_violation(text));
                }
                if removes_path {
                    shared.with_paths.insert(server.clone());
                }
                shared.listeners.push((server, listener));
            }
            Frame::Control if asking && shared.control.is_none() => {
                shared.control = Some(shared.carried()?);
            }
            Frame::End if asking && shared.control.is_some() => {
                let phase = std::mem::replace(&mut shared.phase, Phase::Offered);
                drop(shared);
                transport.set_timeout(Timeout::Idle, None);
                if let Phase::Asking(promise) = phase {
                    promise.set(Ok(()));
                }
            }
            Frame::Connection { server } if serving => {
                let socket = shared.carried()?;
                let servers = shared.servers.clone();
                drop(shared);
                servers.adopt(&server, socket);
            }
            Frame::Released if serving => {
                drop(shared);
                Shared::end(&self.shared, None);
                transport.close();
            }
            Frame::Refused { reason } => {
                drop(shared);
                let text = format!("the predecessor refuses: {reason}");
                Shared::end(&self.shared, Some(Error::new(Kind::Closed, text)));
                transport.close();
            }
            frame => return Err(unexpected(&frame)),
        }
        Ok(())
    }
}

impl Protocol for Taker {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        if !is_own_user(&transport.info()) {
            return Err(Error::invalid("the predecessor runs as another user").into());
        }
        transport.set_timeout(Timeout::Idle, Some(PATIENCE));
        send(transport, &Frame::Request { lowest: VERSION, highest: VERSION });
        Ok(())
    }

    fn descriptors_received(&mut self, _: &dyn Transport, descriptors: Vec<OwnedFd>) -> Result {
        self.shared.borrow_mut().descriptors.extend(descriptors);
        Ok(())
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.decoder.push(data);
        while let Some(frame) = next_frame(&mut self.decoder, transport)? {
            self.take(transport, frame)?;
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        // A predecessor that died resets the connection, or just ends it.
        let died = error.is_none_or(|error| {
            matches!(error.io_kind(), Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe))
        });
        Shared::end(&self.shared, error.filter(|_| !died).cloned());
        Ok(())
    }
}

/// Whether nobody offers anything there.
fn is_nobody(error: &Error) -> bool {
    matches!(error.io_kind(), Some(ErrorKind::NotFound | ErrorKind::ConnectionRefused))
}
