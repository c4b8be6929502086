//! The server's side of TLS.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;

use super::fingerprint::TlsFingerprint;
use super::identity::TlsIdentity;
use super::secrets::SecretCatcher;
use super::server_builder::{Recipe, TlsServerBuilder};
use super::timeouts::{TlsTimeouts, timeout_settings};
use crate::error::Error;

/// The server's side of TLS: its certificates, whom it lets in, which protocols it speaks.
///
/// Cheap to clone. Clones share the configuration, also after a [`reload`](Self::reload), and the
/// keys of the tickets that clients resume with.
///
/// ```no_run
/// use wharf::{EventLoop, Protocol, Result, Server, TlsServer, Transport, signal};
/// # struct Echo;
/// # impl Protocol for Echo {
/// #     fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result { Ok(()) }
/// # }
///
/// async fn serve(event_loop: &EventLoop) -> Result<Server> {
///     let tls = TlsServer::from_files("/etc/echo/chain.pem", "/etc/echo/key.pem")?;
///     let server = event_loop.create_server(|| Echo, ":7000").tls(&tls).await?;
///     // After a renewal: new connections get the new certificate, if it is good.
///     event_loop.add_signal_handler(signal::SIGHUP, move || match tls.reload() {
///         Ok(()) => println!("new certificate: {:?}", tls.fingerprint()),
///         Err(error) => eprintln!("the certificate was not renewed: {error}"),
///     })?;
///     Ok(server)
/// }
/// ```
#[doc(alias("SSLContext", "TlsAcceptor", "ServerConfig"))]
#[derive(Clone)]
pub struct TlsServer {
    shared: Arc<Shared>,
    timeouts: TlsTimeouts,
}

struct Shared {
    /// How to make the configuration again. A ready one of rustls cannot be.
    recipe: Option<Recipe>,
    current: RwLock<Current>,
}

/// What is in force.
#[derive(Clone)]
pub(super) struct Current {
    pub(super) config: Arc<ServerConfig>,
    /// Of the default certificate.
    pub(super) fingerprint: Option<TlsFingerprint>,
    /// The authorities of clients: tickets outlive a reload only if they are the same.
    pub(super) admission: Vec<CertificateDer<'static>>,
}

/// What a connection needs to begin a handshake as server.
#[derive(Debug)]
pub(crate) struct ServerSetup {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) timeouts: TlsTimeouts,
}

impl TlsServer {
    /// One certificate: a PEM file with it and its intermediates, and a PEM file with its key.
    ///
    /// # Errors
    /// As [`TlsServerBuilder::build`].
    pub fn from_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, Error> {
        Self::builder().identity(TlsIdentity::from_files(chain, key)).build()
    }

    /// Begins to describe a server.
    pub fn builder() -> TlsServerBuilder {
        TlsServerBuilder::default()
    }

    /// A ready configuration, used as it is but for a key log around its own, which keying material is
    /// exported by.
    pub(crate) fn from_rustls(config: impl Into<Arc<ServerConfig>>) -> Self {
        let mut config = Arc::unwrap_or_clone(config.into());
        config.key_log = Arc::new(SecretCatcher(config.key_log));
        let current =
            Current { config: Arc::new(config), fingerprint: None, admission: Vec::new() };
        Self::from_parts(None, current)
    }

    pub(super) fn from_parts(recipe: Option<Recipe>, current: Current) -> Self {
        let shared = Arc::new(Shared { recipe, current: RwLock::new(current) });
        Self { shared, timeouts: TlsTimeouts::default() }
    }

    timeout_settings!();

    /// Reads all files again: certificates, keys, the authorities of clients.
    ///
    /// Connections that begin after it use what was read, on every loop that serves with this value
    /// or a clone; those that are there stay. It reads files, so on a busy loop call it through
    /// [`run_in_executor`](crate::EventLoop::run_in_executor) on a clone. Tickets stay good, unless
    /// the authorities of clients changed.
    ///
    /// # Errors
    /// Those of [`TlsServerBuilder::build`]; what was in force stays in force.
    /// [`is_unsupported`](Error::is_unsupported) on one made by [`interop::tls_server`](crate::interop::tls_server).
    pub fn reload(&self) -> Result<(), Error> {
        let Some(recipe) = &self.shared.recipe else {
            let text = "a TlsServer made from rustls's configuration has no files to reload";
            return Err(Error::new(crate::error::Kind::Unsupported, text));
        };
        // Files are read without the lock, so that connections go on beginning.
        let old = self.current().clone();
        let fresh = recipe.configure(Some(&old))?;
        *self.shared.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// The SHA-256 fingerprint of the certificate that is in force for clients that ask for no known
    /// name; `None` on one made by [`interop::tls_server`](crate::interop::tls_server).
    pub fn fingerprint(&self) -> Option<TlsFingerprint> {
        self.current().fingerprint
    }

    /// What to begin a handshake with: what is in force now.
    pub(crate) fn accept(&self) -> Result<ServerSetup, Error> {
        let timeouts = self.timeouts.checked()?;
        Ok(ServerSetup { config: Arc::clone(&self.current().config), timeouts })
    }

    fn current(&self) -> RwLockReadGuard<'_, Current> {
        self.shared.current.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<&TlsServer> for TlsServer {
    fn from(server: &TlsServer) -> Self {
        server.clone()
    }
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TlsServer")
            .field("fingerprint", &self.fingerprint())
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}
