use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustls::ClientConfig;

use super::{Control, STALL_LIMIT, SourceAddresses, Wire, latency::at_quantile, pattern, tls};
use crate::Result;
use crate::arguments::Arguments;

/// How many first messages are sent between two rounds of echoes.
const BEGUN_AT_ONCE: usize = 20;

/// Many handshakes at once, while established connections send a message each and wait for its echo,
/// over and over.
///
/// Messages come first: between two rounds of them one handshake takes one step, so that the load's
/// own work adds no more than that to a round trip.
#[derive(Debug, Clone, Copy)]
pub struct Storm {
    /// The server.
    pub server: SocketAddr,
    /// How many connections are established.
    pub connections: usize,
    /// How many handshakes begin at once; none measures the calm.
    pub handshakes: usize,
    /// The size of a message, in bytes.
    pub size: usize,
}

impl Storm {
    /// Reads the command line.
    ///
    /// # Errors
    /// It is wrong.
    pub fn from_arguments(mut arguments: Arguments) -> Result<Self> {
        let load = Self {
            server: arguments.required("--connect")?,
            connections: arguments.option_or("--connections", 50)?,
            handshakes: arguments.option_or("--handshakes", 2_000)?,
            size: arguments.option_or("--size", 64)?,
        };
        arguments.finish()?;
        Ok(load)
    }

    /// Runs the load.
    ///
    /// # Errors
    /// The server refuses, closes, stalls, or sends back something else.
    pub fn run(&self, control: &mut Control) -> Result<String> {
        let mut sources = SourceAddresses::new(self.server);
        let config = tls::client_config(false)?;
        let message = pattern(self.size);
        let mut echoes = Echoes { poll: Poll::new()?, peers: Vec::new(), times: Vec::new() };
        for place in 0..self.connections {
            let stream = sources.connect()?;
            stream.set_nonblocking(true)?;
            let stream = registered(stream, &echoes.poll, place, &config)?;
            echoes.peers.push(Peer { stream, since: Instant::now(), received: 0 });
        }
        for peer in &mut echoes.peers {
            peer.send(&message)?;
        }
        while echoes.times.len() < self.connections * 20 {
            echoes.serve(&message, Some(STALL_LIMIT))?;
        }
        let mut storm = Handshakes::prepare(self.handshakes, &mut sources, &config)?;
        echoes.serve(&message, Some(STALL_LIMIT))?;
        control.ready()?;
        echoes.serve(&message, Some(STALL_LIMIT))?;
        echoes.times.clear();
        let start = Instant::now();
        while storm.left > 0 {
            echoes.serve(&message, Some(Duration::ZERO))?;
            storm.step()?;
            if start.elapsed() > STALL_LIMIT {
                return Err(format!("stalled with {} handshakes left", storm.left).into());
            }
        }
        let (echoes_in_storm, storm_seconds) = (echoes.times.len(), start.elapsed().as_secs_f64());
        while echoes.times.len() < self.connections * 20 {
            echoes.serve(&message, Some(STALL_LIMIT))?;
        }
        // Those that are still under way have waited so long, at least.
        let waiting: Vec<_> = echoes.peers.iter().map(|peer| peer.since.elapsed()).collect();
        let mut times = echoes.times;
        times.extend(waiting);
        times.sort_unstable();
        let microseconds = |quantile| at_quantile(&times, quantile).as_nanos() as f64 / 1000.0;
        let (p50, p99, most) = (microseconds(0.5), microseconds(0.99), microseconds(1.0));
        Ok(format!(
            "echoes={echoes_in_storm} storm_seconds={storm_seconds} p50={p50} p99={p99} max={most}"
        ))
    }
}

/// A non-blocking connection that the poll tells of.
fn registered(
    stream: std::net::TcpStream,
    poll: &Poll,
    place: usize,
    config: &Arc<ClientConfig>,
) -> Result<Wire> {
    let mut stream = TcpStream::from_std(stream);
    let interests = Interest::READABLE | Interest::WRITABLE;
    poll.registry().register(&mut stream, Token(place), interests)?;
    Wire::new(stream, Some(config), place)
}

struct Echoes {
    poll: Poll,
    peers: Vec<Peer>,
    times: Vec<Duration>,
}

struct Peer {
    stream: Wire,
    /// When the message under way was sent.
    since: Instant,
    received: usize,
}

impl Echoes {
    /// Waits for echoes, at most so long, and sends the next messages.
    fn serve(&mut self, message: &[u8], wait: Option<Duration>) -> Result {
        let mut events = Events::with_capacity(1024);
        match self.poll.poll(&mut events, wait) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            outcome => outcome?,
        }
        if events.is_empty() && wait == Some(STALL_LIMIT) {
            return Err("the established connections stalled".into());
        }
        for event in &events {
            let peer = &mut self.peers[event.token().0];
            peer.stream.flush()?;
            if peer.receive(message)? {
                self.times.push(peer.since.elapsed());
                peer.send(message)?;
            }
        }
        Ok(())
    }
}

impl Peer {
    fn send(&mut self, message: &[u8]) -> Result {
        self.since = Instant::now();
        self.received = 0;
        if self.stream.write(message)? < message.len() {
            return Err("a small message did not fit".into());
        }
        Ok(())
    }

    /// Whether the whole echo is there.
    fn receive(&mut self, message: &[u8]) -> Result<bool> {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err("the server closed a connection".into()),
            Ok(count) => {
                let end = self.received + count;
                if message.get(self.received..end) != Some(&buffer[..count]) {
                    return Err("the server changed what it echoed".into());
                }
                self.received = end;
                Ok(end == message.len())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// The handshakes under way.
struct Handshakes {
    poll: Poll,
    streams: Vec<Option<Wire>>,
    /// Whom the last poll told of.
    ready: Vec<usize>,
    /// How many have sent their first message.
    begun: usize,
    left: usize,
}

impl Handshakes {
    /// Connects, and makes what each says first, so that all can begin at once.
    fn prepare(
        count: usize,
        sources: &mut SourceAddresses,
        config: &Arc<ClientConfig>,
    ) -> Result<Self> {
        let poll = Poll::new()?;
        let mut streams = Vec::with_capacity(count);
        for place in 0..count {
            let stream = sources.connect()?;
            stream.set_nonblocking(true)?;
            streams.push(Some(registered(stream, &poll, place, config)?));
        }
        Ok(Self { poll, streams, ready: Vec::new(), begun: 0, left: count })
    }

    /// Begins some handshakes; then one step of one, if any can go on.
    fn step(&mut self) -> Result {
        if self.begun < self.streams.len() {
            let end = (self.begun + BEGUN_AT_ONCE).min(self.streams.len());
            for stream in self.streams[self.begun..end].iter_mut().flatten() {
                stream.flush()?;
            }
            self.begun = end;
            return Ok(());
        }
        if self.ready.is_empty() {
            let mut events = Events::with_capacity(1024);
            match self.poll.poll(&mut events, Some(Duration::ZERO)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
                outcome => outcome?,
            }
            self.ready.extend(events.iter().map(|event| event.token().0));
            self.ready.reverse();
        }
        let Some(place) = self.ready.pop() else { return Ok(()) };
        let Some(stream) = &mut self.streams[place] else { return Ok(()) };
        let sent = stream.flush();
        let read = stream.read(&mut [0; 64]);
        for outcome in [sent, read.map(|_| ())] {
            match outcome {
                Err(error) if !super::churn::not_yet(&error) => return Err(error.into()),
                _ => {}
            }
        }
        if stream.is_established() {
            stream.flush()?;
            self.left -= 1;
            // It stays open until the end; nothing more is expected of it.
            self.poll.registry().deregister(stream.socket())?;
            self.ready.retain(|other| *other != place);
        }
        Ok(())
    }
}
