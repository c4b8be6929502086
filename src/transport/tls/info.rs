//! What is known of a TLS connection.

use rustls::HandshakeKind;

use super::early_data::TlsEarlyData;
use super::layer::Layer;
use crate::tls::TlsVersion;

/// What was negotiated, and who the peer is: what [`Info::tls`](crate::Info::tls) gives once the
/// handshake is done.
///
/// ```no_run
/// use wharf::{Protocol, Result, Transport};
///
/// struct Greeter;
///
/// impl Protocol for Greeter {
///     fn connection_made(&mut self, transport: &dyn Transport) -> Result {
///         let info = transport.info();
///         let tls = info.tls().ok_or("this server speaks TLS only")?;
///         println!("{:?}, protocol {:?}", tls.version(), tls.alpn_protocol());
///         Ok(())
///     }
///
///     fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
///         Ok(())
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsInfo {
    version: Option<TlsVersion>,
    cipher_suite: Option<&'static str>,
    key_exchange: Option<&'static str>,
    alpn_protocol: Option<Vec<u8>>,
    server_name: Option<String>,
    is_resumed: bool,
    early_data: TlsEarlyData,
    peer_certificates: Vec<Vec<u8>>,
}

impl TlsInfo {
    pub(crate) fn of(layer: &Layer) -> Self {
        let state = layer.session().state();
        Self {
            version: state.protocol_version().and_then(TlsVersion::from_rustls),
            cipher_suite: state.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()),
            key_exchange: state
                .negotiated_key_exchange_group()
                .and_then(|group| group.name().as_str()),
            alpn_protocol: state.alpn_protocol().map(<[u8]>::to_vec),
            server_name: layer.server_name().map(str::to_owned),
            is_resumed: state.handshake_kind() == Some(HandshakeKind::Resumed),
            early_data: layer.early_data(),
            peer_certificates: state
                .peer_certificates()
                .unwrap_or_default()
                .iter()
                .map(|certificate| certificate.to_vec())
                .collect(),
        }
    }

    /// The version of the protocol.
    pub fn version(&self) -> Option<TlsVersion> {
        self.version
    }

    /// The cipher suite: `TLS13_AES_128_GCM_SHA256`, and the like.
    pub fn cipher_suite(&self) -> Option<&str> {
        self.cipher_suite
    }

    /// The group that keys were agreed on in: `X25519`, and the like. `None` when a session of TLS
    /// 1.2 was resumed.
    pub fn key_exchange(&self) -> Option<&str> {
        self.key_exchange
    }

    /// The protocol that was agreed on (ALPN, RFC 7301): `h2`, and the like.
    pub fn alpn_protocol(&self) -> Option<&[u8]> {
        self.alpn_protocol.as_deref()
    }

    /// The name that the client asked for (SNI, RFC 6066); not checked on a server.
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// Whether an earlier session was resumed: no certificate was checked again.
    pub fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// What became of data that the client sent before the handshake was done (0-RTT).
    ///
    /// A server that takes such data
    /// ([`max_early_data`](crate::TlsServerBuilder::max_early_data)) sees here that a request may be
    /// one that somebody has sent again.
    pub fn early_data(&self) -> TlsEarlyData {
        self.early_data
    }

    /// The certificates that the peer presented, each as DER, its own first. Empty when it has
    /// presented none.
    pub fn peer_certificates(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.peer_certificates.iter().map(|certificate| &**certificate)
    }
}
