use std::cell::Cell;
use std::rc::Rc;

use super::*;
use crate::error::Result;
use crate::protocol::Protocol;
use crate::testing::{MemoryNetwork, pair, settle};
use crate::transport::Transport;

const WAY: Direction = Direction::Write;

/// Members that are no streams: only their places in the queue count.
const ONE: Key = Key { index: 1_000, generation: 1 };
const OTHER: Key = Key { index: 1_001, generation: 1 };

/// A group of a loop in memory whose budget is used up: it is filled by giving back only.
fn empty_group(event_loop: &EventLoop, burst: u64) -> RateGroup {
    let group = RateGroup::new(event_loop);
    group.set_write_limit(Some(RateLimit::bytes_per_second(0).burst(burst)));
    group.take(WAY, burst);
    group
}

fn a_loop() -> EventLoop {
    MemoryNetwork::new().event_loop()
}

fn is_served(answer: &Answer) -> bool {
    matches!(answer, Answer::Share(_))
}

#[test]
fn who_asks_while_others_wait_queues_behind_them_though_there_is_enough() {
    let event_loop = a_loop();
    let group = empty_group(&event_loop, 100_000);
    assert!(!is_served(&group.ask(WAY, ONE, 10)));
    group.give_back(WAY, 50_000);
    assert!(!is_served(&group.ask(WAY, OTHER, 10)), "it would come before the one that waits");
    let waiting = group.way(WAY).waiting.borrow().values().copied().collect::<Vec<_>>();
    assert_eq!(waiting, [ONE, OTHER]);
}

#[test]
fn a_share_is_an_equal_part_but_no_less_than_is_worth_a_system_call() {
    let event_loop = a_loop();
    let share = |level: u64| {
        let group = empty_group(&event_loop, 100_000);
        (0..10).for_each(|_| group.join());
        group.give_back(WAY, level);
        match group.ask(WAY, ONE, 50_000) {
            Answer::Share(share) => share,
            Answer::Waits(_) => 0,
        }
    };
    assert_eq!(share(50_000), 5_000);
    assert_eq!(share(5_000), LEAST_SHARE, "and no tenth of it");
    assert_eq!(share(100), 100, "what there is");
}

#[test]
fn what_is_given_back_is_shared_out_at_once() {
    let event_loop = a_loop();
    let group = empty_group(&event_loop, 1_000);
    assert!(!is_served(&group.ask(WAY, ONE, 10)));
    assert_eq!(event_loop.statistics().timers, 0, "nothing is to come by itself");
    group.give_back(WAY, 500);
    assert_eq!(event_loop.statistics().timers, 1);
    settle(&event_loop).unwrap();
    assert!(group.way(WAY).waiting.borrow().is_empty(), "without a wait");
    assert_eq!(event_loop.statistics().timers, 0);
}

#[test]
fn what_is_given_back_brings_a_timer_forward_that_is_armed_for_later() {
    let event_loop = a_loop();
    let group = RateGroup::new(&event_loop);
    group.set_write_limit(Some(RateLimit::bytes_per_second(1_000).burst(1_000)));
    group.take(WAY, 1_000);
    assert!(!is_served(&group.ask(WAY, ONE, 1_000)));
    let armed = group.way(WAY).timer.get().map(|(_, at)| at);
    let now = event_loop.core().tick_time();
    assert_eq!(armed, Some(now + 10_000_000));
    group.give_back(WAY, 500);
    assert_eq!(group.way(WAY).timer.get().map(|(_, at)| at), Some(now));
    settle(&event_loop).unwrap();
    assert!(group.way(WAY).waiting.borrow().is_empty(), "no time has passed");
}

#[test]
fn what_there_is_is_shared_out_in_equal_parts_among_all_that_wait() {
    for (given, parts) in
        [(9_000, [3_000, 3_000, 3_000]), (2_500, [1_250, 1_250, 0]), (700, [700, 0, 0])]
    {
        let event_loop = a_loop();
        let group = empty_group(&event_loop, 20_000);
        let received: [Rc<Cell<usize>>; 3] = Default::default();
        let pairs = received.each_ref().map(|received| {
            let sink = Counting(Rc::clone(received));
            let (source, sink) = pair(&event_loop, 1 << 20, Counting(Rc::default()), sink).unwrap();
            source.handle().set_rate_group(Some(&group)).unwrap();
            source.handle().write(&[7; 20_000]);
            (source, sink)
        });
        settle(&event_loop).unwrap();
        assert_eq!(group.way(WAY).waiting.borrow().len(), 3);
        group.give_back(WAY, given);
        settle(&event_loop).unwrap();
        let received = received.each_ref().map(|received| received.get());
        assert_eq!(received, parts, "of {given}");
        drop(pairs);
    }
}

#[test]
fn a_group_of_a_closed_loop_has_no_timer() {
    let event_loop = a_loop();
    let group = empty_group(&event_loop, 1_000);
    assert!(!is_served(&group.ask(WAY, ONE, 10)));
    event_loop.close().unwrap();
    assert!(event_loop.is_closed());
    group.give_back(WAY, 500);
    assert!(group.way(WAY).timer.get().is_none());
    group.set_write_limit(Some(RateLimit::bytes_per_second(1)));
    assert!(group.way(WAY).timer.get().is_none());
}

/// Counts what it receives.
struct Counting(Rc<Cell<usize>>);

impl Protocol for Counting {
    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
        self.0.set(self.0.get() + data.len());
        Ok(())
    }
}
