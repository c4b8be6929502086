//! How long TLS may take.

use std::time::Duration;

use crate::error::Error;

/// The deadlines of one side of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TlsTimeouts {
    /// From the first byte, or the call of `start_tls`, to the end of the handshake.
    pub(crate) handshake: Duration,
    /// From our `close_notify` to the peer's; `None`: it is not waited for.
    pub(crate) shutdown: Option<Duration>,
}

impl TlsTimeouts {
    /// Refuses a deadline of zero, which no handshake meets.
    pub(super) fn checked(self) -> Result<Self, Error> {
        let named = [("handshake", Some(self.handshake)), ("shutdown", self.shutdown)];
        for (name, timeout) in named {
            if timeout.is_some_and(|timeout| timeout.is_zero()) {
                return Err(Error::invalid(format!("the TLS {name} timeout is zero")));
            }
        }
        Ok(self)
    }
}

impl Default for TlsTimeouts {
    fn default() -> Self {
        Self { handshake: Duration::from_secs(10), shutdown: None }
    }
}
