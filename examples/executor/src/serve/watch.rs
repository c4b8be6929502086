//! Clients that are told when tasks have ended.
//!
//! One request is enough for many tasks, and what ends in one batch is told in one message: to wait for a task costs an
//! entry in a map.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::CoordinatorServer;
use super::server::{PeerKey, State};
use super::slow::Untold;
use crate::store::{Key, StoreError};
use crate::task::{Record, TaskId};
use crate::wire::Ended;

/// The most that is told with one message, in bytes of results and errors, unless one alone has more.
pub(super) const MOST_BYTES: usize = 512 * 1024;

#[derive(Default)]
pub(super) struct Watches {
    /// Who watches a task.
    tasks: HashMap<Key, Vec<PeerKey>>,
    /// What somebody watches.
    peers: HashMap<PeerKey, HashSet<Key>>,
    /// What is told once a batch is on the disk.
    later: BTreeMap<u64, BTreeMap<PeerKey, Vec<Ended>>>,
}

impl Watches {
    fn add(&mut self, peer: PeerKey, key: Key) {
        if self.peers.entry(peer).or_default().insert(key) {
            self.tasks.entry(key).or_default().push(peer);
        }
    }

    fn remove(&mut self, peer: PeerKey, key: Key) {
        if let Some(keys) = self.peers.get_mut(&peer)
            && keys.remove(&key)
        {
            self.drop_peer_of(key, peer);
        }
    }

    /// How many tasks are watched, and who watches.
    pub(super) fn held(&self) -> usize {
        self.tasks.len() + self.peers.len() + self.later.len()
    }

    /// Somebody is gone.
    pub(super) fn forget(&mut self, peer: PeerKey) {
        for key in self.peers.remove(&peer).into_iter().flatten() {
            self.drop_peer_of(key, peer);
        }
    }

    fn drop_peer_of(&mut self, key: Key, peer: PeerKey) {
        let Some(peers) = self.tasks.get_mut(&key) else { return };
        peers.retain(|known| *known != peer);
        if peers.is_empty() {
            self.tasks.remove(&key);
        }
    }

    /// Who watches a task, which has ended.
    fn take(&mut self, key: Key) -> Vec<PeerKey> {
        let peers = self.tasks.remove(&key).unwrap_or_default();
        for peer in &peers {
            if let Some(keys) = self.peers.get_mut(peer) {
                keys.remove(&key);
            }
        }
        peers
    }
}

impl CoordinatorServer {
    /// How many tasks somebody watches.
    #[cfg(test)]
    pub(crate) fn watched(&self) -> usize {
        self.shared.state.borrow().watches.tasks.len()
    }
}

impl State {
    /// Tells `peer` of the ends of tasks. Of those that have ended already it is told at once.
    pub(super) fn watch(
        &mut self,
        peer: PeerKey,
        ids: impl IntoIterator<Item = TaskId>,
    ) -> Result<(), StoreError> {
        for id in ids {
            self.watch_one(peer, id)?;
        }
        self.tell_untold(peer)
    }

    pub(super) fn watch_one(&mut self, peer: PeerKey, id: TaskId) -> Result<(), StoreError> {
        match self.coordinator.phase(&id)? {
            Some((key, phase)) if !phase.has_ended() => self.watches.add(peer, key),
            Some((key, _)) if !self.coordinator.journal().is_durable(key) => {
                let batch = self.coordinator.journal().number();
                if let Some(record) = self.coordinator.journal().record(key)? {
                    self.ended_later(peer, Ended::of(&record), batch);
                }
            }
            // There may be many, with large results: they are read when it takes them.
            _ => self.keep(peer, [Untold::Watches(id)]),
        }
        Ok(())
    }

    /// `peer` does not want to know any more.
    pub(super) fn unwatch(&mut self, peer: PeerKey, ids: &[TaskId]) -> Result<(), StoreError> {
        for id in ids {
            if let Some((key, _)) = self.coordinator.phase(id)? {
                self.watches.remove(peer, key);
            }
        }
        Ok(())
    }

    /// A task has ended: who watches it is told when that is on the disk.
    pub(super) fn watched_ended(&mut self, key: Key, record: &Record, batch: u64) {
        for peer in self.watches.take(key) {
            self.ended_later(peer, Ended::of(record), batch);
        }
    }

    pub(super) fn is_watched(&self, key: Key) -> bool {
        self.watches.tasks.contains_key(&key)
    }

    fn ended_later(&mut self, peer: PeerKey, ended: Ended, batch: u64) {
        let batch = self.coordinator.journal().awaited(batch).unwrap_or(0);
        self.watches.later.entry(batch).or_default().entry(peer).or_default().push(ended);
    }

    /// Tells of all ends that are on the disk.
    pub(super) fn tell_of_ends(&mut self) {
        while let Some(entry) = self.watches.later.first_entry() {
            if self.coordinator.journal().awaited(*entry.key()).is_some() {
                return;
            }
            for (peer, ends) in entry.remove() {
                for ends in parts(ends) {
                    self.tell_ends_or_keep(peer, ends);
                }
            }
        }
    }
}

fn parts(ends: Vec<Ended>) -> Vec<Vec<Ended>> {
    let mut parts = vec![Vec::new()];
    let mut bytes = 0;
    for ended in ends {
        let size = ended.size();
        if bytes + size > MOST_BYTES && bytes > 0 {
            parts.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        if let Some(part) = parts.last_mut() {
            part.push(ended);
        }
    }
    parts
}
