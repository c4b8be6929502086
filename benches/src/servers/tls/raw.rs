//! rustls on a mio loop, written by hand: the yardstick.
//!
//! As `raw_mio`, with rustls's buffered connection in between. A connection is not read while the
//! socket refuses its records.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustls::{ServerConfig, ServerConnection};
use slab::Slab;

use super::super::{READ_BUFFER_SIZE, announce, prepare, termination};
use crate::Result;

const LISTENER: Token = Token(0);
const TERMINATION: Token = Token(1);
const FIRST_CONNECTION: usize = 2;

/// How records get into a connection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Reading {
    /// rustls reads the socket itself, 4 KiB at a time.
    Direct,
    /// The loop reads into one large buffer and feeds rustls from it; a read that does not fill it
    /// emptied the socket.
    Shared,
}

pub(super) fn run(listen: SocketAddr, reading: Reading) -> Result {
    prepare()?;
    let config = super::rustls_config()?;
    let termination = termination()?;
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(listen)?;
    let registry = poll.registry();
    registry.register(&mut listener, LISTENER, Interest::READABLE)?;
    let descriptor = termination.as_raw_fd();
    registry.register(&mut SourceFd(&descriptor), TERMINATION, Interest::READABLE)?;
    announce(listener.local_addr()?)?;
    let mut events = Events::with_capacity(1024);
    let mut connections = Slab::new();
    let mut buffers = Buffers::new(reading);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            outcome => outcome?,
        }
        for event in &events {
            match event.token() {
                LISTENER => accept(&listener, &poll, &mut connections, &config)?,
                TERMINATION => return Ok(()),
                Token(token) => {
                    let key = token - FIRST_CONNECTION;
                    let Some(connection) = connections.get_mut(key) else { continue };
                    // Closing the socket takes it out of epoll.
                    if !matches!(connection.serve(event, &mut buffers), Ok(State::Open)) {
                        drop(connections.remove(key));
                    }
                }
            }
        }
    }
}

fn accept(
    listener: &TcpListener,
    poll: &Poll,
    connections: &mut Slab<Connection>,
    config: &Arc<ServerConfig>,
) -> Result {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
            Err(error) => return Err(error.into()),
        };
        stream.set_nodelay(true)?;
        let entry = connections.vacant_entry();
        let token = Token(entry.key() + FIRST_CONNECTION);
        poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let mut session = ServerConnection::new(Arc::clone(config))?;
        session.set_buffer_limit(None);
        entry.insert(Connection { stream, session });
    }
}

/// What all connections use in turn.
struct Buffers {
    reading: Reading,
    records: Box<[u8]>,
    plaintext: Box<[u8]>,
}

impl Buffers {
    fn new(reading: Reading) -> Self {
        let buffer = || vec![0; READ_BUFFER_SIZE].into_boxed_slice();
        Self { reading, records: buffer(), plaintext: buffer() }
    }
}

struct Connection {
    stream: TcpStream,
    session: ServerConnection,
}

enum State {
    Open,
    Ended,
}

impl Connection {
    /// Echoes until the socket is empty, or full.
    fn serve(&mut self, event: &Event, buffers: &mut Buffers) -> io::Result<State> {
        self.flush()?;
        while !self.session.wants_write() {
            // What is echoed goes out together.
            let mut echoed = 0;
            let mut is_drained = false;
            while echoed < READ_BUFFER_SIZE && !is_drained {
                let received = match buffers.reading {
                    Reading::Direct => self.session.read_tls(&mut self.stream),
                    Reading::Shared => self.stream.read(&mut buffers.records),
                };
                let received = match received {
                    Ok(0) => return Ok(State::Ended),
                    Ok(received) => received,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        is_drained = true;
                        break;
                    }
                    Err(error) => return Err(error),
                };
                if buffers.reading == Reading::Direct {
                    echoed += self.echo(&mut buffers.plaintext)?;
                } else {
                    let mut records = &buffers.records[..received];
                    while !records.is_empty() {
                        self.session.read_tls(&mut records)?;
                        echoed += self.echo(&mut buffers.plaintext)?;
                    }
                    is_drained = received < buffers.records.len() && !event.is_read_closed();
                }
            }
            self.flush()?;
            if is_drained {
                break;
            }
        }
        Ok(State::Open)
    }

    /// Decrypts what has come, and encrypts it again.
    fn echo(&mut self, plaintext: &mut [u8]) -> io::Result<usize> {
        let state = match self.session.process_new_packets() {
            Ok(state) => state,
            Err(error) => {
                self.flush()?;
                return Err(io::Error::other(error));
            }
        };
        let mut echoed = 0;
        while echoed < state.plaintext_bytes_to_read() {
            let count = self.session.reader().read(plaintext)?;
            self.session.writer().write_all(&plaintext[..count])?;
            echoed += count;
        }
        if state.peer_has_closed() {
            self.session.send_close_notify();
            self.flush()?;
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(echoed)
    }

    /// Writes until nothing is left or the socket is full.
    fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.stream) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                outcome => outcome?,
            };
        }
        Ok(())
    }
}
