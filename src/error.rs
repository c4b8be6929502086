//! What went wrong, as wharf reports it.

mod connect;
mod display;
mod failure;
mod kind;

use std::any::Any;
use std::borrow::Cow;
use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::fence::Panic;
use crate::timeout::TimeoutKind;

pub use self::connect::ConnectAttempt;
pub use self::failure::{Failure, Result};

pub(crate) use self::connect::ConnectAttempts;
#[cfg(feature = "tls-core")]
pub(crate) use self::display::text_of;
pub(crate) use self::display::{OneLine, breaks_a_line};
pub(crate) use self::kind::Kind;

/// An error that wharf reports: a kind, which predicates ask for, and often a [`source`].
///
/// A clone is cheap and is the same error: it can be kept, and told to everybody who waits.
///
/// # Printing
/// - `{error}` is the message of this error alone. Its causes follow through [`source`], so that whatever
///   prints a chain (such as `anyhow`) prints each message once.
/// - `{error:#}` and `{error:?}` are the whole chain in one line, as `could not connect: 127.0.0.1:80:
///   connection refused`. So a `main` that returns an error prints a line that a person can use.
///
/// The exact text is not part of the contract.
///
/// ```
/// use wharf::{Error, TimeoutKind};
///
/// # fn main() -> wharf::Result {
/// let event_loop = wharf::testing::MemoryNetwork::new().event_loop();
/// let (promises, futures): (Vec<_>, Vec<_>) =
///     (0..3).map(|_| event_loop.create_future::<()>()).unzip();
/// let error = Error::timeout(TimeoutKind::Idle);
/// for promise in promises {
///     let _ = promise.set_error(error.clone());
/// }
/// for future in futures {
///     let error = event_loop.run_until_complete(future)?.unwrap_err();
///     assert_eq!(error.timeout_kind(), Some(TimeoutKind::Idle));
/// }
/// # Ok(())
/// # }
/// ```
///
/// [`source`]: StdError::source
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    kind: Kind,
    /// What is said before the source. Without it the error speaks as its source, or as its kind.
    context: Option<Cow<'static, str>>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
    /// A connect failed because of it, whatever its kind is.
    of_connect: bool,
    /// It has ended a transport, or its protocol was told of it.
    of_transport: bool,
}

impl Error {
    pub(crate) fn new(kind: Kind, context: impl Into<Cow<'static, str>>) -> Self {
        Self::from_parts(kind, Some(context.into()), None)
    }

    pub(crate) fn with_source(
        kind: Kind,
        context: impl Into<Cow<'static, str>>,
        source: impl StdError + Send + Sync + 'static,
    ) -> Self {
        Self::from_parts(kind, Some(context.into()), Some(Arc::new(source)))
    }

    pub(crate) fn bare(kind: Kind) -> Self {
        Self::from_parts(kind, None, None)
    }

    fn from_parts(
        kind: Kind,
        context: Option<Cow<'static, str>>,
        source: Option<Arc<dyn StdError + Send + Sync>>,
    ) -> Self {
        let (of_connect, of_transport) = (false, false);
        Self { inner: Arc::new(Inner { kind, context, source, of_connect, of_transport }) }
    }

    /// An invalid argument or a call in a state that does not allow it.
    pub(crate) fn invalid(context: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Invalid, context)
    }

    /// Refuses a duration of zero, the same way in every builder: to some it would mean "at once", to others
    /// "never".
    pub(crate) fn refuse_zero(what: &str, duration: Option<Duration>) -> Result<(), Self> {
        match duration {
            Some(Duration::ZERO) => Err(Self::invalid(format!("{what} must not be zero"))),
            _ => Ok(()),
        }
    }

    /// An operating system error, with what was being done.
    pub(crate) fn io(context: impl Into<Cow<'static, str>>, source: io::Error) -> Self {
        Self::with_source(Kind::Io, context, source)
    }

    /// The peer broke the protocol: a malformed message, a line that is too long, an answer to no question.
    ///
    /// A callback that returns it ends the connection as with any other error, but the exception handler is
    /// not told: a peer that sends junk must not fill the log. [`is_protocol_violation`] asks for it.
    ///
    /// `what` is a text or any error, which [`downcast_ref`](Self::downcast_ref) finds.
    ///
    /// ```
    /// use wharf::testing::Recorder;
    /// use wharf::{Error, Protocol, Result, Transport};
    ///
    /// struct Numbers;
    ///
    /// impl Protocol for Numbers {
    ///     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
    ///         let text = str::from_utf8(data).map_err(Error::protocol_violation)?;
    ///         let number: u64 = text.trim().parse().map_err(Error::protocol_violation)?;
    ///         if number == 0 {
    ///             return Err(Error::protocol_violation("zero is no number of ours").into());
    ///         }
    ///         transport.write(format!("{}\n", u128::from(number) * 2).as_bytes());
    ///         Ok(())
    ///     }
    /// }
    ///
    /// # fn main() -> Result {
    /// let mut recorder = Recorder::new(|| Numbers)?;
    /// recorder.receive(b"21\n")?;
    /// assert_eq!(recorder.sent()?, b"42\n");
    /// recorder.receive(b"forty-two\n")?;
    /// assert!(recorder.is_closing());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// [`is_protocol_violation`]: Self::is_protocol_violation
    pub fn protocol_violation(what: impl Into<Failure>) -> Self {
        let source = Arc::from(what.into().into_boxed());
        Self::from_parts(Kind::ProtocolViolation, None, Some(source))
    }

    /// The error of a deadline that passed: what the default
    /// [`Protocol::timed_out`](crate::Protocol::timed_out) fails with, for those that override it
    /// for one deadline only.
    pub fn timeout(kind: impl Into<TimeoutKind>) -> Self {
        Self::bare(Kind::Timeout(kind.into()))
    }

    /// The error of a panic, from its payload.
    pub(crate) fn from_panic(payload: &(dyn Any + Send)) -> Self {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic whose payload is not text".to_owned());
        Self::new(Kind::Panic, text)
    }

    /// An error of the same kind that says `context`, and has this one as its source.
    pub(crate) fn in_context(self, context: impl Into<Cow<'static, str>>) -> Self {
        let Inner { kind, of_connect, of_transport, .. } = *self.inner;
        let (context, source) = (Some(context.into()), Some(Arc::new(self) as _));
        Self { inner: Arc::new(Inner { kind, context, source, of_connect, of_transport }) }
    }

    /// The same error, because of which a connect failed.
    #[cfg(any(feature = "tls-core", test))]
    pub(crate) fn of_connect(mut self) -> Self {
        Arc::make_mut(&mut self.inner).of_connect = true;
        self
    }

    /// The same error, which has ended a transport, or which its protocol is told of.
    #[cold]
    pub(crate) fn of_transport(mut self) -> Self {
        if !self.inner.of_transport {
            Arc::make_mut(&mut self.inner).of_transport = true;
        }
        self
    }

    /// The wharf error inside: interfaces such as [`io::Read`] take no other errors than [`io::Error`]s, and
    /// what goes through them is put into one.
    fn out_of_io(error: io::Error) -> Result<Self, io::Error> {
        if error.get_ref().is_some_and(|inside| inside.is::<Self>()) {
            error.downcast()
        } else {
            Err(error)
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.inner.kind
    }

    /// Whether the exception handler is told of it when a callback returns it: it is neither the network's or
    /// the peer's doing, nor a transport's own error handed back.
    pub(crate) fn is_reported(&self) -> bool {
        !self.inner.of_transport && self.kind().is_reported()
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
    /// What wharf says around it does not hide it. The sources of that error are not looked at.
    pub fn downcast_ref<T: StdError + 'static>(&self) -> Option<&T> {
        let mut error = self;
        loop {
            let source = error.inner.source.as_ref()?;
            if let Some(found) = source.downcast_ref::<T>() {
                return Some(found);
            }
            error = source.downcast_ref::<Self>()?;
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let inner = &*self.inner;
        let source = &**inner.source.as_ref()?;
        if inner.says_all() {
            None
        } else if inner.context.is_some() {
            Some(source)
        } else {
            // The message was the source's own.
            source.source()
        }
    }
}

impl Inner {
    /// Whether the context says in words what the source says in terms of its own: it is for programs.
    fn says_all(&self) -> bool {
        #[cfg(feature = "tls-core")]
        let says_all = self.kind == Kind::Tls
            && self.context.is_some()
            && self.source.as_ref().is_some_and(|source| source.is::<rustls::Error>());
        #[cfg(not(feature = "tls-core"))]
        let says_all = false;
        says_all
    }
}

impl From<Failure> for Error {
    /// Takes in what a user's code returned. A wharf error stays what it is, also one that comes back inside an
    /// [`io::Error`]; any other error, an `io::Error` too, is the application's.
    fn from(failure: Failure) -> Self {
        let other = match failure.into_boxed().downcast::<Self>() {
            Ok(error) => return *error,
            Err(other) => other,
        };
        let source: Arc<dyn StdError + Send + Sync> =
            match other.downcast::<io::Error>().map(|error| Self::out_of_io(*error)) {
                Ok(Ok(error)) => return error,
                Ok(Err(error)) => Arc::new(error),
                Err(other) => Arc::from(other),
            };
        Self::from_parts(Kind::Application, None, Some(source))
    }
}

/// The system's error; a wharf error that was put into an [`io::Error`] comes out as it was.
impl From<io::Error> for Error {
    fn from(source: io::Error) -> Self {
        Self::out_of_io(source)
            .unwrap_or_else(|source| Self::from_parts(Kind::Io, None, Some(Arc::new(source))))
    }
}

/// An error of the application with this text.
impl From<&str> for Error {
    fn from(text: &str) -> Self {
        Self::new(Kind::Application, text.to_owned())
    }
}

/// An error of the application with this text.
impl From<String> for Error {
    fn from(text: String) -> Self {
        Self::new(Kind::Application, text)
    }
}

impl Panic {
    /// The text of the panic as an error.
    #[cold]
    pub(crate) fn into_error(self) -> Error {
        self.error()
    }

    /// As [`into_error`](Self::into_error), for a panic that goes on.
    pub(crate) fn error(&self) -> Error {
        Error::from_panic(self.payload())
    }
}

#[cfg(test)]
mod tests;
