//! Clients that take what they are told slowly.
//!
//! A client may wait for a hundred thousand tasks, whose results are large, and not read. Of what it has not been told the
//! ids are kept: the rest is in the store, and is read when it takes more.

use std::collections::VecDeque;

use wharf::{Transport as _, TransportHandle};

use super::server::{PeerKey, State};
use super::watch::MOST_BYTES;
use crate::store::StoreError;
use crate::task::{Record, TaskId};
use crate::wire::{Answer, Ended, FromCoordinator};

/// The end of a task, of which a client is told when it takes more.
pub(super) enum Untold {
    /// It waits for it with the request of this number.
    Waits { number: u64, id: TaskId },
    /// It watches it.
    Watches(TaskId),
}

impl State {
    /// Whether a peer has not taken what it was told before.
    pub(super) fn is_slow(&self, peer: PeerKey) -> bool {
        self.untold.contains_key(&peer) || self.peers.get(&peer).is_some_and(is_full)
    }

    /// Tells something now, or of a task later.
    pub(super) fn tell_or_keep(&mut self, peer: PeerKey, message: &FromCoordinator) {
        match message {
            FromCoordinator::Answer { number, answer: Answer::Task(Some(task)) }
                if self.is_slow(peer) =>
            {
                let untold = Untold::Waits { number: *number, id: task.id.clone() };
                self.keep(peer, [untold]);
            }
            _ => self.tell(peer, message),
        }
    }

    /// The same for ends.
    pub(super) fn tell_ends_or_keep(&mut self, peer: PeerKey, ends: Vec<Ended>) {
        if self.is_slow(peer) {
            self.keep(peer, ends.into_iter().map(|ended| Untold::Watches(ended.id)));
        } else {
            self.tell(peer, &FromCoordinator::Ended(ends));
        }
    }

    /// Keeps something for a peer that is there.
    pub(super) fn keep(&mut self, peer: PeerKey, untold: impl IntoIterator<Item = Untold>) {
        if self.peers.contains_key(&peer) {
            self.untold.entry(peer).or_default().extend(untold);
        }
    }

    /// A peer takes more: it is told what was kept for it, for as long as it does.
    pub(super) fn tell_untold(&mut self, peer: PeerKey) -> Result<(), StoreError> {
        while self.peers.get(&peer).is_some_and(|transport| !is_full(transport)) {
            let Some(untold) = self.untold.get_mut(&peer).and_then(VecDeque::pop_front) else {
                self.untold.remove(&peer);
                return Ok(());
            };
            match untold {
                Untold::Waits { number, id } => match self.durable_end(&id)? {
                    Ok(record) => {
                        let answer = Answer::Task(record.map(Box::new));
                        self.tell(peer, &FromCoordinator::Answer { number, answer });
                    }
                    Err(NotYet) => self.wait(peer, number, &id)?,
                },
                Untold::Watches(id) => self.tell_kept_ends(peer, id)?,
            }
        }
        Ok(())
    }

    fn tell_kept_ends(&mut self, peer: PeerKey, first: TaskId) -> Result<(), StoreError> {
        let (mut ends, mut bytes, mut next) = (Vec::new(), 0, Some(first));
        while let Some(id) = next.take() {
            let ended = match self.durable_end(&id)? {
                Ok(Some(record)) => Ended::of(&record),
                Ok(None) => Ended::unknown(id),
                Err(NotYet) => {
                    self.watch_one(peer, id)?;
                    continue;
                }
            };
            bytes += ended.size();
            ends.push(ended);
            if bytes < MOST_BYTES
                && let Some(untold) = self.untold.get_mut(&peer)
                && let Some(Untold::Watches(_)) = untold.front()
                && let Some(Untold::Watches(id)) = untold.pop_front()
            {
                next = Some(id);
            }
        }
        if !ends.is_empty() {
            self.tell(peer, &FromCoordinator::Ended(ends));
        }
        Ok(())
    }

    /// A task that has ended, which is on the disk; `None`: there is none.
    fn durable_end(&mut self, id: &TaskId) -> Result<Result<Option<Record>, NotYet>, StoreError> {
        let Some((key, record)) = self.coordinator.find(id)? else { return Ok(Ok(None)) };
        let is_durable = self.coordinator.journal().is_durable(key);
        if record.outcome().is_none() || !is_durable {
            return Ok(Err(NotYet));
        }
        Ok(Ok(Some(Record::clone(&record))))
    }
}

/// Somebody has tried the task again meanwhile.
struct NotYet;

/// Whether so much waits to be sent that no more is to be made; `resume_writing` is called later.
pub(super) fn is_full(transport: &TransportHandle) -> bool {
    transport.write_buffer_size() > transport.write_buffer_limits().high
}
