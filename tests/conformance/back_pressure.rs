//! What the ten-line echo must hold.

use std::cell::Cell;
use std::rc::Rc;

use wharf::{Protocol, Result, Transport};

use crate::probe::{Call, Log, Probe};
use crate::reading::pattern;
use crate::stage::{Link, MUCH, Stage};

/// The ten-line echo, and the most it ever had waiting.
struct Echo {
    most: Rc<Cell<usize>>,
}

impl Protocol for Echo {
    fn data_received(&mut self, transport: &dyn Transport, data: &[u8]) -> Result {
        transport.write(data);
        self.most.set(self.most.get().max(transport.write_buffer_size()));
        Ok(())
    }
}

/// The high-water mark, and the most that one `data_received` is given.
const BOUND: usize = (64 + 256) * 1024;

pub(crate) fn echo_stays_bounded_against_a_client_that_does_not_read<L: Link>(
    stage: &mut Stage<L>,
) {
    let most = Rc::new(Cell::new(0));
    let near = Log::new();
    stage.join(Probe::new(&near).not_reading(), Echo { most: Rc::clone(&most) });
    near.handle().write(&vec![0; 8 * MUCH]);
    stage.rest();
    assert!(most.get() > 0, "the echo could send everything");
    assert!(most.get() <= BOUND, "{} bytes waited", most.get());
    assert!(near.handle().write_buffer_size() > 4 * MUCH, "the client is the one that waits");
    near.handle().resume_reading();
    stage.run_until_received(&near, 8 * MUCH);
    assert!(most.get() <= BOUND, "{} bytes waited", most.get());
}

pub(crate) fn echo_returns_every_byte_to_a_client_that_writes_first<L: Link>(stage: &mut Stage<L>) {
    let most = Rc::new(Cell::new(0));
    let near = Log::new();
    let client = Probe::new(&near).on_made(|transport| {
        transport.write(&pattern(4 * MUCH));
        Ok(())
    });
    stage.join(client, Echo { most: Rc::clone(&most) });
    stage.run_until_received(&near, 4 * MUCH);
    assert!(near.received() == pattern(4 * MUCH), "the bytes differ");
    assert!(most.get() <= BOUND, "{} bytes waited", most.get());
}

pub(crate) fn joined_echoes_do_not_deadlock<L: Link>(stage: &mut Stage<L>) {
    // More in flight than the link holds, so that both sides overflow again and again.
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near).echoing(), Probe::new(&far).echoing());
    near.handle().write(&vec![1; MUCH]);
    far.handle().write(&vec![2; MUCH]);
    let (mut from_near, mut from_far) = (0, 0);
    for _ in 0..5 {
        stage.run_until_more(&near, &mut from_near);
        stage.run_until_more(&far, &mut from_far);
    }
    near.handle().abort();
    stage.run_until_lost(&far);
}

impl<L: Link> Stage<L> {
    /// Turns the loop, which never comes to rest, until `log` has a mebibyte more.
    fn run_until_more(&self, log: &Log, seen: &mut usize) {
        let deadline = std::time::Instant::now() + crate::running::PATIENCE;
        while log.received_len() < *seen + MUCH {
            self.step();
            assert!(std::time::Instant::now() < deadline, "nothing bounces any more");
        }
        *seen = log.received_len();
    }
}

pub(crate) fn overriding_only_pause_writing_works<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    let echo = Probe::new(&far).echoing().on_pause(|_| Ok(()));
    let client = Probe::new(&near).on_made(|transport| {
        transport.write(&pattern(4 * MUCH));
        Ok(())
    });
    stage.join(client, echo);
    stage.run_until_received(&near, 4 * MUCH);
    assert!(near.received() == pattern(4 * MUCH), "the bytes differ");
    assert!(far.handle().is_reading());
}

pub(crate) fn overriding_only_resume_writing_works<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    let echo = Probe::new(&far).echoing().on_resume(|_| Ok(()));
    stage.join(Probe::new(&near).not_reading(), echo);
    near.handle().write(&pattern(4 * MUCH));
    stage.rest();
    assert_eq!(far.count(Call::Pause), 1);
    assert!(!far.handle().is_reading(), "held");
    near.handle().resume_reading();
    stage.run_until_received(&near, 4 * MUCH);
    assert!(near.received() == pattern(4 * MUCH), "the bytes differ");
    stage.rest();
    assert!(far.handle().is_reading(), "the hold ended by itself");
    assert_eq!(far.count(Call::Pause), far.count(Call::Resume));
}
