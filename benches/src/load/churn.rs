use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustls::ClientConfig;

use super::{Control, SourceAddresses, Wire, pattern, tls, wait};
use crate::Result;
use crate::arguments::Arguments;
use crate::counters::cpu;

/// Connects, sends one message, reads its echo and closes, over and over.
#[derive(Debug, Clone, Copy)]
pub struct Churn {
    /// The server.
    pub server: SocketAddr,
    /// How many connections there are at a time.
    pub concurrent: usize,
    /// How many connections are measured.
    pub connections: u64,
    /// The size of the message, in bytes.
    pub size: usize,
    /// How many connections are made before.
    pub warm_up: u64,
    /// Whether it is under TLS.
    pub tls: bool,
    /// Whether sessions are resumed.
    pub resume: bool,
}

impl Churn {
    /// Reads the command line.
    ///
    /// # Errors
    /// It is wrong.
    pub fn from_arguments(mut arguments: Arguments) -> Result<Self> {
        let load = Self {
            server: arguments.required("--connect")?,
            concurrent: arguments.option_or("--concurrent", 50)?,
            connections: arguments.option_or("--connections", 10_000)?,
            size: arguments.option_or("--size", 64)?,
            warm_up: arguments.option_or("--warm-up", 500)?,
            tls: arguments.flag("--tls"),
            resume: arguments.flag("--resume"),
        };
        arguments.finish()?;
        Ok(load)
    }

    /// Runs the load.
    ///
    /// # Errors
    /// The server refuses, closes, stalls, or sends back something else.
    pub fn run(&self, control: &mut Control) -> Result<String> {
        let mut client = Client {
            poll: Poll::new()?,
            sources: SourceAddresses::new(self.server),
            pattern: pattern(self.size),
            read_buffer: vec![0; self.size + 1],
            config: self.tls.then(|| tls::client_config(self.resume)).transpose()?,
            resumed: 0,
            visits: (0..self.concurrent).map(|_| None).collect(),
        };
        client.visit(self.warm_up)?;
        control.ready()?;
        client.resumed = 0;
        let cpu_before = cpu::own_time()?;
        let start = Instant::now();
        client.visit(self.connections)?;
        let seconds = start.elapsed().as_secs_f64();
        let cpu_seconds = (cpu::own_time()? - cpu_before).as_secs_f64();
        let (connections, resumed) = (self.connections, client.resumed);
        Ok(format!(
            "connections={connections} resumed={resumed} seconds={seconds} \
             load_cpu_seconds={cpu_seconds}"
        ))
    }
}

struct Client {
    poll: Poll,
    sources: SourceAddresses,
    pattern: Vec<u8>,
    read_buffer: Vec<u8>,
    config: Option<Arc<ClientConfig>>,
    resumed: u64,
    visits: Vec<Option<Visit>>,
}

impl Client {
    fn visit(&mut self, connections: u64) -> Result {
        let mut to_start = connections;
        let mut finished = 0;
        for place in 0..self.visits.len() {
            self.start(place, &mut to_start)?;
        }
        let mut events = Events::with_capacity(1024);
        while finished < connections {
            wait(&mut self.poll, &mut events)
                .map_err(|error| format!("connection {finished}: {error}"))?;
            for event in &events {
                let place = event.token().0;
                let Some(visit) = &mut self.visits[place] else { continue };
                if visit.advance(&self.pattern, &mut self.read_buffer)? {
                    visit.stream.close()?;
                    self.resumed += u64::from(visit.stream.is_resumed());
                    self.visits[place] = None;
                    finished += 1;
                    self.start(place, &mut to_start)?;
                }
            }
        }
        Ok(())
    }

    fn start(&mut self, place: usize, to_start: &mut u64) -> Result {
        if *to_start == 0 {
            return Ok(());
        }
        *to_start -= 1;
        let mut stream = TcpStream::from_std(self.sources.start_connect()?);
        let interests = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(place), interests)?;
        let stream = Wire::new(stream, self.config.as_ref(), place)?;
        self.visits[place] = Some(Visit { stream, sent: 0, received: 0 });
        Ok(())
    }
}

struct Visit {
    stream: Wire,
    sent: usize,
    received: usize,
}

impl Visit {
    /// Goes on as far as the socket allows; whether the whole echo is there.
    fn advance(&mut self, message: &[u8], buffer: &mut [u8]) -> Result<bool> {
        while self.sent < message.len() {
            match self.stream.write(&message[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if not_yet(&error) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        match self.stream.flush() {
            Err(error) if not_yet(&error) => return Ok(false),
            outcome => outcome?,
        }
        match self.stream.read(buffer) {
            Ok(0) => Err("the server closed a connection".into()),
            Ok(count) => {
                let end = self.received + count;
                if message.get(self.received..end) != Some(&buffer[..count]) {
                    return Err("the server changed what it echoed".into());
                }
                self.received = end;
                Ok(end == message.len())
            }
            Err(error) if not_yet(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

pub(super) fn not_yet(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected)
}
