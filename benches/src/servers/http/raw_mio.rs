//! The server a good programmer writes by hand on mio and httparse, for requests without content: the yardstick.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;

use mio::event::Event;
use mio::net::TcpStream;

use super::TEXT;
use crate::Result;
use crate::servers::raw_mio::{Connection, Options, State, serve, uninterrupted};

pub(super) fn run(listen: SocketAddr) -> Result {
    serve::<Plaintext>(Options { listen, short_read_is_drained: true, spin: 0 })
}

/// One connection. An answer that the socket does not take whole ends it: the load reads all that it asked for.
struct Plaintext {
    stream: TcpStream,
    /// The beginning of a request.
    received: Vec<u8>,
    answers: Vec<u8>,
}

impl Connection for Plaintext {
    fn new(stream: TcpStream) -> Self {
        Self { stream, received: Vec::new(), answers: Vec::new() }
    }

    fn serve(&mut self, event: &Event, buffer: &mut [u8], drained: bool) -> io::Result<State> {
        if !event.is_readable() {
            return Ok(State::Open);
        }
        loop {
            let count = match uninterrupted(|| self.stream.read(buffer)) {
                Ok(0) => return Ok(State::Ended),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(State::Open),
                Err(error) => return Err(error),
            };
            if self.received.is_empty() {
                let taken = answer(&buffer[..count], &mut self.answers)?;
                self.received.extend_from_slice(&buffer[taken..count]);
            } else {
                self.received.extend_from_slice(&buffer[..count]);
                let taken = answer(&self.received, &mut self.answers)?;
                self.received.drain(..taken);
            }
            if self.stream.write(&self.answers)? < self.answers.len() {
                return Err(ErrorKind::WriteZero.into());
            }
            self.answers.clear();
            if drained && count < buffer.len() && !event.is_read_closed() {
                return Ok(State::Open);
            }
        }
    }
}

/// Appends the answers to all requests that are whole. Returns how many bytes these are.
fn answer(mut input: &[u8], answers: &mut Vec<u8>) -> io::Result<usize> {
    let all = input.len();
    while !input.is_empty() {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        let length = match request.parse(input).map_err(io::Error::other)? {
            httparse::Status::Complete(length) => length,
            httparse::Status::Partial => break,
        };
        if request.path != Some("/plaintext") {
            return Err(io::Error::other("the load asks for nothing else"));
        }
        input = &input[length..];
        answers.extend_from_slice(
            b"HTTP/1.1 200 OK\r\nServer: mio\r\nDate: Mon, 30 Nov 2026 12:00:00 GMT\r\n\
              Content-Type: text/plain\r\nContent-Length: 13\r\n\r\n",
        );
        answers.extend_from_slice(TEXT.as_bytes());
    }
    Ok(all - input.len())
}
