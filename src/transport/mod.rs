//! What protocols talk to.

mod close_reason;
mod connection;
mod connection_settings;
mod datagram;
mod facts;
mod flags;
mod handle;
mod info;
mod marks;
mod options;
mod rate_limit;
mod relay;
mod send_file;
#[cfg_attr(
    not(feature = "tls-core"),
    allow(dead_code, unused_imports, reason = "what only TLS asks the other parts of a stream")
)]
mod stream;
#[cfg(feature = "tls-core")]
mod tls;
mod water_marks;

use std::fs::File;
use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use crate::driver::TransportId;
use crate::error::Error;
use crate::event_loop::EventLoop;
use crate::protocol::Protocol;
use crate::timeout::Timeout;

pub use self::close_reason::CloseReason;
pub use self::connection::Connection;
pub use self::datagram::{
    Datagram, DatagramHandle, DatagramStatistics, DatagramTransport, Datagrams, DropPolicy,
    Endpoint, SendStatus,
};
pub use self::handle::TransportHandle;
pub use self::info::Info;
pub use self::rate_limit::{RateGroup, RateLimit};
pub use self::relay::{
    RelayBuilder, RelayEnd, RelayOutcome, RelaySide, RelayStatistics, Splicing, relay,
};
pub(crate) use self::send_file::Progress;
pub use self::send_file::SendFile;
#[cfg(feature = "tls-core")]
pub use self::tls::{TlsEarlyData, TlsInfo, TlsUpgrade};
pub use self::water_marks::WaterMarks;

pub(crate) use self::connection_settings::connection_settings;
pub(crate) use self::datagram::{DatagramEndpoint, DatagramOptions, DatagramShared};
pub(crate) use self::facts::Facts;
pub(crate) use self::flags::flags;
pub(crate) use self::options::StreamOptions;
pub(crate) use self::stream::{
    Access, ConnectionFacts, Lingering, Stream, StreamPool, closed, flush, poll_flush, sealed,
};
#[cfg(feature = "tls-core")]
pub(crate) use self::stream::{PlaceholderProtocol, Waiter};
#[cfg(feature = "tls-core")]
pub(crate) use self::tls::{Setup, TlsWork};

/// The write side and the controls of one connection: TCP, Unix socket, pipe, terminal or memory.
///
/// Lent to each callback as `&dyn Transport`, and kept for later as a [`TransportHandle`], which
/// implements it too. Every method takes `&self`, returns at once, and never calls a protocol:
/// what follows from it is delivered after the running callback has returned. On a connection that
/// is gone every method is a harmless no-op.
///
/// The trait is sealed: wharf implements it.
///
/// ```
/// use wharf::testing::Recorder;
/// use wharf::{Protocol, Result, Transport, WriteStatus};
///
/// /// Sends numbers for as long as the peer takes them.
/// #[derive(Default)]
/// struct Numbers(u64);
///
/// impl Numbers {
///     fn send(&mut self, transport: &dyn Transport) {
///         while transport.write(&self.0.to_be_bytes()) == WriteStatus::Accepted {
///             self.0 += 1;
///         }
///     }
/// }
///
/// impl Protocol for Numbers {
///     fn connection_made(&mut self, transport: &dyn Transport) -> Result {
///         self.send(transport);
///         Ok(())
///     }
///
///     fn data_received(&mut self, transport: &dyn Transport, _: &[u8]) -> Result {
///         transport.close();
///         Ok(())
///     }
///
///     fn resume_writing(&mut self, transport: &dyn Transport) -> Result {
///         self.send(transport);
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result {
/// let mut recorder = Recorder::new(Numbers::default)?;
/// recorder.take_sent(1 << 20)?;
/// recorder.receive(b"enough")?;
/// assert!(recorder.is_closing());
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `Transport`",
    label = "`wharf::Transport` is not implemented for this type",
    note = "a transport is lent to each callback: to keep it, keep `transport.handle()`, a `TransportHandle`"
)]
#[doc(alias("ITransport"))]
pub trait Transport: sealed::Sealed {
    /// Sends `data`, in order, as soon as the peer takes it.
    ///
    /// It never blocks and never fails: errors arrive in `connection_lost`. Writes of one callback
    /// are gathered and go out together when it returns; what the operating system does not take
    /// is copied and queued. An empty slice changes nothing.
    #[doc(alias("send", "write_all", "sendall"))]
    fn write(&self, data: &[u8]) -> WriteStatus;

    /// As [`write`](Self::write), without copying: what cannot be sent at once is queued as it is.
    ///
    /// The cheap way to send the same bytes to many connections.
    ///
    /// Less than 512 bytes are copied all the same. For the write buffer `data` counts as its length; a
    /// part of a larger buffer keeps all of that in memory until it is sent.
    fn write_bytes(&self, data: Bytes) -> WriteStatus;

    /// Writes the slices one after the other, as if joined.
    #[doc(alias("writelines", "writeSequence"))]
    fn write_vectored(&self, slices: &[IoSlice<'_>]) -> WriteStatus;

    /// Sends `count` bytes of `file` from `offset` on, or with `None` all from there to its end,
    /// behind what was written before; what is written afterwards follows it.
    ///
    /// On TCP and Unix sockets of Linux the operating system takes the bytes from its page cache
    /// (`sendfile`); elsewhere they are read and written 128 KiB at a time. The file's own position
    /// is neither used nor moved, so that one file can be sent to many connections at once. Up to
    /// 1 MiB goes out before other connections have their turn. Reading from the peer goes on.
    ///
    /// The range is decided when this is called, the bytes are read when they go out: of a file that changes
    /// meanwhile, part is sent as it was and part as it is now. A file that turns out to be shorter ends the
    /// connection, and so does an error in reading it: the peer waits for bytes that are not there.
    /// [`close`](Self::close) and [`write_eof`](Self::write_eof) send all of it first, and the linger deadline
    /// counts from the last progress. For the write buffer a file that waits counts as 4 KiB, whatever its length;
    /// so `pause_writing` is called for what waits behind it, and for very many files.
    ///
    /// What is not in the page cache is read from the disk in the loop's own thread, which waits
    /// for it; the first MiB is read ahead. Where disks are slow, read with
    /// [`EventLoop::run_in_executor`] instead.
    ///
    /// ```no_run
    /// # use std::fs::File;
    /// # use wharf::{Protocol, Result, Transport};
    /// struct Download;
    ///
    /// impl Protocol for Download {
    ///     fn connection_made(&mut self, transport: &dyn Transport) -> Result {
    ///         let file = File::open("image.iso")?;
    ///         transport.write(format!("{}\n", file.metadata()?.len()).as_bytes());
    ///         transport.send_file(file.into(), 0, None).detach();
    ///         transport.close();
    ///         Ok(())
    ///     }
    ///
    ///     fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
    ///         Ok(())
    ///     }
    /// }
    /// ```
    ///
    /// A file that is refused leaves the connection as it is: the example above would end it cleanly,
    /// without the file. Where files can be refused, look at the result before you announce a length: an
    /// error that is known at once is there at once ([`SendFile::is_done`]).
    ///
    /// # Errors
    /// The future's; nothing is sent then: [`is_closed`](Error::is_closed) where
    /// [`write`](Self::write) would say so, [`is_unsupported`](Error::is_unsupported) for what is no
    /// regular file, and for one whose size is not known before it is read (in `/proc`, `/sys` and the
    /// like: read it, and write what came), [`is_invalid`](Error::is_invalid) for one that is not open for reading or does
    /// not have `count` bytes there. Later ones are those of [`SendFile`].
    #[doc(alias("sendfile"))]
    fn send_file(&self, file: Rc<File>, offset: u64, count: Option<u64>) -> SendFile;

    /// Sends `data` over a Unix socket, and `descriptors` with its first byte.
    ///
    /// The process at the other end gets descriptors of its own for the same open files; those given
    /// here are closed once they are sent, and when they are refused. What was written before goes
    /// out before. `data` must not be empty, as descriptors travel with bytes only.
    ///
    /// The peer has to receive them: with [`Protocol::descriptors_received`] when it is wharf's.
    ///
    /// # Errors
    /// [`is_unsupported`](Error::is_unsupported) on what is not a Unix socket of the operating
    /// system; [`is_invalid`](Error::is_invalid) for empty `data`, or more than 253 descriptors;
    /// [`is_write_cap`](Error::is_write_cap) when more than 1024 would wait to be sent (nothing is
    /// taken then, and the connection goes on). A connection that is closing or gone is
    /// [`WriteStatus::Closed`].
    fn write_with_descriptors(
        &self,
        data: &[u8],
        descriptors: Vec<OwnedFd>,
    ) -> Result<WriteStatus, Error>;

    /// Ends the write side once all that was written is sent; reading goes on.
    ///
    /// Later writes are refused as [`WriteStatus::Closed`]. Repeated calls change nothing. A pipe that
    /// is only written to is closed by it, as by [`close`](Self::close); a terminal's other end
    /// notices nothing.
    #[doc(alias("shutdown", "loseWriteConnection"))]
    fn write_eof(&self);

    /// Whether [`write_eof`](Self::write_eof) can end just the write side: not under TLS 1.2, where it
    /// does nothing.
    fn can_write_eof(&self) -> bool;

    /// Stops reading now, sends what is written, then closes; `connection_lost` follows when everything
    /// was handed to the system.
    ///
    /// What was written arrives, whatever the peer says meanwhile, if the peer goes on reading: the socket stays
    /// until the peer has ended its side, or has everything
    /// ([`LoopStatistics::lingering`](crate::LoopStatistics::lingering)). A peer that takes nothing for the linger
    /// deadline (30 s by default, [`Timeout::Linger`]) is given up; so is one when closing as a whole takes longer
    /// than [`Timeout::Closing`], which is off by default. Repeated calls change nothing.
    ///
    /// `connection_lost(None)` means handed to the system, not received. To know that the peer has everything:
    /// [`write_eof`](Self::write_eof), then wait for `eof_received` or for the peer's answer. If the loop ends before
    /// `connection_lost`, what is queued is dropped, as by [`abort`](Self::abort).
    ///
    /// Two options change how it ends: `reset_on_close`
    /// ([of clients](crate::ConnectionBuilder::reset_on_close), [of servers](crate::ServerBuilder::reset_on_close))
    /// and, under TLS, `shutdown_timeout` (of `TlsClientBuilder` and `TlsServerBuilder`), which waits for the peer's end.
    ///
    /// The connection ends for everybody who shares the socket: other descriptors of it cannot write any
    /// more. [`abort`](Self::abort), with nothing waiting to be sent, leaves it to them.
    #[doc(alias("loseConnection"))]
    fn close(&self);

    /// Closes without sending what is queued; `connection_lost(None)` follows soon.
    ///
    /// If something was dropped that way, the peer sees a reset and no end (no `close_notify` under TLS);
    /// pipes have no such thing, nor have Unix sockets: their peers see an end.
    #[doc(alias("abortConnection"))]
    fn abort(&self);

    /// Whether the connection is closing or gone: true from `close`, `abort` or an error on.
    fn is_closing(&self) -> bool;

    /// Why the connection is closed: by this side, by the peer, or by which error. `None` until it is.
    ///
    /// It is there in `connection_lost`, and stays in handles.
    fn close_reason(&self) -> Option<CloseReason>;

    /// Stops `data_received` until [`resume_reading`](Self::resume_reading).
    ///
    /// Takes effect at once, also for bytes the loop already knows of; costs no system call. An
    /// end of the peer's side that comes meanwhile is delivered after the resume; a reset is
    /// delivered at once. When a write fails meanwhile, what was received before is kept for the resume,
    /// for as long as the linger deadline.
    #[doc(alias("pauseProducing"))]
    fn pause_reading(&self);

    /// Undoes [`pause_reading`](Self::pause_reading). It does not end a hold.
    #[doc(alias("resumeProducing"))]
    fn resume_reading(&self);

    /// Asks to stop reading until the write buffer has drained to the low-water mark.
    ///
    /// What the default `pause_writing` does. It is granted only if the buffer passed its
    /// high-water mark inside this connection's own read callback, which means that this
    /// connection's input produces the output. Two peers that both stop reading on any overflow
    /// would wait for each other for ever. The hold ends by itself before `resume_writing`.
    fn hold_reading(&self);

    /// Whether more is going to be delivered to this protocol: not paused, not held, not waiting for
    /// its read limit, not at the end, not closing, and no other protocol set.
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

    /// The bytes written but not yet handed to the operating system. A file that waits counts as
    /// 4 KiB.
    #[doc(alias("get_write_buffer_size"))]
    fn write_buffer_size(&self) -> usize;

    /// The water marks. Both are 0 when the connection is closed.
    #[doc(alias("get_write_buffer_limits"))]
    fn write_buffer_limits(&self) -> WaterMarks;

    /// Sets the water marks: [`WaterMarks::default`] are 64 KiB and 16 KiB.
    ///
    /// Whether writing pauses or resumes is decided again right after the running callback.
    ///
    /// # Errors
    /// [`is_invalid`](Error::is_invalid) when `low` is above `high`, which changes nothing.
    fn set_write_buffer_limits(&self, limits: WaterMarks) -> Result<(), Error>;

    /// The most bytes that may wait to be sent before the connection is aborted; `None`: no cap.
    ///
    /// A write that finds more than `cap` bytes waiting is refused whole, and the connection ends
    /// with an error that [`is_write_cap`](Error::is_write_cap). Connections of a server have a
    /// cap of 16 MiB by default, those made by `create_connection` none.
    fn set_write_buffer_cap(&self, cap: Option<usize>);

    /// Sets, changes or (with `None`) removes a deadline; it counts from now.
    ///
    /// [`Idle`](Timeout::Idle), [`User`](Timeout::User) and, unless the connection is closing,
    /// [`WriteStall`](Timeout::WriteStall) call [`Protocol::timed_out`] when they pass.
    /// [`Linger`](Timeout::Linger) and [`Closing`](Timeout::Closing) end the connection without that call, as a
    /// write stall does while the connection is closing. `None` for a write stall restores its default. A
    /// deadline of zero passes at once, in the loop's next tick. Traffic moves a deadline at no cost.
    #[doc(alias("TimeoutMixin", "setTimeout"))]
    fn set_timeout(&self, timeout: Timeout, after: Option<Duration>);

    /// Limits how fast this connection reads, from now on; `None`: as fast as it can.
    ///
    /// While the budget is used up nothing is read, so that the peer's own flow control slows it
    /// down. That is one more independent reason not to read, beside a pause and a hold: as with
    /// those, a reset is told at once, and what was not read is lost.
    fn set_read_limit(&self, limit: Option<RateLimit>);

    /// Limits how fast this connection writes, from now on; `None`: as fast as it can.
    ///
    /// What is written beyond the budget is queued, and counts for the water marks and the write cap.
    /// The time that the limit takes is no write stall. [`close`](Self::close) still sends what is
    /// queued, no faster than the limit, for as long as that takes: bytes that pass are progress, from
    /// which the linger deadline counts.
    fn set_write_limit(&self, limit: Option<RateLimit>);

    /// Joins a group whose members share their budgets, leaving the one it is in; `None`: just leaves.
    ///
    /// # Errors
    /// [`is_invalid`](Error::is_invalid) for a group of another loop, which changes nothing.
    fn set_rate_group(&self, group: Option<&RateGroup>) -> Result<(), Error>;

    /// Puts another protocol in this one's place.
    ///
    /// It applies when the running callback returns, or in the next round when called from
    /// elsewhere. Neither protocol gets `connection_made` or `connection_lost` for it. `leftover`
    /// is what the old protocol received but did not consume: the new one receives it first (after
    /// a resume, while reading is paused). If writing is paused the new protocol gets
    /// `pause_writing`.
    fn set_protocol(&self, next: Box<dyn Protocol>, leftover: Bytes);

    /// Goes on under TLS (STARTTLS): begins a handshake, as `upgrade` says.
    ///
    /// What was written before goes out as it is. What is written from now on is sent under TLS once
    /// the handshake is done; until then `write_buffer_size` counts it. Input is TLS as soon as the
    /// running callback has returned. [`Protocol::tls_established`] tells the end; handles, ids, marks
    /// and deadlines stay. Called on a connection that has TLS it puts another layer on it (TLS in
    /// TLS). [`close`](Self::close) during the handshake waits for it only if something is written that
    /// needs it.
    ///
    /// `leftover` is what the protocol received but did not consume, as are bytes given back by
    /// [`unread`](Self::unread). Unless it is empty, or the upgrade [says to feed it to
    /// TLS](TlsUpgrade::feed_leftover), the connection is aborted: those bytes came without TLS.
    ///
    /// # Errors
    /// They end the connection and come in `connection_lost`: [`is_tls`](Error::is_tls) for a failed
    /// handshake and for a leftover that is refused; [`is_timeout`](Error::is_timeout) when the
    /// handshake takes too long; [`is_truncated`](Error::is_truncated) when the peer ends the
    /// connection meanwhile; [`is_invalid`](Error::is_invalid) for a client without a server's name,
    /// after [`write_eof`](Self::write_eof), and while a handshake is going on;
    /// [`is_unsupported`](Error::is_unsupported) on a pipe that goes one way
    /// ([`connect_pipes`](crate::EventLoop::connect_pipes) makes one transport of two).
    #[doc(alias("startTLS", "STARTTLS"))]
    #[cfg(feature = "tls-core")]
    fn start_tls(&self, upgrade: TlsUpgrade, leftover: Bytes);

    /// Fills `output` with bytes that only the two ends of this TLS connection know, different for
    /// every `label` and `context` (RFC 8446, 7.5; RFC 5705): to bind a login to the connection, or
    /// as a key.
    ///
    /// Under TLS 1.2 an empty context differs from none.
    ///
    /// # Errors
    /// [`is_unsupported`](Error::is_unsupported) under TLS 1.2 if the peer does not know the extended
    /// master secret, without which somebody between two connections could give both the same (RFC
    /// 7627, 5.4); [`is_invalid`](Error::is_invalid) before the handshake is done, without TLS, for no
    /// bytes or, under TLS 1.3, more than 255 times the length of the suite's hash, for labels of more
    /// than 249 bytes, or that TLS itself uses; [`is_closed`](Error::is_closed) when the connection is
    /// gone.
    #[cfg(feature = "tls-core")]
    fn export_keying_material(
        &self,
        output: &mut [u8],
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<(), Error>;

    /// What is known of the connection: addresses, credentials, TLS. It stays known when the connection
    /// is gone, however it ended.
    #[doc(alias(
        "get_extra_info",
        "getPeer",
        "getHost",
        "peer_addr",
        "local_addr",
        "peername",
        "sockname"
    ))]
    fn info(&self) -> Rc<Info>;

    /// The identity of the connection in its loop; never used again for another.
    fn id(&self) -> TransportId;

    /// A handle to keep: writes to, or closes, this connection from anywhere on the loop.
    fn handle(&self) -> TransportHandle;

    /// The loop that drives this connection.
    fn event_loop(&self) -> EventLoop;
}

/// What became of a write.
///
/// See [`Transport`] for a protocol that writes until it is told to wait.
///
/// One that tells everybody, but those who are behind:
///
/// ```
/// use std::collections::HashMap;
/// use wharf::bytes::Bytes;
/// use wharf::{Transport as _, TransportHandle, TransportId, WriteStatus};
///
/// struct Audience {
///     listeners: HashMap<TransportId, TransportHandle>,
/// }
///
/// impl Audience {
///     fn tell(&self, news: &Bytes) {
///         for listener in self.listeners.values() {
///             match listener.write_bytes(news.clone()) {
///                 // Who takes it so slowly is closed: what waits is sent, and nothing is added.
///                 WriteStatus::AboveHighWater => listener.close(),
///                 status if status.is_taken() => (),
///                 // It is leaving already.
///                 _ => (),
///             }
///         }
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteStatus {
    /// Taken: sent, or queued below the high-water mark.
    Accepted,
    /// Taken, and more than the high-water mark is now waiting to be sent.
    AboveHighWater,
    /// Refused, nothing was taken: the connection is closing, its write side is ended, or the
    /// write cap was exceeded.
    Closed,
}

impl WriteStatus {
    /// Whether the connection has taken what was written.
    pub fn is_taken(self) -> bool {
        matches!(self, Self::Accepted | Self::AboveHighWater)
    }
}
