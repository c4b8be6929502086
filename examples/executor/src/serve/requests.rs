//! What clients ask for.

use std::collections::HashSet;
use std::rc::Rc;

use super::limits::MOST_WAITS;
use super::server::{PeerKey, Shared, State};
use crate::access::Rights;
use crate::coordinator::Coordinator;
use crate::store::{DiskStore, Key, StoreError};
use crate::task::{Now, Record, Spec, TaskId};
use crate::wire::{Answer, Ask, Asked, AskedList, FromCoordinator};

/// An answer, and the batch that must be on the disk before; `None`: it is told at once.
pub(super) type Said = (Answer, Option<u64>);

/// A change of a task, which returns the batch that has it.
type Change = fn(&mut Coordinator<DiskStore>, Key, Now) -> Result<Option<u64>, StoreError>;

/// What a connection waits for.
#[derive(Default)]
pub(super) struct Waits {
    /// It may wait for the same task with several.
    pub(super) requests: usize,
    pub(super) keys: HashSet<Key>,
}

impl Shared {
    /// Does what a client asks for, and answers when it is done and on the disk.
    pub(super) fn asked(self: &Rc<Self>, peer: PeerKey, rights: Rights, asked: Asked) {
        let now = self.now();
        let mut state = self.state.borrow_mut();
        if asked.ask.operates() && !rights.operate {
            let answer = Answer::Failed("the token is for submitting only".into());
            state.tell(peer, &FromCoordinator::Answer { number: asked.number, answer });
            drop(state);
            return self.settle_soon();
        }
        let answered = match asked.ask {
            Ask::BackUp => {
                drop(state);
                return self.begin_back_up(peer, asked.number);
            }
            Ask::ReadBackUp(offset) => {
                drop(state);
                return self.read_back_up(peer, asked.number, offset);
            }
            _ => state.answer(peer, asked, now),
        };
        drop(state);
        self.check(answered);
        self.settle_soon();
    }
}

impl State {
    fn answer(&mut self, peer: PeerKey, asked: Asked, now: Now) -> Result<(), StoreError> {
        let number = asked.number;
        if let Some(error) = &self.commits.failed
            && !asked.ask.only_looks()
        {
            let answer = Answer::Failed(error.to_string().into());
            self.tell(peer, &FromCoordinator::Answer { number, answer });
            return Ok(());
        }
        let (answer, batch) = match asked.ask {
            Ask::Submit(specs) => self.submit(specs, now)?,
            Ask::Run(specs) => return self.run(peer, number, specs, now),
            Ask::Watch(ids) => {
                self.tell_later(peer, number, Answer::Changed(true), None);
                return self.watch(peer, ids);
            }
            Ask::Unwatch(ids) => {
                self.unwatch(peer, &ids)?;
                (Answer::Changed(true), None)
            }
            Ask::Wait(id) => return self.wait(peer, number, &id),
            Ask::Output(ask) => return self.ask_output(peer, number, ask),
            Ask::Status(id) => {
                let found = self.coordinator.find(&id)?;
                (Answer::Task(found.map(|(_, record)| Box::new(Record::clone(&record)))), None)
            }
            Ask::Cancel(id) => changed(self.change(&id, now, Coordinator::cancel)?),
            Ask::CancelAll(ids) => self.cancel_all(&ids, now)?,
            Ask::Retry(id) => changed(self.change(&id, now, Coordinator::retry)?),
            Ask::Overview => (Answer::Overview(Box::new(self.overview(now))), None),
            Ask::List(AskedList { filter, limit, before }) => {
                (Answer::Listed(self.coordinator.list(&filter, before, limit)?), None)
            }
            Ask::Schedule(asked) => self.schedule(asked, now)?,
            Ask::Drain(on) => {
                self.coordinator.drain(on, now)?;
                (Answer::Changed(true), None)
            }
            // These are not answered at once.
            Ask::BackUp | Ask::ReadBackUp(_) => return Ok(()),
        };
        self.tell_later(peer, number, answer, batch);
        Ok(())
    }

    fn run(
        &mut self,
        peer: PeerKey,
        number: u64,
        specs: Vec<Spec>,
        now: Now,
    ) -> Result<(), StoreError> {
        let (answer, batch) = self.submit(specs, now)?;
        let taken = match &answer {
            Answer::Submitted(outcomes) => outcomes.iter().flatten().cloned().collect(),
            _ => Vec::new(),
        };
        self.tell_later(peer, number, answer, batch);
        self.watch(peer, taken)
    }

    fn submit(&mut self, specs: Vec<Spec>, now: Now) -> Result<Said, StoreError> {
        let mut last = None;
        let mut outcomes = Vec::with_capacity(specs.len());
        for spec in specs {
            outcomes.push(match self.coordinator.submit(spec, now)? {
                Ok(submitted) => {
                    last = last.max(Some(submitted.batch));
                    Ok(submitted.id)
                }
                Err(refused) => Err(refused.to_string().into()),
            });
        }
        Ok((Answer::Submitted(outcomes), last))
    }

    fn cancel_all(&mut self, ids: &[TaskId], now: Now) -> Result<Said, StoreError> {
        let (mut count, mut last) = (0, None);
        for id in ids {
            if self.coordinator.phase(id)?.is_none_or(|(_, phase)| phase.has_ended()) {
                continue;
            }
            if let Some(batch) = self.change(id, now, Coordinator::cancel)? {
                count += 1;
                last = last.max(Some(batch));
            }
        }
        Ok((Answer::Count(count), last))
    }

    /// Changes a task, if there is one. Returns the batch that has the change; `None`: nothing changes.
    fn change(&mut self, id: &TaskId, now: Now, change: Change) -> Result<Option<u64>, StoreError> {
        match self.coordinator.phase(id)? {
            Some((key, _)) => change(&mut self.coordinator, key, now),
            None => Ok(None),
        }
    }

    pub(super) fn wait(
        &mut self,
        peer: PeerKey,
        number: u64,
        id: &TaskId,
    ) -> Result<(), StoreError> {
        match self.coordinator.find(id)? {
            Some((key, record)) if record.outcome().is_none() => {
                let waits = self.waits.entry(peer).or_default();
                if waits.requests >= MOST_WAITS {
                    let text = format!("a connection waits for {MOST_WAITS} tasks at most");
                    self.tell_later(peer, number, Answer::Failed(text.into()), None);
                } else {
                    waits.requests += 1;
                    waits.keys.insert(key);
                    self.waiting.entry(key).or_default().push((peer, number));
                }
            }
            found => {
                let journal = self.coordinator.journal();
                let is_durable = found.as_ref().is_none_or(|(key, _)| journal.is_durable(*key));
                // Its end may not be on the disk yet.
                let batch = (!is_durable).then(|| journal.number());
                let task = found.map(|(_, record)| Box::new(Record::clone(&record)));
                self.tell_later(peer, number, Answer::Task(task), batch);
            }
        }
        Ok(())
    }

    /// A task has changed: who waits for its end is told when that is on the disk.
    pub(super) fn task_changed(&mut self, key: Key, batch: u64) {
        let is_followed = self.waiting.contains_key(&key) || self.followers.has(key);
        if !is_followed && !self.is_watched(key) {
            return;
        }
        let Ok(Some(record)) = self.coordinator.journal().record(key) else { return };
        if record.outcome().is_none() {
            return;
        }
        self.watched_ended(key, &record, batch);
        for (peer, number) in self.waiting.remove(&key).into_iter().flatten() {
            if let Some(waits) = self.waits.get_mut(&peer) {
                waits.requests -= 1;
                waits.keys.remove(&key);
            }
            let answer = Answer::Task(Some(Box::new(Record::clone(&record))));
            self.tell_later(peer, number, answer, Some(batch));
        }
        self.tell_followers(key);
    }

    /// Somebody is gone.
    pub(super) fn stop_waiting(&mut self, peer: PeerKey) {
        for key in self.waits.remove(&peer).unwrap_or_default().keys {
            let Some(waiting) = self.waiting.get_mut(&key) else { continue };
            waiting.retain(|(other, _)| *other != peer);
            if waiting.is_empty() {
                self.waiting.remove(&key);
            }
        }
    }

    /// Answers once a batch is on the disk; `None`: at once.
    fn tell_later(&mut self, peer: PeerKey, number: u64, answer: Answer, batch: Option<u64>) {
        self.say_later(peer, FromCoordinator::Answer { number, answer }, batch.unwrap_or(0));
    }
}

/// Whether a change was one.
pub(super) fn changed(batch: Option<u64>) -> Said {
    (Answer::Changed(batch.is_some()), batch)
}
