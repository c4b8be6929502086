//! Two protocols, between which bytes move when the test says so.

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
use crate::transport::{Connection, TransportHandle};

/// Two protocols that are moving bytes to each other after this many steps always will.
const MOST_STEPS: u32 = 1_000_000;

/// Two protocols on a loop in memory, between which nothing moves but by the test's own hand: a step, or so many bytes.
///
/// A [`pair`](super::pair) is joined, and what one end sends is with the other at once. Here it waits: a test looks at
/// both protocols between any two bytes, stops an exchange in its middle, and cuts it there. Each call runs the loop until
/// it rests; time passes only by [`advance`](Self::advance).
///
/// ```
/// use wharf::Transport as _;
/// use wharf::testing::{Pump, Record};
/// # struct Echo;
/// # impl wharf::Protocol for Echo {
/// #     fn data_received(&mut self, transport: &dyn wharf::Transport, data: &[u8]) -> wharf::Result {
/// #         transport.write(data);
/// #         Ok(())
/// #     }
/// # }
///
/// # fn main() -> wharf::Result {
/// let record = Record::new();
/// let mut pump = Pump::new(record.protocol(), Echo)?;
/// pump.first().write(b"hello");
/// // "he" comes to the echo, and "h" comes back.
/// assert_eq!(pump.forward(2)?, 2);
/// assert_eq!(pump.back(1)?, 1);
/// assert_eq!(record.received(), b"h");
/// // What both have sent by now, once; then all that follows.
/// assert_eq!(pump.step()?, 4);
/// assert_eq!(record.received(), b"he");
/// pump.settle()?;
/// assert_eq!(record.received(), b"hello");
/// # Ok(())
/// # }
/// ```
#[doc(alias("FakePump", "iosim", "lockstep"))]
pub struct Pump<P, Q> {
    event_loop: EventLoop,
    first: Side<P>,
    second: Side<Q>,
}

/// One of the protocols, and the other end of its socket.
struct Side<P> {
    connection: Connection<P>,
    /// `None`: the connection was reset.
    peer: Option<MemorySocket>,
    /// What was taken from it, and has found no room with the other.
    held: Vec<u8>,
    /// What it sends has ended.
    ended: bool,
    /// The other was told of that.
    end_passed: bool,
    /// Its connection was reset by itself.
    reset: bool,
}

impl<P: Protocol, Q: Protocol> Pump<P, Q> {
    /// Both `connection_made` have been called on return, the first one's first.
    ///
    /// # Errors
    /// Those of the loop; none is expected.
    pub fn new(first: P, second: Q) -> Result<Self, Error> {
        Self::with_capacity(64 * 1024, first, second)
    }

    /// As [`new`](Self::new), with `capacity` bytes of room for what a protocol has sent and for what it has not read. What
    /// it sends beyond that waits in its write buffer.
    ///
    /// # Errors
    /// Those of the loop; none is expected.
    pub fn with_capacity(capacity: usize, first: P, second: Q) -> Result<Self, Error> {
        let event_loop = MemoryNetwork::new().event_loop();
        let first = Side::new(&event_loop, capacity, first)?;
        let second = Side::new(&event_loop, capacity, second)?;
        settle(&event_loop)?;
        Ok(Self { event_loop, first, second })
    }

    /// Brings the second protocol at most `limit` bytes of what the first has sent; once there is no more, the end, if it
    /// has ended its side. Gives how many bytes it was.
    ///
    /// # Errors
    /// Those of the loop.
    pub fn forward(&mut self, limit: usize) -> Result<usize, Error> {
        settle(&self.event_loop)?;
        let (moved, _) = self.first.take(limit).pass(&mut self.first, &mut self.second);
        settle(&self.event_loop)?;
        Ok(moved)
    }

    /// As [`forward`](Self::forward), from the second to the first.
    ///
    /// # Errors
    /// Those of the loop.
    pub fn back(&mut self, limit: usize) -> Result<usize, Error> {
        settle(&self.event_loop)?;
        let (moved, _) = self.second.take(limit).pass(&mut self.second, &mut self.first);
        settle(&self.event_loop)?;
        Ok(moved)
    }

    /// Brings each protocol what the other has sent by now. What they answer waits for the next step. Gives how many bytes
    /// it was, both ways together.
    ///
    /// # Errors
    /// Those of the loop.
    pub fn step(&mut self) -> Result<usize, Error> {
        Ok(self.step_once()?.0)
    }

    /// Steps until neither has anything for the other. Gives how many bytes it was, both ways together.
    ///
    /// # Errors
    /// Those of the loop; [`is_invalid`](Error::is_invalid) when there is no end to it in a million steps.
    pub fn settle(&mut self) -> Result<usize, Error> {
        let mut total = 0;
        for _ in 0..MOST_STEPS {
            let (moved, anything) = self.step_once()?;
            total += moved;
            if !anything {
                return Ok(total);
            }
        }
        Err(Error::invalid(format!("the two still had something to say after {MOST_STEPS} steps")))
    }

    /// Resets the connection, for both. What was sent and did not arrive is lost.
    ///
    /// # Errors
    /// Those of the loop.
    pub fn cut(&mut self) -> Result<(), Error> {
        self.first.reset();
        self.second.reset();
        settle(&self.event_loop)
    }

    /// Lets time pass. Nothing moves meanwhile.
    ///
    /// # Errors
    /// Those of the loop.
    pub fn advance(&mut self, duration: Duration) -> Result<(), Error> {
        advance(&self.event_loop, duration)
    }

    /// The first protocol's connection.
    pub fn first(&self) -> &Connection<P> {
        &self.first.connection
    }

    /// The second protocol's connection.
    pub fn second(&self) -> &Connection<Q> {
        &self.second.connection
    }

    /// The loop in memory.
    pub fn event_loop(&self) -> &EventLoop {
        &self.event_loop
    }

    /// How many bytes were moved, and whether anything was, an end or a reset included.
    fn step_once(&mut self) -> Result<(usize, bool), Error> {
        settle(&self.event_loop)?;
        // Both are asked before either gets anything.
        let (from_first, from_second) = (self.first.take(usize::MAX), self.second.take(usize::MAX));
        let forward = from_first.pass(&mut self.first, &mut self.second);
        let back = from_second.pass(&mut self.second, &mut self.first);
        settle(&self.event_loop)?;
        Ok((forward.0 + back.0, forward.1 || back.1))
    }
}

/// How much of what is held may be passed on.
struct Taken(usize);

impl<P: Protocol> Side<P> {
    fn new(event_loop: &EventLoop, capacity: usize, protocol: P) -> Result<Self, Error> {
        let core = event_loop.core();
        let (near, peer) = memory::pair(capacity, [None, None]);
        let stream = open(core, near, Box::new(protocol))?;
        stream.begin(core);
        let connection = Connection::new(TransportHandle::of(core, &stream));
        let peer = Some(peer);
        let (ended, end_passed, reset) = (false, false, false);
        Ok(Self { connection, peer, held: Vec::new(), ended, end_passed, reset })
    }

    /// Takes at most `limit` bytes out of its socket, what is held already included.
    fn take(&mut self, limit: usize) -> Taken {
        let mut buffer = [0; 4096];
        while let Some(peer) = &self.peer
            && self.held.len() < limit
        {
            let room = buffer.len().min(limit - self.held.len());
            match peer.read(&mut buffer[..room]) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(count) => self.held.extend_from_slice(&buffer[..count]),
                Err(error) => {
                    self.reset |= error.kind() == io::ErrorKind::ConnectionReset;
                    break;
                }
            }
        }
        Taken(self.held.len().min(limit))
    }

    fn reset(&mut self) {
        if let Some(peer) = self.peer.take() {
            peer.reset_when_closed();
        }
        self.held.clear();
    }
}

impl Taken {
    fn pass<P: Protocol, Q: Protocol>(self, from: &mut Side<P>, to: &mut Side<Q>) -> (usize, bool) {
        let mut moved = 0;
        while let Some(peer) = &to.peer
            && moved < self.0
        {
            match peer.write(&from.held[..self.0 - moved]) {
                Ok(count) => {
                    from.held.drain(..count);
                    moved += count;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return (moved, moved > 0);
                }
                // Nobody is there: whoever sends is told so, as by a kernel.
                Err(_) => {
                    from.reset();
                    return (moved, true);
                }
            }
        }
        if !from.held.is_empty() {
            return (moved, moved > 0);
        }
        if from.reset && from.peer.is_some() {
            from.reset();
            to.reset();
            return (moved, true);
        }
        if from.ended && !from.end_passed {
            from.end_passed = true;
            if let Some(peer) = &to.peer {
                peer.shutdown();
            }
            return (moved, true);
        }
        (moved, moved > 0)
    }
}

impl<P, Q> fmt::Debug for Pump<P, Q> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Pump")
            .field("first", &self.first.connection)
            .field("second", &self.second.connection)
            .finish_non_exhaustive()
    }
}
