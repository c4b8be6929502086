//! What is to be done to a connection.

use std::fmt;
use std::sync::Arc;

use super::early_data::has_short_tags;
use super::layer::Layer;
use super::session::Session;
use crate::error::Error;
use crate::event_loop::Core;
use crate::tls::{TlsClient, TlsServer, TlsTimeouts, tls_error};

/// How a connection is to become a TLS one: as client or as server, and what is to become of bytes
/// that were received before.
///
/// Made from a [`TlsClient`] or a [`TlsServer`].
///
/// ```no_run
/// use wharf::bytes::Bytes;
/// use wharf::{Protocol, Result, TlsClient, TlsUpgrade, Transport};
///
/// /// Asks for TLS, and says nothing before it is there.
/// struct Client(TlsClient);
///
/// impl Protocol for Client {
///     fn connection_made(&mut self, transport: &dyn Transport) -> Result {
///         transport.write(b"STARTTLS\r\n");
///         Ok(())
///     }
///
///     fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
///         if data.ends_with(b"\r\n") {
///             transport.start_tls(TlsUpgrade::from(&self.0), Bytes::new());
///         }
///         Ok(())
///     }
///
///     fn tls_established(&mut self, transport: &dyn Transport) -> Result {
///         transport.write(b"a secret\r\n");
///         Ok(())
///     }
/// }
/// ```
#[derive(Clone)]
#[must_use = "it is given to `start_tls`"]
pub struct TlsUpgrade {
    role: Role,
    leftover: Leftover,
    early_data: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Role {
    Client(TlsClient),
    Server(TlsServer),
}

/// What is done with bytes that were received before the upgrade and not consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leftover {
    /// The connection is aborted: whoever sits between the peers may have put them there, to be
    /// taken for bytes that came under TLS.
    Refuse,
    /// They are the beginning of the handshake.
    Feed,
}

impl TlsUpgrade {
    /// Takes bytes that were received before the upgrade, and not consumed, as the beginning of the
    /// handshake.
    ///
    /// For a server whose clients send their first TLS message without waiting for its answer, and
    /// for one that looks at the first bytes to tell TLS from other protocols. Without it such
    /// bytes end the connection: in protocols that switch by command (STARTTLS) they are how a man
    /// in the middle injects commands (CVE-2011-0411).
    pub fn feed_leftover(mut self) -> Self {
        self.leftover = Leftover::Feed;
        self
    }

    /// Makes a client send `data` with its first message, before the handshake is done (0-RTT, RFC
    /// 8446, 2.3), if the session that it resumes allows that.
    ///
    /// If there is no such session, if the server rejects it, or for what is more than it allows, the
    /// data is sent right after the handshake, before all else: the server gets it once and in order,
    /// and the connection is as if it had been written first.
    /// [`TlsInfo::early_data`](crate::TlsInfo::early_data) says which it was. Several calls add up.
    ///
    /// **Early data can be replayed.** Whoever sees it on its way can send it again, to the same
    /// server or to another one that knows the session, and nothing in TLS itself prevents that it is
    /// accepted again (RFC 8446, section 8 and appendix E.5). So it is for requests that may be
    /// carried out more than once: a `GET`, never an order or a login. Nor has it forward secrecy:
    /// whoever gets hold of the session's keys later can read it.
    ///
    /// A server that went back to TLS 1.2 since the session fails the handshake (RFC 8446, D.3):
    /// connect again without it.
    ///
    /// With a [`TlsServer`] it is an error when it is used.
    pub fn early_data(mut self, data: impl AsRef<[u8]>) -> Self {
        self.early_data.extend_from_slice(data.as_ref());
        self
    }

    pub(crate) fn leftover(&self) -> Leftover {
        self.leftover
    }

    /// `host` is what the user asked to be connected to, where there is a name.
    pub(crate) fn setup(&self, core: &Core, host: Option<&str>) -> Result<Setup, Error> {
        // Whether a session can be resumed is a question of time.
        core.by_the_clock(|| self.prepare(host))
    }

    fn prepare(&self, host: Option<&str>) -> Result<Setup, Error> {
        match &self.role {
            Role::Client(client) => {
                let mut setup = client.connect(host)?;
                let timeouts = setup.timeouts;
                let name = match &setup.name {
                    rustls::pki_types::ServerName::DnsName(name) => Some(name.as_ref().to_owned()),
                    _ => None,
                };
                if !self.early_data.is_empty() && !has_short_tags(&setup.config) {
                    // Whoever allows it also says that it comes, so for no other connection.
                    Arc::make_mut(&mut setup.config).enable_early_data = true;
                }
                let session = Session::client(setup).map_err(tls_error)?;
                let layer = Layer::new(session, name).with_early_data(self.early_data.clone());
                Ok(Setup { layer, timeouts })
            }
            Role::Server(_) if !self.early_data.is_empty() => {
                Err(Error::invalid("early data is sent by clients only"))
            }
            Role::Server(server) => Setup::accept(server),
        }
    }
}

impl fmt::Debug for TlsUpgrade {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TlsUpgrade")
            .field("role", &self.role)
            .field("leftover", &self.leftover)
            // It may be a secret.
            .field("early_data", &self.early_data.len())
            .finish()
    }
}

impl From<TlsClient> for TlsUpgrade {
    fn from(client: TlsClient) -> Self {
        Self { role: Role::Client(client), leftover: Leftover::Refuse, early_data: Vec::new() }
    }
}

impl From<&TlsClient> for TlsUpgrade {
    fn from(client: &TlsClient) -> Self {
        client.clone().into()
    }
}

impl From<TlsServer> for TlsUpgrade {
    fn from(server: TlsServer) -> Self {
        Self { role: Role::Server(server), leftover: Leftover::Refuse, early_data: Vec::new() }
    }
}

impl From<&TlsServer> for TlsUpgrade {
    fn from(server: &TlsServer) -> Self {
        server.clone().into()
    }
}

/// What a handshake begins with.
pub(crate) struct Setup {
    pub(crate) layer: Layer,
    pub(crate) timeouts: TlsTimeouts,
}

impl Setup {
    pub(crate) fn accept(server: &TlsServer) -> Result<Self, Error> {
        let setup = server.accept()?;
        let timeouts = setup.timeouts;
        let session = Session::server(setup).map_err(tls_error)?;
        Ok(Self { layer: Layer::new(session, None), timeouts })
    }
}
