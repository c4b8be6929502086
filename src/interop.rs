//! What wharf takes from rustls and gives of it: **the items here follow rustls's SemVer, not wharf's.**
//!
//! wharf's own types say all that most programs need of TLS: [`TlsClient::builder`] and
//! [`TlsServer::builder`]. For the rest, a configuration of [rustls] can be used as it is. Its types are those
//! of one minor version (0.23 now). A new one changes them, and may come with any release of wharf. So if you
//! use this module, pin the minor version of wharf as well, and take rustls from here rather than as a
//! dependency of your own.
//!
//! Outside of this module two things name types of rustls, and follow its SemVer, too:
//! [`TlsProvider::Custom`] with its `From`s, and what [`Error::downcast_ref`] finds when asked for
//! a type of rustls.
//!
//! ```
//! # #[cfg(feature = "tls")]
//! # fn main() -> wharf::Result {
//! use std::sync::Arc;
//! use wharf::interop::rustls::{ClientConfig, RootCertStore, crypto::ring};
//! use wharf::interop;
//!
//! let provider = Arc::new(ring::default_provider());
//! let config = ClientConfig::builder_with_provider(provider)
//!     .with_safe_default_protocol_versions()?
//!     .with_root_certificates(RootCertStore::empty())
//!     .with_no_client_auth();
//! let client = interop::tls_client(config).server_name("example.org");
//! # drop(client);
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "tls"))]
//! # fn main() {}
//! ```

use std::sync::Arc;

use ::rustls::{ClientConfig, ServerConfig};

use crate::error::Error;
use crate::tls::{TlsClient, TlsServer};

#[cfg(doc)]
use crate::tls::TlsProvider;

/// The version of rustls that wharf is built with.
pub use ::rustls;

/// A client with a ready configuration of rustls.
///
/// It is used as it is, but for a key log around its own, which keying material is exported by. Its time is
/// that of its own `time_provider`: the system's, also on a loop in virtual time.
///
/// See the [module](self) for an example.
pub fn tls_client(config: impl Into<Arc<ClientConfig>>) -> TlsClient {
    TlsClient::from_rustls(config)
}

/// A server with a ready configuration of rustls; see [`tls_client`]. It cannot be
/// [reloaded](TlsServer::reload).
///
/// ```no_run
/// # #[cfg(feature = "tls")]
/// # fn main() -> wharf::Result {
/// use std::sync::Arc;
/// use wharf::interop::rustls::ServerConfig;
/// use wharf::interop::rustls::crypto::ring;
/// use wharf::interop::rustls::pki_types::pem::PemObject as _;
/// use wharf::interop::rustls::pki_types::{CertificateDer, PrivateKeyDer};
/// use wharf::interop;
///
/// let chain = CertificateDer::pem_file_iter("chain.pem")?.collect::<Result<_, _>>()?;
/// let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
///     .with_safe_default_protocol_versions()?
///     .with_no_client_auth()
///     .with_single_cert(chain, PrivateKeyDer::from_pem_file("key.pem")?)?;
/// let server = interop::tls_server(config);
/// # drop(server);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "tls"))]
/// # fn main() {}
/// ```
pub fn tls_server(config: impl Into<Arc<ServerConfig>>) -> TlsServer {
    TlsServer::from_rustls(config)
}

/// The error of rustls inside of one of wharf's.
///
/// ```
/// use wharf::interop::{self, rustls};
///
/// /// Whether the peer's certificate is the reason, and not a broken connection.
/// fn is_certificate(error: &wharf::Error) -> bool {
///     matches!(interop::tls_error(error), Some(rustls::Error::InvalidCertificate(_)))
/// }
/// # assert!(!is_certificate(&wharf::Error::protocol_violation("junk")));
/// ```
pub fn tls_error(error: &Error) -> Option<&::rustls::Error> {
    error.downcast_ref()
}
