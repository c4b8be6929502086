//! Describing the client's side of TLS.

use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, KeyLogFile};

use super::alpn;
use super::client::TlsClient;
use super::clock::{self, LoopClock};
use super::error::config_error;
use super::fingerprint::{Sha256, TlsFingerprint};
use super::identity::TlsIdentity;
use super::pem::PemSource;
use super::pins::{Pin, PinVerifier};
use super::provider::TlsProvider;
use super::roots::{self, Roots};
use super::secrets::SecretCatcher;
use super::version::{TlsVersion, Versions};
use crate::error::Error;

/// For how many servers sessions are kept at most: rustls takes the memory at once.
const MOST_SERVERS: usize = 16 * 1024;

/// rustls counts tickets, and keeps so many for each server.
const TICKETS_PER_SERVER: usize = 8;

/// With how many servers a session can be resumed, unless set.
const SESSION_CACHE: usize = 256;

/// A client's side of TLS to be made: what [`TlsClient::builder`] returns.
///
/// **Whom to trust.** Authorities and pins; settings that are given several times add up. If nothing
/// is given, what the operating system trusts (feature `tls-platform-roots`). If both authorities
/// and pins are given, a server must satisfy both. There is no way to trust everybody: pin the
/// certificate of a test server.
///
/// ```no_run
/// use wharf::{EventLoop, TlsClient};
/// # struct Idle;
/// # impl wharf::Protocol for Idle {
/// #     fn data_received(&mut self, _: &dyn wharf::Transport, _: &[u8]) -> wharf::Result { Ok(()) }
/// # }
///
/// # async fn connect(event_loop: EventLoop) -> wharf::Result {
/// let tls = TlsClient::builder().ca_file("ca.pem").alpn(["h2", "http/1.1"]).build()?;
/// event_loop.create_connection(|| Idle, "example.org:443").tls(&tls).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is made before `build`"]
pub struct TlsClientBuilder {
    roots: Roots,
    pins: Vec<Pin>,
    pinned_certificates: Vec<PemSource>,
    identity: Option<TlsIdentity>,
    alpn: Vec<Vec<u8>>,
    versions: Versions,
    sends_name: bool,
    session_cache: usize,
    key_log: bool,
    checks_dates: bool,
    provider: Option<TlsProvider>,
}

impl TlsClientBuilder {
    /// Trusts what the operating system trusts.
    ///
    /// On Linux and the BSDs, that is the bundle of authorities the system comes with, or what
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    #[cfg(feature = "tls-platform-roots")]
    pub fn platform_roots(mut self) -> Self {
        self.roots.platform = true;
        self
    }

    /// Trusts the authorities that Mozilla does, as of the version of the `webpki-roots` crate.
    #[cfg(feature = "tls-webpki-roots")]
    pub fn webpki_roots(mut self) -> Self {
        self.roots.webpki = true;
        self
    }

    /// Trusts the authorities whose certificates are in a PEM file.
    pub fn ca_file(mut self, path: impl AsRef<Path>) -> Self {
        self.roots.authorities.push(PemSource::file(path));
        self
    }

    /// Trusts the authorities whose certificates these are, in PEM.
    pub fn ca_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.roots.authorities.push(PemSource::memory(pem));
        self
    }

    /// Accepts the server that has exactly this certificate, known by its SHA-256 fingerprint.
    ///
    /// The name and the dates in a pinned certificate are not looked at (RFC 7671, section 5.1):
    /// the pin says which one it is. `openssl x509 -noout -fingerprint -sha256` prints it.
    pub fn pin_certificate(mut self, fingerprint: TlsFingerprint) -> Self {
        self.pins.push(Pin::Certificate(fingerprint));
        self
    }

    /// Accepts the server whose certificate has this public key, known by the SHA-256 fingerprint
    /// of its `SubjectPublicKeyInfo`. As [`pin_certificate`](Self::pin_certificate), and survives a
    /// renewal that keeps the key.
    ///
    /// `openssl x509 -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum` prints it.
    pub fn pin_public_key(mut self, fingerprint: TlsFingerprint) -> Self {
        self.pins.push(Pin::PublicKey(fingerprint));
        self
    }

    /// Accepts the server that has exactly the certificate in a PEM file (of several: one of them),
    /// as [`pin_certificate`](Self::pin_certificate). The way to trust a self-signed one.
    pub fn pin_certificate_file(mut self, path: impl AsRef<Path>) -> Self {
        self.pinned_certificates.push(PemSource::file(path));
        self
    }

    /// Accepts the server that has exactly this certificate, in PEM (of several: one of them), as
    /// [`pin_certificate`](Self::pin_certificate). The way to trust a self-signed one.
    pub fn pin_certificate_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.pinned_certificates.push(PemSource::memory(pem));
        self
    }

    /// What the client shows to a server that asks who it is. Nothing by default.
    pub fn identity(mut self, identity: TlsIdentity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// The application protocols to offer (ALPN), the best first, as `["h2", "http/1.1"]`. None by
    /// default. A server that knows ALPN and none of them refuses; one that does not know ALPN
    /// chooses none.
    pub fn alpn<N: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = N>) -> Self {
        self.alpn = protocols.into_iter().map(|protocol| protocol.as_ref().to_owned()).collect();
        self
    }

    /// The lowest version to accept. TLS 1.2 by default.
    pub fn min_version(mut self, version: TlsVersion) -> Self {
        self.versions.min = version;
        self
    }

    /// The highest version to offer. TLS 1.3 by default.
    pub fn max_version(mut self, version: TlsVersion) -> Self {
        self.versions.max = version;
        self
    }

    /// Whether the server's name is sent (SNI), readable to everyone on the way. True by default; the
    /// certificate is checked against it either way.
    pub fn send_server_name(mut self, send: bool) -> Self {
        self.sends_name = send;
        self
    }

    /// For how many servers sessions are kept in memory to be resumed, at most 16,384 of them. 256
    /// by default; 0 turns resumption off. The memory of the table is taken at once.
    pub fn session_cache(mut self, servers: usize) -> Self {
        self.session_cache = servers;
        self
    }

    /// Whether the secrets of all connections are written to the file that the environment variable
    /// `SSLKEYLOGFILE` names, for Wireshark and the like. False by default.
    ///
    /// Whoever can read that file can read the connections. Without the variable nothing is written.
    pub fn key_log(mut self, enable: bool) -> Self {
        self.key_log = enable;
        self
    }

    /// Whether an [`identity`](Self::identity) that has expired, or is not valid yet, is refused when
    /// it is loaded, by the system's time. True by default.
    pub fn check_dates(mut self, check: bool) -> Self {
        self.checks_dates = check;
        self
    }

    /// Who does the cryptography. See [`TlsProvider`] for the default.
    pub fn provider(mut self, provider: impl Into<TlsProvider>) -> Self {
        self.provider = Some(provider.into());
        self
    }

    /// Reads the files, checks everything, and makes the client.
    ///
    /// # Errors
    /// One line that names the file and says what is wrong with it:
    /// [`io_error`](Error::io_error) for one that cannot be read, else
    /// [`is_invalid`](Error::is_invalid): not PEM, no certificate or key in it, a key that is
    /// encrypted, or of another certificate, a certificate that has expired; likewise for ALPN names
    /// and versions. [`is_unsupported`](Error::is_unsupported) when there is nothing to trust, no
    /// provider, or the system has no roots.
    pub fn build(self) -> Result<TlsClient, Error> {
        let alpn = alpn::checked(&self.alpn)?;
        let versions = self.versions.supported()?;
        let provider = match &self.provider {
            Some(provider) => provider.crypto(),
            None => TlsProvider::default_one()?.crypto(),
        };
        let (verifier, needs_name) = self.verifier(&provider)?;
        let identity = match &self.identity {
            Some(identity) => {
                let now = self.checks_dates.then(clock::now);
                Some(identity.load(&provider, now)?)
            }
            None => None,
        };
        let builder = ClientConfig::builder_with_details(provider, Arc::new(LoopClock))
            .with_protocol_versions(&versions)
            .map_err(config_error)?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match identity {
            Some(key) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn;
        config.enable_sni = self.sends_name;
        config.resumption = match self.session_cache {
            0 => Resumption::disabled(),
            servers => {
                let tickets = servers.min(MOST_SERVERS) * TICKETS_PER_SERVER;
                Resumption::in_memory_sessions(tickets)
            }
        };
        if self.key_log {
            config.key_log = Arc::new(KeyLogFile::new());
        }
        config.key_log = Arc::new(SecretCatcher(config.key_log));
        Ok(TlsClient::from_parts(Arc::new(config), needs_name))
    }

    /// What checks the server's certificate, and whether it looks at the name.
    fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<(Arc<dyn ServerCertVerifier>, bool), Error> {
        let sha256 = Sha256::of(provider)?;
        let mut pins = self.pins.clone();
        for (_, certificates) in roots::read(&self.pinned_certificates)? {
            let exact = |certificate: &_| Pin::Certificate(sha256.fingerprint(certificate));
            pins.extend(certificates.iter().map(|certificate| exact(&**certificate)));
        }
        if pins.is_empty() {
            let roots =
                if self.roots.is_empty() { Roots::default_ones()? } else { self.roots.clone() };
            return Ok((roots.verifier(provider)?, true));
        }
        let authorities = match self.roots.is_empty() {
            true => None,
            false => Some(self.roots.verifier(provider)?),
        };
        let needs_name = authorities.is_some();
        let provider = Arc::clone(provider);
        Ok((Arc::new(PinVerifier { pins, authorities, provider, sha256 }), needs_name))
    }
}

impl Default for TlsClientBuilder {
    fn default() -> Self {
        Self {
            roots: Roots::default(),
            pins: Vec::new(),
            pinned_certificates: Vec::new(),
            identity: None,
            alpn: Vec::new(),
            versions: Versions::default(),
            sends_name: true,
            session_cache: SESSION_CACHE,
            key_log: false,
            checks_dates: true,
            provider: None,
        }
    }
}
