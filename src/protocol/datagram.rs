//! What users implement to send and receive datagrams.

use std::any::Any;

use super::TypeName;
use crate::address::Address;
use crate::error::{Error, Result};
use crate::transport::{DatagramTransport, Datagrams};

/// One datagram endpoint: the loop calls it, it answers through the transport it is lent.
///
/// Only [`datagram_received`](Self::datagram_received) must be written.
///
/// ```
/// use wharf::testing::{MemoryNetwork, Record};
/// use wharf::{Address, DatagramProtocol, DatagramTransport, Result};
///
/// /// Sends each datagram back to whoever sent it.
/// struct Echo;
///
/// impl DatagramProtocol for Echo {
///     fn datagram_received(
///         &mut self,
///         transport: &dyn DatagramTransport,
///         data: &[u8],
///         from: &Address,
///     ) -> Result {
///         transport.send_to(data, from)?;
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result {
/// MemoryNetwork::new().event_loop().run(async |event_loop| {
///     event_loop.create_datagram_endpoint(|| Echo).local_address("10.0.0.1:7").await?;
///     let record = Record::new();
///     let client =
///         event_loop.create_datagram_endpoint(record.factory()).peer_address("10.0.0.1:7").await?;
///     client.send(b"ping")?;
///     record.until(|record| record.datagrams() == [b"ping"]).await;
///     Ok(())
/// })
/// # }
/// ```
///
/// # Ordering
/// `connection_made` first and `connection_lost` last, each exactly once; the others come anywhere
/// between them. Datagrams are delivered in the order in which they came in.
///
/// # Re-entrancy
/// No callback ever runs inside another. Every method of the transport only records what is asked
/// for, or hands datagrams to the operating system; what follows from it is called after the running
/// callback has returned.
///
/// # Errors
/// An `Err` (or a panic, which is caught) from a callback goes to the loop's exception handler, and the
/// endpoint goes on: one bad datagram must not stop a server. An [`Error::protocol_violation`] is not
/// reported, so that a peer that sends junk cannot fill the log. Only a `connection_made` that fails aborts
/// the endpoint.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `DatagramProtocol`",
    label = "the protocol of an endpoint has to implement `wharf::DatagramProtocol`",
    note = "a `Protocol` belongs to streams: `create_connection` and `create_server`"
)]
#[doc(alias("UdpSocket"))]
pub trait DatagramProtocol: Any + TypeName {
    /// The endpoint is open. Always the first callback.
    fn connection_made(&mut self, transport: &dyn DatagramTransport) -> Result {
        let _ = transport;
        Ok(())
    }

    /// A datagram has arrived; it may be empty.
    ///
    /// `data` is lent: it lies in a buffer that all endpoints of the loop share. What is to be kept
    /// must be copied.
    #[doc(alias("datagramReceived", "recv_from", "recvfrom"))]
    fn datagram_received(
        &mut self,
        transport: &dyn DatagramTransport,
        data: &[u8],
        from: &Address,
    ) -> Result;

    /// Datagrams have arrived, all that were received at once: at least one.
    ///
    /// For protocols that want them together, or want to know more of each than
    /// [`datagram_received`](Self::datagram_received) is told. The default calls that method for
    /// one after the other. What is sent from here goes out together when all were delivered.
    ///
    /// After an `Err` or a panic it is called again with those that were not taken. What it does
    /// not take before `Ok` is dropped, except that `batch` ends early when the transport is
    /// paused: the rest is then delivered after the resume.
    fn datagrams_received(
        &mut self,
        transport: &dyn DatagramTransport,
        batch: &mut Datagrams<'_>,
    ) -> Result {
        batch.try_each(|data, from| self.datagram_received(transport, data, from))
    }

    /// A send or a receive failed; the endpoint goes on.
    ///
    /// Such as "connection refused" on an endpoint with a remote address, which is what a router or
    /// the peer's host said to an earlier datagram, or "message too long". After a failed send its
    /// datagram is gone; those behind it are sent. An error that is an earlier datagram's says so, and
    /// takes no other with it. By default nothing is done: datagrams get lost.
    #[doc(alias("connectionRefused"))]
    fn error_received(&mut self, transport: &dyn DatagramTransport, error: &Error) -> Result {
        let _ = (transport, error);
        Ok(())
    }

    /// More than the high-water mark is waiting to be sent.
    ///
    /// Strictly alternates with [`resume_writing`](Self::resume_writing). What is sent nevertheless
    /// is bounded by the queue limit; see [`DropPolicy`](crate::DropPolicy).
    fn pause_writing(&mut self, transport: &dyn DatagramTransport) -> Result {
        let _ = transport;
        Ok(())
    }

    /// What waits to be sent has shrunk to the low-water mark or below.
    fn resume_writing(&mut self, transport: &dyn DatagramTransport) -> Result {
        let _ = transport;
        Ok(())
    }

    /// The endpoint is closed. Always the last callback; nothing can be sent any more.
    ///
    /// `error` is `None` after a `close` or an `abort`.
    fn connection_lost(
        &mut self,
        transport: &dyn DatagramTransport,
        error: Option<&Error>,
    ) -> Result {
        let _ = (transport, error);
        Ok(())
    }
}
