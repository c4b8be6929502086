//! A loop on which points are reached, and what must hold afterwards.

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wharf::testing::{settle, step, unfenced_panics};
use wharf::{EventLoop, Protocol, Result, Server, Transport};

use crate::bomb::{Bomb, ON_PURPOSE};

/// No test waits longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Descriptors are counted: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Where the panic shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shows {
    /// The exception handler is told.
    Reported,
    /// An error of a future, of `connection_lost` or of `on_accept_error` is told, or the default
    /// exception handler.
    Elsewhere,
}

/// One point where the loop runs foreign code.
pub(crate) struct Point {
    pub(crate) name: &'static str,
    pub(crate) shows: Shows,
    /// A small program that reaches it at least once.
    pub(crate) reach: fn(&Stage),
}

pub(crate) const fn reported(name: &'static str, reach: fn(&Stage)) -> Point {
    Point { name, shows: Shows::Reported, reach }
}

pub(crate) const fn elsewhere(name: &'static str, reach: fn(&Stage)) -> Point {
    Point { name, shows: Shows::Elsewhere, reach }
}

/// Panics at each point in turn: the first time it is reached, and a later time.
pub(crate) fn blow_up(points: &[Point]) {
    crate::keep_quiet();
    let alone = alone();
    for point in points {
        for at in [1, 2] {
            eprintln!("{} ({at})", point.name);
            let before = descriptors();
            let stage = Stage::new(at);
            // Twice: what the first time has broken would show in the second.
            (point.reach)(&stage);
            (point.reach)(&stage);
            stage.check(point);
            drop(stage);
            // A thread of the executor holds the loop's waker until its last job has ended.
            let began = Instant::now();
            while descriptors() != before && began.elapsed() < PATIENCE {
                std::thread::yield_now();
            }
            assert_eq!(descriptors(), before, "{}: descriptors", point.name);
        }
    }
    drop(alone);
}

pub(crate) fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// A loop of the operating system.
pub(crate) struct Stage {
    pub(crate) event_loop: EventLoop,
    pub(crate) bomb: Bomb,
    reports: Rc<RefCell<Vec<String>>>,
    pub(crate) counts: Rc<Counts>,
}

/// How often connections began and ended.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) made: Cell<u32>,
    pub(crate) lost: Cell<u32>,
    /// How often they received something.
    pub(crate) received: Cell<u32>,
}

impl Stage {
    pub(crate) fn new(at: u32) -> Self {
        let event_loop = EventLoop::new().expect("a loop");
        let reports: Rc<RefCell<Vec<String>>> = Rc::default();
        let told = Rc::clone(&reports);
        event_loop.set_exception_handler(move |_, exception| {
            told.borrow_mut().push(format!("{}: {:?}", exception.message, exception.error));
        });
        Self { event_loop, bomb: Bomb::new(at), reports, counts: Rc::default() }
    }

    /// What was told, to be looked at when the loop is gone.
    #[cfg(feature = "tls")]
    pub(crate) fn told(&self) -> Rc<RefCell<Vec<String>>> {
        Rc::clone(&self.reports)
    }

    pub(crate) fn reports(&self) -> Vec<String> {
        self.reports.borrow().clone()
    }

    /// Turns the loop until `condition` holds.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let began = Instant::now();
        loop {
            // A watched writer never lets the loop come to rest.
            step(&self.event_loop).expect("the loop runs");
            if condition() {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "waited for {what}; told: {:?}", self.reports());
            let nap = self.event_loop.sleep(Duration::from_micros(200));
            // Whoever stops the loop makes it a short one.
            let _ = self.event_loop.run_until_complete(nap);
        }
    }

    /// Turns the loop until the point was reached once more than `before`.
    #[track_caller]
    pub(crate) fn until_reached(&self, before: u32) {
        self.until("the point", || self.bomb.count() > before);
    }

    pub(crate) fn complete<F: Future>(&self, future: F) -> F::Output {
        self.event_loop.run_until_complete(future).expect("it runs to its end")
    }

    /// Serves one client with what `factory` makes; `talk` is what it says. Ends when the point is
    /// reached and the server has shut down.
    pub(crate) fn serve<P: Protocol>(
        &self,
        factory: impl FnMut() -> P + 'static,
        talk: impl FnOnce(&mut TcpStream),
    ) {
        let serving = self.event_loop.create_server(factory, "127.0.0.1:0").start();
        let server = self.complete(serving).expect("a server");
        self.talk_to(&server, talk);
    }

    pub(crate) fn talk_to(&self, server: &Server, talk: impl FnOnce(&mut TcpStream)) {
        let before = self.bomb.count();
        let mut client = connect(server);
        talk(&mut client);
        // What is sent back is read, so that nobody waits for room.
        self.until("the point, or the end", || is_over(&mut client) || self.bomb.count() > before);
        drop(client);
        self.shut_down(server);
        self.until("the point", || self.bomb.count() > before);
    }

    /// No connection is half finished.
    pub(crate) fn shut_down(&self, server: &Server) {
        let aborted = self.complete(server.shutdown(PATIENCE)).expect("a shutdown");
        assert_eq!(aborted, 0, "connections were left to be aborted");
        assert_eq!(server.connections(), 0);
    }

    /// What must hold after a panic: the loop serves, and nothing is left of what is over.
    fn check(&self, point: &Point) {
        let name = point.name;
        assert!(self.bomb.has_gone_off(), "{name}: it was reached {} times", self.bomb.count());
        let counts = Rc::clone(&self.counts);
        let serving =
            self.event_loop.create_server(move || Echo(Rc::clone(&counts)), "127.0.0.1:0");
        let server = self.complete(serving.start()).expect("a server");
        let mut client = connect(&server);
        client.write_all(b"ping").expect("to write");
        client.set_nonblocking(true).expect("an option");
        let mut answer = Vec::new();
        self.until("the echo", || {
            let mut buffer = [0; 16];
            if let Ok(count) = client.read(&mut buffer) {
                answer.extend_from_slice(&buffer[..count]);
            }
            answer == b"ping"
        });
        drop(client);
        self.shut_down(&server);
        settle(&self.event_loop).expect("the loop runs");
        let told = self.reports();
        let is_told = told.iter().any(|text| text.contains(ON_PURPOSE));
        assert!(is_told || point.shows == Shows::Elsewhere, "{name}: told {told:?}");
        assert_eq!(unfenced_panics(), 0, "{name}: not fenced: {told:?}");
        assert_eq!(self.counts.made.get(), self.counts.lost.get(), "{name}: made and lost");
        let statistics = self.event_loop.statistics();
        let left =
            (statistics.connections_open, statistics.timers, statistics.tasks, statistics.sources);
        assert_eq!(left, (0, 0, 0, 0), "{name}: left on the loop: {statistics:?}");
    }
}

pub(crate) fn connect(server: &Server) -> TcpStream {
    let address = server.addresses()[0].to_string();
    let address: SocketAddr = address.parse().expect("an address");
    TcpStream::connect(address).expect("a client")
}

/// Reads what is there; whether that was all.
fn is_over(client: &mut TcpStream) -> bool {
    client.set_nonblocking(true).expect("an option");
    let mut buffer = [0; 16 * 1024];
    loop {
        match client.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != ErrorKind::WouldBlock,
        }
    }
}

struct Echo(Rc<Counts>);

impl Protocol for Echo {
    fn connection_made(&mut self, _: &dyn Transport) -> Result {
        self.0.made.set(self.0.made.get() + 1);
        Ok(())
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<&wharf::Error>) -> Result {
        self.0.lost.set(self.0.lost.get() + 1);
        Ok(())
    }
}
