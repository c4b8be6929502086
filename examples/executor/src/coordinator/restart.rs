//! A coordinator begins with what is in its store.

use std::collections::{HashMap, VecDeque};

use super::clock::Clock;
use super::dependents::{Dependents, Missing, Parents};
use super::meter::Meter;
use super::queue::{Queue, Turn};
use super::schedules::Schedules;
use super::workers::Workers;
use super::{Coordinator, Outcome, Running, Settings, SpanLog};
use crate::store::{Journal, Key, Store, StoreError};
use crate::task::{Now, Record, State};

impl<S: Store> Coordinator<S> {
    /// Goes on with what is in `store`. What was running is kept for its workers for a while.
    ///
    /// `epoch` is how often the store was opened, this time included: it makes fences new. `random` decides how long tasks
    /// wait before they are tried again, and ids.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn open(
        store: S,
        epoch: u32,
        settings: Settings,
        random: fastrand::Rng,
        now: Now,
    ) -> Result<Self, StoreError> {
        let mut coordinator = Self {
            settings,
            journal: Journal::new(store),
            queue: Queue::default(),
            workers: Workers::default(),
            clock: Clock::default(),
            schedules: Schedules::default(),
            meter: Meter::default(),
            spans: SpanLog::default(),
            running: HashMap::new(),
            dependents: Dependents::default(),
            next_key: 1,
            // An assignment that was not durable has a fence that no later one has.
            next_fence: u64::from(epoch) << 32,
            is_draining: false,
            is_held: false,
            random,
            effects: VecDeque::new(),
        };
        let mut later = Vec::new();
        let mut last = Key(0);
        let Self { journal, queue, clock, .. } = &mut coordinator;
        journal.for_each(&mut |key, record| {
            last = last.max(key);
            match Turn::of_queued(&record) {
                // Most are, and of these nothing else is kept here.
                Some(turn) if record.spec.deadline.is_none() => {
                    queue.add(&record.spec.kind, turn, key);
                }
                _ => match record.state {
                    State::Ended { at, .. } if record.cause.is_none() => {
                        clock.add_expiry(key, &record, at);
                    }
                    _ => later.push((key, record)),
                },
            }
            Ok(())
        })?;
        coordinator.next_key = last.0 + 1;
        for (key, record) in later {
            coordinator.goes_on(key, &record, now)?;
        }
        coordinator.open_schedules()?;
        if !coordinator.running.is_empty() {
            coordinator.clock.return_until = Some(now.elapsed + settings.return_within);
        }
        Ok(coordinator)
    }

    fn goes_on(&mut self, key: Key, record: &Record, now: Now) -> Result<(), StoreError> {
        if record.outcome().is_none()
            && let Some(deadline) = record.spec.deadline
        {
            self.clock.add_task(deadline, key);
        }
        match &record.state {
            State::Blocked { .. } => self.waits_again(key, Record::clone(record), now)?,
            State::Delayed { until } => self.clock.add_task(*until, key),
            State::Queued { .. } => self.add_to_queue(key, record),
            State::Running { fence, .. } => {
                self.running.insert(*fence, Running::new(key, record, None));
                self.watch_attempt(*fence, record, now);
            }
            State::Ended { at, .. } => {
                self.clock.add_expiry(key, record, *at);
                if let Some(cause) = &record.cause
                    && let Some(cause) = self.journal.key_of(cause)?
                {
                    self.dependents.add_victim(cause, key);
                }
            }
        }
        Ok(())
    }

    /// A task came after others, some of which have not ended.
    fn waits_again(&mut self, key: Key, mut record: Record, now: Now) -> Result<(), StoreError> {
        match self.parents(key, &record.spec.after, Missing::HasSucceeded)? {
            Parents::Awaited(awaited) => self.block(key, &mut record, awaited),
            // It is written together with the end of the last, so that the others do not happen.
            Parents::Succeeded => self.begin(key, record, now),
            Parents::Lost(id) | Parents::Unknown(id) => {
                record.state = State::Delayed { until: now.wall };
                let error = format!("{id}, which it comes after, did not succeed").into();
                self.end(key, &record, Outcome::Failed, Some(error), None, now)
            }
        }
    }

    /// The workers of some tasks have not come back after a restart.
    pub(super) fn give_up_those_who_did_not_return(&mut self, now: Now) -> Result<(), StoreError> {
        let is_left = |running: &Running| running.worker.is_none();
        let running = self.running.iter().filter(|(_, running)| is_left(running));
        let mut left: Vec<_> = running.map(|(fence, running)| (*fence, running.key)).collect();
        left.sort_unstable();
        for (fence, key) in left {
            let Some(record) = self.journal.record(key)? else { continue };
            let State::Running { worker, .. } = &record.state else { continue };
            self.lost(fence, worker, now)?;
        }
        Ok(())
    }
}
