//! What clients ask for.

use std::rc::Rc;

use super::limits::MOST_WAITS;
use super::server::{PeerKey, Shared, State};
use crate::access::Rights;
use crate::store::{Key, StoreError};
use crate::task::{Now, Record, Spec, TaskId};
use crate::wire::{Answer, Ask, Asked, AskedList, FromCoordinator};

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
        match asked.ask {
            Ask::Submit(specs) => {
                let (answer, batch) = self.submit(specs, now)?;
                self.tell_later(peer, number, answer, batch);
            }
            Ask::Run(specs) => {
                let (answer, batch) = self.submit(specs, now)?;
                let taken = match &answer {
                    Answer::Submitted(outcomes) => outcomes.iter().flatten().cloned().collect(),
                    _ => Vec::new(),
                };
                self.tell_later(peer, number, answer, batch);
                self.watch(peer, taken)?;
            }
            Ask::Watch(ids) => {
                self.tell_later(peer, number, Answer::Changed(true), None);
                self.watch(peer, ids)?;
            }
            Ask::Unwatch(ids) => {
                self.unwatch(peer, &ids)?;
                self.tell_later(peer, number, Answer::Changed(true), None);
            }
            Ask::CancelAll(ids) => {
                let (count, batch) = self.cancel_all(&ids, now)?;
                self.tell_later(peer, number, Answer::Count(count), batch);
            }
            Ask::Status(id) => {
                let found = self.coordinator.find(&id)?;
                let task = found.map(|(_, record)| Box::new(Record::clone(&record)));
                let answer = Answer::Task(task);
                self.tell(peer, &FromCoordinator::Answer { number, answer });
            }
            Ask::Wait(id) => self.wait(peer, number, &id)?,
            Ask::Output(ask) => self.ask_output(peer, number, ask)?,
            Ask::Cancel(id) => {
                let found = self.coordinator.find(&id)?;
                let cancelled = found.map(|(key, _)| self.coordinator.cancel(key, now));
                let batch = cancelled.transpose()?.flatten();
                self.tell_later(peer, number, Answer::Changed(batch.is_some()), batch);
            }
            Ask::Retry(id) => {
                let found = self.coordinator.find(&id)?;
                let retried = found.map(|(key, _)| self.coordinator.retry(key, now));
                let batch = retried.transpose()?.flatten();
                self.tell_later(peer, number, Answer::Changed(batch.is_some()), batch);
            }
            Ask::Overview => {
                let answer = Answer::Overview(Box::new(self.overview(now)));
                self.tell(peer, &FromCoordinator::Answer { number, answer });
            }
            Ask::List(AskedList { filter, limit, before }) => {
                let answer = Answer::Listed(self.coordinator.list(&filter, before, limit)?);
                self.tell(peer, &FromCoordinator::Answer { number, answer });
            }
            Ask::Schedule(asked) => {
                let (answer, batch) = self.schedule(asked, now)?;
                self.tell_later(peer, number, answer, batch);
            }
            // These are not answered at once.
            Ask::BackUp | Ask::ReadBackUp(_) => {}
            Ask::Drain(on) => {
                self.coordinator.drain(on, now)?;
                self.tell_later(peer, number, Answer::Changed(true), None);
            }
        }
        Ok(())
    }

    fn submit(&mut self, specs: Vec<Spec>, now: Now) -> Result<(Answer, Option<u64>), StoreError> {
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

    fn cancel_all(&mut self, ids: &[TaskId], now: Now) -> Result<(u64, Option<u64>), StoreError> {
        let (mut count, mut last) = (0, None);
        for id in ids {
            let Some((key, _)) = self.coordinator.find(id)? else { continue };
            if let Some(batch) = self.coordinator.cancel(key, now)? {
                count += 1;
                last = last.max(Some(batch));
            }
        }
        Ok((count, last))
    }

    fn wait(&mut self, peer: PeerKey, number: u64, id: &TaskId) -> Result<(), StoreError> {
        match self.coordinator.find(id)? {
            Some((key, record)) if record.outcome().is_none() => {
                let waits = self.waits.entry(peer).or_default();
                waits.insert(key);
                if waits.len() > MOST_WAITS {
                    let text = format!("a connection waits for {MOST_WAITS} tasks at most");
                    waits.remove(&key);
                    self.tell_later(peer, number, Answer::Failed(text.into()), None);
                } else {
                    self.waiting.entry(key).or_default().push((peer, number));
                }
            }
            found => {
                let task = found.map(|(_, record)| Box::new(Record::clone(&record)));
                // Its end may not be on the disk yet.
                let batch = self.coordinator.journal().number();
                self.tell_later(peer, number, Answer::Task(task), Some(batch));
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
                waits.remove(&key);
            }
            let answer = Answer::Task(Some(Box::new(Record::clone(&record))));
            self.tell_later(peer, number, answer, Some(batch));
        }
        self.tell_followers(key);
    }

    /// Somebody is gone.
    pub(super) fn stop_waiting(&mut self, peer: PeerKey) {
        for key in self.waits.remove(&peer).into_iter().flatten() {
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
