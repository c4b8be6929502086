//! Limits that come, change and go while something is on its way.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use wharf::testing::{advance, pair};
use wharf::{Protocol, RateGroup, Result, Transport};

use super::{Flow, Idle, SECOND, limit};
use crate::loops::{memory_loop, settle};
use crate::probe::{Log, Probe};
use crate::random::cases;

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

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(64)) })]

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
