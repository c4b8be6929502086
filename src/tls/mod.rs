//! TLS: whom to trust, what to present, and which versions to speak.
//!
//! Users describe a side of TLS with [`TlsClient`] or [`TlsServer`]; both become rustls
//! configurations here, when they are built, so that a bad file is an error before anything
//! connects. The connection's engine takes them through [`TlsClient::connect`] and
//! [`TlsServer::accept`], and turns rustls's errors into ours with [`handshake_error`].
//!
//! - `pem` reads files, `identity` makes a certificate and its key of them, `dates` and `names` look
//!   into certificates.
//! - `roots` and `pins` are what a client trusts; `choice` is which certificate a server presents.
//! - `secrets` is what keying material is exported from.
//! - `clock` is where rustls takes the time from, and `tickets` rotates a server's ticket keys by it.

mod alpn;
mod choice;
mod client;
mod client_builder;
pub(crate) mod clock;
mod dates;
mod error;
mod fingerprint;
mod identity;
mod names;
mod pem;
mod pins;
mod provider;
mod roots;
mod secrets;
mod server;
mod server_builder;
mod tickets;
mod timeouts;
mod version;

pub(crate) use self::client::ClientSetup;
pub use self::client::TlsClient;
pub use self::client_builder::TlsClientBuilder;
pub(crate) use self::error::{handshake_error, tls_error};
pub use self::fingerprint::TlsFingerprint;
pub use self::identity::TlsIdentity;
pub use self::provider::TlsProvider;
pub(crate) use self::secrets::{
    ExporterSecret, MasterSecret, Secret, unsupported as export_unsupported,
};
pub(crate) use self::server::ServerSetup;
pub use self::server::TlsServer;
pub use self::server_builder::TlsServerBuilder;
pub(crate) use self::timeouts::TlsTimeouts;
pub use self::version::TlsVersion;

#[cfg(all(test, feature = "tls"))]
mod tests;
