//! What went wrong, as wharf reports it.

mod connect;
mod display;
mod failure;
mod group;
mod kind;
mod predicates;

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
use self::group::GroupErrors;

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

    /// The result of a future or a task was asked for twice.
    pub(crate) fn already_taken() -> Self {
        Self::invalid("the result was taken already")
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

/// For interfaces that take no other errors: the wharf error is inside, and comes out again when it is made an
/// [`Error`].
///
/// ```
/// use std::io;
/// use wharf::{Error, TimeoutKind};
///
/// let error = io::Error::from(Error::timeout(TimeoutKind::Idle));
/// assert_eq!(error.kind(), io::ErrorKind::TimedOut);
/// assert_eq!(Error::from(error).timeout_kind(), Some(TimeoutKind::Idle));
/// ```
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = error.io_kind().unwrap_or(match error.kind() {
            Kind::Closed => io::ErrorKind::BrokenPipe,
            Kind::IncompleteRead => io::ErrorKind::UnexpectedEof,
            #[cfg(feature = "tls-core")]
            Kind::Truncated => io::ErrorKind::UnexpectedEof,
            Kind::Invalid => io::ErrorKind::InvalidInput,
            Kind::LimitOverrun | Kind::ProtocolViolation => io::ErrorKind::InvalidData,
            Kind::Timeout(_) => io::ErrorKind::TimedOut,
            Kind::Unsupported => io::ErrorKind::Unsupported,
            _ => io::ErrorKind::Other,
        });
        Self::new(kind, error)
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
