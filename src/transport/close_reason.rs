//! Why a connection is closed.

use std::fmt;

use crate::error::{Error, Kind};

/// Why a connection is closed: what [`Transport::close_reason`](crate::Transport::close_reason) says.
///
/// [`connection_lost`](crate::Protocol::connection_lost) is told an error or `None`; this also tells the two
/// orderly ends apart, so that a client knows whether the answers that it still waits for were cut short:
///
/// ```
/// use std::collections::VecDeque;
/// use wharf::{CloseReason, Error, Promise, Protocol, Result, Transport};
///
/// struct Client {
///     waiting: VecDeque<Promise<Vec<u8>>>,
/// }
///
/// impl Protocol for Client {
///     fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
///         let promise = self.waiting.pop_front();
///         let promise = promise.ok_or_else(|| Error::protocol_violation("an answer to no question"))?;
///         let _ = promise.set_result(data.to_vec());
///         Ok(())
///     }
///
///     fn connection_lost(&mut self, transport: &dyn Transport, _: Option<&Error>) -> Result {
///         let reason = transport.close_reason().unwrap_or(CloseReason::Local);
///         let error = Error::from(reason);
///         for promise in self.waiting.drain(..) {
///             // "the peer closed the connection", or what went wrong.
///             let _ = promise.set_error(error.clone());
///         }
///         Ok(())
///     }
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CloseReason {
    /// This side closed or aborted it: its protocol, a handle, its server, or the end of its loop.
    Local,
    /// The peer ended its side, and [`eof_received`](crate::Protocol::eof_received) answered
    /// [`Eof::Close`](crate::Eof::Close), as it does by default. For a pipe that is only written to: its
    /// reader has gone, and nothing was on the way to it.
    Peer,
    /// This error ended it: the network's, a deadline's, or one of the protocol's own callbacks.
    Failed(Error),
}

impl fmt::Display for CloseReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => formatter.write_str("the connection was closed"),
            Self::Peer => formatter.write_str("the peer closed the connection"),
            Self::Failed(error) => write!(formatter, "the connection was lost: {error:#}"),
        }
    }
}

/// An error that [`is_closed`](Error::is_closed), with the error that ended the connection as its source.
impl From<CloseReason> for Error {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::Local => Self::new(Kind::Closed, "the connection was closed"),
            CloseReason::Peer => Self::new(Kind::Closed, "the peer closed the connection"),
            // It says why already. A chain of connections that end because of one another is no chain of errors.
            CloseReason::Failed(error) if error.is_closed() => error,
            CloseReason::Failed(error) => {
                Self::with_source(Kind::Closed, "the connection was lost", error)
            }
        }
    }
}
