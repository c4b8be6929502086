//! The client's side of TLS.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::client_builder::TlsClientBuilder;
use super::names::server_name;
use super::secrets::SecretCatcher;
use super::timeouts::{TlsTimeouts, timeout_settings};
use crate::error::Error;

/// The client's side of TLS: whom it trusts, what it presents, under which name it asks.
///
/// Cheap to clone. Clones share what they resume sessions with, so one `TlsClient` for many
/// connections makes the later ones cheaper.
///
/// ```
/// use wharf::{TlsClient, TlsFingerprint};
///
/// # fn main() -> wharf::Result {
/// // A server whose certificate no authority signed, known by its fingerprint.
/// let fingerprint: TlsFingerprint =
///     "f1:66:01:6d:76:6a:71:0f:65:4d:aa:32:47:d1:15:4e:8a:4e:5c:86:34:a9:63:c2:d7:76:67:ae:fa:38:13:ba"
///         .parse()?;
/// let tls = TlsClient::builder().pin_certificate(fingerprint).alpn(["h2", "http/1.1"]).build()?;
/// let other_name = tls.clone().server_name("internal.example");
/// # Ok(())
/// # }
/// ```
#[doc(alias("SSLContext", "TlsConnector", "ClientConfig"))]
#[derive(Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    /// Whether the certificate is checked against the name. If not, there may be none.
    needs_name: bool,
    name: Option<String>,
    timeouts: TlsTimeouts,
}

/// What a connection needs to begin a handshake as client.
#[derive(Debug)]
pub(crate) struct ClientSetup {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) name: ServerName<'static>,
    pub(crate) timeouts: TlsTimeouts,
}

impl TlsClient {
    /// Trusts what the operating system trusts (feature `tls-platform-roots`); all else as
    /// [`builder`](Self::builder) has it.
    ///
    /// It reads the operating system's certificates: make one and clone it, rather than one for each
    /// connection.
    ///
    /// # Errors
    /// As [`TlsClientBuilder::build`].
    pub fn new() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// Begins to describe a client.
    pub fn builder() -> TlsClientBuilder {
        TlsClientBuilder::default()
    }

    /// A ready configuration, used as it is but for a key log around its own, which keying material is
    /// exported by.
    pub(crate) fn from_rustls(config: impl Into<Arc<ClientConfig>>) -> Self {
        let mut config = Arc::unwrap_or_clone(config.into());
        config.key_log = Arc::new(SecretCatcher(config.key_log));
        Self::from_parts(Arc::new(config), true)
    }

    pub(super) fn from_parts(config: Arc<ClientConfig>, needs_name: bool) -> Self {
        Self { config, needs_name, name: None, timeouts: TlsTimeouts::default() }
    }

    /// The name that the server's certificate must be for, and that the client asks for (SNI).
    ///
    /// By default the host that was given to `create_connection`. An IP address is checked as well,
    /// but not sent. A Unix socket has no host, so a name must be set for it, unless the server is
    /// known by a pin. Text that is no name is an error when it is used.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// As [`server_name`](Self::server_name), unless a name is set: for a protocol that knows a name, and whose user may
    /// know better.
    #[must_use]
    pub fn default_server_name(mut self, name: impl Into<String>) -> Self {
        self.name.get_or_insert_with(|| name.into());
        self
    }

    timeout_settings!();

    /// What to begin a handshake with. `host` is what the user asked to be connected to, if that has
    /// a name: a DNS name or an IP address, without the port.
    pub(crate) fn connect(&self, host: Option<&str>) -> Result<ClientSetup, Error> {
        let timeouts = self.timeouts.checked()?;
        let name = match self.name.as_deref().or(host) {
            Some(name) => match server_name(name) {
                Err(_) if !self.needs_name && self.name.is_none() => nameless(),
                name => name?,
            },
            None if self.needs_name => {
                return Err(Error::invalid(
                    "TLS needs the name that the server's certificate is for: \
                     set it with TlsClient::server_name",
                ));
            }
            None => nameless(),
        };
        Ok(ClientSetup { config: Arc::clone(&self.config), name, timeouts })
    }
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TlsClient")
            .field("server_name", &self.name)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}

/// What stands for a name that is neither sent (an address never is) nor checked.
fn nameless() -> ServerName<'static> {
    ServerName::IpAddress(IpAddr::V4(Ipv4Addr::UNSPECIFIED).into())
}
