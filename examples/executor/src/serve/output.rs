//! What tasks write goes to the store, and to those who follow it.
//!
//! Who follows asks again for each part, and gets what is in the store: one that takes its answers slowly costs the
//! coordinator nothing but the one answer.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::limits::{MOST_FOLLOWED, MOST_UNKEPT};
use super::server::{PeerKey, State};
use super::slow::is_full;
use crate::coordinator::WorkerKey;
use crate::store::{Key, OutputRow, Store as _, StoreError};
use crate::task::Piece;
use crate::wire::{Answer, AskOutput, FromCoordinator, OutputPage, OutputPart, Written};

/// About how many bytes of text one answer has.
const PAGE: usize = 64 * 1024;

/// Who waits for what tasks write.
#[derive(Default)]
pub(super) struct Followers {
    waiting: HashMap<Key, Vec<Follower>>,
    /// Who has written something in a batch that is not on the disk yet.
    written: BTreeMap<u64, BTreeSet<Key>>,
    /// Who has not taken its former answers yet.
    held_up: HashMap<PeerKey, Vec<(Key, Follower)>>,
    /// How often each connection is among those that wait.
    counts: HashMap<PeerKey, usize>,
}

struct Follower {
    peer: PeerKey,
    number: u64,
    ask: AskOutput,
}

/// What workers have said that is not on the disk yet: of each connection, of which assignments and how often.
#[derive(Default)]
pub(super) struct Unkept(HashMap<PeerKey, HashMap<u64, usize>>);

impl Unkept {
    /// Whether a worker may say more of an assignment.
    pub(super) fn check(&self, peer: PeerKey, fence: u64) -> Result<(), Box<str>> {
        let count = self.0.get(&peer).and_then(|said| said.get(&fence)).copied();
        if count.is_some_and(|count| count >= MOST_UNKEPT) {
            return Err("a worker waits until what a task has written is kept".into());
        }
        Ok(())
    }

    fn add(&mut self, peer: PeerKey, fence: u64) {
        *self.0.entry(peer).or_default().entry(fence).or_default() += 1;
    }

    /// How many connections have said something that is not on the disk.
    pub(super) fn held(&self) -> usize {
        self.0.len()
    }

    /// One of them is told.
    pub(super) fn kept(&mut self, peer: PeerKey, fence: u64) {
        let Some(said) = self.0.get_mut(&peer) else { return };
        if let Some(count) = said.get_mut(&fence) {
            *count -= 1;
            if *count == 0 {
                said.remove(&fence);
            }
        }
        if said.is_empty() {
            self.0.remove(&peer);
        }
    }
}

impl Followers {
    /// How many tasks are followed, and who follows.
    pub(super) fn held(&self) -> usize {
        self.waiting.len() + self.written.len() + self.held_up.len() + self.counts.len()
    }

    /// Whether somebody waits for what a task writes.
    pub(super) fn has(&self, key: Key) -> bool {
        self.waiting.contains_key(&key)
    }

    fn add(&mut self, key: Key, follower: Follower) {
        *self.counts.entry(follower.peer).or_default() += 1;
        self.waiting.entry(key).or_default().push(follower);
    }

    fn take(&mut self, key: Key) -> Vec<Follower> {
        let followers = self.waiting.remove(&key).unwrap_or_default();
        for follower in &followers {
            if let Some(count) = self.counts.get_mut(&follower.peer) {
                *count -= 1;
            }
        }
        followers
    }

    /// A connection has ended.
    pub(super) fn forget(&mut self, peer: PeerKey) {
        self.held_up.remove(&peer);
        if self.counts.remove(&peer).is_none_or(|count| count == 0) {
            return;
        }
        self.waiting.retain(|_, followers| {
            followers.retain(|follower| follower.peer != peer);
            !followers.is_empty()
        });
    }
}

impl State {
    /// A worker says what a task has written: it is told when that is on the disk.
    pub(super) fn wrote(
        &mut self,
        peer: PeerKey,
        worker: WorkerKey,
        written: &Written,
    ) -> Result<(), StoreError> {
        let Written { fence, offset, pieces, progress } = written;
        match self.coordinator.wrote(worker, *fence, *offset, pieces, *progress)? {
            Some(batch) => {
                if self.coordinator.journal().awaited(batch).is_some() {
                    self.unkept.add(peer, *fence);
                }
                self.say_later(peer, FromCoordinator::Kept(*fence), batch);
            }
            None => self.tell(peer, &FromCoordinator::Stale(*fence)),
        }
        Ok(())
    }

    /// A connection has ended: what it would have been told of what it wrote is told to nobody.
    pub(super) fn forget_unkept(&mut self, peer: PeerKey) {
        if self.unkept.0.remove(&peer).is_some() {
            for waiting in self.later.values_mut() {
                waiting.retain(|(other, _)| *other != peer);
            }
        }
    }

    pub(super) fn ask_output(
        &mut self,
        peer: PeerKey,
        number: u64,
        ask: AskOutput,
    ) -> Result<(), StoreError> {
        let Some((key, _)) = self.coordinator.find(&ask.id)? else {
            let answer = Answer::Output(None);
            self.tell(peer, &FromCoordinator::Answer { number, answer });
            return Ok(());
        };
        if self.followers.counts.get(&peer).is_some_and(|count| *count >= MOST_FOLLOWED) {
            let text = format!("a connection follows {MOST_FOLLOWED} outputs at most");
            let answer = Answer::Failed(text.into());
            self.tell(peer, &FromCoordinator::Answer { number, answer });
            return Ok(());
        }
        self.answer_follower(key, Follower { peer, number, ask })
    }

    /// A task has written something, or is further.
    pub(super) fn task_wrote(&mut self, key: Key, batch: u64) {
        match self.coordinator.journal().awaited(batch) {
            Some(batch) => {
                self.followers.written.entry(batch).or_default().insert(key);
            }
            None => self.tell_followers(key),
        }
    }

    /// All up to this batch is on the disk.
    pub(super) fn output_is_durable(&mut self, number: u64) {
        let rest = self.followers.written.split_off(&(number + 1));
        let written = std::mem::replace(&mut self.followers.written, rest);
        for key in written.into_values().flatten() {
            self.tell_followers(key);
        }
    }

    /// Whoever follows a task is told what is new, if anything is.
    pub(super) fn tell_followers(&mut self, key: Key) {
        for follower in self.followers.take(key) {
            self.answer_or_fail(key, follower);
        }
    }

    /// A peer takes more: its followers are answered.
    pub(super) fn follower_has_room(&mut self, peer: PeerKey) {
        for (key, follower) in self.followers.held_up.remove(&peer).into_iter().flatten() {
            self.answer_or_fail(key, follower);
        }
    }

    fn answer_or_fail(&mut self, key: Key, follower: Follower) {
        let (peer, number) = (follower.peer, follower.number);
        if let Err(error) = self.answer_follower(key, follower) {
            let answer = Answer::Failed(error.to_string().into());
            self.tell(peer, &FromCoordinator::Answer { number, answer });
        }
    }

    fn answer_follower(&mut self, key: Key, follower: Follower) -> Result<(), StoreError> {
        let Follower { peer, number, ask } = &follower;
        if self.peers.get(peer).is_some_and(is_full) {
            self.followers.held_up.entry(*peer).or_default().push((key, follower));
            return Ok(());
        }
        let page = self.page(key, ask)?;
        let has_news = !page.parts.is_empty() || page.ended || page.progress != ask.progress;
        let journal = self.coordinator.journal();
        let ended_in = if page.ended { journal.awaited(journal.number()) } else { None };
        if let Some(batch) = ended_in {
            self.followers.written.entry(batch).or_default().insert(key);
        }
        // Nobody is told of an end that is not on the disk yet.
        if ask.follow && !has_news || ended_in.is_some() {
            self.followers.add(key, follower);
            return Ok(());
        }
        let (peer, number, answer) = (*peer, *number, Answer::Output(Some(page)));
        self.tell(peer, &FromCoordinator::Answer { number, answer });
        Ok(())
    }

    pub(super) fn page(&mut self, key: Key, ask: &AskOutput) -> Result<OutputPage, StoreError> {
        let most = if ask.last.is_some() { usize::MAX } else { PAGE };
        let mut rows = self.coordinator.journal().store().output(key, ask.offset, most)?;
        let length: u64 = rows.iter().map(|(_, row)| row.length()).sum();
        let is_all = length < most as u64;
        if let Some(last) = ask.last {
            keep_last(&mut rows, u64::from(last).min(PAGE as u64));
        }
        let next = rows.last().map_or(0, |(offset, row)| offset + row.length()).max(ask.offset);
        let parts = rows.into_iter().filter_map(|(offset, row)| part(offset, row, ask.offset));
        let record = self.coordinator.journal().record(key)?;
        let has_ended = record.as_ref().is_none_or(|record| record.outcome().is_some());
        let ended = has_ended && is_all && self.coordinator.has_all_output(key);
        let progress = record.and_then(|record| self.coordinator.progress(record.fence()?));
        Ok(OutputPage { parts: parts.collect(), next, ended, progress })
    }
}

/// The last rows, with at least so many bytes if there are as many.
fn keep_last(rows: &mut Vec<(u64, OutputRow)>, most: u64) {
    let mut length = 0;
    let is_enough = |(_, row): &(u64, OutputRow)| {
        length += row.length();
        length >= most
    };
    let first = rows.iter().rposition(is_enough).unwrap_or(0);
    rows.drain(..first);
}

/// What a row has from an offset on.
fn part(offset: u64, row: OutputRow, from: u64) -> Option<OutputPart> {
    let mut skipped = from.saturating_sub(offset);
    let mut pieces = Vec::with_capacity(row.pieces.len());
    for piece in row.pieces {
        let length = piece.text().len() as u64;
        if skipped == 0 {
            pieces.push(piece);
        } else if skipped < length {
            pieces.push(rest(&piece, skipped as usize));
        }
        skipped = skipped.saturating_sub(length);
    }
    (!pieces.is_empty()).then(|| OutputPart {
        offset: offset.max(from),
        attempt: row.attempt,
        pieces,
    })
}

/// A piece without its first bytes. One who asks for half a character gets the next.
fn rest(piece: &Piece, skipped: usize) -> Piece {
    let text = piece.text();
    let begin = (skipped..=text.len()).find(|at| text.is_char_boundary(*at));
    Piece::of(piece.is_stderr(), text[begin.unwrap_or(text.len())..].to_owned())
}
