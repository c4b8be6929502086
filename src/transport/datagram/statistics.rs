//! What an endpoint counts.

use std::cell::Cell;

/// What became of an endpoint's datagrams.
///
/// Datagrams taken by a send are `sent + send_errors + dropped + discarded + queued` (`dropped` also
/// has those that [`DropPolicy::Newest`](crate::DropPolicy::Newest) did not take). Those that arrived
/// are `received + discarded_unread`, and [`receive_drops`](crate::DatagramTransport::receive_drops).
///
/// ```
/// use wharf::testing::{MemoryNetwork, Record};
/// use wharf::DatagramTransport as _;
///
/// # fn main() -> wharf::Result {
/// MemoryNetwork::new().event_loop().run(async |event_loop| {
///     let record = Record::new();
///     let server =
///         event_loop.create_datagram_endpoint(record.factory()).local_address("10.0.0.1:53").await?;
///     let client =
///         event_loop.create_datagram_endpoint(Record::new().factory()).peer_address("10.0.0.1:53").await?;
///     client.send(b"one")?;
///     client.send(b"two")?;
///     record.until(|record| record.datagrams().len() == 2).await;
///     assert_eq!(client.statistics().sent, 2);
///     assert_eq!(server.statistics().received, 2);
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct DatagramStatistics {
    /// Handed to the operating system.
    pub sent: u64,
    /// Waiting to be, just now.
    pub queued: u64,
    /// Refused by the operating system; each was reported to `error_received`.
    pub send_errors: u64,
    /// Dropped for lack of room in the send queue: [`DropPolicy`](crate::DropPolicy) `Newest` and
    /// `Oldest`.
    pub dropped: u64,
    /// Not taken for lack of room: [`DropPolicy`](crate::DropPolicy) `Refuse`.
    pub refused: u64,
    /// Dropped from the send queue when the endpoint was aborted.
    pub discarded: u64,
    /// Delivered to the protocol.
    pub received: u64,
    /// Delivered, but longer than the receive buffer: their ends are lost.
    pub truncated: u64,
    /// Received, but not delivered since the endpoint closed.
    pub discarded_unread: u64,
    /// Errors that stood for no datagram of this endpoint's own queue: what the network said to
    /// earlier ones, and failed receives. Reported to `error_received`.
    pub errors_received: u64,
}

/// The running counts behind [`DatagramStatistics`].
#[derive(Default)]
pub(super) struct Counts(Cell<DatagramStatistics>);

impl Counts {
    pub(super) fn snapshot(&self) -> DatagramStatistics {
        self.0.get()
    }

    #[inline]
    pub(super) fn change(&self, change: impl FnOnce(&mut DatagramStatistics)) {
        let mut statistics = self.0.get();
        change(&mut statistics);
        self.0.set(statistics);
    }
}
