//! The yardstick for datagrams: recvmmsg and sendmmsg on mio, written by hand.

use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use rustix::net::{SendFlags, SocketAddrAny};

use super::{announce, prepare, termination};
use crate::Result;
use crate::arguments::Arguments;

const SOCKET: Token = Token(0);
const TERMINATION: Token = Token(1);

/// A datagram is no longer.
const PLACE: usize = 65_536 + 64;

/// What the server can be told.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Whether answers of one size to one client are sent as one, for the kernel to cut up (GSO).
    pub segments: bool,
}

impl Options {
    /// Reads the command line.
    ///
    /// # Errors
    /// It is wrong.
    pub fn from_arguments(mut arguments: Arguments) -> Result<Self> {
        let options = Self {
            segments: arguments.flag("--segments"),
            listen: arguments.required("--listen")?,
        };
        arguments.finish()?;
        Ok(options)
    }
}

/// Serves until SIGTERM.
///
/// # Errors
/// Binding, polling, receiving or sending fails.
pub fn run(options: Options) -> Result {
    prepare()?;
    let termination = termination()?;
    let socket = UdpSocket::bind(options.listen)?;
    socket.set_nonblocking(true)?;
    // That of another socket: it sets options on the one it is made of.
    let state = UdpSocketState::new((&UdpSocket::bind("127.0.0.1:0")?).into())?;
    let mut poll = Poll::new()?;
    let registry = poll.registry();
    registry.register(&mut SourceFd(&socket.as_raw_fd()), SOCKET, Interest::READABLE)?;
    registry.register(&mut SourceFd(&termination.as_raw_fd()), TERMINATION, Interest::READABLE)?;
    announce(socket.local_addr()?)?;
    let mut server = Server {
        socket,
        state,
        buffer: vec![0; PLACE * BATCH_SIZE],
        metadata: [RecvMeta::default(); BATCH_SIZE],
        joined: Vec::new(),
        segments: options.segments,
    };
    let mut events = Events::with_capacity(1024);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        }
        for event in &events {
            match event.token() {
                SOCKET => while server.serve()? {},
                _ => return Ok(()),
            }
        }
    }
}

struct Server {
    socket: UdpSocket,
    state: UdpSocketState,
    buffer: Vec<u8>,
    metadata: [RecvMeta; BATCH_SIZE],
    joined: Vec<u8>,
    segments: bool,
}

impl Server {
    /// Receives and answers one batch; whether there may be more.
    fn serve(&mut self) -> Result<bool> {
        let mut places = self.buffer.chunks_exact_mut(PLACE);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] = std::array::from_fn(|_| {
            IoSliceMut::new(places.next().map_or(&mut [], |place| &mut place[..65_536]))
        });
        let count = match self.state.recv((&self.socket).into(), &mut slices, &mut self.metadata) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        if self.segments {
            self.answer_joined(count)?;
        } else {
            self.answer_each(count)?;
        }
        Ok(count == BATCH_SIZE)
    }

    fn answer_each(&self, count: usize) -> Result {
        use rustix::net::{MMsgHdr, SendAncillaryBuffer};
        let mut slices = [[IoSlice::new(&[])]; BATCH_SIZE];
        let mut to = [const { None::<SocketAddrAny> }; BATCH_SIZE];
        for (position, meta) in self.metadata[..count].iter().enumerate() {
            let start = position * PLACE;
            slices[position] = [IoSlice::new(&self.buffer[start..start + meta.len])];
            to[position] = Some(meta.addr.into());
        }
        let mut control: [SendAncillaryBuffer<'_, '_, '_>; BATCH_SIZE] = Default::default();
        let mut parts = slices.iter().zip(&to).zip(&mut control);
        let mut messages: [MMsgHdr<'_>; BATCH_SIZE] = std::array::from_fn(|_| {
            let ((slice, to), control) = parts.next().expect("as many of each");
            match to {
                Some(to) => MMsgHdr::new_with_addr(to, slice, control),
                None => MMsgHdr::new(slice, control),
            }
        });
        let mut sent = 0;
        while sent < count {
            let messages = &mut messages[sent..count];
            sent += rustix::net::sendmmsg(&self.socket, messages, SendFlags::empty())?;
        }
        Ok(())
    }

    fn answer_joined(&mut self, count: usize) -> Result {
        let mut position = 0;
        while position < count {
            let first = self.metadata[position];
            self.joined.clear();
            while position < count
                && self.metadata[position].addr == first.addr
                && self.metadata[position].len == first.len
            {
                let start = position * PLACE;
                self.joined.extend_from_slice(&self.buffer[start..start + first.len]);
                position += 1;
            }
            let transmit = Transmit {
                destination: first.addr,
                ecn: None,
                contents: &self.joined,
                segment_size: Some(first.len),
                src_ip: None,
            };
            self.state.try_send((&self.socket).into(), &transmit)?;
        }
        Ok(())
    }
}
