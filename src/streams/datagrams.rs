//! Datagrams for `async` code.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

use super::chunk::Chunk;
use crate::address::Address;
use crate::error::{Error, Kind, Result};
use crate::event_loop::{EventLoop, Wakers};
use crate::net::DatagramEndpointBuilder;
use crate::protocol::DatagramProtocol;
use crate::transport::{
    DatagramHandle, DatagramTransport, Datagrams, DropPolicy, Endpoint, SendStatus,
};

/// How many bytes wait to be taken, unless set; each datagram counts 64 more.
const DEFAULT_LIMIT: usize = 256 * 1024;
const EACH: usize = 64;

/// So many wait in memory that is used again and again. When more do, each has just as much as it needs: a flood of
/// tiny ones would hold many times what is counted.
const FEW: usize = 64;

/// # Datagrams as a stream
impl EventLoop {
    /// Opens a datagram endpoint (UDP, or a Unix datagram socket) for `async` code.
    ///
    /// The options and the errors are those of [`create_datagram_endpoint`](Self::create_datagram_endpoint).
    ///
    /// ```
    /// # use wharf::testing::MemoryNetwork;
    /// # fn main() -> wharf::Result {
    /// # let event_loop = MemoryNetwork::new().event_loop();
    /// event_loop.run(async |event_loop| {
    ///     let mut server = event_loop.open_datagram_endpoint().local_address("10.0.0.1:7").await?;
    ///     let mut client = event_loop.open_datagram_endpoint().peer_address("10.0.0.1:7").await?;
    ///     client.send(b"ping").await?;
    ///     let mut buffer = [0; 1500];
    ///     let (count, from) = server.recv_from(&mut buffer).await?;
    ///     server.send_to(&buffer[..count], &from).await?;
    ///     assert_eq!(client.recv_from(&mut buffer).await?.0, 4);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    #[doc(alias("UdpSocket", "UnixDatagram"))]
    pub fn open_datagram_endpoint(&self) -> DatagramEndpointBuilder<DatagramQueue, DatagramStream> {
        let shared = Rc::new(Shared {
            event_loop: self.clone(),
            waiting: RefCell::default(),
            held: Cell::new(0),
            limit: Cell::new(DEFAULT_LIMIT),
            policy: Cell::new(DropPolicy::Refuse),
            dropped: Cell::new(0),
            is_paused: Cell::new(false),
            writing_paused: Cell::new(false),
            end: RefCell::default(),
            errors: RefCell::default(),
            wakers: Wakers::default(),
            senders: Wakers::default(),
        });
        let protocol = DatagramQueue { shared: Rc::clone(&shared) };
        let finish =
            |endpoint: Endpoint<_>| DatagramStream { handle: endpoint.handle().clone(), shared };
        self.create_datagram_endpoint(move || protocol).finishing(finish)
    }
}

/// A datagram endpoint for `async` code: what [`EventLoop::open_datagram_endpoint`] gives.
///
/// Datagrams are received ahead of who takes them, up to a [limit](Self::set_receive_queue).
///
/// Dropping it closes the endpoint: what was sent goes out, what nobody has taken is lost.
#[doc(alias("UdpSocket", "UnixDatagram"))]
pub struct DatagramStream {
    handle: DatagramHandle,
    shared: Rc<Shared>,
}

impl DatagramStream {
    /// Receives a datagram into `buffer`: its length there, and who sent it. What does not fit is cut off.
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// What the network said to an earlier datagram (as "connection refused"): the endpoint goes on.
    /// [`is_closed`](Error::is_closed) when it is closed, and all that it received was taken.
    #[doc(alias("recvfrom"))]
    pub async fn recv_from(&mut self, buffer: &mut [u8]) -> Result<(usize, Address), Error> {
        let (data, from) = self.receive().await?;
        let count = data.len().min(buffer.len());
        buffer[..count].copy_from_slice(&data.data()[..count]);
        Ok((count, from))
    }

    /// The next datagram, and who sent it; `None` when the endpoint is closed. As [`recv_from`](Self::recv_from), for
    /// loops.
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<(Vec<u8>, Address), Error>> {
        match self.receive().await {
            Ok((data, from)) => Some(Ok((data.into_vec(), from))),
            Err(error) if error.is_closed() => None,
            Err(error) => Some(Err(error)),
        }
    }

    async fn receive(&self) -> Result<(Chunk, Address), Error> {
        let shared = &self.shared;
        shared.wakers.wait_for(shared.event_loop.core(), || shared.pop(&self.handle)).await
    }

    /// Sends one datagram to `to`, when less than the high-water mark waits to be sent.
    ///
    /// It is sent or not: dropping the future while it waits sends nothing.
    ///
    /// # Errors
    /// Those of [`DatagramTransport::send_to`]; [`is_closed`](Error::is_closed) when the endpoint is closed.
    #[doc(alias("sendto"))]
    pub async fn send_to(&self, data: &[u8], to: &Address) -> Result<(), Error> {
        self.send_with(|handle| handle.send_to(data, to)).await
    }

    /// Sends one datagram to the endpoint's peer, as [`send_to`](Self::send_to).
    ///
    /// # Errors
    /// Those of [`DatagramTransport::send`]; [`is_closed`](Error::is_closed) when the endpoint is closed.
    pub async fn send(&self, data: &[u8]) -> Result<(), Error> {
        self.send_with(|handle| handle.send(data)).await
    }

    async fn send_with(
        &self,
        mut send: impl FnMut(&DatagramHandle) -> Result<SendStatus, Error>,
    ) -> Result<(), Error> {
        let shared = &self.shared;
        let try_send = || {
            if shared.writing_paused.get() && !self.handle.is_closing() {
                return None;
            }
            match send(&self.handle) {
                Err(error) => Some(Err(error)),
                Ok(SendStatus::Closed) => Some(Err(shared.closed())),
                Ok(SendStatus::Refused) => {
                    shared.writing_paused.set(true);
                    None
                }
                Ok(SendStatus::AboveHighWater) => {
                    shared.writing_paused.set(true);
                    Some(Ok(()))
                }
                // One that is dropped is counted: the policy says so.
                Ok(_) => Some(Ok(())),
            }
        };
        shared.senders.wait_in_turn(shared.event_loop.core(), try_send).await
    }

    /// How many bytes of datagrams may wait to be taken (256 KiB unless set, and each counts 64 more), and what
    /// becomes of one that finds no room: with [`DropPolicy::Refuse`], the default, it waits in the operating system,
    /// which drops what comes when its own buffer is full; otherwise the newest or the oldest is dropped here, and
    /// [counted](Self::dropped). There is always room for one.
    pub fn set_receive_queue(&self, limit: usize, policy: DropPolicy) {
        self.shared.limit.set(limit.max(1));
        self.shared.policy.set(policy);
        self.shared.resume(&self.handle);
    }

    /// How many datagrams found no room in the receive queue and were dropped.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.get()
    }

    /// The address that is received at.
    ///
    /// # Errors
    /// Those of [`DatagramTransport::local_address`].
    pub fn local_address(&self) -> Result<Address, Error> {
        self.handle.local_address()
    }

    /// A handle to the endpoint, for everything that it can do besides: multicast, many at once, statistics. Its methods are
    /// those of [`DatagramTransport`](crate::DatagramTransport).
    pub fn transport(&self) -> DatagramHandle {
        self.handle.clone()
    }

    /// Closes the endpoint: what was sent goes out first. What was received can still be taken.
    pub fn close(&self) {
        self.handle.close();
    }
}

impl Drop for DatagramStream {
    fn drop(&mut self) {
        self.handle.close();
        let waiting = self.shared.waiting.take();
        drop(waiting);
    }
}

impl fmt::Debug for DatagramStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DatagramStream")
            .field("handle", &self.handle)
            .field("waiting", &self.shared.waiting.borrow().len())
            .finish()
    }
}

/// The protocol of a [`DatagramStream`]. It appears in the type of its builder only.
pub struct DatagramQueue {
    shared: Rc<Shared>,
}

/// What the protocol and its user share.
struct Shared {
    event_loop: EventLoop,
    waiting: RefCell<VecDeque<(Chunk, Address)>>,
    /// What they count.
    held: Cell<usize>,
    limit: Cell<usize>,
    policy: Cell<DropPolicy>,
    dropped: Cell<u64>,
    is_paused: Cell<bool>,
    writing_paused: Cell<bool>,
    /// Closed, by an error or not.
    end: RefCell<Option<Option<Error>>>,
    /// Of single datagrams; the last ones only.
    errors: RefCell<VecDeque<Error>>,
    /// Who waits for a datagram.
    wakers: Wakers,
    /// Those who wait until more is taken.
    senders: Wakers,
}

/// How many errors are kept for who receives.
const MOST_ERRORS: usize = 16;

impl Shared {
    fn pop(&self, handle: &DatagramHandle) -> Option<Result<(Chunk, Address), Error>> {
        if let Some(error) = self.errors.borrow_mut().pop_front() {
            return Some(Err(error));
        }
        let first = self.waiting.borrow_mut().pop_front();
        if let Some((data, from)) = first {
            self.held.set(self.held.get() - data.len() - EACH);
            self.resume(handle);
            return Some(Ok((data, from)));
        }
        let is_over = self.end.borrow().is_some();
        is_over.then(|| Err(self.closed()))
    }

    fn resume(&self, handle: &DatagramHandle) {
        // Only who refuses waits for room.
        let has_room =
            self.held.get() < self.limit.get() || self.policy.get() != DropPolicy::Refuse;
        if has_room && self.is_paused.replace(false) {
            handle.resume_reading();
        }
    }

    fn push(&self, transport: &dyn DatagramTransport, data: &[u8], from: &Address) {
        let size = data.len() + EACH;
        if self.held.get() + size > self.limit.get() {
            match self.policy.get() {
                DropPolicy::Newest if self.held.get() > 0 => {
                    return self.dropped.set(self.dropped.get() + 1);
                }
                DropPolicy::Oldest => self.drop_oldest(size),
                _ => {}
            }
        }
        let mut waiting = self.waiting.borrow_mut();
        let chunk = if waiting.len() < FEW {
            let mut chunk = Chunk::with_room(data.len());
            chunk.append(data);
            chunk
        } else {
            Chunk::exactly(data)
        };
        waiting.push_back((chunk, from.clone()));
        drop(waiting);
        self.held.set(self.held.get() + size);
        if self.held.get() >= self.limit.get() && self.policy.get() == DropPolicy::Refuse {
            self.is_paused.set(true);
            transport.pause_reading();
        }
    }

    fn drop_oldest(&self, size: usize) {
        while self.held.get() + size > self.limit.get() {
            let Some((oldest, _)) = self.waiting.borrow_mut().pop_front() else { return };
            self.held.set(self.held.get() - oldest.len() - EACH);
            self.dropped.set(self.dropped.get() + 1);
        }
    }

    fn closed(&self) -> Error {
        match &*self.end.borrow() {
            Some(Some(error)) => {
                Error::with_source(Kind::Closed, "the endpoint was lost", error.clone())
            }
            _ => Error::new(Kind::Closed, "the endpoint was closed"),
        }
    }

    fn wake(&self) {
        self.wakers.wake_all(self.event_loop.core());
    }
}

impl DatagramProtocol for DatagramQueue {
    fn datagram_received(
        &mut self,
        transport: &dyn DatagramTransport,
        data: &[u8],
        from: &Address,
    ) -> Result {
        self.shared.push(transport, data, from);
        Ok(())
    }

    fn datagrams_received(
        &mut self,
        transport: &dyn DatagramTransport,
        batch: &mut Datagrams<'_>,
    ) -> Result {
        for datagram in batch {
            self.shared.push(transport, datagram.data, datagram.from);
        }
        self.shared.wake();
        Ok(())
    }

    fn error_received(&mut self, _: &dyn DatagramTransport, error: &Error) -> Result {
        let mut errors = self.shared.errors.borrow_mut();
        if errors.len() == MOST_ERRORS {
            errors.pop_front();
        }
        errors.push_back(error.clone());
        drop(errors);
        self.shared.wake();
        Ok(())
    }

    fn pause_writing(&mut self, _: &dyn DatagramTransport) -> Result {
        self.shared.writing_paused.set(true);
        Ok(())
    }

    fn resume_writing(&mut self, _: &dyn DatagramTransport) -> Result {
        self.shared.writing_paused.set(false);
        self.shared.senders.wake_some(self.shared.event_loop.core());
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn DatagramTransport, error: Option<&Error>) -> Result {
        self.shared.writing_paused.set(false);
        *self.shared.end.borrow_mut() = Some(error.cloned());
        self.shared.wake();
        self.shared.senders.wake_all(self.shared.event_loop.core());
        Ok(())
    }
}

impl fmt::Debug for DatagramQueue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("DatagramQueue").finish_non_exhaustive()
    }
}
