//! Several loops on one network, and links where something happens.

mod world;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use super::links::{Fate, Link, LinkPolicy};
use super::packet::Packet;
use super::{Machine, MemoryListener, MemorySocket, Network};
use crate::address::Address;
use crate::driver::{Driver, ListenOptions, SocketOptions};
use crate::event_loop::{Core, EventLoop};
use crate::testing::{advance, settle};
use crate::{
    DatagramProtocol, DatagramTransport, Eof, Error, Protocol, Result, TimeoutKind, Transport,
};

const MS: Duration = Duration::from_millis(1);

/// What happened, and when, in milliseconds.
#[derive(Clone)]
struct Log {
    network: Network,
    lines: Rc<RefCell<Vec<String>>>,
}

impl Log {
    fn new(network: &Network) -> Self {
        Self { network: network.clone(), lines: Rc::default() }
    }

    fn add(&self, text: impl std::fmt::Display) {
        let at = self.network.0.clock.elapsed().as_millis();
        self.lines.borrow_mut().push(format!("{at} {text}"));
    }

    fn take(&self) -> Vec<String> {
        self.lines.take()
    }
}

/// Notes what it is told; a server's also sends everything back.
struct Notes {
    log: Log,
    name: &'static str,
    echoes: bool,
}

impl Protocol for Notes {
    fn connection_made(&mut self, _: &dyn Transport) -> Result {
        self.log.add(format_args!("{} made", self.name));
        Ok(())
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.log.add(format_args!("{} {}", self.name, String::from_utf8_lossy(data)));
        if self.echoes {
            transport.write(data);
        }
        Ok(())
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Result<Eof> {
        self.log.add(format_args!("{} eof", self.name));
        Ok(Eof::Close)
    }

    fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
        let how = if error.is_some() { "failed" } else { "closed" };
        self.log.add(format_args!("{} {how}", self.name));
        Ok(())
    }
}

impl DatagramProtocol for Notes {
    fn datagram_received(&mut self, _: &dyn DatagramTransport, data: &[u8], _: &Address) -> Result {
        self.log.add(format_args!("{} {}", self.name, String::from_utf8_lossy(data)));
        Ok(())
    }

    fn error_received(&mut self, _: &dyn DatagramTransport, _: &Error) -> Result {
        self.log.add(format_args!("{} error", self.name));
        Ok(())
    }
}

/// Links that delay, cut and split.
#[derive(Default)]
struct Faults {
    delay: Cell<Duration>,
    cut: Cell<bool>,
    /// How many bytes travel together; 0: all.
    together: Cell<usize>,
    passed: RefCell<Vec<Packet>>,
}

impl LinkPolicy for Faults {
    fn fate(&self, link: Link<'_>, packet: Packet) -> Fate {
        assert!(link.from.is_some() && link.to.is_some() && link.from != link.to);
        self.passed.borrow_mut().push(packet);
        if self.cut.get() { Fate::Lost } else { Fate::Arrives(self.delay.get()) }
    }

    fn split(&self, _: Link<'_>, len: usize) -> usize {
        if self.together.get() > 0 { self.together.get() } else { len }
    }
}

/// A server's machine and a client's on one network.
struct Machines {
    network: Network,
    faults: Rc<Faults>,
    server: EventLoop,
    client: EventLoop,
    log: Log,
}

impl Machines {
    fn new() -> Self {
        let network = Network::default();
        let faults = Rc::new(Faults::default());
        network.0.links.set_policy(Some(Rc::clone(&faults) as Rc<dyn LinkPolicy>));
        let event_loop = || {
            EventLoop::owner(Core::new(Driver::in_memory(Machine::shared(network.clone())), 1, 1))
        };
        let (server, client) = (event_loop(), event_loop());
        let log = Log::new(&network);
        let machines = Self { server, client, log, faults, network };
        let log = machines.log.clone();
        machines
            .server
            .run(async |event_loop| {
                let notes = move || Notes { log: log.clone(), name: "server", echoes: true };
                event_loop.create_server(notes, "10.0.0.1:7").await?;
                Ok(())
            })
            .unwrap();
        machines
    }

    fn notes(&self) -> Notes {
        Notes { log: self.log.clone(), name: "client", echoes: false }
    }

    fn connect(&self) -> crate::TransportHandle {
        let notes = self.notes();
        self.client
            .run(async |event_loop| {
                let connection = event_loop.create_connection(|| notes, "10.0.0.1:7").await?;
                Ok(connection.handle().clone())
            })
            .unwrap()
    }

    fn advance(&self, duration: Duration) -> Vec<String> {
        advance(&self.client, duration).unwrap();
        self.log.take()
    }
}

#[test]
fn the_loop_that_runs_runs_the_others_of_its_network() {
    let machines = Machines::new();
    let client = machines.connect();
    client.write(b"hello");
    settle(&machines.client).unwrap();
    let log = machines.log.take();
    assert_eq!(log[2..], ["0 server hello", "0 client hello"]);
    assert_eq!(log.len(), 4, "{log:?}");
}

#[test]
fn what_a_loop_had_left_when_its_run_ended_is_done_while_another_runs() {
    let machines = Machines::new();
    let (one, other) = (&machines.client, &machines.server);
    // Both have been asked once what they have to do, and are not marked any more.
    other.run_until_complete(other.sleep(MS)).unwrap();
    one.run_until_complete(one.sleep(MS)).unwrap();
    other.run_until_complete(other.sleep(MS)).unwrap();
    let done = Rc::new(Cell::new(0));
    let (soon, late) = (Rc::clone(&done), Rc::clone(&done));
    one.run_until_complete(async {
        one.call_soon(move || soon.set(soon.get() + 1));
        one.call_later(MS, move || late.set(late.get() + 1));
    })
    .unwrap();
    other.run_until_complete(other.sleep(3 * MS)).unwrap();
    assert_eq!(done.get(), 2);
}

#[test]
fn timers_of_all_loops_go_off_in_the_order_of_their_deadlines() {
    let machines = Machines::new();
    let add = |event_loop: &EventLoop, after: u32, text: &'static str| {
        let log = machines.log.clone();
        event_loop.call_later(after * MS, move || log.add(text));
    };
    add(&machines.server, 10, "server");
    add(&machines.client, 20, "client");
    add(&machines.server, 30, "server");
    add(&machines.server, 50, "server");
    machines
        .client
        .run(async |event_loop| {
            event_loop.sleep(40 * MS).await;
            Ok(())
        })
        .unwrap();
    assert_eq!(machines.log.take(), ["10 server", "20 client", "30 server"]);
    assert_eq!(machines.server.time(), machines.client.time());
    assert_eq!(machines.advance(100 * MS), ["50 server"]);
}

#[test]
fn a_run_fails_when_no_loop_of_the_network_has_anything_to_wait_for() {
    let machines = Machines::new();
    let log = machines.log.clone();
    machines.server.call_later(10 * MS, move || log.add("server"));
    let outcome = machines.client.run_until_complete(std::future::pending::<()>());
    assert!(outcome.unwrap_err().is_deadlock());
    assert_eq!(machines.log.take(), ["10 server"]);
}

#[test]
fn another_loop_can_stop_the_one_that_runs() {
    let machines = Machines::new();
    let client = machines.client.clone();
    machines.server.call_later(10 * MS, move || client.stop());
    machines.client.call_later(20 * MS, || unreachable!("it was stopped before"));
    machines.client.run_forever().unwrap();
    assert_eq!(machines.network.0.clock.elapsed(), 10 * MS);
}

#[test]
fn a_delay_holds_for_everything_that_passes() {
    let machines = Machines::new();
    machines.faults.delay.set(10 * MS);
    let client = machines.connect();
    client.write(b"hello");
    let mut log = machines.advance(100 * MS);
    client.close();
    log.extend(machines.advance(100 * MS));
    assert_eq!(
        log,
        [
            "10 server made",
            "20 client made",
            "30 server hello",
            "40 client hello",
            "120 client closed",
            "130 server eof",
            "130 server closed",
        ]
    );
    let passed = machines.faults.passed.take();
    assert_eq!(passed[..4], [Packet::Connect, Packet::Accept, Packet::Bytes(5), Packet::Bytes(5)]);
    assert!(passed[4..].iter().all(|packet| *packet == Packet::End), "{passed:?}");
}

#[test]
fn what_was_sent_over_a_link_that_is_cut_arrives_in_order_when_it_is_not_any_more() {
    let machines = Machines::new();
    let client = machines.connect();
    machines.log.take();
    client.write(b"a");
    settle(&machines.client).unwrap();
    assert_eq!(machines.log.take(), ["0 server a", "0 client a"]);

    machines.faults.cut.set(true);
    client.write(b"b");
    assert!(machines.advance(10 * MS).is_empty());
    machines.faults.cut.set(false);
    // Its fate is asked for again when the links say so; until then all waits behind it.
    client.write(b"c");
    assert!(machines.advance(10 * MS).is_empty());
    machines.faults.delay.set(5 * MS);
    machines.network.0.links.changed();
    assert_eq!(machines.advance(10 * MS), ["25 server bc", "30 client bc"]);
}

#[test]
fn a_connect_that_is_given_up_on_its_way_reaches_nobody() {
    let machines = Machines::new();
    let give_up = || {
        let notes = machines.notes();
        let connecting =
            machines.client.create_connection(|| notes, "10.0.0.1:7").timeout(20 * MS).start();
        let outcome = machines.client.run_until_complete(connecting).unwrap();
        assert_eq!(outcome.err().and_then(|e| e.timeout_kind()), Some(TimeoutKind::Connect));
    };
    machines.faults.delay.set(50 * MS);
    give_up();
    assert_eq!(machines.advance(200 * MS), [""; 0]);

    machines.faults.delay.set(Duration::ZERO);
    machines.faults.cut.set(true);
    give_up();
    machines.faults.cut.set(false);
    machines.network.0.links.changed();
    assert_eq!(machines.advance(200 * MS), [""; 0]);
}

#[test]
fn bytes_that_are_split_are_read_apart() {
    let machines = Machines::new();
    let client = machines.connect();
    machines.log.take();
    machines.faults.together.set(3);
    client.write(b"hello");
    settle(&machines.client).unwrap();
    let log = machines.log.take();
    let of = |name: &str| -> Vec<String> {
        log.iter().filter_map(|line| line.strip_prefix(name)).map(str::to_owned).collect()
    };
    assert_eq!(of("0 server "), ["hel", "lo"]);
    // What was sent apart, and not split, may be read together.
    assert_eq!(of("0 client ").concat(), "hello");
}

#[test]
fn datagrams_are_lost_or_late_and_answered_where_nobody_is() {
    let machines = Machines::new();
    let log = machines.log.clone();
    let receiver = Notes { log: log.clone(), name: "receiver", echoes: false };
    machines
        .server
        .run(async |event_loop| {
            event_loop.create_datagram_endpoint(|| receiver).local_address("10.0.0.1:9").await?;
            Ok(())
        })
        .unwrap();
    let connect = |to: &'static str| {
        let notes = machines.notes();
        machines
            .client
            .run(async |event_loop| {
                Ok(event_loop.create_datagram_endpoint(|| notes).peer_address(to).await?)
            })
            .unwrap()
    };
    let endpoint = connect("10.0.0.1:9");
    machines.faults.cut.set(true);
    endpoint.handle().send(b"one").unwrap();
    assert!(machines.advance(10 * MS).is_empty());
    machines.faults.cut.set(false);
    machines.network.0.links.changed();
    machines.faults.delay.set(10 * MS);
    endpoint.handle().send(b"two").unwrap();
    assert_eq!(machines.advance(20 * MS), ["20 receiver two"]);
    let nobody = connect("10.0.0.1:10");
    nobody.handle().send(b"three").unwrap();
    assert_eq!(machines.advance(100 * MS), ["50 client error"]);
}

fn listen(network: &Network, address: SocketAddr) -> MemoryListener {
    let options = ListenOptions { backlog: 1, reuse_address: true, reuse_port: false };
    let machine = Machine::shared(network.clone());
    machine.listen(address, &options, &SocketOptions::default()).unwrap()
}

fn connect(network: &Network, address: SocketAddr) -> MemorySocket {
    let machine = Machine::shared(network.clone());
    machine.connect(address, None, &SocketOptions::default()).unwrap()
}

#[test]
fn bytes_that_arrive_where_the_socket_was_closed_are_answered_with_a_reset() {
    let network = Network::default();
    let faults = Rc::new(Faults::default());
    faults.delay.set(10 * MS);
    network.0.links.set_policy(Some(faults));
    let pass = |time: Duration| {
        network.0.clock.advance_to(network.0.clock.instant_after(time));
        network.0.links.deliver_due();
    };
    let address = "10.0.0.1:7".parse().unwrap();
    let listener = listen(&network, address);
    let near = connect(&network, address);
    pass(10 * MS);
    let (far, _) = listener.accept().unwrap();
    assert!(near.write(b"early").is_err(), "the answer is on its way");
    pass(10 * MS);
    drop(far);
    // The end is on its way.
    assert_eq!(near.write(b"hello").unwrap(), 5);
    assert_eq!(near.unacknowledged(), 5);
    pass(10 * MS);
    assert_eq!(near.read(&mut [0; 8]).unwrap(), 0);
    assert!(near.take_error().is_none(), "the reset is on its way");
    assert_eq!(near.write(b"late").unwrap(), 4, "it is not known that nobody is there");
    pass(10 * MS);
    assert_eq!(near.take_error().unwrap().kind(), std::io::ErrorKind::BrokenPipe);
    assert!(near.take_error().is_none(), "it was told");
    assert_eq!(near.write(b"later").unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
}

#[test]
fn a_network_that_is_let_go_of_keeps_nothing_that_was_on_its_way() {
    let machines = Machines::new();
    machines.faults.delay.set(10 * MS);
    let client = machines.connect();
    client.write(b"hello");
    settle(&machines.client).unwrap();
    machines.faults.cut.set(true);
    client.write(b"held");
    settle(&machines.client).unwrap();
    let network = Rc::downgrade(&machines.network.0);
    let links = Rc::downgrade(&machines.network.0.links);
    drop(client);
    drop(machines);
    assert_eq!((network.strong_count(), links.strong_count()), (0, 0));
}

#[test]
fn an_end_does_not_hide_the_reset_before_it() {
    let reset = |socket: &super::MemorySocket| {
        let error = socket.read(&mut [0; 8]).expect_err("no end");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        // It is told once.
        assert_eq!(socket.read(&mut [0; 8]).unwrap(), 0);
        assert_eq!(socket.write(b"late").unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
    };
    let (near, far) = super::pair(64, [None, None]);
    far.reset();
    drop(far);
    reset(&near);
    // Connects that wait to be accepted, when nobody listens any more, at once and later.
    for delay in [Duration::ZERO, 10 * MS] {
        let network = Network::default();
        let faults = Rc::new(Faults::default());
        network.0.links.set_policy(Some(Rc::clone(&faults) as Rc<dyn LinkPolicy>));
        let address = "10.0.0.1:7".parse().unwrap();
        let listener = listen(&network, address);
        let waiting = connect(&network, address);
        faults.delay.set(delay);
        drop(listener);
        network.0.clock.advance_to(network.0.clock.instant_after(delay));
        network.0.links.deliver_due();
        reset(&waiting);
    }
}

#[test]
fn a_reset_is_told_once_and_then_there_is_an_end() {
    let network = Network::default();
    let connected = |port: u16| {
        let address = SocketAddr::from(([10, 0, 0, 1], port));
        let listener = listen(&network, address);
        let near = connect(&network, address);
        (near, listener.accept().unwrap().0)
    };
    let kind = |outcome: std::io::Result<usize>| outcome.map_err(|error| error.kind());
    let read = |socket: &MemorySocket| kind(socket.read(&mut [0; 2]));
    let write = |socket: &MemorySocket| kind(socket.write(b"late"));
    let reset = Err(std::io::ErrorKind::ConnectionReset);
    let broken = Err(std::io::ErrorKind::BrokenPipe);
    // What had come before is read before.
    let (near, far) = connected(1);
    far.write(b"data").unwrap();
    far.reset();
    assert_eq!([read(&near), read(&near)], [Ok(2), Ok(2)]);
    assert_eq!([read(&near), read(&near), read(&near)], [reset, Ok(0), Ok(0)]);
    assert_eq!([write(&near), write(&near)], [broken, broken]);
    // The first call is told, whichever it is.
    let (near, far) = connected(2);
    far.reset();
    assert_eq!([write(&near), write(&near)], [reset, broken]);
    assert_eq!(read(&near), Ok(0));
    let (near, far) = connected(3);
    far.reset();
    assert!(near.take_error().is_some() && near.take_error().is_none());
    assert_eq!((read(&near), write(&near)), (Ok(0), broken));
    // Who has closed after its end resets what comes; who was told of the end has a broken pipe.
    let (near, far) = connected(4);
    drop(far);
    assert_eq!([write(&near), write(&near)], [Ok(4), broken]);
    assert_eq!(read(&near), Ok(0));
    // Between Unix sockets it is known at once.
    let (near, far) = super::pair(64, [None, None]);
    drop(far);
    assert_eq!([write(&near), write(&near)], [broken, broken]);
}

/// A policy that panics when it is asked, and uses the links when it is dropped.
struct Fails {
    panics: Cell<bool>,
    network: std::rc::Weak<super::network::State>,
}

impl LinkPolicy for Fails {
    fn fate(&self, _: Link<'_>, _: Packet) -> Fate {
        assert!(!self.panics.get(), "a policy with a bug");
        Fate::AT_ONCE
    }
}

impl Drop for Fails {
    fn drop(&mut self) {
        if let Some(network) = self.network.upgrade() {
            network.links.changed();
        }
    }
}

#[test]
fn a_policy_that_panics_ends_the_run_with_its_error_and_loses_nothing() {
    let machines = Machines::new();
    let client = machines.connect();
    let links = &machines.network.0.links;
    machines.faults.cut.set(true);
    client.write(b"one");
    settle(&machines.client).unwrap();
    let fails =
        Rc::new(Fails { panics: Cell::new(true), network: Rc::downgrade(&machines.network.0) });
    // It is asked about what is held.
    links.set_policy(Some(Rc::clone(&fails) as Rc<dyn LinkPolicy>));
    let error = settle(&machines.client).unwrap_err();
    assert!(format!("{error:#}").ends_with("a policy with a bug"), "{error:#}");
    assert!(error.is_panic());
    client.write(b"two");
    fails.panics.set(false);
    // What was sent by then is told of, and what was told of is not told again.
    let _ = settle(&machines.client);
    settle(&machines.client).unwrap();
    drop(fails);
    links.set_policy(None);
    settle(&machines.client).unwrap();
    let received: String =
        machines.log.take().into_iter().filter(|line| line.contains("client")).collect();
    assert!(received.contains("one") && received.contains("two"), "{received}");
}
