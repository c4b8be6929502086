//! When the kernel moves the bytes, and what is left of the pipes that it takes.
#![cfg(linux_kernel)]

use wharf::{Splicing, Transport};

use super::stage::{Link, Stage, pattern};

const MUCH: usize = 8_000_000;

#[test]
fn by_default_much_is_spliced_and_little_is_copied() {
    let stage = Stage::new(Link::Tcp, Splicing::Automatic);
    for round in 1..=100 {
        stage.client.handle().write(&[1; 64]);
        stage.until("a message", || stage.server.received_len() == round * 64);
    }
    assert_eq!(stage.statistics.spliced(), 0);
    stage.client.handle().write(&pattern(MUCH));
    stage.until("much", || stage.server.received_len() == MUCH + 6400);
    let spliced = stage.statistics.spliced();
    assert!(spliced > MUCH as u64 / 2, "{spliced} of {MUCH}");
    // And back again.
    for round in 1..=100 {
        stage.client.handle().write(&[1; 64]);
        stage.until("a message", || stage.server.received_len() == MUCH + 6400 + round * 64);
    }
    assert!(stage.statistics.spliced() - spliced < 6400 / 2);
    stage.end();
}

#[test]
fn always_and_never_are_kept() {
    for (splicing, expected) in [(Splicing::Always, MUCH as u64), (Splicing::Never, 0)] {
        let stage = Stage::new(Link::Unix, splicing);
        stage.client.handle().write(&pattern(MUCH));
        stage.until("all", || stage.server.received_len() == MUCH);
        assert_eq!(stage.statistics.spliced(), expected);
        stage.end();
    }
}

#[test]
fn sockets_in_memory_are_copied_whatever_is_asked_for() {
    let stage = Stage::new(Link::Memory, Splicing::Always);
    stage.client.handle().write(&pattern(MUCH));
    stage.until("all", || stage.server.received_len() == MUCH);
    assert!(stage.server.received() == pattern(MUCH));
    assert_eq!(stage.statistics.spliced(), 0);
    stage.end();
}

#[test]
fn what_is_in_a_pipe_at_the_end_is_delivered() {
    let stage = Stage::new(Link::Tcp, Splicing::Always);
    stage.server.handle().pause_reading();
    stage.client.handle().write(&pattern(MUCH));
    stage.client.handle().write_eof();
    stage.until("the relay to stop reading", || {
        !stage.a.is_reading() && stage.b.write_buffer_size() > 0
    });
    stage.server.handle().resume_reading();
    stage.until("the end", || stage.server.calls().contains(&crate::probe::Call::Eof));
    assert!(stage.server.received() == pattern(MUCH));
    stage.end();
}
