//! What comes in on one side goes out on the other.

use std::time::Duration;

use wharf::bytes::Bytes;
use wharf::{RateLimit, RelayEnd, Splicing, Transport};

use super::stage::{ALL, Link, SECOND, Stage, pattern};

const MUCH: usize = 3_000_000;

#[test]
fn a_relay_passes_on_every_byte_both_ways_and_counts_them() {
    for (link, splicing) in ALL {
        let stage = Stage::new(link, splicing);
        stage.client.handle().write(b"a question");
        stage.until("the question", || stage.server.received() == b"a question");
        stage.server.handle().write(b"an answer");
        stage.until("the answer", || stage.client.received() == b"an answer");
        assert_eq!((stage.statistics.a_to_b(), stage.statistics.b_to_a()), (10, 9));

        let (up, down) = (pattern(MUCH), pattern(MUCH / 2));
        stage.client.handle().write(&up);
        stage.server.handle().write(&down);
        stage.client.handle().write_eof();
        stage.server.handle().write_eof();
        let outcome = stage.outcome().unwrap();
        assert!(matches!(outcome.end, RelayEnd::Finished), "{link:?} {splicing:?} {outcome:?}");
        stage.until("all to arrive", || stage.client.calls().contains(&crate::probe::Call::Eof));
        assert!(stage.server.received()[10..] == up, "{link:?} {splicing:?}");
        assert!(stage.client.received()[9..] == down, "{link:?} {splicing:?}");
        assert_eq!(outcome.a_to_b, 10 + MUCH as u64);
        assert_eq!(outcome.b_to_a, 9 + MUCH as u64 / 2);
        stage.end();
    }
}

#[test]
fn what_was_left_over_goes_first() {
    for (link, splicing) in ALL {
        let (up, down) = (Bytes::from_static(b"read, not used "), Bytes::from_static(b"banner "));
        let stage = Stage::with(
            link,
            |relay| relay.splicing(splicing).leftovers(up, down),
            |probe| probe,
            |probe| probe,
        );
        stage.client.handle().write(b"later");
        stage.server.handle().write(b"more");
        stage.until("both", || {
            stage.server.received() == b"read, not used later"
                && stage.client.received() == b"banner more"
        });
        assert_eq!((stage.statistics.a_to_b(), stage.statistics.b_to_a()), (20, 11));
        stage.end();
    }
}

#[test]
fn a_side_is_not_read_while_the_other_takes_nothing() {
    for (link, splicing) in ALL {
        let stage = Stage::new(link, splicing);
        stage.server.handle().pause_reading();
        stage.settle();
        stage.client.handle().write(&pattern(3 * MUCH));
        stage.until("the relay to stop reading", || !stage.a.is_reading());
        for _ in 0..20 {
            stage.settle();
        }
        let waiting = stage.b.write_buffer_size();
        assert!(waiting <= 64 * 1024 + 256 * 1024, "{waiting} bytes wait in the relay");
        // The other way is open.
        stage.server.handle().write(b"I am here");
        stage.until("the other way", || stage.client.received() == b"I am here");
        stage.server.handle().resume_reading();
        stage.until("all", || stage.server.received_len() == 3 * MUCH);
        assert!(stage.server.received() == pattern(3 * MUCH));
        stage.until("reading again", || stage.a.is_reading());
        stage.end();
    }
}

#[test]
fn peers_that_both_write_everything_before_they_read_do_not_stop_a_relay() {
    for (link, splicing) in ALL {
        let stage = Stage::new(link, splicing);
        // More than fits on the way, before either reads.
        stage.client.handle().pause_reading();
        stage.server.handle().pause_reading();
        let data = Bytes::from(pattern(3 * MUCH));
        stage.client.handle().write_bytes(data.clone());
        stage.server.handle().write_bytes(data.clone());
        stage.until("both to stop", || !stage.a.is_reading() && !stage.b.is_reading());
        stage.client.handle().resume_reading();
        stage.until("one way", || stage.client.received_len() == data.len());
        stage.server.handle().resume_reading();
        stage.until("the other", || stage.server.received_len() == data.len());
        stage.end();
    }
}

#[test]
fn the_limits_of_both_sides_hold_in_a_relay() {
    let limit = |rate: u64| Some(RateLimit::bytes_per_second(rate).burst(rate / 10));
    let stage = Stage::new(Link::Memory, Splicing::Automatic);
    stage.a.set_read_limit(limit(20_000));
    stage.a.set_write_limit(limit(5000));
    stage.client.handle().write(&pattern(400_000));
    stage.server.handle().write(&pattern(400_000));
    stage.pass(10 * SECOND);
    assert!(stage.server.received_len().abs_diff(200_000) <= 2000);
    assert!(stage.client.received_len().abs_diff(50_000) <= 500);
    stage.a.abort();
    stage.pass(60 * SECOND);
    assert!(stage.outcome().is_ok());
    stage.end();
}

#[test]
fn limits_hold_for_what_is_spliced() {
    let rate = 2_000_000;
    for read in [true, false] {
        let stage = Stage::new(Link::Tcp, Splicing::Always);
        let limit = RateLimit::bytes_per_second(rate).burst(20_000);
        match read {
            true => stage.a.set_read_limit(Some(limit)),
            false => stage.b.set_write_limit(Some(limit)),
        }
        let began = stage.event_loop.time();
        stage.client.handle().write(&pattern(1_000_000));
        stage.until("some of it", || stage.server.received_len() >= 400_000);
        let most = (stage.event_loop.time() - began).as_secs_f64() * rate as f64 + 20_000.0;
        assert!(stage.server.received_len() as f64 <= most);
        assert!(stage.event_loop.time() - began >= Duration::from_millis(150));
        stage.end();
    }
}
