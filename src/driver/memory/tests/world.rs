//! Several loops on one network whose links misbehave: whatever the loops and their protocols do to one
//! another, each protocol has its end, and no byte is wrong.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use super::super::links::{Fate, Link, LinkPolicy};
use super::super::packet::Packet;
use super::super::{Machine, Network};
use crate::driver::Driver;
use crate::event_loop::{Core, EventLoop, unfenced_panics};
use crate::testing::{advance, settle, step};
use crate::time::next_random;
use crate::{Error, Protocol, Result, Transport};

const MS: Duration = Duration::from_millis(1);
const SERVERS: [&str; 3] = ["10.0.0.1:7", "10.0.0.2:7", "10.0.0.3:7"];

/// What protocols panic with.
const MEANT: &str = "a panic";

/// What all that happens in one run shares.
struct World {
    random: Cell<u64>,
    network: Network,
    /// `None`: closed.
    loops: RefCell<Vec<Option<EventLoop>>>,
    made: Cell<u32>,
    lost: Cell<u32>,
    /// What was reported, and is none of what [`Peer::act`] does.
    wrong: RefCell<Vec<String>>,
}

impl World {
    fn below(&self, end: u64) -> u64 {
        let mut state = self.random.get();
        let number = next_random(&mut state);
        self.random.set(state);
        number % end
    }

    /// One of the loops, if it is still there.
    fn any(&self) -> Option<EventLoop> {
        let loops = self.loops.borrow();
        let one = loops[self.below(loops.len() as u64) as usize].clone();
        one.filter(|event_loop| !event_loop.is_closed())
    }

    fn close_one(&self) {
        let which = self.below(self.loops.borrow().len() as u64) as usize;
        let owner = self.loops.borrow_mut()[which].take();
        drop(owner);
    }
}

/// Links that delay, split and hold, at random.
struct Links {
    world: std::rc::Weak<World>,
    holds: Cell<bool>,
}

impl LinkPolicy for Links {
    fn fate(&self, _: Link<'_>, _: Packet) -> Fate {
        match self.world.upgrade() {
            Some(world) if self.holds.get() && world.below(3) == 0 => Fate::Lost,
            Some(world) if world.below(2) == 0 => Fate::Arrives(MS * world.below(20) as u32),
            _ => Fate::AT_ONCE,
        }
    }

    fn split(&self, _: Link<'_>, len: usize) -> usize {
        self.world.upgrade().map_or(len, |world| 1 + world.below(len as u64) as usize)
    }
}

/// What both ends send is counted through, so that each byte is known.
fn byte(position: usize) -> u8 {
    (position % 251) as u8
}

struct Peer {
    world: Rc<World>,
    sent: usize,
    received: usize,
    is_made: bool,
    is_lost: bool,
}

impl Peer {
    fn new(world: &Rc<World>) -> Self {
        let world = Rc::clone(world);
        Self { world, sent: 0, received: 0, is_made: false, is_lost: false }
    }

    fn write(&mut self, transport: &dyn Transport) {
        let count = self.world.below(3_000) as usize;
        let data: Vec<_> = (self.sent..self.sent + count).map(byte).collect();
        if transport.write(&data).is_taken() {
            self.sent += count;
        }
    }

    fn act(&mut self, transport: &dyn Transport) -> Result {
        let world = Rc::clone(&self.world);
        match world.below(24) {
            0 => transport.close(),
            1 => transport.abort(),
            2 => return Err("a failure".into()),
            3 => std::panic::resume_unwind(Box::new(MEANT)),
            4 => transport.event_loop().stop(),
            5 => world.any().iter().for_each(EventLoop::stop),
            6 if world.below(8) == 0 => world.close_one(),
            7 => {
                transport.write_eof();
            }
            8 => {
                transport.pause_reading();
                let handle = transport.handle();
                let later = move || handle.resume_reading();
                transport.event_loop().call_later(MS * 5, later);
            }
            9 => {
                if let Some(other) = world.any() {
                    // Refused, unless nothing runs and this is the end of a closing loop's connection.
                    let _ = step(&other);
                    let _ = other.close();
                }
            }
            10 => {
                transport.set_timeout(crate::Timeout::User, Some(MS * world.below(9) as u32));
            }
            11 => world.network.0.links.changed(),
            _ => self.write(transport),
        }
        Ok(())
    }
}

impl Protocol for Peer {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        assert!(!self.is_made && !self.is_lost);
        self.is_made = true;
        self.world.made.set(self.world.made.get() + 1);
        self.act(transport)
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        for byte_received in data {
            assert_eq!(*byte_received, byte(self.received));
            self.received += 1;
        }
        self.act(transport)
    }

    fn timed_out(&mut self, transport: &dyn Transport, timeout: crate::Timeout) -> Result {
        transport.set_timeout(timeout, None);
        self.act(transport)
    }

    fn connection_lost(&mut self, transport: &dyn Transport, _: Option<&Error>) -> Result {
        assert!(self.is_made && !self.is_lost);
        self.is_lost = true;
        self.world.lost.set(self.world.lost.get() + 1);
        self.act(transport)
    }
}

fn connect(world: &Rc<World>) {
    let Some(event_loop) = world.any() else { return };
    let peer = Peer::new(world);
    let to = SERVERS[world.below(3) as usize];
    let started = event_loop.create_connection(move || peer, to).start();
    match world.below(3) {
        // Given up at once: the connection has its end, too.
        0 => drop(started),
        _ => event_loop.create_task(async { drop(started.await) }).detach(),
    }
}

fn run(seed: u64) {
    let network = Network::default();
    let world = Rc::new(World {
        random: Cell::new(seed),
        network: network.clone(),
        loops: RefCell::default(),
        made: Cell::new(0),
        lost: Cell::new(0),
        wrong: RefCell::default(),
    });
    let links = Rc::new(Links { world: Rc::downgrade(&world), holds: Cell::new(false) });
    for (number, address) in SERVERS.into_iter().enumerate() {
        let event_loop =
            EventLoop::owner(Core::new(Driver::in_memory(Machine::shared(network.clone())), 1, 1));
        let own = Rc::downgrade(&world);
        event_loop.set_exception_handler(move |_, exception| {
            let error = exception.error.map_or_else(String::new, |error| format!("{error:#}"));
            let is_meant = error.contains("a failure") || error.contains(MEANT);
            // That a connect failed is told to nobody who has given it up.
            let is_meant = is_meant || exception.message.contains("never retrieved");
            if let (false, Some(world)) = (is_meant, own.upgrade()) {
                world.wrong.borrow_mut().push(exception.to_string());
            }
        });
        let own = Rc::clone(&world);
        // The last one answers nobody.
        if number < 2 {
            let server = event_loop.create_server(move || Peer::new(&own), address).start();
            event_loop.run_until_complete(server).unwrap().unwrap();
        }
        world.loops.borrow_mut().push(Some(event_loop));
    }
    if !seed.is_multiple_of(4) {
        network.0.links.set_policy(Some(Rc::clone(&links) as Rc<dyn LinkPolicy>));
    }
    for _ in 0..40 {
        let outcome = match (world.below(8), world.any()) {
            (0 | 1, _) => {
                connect(&world);
                Ok(())
            }
            (2 | 3, Some(event_loop)) => {
                let sleep = event_loop.sleep(MS * world.below(30) as u32);
                event_loop.run_until_complete(sleep).map(drop)
            }
            (4, Some(event_loop)) => advance(&event_loop, MS * world.below(30) as u32),
            (5, Some(event_loop)) => settle(&event_loop),
            (6, _) if world.below(8) == 0 => {
                world.close_one();
                Ok(())
            }
            _ => {
                links.holds.set(world.below(2) == 0);
                network.0.links.changed();
                Ok(())
            }
        };
        if let Err(error) = outcome {
            // A stop, or a loop that was closed meanwhile.
            assert!(error.is_invalid() || error.is_closed(), "{error:#}");
            assert!(!error.to_string().contains("busy"), "{error:#}");
        }
    }
    for which in 0..SERVERS.len() {
        let owner = world.loops.borrow_mut()[which].take();
        drop(owner);
    }
    assert!(world.wrong.borrow().is_empty(), "{:#?}", world.wrong.borrow());
    assert_eq!(world.made.get(), world.lost.get(), "made and lost");
    drop(links);
    network.0.links.set_policy(None);
    let kept = Rc::downgrade(&network.0);
    let world = Rc::try_unwrap(world).map_err(drop).expect("nobody else has the world");
    drop((world, network));
    assert_eq!(kept.strong_count(), 0, "the network is let go of");
    assert_eq!(unfenced_panics(), 0);
}

#[test]
fn loops_of_one_network_may_do_anything_to_one_another() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
    };
    let first = number("WHARF_RANDOM_SEED", 1);
    for seed in first..first + number("WHARF_RANDOM_RUNS", 1000).div_ceil(4) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(seed))) {
            eprintln!("replay with WHARF_RANDOM_SEED={seed} WHARF_RANDOM_RUNS=1");
            std::panic::resume_unwind(panic);
        }
    }
}
