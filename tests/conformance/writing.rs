//! Section E: writing.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::rc::Rc;

use wharf::bytes::Bytes;
use wharf::{Transport, WriteStatus};

use crate::probe::{Call, Log, Probe};
use crate::reading::pattern;
use crate::stage::{Link, MUCH, Stage};

// 101.
pub(crate) fn empty_writes_change_nothing<L: Link>(stage: &mut Stage<L>) {
    let near = Log::new();
    let far = stage.join_to_probe(Probe::new(&near));
    let handle = near.handle();
    stage.rest();
    let before = stage.event_loop().statistics().bytes_sent;
    assert_eq!(handle.write(b""), WriteStatus::Accepted);
    assert_eq!(handle.write_bytes(Bytes::new()), WriteStatus::Accepted);
    assert_eq!(handle.write_vectored(&[]), WriteStatus::Accepted);
    assert_eq!(handle.write_vectored(&[IoSlice::new(b"")]), WriteStatus::Accepted);
    assert_eq!(handle.write_buffer_size(), 0);
    stage.rest();
    assert_eq!((far.received_len(), stage.event_loop().statistics().bytes_sent), (0, before));
}

// 102: differs.
pub(crate) fn writes_of_a_callback_go_out_when_it_returns<L: Link>(stage: &mut Stage<L>) {
    let near = Log::new();
    let sizes = Rc::new(Cell::new((0, 0)));
    let inside = Rc::clone(&sizes);
    let far = stage.join_to_probe(Probe::new(&near).on_data(move |transport, _| {
        transport.write(b"one, ");
        transport.write(b"two");
        inside.set((transport.write_buffer_size(), transport.handle().write_buffer_size()));
        Ok(())
    }));
    far.handle().write(b"go");
    stage.run_until_received(&far, 8);
    assert_eq!(sizes.get(), (8, 8), "gathered bytes count as waiting");
    assert_eq!(far.chunks(), [8], "sent together");
    assert_eq!(near.handle().write_buffer_size(), 0);
}

// 102.
pub(crate) fn large_writes_go_out_at_once<L: Link>(stage: &mut Stage<L>) {
    let near = Log::new();
    let size = Rc::new(Cell::new(usize::MAX));
    let inside = Rc::clone(&size);
    let far = stage.join_to_probe(Probe::new(&near).on_data(move |transport, _| {
        transport.write(b"small ");
        transport.write(&pattern(16 * 1024));
        inside.set(transport.write_buffer_size());
        Ok(())
    }));
    far.handle().write(b"go");
    stage.run_until_received(&far, 6 + 16 * 1024);
    assert_eq!(size.get(), 0, "all of it was handed over from inside the callback");
    assert!(far.received()[6..] == pattern(16 * 1024), "the bytes differ");
}

// 103, 104, 105, 119, 120.
pub(crate) fn what_is_not_taken_is_queued_and_sent_later_in_order<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near), Probe::new(&far).not_reading());
    let data = pattern(MUCH);
    let (front, back) = data.split_at(MUCH - 5);
    assert_eq!(near.handle().write(front), WriteStatus::AboveHighWater);
    stage.rest();
    let queued = near.handle().write_buffer_size();
    assert!(queued > 0 && queued < MUCH, "partly sent: {queued}");
    near.handle().write(back);
    assert_eq!(near.handle().write_buffer_size(), queued + 5, "no system call while some wait");
    far.handle().resume_reading();
    stage.run_until_received(&far, MUCH);
    assert!(far.received() == data, "the bytes differ");
    stage.rest();
    assert_eq!(near.handle().write_buffer_size(), 0);
}

// 100, 105.
pub(crate) fn every_kind_of_write_keeps_the_order<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near), Probe::new(&far).not_reading());
    let data = pattern(MUCH);
    let mut rest = &data[..];
    let mut step = 1;
    while !rest.is_empty() {
        let (part, left) = rest.split_at(rest.len().min(step));
        match step % 3 {
            0 => near.handle().write(part),
            1 => near.handle().write_bytes(Bytes::copy_from_slice(part)),
            _ => {
                let (front, back) = part.split_at(part.len() / 2);
                near.handle().write_vectored(&[IoSlice::new(front), IoSlice::new(back)])
            }
        };
        rest = left;
        step = step * 2 + 1;
        if step > 100_000 {
            step = 2;
        }
    }
    stage.rest();
    far.handle().resume_reading();
    stage.run_until_received(&far, MUCH);
    assert!(far.received() == data, "the bytes differ");
}

// 106, 107: differs.
pub(crate) fn caller_may_change_its_buffer_after_the_write<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near), Probe::new(&far).not_reading());
    let mut buffer = pattern(MUCH);
    near.handle().write(&buffer);
    buffer.fill(0);
    far.handle().resume_reading();
    stage.run_until_received(&far, MUCH);
    assert!(far.received() == pattern(MUCH), "the bytes differ");
}

// 108, 121.
pub(crate) fn failing_write_is_told_in_connection_lost<L: Link>(stage: &mut Stage<L>) {
    if !stage.can().reset {
        return;
    }
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near).not_reading(), Probe::new(&far).not_reading());
    near.handle().write(&pattern(MUCH));
    stage.rest();
    assert!(near.handle().write_buffer_size() > 0);
    // With unread input: a reset, which the next write would run into.
    far.handle().abort();
    assert_ne!(near.handle().write(b"more"), WriteStatus::Closed, "the loop cannot know yet");
    stage.run_until_lost(&near);
    let cause = near.cause().unwrap();
    assert!(
        matches!(cause.io_kind, Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)),
        "{cause:?}"
    );
    assert_eq!(near.handle().write_buffer_size(), 0);
    assert!(stage.reports.take().is_empty());
}

// 109, 115.
pub(crate) fn writes_after_the_end_say_closed<L: Link>(stage: &mut Stage<L>) {
    let near = Log::new();
    stage.join_to_probe(Probe::new(&near));
    let handle = near.handle();
    handle.abort();
    for _ in 0..2 {
        assert_eq!(handle.write(b"lost"), WriteStatus::Closed);
        assert_eq!(handle.write(b""), WriteStatus::Closed);
        assert_eq!(handle.write_bytes(Bytes::from_static(b"lost")), WriteStatus::Closed);
        assert_eq!(handle.write_vectored(&[IoSlice::new(b"lost")]), WriteStatus::Closed);
        assert_eq!(handle.write_vectored(&[]), WriteStatus::Closed);
        stage.run_until_lost(&near);
    }
    assert!(stage.reports.take().is_empty(), "nothing is logged for it");
}

// 110: differs.
pub(crate) fn writes_after_close_are_refused<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near), Probe::new(&far).not_reading());
    near.handle().write(&pattern(MUCH));
    near.handle().close();
    assert_eq!(near.handle().write(b"too late"), WriteStatus::Closed);
    stage.rest();
    assert!(near.handle().write_buffer_size() > 0);
    assert_eq!(near.handle().write(b"too late"), WriteStatus::Closed);
    far.handle().resume_reading();
    stage.run_until_lost(&far);
    assert!(far.received() == pattern(MUCH), "the bytes differ");
}

// 111, 117: differs.
pub(crate) fn writes_after_write_eof_are_refused<L: Link>(stage: &mut Stage<L>) {
    if !stage.can().half_close {
        return;
    }
    let near = Log::new();
    let far = stage.join_to_probe(Probe::new(&near));
    near.handle().write(b"the last");
    near.handle().write_eof();
    assert_eq!(near.handle().write(b"too late"), WriteStatus::Closed);
    assert_eq!(near.handle().write(b""), WriteStatus::Closed);
    assert_eq!(near.handle().write_vectored(&[]), WriteStatus::Closed);
    stage.run_until_lost(&far);
    assert_eq!(far.received(), b"the last");
}

// 113, 116, 117, 118.
pub(crate) fn vectored_writes_are_joined_and_skip_empty_slices<L: Link>(stage: &mut Stage<L>) {
    let near = Log::new();
    let far = stage.join_to_probe(Probe::new(&near));
    let parts: Vec<IoSlice<'_>> =
        [&b""[..], b"one ", b"", b"two ", b"three", b""].map(IoSlice::new).into();
    assert_eq!(near.handle().write_vectored(&parts), WriteStatus::Accepted);
    stage.run_until_received(&far, 13);
    assert_eq!(far.received(), b"one two three");
    assert_eq!(far.chunks(), [13], "sent together");
    // Nothing is left that would spin, or keep it from closing.
    stage.rest();
    let ticks = stage.event_loop().statistics().ticks;
    stage.rest();
    assert!(stage.event_loop().statistics().ticks - ticks < 100, "the loop spins");
    near.handle().close();
    stage.run_until_lost(&near);
}

// 114.
pub(crate) fn vectored_writes_pause_like_others<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near), Probe::new(&far).not_reading());
    let part = vec![0; MUCH / 16];
    let parts: Vec<IoSlice<'_>> = (0..16).map(|_| IoSlice::new(&part)).collect();
    assert_eq!(near.handle().write_vectored(&parts), WriteStatus::AboveHighWater);
    stage.run_until("pause_writing", || near.count(Call::Pause) == 1);
    far.handle().resume_reading();
    stage.run_until("resume_writing", || near.count(Call::Resume) == 1);
    stage.run_until_received(&far, MUCH);
}

// 122, 123.
pub(crate) fn write_eof_ends_the_write_side_after_the_flush<L: Link>(stage: &mut Stage<L>) {
    if !stage.can().half_close {
        return;
    }
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near), Probe::new(&far).not_reading().half_open());
    near.handle().write(&pattern(MUCH));
    near.handle().write_eof();
    stage.rest();
    far.handle().resume_reading();
    stage.run_until("eof_received", || far.count(Call::Eof) == 1);
    assert!(far.received() == pattern(MUCH), "the bytes differ");
    assert_eq!(near.order(), [Call::Made, Call::Pause, Call::Resume]);

    let (empty, other) = (Log::new(), Log::new());
    stage.join(Probe::new(&empty), Probe::new(&other).half_open());
    empty.handle().write_eof();
    stage.run_until("eof_received", || other.count(Call::Eof) == 1);
}

// 123, 124.
pub(crate) fn write_eof_is_idempotent_and_nothing_after_close<L: Link>(stage: &mut Stage<L>) {
    if !stage.can().half_close {
        return;
    }
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near), Probe::new(&far).half_open());
    for _ in 0..3 {
        near.handle().write_eof();
        stage.rest();
    }
    assert_eq!(far.count(Call::Eof), 1);
    near.handle().close();
    near.handle().write_eof();
    stage.run_until_lost(&near);
    near.handle().write_eof();
    assert_eq!((near.calls(), near.cause()), (vec![Call::Made, Call::Lost], None));
}

// 125.
pub(crate) fn reading_goes_on_after_write_eof<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near), Probe::new(&far).half_open());
    assert_eq!(near.handle().can_write_eof(), stage.can().half_close);
    near.handle().write_eof();
    if !stage.can().half_close {
        assert_eq!(near.handle().write(b"ignored"), WriteStatus::Accepted);
        return;
    }
    stage.run_until("eof_received", || far.count(Call::Eof) == 1);
    far.handle().write(b"the answer");
    far.handle().close();
    stage.run_until_lost(&near);
    stage.run_until_lost(&far);
    assert_eq!(near.received(), b"the answer");
    assert_eq!((near.cause(), far.cause()), (None, None));
}

// 126.
pub(crate) fn write_buffer_size_counts_what_is_not_handed_over<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near), Probe::new(&far).not_reading());
    stage.rest();
    let sent_before = stage.event_loop().statistics().bytes_sent;
    near.handle().write(&pattern(MUCH));
    stage.rest();
    let before = near.handle().write_buffer_size();
    // All that was written is either sent or waits; records are a little longer than what is in them.
    let sent = (stage.event_loop().statistics().bytes_sent - sent_before) as usize;
    let more = sent + before - MUCH;
    assert!(if stage.can().plain { more == 0 } else { more < MUCH / 100 }, "{more} bytes more");
    for _ in 0..1000 {
        near.handle().write(b"0123456789");
    }
    assert_eq!(near.handle().write_buffer_size(), before + 10_000);
    far.handle().resume_reading();
    stage.run_until_received(&far, MUCH + 10_000);
    stage.rest();
    assert_eq!(near.handle().write_buffer_size(), 0);
}

// 127.
pub(crate) fn many_small_writes_of_many_writers_keep_count_and_order<L: Link>(
    stage: &mut Stage<L>,
) {
    const WRITERS: usize = 8;
    const WRITES: usize = 4000;
    let mut pairs = Vec::new();
    for _ in 0..WRITERS {
        let (near, far) = (Log::new(), Log::new());
        stage.join(Probe::new(&near), Probe::new(&far).not_reading());
        pairs.push((near, far));
    }
    let data = pattern(WRITES * 23);
    for part in data.chunks(23) {
        for (near, _) in &pairs {
            near.handle().write(part);
        }
    }
    for (_, far) in &pairs {
        far.handle().resume_reading();
    }
    for (_, far) in &pairs {
        stage.run_until_received(far, data.len());
        assert!(far.received() == data, "the bytes differ");
    }
}
