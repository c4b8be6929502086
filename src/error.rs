//! What went wrong, as wharf reports it.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt::{self, Write as _};
use std::io;
use std::net::SocketAddr;

use crate::fence::{self, Panic};
use crate::timeout::TimeoutKind;

/// What a user's code fails with: any error, or any text.
///
/// `?` takes every error type, and `Err("text".into())` works too. A boxed [`Error`] or
/// [`io::Error`] keeps its kind on the way through the loop.
pub type Failure = Box<dyn StdError + Send + Sync>;

/// What a user's code returns: callbacks, `run` closures, factories.
pub type Result<T = (), E = Failure> = std::result::Result<T, E>;

/// An error that wharf reports: a kind, asked for with predicates, and often a [`source`].
///
/// `Display` and `Debug` are one readable line, so that a `main` that returns it prints
/// something a person can use. The exact text is not part of the contract.
///
/// [`source`]: StdError::source
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    kind: Kind,
    context: Option<String>,
    source: Option<Failure>,
    /// A connect failed of it, whatever its kind is.
    of_connect: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Returned by a user's callback, and neither an `Error` nor an `io::Error`.
    Application,
    Busy,
    Cancelled,
    Closed,
    Connect,
    Deadlock,
    Invalid,
    Io,
    OutputLimit,
    Panic,
    Replaced,
    Timeout(TimeoutKind),
    #[cfg(feature = "tls-core")]
    Tls,
    #[cfg(feature = "tls-core")]
    Truncated,
    Unsupported,
    WriteCap,
}

impl Error {
    pub(crate) fn new(kind: Kind, context: impl Into<String>) -> Self {
        Self::from_parts(kind, Some(context.into()), None)
    }

    pub(crate) fn with_source(
        kind: Kind,
        context: impl Into<String>,
        source: impl Into<Failure>,
    ) -> Self {
        Self::from_parts(kind, Some(context.into()), Some(source.into()))
    }

    pub(crate) fn bare(kind: Kind) -> Self {
        Self::from_parts(kind, None, None)
    }

    fn from_parts(kind: Kind, context: Option<String>, source: Option<Failure>) -> Self {
        Self { inner: Box::new(Inner { kind, context, source, of_connect: false }) }
    }

    /// An invalid argument or a call in a state that does not allow it.
    pub(crate) fn invalid(context: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, context)
    }

    /// An operating system error, with what was being done.
    pub(crate) fn io(context: impl Into<String>, source: io::Error) -> Self {
        Self::with_source(Kind::Io, context, source)
    }

    /// The error of a deadline that passed: what the default
    /// [`Protocol::timed_out`](crate::Protocol::timed_out) fails with, for those that override it
    /// for one kind only.
    pub fn timeout(kind: TimeoutKind) -> Self {
        Self::bare(Kind::Timeout(kind))
    }

    /// What a panic left behind, as an error.
    pub(crate) fn from_panic(payload: &(dyn Any + Send)) -> Self {
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic whose payload is not text".to_owned());
        Self::new(Kind::Panic, text)
    }

    /// The same once more, for another who is to be told: the kind, the text, and the code of the
    /// operating system. What else was inside is told as text.
    pub(crate) fn duplicate(&self) -> Self {
        let Some(error) = self.io_error() else {
            return Self::new(self.kind(), text_of(self));
        };
        let source = match error.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(error.kind(), text_of(error)),
        };
        let (kind, context) = (self.kind(), self.inner.context.clone());
        let mut same = Self::from_parts(kind, context, Some(source.into()));
        same.inner.of_connect = self.inner.of_connect;
        same
    }

    /// The same with the text `context` before it.
    #[cfg(feature = "tls-core")]
    pub(crate) fn in_context(mut self, context: impl Into<String>) -> Self {
        let context = context.into();
        self.inner.context = Some(match self.inner.context.take() {
            Some(inner) => format!("{context}: {inner}"),
            // A kind that speaks for itself.
            None if self.inner.source.is_none() => format!("{context}: {}", self.inner.kind.text()),
            None => context,
        });
        self
    }

    /// The same, of which a connect failed.
    #[cfg(feature = "tls-core")]
    pub(crate) fn of_connect(mut self) -> Self {
        self.inner.of_connect = true;
        self
    }

    pub(crate) fn kind(&self) -> Kind {
        self.inner.kind
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

    /// Whether what was addressed is gone: a closed connection, server or event loop.
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
    pub fn is_connect(&self) -> bool {
        self.kind() == Kind::Connect || self.inner.of_connect
    }

    /// Whether a callback panicked; the panic's text is the error's.
    pub fn is_panic(&self) -> bool {
        self.kind() == Kind::Panic
    }

    /// Whether it is an error of a user's own code (returned or panicked) rather than of the
    /// network.
    pub fn is_application(&self) -> bool {
        matches!(self.kind(), Kind::Application | Kind::Panic)
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
    /// sent may have been cut off by somebody else. Such an error [`is_tls`](Self::is_tls), too.
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
    /// Of a connect that failed: the kind of all its attempts, if it is the same.
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
        self.inner.source.as_ref()?.downcast_ref::<io::Error>()
    }

    /// Every address a connect tried, in order, with the reason each failed.
    ///
    /// Empty unless [`is_connect`](Self::is_connect) or a connect's deadline passed.
    pub fn attempts(&self) -> &[ConnectAttempt] {
        self.inner
            .source
            .as_ref()
            .and_then(|source| source.downcast_ref::<ConnectAttempts>())
            .map_or(&[], |attempts| &attempts.0)
    }

    /// The error inside, when it came from a user's code.
    pub fn downcast_ref<T: StdError + 'static>(&self) -> Option<&T> {
        self.inner.source.as_ref()?.downcast_ref::<T>()
    }
}

/// The text of an error that may be the user's, whose `Display` may panic.
pub(crate) fn text_of(error: &dyn fmt::Display) -> String {
    fence::run(|| error.to_string()).unwrap_or_else(|panic| {
        format!("an error whose text cannot be had: {}", panic.into_error())
    })
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.inner;
        let formatter = &mut OneLine(formatter);
        #[cfg(feature = "tls-core")]
        if let (Some(context), Some(source)) = (&inner.context, &inner.source)
            && source.is::<rustls::Error>()
            && inner.kind == Kind::Tls
        {
            // It says in words what the source says in rustls's terms.
            return formatter.write_str(context);
        }
        match (&inner.context, &inner.source) {
            (Some(context), Some(source)) => write!(formatter, "{context}: {source}"),
            (Some(context), None) => formatter.write_str(context),
            (None, Some(source)) => write!(formatter, "{source}"),
            (None, None) => formatter.write_str(inner.kind.text()),
        }
    }
}

/// Writes control characters, which can be in names from outside, as escapes.
struct OneLine<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl fmt::Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(place) = rest.find(char::is_control) {
            let (plain, from) = rest.split_at(place);
            self.0.write_str(plain)?;
            let mut chars = from.chars();
            if let Some(control) = chars.next() {
                write!(self.0, "{}", control.escape_default())?;
            }
            rest = chars.as_str();
        }
        self.0.write_str(rest)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner.source.as_ref().map(|source| &**source as &(dyn StdError + 'static))
    }
}

impl From<Failure> for Error {
    /// Takes a user's failure in; a boxed `Error` or `io::Error` keeps its kind.
    fn from(failure: Failure) -> Self {
        let failure = match failure.downcast::<Self>() {
            Ok(error) => return *error,
            Err(failure) => failure,
        };
        let kind = if failure.is::<io::Error>() { Kind::Io } else { Kind::Application };
        Self::from_parts(kind, None, Some(failure))
    }
}

impl From<io::Error> for Error {
    fn from(source: io::Error) -> Self {
        Self::from_parts(Kind::Io, None, Some(source.into()))
    }
}

impl Kind {
    /// Whether such an error of a callback goes to the exception handler: what the network does
    /// to a connection does not.
    pub(crate) fn is_reported(self) -> bool {
        #[cfg(feature = "tls-core")]
        if matches!(self, Self::Tls | Self::Truncated) {
            return false;
        }
        !matches!(
            self,
            Self::Io | Self::OutputLimit | Self::Timeout(_) | Self::WriteCap | Self::Closed
        )
    }

    fn text(self) -> &'static str {
        match self {
            Self::Application => "the protocol failed",
            Self::Busy => "the protocol is inside one of its own callbacks",
            Self::Cancelled => "cancelled",
            Self::Closed => "closed",
            Self::Connect => "no address could be connected to",
            Self::Deadlock => {
                "nothing is ready and no timer is set: a loop in memory waits for nothing else, such as a \
                 waker of another thread"
            }
            Self::Invalid => "invalid argument or state",
            Self::Io => "input/output error",
            Self::OutputLimit => "the output exceeded its limit",
            Self::Panic => "a callback panicked",
            Self::Replaced => "another protocol was installed",
            Self::Timeout(kind) => kind.text(),
            #[cfg(feature = "tls-core")]
            Self::Tls => "TLS failed",
            #[cfg(feature = "tls-core")]
            Self::Truncated => "the TLS connection was cut off",
            Self::Unsupported => "not supported here",
            Self::WriteCap => "the write buffer exceeded its cap",
        }
    }
}

/// One address that a connect tried, and why it failed.
#[derive(Debug)]
#[non_exhaustive]
pub struct ConnectAttempt {
    /// The address.
    pub address: SocketAddr,
    /// Why connecting to it failed.
    pub error: io::Error,
}

impl fmt::Display for ConnectAttempt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.address, self.error)
    }
}

/// The list behind [`Error::attempts`], as an error's source.
#[derive(Debug)]
pub(crate) struct ConnectAttempts(pub(crate) Vec<ConnectAttempt>);

impl fmt::Display for ConnectAttempts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return formatter.write_str("no attempt finished");
        }
        for (position, attempt) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { "; " };
            write!(formatter, "{separator}{attempt}")?;
        }
        Ok(())
    }
}

impl StdError for ConnectAttempts {}

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
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_its_kind() {
        let failure: Failure = Error::timeout(TimeoutKind::Idle).into();
        assert_eq!(Error::from(failure).timeout_kind(), Some(TimeoutKind::Idle));

        let failure: Failure = io::Error::from(io::ErrorKind::ConnectionReset).into();
        assert_eq!(Error::from(failure).io_kind(), Some(io::ErrorKind::ConnectionReset));

        let error = Error::from(Failure::from("wrong password"));
        assert!(error.is_application());
        assert_eq!(format!("{error:?}"), "wrong password");
    }

    #[test]
    fn attempts_are_listed_in_one_line() {
        let attempts = ["127.0.0.1:1", "[::1]:1"]
            .map(|address| ConnectAttempt {
                address: address.parse().unwrap(),
                error: io::ErrorKind::ConnectionRefused.into(),
            })
            .into();
        let error = Error::with_source(Kind::Connect, "connect", ConnectAttempts(attempts));
        assert_eq!(error.attempts().len(), 2);
        assert_eq!(error.io_kind(), Some(io::ErrorKind::ConnectionRefused));
        assert_eq!(
            error.to_string(),
            "connect: 127.0.0.1:1: connection refused; [::1]:1: connection refused"
        );
    }
}
