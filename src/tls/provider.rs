//! Whose cryptography is used.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::ProducesTickets;

use crate::error::Error;

/// Who does the cryptography.
///
/// ring by default; aws-lc-rs if that is the only feature that is on. wharf never asks for rustls's
/// process-wide default provider and never installs one.
#[derive(Clone)]
#[non_exhaustive]
pub enum TlsProvider {
    /// ring (feature `tls`): builds quickly and everywhere.
    #[cfg(feature = "tls")]
    Ring,
    /// aws-lc-rs (feature `tls-aws-lc-rs`): faster with RSA, and has post-quantum key exchange.
    #[cfg(feature = "tls-aws-lc-rs")]
    AwsLcRs,
    /// Any other provider, or one of those above with fewer suites. Its type follows rustls's SemVer:
    /// see [`interop`](crate::interop).
    ///
    /// What it encrypts lies in the connection's write queue meanwhile, which is not copied for it. A
    /// provider that panics ends its connection with a TLS error, and so does one whose ciphers write to
    /// connections of the event loop that called them: cryptography has no use for them.
    Custom(Arc<CryptoProvider>),
}

impl TlsProvider {
    /// The one that is used unless another is chosen.
    pub(super) fn preferred() -> Result<Self, Error> {
        let known = [
            #[cfg(feature = "tls")]
            Self::Ring,
            #[cfg(feature = "tls-aws-lc-rs")]
            Self::AwsLcRs,
        ];
        known.into_iter().next().ok_or_else(|| {
            let text =
                "no TLS provider: turn on wharf's feature `tls` or `tls-aws-lc-rs`, or set one";
            Error::new(crate::error::Kind::Unsupported, text)
        })
    }

    pub(super) fn crypto(&self) -> Arc<CryptoProvider> {
        match self {
            #[cfg(feature = "tls")]
            Self::Ring => Arc::new(rustls::crypto::ring::default_provider()),
            #[cfg(feature = "tls-aws-lc-rs")]
            Self::AwsLcRs => Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
            Self::Custom(provider) => Arc::clone(provider),
        }
    }

    /// A new key for stateless tickets; `None` if this provider has none.
    pub(super) fn ticket_key(&self) -> Option<Result<Arc<dyn ProducesTickets>, rustls::Error>> {
        match self {
            #[cfg(feature = "tls")]
            Self::Ring => Some(rustls::crypto::ring::Ticketer::new()),
            #[cfg(feature = "tls-aws-lc-rs")]
            Self::AwsLcRs => Some(rustls::crypto::aws_lc_rs::Ticketer::new()),
            Self::Custom(_) => None,
        }
    }
}

impl fmt::Debug for TlsProvider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            #[cfg(feature = "tls")]
            Self::Ring => "Ring",
            #[cfg(feature = "tls-aws-lc-rs")]
            Self::AwsLcRs => "AwsLcRs",
            Self::Custom(_) => "Custom",
        })
    }
}

impl From<CryptoProvider> for TlsProvider {
    fn from(provider: CryptoProvider) -> Self {
        Self::Custom(Arc::new(provider))
    }
}

impl From<Arc<CryptoProvider>> for TlsProvider {
    fn from(provider: Arc<CryptoProvider>) -> Self {
        Self::Custom(provider)
    }
}
