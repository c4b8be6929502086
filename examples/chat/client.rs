//! The client for pipes and files: where a member types, the server, and what shows what is heard are
//! three transports, joined. (At a terminal there is `terminal.rs`.)
//!
//! ```text
//! keyboard ──write──▶ server ──write──▶ screen
//!     ◀───pause────┘     ◀───pause────┘
//! ```
//!
//! Whoever is behind pauses the one before it, so that a whole book can be pasted, or everything
//! that is said piped to a program that takes its time, and no more than a few buffers of it are in
//! memory. It works the same on terminals, pipes and files, and without a thread for any of them:
//! `stdio.rs` joins standard input and output. In a simulation (`sim_chat/`) they are Unix sockets.

use std::cell::OnceCell;
use std::io;
use std::rc::Rc;

use wharf::{
    Eof, Error, EventLoop, LoopFuture, Promise, Protocol, Result, TlsClient, Transport,
    TransportHandle,
};

use super::visit::Visit;

/// Where a member types, and what shows what is heard: a transport each.
pub(crate) trait Desk {
    /// Connects what shows.
    async fn connect_screen(&self, event_loop: &EventLoop, screen: Screen) -> Result;

    /// Connects where the member types.
    async fn connect_keyboard(&self, event_loop: &EventLoop, keyboard: Keyboard) -> Result;
}

/// Connects, and stays until the connection ends: an error unless this side wanted it to.
pub(crate) async fn take_part(
    event_loop: &EventLoop,
    address: String,
    tls: Option<TlsClient>,
    desk: &impl Desk,
) -> Result {
    let joined = Rc::new(Joined::default());
    let (screen, screen_ended) = Screen::new(event_loop, &joined);
    desk.connect_screen(event_loop, screen).await?;
    let outcome = meet(event_loop, address, tls, desk, &joined).await;
    with(&joined.server, Transport::close);
    with(&joined.keyboard, Transport::close);
    // What came last is still shown.
    with(&joined.screen, Transport::close);
    screen_ended.await??;
    outcome
}

/// Joins the server and the keyboard to the screen, until the server has gone.
async fn meet(
    event_loop: &EventLoop,
    address: String,
    tls: Option<TlsClient>,
    desk: &impl Desk,
    joined: &Rc<Joined>,
) -> Result {
    let (server, ended) = Server::new(event_loop, joined);
    let mut connection = event_loop.create_connection(|| server, address);
    if let Some(tls) = tls {
        connection = connection.tls(tls);
    }
    connection.await?;
    desk.connect_keyboard(event_loop, Keyboard { joined: Rc::clone(joined) }).await?;
    Ok(ended.await??)
}

/// The three transports, each from its `connection_made` on.
#[derive(Default)]
struct Joined {
    keyboard: OnceCell<TransportHandle>,
    server: OnceCell<TransportHandle>,
    screen: OnceCell<TransportHandle>,
    visit: Visit,
}

/// How a transport ended.
type Outcome = Result<(), String>;

pub(crate) struct Keyboard {
    joined: Rc<Joined>,
}

impl Protocol for Keyboard {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        let _ = self.joined.keyboard.set(transport.handle());
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
        self.joined.visit.says(data);
        with(&self.joined.server, |server| server.write(data));
        Ok(())
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Result<Eof> {
        // Nothing more is said from here; what the others say still comes.
        self.joined.visit.leave();
        with(&self.joined.server, Transport::write_eof);
        Ok(Eof::Close)
    }
}

struct Server {
    joined: Rc<Joined>,
    ending: Option<Promise<Outcome>>,
}

impl Server {
    fn new(event_loop: &EventLoop, joined: &Rc<Joined>) -> (Self, LoopFuture<Outcome>) {
        let (ending, ended) = event_loop.create_future();
        (Self { joined: Rc::clone(joined), ending: Some(ending) }, ended)
    }
}

impl Protocol for Server {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        let _ = self.joined.server.set(transport.handle());
        // The screen has gone meanwhile.
        if self.joined.visit.is_leaving() {
            transport.close();
        }
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
        if self.joined.visit.hears(data) {
            with(&self.joined.screen, |screen| screen.write(data));
        }
        Ok(())
    }

    fn pause_writing(&mut self, _: &dyn Transport) -> Result {
        with(&self.joined.keyboard, Transport::pause_reading);
        Ok(())
    }

    fn resume_writing(&mut self, _: &dyn Transport) -> Result {
        with(&self.joined.keyboard, Transport::resume_reading);
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        end(&mut self.ending, self.joined.visit.outcome(error));
        Ok(())
    }
}

pub(crate) struct Screen {
    joined: Rc<Joined>,
    ending: Option<Promise<Outcome>>,
}

impl Screen {
    fn new(event_loop: &EventLoop, joined: &Rc<Joined>) -> (Self, LoopFuture<Outcome>) {
        let (ending, ended) = event_loop.create_future();
        (Self { joined: Rc::clone(joined), ending: Some(ending) }, ended)
    }
}

impl Protocol for Screen {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        let _ = self.joined.screen.set(transport.handle());
        Ok(())
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Err("standard output is not read".into())
    }

    fn pause_writing(&mut self, _: &dyn Transport) -> Result {
        with(&self.joined.server, Transport::pause_reading);
        Ok(())
    }

    fn resume_writing(&mut self, _: &dyn Transport) -> Result {
        with(&self.joined.server, Transport::resume_reading);
        Ok(())
    }

    /// Also when nobody reads what is shown any more, as after `chat … | head -1`: that is no
    /// failure, but a reason to leave.
    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        self.joined.visit.leave();
        with(&self.joined.server, Transport::close);
        let error = error.filter(|error| error.io_kind() != Some(io::ErrorKind::BrokenPipe));
        let outcome = error.map_or(Ok(()), |error| Err(format!("standard output: {error:#}")));
        end(&mut self.ending, outcome);
        Ok(())
    }
}

/// Does something to one of the others, if it is there already.
fn with<R>(place: &OnceCell<TransportHandle>, act: impl FnOnce(&TransportHandle) -> R) {
    if let Some(transport) = place.get() {
        act(transport);
    }
}

fn end(ending: &mut Option<Promise<Outcome>>, outcome: Outcome) {
    if let Some(ending) = ending.take() {
        // Refused when nobody waits for it any more, which is fine.
        let _ = ending.set_result(outcome);
    }
}
