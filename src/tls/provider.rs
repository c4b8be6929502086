//! Whose cryptography is used.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::ProducesTickets;

use crate::error::Error;
#[cfg(not(feature = "tls"))]
use crate::error::Kind;

/// Who does the cryptography.
///
/// ring is the default, and the only one: without the feature `tls` a provider has to be chosen, so that
/// no feature which another crate of the program turns on changes what this one does. wharf never
/// asks for rustls's process-wide default provider and never installs one.
///
/// ```no_run
/// # #[cfg(feature = "tls")]
/// # fn main() -> wharf::Result {
/// use wharf::interop::rustls::crypto::ring;
/// use wharf::{TlsClient, TlsProvider};
///
/// let tls = TlsClient::builder().ca_file("ca.pem").provider(TlsProvider::Ring).build()?;
///
/// // ring with one suite only.
/// let mut one_suite = ring::default_provider();
/// one_suite.cipher_suites.retain(|suite| suite.suite().as_str() == Some("TLS13_AES_256_GCM_SHA384"));
/// let strict = TlsClient::builder().ca_file("ca.pem").provider(one_suite).build()?;
/// # drop((tls, strict));
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "tls"))]
/// # fn main() {}
/// ```
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
    /// The one that is used unless another is chosen: ring or none, whatever else is turned on.
    pub(super) fn default_one() -> Result<Self, Error> {
        #[cfg(feature = "tls")]
        return Ok(Self::Ring);
        #[cfg(not(feature = "tls"))]
        Err(Error::new(
            Kind::Unsupported,
            "no TLS provider: choose one with `provider`, or turn on wharf's feature `tls` for ring",
        ))
    }

    /// One that there is, for what all of them do alike.
    pub(super) fn any() -> Result<Self, Error> {
        #[cfg(feature = "tls-aws-lc-rs")]
        return Ok(Self::AwsLcRs);
        #[cfg(not(feature = "tls-aws-lc-rs"))]
        Self::default_one()
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

#[cfg(all(test, not(feature = "tls")))]
mod tests {
    use super::*;
    use crate::tls::{TlsClient, TlsFingerprint};

    #[test]
    fn no_provider_but_ring_is_a_default() {
        let error = TlsClient::builder().ca_pem("").build().unwrap_err();
        assert!(error.is_unsupported() && error.to_string().contains("choose one"), "{error}");
    }

    #[test]
    #[cfg(feature = "tls-aws-lc-rs")]
    fn a_provider_that_is_no_default_can_be_chosen() {
        let fingerprint = TlsFingerprint::of_certificate(b"a certificate").unwrap();
        let client = TlsClient::builder().provider(TlsProvider::AwsLcRs);
        client.pin_certificate(fingerprint).build().unwrap();
    }
}
