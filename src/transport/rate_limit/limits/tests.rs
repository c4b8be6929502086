use super::*;
use crate::event_loop::EventLoop;
use crate::testing::MemoryNetwork;

const WAY: Direction = Direction::Write;
const MEMBER: Key = Key { index: 1_000, generation: 1 };
const OTHER: Key = Key { index: 1_001, generation: 1 };

fn limit(bytes_per_second: u64, burst: u64) -> RateLimit {
    RateLimit::bytes_per_second(bytes_per_second).burst(burst)
}

/// A group whose budget is used up, and a member that waits for a share of it.
fn waiting(event_loop: &EventLoop) -> (RateGroup, Limits) {
    let group = RateGroup::new(event_loop);
    group.set_write_limit(Some(limit(0, 1_000)));
    group.take(WAY, 1_000);
    let limits = Limits::default();
    limits.set_group(Some(group.clone()));
    assert_eq!(limits.budget(WAY, MEMBER, 100, 0), 0);
    assert!(limits.waits(WAY));
    (group, limits)
}

#[test]
fn who_leaves_a_group_gives_its_share_back() {
    let event_loop = MemoryNetwork::new().event_loop();
    let (group, limits) = waiting(&event_loop);
    // As the group does when it serves its queue.
    group.stop_waiting(WAY, 0);
    assert!(limits.take_share(&group, WAY, 400));
    limits.spend(WAY, 100);
    limits.set_group(None);
    assert_eq!(group.members(), 0);
    assert!(matches!(group.ask(WAY, OTHER, 1_000), Answer::Share(300)));
}

#[test]
fn a_share_of_another_group_is_not_taken() {
    let event_loop = MemoryNetwork::new().event_loop();
    let (group, limits) = waiting(&event_loop);
    assert!(!limits.take_share(&RateGroup::new(&event_loop), WAY, 400));
    assert!(limits.waits(WAY), "it waits for its own");
    assert!(limits.take_share(&group, WAY, 400));
    assert!(!limits.take_share(&group, WAY, 400), "it waits no longer");
    assert_eq!(limits.budget(WAY, MEMBER, 1_000, 0), 400);
}

#[test]
fn joining_the_same_group_again_keeps_the_place_in_its_queue() {
    let event_loop = MemoryNetwork::new().event_loop();
    let (group, limits) = waiting(&event_loop);
    assert!(matches!(group.ask(WAY, OTHER, 100), Answer::Waits(1)));
    let before = limits.way(WAY).ticket.get();
    limits.set_group(Some(group.clone()));
    assert_eq!((limits.way(WAY).ticket.get(), before), (Some(0), Some(0)));
    assert_eq!(group.members(), 1);
}

#[test]
fn less_than_is_worth_a_turn_is_waited_for() {
    let limits = Limits::default();
    // A hundredth of a second's is 100.
    limits.set(WAY, Some(limit(10_000, 10_000)), 0);
    assert_eq!(limits.budget(WAY, MEMBER, 20_000, 0), 10_000);
    limits.spend(WAY, 9_950);
    assert_eq!(limits.budget(WAY, MEMBER, 40, 0), 40, "less was wanted");
    assert_eq!(limits.budget(WAY, MEMBER, 1_000, 0), 0);
    assert_eq!(limits.own_until(), Some(5_000_000));
    assert!(!limits.end_wait(WAY, 4_999_999));
    assert!(limits.end_wait(WAY, 5_000_000));
    assert_eq!(limits.budget(WAY, MEMBER, 1_000, 5_000_000), 100);
}

#[test]
fn of_two_budgets_the_one_that_is_there_first_is_waited_for() {
    for (first, second) in
        [(Direction::Read, Direction::Write), (Direction::Write, Direction::Read)]
    {
        let limits = Limits::default();
        limits.set(first, Some(limit(1_000, 10)), 0);
        limits.set(second, Some(limit(10, 10)), 0);
        for way in Direction::BOTH {
            limits.spend(way, 10);
            assert_eq!(limits.budget(way, MEMBER, 10, 0), 0);
        }
        assert_eq!(limits.own_until(), Some(10_000_000));
        assert!(limits.end_wait(first, 10_000_000));
        assert_eq!(limits.own_until(), Some(100_000_000));
    }
}
