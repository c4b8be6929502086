//! What is known of a connection.

#[cfg(feature = "tls-core")]
use std::rc::Rc;

use crate::address::Address;
use crate::driver::PeerCredentials;
#[cfg(feature = "tls-core")]
use crate::transport::tls::TlsInfo;

/// What is known of a connection. It stays readable after the connection is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    pub(crate) local_address: Option<Address>,
    pub(crate) peer_address: Option<Address>,
    pub(crate) peer_credentials: Option<PeerCredentials>,
    #[cfg(feature = "tls-core")]
    pub(crate) tls: Option<Rc<TlsInfo>>,
}

impl Info {
    /// This end's address (asyncio's `sockname`).
    pub fn local_address(&self) -> Option<&Address> {
        self.local_address.as_ref()
    }

    /// The other end's address (asyncio's `peername`).
    pub fn peer_address(&self) -> Option<&Address> {
        self.peer_address.as_ref()
    }

    /// Who the process at the other end of a Unix socket was when it connected.
    ///
    /// Known on Linux; `None` elsewhere and on other transports.
    pub fn peer_credentials(&self) -> Option<PeerCredentials> {
        self.peer_credentials
    }

    /// What the TLS handshake agreed on; `None` without TLS, and before the handshake is done.
    #[cfg(feature = "tls-core")]
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.tls.as_deref()
    }
}
