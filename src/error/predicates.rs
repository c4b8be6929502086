//! What an error can be asked for.

use std::error::Error as StdError;
use std::io;

use super::{ConnectAttempt, ConnectAttempts, Error, GroupErrors, Kind};
use crate::timeout::TimeoutKind;

/// # What kind of error it is, and what is behind it
impl Error {
    pub(crate) fn kind(&self) -> Kind {
        self.inner.kind
    }

    /// Whether the exception handler is told of it when a callback returns it: it is neither the network's or
    /// the peer's doing, nor a transport's own error handed back.
    pub(crate) fn is_reported(&self) -> bool {
        match self.errors() {
            [] => !self.inner.of_transport && self.kind().is_reported(),
            errors => errors.iter().any(Self::is_reported),
        }
    }

    /// Whether a deadline passed: connecting, an idle connection, a stalled write, lingering.
    pub fn is_timeout(&self) -> bool {
        matches!(self.kind(), Kind::Timeout(_)) || self.io_kind() == Some(io::ErrorKind::TimedOut)
    }

    /// Which deadline passed, if one of a connection's did.
    pub fn timeout_kind(&self) -> Option<TimeoutKind> {
        match self.kind() {
            Kind::Timeout(kind) => Some(kind),
            _ => None,
        }
    }

    /// Whether what was addressed is closed: a connection, a server or an event loop.
    ///
    /// For a connection, the source is the error that ended it, if one did; see
    /// [`Transport::close_reason`](crate::Transport::close_reason).
    pub fn is_closed(&self) -> bool {
        self.kind() == Kind::Closed
    }

    /// Whether the protocol is inside one of its own callbacks just now.
    pub fn is_busy(&self) -> bool {
        self.kind() == Kind::Busy
    }

    /// Whether another protocol was installed in the meantime.
    pub fn is_replaced(&self) -> bool {
        self.kind() == Kind::Replaced
    }

    /// Whether the operation was cancelled: its promise or its future was dropped.
    pub fn is_cancelled(&self) -> bool {
        self.kind() == Kind::Cancelled
    }

    /// Whether `SIGINT` ended the run; see [`EventLoop::run`](crate::EventLoop::run).
    pub fn is_interrupted(&self) -> bool {
        self.kind() == Kind::Interrupted
    }

    /// Whether work was refused since an executor's threads are busy and its queue is full; see
    /// [`ExecutorBuilder::queue_limit`](crate::ExecutorBuilder::queue_limit).
    pub fn is_queue_full(&self) -> bool {
        self.kind() == Kind::QueueFull
    }

    /// Whether an argument was invalid, or the call came in a state that does not allow it.
    pub fn is_invalid(&self) -> bool {
        self.kind() == Kind::Invalid
    }

    /// Whether a connect failed at its peer or the network: no address could be connected to
    /// ([`attempts`](Self::attempts) lists them), or the connection broke, ended or took too long
    /// during the TLS handshake. That TLS itself refuses the peer is no such error.
    ///
    /// ```
    /// use std::time::Duration;
    /// use wharf::testing::MemoryNetwork;
    /// use wharf::{Connection, Error, EventLoop, Result};
    /// # struct Client;
    /// # impl wharf::Protocol for Client {
    /// #     fn data_received(&mut self, _: &dyn wharf::Transport, _: &[u8]) -> Result { Ok(()) }
    /// # }
    ///
    /// /// Connects, however long it takes until somebody listens there.
    /// async fn connect(event_loop: &EventLoop, address: &str) -> Result<Connection<Client>, Error> {
    ///     let mut delay = Duration::from_secs(1);
    ///     loop {
    ///         let connecting = event_loop.create_connection(|| Client, address);
    ///         match connecting.timeout(Duration::from_secs(5)).await {
    ///             // Tried again, less and less often. Any other error would be the same next time.
    ///             Err(error) if error.is_connect() || error.is_timeout() => {
    ///                 event_loop.sleep(delay).await;
    ///                 delay = (2 * delay).min(Duration::from_secs(60));
    ///             }
    ///             outcome => return outcome,
    ///         }
    ///     }
    /// }
    ///
    /// fn main() -> Result {
    ///     MemoryNetwork::new().event_loop().run(async |event_loop| {
    ///         let later = event_loop.clone();
    ///         event_loop.call_later(Duration::from_secs(100), move || {
    ///             later.create_server(|| Client, "10.0.0.1:7").start().detach();
    ///         });
    ///         connect(&event_loop, "10.0.0.1:7").await?;
    ///         Ok(())
    ///     })
    /// }
    /// ```
    pub fn is_connect(&self) -> bool {
        self.kind() == Kind::Connect || self.inner.of_connect
    }

    /// Whether a callback panicked; the panic's text is the error's.
    pub fn is_panic(&self) -> bool {
        self.kind() == Kind::Panic
    }

    /// Whether it is an error of a user's own code: one that a callback returned and that was not an
    /// [`Error`] before (an [`io::Error`] included), or a panic.
    pub fn is_application(&self) -> bool {
        matches!(self.kind(), Kind::Application | Kind::Panic)
    }

    /// Whether the peer broke the protocol, as
    /// [`protocol_violation`](Self::protocol_violation) says.
    pub fn is_protocol_violation(&self) -> bool {
        self.kind() == Kind::ProtocolViolation
    }

    /// Whether a write exceeded the connection's write cap, or too many descriptors wait.
    pub fn is_write_cap(&self) -> bool {
        self.kind() == Kind::WriteCap
    }

    /// Whether TLS failed: the peer's certificate, an alert from the peer, a broken record. The text
    /// says what; `interop::tls_error` gives rustls's own error.
    #[cfg(feature = "tls-core")]
    pub fn is_tls(&self) -> bool {
        matches!(self.kind(), Kind::Tls | Kind::Truncated)
    }

    /// Whether the peer ended the connection without saying so under TLS (`close_notify`): what it
    /// sent may have been cut off by somebody else. [`is_tls`](Self::is_tls) is true for such an
    /// error, too.
    #[cfg(feature = "tls-core")]
    pub fn is_truncated(&self) -> bool {
        self.kind() == Kind::Truncated
    }

    /// Whether the input of a [`StreamReader`](crate::StreamReader) ended before all that was to be read was there.
    /// What is there can still be read.
    #[doc(alias("IncompleteReadError", "UnexpectedEof"))]
    pub fn is_incomplete_read(&self) -> bool {
        self.kind() == Kind::IncompleteRead
    }

    /// Whether what a [`StreamReader`](crate::StreamReader) was to read is longer than its limit.
    #[doc(alias("LimitOverrunError"))]
    pub fn is_limit_overrun(&self) -> bool {
        self.kind() == Kind::LimitOverrun
    }

    /// Whether a program that was run wrote more than it may.
    pub fn is_output_limit(&self) -> bool {
        self.kind() == Kind::OutputLimit
    }

    /// Whether this platform, driver or transport cannot do it.
    pub fn is_unsupported(&self) -> bool {
        self.kind() == Kind::Unsupported
    }

    /// Whether a loop in memory (see `wharf::testing`) would have waited for ever: nothing is ready, and
    /// there is no timer. It does not wait for other threads: what one of them is to wake has to be
    /// waited for on a loop of the operating system.
    pub fn is_deadlock(&self) -> bool {
        self.kind() == Kind::Deadlock
    }

    /// The kind of the operating system's error behind this one, if there is one.
    ///
    /// For a failed connect, this is the kind of all its attempts, if it is the same.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        if let Some(error) = self.io_error() {
            return Some(error.kind());
        }
        let mut kinds = self.attempts().iter().map(|attempt| attempt.error.kind());
        let first = kinds.next()?;
        kinds.all(|kind| kind == first).then_some(first)
    }

    /// The operating system's error behind this one, if there is one.
    pub fn io_error(&self) -> Option<&io::Error> {
        self.downcast_ref::<io::Error>()
    }

    /// Every address a connect tried, in order, with the reason each failed.
    ///
    /// Empty unless [`is_connect`](Self::is_connect) or a connect's deadline passed.
    pub fn attempts(&self) -> &[ConnectAttempt] {
        self.downcast_ref::<ConnectAttempts>().map_or(&[], |attempts| &attempts.0)
    }

    /// The error of another type inside: a user's, the operating system's, rustls's.
    ///
    /// What wharf says around it does not hide it. The sources of that error are not looked at. Of a group's
    /// errors it is the first that has one.
    pub fn downcast_ref<T: StdError + 'static>(&self) -> Option<&T> {
        let mut error = self;
        loop {
            let source = error.inner.source.as_ref()?;
            if let Some(found) = source.downcast_ref::<T>() {
                return Some(found);
            }
            if let Some(group) = source.downcast_ref::<GroupErrors>() {
                return group.0.iter().find_map(Self::downcast_ref);
            }
            error = source.downcast_ref::<Self>()?;
        }
    }
}
