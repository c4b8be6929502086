use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::latency::quantiles;
use super::{Control, SourceAddresses, Wire, pattern, tls, wait};
use crate::Result;
use crate::arguments::Arguments;
use crate::counters::cpu;

/// Sends messages over a fixed set of connections, each with a fixed number of them under way.
#[derive(Debug, Clone, Copy)]
pub struct Echo {
    /// The server.
    pub server: SocketAddr,
    /// How many connections.
    pub connections: usize,
    /// The size of a message, in bytes.
    pub size: usize,
    /// How many messages each connection has under way.
    pub in_flight: usize,
    /// How many messages are measured, over all connections.
    pub messages: u64,
    /// How many are sent before, and have their content compared.
    pub warm_up: u64,
    /// Whether it is under TLS.
    pub tls: bool,
    /// Whether each round trip is timed; with one message under way per connection.
    pub timed: bool,
}

impl Echo {
    /// Reads the command line.
    ///
    /// # Errors
    /// It is wrong.
    pub fn from_arguments(mut arguments: Arguments) -> Result<Self> {
        let load = Self {
            server: arguments.required("--connect")?,
            connections: arguments.option_or("--connections", 50)?,
            size: arguments.option_or("--size", 64)?,
            in_flight: arguments.option_or("--in-flight", 1)?,
            messages: arguments.option_or("--messages", 100_000)?,
            warm_up: arguments.option_or("--warm-up", 5_000)?,
            tls: arguments.flag("--tls"),
            timed: arguments.flag("--timed"),
        };
        arguments.finish()?;
        if load.timed && load.in_flight != 1 {
            return Err("--timed needs --in-flight 1".into());
        }
        if load.size == 0 || load.in_flight == 0 || load.connections == 0 {
            return Err("--size, --in-flight and --connections must be above 0".into());
        }
        Ok(load)
    }

    /// Runs the load.
    ///
    /// # Errors
    /// The server closes, stalls, or sends back something else.
    pub fn run(&self, control: &mut Control) -> Result<String> {
        let mut client = Client::connect(self)?;
        client.exchange(self.warm_up, Check::Content)?;
        if self.timed {
            client.shared.times = Some(Vec::with_capacity(self.messages as usize));
        }
        control.ready()?;
        let cpu_before = cpu::own_time()?;
        let start = Instant::now();
        client.exchange(self.messages, Check::Length)?;
        let seconds = start.elapsed().as_secs_f64();
        let cpu_seconds = (cpu::own_time()? - cpu_before).as_secs_f64();
        let mut line =
            format!("messages={} seconds={seconds} load_cpu_seconds={cpu_seconds}", self.messages);
        if let Some(times) = client.shared.times {
            line = format!("{line} {}", quantiles(times));
        }
        Ok(line)
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Check {
    Content,
    Length,
}

#[derive(Debug)]
struct Client {
    poll: Poll,
    peers: Vec<Peer>,
    shared: Shared,
}

/// What all connections use in turn.
#[derive(Debug)]
struct Shared {
    size: usize,
    in_flight: usize,
    /// One message more than is ever under way, so that from any offset inside a message all that
    /// may be sent is one slice.
    pattern: Vec<u8>,
    read_buffer: Vec<u8>,
    to_start: u64,
    finished: u64,
    check: Check,
    /// The round trips, if they are timed.
    times: Option<Vec<Duration>>,
}

impl Client {
    fn connect(load: &Echo) -> Result<Self> {
        let poll = Poll::new()?;
        let mut sources = SourceAddresses::new(load.server);
        let config = load.tls.then(|| tls::client_config(false)).transpose()?;
        let mut peers = Vec::with_capacity(load.connections);
        for index in 0..load.connections {
            let stream = sources.connect()?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            let interests = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut stream, Token(index), interests)?;
            let stream = Wire::new(stream, config.as_ref(), index)?;
            peers.push(Peer {
                stream,
                unsent: 0,
                awaited: 0,
                send_offset: 0,
                receive_offset: 0,
                started_at: None,
            });
        }
        let shared = Shared {
            size: load.size,
            in_flight: load.in_flight,
            pattern: pattern(load.size).repeat(load.in_flight + 1),
            read_buffer: vec![0; 256 * 1024],
            to_start: 0,
            finished: 0,
            check: Check::Length,
            times: None,
        };
        Ok(Self { poll, peers, shared })
    }

    fn exchange(&mut self, messages: u64, check: Check) -> Result {
        self.shared.to_start = messages;
        self.shared.finished = 0;
        self.shared.check = check;
        for peer in &mut self.peers {
            peer.send(&mut self.shared)?;
        }
        let mut events = Events::with_capacity(1024);
        while self.shared.finished < messages {
            wait(&mut self.poll, &mut events)
                .map_err(|error| format!("message {}: {error}", self.shared.finished))?;
            for event in &events {
                self.peers[event.token().0].advance(event, &mut self.shared)?;
            }
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Peer {
    stream: Wire,
    /// Bytes of started messages that are not written yet.
    unsent: usize,
    /// Bytes of started messages that have not come back yet; at least `unsent`.
    awaited: usize,
    /// Where in a message the next byte to send, and to receive, is.
    send_offset: usize,
    receive_offset: usize,
    /// When the message under way was started, if round trips are timed.
    started_at: Option<Instant>,
}

impl Peer {
    fn advance(&mut self, event: &Event, shared: &mut Shared) -> Result {
        if event.is_readable() {
            self.receive(event, shared)?;
        }
        self.send(shared)
    }

    /// Reads what is there. A read that does not fill the buffer emptied the socket; what comes
    /// later makes a new event.
    fn receive(&mut self, event: &Event, shared: &mut Shared) -> Result {
        while self.awaited > 0 || event.is_read_closed() {
            let count = match self.stream.read(&mut shared.read_buffer) {
                Ok(0) => return Err("the server closed a connection".into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            self.account(count, shared)?;
            if count < shared.read_buffer.len() && !event.is_read_closed() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn account(&mut self, count: usize, shared: &mut Shared) -> Result {
        if count > self.awaited - self.unsent {
            return Err("the server sent more than it received".into());
        }
        if shared.check == Check::Content {
            let expected = &shared.pattern[self.receive_offset..][..count];
            if shared.read_buffer[..count] != *expected {
                return Err("the server changed what it echoed".into());
            }
        }
        let before = self.awaited.div_ceil(shared.size);
        self.awaited -= count;
        self.receive_offset = (self.receive_offset + count) % shared.size;
        let finished = before - self.awaited.div_ceil(shared.size);
        shared.finished += finished as u64;
        if finished > 0
            && let Some(times) = &mut shared.times
        {
            times.extend(self.started_at.take().map(|at| at.elapsed()));
        }
        Ok(())
    }

    /// Starts as many messages as may be under way, and writes what the socket takes.
    fn send(&mut self, shared: &mut Shared) -> Result {
        let free = shared.in_flight - self.awaited.div_ceil(shared.size);
        let started = (free as u64).min(shared.to_start);
        shared.to_start -= started;
        if started > 0 && shared.times.is_some() {
            self.started_at = Some(Instant::now());
        }
        let bytes = started as usize * shared.size;
        self.unsent += bytes;
        self.awaited += bytes;
        self.stream.flush()?;
        while self.unsent > 0 {
            match self.stream.write(&shared.pattern[self.send_offset..][..self.unsent]) {
                Ok(count) => {
                    self.unsent -= count;
                    self.send_offset = (self.send_offset + count) % shared.size;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
