//! What waits for a slot at one worker is called back when another has one free. So nothing that was given out ahead stays
//! behind a task that takes long.

use super::workers::WorkerKey;
use super::{Coordinator, Effect};
use crate::store::Store;

/// How many workers, and how much of what waits at each, one call looks at.
const MOST_WORKERS: usize = 64;
const MOST_WAITING: usize = 64;

impl<S: Store> Coordinator<S> {
    /// Asks for as many tasks as there are free slots that the queue has nothing for. Those who have begun a task
    /// meanwhile keep it.
    pub(super) fn recall(&mut self) {
        if self.workers.behind().next().is_none() {
            return;
        }
        let idle = self.workers.idle().take(MOST_WORKERS);
        let free: Vec<(WorkerKey, usize)> =
            idle.map(|(key, worker)| (key, worker.free_slots())).collect();
        let slots: usize = free.iter().map(|(_, slots)| slots).sum();
        let mut wanted = slots.saturating_sub(self.recalled());
        for (worker, slots) in free {
            for _ in 0..slots.min(wanted) {
                let Some((from, fence)) = self.waiting_elsewhere(worker) else { break };
                wanted -= 1;
                if let Some(running) = self.running.get_mut(&fence) {
                    running.is_recalled = true;
                }
                self.effects.push_back(Effect::Recall { worker: from, fence });
            }
        }
    }

    /// How much was called back, and waits for a slot as far as is known.
    fn recalled(&self) -> usize {
        let is_recalled = |fence: &u64| self.running.get(fence).is_some_and(|it| it.is_recalled);
        let of_worker = self.workers.behind().take(MOST_WORKERS).map(|(_, worker)| {
            worker.slots.last_waiting().take(MOST_WAITING).filter(is_recalled).count()
        });
        of_worker.sum()
    }

    /// What a worker could run that waits for a slot at another: what would wait longest there.
    fn waiting_elsewhere(&self, worker: WorkerKey) -> Option<(WorkerKey, u64)> {
        let kinds = &self.workers.get(worker)?.kinds;
        let is_wanted = |fence: &u64| {
            self.running
                .get(fence)
                .is_some_and(|it| !it.is_recalled && !it.is_stopped && kinds.contains(&it.kind))
        };
        let others = self.workers.behind().filter(|(key, _)| *key != worker).take(MOST_WORKERS);
        let mut last = others.filter_map(|(key, other)| {
            let fence = other.slots.last_waiting().take(MOST_WAITING).find(is_wanted)?;
            Some((other.slots.waiting(), key, fence))
        });
        let first = last.next()?;
        let (_, from, fence) =
            last.fold(first, |most, next| if next.0 > most.0 { next } else { most });
        Some((from, fence))
    }
}
