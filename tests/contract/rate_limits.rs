//! Section X: how fast connections may read and write, in virtual time.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use wharf::testing::{MemoryNetwork, advance, pair, settle, step};
use wharf::{
    Connection, EventLoop, Protocol, RateGroup, RateLimit, Result, TimeoutKind, Transport,
    TransportHandle,
};

use crate::probe::{Call, Log, Probe, assert_rules_were_kept};
use crate::running::run_until;

const SECOND: Duration = Duration::from_secs(1);

/// Reads as much as it can, and counts it.
struct Sink(Rc<Cell<u64>>);

impl Protocol for Sink {
    fn data_received(&mut self, _: &dyn Transport, data: &[u8]) -> Result {
        self.0.set(self.0.get() + data.len() as u64);
        Ok(())
    }
}

/// Writes as much as the other end takes.
struct Source;

impl Protocol for Source {
    fn connection_made(&mut self, transport: &dyn Transport) -> Result {
        self.resume_writing(transport)
    }

    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn pause_writing(&mut self, _: &dyn Transport) -> Result {
        Ok(())
    }

    fn resume_writing(&mut self, transport: &dyn Transport) -> Result {
        while transport.write(&[7; 3000]) == wharf::WriteStatus::Accepted {}
        Ok(())
    }
}

struct Flow {
    source: Connection<Source>,
    sink: Connection<Sink>,
    received: Rc<Cell<u64>>,
}

impl Flow {
    /// A source that writes to a sink, once `limit` was set on them.
    fn new(event_loop: &EventLoop, limit: impl FnOnce(&TransportHandle, &TransportHandle)) -> Self {
        let received = Rc::new(Cell::new(0));
        let (source, sink) = pair(event_loop, 4096, Source, Sink(Rc::clone(&received))).unwrap();
        limit(source.handle(), sink.handle());
        Self { source, sink, received }
    }

    /// How much arrives in `time`.
    fn in_time(&self, event_loop: &EventLoop, time: Duration) -> u64 {
        let before = self.received.get();
        advance(event_loop, time).unwrap();
        self.received.get() - before
    }

    /// How much arrives in some turns of the loop: without a limit, the flow never comes to rest.
    fn in_turns(&self, event_loop: &EventLoop, turns: u32) -> u64 {
        let before = self.received.get();
        for _ in 0..turns {
            step(event_loop).unwrap();
        }
        self.received.get() - before
    }
}

fn memory_loop() -> EventLoop {
    MemoryNetwork::new().event_loop()
}

fn limit(bytes_per_second: u64, burst: u64) -> RateLimit {
    RateLimit::bytes_per_second(bytes_per_second).burst(burst)
}

#[test]
fn a_read_limit_holds_over_any_time_within_one_burst() {
    for (rate, burst) in [(10_000, 1000), (10_000, 100), (64, 1), (1_000_000, 250_000), (7, 3)] {
        let event_loop = memory_loop();
        let flow = Flow::new(&event_loop, |_, sink| sink.set_read_limit(Some(limit(rate, burst))));
        for seconds in [1, 3, 10] {
            let received = flow.in_time(&event_loop, seconds * SECOND);
            let expected = u64::from(seconds) * rate;
            assert!(received <= expected + burst, "{received} of {expected} at {rate}/{burst}");
            assert!(received + burst >= expected, "{received} of {expected} at {rate}/{burst}");
        }
    }
}

#[test]
fn a_write_limit_holds_over_any_time_within_one_burst() {
    for (rate, burst) in [(10_000, 1000), (64, 1), (1_000_000, 250_000), (7, 3)] {
        let event_loop = memory_loop();
        let flow =
            Flow::new(&event_loop, |source, _| source.set_write_limit(Some(limit(rate, burst))));
        // What the pair's buffer took before the limit was set.
        settle(&event_loop).unwrap();
        let first = flow.received.get();
        for seconds in [1, 3, 10] {
            let received = flow.in_time(&event_loop, seconds * SECOND);
            let expected = u64::from(seconds) * rate;
            assert!(received <= expected + burst, "{received} of {expected} at {rate}/{burst}");
            assert!(received + burst >= expected, "{received} of {expected} at {rate}/{burst}");
        }
        assert!(first <= 4096 + burst);
    }
}

#[test]
fn a_limited_connection_has_a_timer_only_while_it_waits_for_its_budget() {
    let event_loop = memory_loop();
    let received = Rc::new(Cell::new(0));
    let (peer, sink) = pair(&event_loop, 4096, Idle, Sink(Rc::clone(&received))).unwrap();
    sink.handle().set_read_limit(Some(limit(1000, 100)));
    settle(&event_loop).unwrap();
    assert_eq!(event_loop.metrics().timers, 0);
    peer.handle().write(&[1; 300]);
    settle(&event_loop).unwrap();
    assert_eq!((received.get(), event_loop.metrics().timers), (100, 1));
    advance(&event_loop, SECOND).unwrap();
    assert_eq!((received.get(), event_loop.metrics().timers), (300, 0));
}

struct Idle;

impl Protocol for Idle {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

#[test]
fn a_group_has_one_timer_however_many_members_wait() {
    let event_loop = memory_loop();
    let group = RateGroup::new(&event_loop);
    group.set_read_limit(Some(limit(10_000, 1000)));
    let flows: Vec<Flow> = (0..20)
        .map(|_| Flow::new(&event_loop, |_, sink| sink.set_rate_group(Some(&group)).unwrap()))
        .collect();
    advance(&event_loop, SECOND + Duration::from_millis(3)).unwrap();
    assert_eq!(event_loop.metrics().timers, 1);
    assert!(flows.iter().all(|flow| flow.received.get() > 0));
}

#[test]
fn while_the_budget_is_used_up_nothing_is_read_and_the_peer_has_to_wait() {
    let event_loop = memory_loop();
    let flow = Flow::new(&event_loop, |_, sink| sink.set_read_limit(Some(limit(0, 50))));
    advance(&event_loop, 100 * SECOND).unwrap();
    assert_eq!(flow.received.get(), 50);
    assert!(!flow.sink.handle().is_reading());
    assert!(flow.source.handle().write_buffer_size() > 64 * 1024, "its writing is paused");
    flow.sink.handle().set_read_limit(None);
    assert!(flow.in_turns(&event_loop, 20) > 10_000);
    assert!(flow.sink.handle().is_reading());
}

#[test]
fn a_limit_a_pause_and_a_hold_are_independent_reasons_not_to_read() {
    let event_loop = memory_loop();
    let flow = Flow::new(&event_loop, |_, sink| sink.set_read_limit(Some(limit(1000, 100))));
    settle(&event_loop).unwrap();
    assert_eq!(flow.received.get(), 100);
    flow.sink.handle().pause_reading();
    assert_eq!(flow.in_time(&event_loop, 10 * SECOND), 0, "the pause outlasts the throttle");
    flow.sink.handle().resume_reading();
    settle(&event_loop).unwrap();
    assert_eq!(flow.received.get(), 200, "a full bucket");
    flow.sink.handle().resume_reading();
    settle(&event_loop).unwrap();
    assert_eq!(flow.received.get(), 200, "resuming does not end the throttle");
}

#[test]
fn what_is_written_beyond_the_budget_is_queued_and_pauses_writing() {
    let event_loop = memory_loop();
    let (near, far) = (Log::new(), Log::new());
    let pair = pair(&event_loop, 1 << 20, Probe::new(&near), Probe::new(&far)).unwrap();
    near.handle().set_write_limit(Some(limit(10_000, 1000)));
    near.handle().write(&[3; 101_000]);
    settle(&event_loop).unwrap();
    assert_eq!((far.received_len(), near.handle().write_buffer_size()), (1000, 100_000));
    assert_eq!(near.calls(), [Call::Made, Call::Pause]);
    advance(&event_loop, 5 * SECOND).unwrap();
    assert_eq!(near.handle().write_buffer_size(), 50_000);
    assert_eq!(near.count(Call::Resume), 0);
    advance(&event_loop, 4 * SECOND).unwrap();
    assert_eq!(near.calls(), [Call::Made, Call::Pause, Call::Resume]);
    advance(&event_loop, SECOND).unwrap();
    assert_eq!(far.received(), vec![3; 101_000]);
    drop((event_loop, pair));
    assert_rules_were_kept();
}

#[test]
fn small_writes_keep_their_order_when_a_limit_comes_and_goes_between_them() {
    let event_loop = memory_loop();
    let (near, far) = (Log::new(), Log::new());
    let probe = Probe::new(&near).on_data(|transport, _| {
        transport.write(b"one ");
        transport.set_write_limit(Some(limit(10, 4)));
        transport.write(b"two ");
        transport.set_write_limit(None);
        transport.write(b"three ");
        transport.set_write_limit(Some(limit(10, 1)));
        transport.write(&[b'x'; 100_000]);
        transport.set_write_limit(None);
        Ok(())
    });
    let pair = pair(&event_loop, 1 << 20, probe, Probe::new(&far)).unwrap();
    far.handle().write(b"go");
    settle(&event_loop).unwrap();
    let mut expected = b"one two three ".to_vec();
    expected.extend([b'x'; 100_000]);
    assert!(far.received() == expected);
    drop((event_loop, pair));
}

#[test]
fn the_time_that_a_write_limit_takes_is_no_write_stall() {
    let event_loop = memory_loop();
    let (near, far) = (Log::new(), Log::new());
    let pair = pair(&event_loop, 4096, Probe::new(&near), Probe::new(&far)).unwrap();
    near.handle().set_timeout(TimeoutKind::WriteStall, Some(SECOND));
    near.handle().set_write_limit(Some(limit(10, 100)));
    near.handle().write(&[0; 150]);
    advance(&event_loop, 2 * SECOND).unwrap();
    // Longer than the deadline between two bytes.
    near.handle().set_write_limit(Some(RateLimit::bytes_per_second(0)));
    advance(&event_loop, 10 * SECOND).unwrap();
    assert_eq!(near.calls(), [Call::Made]);
    assert_eq!(far.received_len(), 120);
    // The peer that takes nothing is stalled all the same.
    near.handle().set_write_limit(Some(limit(1_000_000, 100_000)));
    far.handle().pause_reading();
    near.handle().write(&[0; 50_000]);
    advance(&event_loop, 2 * SECOND).unwrap();
    assert_eq!(near.cause().unwrap().timeout, Some(TimeoutKind::WriteStall));
    drop((event_loop, pair));
}

#[test]
fn close_sends_what_is_queued_no_faster_than_the_limit_and_within_the_linger_deadline() {
    let event_loop = memory_loop();
    for (seconds, arrives) in [(20, true), (40, false)] {
        let (near, far) = (Log::new(), Log::new());
        let _pair = pair(&event_loop, 1 << 20, Probe::new(&near), Probe::new(&far)).unwrap();
        near.handle().set_write_limit(Some(limit(1000, 1000)));
        near.handle().write(&vec![0; 1000 + seconds * 1000]);
        near.handle().close();
        advance(&event_loop, SECOND).unwrap();
        assert_eq!(far.received_len(), 2000);
        advance(&event_loop, 60 * SECOND).unwrap();
        assert!(near.is_lost());
        assert_eq!(far.received_len() == 1000 + seconds * 1000, arrives);
        let linger = Some(TimeoutKind::Linger);
        assert_eq!(near.cause().and_then(|cause| cause.timeout) == linger, !arrives);
    }
}

#[test]
fn members_of_a_group_share_its_budget_equally_and_none_starves() {
    let event_loop = memory_loop();
    let group = RateGroup::new(&event_loop);
    group.set_read_limit(Some(limit(90_000, 9000)));
    let flows: Vec<Flow> = (0..30)
        .map(|_| Flow::new(&event_loop, |_, sink| sink.set_rate_group(Some(&group)).unwrap()))
        .collect();
    assert_eq!(group.members(), 30);
    advance(&event_loop, 20 * SECOND).unwrap();
    let received: Vec<u64> = flows.iter().map(|flow| flow.received.get()).collect();
    let total: u64 = received.iter().sum();
    assert!(total.abs_diff(20 * 90_000) <= 9000, "{total}");
    for received in &received {
        assert!(received.abs_diff(60_000) <= 4500, "{received} of about 60000");
    }
    // What the others leave is for the one that wants it.
    for flow in &flows[1..] {
        flow.source.handle().close();
        flow.sink.handle().abort();
    }
    advance(&event_loop, SECOND).unwrap();
    assert_eq!(group.members(), 1);
    let alone = flows[0].in_time(&event_loop, SECOND);
    assert!(alone.abs_diff(90_000) <= 9000, "{alone}");
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
fn limits_of_connections_and_groups_can_be_changed_at_any_time() {
    let event_loop = memory_loop();
    let group = RateGroup::new(&event_loop);
    group.set_read_limit(Some(limit(0, 1)));
    let flow = Flow::new(&event_loop, |_, sink| sink.set_rate_group(Some(&group)).unwrap());
    assert!(flow.in_time(&event_loop, 10 * SECOND) <= 1);
    group.set_read_limit(Some(limit(1000, 100)));
    let received = flow.in_time(&event_loop, 10 * SECOND);
    assert!(received.abs_diff(10_000) <= 100, "{received}");
    group.set_read_limit(None);
    assert!(flow.in_turns(&event_loop, 20) > 10_000);
    group.set_read_limit(Some(limit(1000, 100)));
    flow.sink.handle().set_rate_group(None).unwrap();
    assert_eq!(group.members(), 0);
    assert!(flow.in_turns(&event_loop, 20) > 10_000);
    flow.sink.handle().set_read_limit(Some(limit(500, 100)));
    let received = flow.in_time(&event_loop, 10 * SECOND);
    assert!(received.abs_diff(5000) <= 200, "{received}");
    // Setting it again and again fills no bucket.
    let before = flow.received.get();
    for _ in 0..1000 {
        flow.sink.handle().set_read_limit(Some(limit(500, 100)));
        advance(&event_loop, Duration::from_millis(10)).unwrap();
    }
    assert!((flow.received.get() - before).abs_diff(5000) <= 200);
}

#[test]
fn limits_are_options_of_clients_and_servers() -> Result {
    let event_loop = memory_loop();
    event_loop.run(async |event_loop| {
        let group = RateGroup::new(&event_loop);
        group.set_read_limit(Some(limit(20_000, 100)));
        let total = Rc::new(Cell::new(0));
        let count = Rc::clone(&total);
        let server = event_loop
            .create_server(move || Sink(Rc::clone(&count)), "10.0.0.1:7")
            .read_limit(limit(15_000, 100))
            .rate_group(&group)
            .await?;
        let first = event_loop.create_connection(|| Source, "10.0.0.1:7").await?;
        event_loop.sleep(10 * SECOND).await;
        assert!(total.get().abs_diff(150_000) <= 200, "{}", total.get());
        let second = event_loop.create_connection(|| Source, "10.0.0.1:7").await?;
        assert_eq!(group.members(), 2);
        total.set(0);
        event_loop.sleep(10 * SECOND).await;
        assert!(total.get().abs_diff(200_000) <= 300, "{}", total.get());
        first.handle().abort();
        second.handle().abort();
        server.close();
        // What they had sent before is read, no faster than the limit.
        event_loop.sleep(20 * SECOND).await;
        assert_eq!(group.members(), 0);

        let server = event_loop.create_unix_server(|| Idle, "/limited").await?;
        let slow = event_loop
            .create_unix_connection(|| Idle, "/limited")
            .write_limit(limit(10, 10))
            .await?;
        slow.handle().write(&[0; 50]);
        event_loop.sleep(SECOND / 1000).await;
        assert_eq!(slow.handle().write_buffer_size(), 40);
        server.close();
        Ok(())
    })
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
fn limits_hold_for_sockets_of_the_operating_system() {
    let event_loop = EventLoop::new().unwrap();
    let received = Rc::new(Cell::new(0));
    let count = Rc::clone(&received);
    event_loop
        .run(async |event_loop| {
            let server = event_loop
                .create_server(move || Sink(Rc::clone(&count)), "127.0.0.1:0")
                .read_limit(limit(1_000_000, 10_000))
                .await?;
            let address = server.addresses()[0].as_ip().ok_or("no address")?;
            let began = event_loop.time();
            let _client = event_loop.create_connection(|| Source, address).await?;
            event_loop.sleep(Duration::from_millis(300)).await;
            let most = (event_loop.time() - began).as_secs_f64() * 1e6 + 10_000.0;
            assert!(received.get() as f64 <= most, "{} of {most}", received.get());
            assert!(received.get() >= 10_000);
            Ok(())
        })
        .unwrap();
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
    let metrics = event_loop.metrics();
    assert_eq!((group.members(), metrics.timers, metrics.sources), (0, 0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whoever pauses, closes or changes limits meanwhile, no more passes than may.
    #[test]
    fn whatever_happens_no_more_passes_than_the_limits_allow(
        rates in prop::collection::vec((1u64..100_000, 1u64..20_000), 1..6),
        group_rate in (1u64..200_000, 1u64..40_000),
        actions in prop::collection::vec((0usize..6, 0u8..4, 1u64..400), 1..40),
    ) {
        let event_loop = memory_loop();
        let group = RateGroup::new(&event_loop);
        group.set_read_limit(Some(limit(group_rate.0, group_rate.1)));
        let flows: Vec<Flow> = rates
            .iter()
            .map(|&(rate, burst)| Flow::new(&event_loop, |_, sink| {
                sink.set_read_limit(Some(limit(rate, burst)));
                sink.set_rate_group(Some(&group)).unwrap();
            }))
            .collect();
        let elapsed = RefCell::new(Duration::ZERO);
        let pass = |time: Duration| {
            advance(&event_loop, time).unwrap();
            *elapsed.borrow_mut() += time;
        };
        for (flow, action, time) in actions {
            let sink = flows[flow % flows.len()].sink.handle();
            match action {
                0 => sink.pause_reading(),
                1 => sink.resume_reading(),
                2 => flows[flow % flows.len()].source.handle().abort(),
                _ => {}
            }
            pass(Duration::from_millis(time));
            let nanoseconds = elapsed.borrow().as_nanos();
            let most = |rate: u64, burst: u64| {
                (nanoseconds * u128::from(rate) / 1_000_000_000) as u64 + burst
            };
            let mut total = 0;
            for (flow, &(rate, burst)) in flows.iter().zip(&rates) {
                prop_assert!(flow.received.get() <= most(rate, burst));
                total += flow.received.get();
            }
            prop_assert!(total <= most(group_rate.0, group_rate.1));
        }
    }
}

#[test]
fn a_limit_set_while_input_is_delivered_counts_from_the_next_read_on() {
    struct Limits(Rc<Cell<u64>>);

    impl Protocol for Limits {
        fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
            if self.0.get() == 0 {
                transport.set_read_limit(Some(limit(1000, 10)));
            }
            self.0.set(self.0.get() + data.len() as u64);
            Ok(())
        }
    }

    let event_loop = memory_loop();
    let received = Rc::new(Cell::new(0));
    // More than one read takes.
    let (peer, _near) = pair(&event_loop, 1 << 20, Idle, Limits(Rc::clone(&received))).unwrap();
    peer.handle().write(&vec![0; 1 << 20]);
    settle(&event_loop).unwrap();
    let first = received.get();
    assert!(first < 1 << 20);
    advance(&event_loop, SECOND).unwrap();
    assert!((received.get() - first).abs_diff(1000) <= 10);
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
fn a_limited_connection_that_closes_after_its_peers_end_does_not_keep_the_loop_busy() {
    let memory = memory_loop();
    let (near, far) = (Log::new(), Log::new());
    let probes = (Probe::new(&near).half_open(), Probe::new(&far).half_open());
    let _pair = pair(&memory, 1 << 20, probes.0, probes.1).unwrap();
    closes_at_ease(&memory, &near, &far);

    let system = EventLoop::new().unwrap();
    let (near, far) = (Log::new(), Log::new());
    let probes = (Probe::new(&near).half_open(), Probe::new(&far).half_open());
    let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
    let one = system.create_connection_on(|| probes.0, one).start();
    system.run_until_complete(one).unwrap().unwrap();
    let other = system.create_connection_on(|| probes.1, other).start();
    system.run_until_complete(other).unwrap().unwrap();
    closes_at_ease(&system, &near, &far);
}

fn closes_at_ease(event_loop: &EventLoop, near: &Log, far: &Log) {
    // Nothing passes after the burst.
    near.handle().set_write_limit(Some(limit(0, 1000)));
    far.handle().write_eof();
    run_until(event_loop, "the end", || near.calls().contains(&Call::Eof));
    near.handle().write(&[0; 1400]);
    near.handle().close();
    let mut turns = 0;
    while far.received_len() < 1000 || turns < 50 {
        step(event_loop).unwrap();
        turns += 1;
    }
    assert_eq!(event_loop.metrics().ready, 0, "there is nothing to do");
    near.handle().set_write_limit(None);
    run_until(event_loop, "the rest", || far.received_len() == 1400 && near.is_lost());
}
