//! Datagrams that wait for receivers that are full, in a lane for each receiver.
//!
//! A Unix socket without a fixed peer finds out with each datagram whether its receiver has room. So
//! the datagrams for a full receiver wait in a lane of their own, in order, and delay nobody else's.
//! Every step costs the logarithm of the number of lanes, whichever datagram it is about.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::address::Address;
use crate::driver::{OVERHEAD, Outbox, tight};
use crate::time::Backoff;

/// What a lane counts beside its datagrams: it is in five ordered lists, with its receiver's name.
pub(super) const LANE: usize = 1024;

/// Datagrams that wait for receivers that are full.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: BTreeMap<Id, Lane>,
    by_address: BTreeMap<Address, Id>,
    /// The lanes by the number of their first datagram, by their size, and by when they are tried
    /// again (those that have no time are tried when the driver tells of room).
    by_age: BTreeSet<(u64, Id)>,
    by_size: BTreeSet<(usize, Id)>,
    by_retry: BTreeSet<(u64, Id)>,
    datagrams: usize,
    /// What flow control counts.
    size: usize,
    next_id: u64,
    /// None is tried before.
    rests_until: u64,
    /// That of the last datagram.
    last_number: u64,
}

/// How many lanes are tried in one step.
const TRIES_PER_STEP: usize = 64;

/// How long no lane is tried after each failed try, in nanoseconds. When the sender's own buffer is
/// full, all tries fail.
const REST: u64 = 1_000_000;

/// Names a lane; never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(u64);

#[derive(Debug)]
struct Lane {
    to: Address,
    outbox: Outbox,
    /// For each datagram its place in the order of all.
    numbers: VecDeque<u64>,
    retry_at: Option<u64>,
    backoff: Backoff,
}

impl Lanes {
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    pub(super) fn datagrams(&self) -> usize {
        self.datagrams
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The lane of those who wait for `to`.
    pub(super) fn find(&self, to: &Address) -> Option<Id> {
        self.by_address.get(to).copied()
    }

    /// Begins a lane for `to`, which has none, with its first datagram.
    pub(super) fn open(&mut self, to: &Address, backoff: Backoff, number: u64, data: &[u8]) -> Id {
        let id = Id(self.next_id);
        self.next_id += 1;
        let lane = Lane {
            to: to.clone(),
            outbox: Outbox::default(),
            numbers: VecDeque::new(),
            retry_at: None,
            backoff,
        };
        self.lanes.insert(id, lane);
        self.by_address.insert(to.clone(), id);
        self.push(id, number, data);
        id
    }

    /// The number of the next datagram, in the order in which they were sent.
    pub(super) fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Adds a datagram behind those that wait for the same receiver.
    pub(super) fn push(&mut self, id: Id, number: u64, data: &[u8]) {
        self.change(id, |lane| {
            tight::push(&mut lane.numbers, number);
            lane.outbox.push(data, Some(&lane.to));
        });
    }

    /// What waits in the lane, to be handed over from the front.
    pub(super) fn outbox(&self, id: Id) -> Option<&Outbox> {
        self.lanes.get(&id).map(|lane| &lane.outbox)
    }

    /// The first `count` datagrams of the lane are gone. Returns how many bytes they were. Its
    /// receiver takes datagrams again.
    pub(super) fn advance(&mut self, id: Id, count: usize) -> usize {
        self.change(id, |lane| {
            lane.backoff.reset();
            lane.numbers.drain(..count);
            lane.outbox.advance(count)
        })
        .unwrap_or(0)
    }

    /// The oldest datagram of all is dropped.
    pub(super) fn drop_oldest(&mut self) {
        if let Some((_, id)) = self.by_age.first().copied() {
            self.change(id, |lane| {
                lane.numbers.pop_front();
                lane.outbox.advance(1);
            });
        }
    }

    /// Makes room of `needed` for a datagram that counts as `size` and goes to `to`: drops the newest
    /// datagrams of the receiver for whom most waits, unless that leaves it with less than `to` has.
    /// Returns how many went; `None` if there is no such receiver.
    pub(super) fn drop_newest_of_most(
        &mut self,
        to: &Address,
        size: usize,
        needed: usize,
    ) -> Option<usize> {
        let own = self.find(to).and_then(|id| self.lanes.get(&id)).map_or(0, Lane::size);
        let (most, id) = self.by_size.last().copied()?;
        if most < own + size + needed {
            return None;
        }
        let mut dropped = 0;
        let keep = most - needed;
        self.change(id, |lane| {
            while lane.size() > keep && lane.numbers.pop_back().is_some() {
                lane.outbox.pop_last();
                dropped += 1;
            }
        });
        Some(dropped)
    }

    /// The receiver was full again: when the lane is tried the next time. Without a time it is when
    /// the driver tells of room.
    pub(super) fn wait(&mut self, id: Id, now: Option<u64>) {
        self.change(id, |lane| {
            lane.retry_at = now.map(|now| now.saturating_add(lane.delay()));
        });
    }

    /// When the first of those that have a time is to be tried again.
    pub(super) fn next_retry(&self) -> Option<u64> {
        self.by_retry.first().map(|(at, _)| (*at).max(self.rests_until))
    }

    /// So many tries failed: none is made for a while.
    pub(super) fn rest(&mut self, now: u64, in_vain: u32) {
        self.rests_until = now.saturating_add(REST * u64::from(in_vain));
    }

    /// The lanes to try in one step at this time, the longest due first; all that have no time.
    pub(super) fn due(&self, now: u64) -> Vec<Id> {
        let timeless = self.by_retry.is_empty();
        if timeless {
            return self.by_age.iter().map(|(_, id)| *id).collect();
        }
        if now < self.rests_until {
            return Vec::new();
        }
        let due = self.by_retry.iter().take_while(|(at, _)| *at <= now);
        due.take(TRIES_PER_STEP).map(|(_, id)| *id).collect()
    }

    /// Changes a lane, and what the lanes are ordered by; a lane in which nothing waits is closed.
    fn change<R>(&mut self, id: Id, change: impl FnOnce(&mut Lane) -> R) -> Option<R> {
        let lane = self.lanes.get_mut(&id)?;
        self.datagrams -= lane.numbers.len();
        self.size -= lane.size();
        self.by_size.remove(&(lane.size(), id));
        if let Some(number) = lane.numbers.front() {
            self.by_age.remove(&(*number, id));
        }
        if let Some(at) = lane.retry_at {
            self.by_retry.remove(&(at, id));
        }
        let result = change(lane);
        let Some(number) = lane.numbers.front() else {
            self.by_address.remove(&lane.to);
            self.lanes.remove(&id);
            return Some(result);
        };
        let number = *number;
        lane.outbox.fit();
        tight::fit(&mut lane.numbers);
        self.by_age.insert((number, id));
        self.by_size.insert((lane.size(), id));
        if let Some(at) = lane.retry_at {
            self.by_retry.insert((at, id));
        }
        self.datagrams += lane.numbers.len();
        self.size += lane.size();
        Some(result)
    }
}

impl Lane {
    /// What flow control counts; the name is the lane's.
    fn size(&self) -> usize {
        if self.numbers.is_empty() {
            return 0;
        }
        LANE + self.outbox.bytes() + self.numbers.len() * OVERHEAD
    }

    fn delay(&mut self) -> u64 {
        u64::try_from(self.backoff.next_delay().as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::address::UnixAddress;

    fn address(number: u8) -> Address {
        Address::Unix(UnixAddress::from_path(format!("/{number}")))
    }

    fn backoff() -> Backoff {
        Backoff::new(Duration::from_millis(5), Duration::from_millis(500), 1)
    }

    fn put(lanes: &mut Lanes, to: &Address, data: &[u8]) {
        let number = lanes.number();
        match lanes.find(to) {
            Some(id) => lanes.push(id, number, data),
            None => drop(lanes.open(to, backoff(), number, data)),
        }
    }

    fn first(lanes: &Lanes, to: &Address) -> Option<Vec<u8>> {
        let outbox = lanes.outbox(lanes.find(to)?)?;
        outbox.iter().next().map(|datagram| datagram.data.to_vec())
    }

    #[test]
    fn retries_of_one_lane_back_off_and_begin_anew_after_progress() {
        let mut lanes = Lanes::default();
        let to = address(1);
        let id = lanes.open(&to, backoff(), 1, b"x");
        let (mut now, mut retries) = (0, 0);
        while now < 60_000_000_000 {
            lanes.wait(id, Some(now));
            assert_eq!(lanes.due(now), []);
            now = lanes.next_retry().unwrap();
            assert_eq!(lanes.due(now), [id]);
            retries += 1;
        }
        assert!((100..300).contains(&retries), "{retries} in a minute");
        lanes.push(id, 2, b"y");
        lanes.advance(id, 1);
        lanes.wait(id, Some(now));
        assert!(lanes.next_retry().unwrap() <= now + 5_000_000);
    }

    #[test]
    fn room_is_made_at_the_expense_of_whom_most_waits_for() {
        let mut lanes = Lanes::default();
        let (hog, other) = (address(1), address(2));
        for number in 0..20 {
            put(&mut lanes, &hog, &[number; 100 - OVERHEAD]);
        }
        assert_eq!(lanes.drop_newest_of_most(&hog, 100, 100), None, "not at its own");
        assert_eq!(lanes.drop_newest_of_most(&other, LANE + 250, 150), Some(2));
        assert_eq!((lanes.size(), lanes.datagrams()), (LANE + 1800, 18));
        assert_eq!(first(&lanes, &hog), Some(vec![0; 100 - OVERHEAD]), "the newest went");
        assert_eq!(lanes.drop_newest_of_most(&other, LANE + 1000, 900), None, "it would have more");
    }

    proptest! {
        #[test]
        fn lanes_hold_what_a_list_would(
            steps in prop::collection::vec((0u8..6, 0u8..4, 0usize..40), 0..200),
        ) {
            let mut lanes = Lanes::default();
            // In the order in which they came.
            let mut model: Vec<(Address, Vec<u8>)> = Vec::new();
            for (number, (action, to, len)) in steps.into_iter().enumerate() {
                let to = address(to);
                match action {
                    0..3 => {
                        let data = vec![number as u8; len];
                        put(&mut lanes, &to, &data);
                        model.push((to, data));
                    }
                    3 => {
                        lanes.drop_oldest();
                        if !model.is_empty() {
                            model.remove(0);
                        }
                    }
                    4 => if let Some(id) = lanes.find(&to) {
                        lanes.advance(id, 1);
                        let place = model.iter().position(|(whose, _)| *whose == to).unwrap();
                        model.remove(place);
                    },
                    _ => if let Some(id) = lanes.find(&to) {
                        lanes.wait(id, Some(len as u64));
                    },
                }
                let size: usize = model.iter().map(|(_, data)| data.len() + OVERHEAD).sum();
                let receivers: BTreeSet<_> = model.iter().map(|(to, _)| to).collect();
                let size = size + receivers.len() * LANE;
                prop_assert_eq!((lanes.size(), lanes.datagrams()), (size, model.len()));
                prop_assert_eq!(lanes.is_empty(), model.is_empty());
                for to in (0..4).map(address) {
                    let expected = model.iter().find(|(whose, _)| *whose == to);
                    prop_assert_eq!(first(&lanes, &to), expected.map(|(_, data)| data.clone()));
                }
            }
        }
    }

    #[test]
    fn full_receivers_are_tried_in_turn_and_a_thousand_times_a_second_at_most() {
        let mut lanes = Lanes::default();
        for index in 0..300u16 {
            let to = Address::from(std::net::SocketAddr::from(([127, 0, 0, 1], index + 1)));
            let backoff = Backoff::new(
                std::time::Duration::from_millis(5),
                std::time::Duration::from_millis(5),
                u64::from(index),
            );
            let number = lanes.number();
            let id = lanes.open(&to, backoff, number, b"x");
            lanes.wait(id, Some(0));
        }
        let (mut tries, mut steps) = (BTreeMap::new(), 0);
        let second = 1_000_000_000;
        let mut now = 0;
        loop {
            now = lanes.next_retry().unwrap().max(now);
            if now >= second {
                break;
            }
            let due = lanes.due(now);
            assert!(!due.is_empty() && due.len() <= TRIES_PER_STEP);
            for id in &due {
                lanes.wait(*id, Some(now));
                *tries.entry(*id).or_insert(0) += 1;
            }
            lanes.rest(now, due.len() as u32);
            assert!(lanes.due(now).is_empty(), "it rests");
            steps += 1;
        }
        let all: usize = tries.values().sum();
        assert!((900..=1064).contains(&all), "{all} tries");
        assert!(steps < 30, "{steps} steps");
        assert!(tries.len() == 300 && tries.values().all(|tries| (2..=5).contains(tries)));
    }
}
