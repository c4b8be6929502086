//! A message that was not sent.

use std::error::Error as StdError;
use std::fmt;

use crate::error::{Error, Kind};

/// Why a message was not sent to a loop, with the message itself.
pub struct RemoteSendError<T> {
    message: T,
    reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Full,
    Closed,
    OwnThread,
}

impl<T> RemoteSendError<T> {
    pub(super) fn new(message: T, reason: Reason) -> Self {
        Self { message, reason }
    }

    /// The message.
    pub fn into_message(self) -> T {
        self.message
    }

    /// Whether there was no room, and somebody who waits would have been served.
    pub fn is_full(&self) -> bool {
        self.reason == Reason::Full
    }

    /// Whether nothing is received any more: the receiver is gone or was closed, or the loop is closed.
    pub fn is_closed(&self) -> bool {
        self.reason == Reason::Closed
    }

    /// Whether the loop's own thread would have waited for itself.
    pub fn is_invalid(&self) -> bool {
        self.reason == Reason::OwnThread
    }
}

impl Reason {
    fn text(self) -> &'static str {
        match self {
            Self::Full => "the channel to the event loop is full",
            Self::Closed => "the channel to the event loop is closed",
            Self::OwnThread => {
                "the thread of an event loop would wait for itself: use `send` and await it"
            }
        }
    }
}

impl<T> fmt::Display for RemoteSendError<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.reason.text())
    }
}

impl<T> fmt::Debug for RemoteSendError<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("RemoteSendError").field(&self.reason).finish()
    }
}

impl<T> StdError for RemoteSendError<T> {}

/// The same error without the message, which is dropped.
impl<T> From<RemoteSendError<T>> for Error {
    fn from(error: RemoteSendError<T>) -> Self {
        let kind = match error.reason {
            Reason::Full => Kind::QueueFull,
            Reason::Closed => Kind::Closed,
            Reason::OwnThread => Kind::Invalid,
        };
        Self::new(kind, error.reason.text())
    }
}
