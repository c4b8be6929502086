//! What users implement.

mod datagram;
mod paused;
mod type_name;

use std::any::Any;
use std::os::fd::OwnedFd;

use crate::error::{Error, Result};
use crate::timeout::Timeout;
use crate::transport::Transport;

pub use self::datagram::DatagramProtocol;
pub use self::paused::PausedProtocol;

pub(crate) use self::type_name::{TypeName, type_name_in};

/// One end of a byte stream: the loop calls it, it answers through the transport it is lent.
///
/// Only [`data_received`](Self::data_received) must be written. Every connection has its own
/// protocol value, made by the factory given to `create_connection` or `create_server`.
///
/// ```
/// use wharf::testing::Recorder;
/// use wharf::{Eof, Error, Protocol, Result, Transport};
///
/// /// Counts the bytes that a peer sends, and answers with their number at the end.
/// #[derive(Default)]
/// struct Count {
///     bytes: usize,
/// }
///
/// impl Protocol for Count {
///     fn connection_made(&mut self, transport: &dyn Transport) -> Result {
///         transport.write(b"go on\n");
///         Ok(())
///     }
///
///     fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
///         self.bytes += data.len();
///         Ok(())
///     }
///
///     fn eof_received(&mut self, transport: &dyn Transport) -> Result<Eof> {
///         transport.write(format!("{} bytes\n", self.bytes).as_bytes());
///         // What is written is sent first.
///         Ok(Eof::Close)
///     }
///
///     fn connection_lost(&mut self, _: &dyn Transport, error: Option<&Error>) -> Result {
///         if let Some(error) = error {
///             eprintln!("{} bytes, then: {error}", self.bytes);
///         }
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result {
/// let mut recorder = Recorder::new(Count::default)?;
/// recorder.receive(b"12345")?;
/// recorder.receive(b"678")?;
/// recorder.receive_eof()?;
/// assert_eq!(recorder.sent()?, b"go on\n8 bytes\n");
/// # Ok(())
/// # }
/// ```
///
/// # Ordering
/// `connection_made`, then any number of `data_received`, then at most one `eof_received`, then
/// `connection_lost`: the first and the last exactly once. `pause_writing`, `resume_writing`,
/// `timed_out` and `shutting_down` come anywhere between the first and the last,
/// `descriptors_received` before the end of the peer's side.
///
/// # Re-entrancy
/// No callback ever runs inside another. Every method of the transport only records what is asked
/// for, or hands bytes to the operating system; what follows from it is called after the running
/// callback has returned.
///
/// # Errors
/// An `Err` (or a panic, which is caught) from any callback aborts the connection, and
/// `connection_lost` follows with that error. It also goes to the loop's
/// [exception handler](crate::EventLoop::set_exception_handler), whatever its type is, unless it is the peer's or
/// the network's doing: an [`Error::protocol_violation`], a timeout, or an error that ended a connection, handed
/// back. So a peer cannot fill the log, and an error of the program is never silent.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `Protocol`",
    label = "the protocol of a stream has to implement `wharf::Protocol`",
    note = "a `LineProtocol` is installed as `Lines::new(x)`, a `BufferedProtocol` as `Buffered(x)`",
    note = "a `FrameProtocol` is installed as `Framed::new(x, decoder)`, a `WebSocketProtocol` in a `WebSocketSession`",
    note = "an `HttpHandler` is passed to `HttpServer::serve_with`, which gives the factory for a server",
    note = "a `DatagramProtocol` belongs to `create_datagram_endpoint`, a `ProcessProtocol` to `subprocess_exec`"
)]
#[doc(alias("LineReceiver", "IProtocol"))]
pub trait Protocol: Any + TypeName {
    /// The connection is up. Always the first callback.
    #[doc(alias("connectionMade"))]
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        let _ = transport;
        Ok(())
    }

    /// Bytes have arrived: at least one, in order, cut at arbitrary places.
    ///
    /// `data` is lent: it lies in a buffer that all connections of the loop share. What is to be
    /// kept must be copied.
    ///
    /// The urgent byte of TCP is not delivered. For telnet, which sends marks that way, set `SO_OOBINLINE`
    /// on the socket, so that it comes as any other byte, and hand the socket in with
    /// [`EventLoop::create_connection_on`](crate::EventLoop::create_connection_on) or
    /// [`create_server_on`](crate::EventLoop::create_server_on).
    #[doc(alias("dataReceived"))]
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result;

    /// The peer has passed descriptors, over a Unix socket whose builder was told to
    /// [receive](crate::ConnectionBuilder::receive_descriptors) them. By default they are closed.
    ///
    /// Called before the `data_received` that brings the first byte they were sent with; in the
    /// order in which they were sent. That `data_received` may begin with bytes that were sent
    /// before them, as the operating system does not tell at which byte they came: let a message
    /// say how many belong to it, and take them in turn. They are closed on exec.
    fn descriptors_received(
        &mut self,
        transport: &dyn Transport,
        descriptors: Vec<OwnedFd>,
    ) -> Result {
        let _ = (transport, descriptors);
        Ok(())
    }

    /// The peer has sent everything it will send. Called once, after all data.
    ///
    /// [`Eof::Close`] (the default) flushes what is written and closes; [`Eof::KeepOpen`] keeps
    /// the write side open until `close`.
    #[doc(alias("readConnectionLost"))]
    fn eof_received(&mut self, transport: &dyn Transport) -> Result<Eof> {
        let _ = transport;
        Ok(Eof::Close)
    }

    /// More than the high-water mark is waiting to be sent: the peer reads too slowly.
    ///
    /// By default reading is held while this connection answers its own input faster than the peer
    /// takes it, so that a protocol without a line about back-pressure stays bounded (see
    /// [`Transport::hold_reading`]). Strictly alternates with
    /// [`resume_writing`](Self::resume_writing).
    #[doc(alias("pauseProducing", "drain"))]
    fn pause_writing(&mut self, transport: &dyn Transport) -> Result {
        transport.hold_reading();
        Ok(())
    }

    /// What waits to be sent has shrunk to the low-water mark or below.
    #[doc(alias("resumeProducing", "drain"))]
    fn resume_writing(&mut self, transport: &dyn Transport) -> Result {
        let _ = transport;
        Ok(())
    }

    /// A deadline set with [`Transport::set_timeout`] passed: [`Timeout::Idle`], [`Timeout::WriteStall`] or
    /// [`Timeout::User`], of a connection that is not closing.
    ///
    /// The default fails with a timeout error, which aborts the connection. `Ok` keeps it, and the
    /// deadline is armed again. All other deadlines abort without this call.
    #[doc(alias("timeoutConnection"))]
    fn timed_out(&mut self, transport: &dyn Transport, timeout: Timeout) -> Result {
        let _ = transport;
        Err(Error::timeout(timeout).into())
    }

    /// The server this connection belongs to is shutting down with a deadline.
    ///
    /// The default closes gracefully: what is written is flushed first. A protocol that wants to
    /// finish a request, or to say good-bye, overrides this and closes later; what is still open
    /// at the deadline is aborted.
    fn shutting_down(&mut self, transport: &dyn Transport) -> Result {
        transport.close();
        Ok(())
    }

    /// The handshake that [`Transport::start_tls`] began is done: what is written and received from
    /// now on is encrypted, and [`Info::tls`] says with whom.
    ///
    /// Only for connections that were upgraded; those made with TLS have their handshake behind them
    /// when `connection_made` is called.
    ///
    #[cfg_attr(feature = "tls-core", doc = "[`Info::tls`]: crate::Info::tls")]
    #[cfg_attr(not(feature = "tls-core"), doc = "[`Transport::start_tls`]: crate#features")]
    #[cfg_attr(not(feature = "tls-core"), doc = "[`Info::tls`]: crate#features")]
    fn tls_established(&mut self, transport: &dyn Transport) -> Result {
        let _ = transport;
        Ok(())
    }

    /// The connection is closed. Always the last callback; nothing can be written any more.
    ///
    /// `error` is `None` after a `close`, an `abort` or the peer's orderly end, which
    /// [`Transport::close_reason`] tells apart; else it is what ended the connection. It can be cloned, to be
    /// kept or told to others. `None` after a `close` means that everything was handed to the system, not that
    /// the peer has received it (see [`Transport::close`]). An `Err` from here is reported as one from any other
    /// callback.
    #[doc(alias("connectionLost"))]
    fn connection_lost(&mut self, transport: &dyn Transport, error: Option<&Error>) -> Result {
        let _ = (transport, error);
        Ok(())
    }

    /// Only [`Buffered`] overrides it: nobody else can name the type of the argument.
    #[doc(hidden)]
    fn as_buffered(&mut self, _: sealed::Token) -> Option<&mut dyn BufferedProtocol> {
        None
    }
}

pub(crate) mod sealed {
    /// An argument of methods of public traits that are wharf's own.
    #[allow(unnameable_types, unreachable_pub)]
    #[derive(Debug)]
    pub struct Token;
}

/// What is to become of a connection whose peer has ended its side.
///
/// A protocol that answers after its peer's end keeps the connection open for it:
///
/// ```
/// use std::time::Duration;
/// use wharf::testing::Recorder;
/// use wharf::{Eof, Protocol, Result, Transport};
///
/// struct Slow;
///
/// impl Protocol for Slow {
///     fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
///         Ok(())
///     }
///
///     fn eof_received(&mut self, transport: &dyn Transport) -> Result<Eof> {
///         let handle = transport.handle();
///         transport.event_loop().call_later(Duration::from_secs(1), move || {
///             handle.write(b"the answer");
///             handle.close();
///         });
///         Ok(Eof::KeepOpen)
///     }
/// }
///
/// # fn main() -> Result {
/// let mut recorder = Recorder::new(|| Slow)?;
/// recorder.receive_eof()?;
/// recorder.advance(Duration::from_secs(1))?;
/// assert_eq!(recorder.sent()?, b"the answer");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Eof {
    /// Flush what is written, then close.
    Close,
    /// Keep the write side open; the protocol closes when it is done.
    KeepOpen,
}

/// A protocol that receives into memory of its own: asyncio's `BufferedProtocol`.
///
/// Bytes are read from the operating system straight into the slice that
/// [`get_buffer`](Self::get_buffer) returns. Install it as [`Buffered`]`(x)` wherever a
/// [`Protocol`] is expected. All other callbacks are those of [`Protocol`].
///
/// ```
/// use wharf::testing::Recorder;
/// use wharf::{Buffered, BufferedProtocol, Result, Transport};
///
/// /// Receives records of eight bytes, each into the same place.
/// #[derive(Default)]
/// struct Records {
///     record: [u8; 8],
///     filled: usize,
///     sum: u64,
/// }
///
/// impl BufferedProtocol for Records {
///     fn get_buffer(&mut self, _: &dyn Transport, _: usize) -> Result<&mut [u8]> {
///         Ok(&mut self.record[self.filled..])
///     }
///
///     fn buffer_updated(&mut self, _: &dyn Transport, count: usize) -> Result {
///         self.filled += count;
///         if self.filled == self.record.len() {
///             self.sum += u64::from_be_bytes(self.record);
///             self.filled = 0;
///         }
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result {
/// let mut recorder = Recorder::new(|| Buffered(Records::default()))?;
/// recorder.receive(&40_u64.to_be_bytes())?;
/// recorder.receive(&2_u64.to_be_bytes())?;
/// assert_eq!(recorder.with(|protocol, _| protocol.0.sum)?, 42);
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `BufferedProtocol`",
    label = "`Buffered` wants a `wharf::BufferedProtocol` inside",
    note = "a type that implements `Protocol` is installed as it is, without `Buffered`"
)]
pub trait BufferedProtocol: Any {
    /// The connection is up. Always the first callback.
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        let _ = transport;
        Ok(())
    }

    /// Where the next bytes are to be put.
    ///
    /// `size_hint` is the number of bytes known to be waiting, or 0 when it is not known. An empty
    /// slice is an error that aborts the connection. It may be called without a following
    /// [`buffer_updated`](Self::buffer_updated).
    fn get_buffer(&mut self, transport: &dyn Transport, size_hint: usize) -> Result<&mut [u8]>;

    /// The first `count` bytes of the slice (at least one) were filled.
    fn buffer_updated(&mut self, transport: &dyn Transport, count: usize) -> Result;

    /// The slice was not filled. Only wharf's own overrides it: nobody else can name the type of the argument.
    #[doc(hidden)]
    fn buffer_unused(&mut self, _: sealed::Token) {}

    /// See [`Protocol::descriptors_received`].
    fn descriptors_received(
        &mut self,
        transport: &dyn Transport,
        descriptors: Vec<OwnedFd>,
    ) -> Result {
        let _ = (transport, descriptors);
        Ok(())
    }

    /// See [`Protocol::eof_received`].
    fn eof_received(&mut self, transport: &dyn Transport) -> Result<Eof> {
        let _ = transport;
        Ok(Eof::Close)
    }

    /// See [`Protocol::pause_writing`].
    fn pause_writing(&mut self, transport: &dyn Transport) -> Result {
        transport.hold_reading();
        Ok(())
    }

    /// See [`Protocol::resume_writing`].
    fn resume_writing(&mut self, transport: &dyn Transport) -> Result {
        let _ = transport;
        Ok(())
    }

    /// See [`Protocol::timed_out`].
    fn timed_out(&mut self, transport: &dyn Transport, timeout: Timeout) -> Result {
        let _ = transport;
        Err(Error::timeout(timeout).into())
    }

    /// See [`Protocol::shutting_down`].
    fn shutting_down(&mut self, transport: &dyn Transport) -> Result {
        transport.close();
        Ok(())
    }

    /// See [`Protocol::tls_established`].
    fn tls_established(&mut self, transport: &dyn Transport) -> Result {
        let _ = transport;
        Ok(())
    }

    /// See [`Protocol::connection_lost`].
    fn connection_lost(&mut self, transport: &dyn Transport, error: Option<&Error>) -> Result {
        let _ = (transport, error);
        Ok(())
    }
}

/// Installs a [`BufferedProtocol`] where a [`Protocol`] is expected.
///
/// See [`BufferedProtocol`] for an example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buffered<P>(pub P);

impl<P: BufferedProtocol> Protocol for Buffered<P> {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        self.0.connection_made(transport)
    }

    /// Copies `data` into the protocol's own buffers, as often as it takes.
    fn data_received(&mut self, transport: &dyn Transport, mut data: &[u8]) -> Result {
        while !data.is_empty() {
            let buffer = self.0.get_buffer(transport, data.len())?;
            if buffer.is_empty() {
                return Err(empty_buffer().into());
            }
            let count = buffer.len().min(data.len());
            buffer[..count].copy_from_slice(&data[..count]);
            data = &data[count..];
            self.0.buffer_updated(transport, count)?;
        }
        Ok(())
    }

    fn descriptors_received(
        &mut self,
        transport: &dyn Transport,
        descriptors: Vec<OwnedFd>,
    ) -> Result {
        self.0.descriptors_received(transport, descriptors)
    }

    fn eof_received(&mut self, transport: &dyn Transport) -> Result<Eof> {
        self.0.eof_received(transport)
    }

    fn pause_writing(&mut self, transport: &dyn Transport) -> Result {
        self.0.pause_writing(transport)
    }

    fn resume_writing(&mut self, transport: &dyn Transport) -> Result {
        self.0.resume_writing(transport)
    }

    fn timed_out(&mut self, transport: &dyn Transport, timeout: Timeout) -> Result {
        self.0.timed_out(transport, timeout)
    }

    fn shutting_down(&mut self, transport: &dyn Transport) -> Result {
        self.0.shutting_down(transport)
    }

    fn tls_established(&mut self, transport: &dyn Transport) -> Result {
        self.0.tls_established(transport)
    }

    fn connection_lost(&mut self, transport: &dyn Transport, error: Option<&Error>) -> Result {
        self.0.connection_lost(transport, error)
    }

    fn as_buffered(&mut self, _: sealed::Token) -> Option<&mut dyn BufferedProtocol> {
        Some(&mut self.0)
    }
}

/// The error for a `get_buffer` that returned no room (asyncio's rule 85).
pub(crate) fn empty_buffer() -> Error {
    Error::invalid("get_buffer() returned an empty buffer")
}
