//! What protocols talk to.

mod connection;
mod handle;
mod info;
mod key;
mod options;
mod stream;

use std::io::IoSlice;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::protocol::{Protocol, TimeoutKind};

pub use self::connection::Connection;
pub use self::handle::TransportHandle;
pub use self::info::{Info, PeerCredentials};
pub use self::key::TransportId;
pub use self::options::Keepalive;

pub(crate) use self::key::Key;
pub(crate) use self::options::{SocketOptions, StreamOptions};
pub(crate) use self::stream::{Readiness, Stream, StreamPool, sealed};

/// The write side and the controls of one connection: TCP, Unix socket, pipe, terminal or memory.
///
/// Lent to each callback as `&dyn Transport`, and kept for later as a [`TransportHandle`], which
/// implements it too. Every method takes `&self`, returns at once, and never calls a protocol:
/// what follows from it is delivered after the running callback has returned. On a connection that
/// is gone every method is a harmless no-op.
///
/// The trait is sealed: wharf implements it.
pub trait Transport: sealed::Sealed {
    /// Sends `data`, in order, as soon as the peer takes it.
    ///
    /// It never blocks and never fails: errors arrive in `connection_lost`. Writes of one callback
    /// are gathered and go out together when it returns; what the operating system does not take
    /// is copied and queued. An empty slice changes nothing.
    fn write(&self, data: &[u8]) -> WriteStatus;

    /// As [`write`](Self::write), without copying: what cannot be sent at once is queued as it is.
    ///
    /// The cheap way to send the same bytes to many connections.
    fn write_bytes(&self, data: Bytes) -> WriteStatus;

    /// Writes the slices one after the other, as if joined.
    fn write_vectored(&self, slices: &[IoSlice<'_>]) -> WriteStatus;

    /// Ends the write side once all that was written is sent; reading goes on.
    ///
    /// Later writes are refused as [`WriteStatus::Closed`]. Repeated calls change nothing. A pipe that
    /// is only written to is closed by it, as by [`close`](Self::close); a terminal's other end
    /// notices nothing.
    fn write_eof(&self);

    /// Whether [`write_eof`](Self::write_eof) can end just the write side.
    fn can_write_eof(&self) -> bool;

    /// Stops reading now, sends what is written, then closes; `connection_lost` follows.
    ///
    /// Bounded by the linger deadline (30 s by default). Repeated calls change nothing.
    fn close(&self);

    /// Closes without sending what is queued; `connection_lost(None)` follows soon.
    fn abort(&self);

    /// Whether the connection is closing or gone: true from `close`, `abort` or an error on.
    fn is_closing(&self) -> bool;

    /// Stops `data_received` until [`resume_reading`](Self::resume_reading).
    ///
    /// Takes effect at once, also for bytes the loop already knows of; costs no system call. An
    /// end of the peer's side that comes meanwhile is delivered after the resume; a reset is
    /// delivered at once.
    fn pause_reading(&self);

    /// Undoes [`pause_reading`](Self::pause_reading). It does not end a hold.
    fn resume_reading(&self);

    /// Asks to stop reading until the write buffer has drained to the low-water mark.
    ///
    /// What the default `pause_writing` does. Granted only when the buffer passed its high-water
    /// mark inside this connection's own read callback, that is when it is this connection's own
    /// input that produces the output: two peers that both stop reading on any overflow would wait
    /// for each other for ever. The hold ends by itself before `resume_writing`.
    fn hold_reading(&self);

    /// Whether more is going to be delivered to this protocol: not paused, not held, not at the
    /// end, not closing, and no other protocol set.
    fn is_reading(&self) -> bool;

    /// Gives back the last `count` bytes of what the running `data_received` was given.
    ///
    /// They are delivered again before anything else, once this connection is reading: after a
    /// resume, after a hold, to the protocol that [`set_protocol`](Self::set_protocol) asked for,
    /// or else in the next round. A protocol that takes messages apart looks at
    /// [`is_reading`](Self::is_reading) after each, and gives back what is left when it says no.
    ///
    /// The last call in a callback counts; more than was given means all of it. Outside
    /// `data_received`, and for a [`BufferedProtocol`](crate::BufferedProtocol), it does nothing.
    fn unread(&self, count: usize);

    /// The bytes written but not yet handed to the operating system.
    fn write_buffer_size(&self) -> usize;

    /// The water marks, low first (asyncio's order).
    fn write_buffer_limits(&self) -> (usize, usize);

    /// Sets the water marks, in bytes.
    ///
    /// Writing pauses when the buffer is above `high`, and resumes at or below `low`. With only
    /// `high` given, `low` is a quarter of it; with only `low`, `high` is four times it; with
    /// neither, both are the defaults (64 KiB and 16 KiB). Both directions are judged again right
    /// after the running callback.
    ///
    /// # Errors
    /// `low` above `high` is refused and changes nothing.
    fn set_write_buffer_limits(&self, high: Option<usize>, low: Option<usize>)
    -> Result<(), Error>;

    /// The most bytes that may wait to be sent before the connection is aborted; `None`: no cap.
    ///
    /// A write that finds more than `cap` bytes waiting is refused whole, and the connection ends
    /// with an error that [`is_write_cap`](Error::is_write_cap). Connections of a server have a
    /// cap of 16 MiB by default, those made by `create_connection` none.
    fn set_write_buffer_cap(&self, cap: Option<usize>);

    /// Arms, changes or (with `None`) removes a deadline.
    ///
    /// `Protocol::timed_out` is called when it passes. Re-arming on traffic costs nothing.
    fn set_timeout(&self, kind: TimeoutKind, after: Option<Duration>);

    /// Puts another protocol in this one's place.
    ///
    /// It applies when the running callback returns, or in the next round when called from
    /// elsewhere. Neither protocol gets `connection_made` or `connection_lost` for it. `leftover`
    /// is what the old protocol received but did not consume: the new one receives it first (after
    /// a resume, while reading is paused). If writing is paused the new protocol gets
    /// `pause_writing`.
    fn set_protocol(&self, next: Box<dyn Protocol>, leftover: Bytes);

    /// What is known of the connection: addresses, credentials.
    fn info(&self) -> Rc<Info>;

    /// The identity of the connection in its loop; never used again for another.
    fn id(&self) -> TransportId;

    /// A handle to keep: writes to, or closes, this connection from anywhere on the loop.
    fn handle(&self) -> TransportHandle;

    /// The loop that drives this connection.
    fn event_loop(&self) -> EventLoop;
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteStatus {
    /// Taken: sent, or queued below the high-water mark.
    Accepted,
    /// Taken, and more than the high-water mark is now waiting to be sent.
    AboveHighWater,
    /// Refused, nothing was taken: the connection is closing, its write side is ended, or the
    /// write cap was exceeded.
    Closed,
}
