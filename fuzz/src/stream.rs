//! Stream transports over the in-memory driver: plays a script, given as bytes, with protocols that
//! do anything in any callback, and checks the promises that hold whatever they do.
//!
//! An input is the script: the first byte is the capacity of the pipes (times 16, and 1), each other
//! one is the next choice of whoever has one to make: what happens from outside the loop, what a
//! callback does and how it ends, with which amounts. Past the end every choice is 0, which ends it.
//!
//! Some connections go through a proxy that joins them with others by a relay; what comes through is
//! checked as if it was not there.
//!
//! A script that begins with the marker of [`panics`] has foreign code of every other kind panic, too;
//! one that begins with that of [`layers`] has TLS under its connections, layer in layer, over pipes of
//! a few bytes.
//!
//! `tests/fuzz/random.rs` at the root plays scripts of its own making.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};
use std::time::Duration;

use wharf::testing::{MemoryNetwork, advance, pair, settle, unfenced_panics};
use wharf::{
    Buffered, Connection, Error, EventLoop, RateGroup, Transport, TransportHandle, TransportId,
};

mod actor;
mod acts;
mod layers;
mod panics;
mod relays;

use actor::{Actor, Inside};
use acts::{LATER, Sending};
use layers::{Layers, Progress, Side};
use relays::Relay;

/// Plays the script.
///
/// Checked: `connection_made` first and once, `connection_lost` last and once, nothing after it;
/// no callback inside another; what is received is what was written, in order, with nothing missing
/// or repeated up to where it ends, whether written or sent from files, also through relays and under
/// rate limits; `pause_writing` and `resume_writing` alternate, and no resume follows when nothing can
/// be written any more; every protocol is dropped, once; at the end no connection, socket that lingers,
/// timer, source, task, file, relay, member of a group or entry is left.
///
/// # Panics
/// If a promise is broken.
pub fn run(bytes: &[u8]) {
    let unfenced = unfenced_panics();
    let (script, panics, layers) = match bytes {
        [0xff, panics::KIND, script @ ..] => (script, true, None),
        [0xff, layers::KIND, choice, script @ ..] => {
            (script, false, Some(Layers::chosen_by(*choice)))
        }
        script => (script, false, None),
    };
    let world = World::new(script, panics, layers);
    CURRENT.set(Rc::downgrade(&world));
    let size = world.byte();
    let mut network = MemoryNetwork::new().capacity(world.capacity(size, 16));
    if size % 2 == 1 {
        // Urgent data is on its way, too.
        network = network.urgent_data(size.into());
    }
    let event_loop = network.event_loop();
    let reported = Rc::clone(&world);
    event_loop.set_exception_handler(move |_, exception| {
        let _inside = Inside::enter(&reported, "the exception handler");
        if let Some(error) = exception.error {
            // What a connection ended with is also what its files did.
            let expected = !error.is_panic() || format!("{error:#}").ends_with(ON_PURPOSE);
            reported.check(expected, format_args!("a panic of the engine's: {exception}"));
        }
        reported.act_on_any();
    });
    world.begin(&event_loop);
    while world.has_more() {
        world.turn(&event_loop);
    }
    world.finish(event_loop);
    assert_eq!(unfenced_panics(), unfenced, "a panic passed through the event loop");
    // What the loop held of the world it has let go of.
    assert_eq!(Rc::strong_count(&world), 1, "closures were leaked");
}

thread_local! {
    /// For code that must be `Send`: the owners of `Bytes`.
    static CURRENT: RefCell<Weak<World>> = const { RefCell::new(Weak::new()) };
}

/// What protocols here panic with.
const ON_PURPOSE: &str = "on purpose";

/// What new protocols are handed as left over; it is never written.
const LEFTOVER: u8 = 255;

/// What every connection writes repeats itself after so many bytes.
const PERIOD: usize = 251;

/// What stands at `position` of everything that a connection writes.
fn byte_at(position: usize) -> u8 {
    (position % PERIOD) as u8
}

/// Whoever connects here has a protocol of its own at the other end.
const SERVER: &str = "10.0.0.1:7";

/// And here too, by way of a relay.
const PROXY: &str = "10.0.0.2:7";

/// The most connections at a time, and in all: what a script can set off is bounded.
const MOST_OPEN: usize = 12;
const MOST_MADE: usize = 64;

/// How many actions all callbacks together may take; then they do nothing any more.
const MOST_ACTIONS: u32 = 4000;

/// What all protocols of a run share.
struct World {
    /// Foreign code of every kind may panic, not only protocols and what is dropped.
    panics: bool,
    /// The TLS of each connection, if it has any.
    layers: Option<Layers>,
    script: RefCell<VecDeque<u8>>,
    /// Handles to every connection so far, stale ones included.
    handles: RefCell<Vec<TransportHandle>>,
    connections: RefCell<Vec<AnyConnection>>,
    lives: RefCell<BTreeMap<TransportId, Rc<Life>>>,
    depth: Cell<u32>,
    actions: Cell<u32>,
    /// Files that are being sent, and relays.
    files: RefCell<Vec<Sending>>,
    relays: RefCell<Vec<Relay>>,
    /// A group of rate limits that any connection may be in.
    group: RefCell<Option<RateGroup>>,
    made: Cell<u64>,
    lost: Cell<u64>,
    /// Connections of the proxy's, which are not among those made.
    made_by_proxy: Cell<u64>,
    live_actors: Cell<i64>,
    broken: RefCell<Vec<String>>,
    event_loop: RefCell<Option<EventLoop>>,
}

#[derive(Clone)]
enum AnyConnection {
    Plain(Connection<Actor>),
    Buffered(Connection<Buffered<Actor>>),
}

/// The life of one connection, whichever protocols have it in turn.
#[derive(Default)]
struct Life {
    lost: Cell<bool>,
    written: Cell<usize>,
    received: Cell<usize>,
    layers: Progress,
}

impl Life {
    /// Whether `data` is what the other side has written next.
    fn receive(&self, data: &[u8]) -> bool {
        let mut in_order = true;
        for &byte in data.iter().filter(|&&byte| byte != LEFTOVER) {
            in_order &= byte == byte_at(self.received.get());
            self.received.set(self.received.get() + 1);
        }
        in_order
    }

    /// `data` was given back: it comes again.
    fn unread(&self, data: &[u8]) {
        let written = data.iter().filter(|&&byte| byte != LEFTOVER).count();
        self.received.set(self.received.get() - written);
    }
}

impl World {
    fn new(bytes: &[u8], panics: bool, layers: Option<Layers>) -> Rc<Self> {
        Rc::new(Self {
            panics,
            layers,
            script: RefCell::new(bytes.iter().copied().collect()),
            handles: RefCell::default(),
            connections: RefCell::default(),
            lives: RefCell::default(),
            depth: Cell::new(0),
            actions: Cell::new(0),
            files: RefCell::default(),
            relays: RefCell::default(),
            group: RefCell::default(),
            made: Cell::new(0),
            made_by_proxy: Cell::new(0),
            lost: Cell::new(0),
            live_actors: Cell::new(0),
            broken: RefCell::default(),
            event_loop: RefCell::default(),
        })
    }

    /// The next byte of the script; zeros after its end.
    fn byte(&self) -> u8 {
        self.script.borrow_mut().pop_front().unwrap_or(0)
    }

    /// What a pipe holds: a few bytes where TLS makes many of each.
    fn capacity(&self, choice: u8, step: usize) -> usize {
        match self.layers {
            Some(_) => 1 + usize::from(choice) % 32,
            None => 1 + usize::from(choice) * step,
        }
    }

    fn has_more(&self) -> bool {
        !self.script.borrow().is_empty()
    }

    fn check(&self, holds: bool, promise: impl fmt::Display) {
        if !holds {
            self.broken.borrow_mut().push(promise.to_string());
        }
    }

    fn begin(self: &Rc<Self>, event_loop: &EventLoop) {
        *self.event_loop.borrow_mut() = Some(event_loop.clone());
        let world = Rc::clone(self);
        let factory = move || {
            world.may_panic();
            Actor::new(&world, Side::Server)
        };
        let server = event_loop.create_server(factory, SERVER);
        event_loop.run_until_complete(server.start()).and_then(|server| server).expect("a server");
        self.serve_as_proxy(event_loop);
        *self.group.borrow_mut() = Some(RateGroup::new(event_loop));
        self.connect(event_loop);
    }

    fn may_connect(&self) -> bool {
        let open = (self.made.get() - self.lost.get()) as usize;
        open < MOST_OPEN && (self.made.get() as usize) < MOST_MADE
    }

    /// Another connection, unless there are enough.
    fn connect(self: &Rc<Self>, event_loop: &EventLoop) {
        if !self.may_connect() {
            return;
        }
        let world = Rc::clone(self);
        let factory = move || {
            world.may_panic();
            Actor::new(&world, Side::Client)
        };
        let choice = self.byte();
        let to = if choice < LATER { SERVER } else { PROXY };
        match choice % 4 {
            0 => {
                let made = Rc::clone(self);
                let connecting = event_loop.create_connection(factory, to).start();
                connecting.add_done_callback(move |connection| {
                    if let Ok(connection) = connection {
                        let connection = AnyConnection::Plain(connection.clone());
                        made.connections.borrow_mut().push(connection);
                    }
                    made.may_panic();
                });
            }
            1 => {
                let made = Rc::clone(self);
                let connecting =
                    event_loop.create_connection(move || Buffered(factory()), to).start();
                connecting.add_done_callback(move |connection| {
                    if let Ok(connection) = connection {
                        let connection = AnyConnection::Buffered(connection.clone());
                        made.connections.borrow_mut().push(connection);
                    }
                    made.may_panic();
                });
            }
            // Given up at once.
            2 => {
                drop(event_loop.create_connection(factory, to).start());
            }
            _ if self.depth.get() == 0 => {
                let near = Actor::new(self, Side::Client);
                let far = Buffered(Actor::new(self, Side::Server));
                let capacity = self.capacity(self.byte(), 8);
                // Refused on a loop that is running: a callback of the loop may be the caller.
                if let Ok((near, far)) = pair(event_loop, capacity, near, far) {
                    let mut connections = self.connections.borrow_mut();
                    connections.push(AnyConnection::Plain(near));
                    connections.push(AnyConnection::Buffered(far));
                }
            }
            _ => {}
        }
    }

    /// One thing from outside the loop, and a turn of it.
    fn turn(self: &Rc<Self>, event_loop: &EventLoop) {
        self.may_use_future(event_loop);
        match self.byte() % 8 {
            0 => self.connect(event_loop),
            1 => {
                let wait = Duration::from_millis(u64::from(self.byte()) * 300);
                advance(event_loop, wait).expect("time passes");
            }
            2 => settle(event_loop).expect("the loop comes to rest"),
            3 => {
                event_loop.stop();
                event_loop.run_forever().expect("one turn");
            }
            4 => self.use_connection(),
            _ => {
                self.act_on_any();
                wharf::testing::step(event_loop).expect("a turn");
            }
        }
    }

    /// Ends it all, and looks for what is left.
    fn finish(self: &Rc<Self>, event_loop: EventLoop) {
        if self.byte().is_multiple_of(2) {
            settle(&event_loop).expect("the loop comes to rest");
        }
        let clone = event_loop.clone();
        drop(event_loop);
        let statistics = clone.statistics();
        let members = self.group.take().map_or(0, |group| group.members());
        self.check(members == 0, "connections that are gone are in a group");
        self.handles.take();
        self.connections.take();
        let undone = self.files.take().iter().filter(|sending| !sending.is_over()).count();
        self.check(undone == 0, "files are being sent on a closed loop");
        let undone = self.relays.take().iter().filter(|relay| !relay.is_over()).count();
        self.check(undone == 0, "a relay on a closed loop");
        self.event_loop.take();
        drop(clone);
        self.check(statistics.connections_open == 0, "connections are open on a closed loop");
        let left = (statistics.sources, statistics.timers, statistics.tasks, statistics.ready);
        self.check(statistics.lingering == 0, "sockets linger on a closed loop");
        self.check(left == (0, 0, 0, 0), format_args!("left on a closed loop: {statistics:?}"));
        let made = self.made.get() + self.made_by_proxy.get();
        self.check(statistics.connections_total == made, "a wrong count of connections");
        self.check(self.made.get() == self.lost.get(), "connection_made without connection_lost");
        self.check(self.live_actors.get() == 0, "protocols were not dropped");
        let unended = self.lives.borrow().values().filter(|life| !life.lost.get()).count();
        self.check(unended == 0, "a connection without its end");
        let broken = self.broken.take();
        assert!(broken.is_empty(), "{broken:#?}");
    }

    /// Some handle: of a connection that is open, or of one that is gone.
    fn any_handle(&self) -> Option<TransportHandle> {
        let handles = self.handles.borrow();
        // The younger ones: most of the others are stale.
        let position = handles.len().checked_sub(1 + usize::from(self.byte() % 16))?;
        handles.get(position).cloned()
    }

    fn act_on_any(self: &Rc<Self>) {
        if let Some(handle) = self.any_handle() {
            self.act(&handle);
        }
    }

    /// Reaches into some connection's protocol: a direct call, or a posted one.
    fn use_connection(self: &Rc<Self>) {
        let connection = {
            let connections = self.connections.borrow();
            let Some(position) = connections.len().checked_sub(1 + usize::from(self.byte() % 8))
            else {
                return;
            };
            connections[position].clone()
        };
        match (connection, self.byte() % 2) {
            (AnyConnection::Plain(connection), 0) => {
                self.reach(|| connection.with(Actor::reached).err());
            }
            (AnyConnection::Buffered(connection), 0) => {
                self.reach(|| connection.with(|actor, transport| actor.0.reached(transport)).err());
            }
            (AnyConnection::Plain(connection), _) => {
                connection.post(|actor, transport| actor.posted(transport));
            }
            (AnyConnection::Buffered(connection), _) => {
                connection.post(|actor, transport| actor.0.posted(transport));
            }
        }
    }

    /// A call of `with`: its panic goes on in the caller.
    fn reach(&self, call: impl FnOnce() -> Option<Error>) {
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(None) => {}
            Ok(Some(error)) => {
                let expected = error.is_busy() || error.is_closed() || error.is_replaced();
                self.check(expected, format_args!("with: {error}"));
            }
            Err(panic) => {
                let expected = panic.downcast_ref() == Some(&ON_PURPOSE);
                self.check(expected, "a panic of the engine's went through `with`");
            }
        }
    }

    /// The connection a callback is for; it was made, and is not lost.
    fn life(&self, transport: &dyn Transport, callback: &str) -> Rc<Life> {
        let mut lives = self.lives.borrow_mut();
        let known = lives.contains_key(&transport.id());
        self.check(known, format_args!("{callback} before connection_made"));
        let life = lives.entry(transport.id()).or_default();
        self.check(!life.lost.get(), format_args!("{callback} after connection_lost"));
        Rc::clone(life)
    }
}
