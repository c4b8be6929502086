use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::str::FromStr;

use super::{Control, STALL_LIMIT, SourceAddresses, Wire, http, pattern, tls, websocket};
use crate::Result;
use crate::arguments::Arguments;

/// Opens connections, uses each once, and holds them.
///
/// It is ready twice: with the first connections open, when the server has touched whatever it
/// allocates once, and with all of them.
#[derive(Debug, Clone, Copy)]
pub struct Idle {
    /// The server.
    pub server: SocketAddr,
    /// How many connections in the end.
    pub connections: usize,
    /// How many of them are opened before it is ready for the first time.
    pub first: usize,
    /// The size of the message that each connection sends, in bytes.
    pub size: usize,
    /// Whether it is under TLS.
    pub tls: bool,
    /// What that message is.
    pub speech: Speech,
}

/// What a server of a protocol is used with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speech {
    /// Bytes, which come back.
    Bytes,
    /// A line, which comes back.
    Line,
    /// A request, to which there is an answer.
    Http,
    /// The opening handshake, and a message that comes back.
    WebSocket,
}

impl FromStr for Speech {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "bytes" => Ok(Self::Bytes),
            "line" => Ok(Self::Line),
            "http" => Ok(Self::Http),
            "websocket" => Ok(Self::WebSocket),
            other => Err(format!("nobody speaks {other}")),
        }
    }
}

impl Idle {
    /// Reads the command line.
    ///
    /// # Errors
    /// It is wrong.
    pub fn from_arguments(mut arguments: Arguments) -> Result<Self> {
        let load = Self {
            server: arguments.required("--connect")?,
            connections: arguments.option_or("--connections", 10_000)?,
            first: arguments.option_or("--first", 100)?,
            size: arguments.option_or("--size", 64)?,
            tls: arguments.flag("--tls"),
            speech: arguments.option_or("--speech", Speech::Bytes)?,
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
        let config = self.tls.then(|| tls::client_config(false)).transpose()?;
        let mut held = Vec::with_capacity(self.connections);
        while held.len() < self.connections {
            if held.len() == self.first {
                control.ready()?;
            }
            let stream = sources.connect()?;
            stream.set_read_timeout(Some(STALL_LIMIT))?;
            let stream = self.speech.begin(stream)?;
            let mut stream = Wire::new(stream, config.as_ref(), 0)?;
            self.speech.use_once(&mut stream, self.size)?;
            held.push(stream);
        }
        control.ready()?;
        Ok(format!("connections={}", held.len()))
    }
}

impl Speech {
    fn begin(self, mut stream: TcpStream) -> Result<TcpStream> {
        if self == Self::WebSocket {
            websocket::open(&mut stream, false)?;
        }
        Ok(stream)
    }

    fn use_once(self, stream: &mut Wire<TcpStream>, size: usize) -> Result {
        let message = pattern(size);
        match self {
            Self::Bytes => exchange(stream, &message, &message),
            Self::Line => exchange(stream, b"a line\n", b"a line\n"),
            Self::WebSocket => {
                let message = &message[..size.min(125)];
                let answer = [&[0x82, message.len() as u8], message].concat();
                exchange(stream, &websocket::frame(0x82, message), &answer)
            }
            Self::Http => http::use_once(stream),
        }
    }
}

fn exchange(stream: &mut Wire<TcpStream>, sent: &[u8], expected: &[u8]) -> Result {
    stream.write_all(sent)?;
    let mut received = vec![0; expected.len()];
    stream.read_exact(&mut received)?;
    if received != expected {
        return Err("the server changed what it echoed".into());
    }
    Ok(())
}
