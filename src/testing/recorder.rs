//! One protocol, and a peer that is played by hand.

use std::fmt;
use std::io;
use std::time::Duration;

use super::network::MemoryNetwork;
use super::pair::open;
use super::stepping::{advance, settle};
use crate::driver::memory::{self, MemorySocket};
use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::protocol::Protocol;
use crate::transport::{Connection, Transport, TransportHandle};

/// Runs one protocol on a transport in memory, feeds it, and records what it sends.
///
/// What Twisted's `StringTransport` does, with the real engine beneath: flow control, deadlines,
/// closing and the order of callbacks are those of every transport. Each call runs the loop until
/// it rests; time passes only by [`advance`](Self::advance).
///
/// There is no server: what a [`ServerBuilder`](crate::ServerBuilder) sets for its connections (deadlines, water
/// marks, the write cap, rate limits, TLS) is not in force here. The transport has the settings
/// of a client's; set others with [`with`](Self::with), or test the server itself on a
/// [`MemoryNetwork`].
///
/// ```
/// use std::time::Duration;
/// use wharf::testing::Recorder;
/// # use wharf::{Protocol, Result, Transport};
///
/// /// Answers each byte with two.
/// struct Twice;
///
/// impl Protocol for Twice {
///     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
///         for &byte in data {
///             transport.write(&[byte, byte]);
///         }
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result {
/// let mut recorder = Recorder::new(|| Twice)?;
/// recorder.receive(b"ab")?;
/// assert_eq!(recorder.sent()?, b"aabb");
/// recorder.receive_eof()?;
/// assert!(recorder.is_closing());
/// # Ok(())
/// # }
/// ```
#[doc(alias("StringTransport"))]
pub struct Recorder<P> {
    event_loop: EventLoop,
    connection: Connection<P>,
    peer: Option<MemorySocket>,
    ended: bool,
    reset: bool,
}

impl<P: Protocol> Recorder<P> {
    /// Runs the protocol that `factory` makes; `connection_made` has been called on return.
    ///
    /// # Errors
    /// Those of the loop; none is expected.
    pub fn new(factory: impl FnOnce() -> P) -> Result<Self, Error> {
        Self::with_capacity(64 * 1024, factory)
    }

    /// As [`new`](Self::new), with `capacity` bytes of room in each direction: what the protocol
    /// sends beyond it waits in its write buffer until [`sent`](Self::sent) takes some.
    ///
    /// # Errors
    /// Those of the loop; none is expected.
    pub fn with_capacity(capacity: usize, factory: impl FnOnce() -> P) -> Result<Self, Error> {
        let event_loop = MemoryNetwork::new().event_loop();
        let core = event_loop.core();
        let (near, peer) = memory::pair(capacity, [None, None]);
        let stream = open(core, near, Box::new(factory()))?;
        stream.begin(core);
        let connection = Connection::new(TransportHandle::of(core, &stream));
        let recorder =
            Self { event_loop, connection, peer: Some(peer), ended: false, reset: false };
        settle(&recorder.event_loop)?;
        Ok(recorder)
    }

    /// The peer sends `data`. Gives how much of it found room: all, unless reading is paused.
    ///
    /// # Errors
    /// Those of the loop.
    pub fn receive(&mut self, data: &[u8]) -> Result<usize, Error> {
        let mut taken = 0;
        while let Some(peer) = &self.peer
            && taken < data.len()
        {
            match peer.write(&data[taken..]) {
                Ok(count) => taken += count,
                Err(_) => break,
            }
            settle(&self.event_loop)?;
        }
        Ok(taken)
    }

    /// The peer ends its side.
    ///
    /// # Errors
    /// Those of the loop.
    pub fn receive_eof(&mut self) -> Result<(), Error> {
        if let Some(peer) = &self.peer {
            peer.shutdown();
        }
        settle(&self.event_loop)
    }

    /// The peer resets the connection.
    ///
    /// # Errors
    /// Those of the loop.
    pub fn receive_reset(&mut self) -> Result<(), Error> {
        if let Some(peer) = self.peer.take() {
            // Its end does not come before the reset then.
            peer.reset_when_closed();
        }
        settle(&self.event_loop)
    }

    /// Takes everything the protocol has sent since the last call, as the peer would read it.
    ///
    /// # Errors
    /// Those of the loop.
    pub fn sent(&mut self) -> Result<Vec<u8>, Error> {
        self.take_sent(usize::MAX)
    }

    /// Takes at most `limit` bytes of what the protocol has sent: a peer that reads slowly.
    ///
    /// # Errors
    /// Those of the loop.
    pub fn take_sent(&mut self, limit: usize) -> Result<Vec<u8>, Error> {
        // Writes and aborts by hand are done in the next turn of the loop.
        settle(&self.event_loop)?;
        let mut sent = Vec::new();
        let mut buffer = [0; 4096];
        while let Some(peer) = &self.peer
            && sent.len() < limit
        {
            let room = buffer.len().min(limit - sent.len());
            match peer.read(&mut buffer[..room]) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(count) => sent.extend_from_slice(&buffer[..count]),
                Err(error) => {
                    self.reset |= error.kind() == io::ErrorKind::ConnectionReset;
                    break;
                }
            }
            settle(&self.event_loop)?;
        }
        Ok(sent)
    }

    /// Whether the protocol's side is ended, all it sent was [taken](Self::sent), and the peer has
    /// seen the end.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Whether the peer has seen a reset: the connection was aborted with unread input.
    pub fn is_reset(&self) -> bool {
        self.reset
    }

    /// Whether the connection is closing or gone.
    pub fn is_closing(&self) -> bool {
        self.connection.handle().is_closing()
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// Those of the loop.
    pub fn advance(&mut self, duration: Duration) -> Result<(), Error> {
        advance(&self.event_loop, duration)
    }

    /// Calls `action` with the protocol and its transport, and runs the loop until it rests.
    ///
    /// # Errors
    /// As [`Connection::with`].
    pub fn with<R>(
        &mut self,
        action: impl FnOnce(&mut P, &dyn Transport) -> R,
    ) -> Result<R, Error> {
        let result = self.connection.with(action)?;
        settle(&self.event_loop)?;
        Ok(result)
    }

    /// The connection, and with it the transport's handle.
    pub fn connection(&self) -> &Connection<P> {
        &self.connection
    }

    /// The loop in memory.
    pub fn event_loop(&self) -> &EventLoop {
        &self.event_loop
    }
}

impl<P> fmt::Debug for Recorder<P> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Recorder")
            .field("connection", &self.connection)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
