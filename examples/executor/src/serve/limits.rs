//! What a peer may cost.

use std::time::Duration;

use wharf::Transport as _;

use super::server::{PeerKey, Shared, State};
use crate::task::Kind;
use crate::wire::FromCoordinator;

/// How long a peer has to say who it is.
pub(super) const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// The longest message of one that has not, in bytes.
pub(super) const MOST_HELLO: usize = 256 * 1024;
/// So many may not have said it. One more, and the one that has had the most time for it is sent away.
pub(super) const MOST_STRANGERS: usize = 512;
/// The longest name of a worker, in bytes.
const MOST_NAME: usize = 256;
/// The most kinds that a worker may say it runs.
const MOST_KINDS: usize = 1_000;
/// What may wait to be sent to a worker, in bytes: more than all arguments that it is given at once.
pub(super) const MOST_FOR_WORKER: usize = 64 * 1024 * 1024;
/// So often may one connection wait for the end of a task.
pub(super) const MOST_WAITS: usize = 100_000;
/// So often may one connection wait for what tasks write.
pub(super) const MOST_FOLLOWED: usize = 10_000;
/// So often may a worker say what an assignment has written before that is kept. It need not more than once.
pub(super) const MOST_UNKEPT: usize = 16;
/// So many connections may take a copy of the store at once.
pub(super) const MOST_COPIES: usize = 4;
/// What clients may ask for while a batch is being written, in bytes. One who asks for more is not read until it is.
const MOST_UNWRITTEN: usize = 16 * 1024 * 1024;

/// Whether what a worker says of itself can be told to others.
pub(super) fn check_worker(name: &str, kinds: &[Kind]) -> Result<(), Box<str>> {
    if name.len() > MOST_NAME || name.chars().any(char::is_control) {
        return Err(format!(
            "a worker's name has {MOST_NAME} bytes at most, and no control characters"
        )
        .into());
    }
    if kinds.len() > MOST_KINDS {
        return Err(format!("a worker runs {MOST_KINDS} kinds at most").into());
    }
    Ok(())
}

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
    /// Somebody has connected, and has not said who it is.
    pub(super) fn stranger_came(&mut self, peer: PeerKey) {
        self.strangers.insert(peer);
        if self.strangers.len() > MOST_STRANGERS
            && let Some(oldest) = self.strangers.pop_first()
        {
            self.refuse(oldest, "too many have not said who they are".into());
        }
    }

    /// Says why a peer is sent away, and sends it away.
    pub(super) fn refuse(&mut self, peer: PeerKey, why: Box<str>) {
        self.tell(peer, &FromCoordinator::Refused(why));
        self.send();
        if let Some(transport) = self.peers.get(&peer) {
            transport.close();
        }
    }

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
