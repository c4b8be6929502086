//! Describing the server's side of TLS.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::{KeyLogFile, ServerConfig};

use super::alpn;
use super::choice::Choice;
use super::clock::{self, LoopClock};
use super::error::config_error;
use super::fingerprint::Sha256;
use super::identity::TlsIdentity;
use super::pem::PemSource;
use super::provider::TlsProvider;
use super::roots;
use super::secrets::SecretCatcher;
use super::server::{Current, TlsServer};
use super::tickets::{MAX_LIFETIME, Tickets};
use super::version::{TlsVersion, Versions};
use crate::error::{Error, Kind};

/// How many sessions are kept in memory, where they are not in tickets.
const SESSION_CACHE: usize = 4096;

/// A server's side of TLS to be made: what [`TlsServer::builder`] returns.
///
/// ```no_run
/// use wharf::{EventLoop, TlsIdentity, TlsServer, TlsVersion};
/// # struct Idle;
/// # impl wharf::Protocol for Idle {
/// #     fn data_received(&mut self, _: &dyn wharf::Transport, _: &[u8]) -> wharf::Result { Ok(()) }
/// # }
///
/// # async fn serve(event_loop: EventLoop) -> wharf::Result {
/// let tls = TlsServer::builder()
///     .identity(TlsIdentity::from_files("chain.pem", "key.pem"))
///     .min_version(TlsVersion::Tls13)
///     .alpn(["h2", "http/1.1"])
///     .build()?;
/// event_loop.create_server(|| Idle, "0.0.0.0:443").tls(&tls).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is made before `build`"]
pub struct TlsServerBuilder {
    recipe: Recipe,
}

/// All that a configuration is made of: what a reload begins with.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    identities: Vec<TlsIdentity>,
    refuses_unknown_names: bool,
    client_authorities: Vec<PemSource>,
    client_may_be_anonymous: bool,
    alpn: Vec<Vec<u8>>,
    versions: Versions,
    tickets: Option<Duration>,
    max_early_data: u32,
    key_log: bool,
    checks_dates: bool,
    provider: Option<TlsProvider>,
}

impl TlsServerBuilder {
    /// A certificate to show. At least one is needed.
    ///
    /// If there are several, a client gets the one for the name that it asks for (SNI): exact names
    /// first, then wildcards. If it asks for none or an unknown one, it gets the first. Two with
    /// equal names and different kinds of keys are fine: the client gets the first that it can
    /// check.
    pub fn identity(mut self, identity: TlsIdentity) -> Self {
        self.recipe.identities.push(identity);
        self
    }

    /// Whether a client that asks for an unknown name, or for none, is refused. False by default: it
    /// gets the first certificate.
    pub fn refuse_unknown_names(mut self, refuse: bool) -> Self {
        self.recipe.refuses_unknown_names = refuse;
        self
    }

    /// Asks clients for certificates, and trusts the authorities in a PEM file for them.
    ///
    /// A client without a certificate is refused, unless
    /// [`allow_anonymous_clients`](Self::allow_anonymous_clients) is set.
    pub fn client_ca_file(mut self, path: impl AsRef<Path>) -> Self {
        self.recipe.client_authorities.push(PemSource::file(path));
        self
    }

    /// As [`client_ca_file`](Self::client_ca_file), with the PEM itself.
    pub fn client_ca_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.recipe.client_authorities.push(PemSource::memory(pem));
        self
    }

    /// Whether clients that have no certificate are let in where they are asked for one. False by
    /// default. One that shows a wrong certificate is refused either way.
    pub fn allow_anonymous_clients(mut self, allow: bool) -> Self {
        self.recipe.client_may_be_anonymous = allow;
        self
    }

    /// The application protocols to accept (ALPN), the best first. None by default. A client that
    /// offers others, and none of these, is refused; one that offers nothing is let in.
    pub fn alpn<N: AsRef<[u8]>>(mut self, protocols: impl IntoIterator<Item = N>) -> Self {
        self.recipe.alpn =
            protocols.into_iter().map(|protocol| protocol.as_ref().to_owned()).collect();
        self
    }

    /// The lowest version to accept. TLS 1.2 by default.
    pub fn min_version(mut self, version: TlsVersion) -> Self {
        self.recipe.versions.min = version;
        self
    }

    /// The highest version to accept. TLS 1.3 by default.
    pub fn max_version(mut self, version: TlsVersion) -> Self {
        self.recipe.versions.max = version;
        self
    }

    /// How long a client can resume a session with a ticket: 2 s to 12 h, 12 h by default. `None`
    /// turns resumption off.
    ///
    /// A key encrypts tickets for half of that time and is forgotten after it, so a ticket is good
    /// for between half and all of it.
    pub fn ticket_lifetime(mut self, lifetime: impl Into<Option<Duration>>) -> Self {
        self.recipe.tickets = lifetime.into();
        self
    }

    /// How many bytes a resuming client may send before the handshake is over (0-RTT). 0, none, by
    /// default: an attacker can send them again (RFC 8446, section 8).
    ///
    /// With it sessions are kept in memory, at most 4096, each good for one resumption, instead of in
    /// tickets, as a defence against the replay.
    pub fn max_early_data(mut self, bytes: u32) -> Self {
        self.recipe.max_early_data = bytes;
        self
    }

    /// Whether the secrets of all connections are written to the file that the environment variable
    /// `SSLKEYLOGFILE` names, for Wireshark and the like. False by default.
    ///
    /// Whoever can read that file can read the connections. Without the variable nothing is written.
    pub fn key_log(mut self, enable: bool) -> Self {
        self.recipe.key_log = enable;
        self
    }

    /// Whether a certificate that has expired, or is not valid yet, is refused when it is loaded, by
    /// the system's time. True by default: clients would refuse it. `false` is for machines whose clock
    /// may be wrong.
    pub fn check_dates(mut self, check: bool) -> Self {
        self.recipe.checks_dates = check;
        self
    }

    /// Who does the cryptography. See [`TlsProvider`] for the default.
    pub fn provider(mut self, provider: impl Into<TlsProvider>) -> Self {
        self.recipe.provider = Some(provider.into());
        self
    }

    /// Reads the files, checks everything, and makes the server's side.
    ///
    /// # Errors
    /// One line that names the file and says what is wrong with it:
    /// [`io_error`](Error::io_error) for one that cannot be read, else
    /// [`is_invalid`](Error::is_invalid): not PEM, no certificate or key in it, a key that is
    /// encrypted, or of another certificate, a certificate that has expired; likewise for ALPN names,
    /// versions, a ticket's lifetime, or no certificate at all.
    /// [`is_unsupported`](Error::is_unsupported) when there is no provider.
    pub fn build(self) -> Result<TlsServer, Error> {
        let current = self.recipe.configure(None)?;
        Ok(TlsServer::from_parts(Some(self.recipe), current))
    }
}

impl Recipe {
    /// Reads and checks everything. `old` is what was in force, of which tickets, sessions and the
    /// key log go on.
    pub(super) fn configure(&self, old: Option<&Current>) -> Result<Current, Error> {
        let provider = match &self.provider {
            Some(provider) => provider.clone(),
            None => TlsProvider::default_one()?,
        };
        let crypto = provider.crypto();
        let choice = self.choice(&crypto)?;
        let default = choice.default_key().and_then(|key| key.cert.first());
        let fingerprint = match default {
            Some(certificate) => Some(Sha256::of(&crypto)?.fingerprint(certificate)),
            None => return Err(Error::invalid("a TLS server needs a certificate")),
        };
        let client_authorities = roots::read(&self.client_authorities)?;
        let verifier = self.client_verifier(&crypto, &client_authorities)?;
        let mut config = ServerConfig::builder_with_details(crypto, Arc::new(LoopClock))
            .with_protocol_versions(&self.versions.supported()?)
            .map_err(config_error)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(choice));
        config.alpn_protocols = alpn::checked(&self.alpn)?;
        config.max_early_data_size = self.max_early_data;
        let admission: Vec<_> =
            client_authorities.into_iter().flat_map(|(_, certificates)| certificates).collect();
        match old {
            // A resumed client is not asked for its certificate again.
            Some(old) if old.admission == admission => {
                config.ticketer = Arc::clone(&old.config.ticketer);
                config.session_storage = Arc::clone(&old.config.session_storage);
                config.send_tls13_tickets = old.config.send_tls13_tickets;
            }
            _ => self.set_resumption(&mut config, &provider)?,
        }
        match old {
            Some(old) => config.key_log = Arc::clone(&old.config.key_log),
            None if self.key_log => {
                config.key_log = Arc::new(SecretCatcher(Arc::new(KeyLogFile::new())));
            }
            None => config.key_log = Arc::new(SecretCatcher(config.key_log)),
        }
        Ok(Current { config: Arc::new(config), fingerprint, admission })
    }

    fn choice(&self, crypto: &CryptoProvider) -> Result<Choice, Error> {
        let now = self.checks_dates.then(clock::now);
        let mut choice = Choice::new(self.refuses_unknown_names);
        for identity in &self.identities {
            choice.add(identity, identity.load(crypto, now)?)?;
        }
        Ok(choice)
    }

    /// What checks clients.
    fn client_verifier(
        &self,
        crypto: &Arc<CryptoProvider>,
        authorities: &roots::Read<'_>,
    ) -> Result<Arc<dyn ClientCertVerifier>, Error> {
        if authorities.is_empty() {
            if self.client_may_be_anonymous {
                let text = "clients that may be anonymous need an authority for those that are not";
                return Err(Error::invalid(text));
            }
            return Ok(WebPkiClientVerifier::no_client_auth());
        }
        let store = Arc::new(roots::store_of(authorities)?);
        let builder = WebPkiClientVerifier::builder_with_provider(store, Arc::clone(crypto));
        let builder =
            if self.client_may_be_anonymous { builder.allow_unauthenticated() } else { builder };
        builder.build().map_err(|error| {
            Error::with_source(Kind::Invalid, "clients' certificates cannot be checked", error)
        })
    }

    fn set_resumption(
        &self,
        config: &mut ServerConfig,
        provider: &TlsProvider,
    ) -> Result<(), Error> {
        let Some(lifetime) = self.tickets else {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
            return Ok(());
        };
        match Tickets::new(provider, lifetime)? {
            Some(tickets) if self.max_early_data == 0 => config.ticketer = Arc::new(tickets),
            _ => config.session_storage = ServerSessionMemoryCache::new(SESSION_CACHE),
        }
        Ok(())
    }
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            identities: Vec::new(),
            refuses_unknown_names: false,
            client_authorities: Vec::new(),
            client_may_be_anonymous: false,
            alpn: Vec::new(),
            versions: Versions::default(),
            tickets: Some(MAX_LIFETIME),
            max_early_data: 0,
            key_log: false,
            checks_dates: true,
            provider: None,
        }
    }
}
