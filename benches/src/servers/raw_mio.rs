//! The echo loop a good programmer writes by hand on mio: the yardstick.
//!
//! One shared read buffer, a slab of connections, each registered once for both interests; what was
//! read is written straight away, and only what the socket refuses is kept. A connection is not read
//! while it has such a leftover, so a client that never reads costs at most one buffer.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use std::os::fd::AsRawFd as _;

use super::{READ_BUFFER_SIZE, announce, prepare, termination};
use crate::Result;
use crate::arguments::Arguments;

const LISTENER: Token = Token(0);
const TERMINATION: Token = Token(1);
const FIRST_CONNECTION: usize = 2;

/// What the loop can be told.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Take a read that did not fill the buffer as proof that the socket is empty, as tokio and
    /// libuv do, instead of reading until the kernel says so. Holds on TCP unless the peer's FIN is
    /// already reported.
    pub short_read_is_drained: bool,
    /// How often to poll without sleeping before a poll that sleeps.
    pub spin: u32,
}

impl Options {
    /// Reads the command line.
    ///
    /// # Errors
    /// It is wrong.
    pub fn from_arguments(mut arguments: Arguments) -> Result<Self> {
        let options = Self {
            listen: arguments.required("--listen")?,
            short_read_is_drained: arguments.flag("--short-read-is-drained"),
            spin: arguments.option_or("--spin", 0)?,
        };
        arguments.finish()?;
        Ok(options)
    }
}

/// Serves until SIGTERM.
///
/// # Errors
/// Listening, polling or accepting fails.
pub fn run(options: Options) -> Result {
    serve::<Echo>(options)
}

/// Serves connections of one kind until SIGTERM.
pub(super) fn serve<C: Connection>(options: Options) -> Result {
    prepare()?;
    let mut server = Server::<C>::bind(options, termination()?)?;
    announce(server.listener.local_addr()?)?;
    Ok(server.run()?)
}

/// What the loop serves.
pub(super) trait Connection {
    fn new(stream: TcpStream) -> Self;

    /// Goes on until the socket is empty, or full.
    fn serve(
        &mut self,
        event: &Event,
        buffer: &mut [u8],
        short_read_is_drained: bool,
    ) -> io::Result<State>;
}

/// The loop and its connections.
#[derive(Debug)]
struct Server<C> {
    poll: Poll,
    events: Events,
    listener: TcpListener,
    _termination: UnixStream,
    connections: Slab<C>,
    read_buffer: Box<[u8]>,
    options: Options,
}

impl<C: Connection> Server<C> {
    /// Listens. The server ends when `termination` becomes readable.
    fn bind(options: Options, termination: UnixStream) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(options.listen)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let termination_fd = termination.as_raw_fd();
        poll.registry().register(
            &mut SourceFd(&termination_fd),
            TERMINATION,
            Interest::READABLE,
        )?;
        Ok(Self {
            poll,
            events: Events::with_capacity(1024),
            listener,
            _termination: termination,
            connections: Slab::new(),
            read_buffer: vec![0; READ_BUFFER_SIZE].into_boxed_slice(),
            options,
        })
    }

    /// Serves until termination is asked for. A connection's own error just closes it.
    fn run(&mut self) -> io::Result<()> {
        loop {
            self.wait()?;
            for event in &self.events {
                match event.token() {
                    LISTENER => accept(&self.listener, &self.poll, &mut self.connections)?,
                    TERMINATION => return Ok(()),
                    Token(token) => {
                        let key = token - FIRST_CONNECTION;
                        let Some(connection) = self.connections.get_mut(key) else { continue };
                        let drained = self.options.short_read_is_drained;
                        match connection.serve(event, &mut self.read_buffer, drained) {
                            Ok(State::Open) => {}
                            // Closing the socket takes it out of epoll.
                            Ok(State::Ended) | Err(_) => drop(self.connections.remove(key)),
                        }
                    }
                }
            }
        }
    }

    fn wait(&mut self) -> io::Result<()> {
        for _ in 0..self.options.spin {
            uninterrupted(|| self.poll.poll(&mut self.events, Some(Duration::ZERO)))?;
            if !self.events.is_empty() {
                return Ok(());
            }
        }
        uninterrupted(|| self.poll.poll(&mut self.events, None))
    }
}

fn accept<C: Connection>(
    listener: &TcpListener,
    poll: &Poll,
    connections: &mut Slab<C>,
) -> io::Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
            Err(error) => return Err(error),
        };
        stream.set_nodelay(true)?;
        let entry = connections.vacant_entry();
        let token = Token(entry.key() + FIRST_CONNECTION);
        poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        entry.insert(C::new(stream));
    }
}

pub(super) enum State {
    Open,
    Ended,
}

/// Sends back what it receives.
#[derive(Debug)]
struct Echo {
    stream: TcpStream,
    /// What was read but could not be written yet.
    leftover: Vec<u8>,
}

impl Connection for Echo {
    fn new(stream: TcpStream) -> Self {
        Self { stream, leftover: Vec::new() }
    }

    fn serve(
        &mut self,
        event: &Event,
        buffer: &mut [u8],
        short_read_is_drained: bool,
    ) -> io::Result<State> {
        if self.leftover.is_empty() {
            if !event.is_readable() {
                return Ok(State::Open);
            }
        } else {
            self.write_leftover()?;
            if !self.leftover.is_empty() {
                return Ok(State::Open);
            }
            // The edge that announced unread input went by while this connection was not read.
        }
        loop {
            let received = match uninterrupted(|| self.stream.read(buffer)) {
                Ok(0) => return Ok(State::Ended),
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(State::Open),
                Err(error) => return Err(error),
            };
            match self.stream.write(&buffer[..received]) {
                Ok(written) if written == received => {}
                outcome => {
                    self.keep_leftover(outcome, &buffer[..received])?;
                    if !self.leftover.is_empty() {
                        return Ok(State::Open);
                    }
                }
            }
            if short_read_is_drained && received < buffer.len() && !event.is_read_closed() {
                return Ok(State::Open);
            }
        }
    }
}

impl Echo {
    /// Goes on after a write that did not take all of `data`.
    #[cold]
    fn keep_leftover(&mut self, outcome: io::Result<usize>, data: &[u8]) -> io::Result<()> {
        let written = match outcome {
            Ok(written) => written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) if error.kind() == ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        self.leftover.extend_from_slice(&data[written..]);
        // Only a refusal makes epoll announce the next free space.
        self.write_leftover()
    }

    /// Writes until nothing is left or the socket is full.
    #[cold]
    fn write_leftover(&mut self) -> io::Result<()> {
        while !self.leftover.is_empty() {
            match uninterrupted(|| self.stream.write(&self.leftover)) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => drop(self.leftover.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

pub(super) fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Shutdown, TcpStream as StdTcpStream};
    use std::thread;

    /// Starts a server on a thread, runs `client`, ends the server and checks that it ended well.
    fn with_server(short_read_is_drained: bool, client: impl FnOnce(SocketAddr)) {
        let (termination, terminate) = UnixStream::pair().unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let options = Options { listen, short_read_is_drained, spin: 3 };
        let mut server = Server::<Echo>::bind(options, termination).unwrap();
        let address = server.listener.local_addr().unwrap();
        let running = thread::spawn(move || server.run());
        client(address);
        drop(terminate);
        running.join().unwrap().unwrap();
    }

    #[test]
    fn echoes_more_than_the_sockets_hold_to_a_client_that_reads_late() {
        for short_read_is_drained in [false, true] {
            with_server(short_read_is_drained, |address| {
                let data: Vec<u8> = (0..32 << 20).map(|index: u32| (index / 7) as u8).collect();
                let mut reading = StdTcpStream::connect(address).unwrap();
                let mut writing = reading.try_clone().unwrap();
                writing.set_write_timeout(Some(Duration::from_millis(20))).unwrap();
                let mut sent = 0;
                let full = loop {
                    match writing.write(&data[sent..]) {
                        Ok(count) => sent += count,
                        Err(error) => break error,
                    }
                };
                assert_eq!(full.kind(), ErrorKind::WouldBlock);
                writing.set_write_timeout(None).unwrap();
                let rest = data[sent..].to_vec();
                let writer = thread::spawn(move || {
                    writing.write_all(&rest).unwrap();
                    writing.shutdown(Shutdown::Write).unwrap();
                });
                let mut echoed = Vec::new();
                reading.read_to_end(&mut echoed).unwrap();
                writer.join().unwrap();
                assert!(echoed == data);
            });
        }
    }

    #[test]
    fn closes_when_the_client_does() {
        for short_read_is_drained in [false, true] {
            with_server(short_read_is_drained, |address| {
                let mut stream = StdTcpStream::connect(address).unwrap();
                stream.write_all(b"last words").unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
                let mut echoed = String::new();
                stream.read_to_string(&mut echoed).unwrap();
                assert_eq!(echoed, "last words");
            });
        }
    }
}
