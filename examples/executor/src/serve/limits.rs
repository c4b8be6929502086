//! What a peer may cost.

use std::time::Duration;

use wharf::Transport as _;

use super::server::{PeerKey, Shared, State};

/// How long a peer has to say who it is.
pub(super) const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// The longest message of one that has not, in bytes.
pub(super) const MOST_HELLO: usize = 256 * 1024;
/// So many may not have said it.
pub(super) const MOST_STRANGERS: usize = 512;
/// What may wait to be sent to a worker, in bytes: more than all arguments that it is given at once.
pub(super) const MOST_FOR_WORKER: usize = 64 * 1024 * 1024;
/// For so many tasks may one connection wait.
pub(super) const MOST_WAITS: usize = 100_000;
/// What clients may ask for while a batch is being written, in bytes. One who asks for more is not read until it is.
const MOST_UNWRITTEN: usize = 16 * 1024 * 1024;

/// What clients have asked for that is not being written yet.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    bytes: usize,
    /// Who is not read meanwhile.
    paused: Vec<PeerKey>,
}

impl Shared {
    /// A client has asked for something, in so many bytes.
    pub(super) fn count_request(&self, peer: PeerKey, bytes: usize) {
        let mut state = self.state.borrow_mut();
        let State { unwritten, peers, .. } = &mut *state;
        unwritten.bytes += bytes;
        if unwritten.bytes >= MOST_UNWRITTEN
            && let Some(transport) = peers.get(&peer)
        {
            transport.pause_reading();
            unwritten.paused.push(peer);
        }
    }
}

impl State {
    /// All that was asked for is being written, or was no change.
    pub(super) fn is_taken(&mut self) {
        self.unwritten.bytes = 0;
        for peer in std::mem::take(&mut self.unwritten.paused) {
            if let Some(transport) = self.peers.get(&peer) {
                transport.resume_reading();
            }
        }
    }
}
