//! The limits that several connections share.

use std::time::Duration;

use wharf::testing::{advance, pair};
use wharf::{EventLoop, RateGroup, RateLimit, Result, Transport};

use super::{Flow, Idle, SECOND, limit};
use crate::loops::{memory_loop, settle};
use crate::probe::{Log, Probe};

/// Sets a group's limit one way.
type Limits = fn(&RateGroup, Option<RateLimit>);

const BOTH: [(bool, Limits); 2] =
    [(true, RateGroup::set_read_limit), (false, RateGroup::set_write_limit)];

/// A flow that the group limits: where it is read, or where it is written.
fn member(event_loop: &EventLoop, group: &RateGroup, reads: bool) -> Flow {
    Flow::new(event_loop, |source, sink| {
        let end = if reads { sink } else { source };
        end.set_rate_group(Some(group)).unwrap();
    })
}

#[test]
fn a_group_has_one_timer_however_many_members_wait() {
    for (reads, set_limit) in BOTH {
        let event_loop = memory_loop();
        let group = RateGroup::new(&event_loop);
        set_limit(&group, Some(limit(10_000, 1000)));
        let flows: Vec<Flow> = (0..20).map(|_| member(&event_loop, &group, reads)).collect();
        advance(&event_loop, SECOND + Duration::from_millis(3)).unwrap();
        assert_eq!(event_loop.statistics().timers, 1);
        assert!(flows.iter().all(|flow| flow.received.get() > 0));
        // Nobody waits any more: no timer is left.
        set_limit(&group, None);
        for flow in &flows {
            flow.source.handle().abort();
        }
        settle(&event_loop).unwrap();
        assert_eq!(event_loop.statistics().timers, 0);
    }
}

#[test]
fn members_of_a_group_share_its_budget_equally_and_none_starves() {
    for (reads, set_limit) in BOTH {
        let event_loop = memory_loop();
        let group = RateGroup::new(&event_loop);
        set_limit(&group, Some(limit(90_000, 9000)));
        let flows: Vec<Flow> = (0..30).map(|_| member(&event_loop, &group, reads)).collect();
        assert_eq!(group.members(), 30);
        // What was taken before a member joined is not the group's.
        settle(&event_loop).unwrap();
        flows.iter().for_each(|flow| flow.received.set(0));
        advance(&event_loop, 20 * SECOND).unwrap();
        let received: Vec<u64> = flows.iter().map(|flow| flow.received.get()).collect();
        let total: u64 = received.iter().sum();
        assert!(total.abs_diff(20 * 90_000) <= 9000, "{total}");
        for received in &received {
            assert!(received.abs_diff(60_000) <= 4500, "{received} of about 60000");
        }
        // What the others leave is for the one that wants it.
        for flow in &flows[1..] {
            flow.source.handle().abort();
            flow.sink.handle().abort();
        }
        advance(&event_loop, SECOND).unwrap();
        assert_eq!(group.members(), 1);
        let alone = flows[0].in_time(&event_loop, SECOND);
        assert!(alone.abs_diff(90_000) <= 9000, "{alone}");
    }
}

#[test]
fn a_member_that_wants_little_leaves_its_part_to_the_others() {
    let event_loop = memory_loop();
    let group = RateGroup::new(&event_loop);
    group.set_write_limit(Some(limit(100_000, 10_000)));
    let busy = Flow::new(&event_loop, |source, _| source.set_rate_group(Some(&group)).unwrap());
    let (talker, listener) = (Log::new(), Log::new());
    let _pair = pair(&event_loop, 4096, Probe::new(&talker), Probe::new(&listener)).unwrap();
    talker.handle().set_rate_group(Some(&group)).unwrap();
    settle(&event_loop).unwrap();
    busy.received.set(0);
    for _ in 0..100 {
        talker.handle().write(b"a word");
        advance(&event_loop, SECOND / 10).unwrap();
    }
    assert!(listener.received_len() >= 99 * 6, "{}", listener.received_len());
    let busy = busy.received.get();
    assert!(busy.abs_diff(1_000_000) <= 11_000, "{busy}");
}

#[test]
fn a_connection_in_a_group_keeps_its_own_limit_too() {
    let event_loop = memory_loop();
    let group = RateGroup::new(&event_loop);
    group.set_read_limit(Some(limit(50_000, 5000)));
    let slow = Flow::new(&event_loop, |_, sink| {
        sink.set_read_limit(Some(limit(10_000, 1000)));
        sink.set_rate_group(Some(&group)).unwrap();
    });
    let fast = Flow::new(&event_loop, |_, sink| sink.set_rate_group(Some(&group)).unwrap());
    advance(&event_loop, 10 * SECOND).unwrap();
    let (slow, fast) = (slow.received.get(), fast.received.get());
    assert!(slow.abs_diff(100_000) <= 1000, "{slow}");
    assert!((slow + fast).abs_diff(500_000) <= 5000, "{slow} + {fast}");
}

#[test]
fn a_group_of_another_loop_is_refused() -> Result {
    let (event_loop, other) = (memory_loop(), memory_loop());
    let group = RateGroup::new(&other);
    let flow = Flow::new(&event_loop, |_, sink| {
        assert!(sink.set_rate_group(Some(&group)).unwrap_err().is_invalid());
    });
    event_loop.run(async |event_loop| {
        let server = event_loop.create_server(|| Idle, "10.0.0.1:7").rate_group(&group).await;
        assert!(server.unwrap_err().is_invalid());
        let client = event_loop.create_connection(|| Idle, "10.0.0.1:7").rate_group(&group).await;
        assert!(client.unwrap_err().is_invalid());
        Ok(())
    })?;
    assert_eq!(group.members(), 0);
    drop(flow);
    Ok(())
}

#[test]
fn limited_connections_leave_nothing_behind() {
    let event_loop = memory_loop();
    let group = RateGroup::new(&event_loop);
    group.set_read_limit(Some(limit(10, 10)));
    group.set_write_limit(Some(limit(10, 10)));
    for _ in 0..50 {
        let flow = Flow::new(&event_loop, |source, sink| {
            source.set_rate_group(Some(&group)).unwrap();
            source.set_write_limit(Some(limit(5, 5)));
            sink.set_rate_group(Some(&group)).unwrap();
            sink.set_read_limit(Some(limit(5, 5)));
        });
        advance(&event_loop, SECOND).unwrap();
        flow.source.handle().abort();
        flow.sink.handle().abort();
    }
    advance(&event_loop, 100 * SECOND).unwrap();
    let statistics = event_loop.statistics();
    assert_eq!((group.members(), statistics.timers, statistics.sources), (0, 0, 0));
}

#[test]
fn a_member_that_waits_can_change_its_group() {
    let event_loop = memory_loop();
    let (slow, fast) = (RateGroup::new(&event_loop), RateGroup::new(&event_loop));
    slow.set_read_limit(Some(limit(100, 100)));
    fast.set_read_limit(Some(limit(10_000, 100)));
    let flow = Flow::new(&event_loop, |_, sink| sink.set_rate_group(Some(&slow)).unwrap());
    advance(&event_loop, SECOND).unwrap();
    flow.sink.handle().set_rate_group(Some(&fast)).unwrap();
    assert_eq!((slow.members(), fast.members()), (0, 1));
    assert!(flow.in_time(&event_loop, 10 * SECOND).abs_diff(100_000) <= 200);
    flow.sink.handle().set_rate_group(Some(&slow)).unwrap();
    assert!(flow.in_time(&event_loop, 10 * SECOND).abs_diff(1000) <= 200);
}

#[test]
fn a_connection_that_fails_while_it_joins_a_group_is_not_in_it() {
    let event_loop = memory_loop();
    let group = RateGroup::new(&event_loop);
    let (near, far) = (Log::new(), Log::new());
    let joins = group.clone();
    let probe = Probe::new(&near).not_reading().on_data(move |transport, _| {
        transport.pause_reading();
        // What was written before has to go first, and nobody takes it any more.
        transport.write(b"for nobody");
        transport.set_rate_group(Some(&joins)).map_err(Into::into)
    });
    let _pair = pair(&event_loop, 4096, probe, Probe::new(&far)).unwrap();
    far.handle().write(b"the last words");
    settle(&event_loop).unwrap();
    far.handle().abort();
    settle(&event_loop).unwrap();
    assert!(!near.is_lost(), "an end, and no reset");
    near.handle().resume_reading();
    settle(&event_loop).unwrap();
    assert!(near.is_lost());
    assert_eq!(near.received(), b"the last words");
    assert_eq!((group.members(), event_loop.statistics().timers), (0, 0));
}
