//! Who is at the other end of a Unix socket.

/// The user, group and process at the other end of a Unix socket.
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
