//! Which of the sockets that linger makes room, when there are too many of them or no descriptor is left.
//!
//! Closing a socket whose peer still takes what was sent destroys a reply, so it is the last to go. The
//! looks taken once a second show what a peer does.

use std::collections::BTreeSet;

/// After how many looks in a row without progress a peer has stalled.
const LOOKS: u8 = 2;

/// How much the peer needs its socket, beginning with the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    /// It has acknowledged everything; it is only not quiet yet.
    Nothing,
    /// It has taken nothing for two looks.
    Stalled,
    /// Too few looks were taken.
    Unknown,
    /// It took something within the last two looks.
    Taking,
}

/// What is known of the peer of a socket that lingers.
#[derive(Clone, Copy)]
pub(super) struct Peer {
    /// The socket's.
    number: u64,
    progress_at: u64,
    need: Need,
    /// The first look tells nothing of progress: what it finds is what the next one compares with.
    was_looked_at: bool,
    looks_without_progress: u8,
    has_taken: bool,
}

impl Peer {
    pub(super) fn new(number: u64, now: u64) -> Self {
        Self {
            number,
            progress_at: now,
            need: Need::Unknown,
            was_looked_at: false,
            looks_without_progress: 0,
            has_taken: false,
        }
    }

    /// A look at `now` has found that the peer has everything or not, and made progress at `progress_at`.
    pub(super) fn note_look(&mut self, has_everything: bool, progress_at: u64, now: u64) {
        self.progress_at = progress_at;
        if self.was_looked_at {
            if progress_at == now {
                self.has_taken = true;
                self.looks_without_progress = 0;
            } else {
                self.looks_without_progress = self.looks_without_progress.saturating_add(1);
            }
        }
        self.was_looked_at = true;
        self.need = match self {
            _ if has_everything => Need::Nothing,
            Self { looks_without_progress: LOOKS.., .. } => Need::Stalled,
            Self { has_taken: true, .. } => Need::Taking,
            _ => Need::Unknown,
        };
    }

    /// Those that need their sockets equally go by how long they have made no progress, the longest
    /// first.
    fn rank(&self) -> (Need, u64, u64) {
        (self.need, self.progress_at, self.number)
    }
}

/// The sockets that linger, in the order in which they make room.
#[derive(Default)]
pub(super) struct Order(BTreeSet<(Need, u64, u64)>);

impl Order {
    pub(super) fn insert(&mut self, peer: &Peer) {
        self.0.insert(peer.rank());
    }

    pub(super) fn remove(&mut self, peer: &Peer) {
        self.0.remove(&peer.rank());
    }

    /// The number of the socket that goes when one has to.
    pub(super) fn first(&self) -> Option<u64> {
        self.0.first().map(|(_, _, number)| *number)
    }

    /// The same, if its peer is known to lose nothing, or to take nothing.
    pub(super) fn first_to_spare(&self) -> Option<u64> {
        let (need, _, number) = self.0.first()?;
        (*need <= Need::Stalled).then_some(*number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer that is looked at once a second; whether it takes something in each.
    fn peer(number: u64, takes: &[bool]) -> Peer {
        let mut peer = Peer::new(number, 0);
        let mut progress_at = 0;
        for (now, takes) in (1..).zip(takes) {
            if *takes {
                progress_at = now;
            }
            peer.note_look(false, progress_at, now);
        }
        peer
    }

    #[test]
    fn what_a_peer_needs_follows_from_the_looks() {
        assert_eq!(peer(0, &[]).need, Need::Unknown);
        assert_eq!(peer(0, &[true]).need, Need::Unknown, "nothing to compare with");
        assert_eq!(peer(0, &[true, false]).need, Need::Unknown);
        assert_eq!(peer(0, &[true, false, false]).need, Need::Stalled);
        assert_eq!(peer(0, &[false, true]).need, Need::Taking);
        assert_eq!(peer(0, &[false, true, false]).need, Need::Taking);
        assert_eq!(peer(0, &[false, true, false, false]).need, Need::Stalled);
        assert_eq!(peer(0, &[false, true, false, false, true]).need, Need::Taking);
        let mut done = peer(0, &[false, true]);
        done.note_look(true, 3, 3);
        assert_eq!(done.need, Need::Nothing);
        let mut none = peer(0, &[false; 1000]);
        none.note_look(false, 0, 1001);
        assert_eq!(none.need, Need::Stalled, "after any number of looks");
    }

    #[test]
    fn those_that_take_what_was_sent_go_last() {
        let mut done = peer(0, &[false, true]);
        done.note_look(true, 3, 3);
        let peers = [
            peer(1, &[false, true, true]),
            peer(2, &[false, true, false]),
            peer(3, &[false, false]),
            peer(4, &[]),
            peer(5, &[false, true, false, false]),
            peer(6, &[false, false, false]),
            done,
        ];
        let mut order = Order::default();
        peers.iter().for_each(|peer| order.insert(peer));
        let mut went = Vec::new();
        let mut spared = 0;
        while let Some(number) = order.first() {
            spared += usize::from(order.first_to_spare() == Some(number));
            went.push(number);
            let peer = peers.iter().find(|peer| peer.number == number).unwrap();
            order.remove(peer);
        }
        assert_eq!(went, [0, 6, 5, 3, 4, 2, 1]);
        assert_eq!(spared, 3, "for a descriptor");
    }
}
