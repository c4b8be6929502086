//! The kinds of errors.

use crate::timeout::TimeoutKind;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Returned by a user's code, and no [`Error`](super::Error) before.
    Application,
    Busy,
    Cancelled,
    Closed,
    Connect,
    Deadlock,
    /// The end of the input came before what was to be read.
    IncompleteRead,
    Interrupted,
    Invalid,
    Io,
    /// What was to be read is longer than the limit.
    LimitOverrun,
    OutputLimit,
    Panic,
    ProtocolViolation,
    QueueFull,
    Replaced,
    Timeout(TimeoutKind),
    #[cfg(feature = "tls-core")]
    Tls,
    #[cfg(feature = "tls-core")]
    Truncated,
    Unsupported,
    WriteCap,
}

impl Kind {
    /// Whether the exception handler is told when a callback returns such an error. What the peer or the
    /// network does is not reported: a peer must not be able to fill the log.
    pub(super) fn is_reported(self) -> bool {
        match self {
            Self::Application
            | Self::Busy
            | Self::Cancelled
            | Self::Deadlock
            | Self::Interrupted
            | Self::Invalid
            | Self::Io
            | Self::Panic
            | Self::QueueFull
            | Self::Replaced
            | Self::Unsupported => true,
            Self::Closed
            | Self::Connect
            | Self::IncompleteRead
            | Self::LimitOverrun
            | Self::OutputLimit
            | Self::ProtocolViolation
            | Self::Timeout(_)
            | Self::WriteCap => false,
            #[cfg(feature = "tls-core")]
            Self::Tls | Self::Truncated => false,
        }
    }

    /// The message of an error that has no other.
    pub(super) fn text(self) -> &'static str {
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
            Self::IncompleteRead => "the input ended too early",
            Self::Interrupted => "interrupted by SIGINT",
            Self::Invalid => "invalid argument or state",
            Self::Io => "input/output error",
            Self::LimitOverrun => "the input exceeded its limit",
            Self::OutputLimit => "the output exceeded its limit",
            Self::Panic => "a callback panicked",
            Self::ProtocolViolation => "the peer broke the protocol",
            Self::QueueFull => "the queue is full",
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
