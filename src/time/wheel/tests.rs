use std::collections::BTreeMap;
use std::rc::Rc;

use proptest::prelude::*;

use super::slots::{LEVELS, TICK_BITS};
use super::{TimerKey, Wheel};

const TICK: u64 = 1 << TICK_BITS;
const SECOND: u64 = 1_000_000_000;
const YEAR: u64 = 365 * 86_400 * SECOND;

#[test]
fn fires_in_order_of_deadlines() {
    let deadlines = [9 * SECOND, 3, YEAR, SECOND, 70 * TICK, 0, 5000 * SECOND];
    let mut wheel = wheel_of(&deadlines);
    let mut expected = deadlines;
    expected.sort_unstable();
    assert_eq!(expire_all(&mut wheel, u64::MAX), expected);
    assert!(wheel.is_empty());
}

#[test]
fn never_fires_early() {
    for deadline in [1, 999, TICK - 1, TICK, TICK + 1, SECOND, 64 * TICK + 7, YEAR, u64::MAX] {
        let mut wheel = wheel_of(&[deadline]);
        assert_eq!(wheel.fire(deadline - 1), None);
        assert_eq!(wheel.fire(deadline), Some(deadline));
    }
}

#[test]
fn orders_by_nanosecond_within_one_slot() {
    let base = 1000 * TICK;
    let mut wheel = wheel_of(&[base + 300, base + 100, base + 301, base, base + 299]);
    assert_eq!(expire_all(&mut wheel, base - 1), []);
    assert_eq!(expire_all(&mut wheel, base + 299), [base, base + 100, base + 299]);
    assert_eq!(expire_all(&mut wheel, base + 300), [base + 300]);
    assert_eq!(expire_all(&mut wheel, base + TICK), [base + 301]);
}

#[test]
fn equal_deadlines_fire_in_order_of_insertion() {
    let deadline = 5000 * SECOND + 17;
    let mut wheel = Wheel::new();
    // Inserted at different distances, so into different levels.
    for (value, now) in [0, SECOND, 4000 * SECOND, 4999 * SECOND, deadline - 2 * TICK, deadline - 1]
        .into_iter()
        .enumerate()
    {
        assert_eq!(wheel.fire(now), None);
        wheel.insert(deadline, 2 * value);
        wheel.insert(deadline, 2 * value + 1);
    }
    assert_eq!(expire_all(&mut wheel, deadline), (0..12).collect::<Vec<_>>());
}

#[test]
fn past_deadlines_are_due_at_once_the_earlier_first() {
    let mut wheel = wheel_of(&[100 * SECOND + 5]);
    assert_eq!(wheel.fire(100 * SECOND), None);
    for deadline in [50 * SECOND, 100 * SECOND, 0, 99 * SECOND, 50 * SECOND + 1] {
        wheel.insert(deadline, deadline);
    }
    assert_eq!(wheel.next_wakeup(), Some(0));
    assert_eq!(
        expire_all(&mut wheel, 100 * SECOND),
        [0, 50 * SECOND, 50 * SECOND + 1, 99 * SECOND, 100 * SECOND]
    );
    assert_eq!(wheel.len(), 1);
}

#[test]
fn timers_inserted_while_expiring_take_their_place() {
    let mut wheel = wheel_of(&[SECOND, 2 * SECOND, 3 * SECOND]);
    let now = 4 * SECOND;
    assert_eq!(wheel.fire(now), Some(SECOND));
    wheel.insert(0, 0);
    wheel.insert(2 * SECOND, 22);
    wheel.insert(3 * SECOND - 1, 33);
    wheel.insert(now + 1, 44);
    assert_eq!(expire_all(&mut wheel, now), [0, 2 * SECOND, 22, 33, 3 * SECOND]);
    assert_eq!(expire_all(&mut wheel, now + 1), [44]);
}

#[test]
fn resetting_counts_as_a_new_insertion() {
    for deadline in [SECOND, 10] {
        let mut wheel = Wheel::new();
        let first = wheel.insert(deadline, 'a');
        wheel.insert(deadline, 'b');
        assert!(wheel.reset(first, deadline));
        assert_eq!(expire_all(&mut wheel, deadline), ['b', 'a']);
        assert!(!wheel.reset(first, deadline), "it has fired");
        assert!(wheel.is_empty());
    }
}

#[test]
fn resetting_moves_between_near_and_far() {
    let mut wheel = Wheel::new();
    let key = wheel.insert(5, 'a');
    for deadline in [YEAR, 7, SECOND, 3, 4, u64::MAX, 9] {
        assert!(wheel.reset(key, deadline));
        assert_eq!(wheel.next_wakeup(), Some(deadline));
        assert_eq!(wheel.len(), 1);
    }
    assert_eq!(wheel.fire(8), None);
    assert_eq!(wheel.fire(9), Some('a'));
}

#[test]
fn removed_timers_do_not_fire_and_their_keys_are_stale() {
    for deadline in [10, 2 * SECOND, u64::MAX] {
        let mut wheel = Wheel::new();
        let key = wheel.insert(deadline, 'a');
        assert!(wheel.contains(key));
        assert_eq!(wheel.remove(key), Some('a'));
        assert_eq!(wheel.remove(key), None);
        assert!(!wheel.contains(key) && !wheel.reset(key, 1));
        assert_eq!(wheel.next_wakeup(), None);
        let next = wheel.insert(deadline, 'b');
        assert_eq!(next.index, key.index, "the place is reused");
        assert_eq!(wheel.remove(key), None);
        assert_eq!(wheel.fire(deadline), Some('b'));
        assert!(!wheel.contains(next));
    }
}

#[test]
fn what_has_fired_stays_until_it_is_taken() {
    let mut wheel = wheel_of(&[10, 20, 30, 2 * SECOND]);
    let fired: Vec<TimerKey> =
        std::iter::from_fn(|| wheel.expire(30)).map(|(key, _)| key).collect();
    assert_eq!((fired.len(), wheel.len()), (3, 1));
    assert_eq!(wheel.next_wakeup(), Some(2 * SECOND));

    assert_eq!(wheel.remove(fired[0]), Some(10));
    assert_eq!(wheel.take_fired(fired[0]), None);
    assert!(wheel.reset(fired[1], SECOND), "it is pending again");
    assert_eq!(wheel.take_fired(fired[1]), None);
    assert_eq!(wheel.take_fired(fired[2]), Some(30));
    assert_eq!(wheel.len(), 2);

    assert_eq!(wheel.expire(SECOND), Some((fired[1], SECOND)));
    assert_eq!(wheel.take_fired(fired[1]), Some(20));
    assert!(!wheel.reset(fired[1], SECOND));
    assert_eq!(wheel.fire(2 * SECOND), Some(2 * SECOND));
    assert!(wheel.is_empty());
}

#[test]
fn what_was_abandoned_is_known_but_gone() {
    let mut wheel = wheel_of(&[10]);
    let (key, _) = wheel.expire(10).unwrap();
    assert_eq!(wheel.abandon(key), Some(10));
    assert_eq!((wheel.abandon(key), wheel.take_fired(key), wheel.remove(key)), (None, None, None));
    assert!(wheel.contains(key) && !wheel.reset(key, 20));
    assert!(wheel.is_empty() && wheel.next_wakeup().is_none());
}

#[test]
fn memory_of_cancelled_timers_is_given_back() {
    for kept in [None, Some(0)] {
        let mut wheel = Wheel::new();
        let keys: Vec<TimerKey> =
            (0..100_000).map(|index| wheel.insert(SECOND + index, index)).collect();
        for (index, &key) in keys.iter().enumerate() {
            if Some(index) != kept {
                wheel.remove(key);
            }
        }
        assert!(wheel.needs_expire());
        assert_eq!(wheel.fire(0), None);
        assert!(wheel.slab.nodes().len() <= 1);
        assert_eq!(wheel.needs_expire(), kept.is_some());
    }
}

#[test]
fn the_key_of_no_timer_names_none() {
    let mut wheel = wheel_of(&[0; 100]);
    assert_eq!(wheel.remove(TimerKey::NONE), None);
    assert!(!wheel.reset(TimerKey::NONE, 0));
}

#[test]
fn values_are_dropped_with_their_timers() {
    let value = Rc::new(());
    let mut wheel = Wheel::new();
    let removed = wheel.insert(10, value.clone());
    wheel.insert(20, value.clone());
    wheel.insert(YEAR, value.clone());
    drop(wheel.remove(removed));
    assert_eq!(Rc::strong_count(&value), 3);
    drop(wheel.fire(20));
    assert_eq!(Rc::strong_count(&value), 2);
    drop(wheel);
    assert_eq!(Rc::strong_count(&value), 1);
}

#[test]
fn a_million_timers_leave_nothing_behind() {
    let mut wheel = Wheel::new();
    let deadline = |index: u64| index.wrapping_mul(0x9E37_79B9_7F4A_7C15) % (3600 * SECOND);
    let keys: Vec<TimerKey> =
        (0..1_000_000).map(|index| wheel.insert(deadline(index), index)).collect();
    assert_eq!(wheel.len(), 1_000_000);
    for (index, key) in keys.into_iter().enumerate() {
        assert_eq!(wheel.remove(key), Some(index as u64));
    }
    assert!(wheel.is_empty());
    assert_eq!(wheel.next_wakeup(), None);
    assert_eq!(wheel.fire(u64::MAX), None);
    assert_eq!(wheel.slab.nodes().len(), 0);
}

#[test]
fn time_may_jump_by_any_distance() {
    let mut wheel = wheel_of(&[SECOND, 100 * YEAR, 500 * YEAR]);
    assert_eq!(expire_all(&mut wheel, 99 * YEAR), [SECOND]);
    for year in 100..500 {
        assert_eq!(expire_all(&mut wheel, year * YEAR).len(), usize::from(year == 100));
    }
    assert_eq!(expire_all(&mut wheel, u64::MAX), [500 * YEAR]);
    wheel.insert(u64::MAX, 1);
    wheel.insert(0, 0);
    assert_eq!(expire_all(&mut wheel, u64::MAX), [0, 1]);
}

#[test]
fn time_going_back_fires_nothing_and_loses_nothing() {
    let mut wheel = wheel_of(&[10 * SECOND]);
    assert_eq!(wheel.fire(9 * SECOND), None);
    assert_eq!(wheel.fire(SECOND), None);
    wheel.insert(2 * SECOND, 2 * SECOND);
    assert_eq!(wheel.fire(SECOND), None);
    assert_eq!(wheel.next_wakeup(), Some(2 * SECOND));
    assert_eq!(expire_all(&mut wheel, 10 * SECOND), [2 * SECOND, 10 * SECOND]);
}

#[test]
fn the_wakeup_is_exact_without_removals() {
    let mut wheel = Wheel::new();
    let mut earliest = u64::MAX;
    for deadline in [u64::MAX, YEAR + 3, YEAR + 1, YEAR + 2, 900 * SECOND, 70 * TICK + 5, 12, 13] {
        wheel.insert(deadline, deadline);
        earliest = earliest.min(deadline);
        assert_eq!(wheel.next_wakeup(), Some(earliest));
    }
    while let Some(wakeup) = wheel.next_wakeup() {
        assert_eq!(wheel.fire(wakeup), Some(wakeup));
    }
    assert!(wheel.is_empty());
}

/// The worst case: in each slot that the timer passes through there was an earlier one, removed since.
#[test]
fn wakeups_reach_the_deadline_in_a_step_per_level() {
    let target = u64::MAX;
    let mut wheel = wheel_of(&[target]);
    let mut now = 0;
    let mut steps = 0;
    loop {
        for bits in (TICK_BITS..u64::BITS).step_by(6).rev() {
            let start_of_slot = target >> bits << bits;
            if start_of_slot > now {
                let removed = wheel.insert(start_of_slot, 0);
                wheel.remove(removed);
            }
        }
        let wakeup = wheel.next_wakeup().unwrap();
        assert!(now < wakeup && wakeup <= target);
        now = wakeup;
        steps += 1;
        if let Some(value) = wheel.fire(now) {
            assert_eq!((value, now), (target, target));
            break;
        }
    }
    assert_eq!(steps, LEVELS + 1);
}

#[derive(Clone, Debug)]
enum Step {
    Insert(Deadline),
    /// Of any timer that ever was.
    Remove(usize),
    Reset(usize, Deadline),
    /// Goes on by some nanoseconds, and inserts after the first timer that fires.
    Advance(u64, Option<Deadline>),
    /// Goes on by some nanoseconds, and leaves what fires to be taken later.
    Fire(u64),
    /// Takes what fired, as far as it still has.
    TakeFired,
    /// Goes back, which a clock should not do.
    Retreat(u64),
    /// Goes on to the earliest deadline by wake-ups.
    FollowWakeups,
}

#[derive(Clone, Copy, Debug)]
enum Deadline {
    After(u64),
    Before(u64),
    /// The same as that of an earlier timer.
    Same(usize),
    Absolute(u64),
}

/// The wheel beside what it must do, said with an ordered map.
#[derive(Default)]
struct Pair {
    wheel: Option<Wheel<usize>>,
    model: BTreeMap<(u64, u64), usize>,
    /// Every timer so far: its key, and its place in the model.
    timers: Vec<(TimerKey, (u64, u64))>,
    /// Those that have fired and were not taken, in that order.
    fired: Vec<usize>,
    sequence: u64,
    now: u64,
}

impl Pair {
    fn wheel(&mut self) -> &mut Wheel<usize> {
        self.wheel.get_or_insert_with(Wheel::new)
    }

    fn place(&mut self, deadline: Deadline) -> (u64, u64) {
        let deadline = match deadline {
            Deadline::After(distance) => self.now.saturating_add(distance),
            Deadline::Before(distance) => self.now.saturating_sub(distance),
            Deadline::Same(timer) if self.timers.is_empty() => timer as u64,
            Deadline::Same(timer) => self.timers[timer % self.timers.len()].1.0,
            Deadline::Absolute(deadline) => deadline,
        };
        self.sequence += 1;
        (deadline, self.sequence)
    }

    fn insert(&mut self, deadline: Deadline) {
        let place = self.place(deadline);
        let value = self.timers.len();
        let key = self.wheel().insert(place.0, value);
        self.timers.push((key, place));
        self.model.insert(place, value);
    }

    fn remove(&mut self, timer: usize) {
        let (key, place) = self.timers[timer];
        let expected = self.model.remove(&place).or_else(|| self.forget_fired(timer));
        assert_eq!(self.wheel().contains(key), expected.is_some());
        assert_eq!(self.wheel().remove(key), expected);
    }

    fn reset(&mut self, timer: usize, deadline: Deadline) {
        let (key, old) = self.timers[timer];
        let new = self.place(deadline);
        let value = self.model.remove(&old).or_else(|| self.forget_fired(timer));
        assert_eq!(self.wheel().reset(key, new.0), value.is_some());
        if let Some(value) = value {
            self.model.insert(new, value);
            self.timers[timer].1 = new;
        }
    }

    fn forget_fired(&mut self, timer: usize) -> Option<usize> {
        let position = self.fired.iter().position(|&fired| fired == timer)?;
        Some(self.fired.remove(position))
    }

    fn fire(&mut self) {
        let now = self.now;
        while let Some(due) = self.model.first_entry().filter(|first| first.key().0 <= now) {
            let (place, value) = due.remove_entry();
            let key = self.timers[value].0;
            assert_eq!(self.wheel().expire(now), Some((key, place.0)));
            self.fired.push(value);
        }
        assert_eq!(self.wheel().expire(now), None);
    }

    fn take_fired(&mut self) {
        for timer in 0..self.timers.len() {
            let expected = self.forget_fired(timer);
            let key = self.timers[timer].0;
            assert_eq!(self.wheel().take_fired(key), expected);
        }
    }

    fn expire(&mut self, mut between: Option<Deadline>) {
        loop {
            let now = self.now;
            let due = self.model.first_entry().filter(|first| first.key().0 <= now);
            let expected = due.map(|first| first.remove());
            assert_eq!(self.wheel().fire(now), expected);
            if expected.is_none() {
                return;
            }
            if let Some(deadline) = between.take() {
                self.insert(deadline);
            }
        }
    }

    fn follow_wakeups(&mut self) {
        let Some((&(earliest, _), _)) = self.model.first_key_value() else {
            return;
        };
        let timers = self.model.len();
        let mut steps = 0;
        while self.model.len() == timers {
            let wakeup = self.wheel().next_wakeup().unwrap();
            assert!(steps == 0 || wakeup > self.now, "no progress");
            self.now = self.now.max(wakeup);
            self.expire(None);
            steps += 1;
        }
        assert!(steps <= LEVELS + 1);
        assert!(self.now >= earliest);
    }

    fn check(&mut self) {
        let (len, earliest) = (self.model.len(), self.model.keys().next().map(|place| place.0));
        assert_eq!(self.wheel().len(), len);
        assert_eq!(self.wheel().is_empty(), len == 0);
        let wakeup = self.wheel().next_wakeup();
        assert_eq!(wakeup.is_some(), earliest.is_some());
        assert!(wakeup <= earliest);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_an_ordered_map(steps in prop::collection::vec(step(), 1..200)) {
        let mut pair = Pair::default();
        for step in steps {
            let timers = pair.timers.len();
            match step {
                Step::Insert(deadline) => pair.insert(deadline),
                Step::Remove(_) | Step::Reset(..) if timers == 0 => {}
                Step::Remove(timer) => pair.remove(timer % timers),
                Step::Reset(timer, deadline) => pair.reset(timer % timers, deadline),
                Step::Advance(distance, between) => {
                    pair.now = pair.now.saturating_add(distance);
                    pair.expire(between);
                }
                Step::Fire(distance) => {
                    pair.now = pair.now.saturating_add(distance);
                    pair.fire();
                }
                Step::TakeFired => pair.take_fired(),
                Step::Retreat(distance) => {
                    pair.now = pair.now.saturating_sub(distance);
                    pair.expire(None);
                }
                Step::FollowWakeups => pair.follow_wakeups(),
            }
            pair.check();
        }
        pair.now = u64::MAX;
        pair.expire(None);
        assert!(pair.wheel().is_empty());
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => deadline().prop_map(Step::Insert),
        3 => any::<usize>().prop_map(Step::Remove),
        3 => (any::<usize>(), deadline()).prop_map(|(timer, deadline)| Step::Reset(timer, deadline)),
        3 => (distance(), prop::option::of(deadline()))
            .prop_map(|(distance, between)| Step::Advance(distance, between)),
        2 => distance().prop_map(Step::Fire),
        1 => Just(Step::TakeFired),
        1 => distance().prop_map(Step::Retreat),
        2 => Just(Step::FollowWakeups),
    ]
}

fn deadline() -> impl Strategy<Value = Deadline> {
    prop_oneof![
        6 => distance().prop_map(Deadline::After),
        1 => distance().prop_map(Deadline::Before),
        3 => any::<usize>().prop_map(Deadline::Same),
        1 => prop_oneof![Just(u64::MAX), Just(u64::MAX - 1), Just(0), any::<u64>()]
            .prop_map(Deadline::Absolute),
    ]
}

/// From a nanosecond to centuries, mostly up to hours.
fn distance() -> impl Strategy<Value = u64> {
    prop_oneof![9 => 0..43_u32, 1 => 43..64_u32]
        .prop_flat_map(|bits| prop_oneof![Just(1 << bits), 0..=(1_u64 << bits)])
}

impl<T> Wheel<T> {
    /// Fires a timer and takes its value.
    pub(super) fn fire(&mut self, now: u64) -> Option<T> {
        let (key, deadline) = self.expire(now)?;
        assert!(deadline <= now);
        self.take_fired(key)
    }
}

fn wheel_of(deadlines: &[u64]) -> Wheel<u64> {
    let mut wheel = Wheel::new();
    for &deadline in deadlines {
        wheel.insert(deadline, deadline);
    }
    wheel
}

fn expire_all<T>(wheel: &mut Wheel<T>, now: u64) -> Vec<T> {
    std::iter::from_fn(|| wheel.fire(now)).collect()
}
