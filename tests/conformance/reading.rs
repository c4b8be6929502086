//! Section D: reading and the peer's end.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use wharf::{Buffered, BufferedProtocol, Eof, Result, Transport};

use crate::probe::{Call, Log, Probe};
use crate::stage::{CAPACITY, Link, MUCH, Stage};

// 79: differs.
pub(crate) fn no_connection_keeps_the_loop_to_itself<L: Link>(stage: &mut Stage<L>) {
    let order = Rc::new(RefCell::new(Vec::new()));
    let recorder = |name: char, log: &Log| {
        let order = Rc::clone(&order);
        // Small buffers, so that one flood takes many reads.
        Buffered(
            Probe::new(log)
                .on_data(move |_, _| {
                    order.borrow_mut().push(name);
                    Ok(())
                })
                .buffer_of(64)
                .not_reading(),
        )
    };
    let (flood, drop_of_water) = (Log::new(), Log::new());
    let flooding = stage.join_to_probe(recorder('f', &flood));
    let dripping = stage.join_to_probe(recorder('d', &drop_of_water));
    flooding.handle().write(&[0; 8 * 1024]);
    dripping.handle().write(b"drip");
    stage.rest();
    flood.handle().resume_reading();
    drop_of_water.handle().resume_reading();
    stage.run_until_received(&flood, 8 * 1024);
    stage.run_until_received(&drop_of_water, 4);
    let order = order.take();
    let before = order.iter().position(|name| *name == 'd').expect("the drop came");
    assert!(before <= 4, "{before} reads of one connection before the other's turn");
}

// 81.
pub(crate) fn data_is_delivered_in_order_in_non_empty_chunks<L: Link>(stage: &mut Stage<L>) {
    let near = Log::new();
    let far = stage.join_to_probe(Probe::new(&near));
    let data = pattern(MUCH);
    for (position, part) in data.chunks(70_001).enumerate() {
        far.handle().write(part);
        if position % 3 == 0 {
            stage.rest();
        }
    }
    stage.run_until_received(&near, MUCH);
    assert!(near.received() == data, "the bytes differ");
    assert!(near.chunks().iter().all(|len| *len > 0));
}

// 82.
pub(crate) fn reset_is_connection_losts_error_and_not_reported<L: Link>(stage: &mut Stage<L>) {
    if !stage.can().reset {
        return;
    }
    let near = Log::new();
    let far = Log::new();
    stage.join(Probe::new(&near), Probe::new(&far).not_reading());
    reset(stage, &near, &far);
    stage.run_until_lost(&near);
    assert_eq!(near.calls(), [Call::Made, Call::Lost]);
    assert_eq!(near.cause().unwrap().io_kind, Some(io::ErrorKind::ConnectionReset));
    assert!(stage.reports.take().is_empty());
}

// 83.
pub(crate) fn already_polled_input_is_not_delivered_after_the_loss<L: Link>(stage: &mut Stage<L>) {
    let logs = [Log::new(), Log::new()];
    let fars = [0, 1].map(|own| {
        let other = logs[1 - own].clone();
        let probe = Probe::new(&logs[own]).on_data(move |_, _| {
            other.handle().abort();
            Ok(())
        });
        stage.join_to_probe(probe)
    });
    for far in &fars {
        far.handle().write(b"both at once");
    }
    stage.run_until("one loss", || logs.iter().any(Log::is_lost));
    stage.rest();
    let [first, second] = logs.each_ref().map(|log| log.count(Call::Data));
    assert_eq!(first + second, 1, "the aborted one was still called");
}

/// Urgent data, which is no part of what is received, ends the system's reads.
pub(crate) fn urgent_data_in_the_middle_stops_no_reader<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    let Some(socket) = stage.join_urgent(Probe::new(&near), Probe::new(&far)) else { return };
    stage.run_until("both ends", || near.count(Call::Made) + far.count(Call::Made) == 2);
    for round in 1..=20 {
        // All is there when it is read.
        near.handle().pause_reading();
        far.handle().write(b"before");
        stage.rest();
        if rustix::net::send(&socket, b"!", rustix::net::SendFlags::OOB).is_err() {
            // The system has none on such sockets.
            return;
        }
        far.handle().write(b"after");
        stage.rest();
        near.handle().resume_reading();
        stage.run_until_received(&near, 11 * round);
    }
    assert_eq!(near.received(), b"beforeafter".repeat(20));
    far.handle().write(b"last");
    far.handle().close();
    stage.run_until_lost(&near);
    assert!(near.received().ends_with(b"last"));
    drop(socket);
}

// 80, 84, 86.
pub(crate) fn buffered_protocol_is_read_into_its_own_buffer<L: Link>(stage: &mut Stage<L>) {
    let near = Log::new();
    let probe = Probe::new(&near).buffer_of(4);
    let requests = probe.buffer_requests();
    let far = stage.join_to_probe(Buffered(probe));
    far.handle().write(b"0123456789");
    stage.run_until_received(&near, 10);
    stage.rest();
    assert_eq!(near.received(), b"0123456789");
    assert_eq!(near.chunks().iter().max(), Some(&4));
    let before = requests.get();
    assert!(before as usize >= near.chunks().len());
    // The end: the buffer is asked for, and not updated.
    far.handle().close();
    stage.run_until_lost(&near);
    assert!(requests.get() > before || !stage.can().plain);
    assert_eq!(near.order(), [Call::Made, Call::Data, Call::Eof, Call::Lost]);
}

// 85.
pub(crate) fn empty_buffer_of_a_buffered_protocol_is_an_error<L: Link>(stage: &mut Stage<L>) {
    struct Empty(Rc<Cell<bool>>);

    impl BufferedProtocol for Empty {
        fn get_buffer(&mut self, _: &dyn Transport, _: usize) -> Result<&mut [u8]> {
            Ok(&mut [])
        }

        fn buffer_updated(&mut self, _: &dyn Transport, _: usize) -> Result {
            unreachable!("nothing was received")
        }

        fn connection_lost(&mut self, _: &dyn Transport, error: Option<&wharf::Error>) -> Result {
            self.0.set(error.is_some_and(wharf::Error::is_invalid));
            Ok(())
        }
    }

    let told = Rc::new(Cell::new(false));
    let far = stage.join_to_probe(Buffered(Empty(Rc::clone(&told))));
    far.handle().write(b"go");
    stage.run_until_lost(&far);
    assert!(told.get());
    assert_eq!(stage.reports.take().len(), 1);
}

// 87, 88.
pub(crate) fn eof_received_comes_after_all_data_and_closes_by_default<L: Link>(
    stage: &mut Stage<L>,
) {
    let near = Log::new();
    let far = stage.join_to_probe(Probe::new(&near));
    far.handle().write(&pattern(CAPACITY * 3));
    stage.end_side(&far);
    stage.run_until_lost(&near);
    stage.run_until_lost(&far);
    assert_eq!(near.order(), [Call::Made, Call::Data, Call::Eof, Call::Lost]);
    assert!(near.received() == pattern(CAPACITY * 3), "the bytes differ");
    assert_eq!((near.cause(), far.cause()), (None, None));
}

// 88.
pub(crate) fn closing_at_the_peers_end_sends_what_is_written<L: Link>(stage: &mut Stage<L>) {
    if !stage.can().half_close {
        return;
    }
    let (near, far) = (Log::new(), Log::new());
    let answers = Probe::new(&near).on_eof(|transport| {
        transport.write(&pattern(MUCH));
        Ok(Eof::Close)
    });
    stage.join(answers, Probe::new(&far));
    stage.end_side(&far);
    stage.run_until_lost(&near);
    stage.run_until_lost(&far);
    assert!(far.received() == pattern(MUCH), "the bytes differ");
    assert_eq!(near.cause(), None);
}

// 89.
pub(crate) fn keep_open_keeps_the_write_side_open<L: Link>(stage: &mut Stage<L>) {
    if !stage.can().half_close {
        return;
    }
    let near = Log::new();
    let far = stage.join_to_probe(Probe::new(&near).half_open());
    stage.end_side(&far);
    stage.run_until("eof_received", || near.count(Call::Eof) == 1);
    stage.rest();
    assert!(!near.handle().is_closing());
    near.handle().write(b"still answering");
    stage.run_until_received(&far, 15);
    near.handle().close();
    stage.run_until_lost(&near);
    stage.run_until_lost(&far);
    assert_eq!(near.cause(), None);
}

// 90: differs.
pub(crate) fn end_of_the_peers_side_is_told_once<L: Link>(stage: &mut Stage<L>) {
    let near = Log::new();
    let far = stage.join_to_probe(Probe::new(&near).half_open());
    stage.end_side(&far);
    stage.run_until("eof_received", || near.count(Call::Eof) == 1);
    assert!(!near.handle().is_reading());
    near.handle().pause_reading();
    near.handle().resume_reading();
    stage.rest();
    assert!(!near.handle().is_reading());
    assert_eq!(near.count(Call::Eof), 1);
}

// 91.
pub(crate) fn all_data_is_delivered_though_the_peer_is_gone<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near).not_reading(), Probe::new(&far));
    far.handle().write(&pattern(CAPACITY / 2));
    far.handle().close();
    stage.run_until_lost(&far);
    stage.rest();
    near.handle().resume_reading();
    stage.run_until_lost(&near);
    assert!(near.received() == pattern(CAPACITY / 2), "the bytes differ");
    assert_eq!(near.order(), [Call::Made, Call::Data, Call::Eof, Call::Lost]);
    assert_eq!(near.cause(), None);
}

// 92.
pub(crate) fn pausing_and_resuming_are_idempotent_and_harmless_when_closed<L: Link>(
    stage: &mut Stage<L>,
) {
    let near = Log::new();
    let far = stage.join_to_probe(Probe::new(&near));
    for _ in 0..3 {
        near.handle().pause_reading();
    }
    far.handle().write(b"data");
    stage.rest();
    assert_eq!(near.received_len(), 0);
    for _ in 0..3 {
        near.handle().resume_reading();
    }
    stage.run_until_received(&near, 4);
    assert_eq!(near.count(Call::Data), 1);
    near.handle().close();
    near.handle().pause_reading();
    near.handle().resume_reading();
    stage.run_until_lost(&near);
    near.handle().pause_reading();
    near.handle().resume_reading();
    stage.rest();
    assert_eq!(near.calls(), [Call::Made, Call::Data, Call::Lost]);
}

// 93.
pub(crate) fn is_reading_is_false_when_paused_at_the_end_and_when_closing<L: Link>(
    stage: &mut Stage<L>,
) {
    let near = Log::new();
    let far = stage.join_to_probe(Probe::new(&near).half_open());
    let handle = near.handle();
    assert!(handle.is_reading());
    handle.pause_reading();
    assert!(!handle.is_reading());
    handle.resume_reading();
    assert!(handle.is_reading());
    far.handle().close();
    stage.run_until("eof_received", || near.count(Call::Eof) == 1);
    assert!(!handle.is_reading());
    let other = Log::new();
    stage.join_to_probe(Probe::new(&other));
    other.handle().close();
    assert!(!other.handle().is_reading());
    stage.run_until_lost(&other);
    assert!(!other.handle().is_reading());
}

// 94.
pub(crate) fn pausing_suppresses_input_that_was_polled_already<L: Link>(stage: &mut Stage<L>) {
    let logs = [Log::new(), Log::new()];
    let fars = [0, 1].map(|own| {
        let other = logs[1 - own].clone();
        let probe = Probe::new(&logs[own]).on_data(move |_, _| {
            other.handle().pause_reading();
            Ok(())
        });
        stage.join_to_probe(probe)
    });
    for far in &fars {
        far.handle().write(b"both at once");
    }
    stage.run_until("data", || logs.iter().any(|log| log.received_len() > 0));
    stage.rest();
    let called = logs.iter().filter(|log| log.received_len() > 0).count();
    assert_eq!(called, 1, "the paused one was still called");
    for log in &logs {
        log.handle().resume_reading();
        stage.run_until_received(log, 12);
    }
}

// 95: differs.
pub(crate) fn end_of_the_peers_side_while_paused_is_delivered_after_the_resume<L: Link>(
    stage: &mut Stage<L>,
) {
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near).not_reading(), Probe::new(&far));
    far.handle().write(b"last words");
    stage.end_side(&far);
    stage.rest();
    assert_eq!(near.calls(), [Call::Made]);
    near.handle().resume_reading();
    stage.run_until_lost(&near);
    assert_eq!(near.calls(), [Call::Made, Call::Data, Call::Eof, Call::Lost]);
    assert_eq!(near.received(), b"last words");
}

// 95: differs.
pub(crate) fn reset_while_paused_is_delivered_at_once<L: Link>(stage: &mut Stage<L>) {
    if !stage.can().reset {
        return;
    }
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near).not_reading(), Probe::new(&far).not_reading());
    far.handle().write(b"never to be read");
    stage.rest();
    reset(stage, &near, &far);
    stage.run_until_lost(&near);
    assert_eq!(near.calls(), [Call::Made, Call::Lost]);
    assert_eq!(near.cause().unwrap().io_kind, Some(io::ErrorKind::ConnectionReset));
}

// W23.
pub(crate) fn input_before_an_error_is_delivered_first<L: Link>(stage: &mut Stage<L>) {
    if !stage.can().reset {
        return;
    }
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near), Probe::new(&far).not_reading());
    // All in one turn of the peer: the loop sees the input and the reset in the same poll.
    near.handle().write(b"unread, so that the abort is a reset");
    stage.rest();
    far.handle().write(b"before the reset");
    // One round later, when what was written has gone out.
    let (handle, event_loop) = (far.handle(), far.handle().event_loop());
    let later = event_loop.clone();
    event_loop.call_soon(move || {
        later.call_soon(move || handle.abort());
    });
    stage.run_until_lost(&near);
    let received = near.received();
    assert_eq!(received, b"before the reset");
    assert_eq!(near.cause().unwrap().io_kind, Some(io::ErrorKind::ConnectionReset));
}

// W23.
pub(crate) fn input_is_delivered_before_the_error_of_a_write<L: Link>(stage: &mut Stage<L>) {
    if !stage.can().reset {
        return;
    }
    let (near, far) = (Log::new(), Log::new());
    // The write fails, since the peer is gone, while the rest of its input still waits.
    let writes = Buffered(Probe::new(&near).buffer_of(4).on_data(|transport, _| {
        transport.write(b"to nobody");
        Ok(())
    }));
    stage.join(writes, Probe::new(&far));
    far.handle().write(b"sixteen bytes...");
    far.handle().close();
    stage.run_until_lost(&near);
    assert_eq!(near.received(), b"sixteen bytes...");
}

/// Has `far`, which does not read, reset the connection.
fn reset<L: Link>(stage: &Stage<L>, near: &Log, far: &Log) {
    near.handle().write(b"unread input makes the abort a reset");
    stage.rest();
    far.handle().abort();
    stage.run_until_lost(far);
}

/// Bytes of which no two places look alike.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|position| (position * 31 + position / 251) as u8).collect()
}
