//! Who is at the other end of a Unix socket.

/// The user, group and process at the other end of a Unix socket.
///
/// ```
/// use wharf::{Protocol, Result, Transport};
///
/// /// Serves root alone.
/// struct Control;
///
/// impl Protocol for Control {
///     fn connection_made(&mut self, transport: &dyn Transport) -> Result {
///         let peer = transport.info().peer_credentials().ok_or("not a Unix socket")?;
///         if peer.uid != 0 {
///             transport.abort();
///         }
///         Ok(())
///     }
///
///     fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
///         Ok(())
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerCredentials {
    /// The user id.
    pub uid: u32,
    /// The group id.
    pub gid: u32,
    /// The process id, where the system tells it.
    pub pid: Option<u32>,
}
