use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream as BlockingStream};
use std::time::Instant;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::{Control, STALL_LIMIT, SourceAddresses, pattern, wait};
use crate::Result;
use crate::arguments::Arguments;
use crate::counters::cpu;

/// Sends messages over a fixed set of WebSockets, each of which has as many under way.
#[derive(Debug, Clone, Copy)]
pub struct WebSocket {
    /// The server.
    pub server: SocketAddr,
    /// How many connections.
    pub connections: usize,
    /// The size of a message, in bytes, before it is compressed.
    pub size: usize,
    /// How many messages each connection has under way.
    pub in_flight: usize,
    /// How many messages are measured, over all connections.
    pub messages: u64,
    /// How many are sent before, and have their content compared.
    pub warm_up: u64,
    /// Whether they are compressed: text that can be, instead of bytes.
    pub deflate: bool,
}

impl WebSocket {
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
            deflate: arguments.flag("--deflate"),
        };
        arguments.finish()?;
        if load.size == 0 || load.in_flight == 0 || load.connections == 0 {
            return Err("--size, --in-flight and --connections must be above 0".into());
        }
        Ok(load)
    }

    /// Runs the load.
    ///
    /// # Errors
    /// The server does not agree, closes, stalls, or sends back something else.
    pub fn run(&self, control: &mut Control) -> Result<String> {
        let mut client = Client::connect(self)?;
        client.exchange(self.warm_up)?;
        client.peers.iter_mut().for_each(|peer| peer.content = None);
        control.ready()?;
        let cpu_before = cpu::own_time()?;
        let start = Instant::now();
        client.exchange(self.messages)?;
        let seconds = start.elapsed().as_secs_f64();
        let cpu_seconds = (cpu::own_time()? - cpu_before).as_secs_f64();
        let messages = self.messages;
        Ok(format!("messages={messages} seconds={seconds} load_cpu_seconds={cpu_seconds}"))
    }
}

/// Opens a WebSocket: with the key of RFC 6455's example, which not every server that is measured computes with.
pub(super) fn open(stream: &mut BlockingStream, deflate: bool) -> Result {
    let offer = if deflate { "Sec-WebSocket-Extensions: permessage-deflate\r\n" } else { "" };
    let request = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        answer.push(byte[0]);
    }
    let answer = String::from_utf8(answer)?.to_ascii_lowercase();
    let accepts = answer.contains("\r\nsec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n");
    let agrees = answer.contains("\r\nsec-websocket-extensions: permessage-deflate\r\n") == deflate;
    if answer.starts_with("http/1.1 101 ") && accepts && agrees {
        Ok(())
    } else {
        Err(format!("the server answers {answer}").into())
    }
}

/// A client's frame with a whole message in it.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let length = payload.len();
    let mut frame = vec![first];
    match length {
        0..126 => frame.push(0x80 | length as u8),
        126..0x10000 => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

const BINARY: u8 = 0x82;
const TEXT_COMPRESSED: u8 = 0xc1;

struct Client {
    poll: Poll,
    peers: Vec<Peer>,
    shared: Shared,
}

/// What all connections use in turn.
struct Shared {
    /// The frame that is sent, as often as a connection has messages under way.
    frames: Vec<u8>,
    frame_length: usize,
    in_flight: usize,
    message: Vec<u8>,
    /// The first byte of each frame that comes back.
    first: u8,
    buffer: Vec<u8>,
    to_start: u64,
    finished: u64,
}

impl Client {
    fn connect(load: &WebSocket) -> Result<Self> {
        let message = if load.deflate { compressible(load.size) } else { pattern(load.size) };
        let (first, payload) = match load.deflate {
            true => (TEXT_COMPRESSED, compressed(&message)?),
            false => (BINARY, message.clone()),
        };
        let frame = frame(first, &payload);
        let poll = Poll::new()?;
        let mut sources = SourceAddresses::new(load.server);
        let mut peers = Vec::with_capacity(load.connections);
        for index in 0..load.connections {
            let mut stream = sources.connect()?;
            stream.set_read_timeout(Some(STALL_LIMIT))?;
            open(&mut stream, load.deflate)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            let interests = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut stream, Token(index), interests)?;
            let inflater = load.deflate.then(|| Decompress::new(false));
            let content = Some(Content { received: Vec::new(), inflater });
            peers.push(Peer {
                stream,
                unsent: 0,
                under_way: 0,
                header: Vec::new(),
                left: 0,
                content,
            });
        }
        let shared = Shared {
            frames: frame.repeat(load.in_flight),
            frame_length: frame.len(),
            in_flight: load.in_flight,
            message,
            first,
            buffer: vec![0; 256 * 1024],
            to_start: 0,
            finished: 0,
        };
        Ok(Self { poll, peers, shared })
    }

    fn exchange(&mut self, messages: u64) -> Result {
        self.shared.to_start = messages;
        self.shared.finished = 0;
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

struct Peer {
    stream: TcpStream,
    /// Bytes of started messages that are not written yet.
    unsent: usize,
    /// Messages that have not come back.
    under_way: usize,
    /// The beginning of a frame's header.
    header: Vec<u8>,
    /// Bytes of a frame's payload that are to come.
    left: usize,
    /// What the current message is compared with, if it is.
    content: Option<Content>,
}

struct Content {
    received: Vec<u8>,
    inflater: Option<Decompress>,
}

impl Peer {
    fn advance(&mut self, event: &Event, shared: &mut Shared) -> Result {
        if event.is_readable() {
            self.receive(event, shared)?;
        }
        self.send(shared)
    }

    /// Reads what is there. A read that does not fill the buffer emptied the socket; what comes later makes a new event.
    fn receive(&mut self, event: &Event, shared: &mut Shared) -> Result {
        while self.under_way > 0 || event.is_read_closed() {
            let mut buffer = std::mem::take(&mut shared.buffer);
            let read = self.stream.read(&mut buffer);
            let outcome: Result<bool> = match read {
                Ok(0) => Err("the server closed a connection".into()),
                Ok(count) => self.take(&buffer[..count], shared).map(|()| count < buffer.len()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(true),
                Err(error) => Err(error.into()),
            };
            shared.buffer = buffer;
            if outcome? && !event.is_read_closed() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes what came apart.
    fn take(&mut self, mut bytes: &[u8], shared: &mut Shared) -> Result {
        while !bytes.is_empty() {
            if self.left == 0 {
                self.header.push(bytes[0]);
                bytes = &bytes[1..];
                let Some(length) = payload_length(&self.header)? else { continue };
                let first = self.header[0];
                self.header.clear();
                // What is compressed is as long as the server makes it.
                let is_compressed = shared.first == TEXT_COMPRESSED;
                if first != shared.first || !(is_compressed || length == shared.message.len()) {
                    return Err("the server sends another frame than it received".into());
                }
                self.left = length;
            }
            let (payload, rest) = bytes.split_at(self.left.min(bytes.len()));
            bytes = rest;
            self.left -= payload.len();
            if let Some(content) = &mut self.content {
                content.received.extend_from_slice(payload);
            }
            if self.left == 0 {
                self.finish(shared)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, shared: &mut Shared) -> Result {
        if self.under_way == 0 {
            return Err("the server sends more than it received".into());
        }
        self.under_way -= 1;
        shared.finished += 1;
        if let Some(content) = &mut self.content
            && content.message(shared.message.len())? != shared.message
        {
            return Err("the server changed what it echoed".into());
        }
        Ok(())
    }

    /// Starts as many messages as may be under way, and writes what the socket takes.
    fn send(&mut self, shared: &mut Shared) -> Result {
        let free = shared.in_flight - self.under_way;
        let started = usize::try_from(shared.to_start)?.min(free);
        shared.to_start -= started as u64;
        self.under_way += started;
        self.unsent += started * shared.frame_length;
        while self.unsent > 0 {
            // All frames are the same: from within one, and on.
            let begun =
                (shared.frame_length - self.unsent % shared.frame_length) % shared.frame_length;
            let end = shared.frames.len().min(begun + self.unsent);
            match self.stream.write(&shared.frames[begun..end]) {
                Ok(count) => self.unsent -= count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl Content {
    /// The message that came, of `length` bytes if it is the right one.
    fn message(&mut self, length: usize) -> Result<Vec<u8>> {
        let mut received = std::mem::take(&mut self.received);
        let Some(inflater) = &mut self.inflater else { return Ok(received) };
        received.extend([0x00, 0x00, 0xff, 0xff]);
        let mut message = Vec::with_capacity(length + 1024);
        inflater.decompress_vec(&received, &mut message, FlushDecompress::Sync)?;
        Ok(message)
    }
}

/// How long a server's payload is; `None` if that is not there yet.
fn payload_length(header: &[u8]) -> Result<Option<usize>> {
    Ok(match header {
        [_, short @ ..=125] => Some(usize::from(*short)),
        [_, 126, high, low] => Some(usize::from(u16::from_be_bytes([*high, *low]))),
        [_, 127, length @ ..] if length.len() == 8 => {
            Some(usize::try_from(u64::from_be_bytes(length.try_into()?))?)
        }
        [_, 128..=255, ..] => return Err("the server masks".into()),
        _ => None,
    })
}

/// Text of that length such as programs send to one another.
fn compressible(size: usize) -> Vec<u8> {
    let mut text = String::new();
    let mut number = 0_u64;
    while text.len() < size {
        number =
            number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (id, value) = (number >> 40, number >> 52);
        text += &[
            "{\"id\":",
            &id.to_string(),
            ",\"name\":\"sensor\",\"value\":",
            &value.to_string(),
            "},",
        ]
        .concat();
    }
    text.truncate(size);
    text.into_bytes()
}

/// A message of permessage-deflate, which refers to none before it.
fn compressed(message: &[u8]) -> Result<Vec<u8>> {
    let mut deflater = Compress::new(Compression::new(6), false);
    let mut output = Vec::with_capacity(message.len() + 1024);
    deflater.compress_vec(message, &mut output, FlushCompress::Sync)?;
    let end = output.len() - 4;
    if output.split_off(end) != [0x00, 0x00, 0xff, 0xff] {
        return Err("a compressed message with another end".into());
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_as_the_rfc_shows_them() {
        assert_eq!(frame(0x81, b"Hello"), b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
        assert_eq!(frame(BINARY, &[0; 256])[..4], [0x82, 0xfe, 1, 0]);
        assert_eq!(frame(BINARY, &[0; 65536])[..10], [0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn a_header_says_how_long_the_payload_is() {
        assert_eq!(payload_length(b"\x82\x05").unwrap(), Some(5));
        assert_eq!(payload_length(b"\x82\x7e\x01").unwrap(), None);
        assert_eq!(payload_length(b"\x82\x7e\x01\x00").unwrap(), Some(256));
        assert_eq!(payload_length(b"\x82\x7f\0\0\0\0\0\x01\0\0").unwrap(), Some(65536));
        assert!(payload_length(b"\x82\x85").is_err());
    }
}
