//! The predecessor's side: offering its servers.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use super::servers::Servers;
use super::wire::{Frame, FrameDecoder, VERSION};
use super::{PATIENCE, is_own_user};
use crate::address::Address;
use crate::error::{Error, Kind, Result};
use crate::event_loop::{Core, EventLoop};
use crate::net::Server;
use crate::protocol::Protocol;
use crate::task::{LoopFuture, Share, Waiters, operation};
use crate::timeout::Timeout;
use crate::transport::{Transport, TransportHandle, WaterMarks};

/// How long somebody who has connected may take to ask.
const ASKING: Duration = Duration::from_secs(5);

/// Above this many bytes no further connections are written: about a hundred.
const HIGH_WATER: usize = 2048;

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

#[derive(Default)]
struct Offer {
    servers: Servers,
    /// `None` before it listens, and after its end.
    control: RefCell<Option<Server>>,
    state: Cell<State>,
    /// Who was offered everything.
    successor: RefCell<Option<TransportHandle>>,
    waiting: Waiters<usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
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
    fn tell(&self, given: Option<usize>) {
        self.waiting.tell(|| given.ok_or_else(no_longer_offered));
    }
}

/// Talks to one successor.
pub(super) struct Giver {
    offer: Rc<Offer>,
    decoder: FrameDecoder,
    /// Whether this one is the successor that the offer's state is about.
    chosen: bool,
    connections: VecDeque<(String, OwnedFd)>,
    given: usize,
}

impl Giver {
    fn new(offer: &Rc<Offer>) -> Self {
        Self {
            offer: Rc::clone(offer),
            decoder: FrameDecoder::default(),
            chosen: false,
            connections: VecDeque::new(),
            given: 0,
        }
    }

    fn take(&mut self, transport: &dyn Transport, frame: Frame) -> Result {
        match (frame, self.offer.state.get()) {
            (Frame::Request { lowest, highest }, State::Open) if !self.chosen => {
                match self.why_not(lowest, highest) {
                    Some(reason) => refuse(transport, reason),
                    None => self.offer_all(transport)?,
                }
            }
            (Frame::Request { .. }, _) => refuse(transport, "another successor is being served"),
            (Frame::Serving, State::Asked) if self.chosen => self.release(transport)?,
            (frame, _) => return Err(unexpected(&frame).into()),
        }
        Ok(())
    }

    fn why_not(&self, lowest: u16, highest: u16) -> Option<&'static str> {
        if !(lowest..=highest).contains(&VERSION) {
            Some("no version that both can speak")
        } else if !self.offer.servers.are_open() {
            Some("the servers are closed")
        } else {
            None
        }
    }

    fn offer_all(&mut self, transport: &dyn Transport) -> Result {
        let control = self.offer.control.borrow().as_ref().map(Server::only_listener);
        let Some(control) = control else {
            refuse(transport, "the offer is not ready");
            return Ok(());
        };
        let (listeners, control) = (self.offer.servers.listeners()?, control?);
        send(transport, &Frame::Hello { version: VERSION });
        for (server, removes_path, descriptor) in listeners {
            pass(transport, &Frame::Listener { server, removes_path }, descriptor)?;
        }
        pass(transport, &Frame::Control, control)?;
        send(transport, &Frame::End);
        self.chosen = true;
        self.offer.state.set(State::Asked);
        *self.offer.successor.borrow_mut() = Some(transport.handle());
        // Whatever it says meanwhile: others wait for their turn.
        transport.set_timeout(Timeout::User, Some(PATIENCE));
        Ok(())
    }

    /// The successor serves: it is its turn now.
    fn release(&mut self, transport: &dyn Transport) -> Result {
        self.offer.state.set(State::Giving);
        // From here on it takes as long as it takes, while it takes something.
        transport.set_timeout(Timeout::User, None);
        transport.set_timeout(Timeout::Idle, Some(PATIENCE));
        let control = self.offer.control.borrow_mut().take();
        if let Some(control) = control {
            control.release();
        }
        self.connections = self.offer.servers.release().into();
        transport.set_write_buffer_limits(WaterMarks::from_high(HIGH_WATER))?;
        self.give(transport)
    }

    /// Passes connections as fast as they are taken, then the last word.
    fn give(&mut self, transport: &dyn Transport) -> Result {
        while transport.write_buffer_size() <= HIGH_WATER {
            let Some((server, socket)) = self.connections.pop_front() else {
                send(transport, &Frame::Released);
                transport.close();
                return Ok(());
            };
            pass(transport, &Frame::Connection { server }, socket)?;
            self.given += 1;
        }
        Ok(())
    }
}

impl Protocol for Giver {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        if is_own_user(&transport.info()) {
            transport.set_timeout(Timeout::User, Some(ASKING));
        } else {
            refuse(transport, "a successor has to run as the same user");
        }
        Ok(())
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.decoder.push(data);
        while !transport.is_closing() {
            let frame = self.decoder.next_frame().map_err(Error::protocol_violation)?;
            let Some(frame) = frame else { break };
            self.take(transport, frame)?;
        }
        Ok(())
    }

    fn pause_writing(&mut self, _: &dyn Transport) -> Result {
        Ok(())
    }

    fn resume_writing(&mut self, transport: &dyn Transport) -> Result {
        if self.chosen && self.offer.state.get() == State::Giving {
            self.give(transport)?;
        }
        Ok(())
    }

    fn timed_out(&mut self, transport: &dyn Transport, _: Timeout) -> Result {
        refuse(transport, "it took too long");
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<&Error>) -> Result {
        if !self.chosen {
            return Ok(());
        }
        self.offer.successor.borrow_mut().take();
        match self.offer.state.get() {
            // Nothing has happened: the next one may come.
            State::Asked => self.offer.state.set(State::Open),
            State::Giving => {
                self.offer.state.set(State::Over(self.given));
                self.offer.tell(Some(self.given));
            }
            _ => {}
        }
        Ok(())
    }
}

/// Says why not, and closes.
fn refuse(transport: &dyn Transport, reason: &str) {
    send(transport, &Frame::Refused { reason: reason.to_owned() });
    transport.close();
}

pub(super) fn send(transport: &dyn Transport, frame: &Frame) {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    transport.write(&bytes);
}

fn pass(transport: &dyn Transport, frame: &Frame, descriptor: OwnedFd) -> Result {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    transport.write_with_descriptors(&bytes, vec![descriptor])?;
    Ok(())
}

pub(super) fn unexpected(frame: &Frame) -> Error {
    Error::protocol_violation(format!("this was not to be said now: {frame:?}"))
}

fn no_longer_offered() -> Error {
    Error::new(Kind::Closed, "the handover is no longer offered")
}
