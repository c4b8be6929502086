//! Who is at the other end of a Unix socket.

/// The user, group and process at the other end of a Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerCredentials {
    /// The user id.
    pub user: u32,
    /// The group id.
    pub group: u32,
    /// The process id, where the system tells it.
    pub process: Option<i32>,
}
