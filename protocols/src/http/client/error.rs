use std::error::Error as StdError;
use std::fmt;

use wharf::{Error, Failure};

use super::super::{HttpError, Rule};

/// Why a client has no response, or only a part of one.
///
/// ```
/// use wharf_protocols::http::{HttpClient, HttpClientError};
///
/// # fn main() -> wharf::Result {
/// wharf::testing::MemoryNetwork::new().event_loop().run(async |event_loop| {
///     let client = HttpClient::new(&event_loop);
///     // Nobody listens there.
///     match client.get("http://10.0.0.1/").await {
///         Err(HttpClientError::Connection(error)) => assert!(error.is_connect()),
///         other => panic!("{other:?}"),
///     }
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum HttpClientError {
    /// The URI cannot be asked: it is not `http` or `https` with a host, has a user's name, or needs TLS that the client
    /// does not have.
    Uri {
        /// Which; where it has a user, only its host.
        uri: String,
        /// What is wrong with it.
        rule: &'static str,
    },
    /// The connection could not be made, or was lost.
    Connection(Error),
    /// One of the client's timeouts has passed.
    TimedOut,
    /// The response breaks a rule or a limit; without an offset, what was to be sent does.
    Protocol(HttpError),
    /// The server ended the connection without a response.
    NoResponse,
    /// The proxy refuses to connect, with this status.
    ProxyRefused(u16),
    /// What a function of the caller failed with, one that writes content or puts TLS on a stream; or a request that cannot
    /// be built.
    Other(Failure),
}

impl HttpClientError {
    pub(super) fn uri(uri: impl Into<String>, rule: &'static str) -> Self {
        Self::Uri { uri: uri.into(), rule }
    }

    /// The error of content that is longer than the caller wants.
    pub(super) fn too_large() -> Self {
        Self::Protocol(HttpError::of(Rule::ContentTooLarge))
    }
}

impl fmt::Display for HttpClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uri { uri, rule } => write!(f, "{rule}: {uri}"),
            Self::Connection(_) => f.write_str("the connection failed"),
            Self::TimedOut => f.write_str("the response took too long"),
            Self::Protocol(_) => f.write_str("a message breaks a rule of HTTP"),
            Self::NoResponse => f.write_str("the server ended the connection without a response"),
            Self::ProxyRefused(status) => {
                write!(f, "the proxy refuses to connect, with the status {status}")
            }
            // The caller's own words.
            Self::Other(error) => error.fmt(f),
        }
    }
}

impl StdError for HttpClientError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Connection(error) => Some(error),
            Self::Protocol(error) => Some(error),
            Self::Other(error) => error.source(),
            _ => None,
        }
    }
}

impl From<Failure> for HttpClientError {
    fn from(failure: Failure) -> Self {
        let failure = match failure.downcast::<Self>() {
            Ok(own) => return own,
            Err(failure) => failure,
        };
        let failure = match failure.downcast::<HttpError>() {
            Ok(error) => return Self::Protocol(error),
            Err(failure) => failure,
        };
        match failure.downcast::<Error>() {
            Ok(error) => error.into(),
            Err(failure) => Self::Other(failure),
        }
    }
}

impl From<Error> for HttpClientError {
    fn from(error: Error) -> Self {
        if error.is_timeout() { Self::TimedOut } else { Self::Connection(error) }
    }
}

impl From<HttpError> for HttpClientError {
    fn from(error: HttpError) -> Self {
        Self::Protocol(error)
    }
}

/// What a request cannot be built of.
impl From<http::Error> for HttpClientError {
    fn from(error: http::Error) -> Self {
        Self::Other(error.into())
    }
}
