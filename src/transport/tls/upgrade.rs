//! What is to be done to a connection.

use super::layer::Layer;
use super::session::Session;
use crate::error::Error;
use crate::event_loop::Core;
use crate::tls::{TlsClient, TlsServer, TlsTimeouts, tls_error};

/// How a connection is to become a TLS one: as client or as server, and what is to become of bytes
/// that were received before.
///
/// Made from a [`TlsClient`] or a [`TlsServer`].
#[derive(Clone, Debug)]
#[must_use = "it is given to `start_tls`"]
pub struct TlsUpgrade {
    role: Role,
    leftover: Leftover,
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
                let setup = client.connect(host)?;
                let timeouts = setup.timeouts;
                let name = match &setup.name {
                    rustls::pki_types::ServerName::DnsName(name) => Some(name.as_ref().to_owned()),
                    _ => None,
                };
                let session = Session::client(setup).map_err(tls_error)?;
                Ok(Setup { layer: Layer::new(session, name), timeouts })
            }
            Role::Server(server) => Setup::accept(server),
        }
    }
}

impl From<TlsClient> for TlsUpgrade {
    fn from(client: TlsClient) -> Self {
        Self { role: Role::Client(client), leftover: Leftover::Refuse }
    }
}

impl From<&TlsClient> for TlsUpgrade {
    fn from(client: &TlsClient) -> Self {
        client.clone().into()
    }
}

impl From<TlsServer> for TlsUpgrade {
    fn from(server: TlsServer) -> Self {
        Self { role: Role::Server(server), leftover: Leftover::Refuse }
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
