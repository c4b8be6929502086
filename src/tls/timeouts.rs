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
    /// Refuses a deadline of zero.
    pub(super) fn checked(self) -> Result<Self, Error> {
        Error::refuse_zero("the TLS handshake timeout", Some(self.handshake))?;
        Error::refuse_zero("the TLS shutdown timeout", self.shutdown)?;
        Ok(self)
    }
}

impl Default for TlsTimeouts {
    fn default() -> Self {
        Self { handshake: Duration::from_secs(10), shutdown: None }
    }
}

/// Gives a client or a server with the field `timeouts` the methods that set them.
macro_rules! timeout_settings {
    () => {
        /// How long a handshake may take. 10 s by default; zero is an error when it is used.
        #[must_use]
        pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
            self.timeouts.handshake = timeout;
            self
        }

        /// Makes `close` wait for the peer to end its side, too, at most so long; then it fails with a
        /// timeout. What comes in meanwhile is dropped. Without it `close` says that it ends and does not
        /// wait, as some peers never answer. Zero is an error when it is used.
        #[must_use]
        pub fn shutdown_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
            self.timeouts.shutdown = timeout.into();
            self
        }
    };
}

pub(super) use timeout_settings;
