//! What is known of a connection.

#[cfg(feature = "tls-core")]
use std::rc::Rc;

use crate::address::Address;
use crate::driver::PeerCredentials;
#[cfg(feature = "tls-core")]
use crate::transport::tls::TlsInfo;

/// What is known of a connection. It stays readable after the connection is gone.
///
/// ```
/// use wharf::testing::MemoryNetwork;
/// use wharf::{Protocol, Result, Transport};
///
/// /// Tells each client who it is.
/// struct WhoAmI;
///
/// impl Protocol for WhoAmI {
///     fn connection_made(&mut self, transport: &dyn Transport) -> Result {
///         if let Some(address) = transport.info().peer_address() {
///             transport.write(address.to_string().as_bytes());
///         }
///         transport.close();
///         Ok(())
///     }
///
///     fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result {
/// MemoryNetwork::new().event_loop().run(async |event_loop| {
///     event_loop.create_server(|| WhoAmI, "10.0.0.1:7").await?;
///     let record = wharf::testing::Record::new();
///     let client = event_loop.create_connection(record.factory(), "10.0.0.1:7").await?;
///     record.connection_lost().await;
///     let own = client.info().local_address().map(ToString::to_string);
///     assert_eq!(own.as_deref(), Some(std::str::from_utf8(&record.received())?));
///     Ok(())
/// })
/// # }
/// ```
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
