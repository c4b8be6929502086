//! Peers that do what peers should not.

use std::rc::Rc;
use std::time::Duration;

use crate::error::Result;
use crate::protocol::{Eof, Protocol};
use crate::transport::{Transport, TransportHandle, WriteStatus};

/// A peer that does what peers should not: the other end of a test of a server, a client or a protocol.
///
/// It is a protocol, for servers and connections on any loop: over the loopback interface, in
/// [memory](super::MemoryNetwork), in a simulation. [`new`](Self::new) gives one that reads everything, says nothing, and
/// closes when the other side ends; each method adds a fault, and they go together.
///
/// ```
/// use std::time::Duration;
/// use wharf::testing::{MemoryNetwork, Misbehaving, Record};
/// use wharf::{Timeout, Transport as _};
///
/// # fn main() -> wharf::Result {
/// MemoryNetwork::new().event_loop().run(async |event_loop| {
///     // A server that answers a byte a second, and a client that has a deadline for silence only: it is never over.
///     let slow = || Misbehaving::new().dribbles(b"HTTP/1.1 200 OK", Duration::from_secs(1));
///     event_loop.create_server(slow, "10.0.0.1:80").await?;
///     let record = Record::new();
///     let client = event_loop.create_connection(record.factory(), "10.0.0.1:80").await?;
///     client.set_timeout(Timeout::Idle, Some(Duration::from_secs(5)));
///     event_loop.sleep(Duration::from_millis(12_500)).await;
///     assert_eq!(record.received(), b"HTTP/1.1 200 ");
///     assert!(!record.is_lost());
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "it is a protocol, for a server or a connection"]
pub struct Misbehaving {
    dribble: Option<(Rc<[u8]>, Duration)>,
    flood: usize,
    never_reads: bool,
    keeps_open: bool,
    end: Option<(usize, End)>,
    received: usize,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Close,
    Reset,
}

/// What a flood is made of.
const WAVE: &[u8] = &[b'~'; 16 * 1024];

impl Misbehaving {
    /// One that does nothing wrong yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// It says `bytes`, one at a time: the first at once, and each after that when `pace` has passed.
    pub fn dribbles(mut self, bytes: &[u8], pace: Duration) -> Self {
        self.dribble = Some((bytes.into(), pace));
        self
    }

    /// It sends so many bytes of rubbish, as fast as they are taken.
    pub fn floods(mut self, bytes: usize) -> Self {
        self.flood = bytes;
        self
    }

    /// It reads nothing at all: not even an end, or a reset that nothing is sent into.
    pub fn never_reads(mut self) -> Self {
        self.never_reads = true;
        self
    }

    /// When the other side ends, it keeps its own side open, and says nothing more: half of a connection stays.
    pub fn keeps_open(mut self) -> Self {
        self.keeps_open = true;
        self
    }

    /// It closes once it has received so many bytes, whatever else there is to come: 0 is at once.
    pub fn closes_after(mut self, bytes: usize) -> Self {
        self.end = Some((bytes, End::Close));
        self
    }

    /// It resets the connection once it has received so many bytes: 0 is at once. What it has not sent by then is lost.
    pub fn resets_after(mut self, bytes: usize) -> Self {
        self.end = Some((bytes, End::Reset));
        self
    }

    fn end_if_it_is_time(&mut self, transport: &dyn Transport) {
        match self.end {
            Some((after, End::Close)) if self.received >= after => transport.close(),
            Some((after, End::Reset)) if self.received >= after => {
                // Nothing of it is sent before the callback returns, and an abort that drops output is a reset.
                transport.write(b"\0");
                transport.abort();
            }
            _ => {}
        }
    }

    fn flood(&mut self, transport: &dyn Transport) {
        while self.flood > 0 {
            let wave = &WAVE[..WAVE.len().min(self.flood)];
            self.flood -= wave.len();
            if transport.write(wave) != WriteStatus::Accepted {
                break;
            }
        }
    }
}

impl Protocol for Misbehaving {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        if self.never_reads {
            transport.pause_reading();
        }
        self.end_if_it_is_time(transport);
        if let Some((bytes, pace)) = self.dribble.take() {
            dribble(&transport.handle(), bytes, 0, pace);
        }
        self.flood(transport);
        Ok(())
    }

    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        self.received += data.len();
        self.end_if_it_is_time(transport);
        Ok(())
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Result<Eof> {
        Ok(if self.keeps_open { Eof::KeepOpen } else { Eof::Close })
    }

    fn pause_writing(&mut self, _: &dyn Transport) -> Result {
        Ok(())
    }

    fn resume_writing(&mut self, transport: &dyn Transport) -> Result {
        self.flood(transport);
        Ok(())
    }
}

/// Says the byte at `place`, and later the others.
fn dribble(transport: &TransportHandle, bytes: Rc<[u8]>, place: usize, pace: Duration) {
    let Some(byte) = bytes.get(place) else { return };
    if transport.write(&[*byte]) == WriteStatus::Closed {
        return;
    }
    let handle = transport.clone();
    transport.event_loop().call_later(pace, move || dribble(&handle, bytes, place + 1, pace));
}
