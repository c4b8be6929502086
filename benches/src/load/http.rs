use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::{Control, SourceAddresses, wait};
use crate::Result;
use crate::arguments::Arguments;
use crate::counters::cpu;

const REQUEST: &[u8] = b"GET /plaintext HTTP/1.1\r\nhost: localhost\r\naccept: text/plain\r\n\r\n";

/// Asks a web server for the same again and again over a fixed set of connections, each of which has
/// as many requests under way.
#[derive(Debug, Clone, Copy)]
pub struct Http {
    /// The server.
    pub server: SocketAddr,
    /// How many connections.
    pub connections: usize,
    /// How many requests each has under way.
    pub in_flight: usize,
    /// How many requests are measured, over all connections.
    pub requests: u64,
    /// How many are made before.
    pub warm_up: u64,
}

impl Http {
    /// Reads the command line.
    ///
    /// # Errors
    /// It is wrong.
    pub fn from_arguments(mut arguments: Arguments) -> Result<Self> {
        let load = Self {
            server: arguments.required("--connect")?,
            connections: arguments.option_or("--connections", 50)?,
            in_flight: arguments.option_or("--in-flight", 1)?,
            requests: arguments.option_or("--requests", 100_000)?,
            warm_up: arguments.option_or("--warm-up", 5_000)?,
        };
        arguments.finish()?;
        if load.connections == 0 || load.in_flight == 0 {
            return Err("--connections and --in-flight must be above 0".into());
        }
        Ok(load)
    }

    /// Runs the load.
    ///
    /// # Errors
    /// The server closes, stalls, or answers otherwise than with 200 and always as long a text.
    pub fn run(&self, control: &mut Control) -> Result<String> {
        let mut client = Client::connect(self)?;
        client.exchange(self.warm_up)?;
        control.ready()?;
        let cpu_before = cpu::own_time()?;
        let start = Instant::now();
        client.exchange(self.requests)?;
        let seconds = start.elapsed().as_secs_f64();
        let cpu_seconds = (cpu::own_time()? - cpu_before).as_secs_f64();
        let (requests, length) = (self.requests, client.shared.length);
        Ok(format!(
            "requests={requests} seconds={seconds} load_cpu_seconds={cpu_seconds} \
             response_bytes={length}"
        ))
    }
}

struct Client {
    poll: Poll,
    peers: Vec<Peer>,
    shared: Shared,
}

/// What all connections use in turn.
struct Shared {
    to_start: u64,
    finished: u64,
    /// Of each response, from the first one on; 0 before.
    length: usize,
    buffer: Vec<u8>,
    /// As many requests as a connection has under way.
    requests: Vec<u8>,
}

impl Client {
    fn connect(load: &Http) -> Result<Self> {
        let poll = Poll::new()?;
        let mut sources = SourceAddresses::new(load.server);
        let mut peers = Vec::with_capacity(load.connections);
        for index in 0..load.connections {
            let stream = sources.connect()?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(index), Interest::READABLE)?;
            peers.push(Peer { stream, under_way: 0, received: Vec::new() });
        }
        let buffer = vec![0; 64 * 1024];
        let requests = REQUEST.repeat(load.in_flight);
        let shared = Shared { to_start: 0, finished: 0, length: 0, buffer, requests };
        Ok(Self { poll, peers, shared })
    }

    fn exchange(&mut self, requests: u64) -> Result {
        self.shared.to_start = requests;
        self.shared.finished = 0;
        for peer in &mut self.peers {
            peer.ask(&mut self.shared, usize::MAX)?;
        }
        let mut events = Events::with_capacity(1024);
        while self.shared.finished < requests {
            wait(&mut self.poll, &mut events)
                .map_err(|error| format!("request {}: {error}", self.shared.finished))?;
            for event in &events {
                self.peers[event.token().0].advance(event, &mut self.shared)?;
            }
        }
        Ok(())
    }
}

struct Peer {
    stream: TcpStream,
    under_way: usize,
    /// The part of a response that is there; most come whole.
    received: Vec<u8>,
}

impl Peer {
    /// Makes so many requests, if there are as many to make. They fit into the socket.
    fn ask(&mut self, shared: &mut Shared, count: usize) -> Result {
        let most = shared.requests.len() / REQUEST.len();
        let count = count.min(most).min(usize::try_from(shared.to_start)?);
        if count == 0 {
            return Ok(());
        }
        shared.to_start -= count as u64;
        self.under_way += count;
        let requests = &shared.requests[..count * REQUEST.len()];
        if self.stream.write(requests)? < requests.len() {
            return Err("a request does not fit into the socket".into());
        }
        Ok(())
    }

    /// Reads what is there. A read that does not fill the buffer emptied the socket.
    fn advance(&mut self, event: &Event, shared: &mut Shared) -> Result {
        let count = match self.stream.read(&mut shared.buffer) {
            Ok(0) => return Err("the server closed a connection".into()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if event.is_read_closed() || count == shared.buffer.len() {
            return Err("the server says more than it is asked".into());
        }
        self.received.extend_from_slice(&shared.buffer[..count]);
        let answered = self.take_responses(shared)?;
        self.ask(shared, answered)
    }

    /// Takes the responses that are whole. Returns how many they are.
    fn take_responses(&mut self, shared: &mut Shared) -> Result<usize> {
        if shared.length == 0 {
            let Some(length) = response_length(&self.received)? else { return Ok(0) };
            shared.length = length;
        }
        let responses = self.received.chunks_exact(shared.length);
        let answered = responses.len();
        for response in responses {
            if !response.starts_with(b"HTTP/1.1 200 ") {
                return Err("the server does not answer with 200, always as long".into());
            }
        }
        if answered > self.under_way
            || (answered == self.under_way && !self.received.len().is_multiple_of(shared.length))
        {
            return Err("the server says more than it is asked".into());
        }
        self.received.drain(..answered * shared.length);
        self.under_way -= answered;
        shared.finished += answered as u64;
        Ok(answered)
    }
}

/// Makes a request, and takes the answer.
pub(super) fn use_once(stream: &mut (impl Read + Write)) -> Result {
    stream.write_all(REQUEST)?;
    let mut received = Vec::new();
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        received.push(byte[0]);
        if response_length(&received)? == Some(received.len()) {
            return Ok(());
        }
    }
}

/// How long the response is that begins with `received`; `None` if that is not there yet.
fn response_length(received: &[u8]) -> Result<Option<usize>> {
    let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&received[..end])?;
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let (_, length) = length.ok_or("a response without content-length")?;
    Ok(Some(end + 4 + length.parse::<usize>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_as_long_as_it_says() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\ndate: x\r\n\r\nhello";
        assert_eq!(response_length(whole).unwrap(), Some(whole.len()));
        assert_eq!(response_length(&whole[..20]).unwrap(), None);
        assert!(response_length(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
