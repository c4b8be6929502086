//! The protocol of [`stream`](super): it does what the script says.

use std::rc::{Rc, Weak};

use wharf::{BufferedProtocol, Eof, Error, Protocol, Result, Timeout, Transport, TransportHandle};

use super::layers::Side;
use super::{CURRENT, Life, ON_PURPOSE, World};

/// A protocol that does what the script says.
pub(super) struct Actor {
    world: Rc<World>,
    side: Side,
    pub(super) own: Option<TransportHandle>,
    /// Told to pause writing; a protocol that takes over a paused write side is told, too.
    paused: bool,
    /// Told of the end; a protocol that takes over after it is told, too.
    ended: bool,
    buffer: Vec<u8>,
}

impl Actor {
    pub(super) fn new(world: &Rc<World>, side: Side) -> Self {
        world.live_actors.set(world.live_actors.get() + 1);
        let buffer = vec![0; usize::from(world.byte() % 64) * 3 + 1];
        let world = Rc::clone(world);
        Self { world, side, own: None, paused: false, ended: false, buffer }
    }

    /// Some actions, and then success, failure or a panic.
    ///
    /// While a layer of TLS is missing, nothing and success.
    fn behave(&self, transport: &dyn Transport) -> Result {
        let is_ready = |life: &Rc<Life>| life.layers.is_done();
        if !self.world.lives.borrow().get(&transport.id()).is_some_and(is_ready) {
            return Ok(());
        }
        for _ in 0..self.world.byte() % 4 {
            self.world.act(transport);
        }
        match self.world.byte() % 32 {
            31 => Err("an error of the application".into()),
            30 => Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into()),
            // Without the hook, which would print it.
            29 => std::panic::resume_unwind(Box::new(ON_PURPOSE)),
            _ => Ok(()),
        }
    }

    /// From here on the connection can be acted on, once all its layers are there.
    fn begin(&mut self, transport: &dyn Transport, life: &Life) -> Result {
        if life.layers.is_done() {
            self.world.handles.borrow_mut().push(transport.handle());
            self.own = Some(transport.handle());
        }
        self.behave(transport)
    }

    fn layer_established(&mut self, transport: &dyn Transport) -> Result {
        let world = Rc::clone(&self.world);
        let _inside = Inside::enter(&world, "tls_established");
        let life = world.life(transport, "tls_established");
        world.end_layer(transport, &life);
        self.begin(transport, &life)
    }

    fn callback(&mut self, transport: &dyn Transport, name: &str) -> Result {
        let world = Rc::clone(&self.world);
        let _inside = Inside::enter(&world, name);
        world.life(transport, name);
        self.behave(transport)
    }

    fn received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.world.check(!data.is_empty(), "data_received without data");
        let life = self.world.life(transport, "data_received");
        self.world.check(!self.ended, "data_received after eof_received");
        self.world.check(life.layers.is_done(), "data_received before tls_established");
        self.world.check(life.receive(data), "received what was not written next");
        self.callback(transport, "data_received")
    }

    /// The closure of a `Connection::with`: a direct call, also from other callbacks.
    pub(super) fn reached(&mut self, transport: &dyn Transport) {
        self.world.life(transport, "with");
        // It cannot fail.
        let _ = self.behave(transport);
    }

    pub(super) fn posted(&mut self, transport: &dyn Transport) {
        // What a closure of `post` panics with is reported by the loop.
        let _ = self.callback(transport, "post");
    }
}

impl Protocol for Actor {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        let world = Rc::clone(&self.world);
        let _inside = Inside::enter(&world, "connection_made");
        let life = Rc::<Life>::default();
        let former = world.lives.borrow_mut().insert(transport.id(), Rc::clone(&life));
        world.check(former.is_none(), "connection_made twice");
        world.made.set(world.made.get() + 1);
        world.begin_layers(transport, &life, self.side);
        self.begin(transport, &life)
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        let outcome = self.received(transport, data);
        if self.world.byte() % 8 == 7 {
            let count = usize::from(self.world.byte());
            transport.unread(count);
            let from = data.len().saturating_sub(count);
            self.world.life(transport, "data_received").unread(&data[from..]);
        }
        outcome
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Result<Eof> {
        self.world.life(transport, "eof_received");
        let ended = std::mem::replace(&mut self.ended, true);
        self.world.check(!ended, "eof_received twice");
        self.callback(transport, "eof_received")?;
        Ok(if self.world.byte().is_multiple_of(2) { Eof::Close } else { Eof::KeepOpen })
    }

    fn pause_writing(&mut self, transport: &dyn Transport) -> Result {
        let told = std::mem::replace(&mut self.paused, true);
        self.world.check(!told, "pause_writing twice");
        if self.world.byte().is_multiple_of(2) {
            transport.hold_reading();
        }
        self.callback(transport, "pause_writing")
    }

    fn resume_writing(&mut self, transport: &dyn Transport) -> Result {
        let told = std::mem::replace(&mut self.paused, false);
        self.world.check(told, "resume_writing without pause_writing");
        self.world.check(!transport.is_closing(), "resume_writing, and nothing can be written");
        self.callback(transport, "resume_writing")
    }

    fn timed_out(&mut self, transport: &dyn Transport, _: Timeout) -> Result {
        self.callback(transport, "timed_out")
    }

    fn tls_established(&mut self, transport: &dyn Transport) -> Result {
        self.layer_established(transport)
    }

    fn connection_lost(&mut self, transport: &dyn Transport, error: Option<&Error>) -> Result {
        let life = self.world.life(transport, "connection_lost");
        if let Some(error) = error {
            let expected = !error.is_panic() || format!("{error:#}") == ON_PURPOSE;
            self.world.check(expected, format_args!("a panic of the engine's: {error}"));
        }
        self.world.check(transport.is_closing(), "a lost connection is not closing");
        self.world.lost.set(self.world.lost.get() + 1);
        let world = Rc::clone(&self.world);
        let _inside = Inside::enter(&world, "connection_lost");
        life.lost.set(true);
        self.behave(transport)
    }
}

impl BufferedProtocol for Actor {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        Protocol::connection_made(self, transport)
    }

    fn get_buffer(&mut self, transport: &dyn Transport, _: usize) -> Result<&mut [u8]> {
        self.callback(transport, "get_buffer")?;
        Ok(&mut self.buffer)
    }

    fn buffer_updated(&mut self, transport: &dyn Transport, count: usize) -> Result {
        self.world.check(count <= self.buffer.len(), "more than the buffer holds");
        let data = self.buffer[..count].to_vec();
        let outcome = self.received(transport, &data);
        if self.world.byte() % 8 == 7 {
            // Means nothing here: the bytes must not come again.
            transport.unread(usize::from(self.world.byte()));
        }
        outcome
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Result<Eof> {
        Protocol::eof_received(self, transport)
    }

    fn pause_writing(&mut self, transport: &dyn Transport) -> Result {
        Protocol::pause_writing(self, transport)
    }

    fn resume_writing(&mut self, transport: &dyn Transport) -> Result {
        Protocol::resume_writing(self, transport)
    }

    fn timed_out(&mut self, transport: &dyn Transport, kind: Timeout) -> Result {
        Protocol::timed_out(self, transport, kind)
    }

    fn tls_established(&mut self, transport: &dyn Transport) -> Result {
        self.layer_established(transport)
    }

    fn connection_lost(&mut self, transport: &dyn Transport, error: Option<&Error>) -> Result {
        Protocol::connection_lost(self, transport, error)
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let world = Rc::clone(&self.world);
        world.live_actors.set(world.live_actors.get() - 1);
        let choice = world.byte();
        if choice % 4 == 3 {
            world.act_on_any();
            if let Some(own) = self.own.take() {
                world.act(&own);
            }
        }
        panic_at(choice);
    }
}

/// The memory of a `Bytes`, which does something when it is dropped.
pub(super) struct Owner(Vec<u8>);

impl Owner {
    pub(super) fn new(memory: Vec<u8>) -> Self {
        Self(memory)
    }
}

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let world = CURRENT.with_borrow(Weak::upgrade);
        if let Some(world) = world {
            let choice = world.byte();
            if choice % 4 == 3 {
                world.act_on_any();
            }
            panic_at(choice);
        }
    }
}

/// Has a `Drop` panic now and then; not while another panic unwinds, which would end the process.
fn panic_at(choice: u8) {
    if choice >= 251 && choice % 4 == 3 && !std::thread::panicking() {
        std::panic::resume_unwind(Box::new(ON_PURPOSE));
    }
}

/// Counts a callback, and notes when it is inside another.
pub(super) struct Inside<'a>(&'a World);

impl<'a> Inside<'a> {
    pub(super) fn enter(world: &'a World, what: &str) -> Self {
        world.check(world.depth.get() == 0, format_args!("{what} inside another callback"));
        world.depth.set(world.depth.get() + 1);
        Self(world)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.depth.set(self.0.depth.get() - 1);
    }
}
