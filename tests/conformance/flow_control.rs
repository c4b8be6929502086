//! Section F: flow control, and what wharf adds to it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use wharf::{Transport, WaterMarks, WriteStatus};

use crate::probe::{Call, Log, Probe};
use crate::stage::{CAPACITY, Link, MUCH, Stage};

const KIB: usize = 1024;

// 128, 130.
pub(crate) fn limits_are_derived_from_one_another<L: Link>(stage: &mut Stage<L>) {
    let near = Log::new();
    stage.join_to_probe(Probe::new(&near));
    let handle = near.handle();
    assert_eq!(
        handle.write_buffer_limits(),
        WaterMarks { low: 16 * KIB, high: 64 * KIB },
        "unless set"
    );
    for (limits, low, high) in [
        (WaterMarks::from_low(16_385), 16_385, 65_540),
        (WaterMarks::from_high(1001), 250, 1001),
        (WaterMarks { low: 7, high: 7 }, 7, 7),
        (WaterMarks::from_high(0), 0, 0),
        (WaterMarks::from_low(usize::MAX), usize::MAX, usize::MAX),
        (WaterMarks::default(), 16 * KIB, 64 * KIB),
    ] {
        handle.set_write_buffer_limits(limits).unwrap();
        assert_eq!(handle.write_buffer_limits(), WaterMarks { low, high });
    }
}

// 129.
pub(crate) fn low_above_high_is_refused<L: Link>(stage: &mut Stage<L>) {
    let near = Log::new();
    stage.join_to_probe(Probe::new(&near));
    let error =
        near.handle().set_write_buffer_limits(WaterMarks { low: 11, high: 10 }).unwrap_err();
    assert!(error.is_invalid(), "{error}");
    assert_eq!(
        near.handle().write_buffer_limits(),
        WaterMarks { low: 16 * KIB, high: 64 * KIB },
        "unchanged"
    );
}

// 131, 134.
pub(crate) fn writing_pauses_above_high_and_resumes_at_low<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near), Probe::new(&far).not_reading());
    let handle = near.handle();
    fill(stage, &near);
    let full = handle.write_buffer_size();
    // Exactly at the mark is not above it; one byte more is.
    handle.set_write_buffer_limits(WaterMarks { low: full + 100, high: full + 100 }).unwrap();
    stage.rest();
    // (What it took to fill the link has paused it, perhaps, and the new limits resumed it.)
    let pauses = near.count(Call::Pause);
    assert_eq!(handle.write(&[0; 100]), WriteStatus::Accepted);
    stage.rest();
    assert_eq!((near.count(Call::Pause), near.count(Call::Resume)), (pauses, pauses));
    assert_eq!(handle.write(b"!"), WriteStatus::AboveHighWater);
    stage.rest();
    assert_eq!((near.count(Call::Pause), near.count(Call::Resume)), (pauses + 1, pauses));
    handle.set_write_buffer_limits(WaterMarks { low: 10, high: full + 100 }).unwrap();
    assert_eq!(handle.write(b"again"), WriteStatus::AboveHighWater);
    stage.rest();
    assert_eq!(near.count(Call::Pause), pauses + 1, "once until resumed");
    // Resumed as soon as no more than the low mark waits.
    let size = handle.write_buffer_size();
    handle.set_write_buffer_limits(WaterMarks { low: size - 1, high: size }).unwrap();
    stage.rest();
    assert_eq!(near.count(Call::Resume), pauses);
    handle.set_write_buffer_limits(WaterMarks { low: size, high: size }).unwrap();
    stage.rest();
    assert_eq!(near.count(Call::Resume), pauses + 1);
}

// 132: differs.
pub(crate) fn pause_and_resume_are_called_after_the_running_callback<L: Link>(
    stage: &mut Stage<L>,
) {
    let (near, far) = (Log::new(), Log::new());
    let seen = near.clone();
    let probe = Probe::new(&near).on_data(move |transport, _| {
        assert_eq!(transport.write(&vec![0; MUCH]), WriteStatus::AboveHighWater);
        assert_eq!(seen.count(Call::Pause), 0, "called from inside the write");
        transport.set_write_buffer_limits(WaterMarks::from_high(1))?;
        assert_eq!(seen.count(Call::Pause), 0, "called from inside the setting");
        Ok(())
    });
    stage.join(probe, Probe::new(&far).not_reading());
    far.handle().write(b"go");
    stage.run_until("pause_writing", || near.count(Call::Pause) == 1);
    assert_eq!(near.calls(), [Call::Made, Call::Data, Call::Pause]);
}

// 133.
pub(crate) fn lowering_the_limits_pauses<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near), Probe::new(&far).not_reading());
    near.handle().set_write_buffer_limits(WaterMarks::from_high(10 * MUCH)).unwrap();
    fill(stage, &near);
    assert_eq!(near.count(Call::Pause), 0);
    near.handle().set_write_buffer_limits(WaterMarks::from_high(1)).unwrap();
    assert_eq!(near.count(Call::Pause), 0, "called from inside");
    stage.run_until("pause_writing", || near.count(Call::Pause) == 1);
}

// 133: differs.
pub(crate) fn raising_the_limits_resumes<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near), Probe::new(&far).not_reading());
    near.handle().set_write_buffer_limits(WaterMarks::from_high(0)).unwrap();
    fill(stage, &near);
    // The kernel may have taken everything once, and resumed it, before it was full for good.
    let pauses = near.count(Call::Pause);
    assert_eq!(near.count(Call::Resume), pauses - 1);
    near.handle().set_write_buffer_limits(WaterMarks { low: 10 * MUCH, high: 10 * MUCH }).unwrap();
    stage.run_until("resume_writing", || near.count(Call::Resume) == pauses);
    assert!(near.handle().write_buffer_size() > 0);
}

// 134.
pub(crate) fn zero_limits_pause_on_any_byte_and_resume_when_empty<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    let sizes = Rc::new(RefCell::new(Vec::new()));
    let at_resume = Rc::clone(&sizes);
    let probe = Probe::new(&near).on_resume(move |transport| {
        at_resume.borrow_mut().push(transport.write_buffer_size());
        Ok(())
    });
    stage.join(probe, Probe::new(&far).not_reading());
    near.handle().set_write_buffer_limits(WaterMarks::from_high(0)).unwrap();
    near.handle().write(b"taken whole by the system");
    stage.rest();
    assert_eq!(near.count(Call::Pause), 0, "nothing waits");
    // Far less than the default mark of 64 KiB is more than nothing.
    let mut waiting = 0;
    while waiting == 0 {
        near.handle().write(&[0; KIB]);
        stage.run_until("a turn", || true);
        waiting = near.handle().write_buffer_size();
        let is_paused = near.count(Call::Pause) > near.count(Call::Resume);
        assert_eq!(is_paused, waiting > 0, "with {waiting} bytes waiting");
    }
    assert!(waiting < 32 * KIB, "{waiting} bytes");
    fill(stage, &near);
    let pauses = near.count(Call::Pause);
    assert_eq!(near.count(Call::Resume), pauses - 1);
    sizes.take();
    far.handle().resume_reading();
    stage.run_until("resume_writing", || near.count(Call::Resume) == pauses);
    assert_eq!(*sizes.borrow(), [0]);
}

// 135.
pub(crate) fn pause_and_resume_alternate<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    // Writes again whenever it may; the probe itself sees to the alternation.
    let mut turns = 0;
    let probe = Probe::new(&near).on_resume(move |transport| {
        turns += 1;
        if turns < 10 {
            transport.write(&[0; 512 * KIB]);
        }
        Ok(())
    });
    stage.join(probe, Probe::new(&far));
    near.handle().write(&vec![0; MUCH]);
    stage.run_until("ten turns", || near.count(Call::Resume) == 10);
    let flow: Vec<Call> = near.calls()[1..21].to_vec();
    for pair in flow.chunks(2) {
        assert_eq!(pair, [Call::Pause, Call::Resume]);
    }
}

// 131, 135.
pub(crate) fn writer_that_was_told_above_high_water_is_always_resumed<L: Link>(
    stage: &mut Stage<L>,
) {
    // The loop polls between the write and the judging of the marks, and finds that the peer has
    // taken everything: who waits for `resume_writing` must not wait for ever.
    let (near, far) = (Log::new(), Log::new());
    let written = Rc::new(Cell::new(0));
    let count = Rc::clone(&written);
    let fill = move |transport: &dyn Transport| {
        while count.get() < 2 * MUCH {
            count.set(count.get() + 4 * KIB);
            if transport.write(&[0; 4 * KIB]) == WriteStatus::AboveHighWater {
                break;
            }
        }
        Ok(())
    };
    let again = {
        let fill = fill.clone();
        move |transport: &dyn Transport| {
            transport.event_loop().stop();
            fill(transport)
        }
    };
    let probe = Probe::new(&near).on_made(move |transport| {
        transport.set_write_buffer_limits(WaterMarks::from_high(8 * KIB))?;
        fill(transport)
    });
    stage.join(probe.on_resume(again), Probe::new(&far));
    stage.run_until_received(&far, 2 * MUCH);
    assert_eq!(written.get(), 2 * MUCH);
}

// 136.
pub(crate) fn paused_protocol_that_is_aborted_gets_no_resume_writing<L: Link>(
    stage: &mut Stage<L>,
) {
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near), Probe::new(&far).not_reading());
    fill(stage, &near);
    near.handle().set_write_buffer_limits(WaterMarks::from_high(1)).unwrap();
    stage.run_until("pause_writing", || near.count(Call::Pause) > near.count(Call::Resume));
    near.handle().abort();
    stage.run_until_lost(&near);
    assert_eq!(near.calls().last_chunk(), Some(&[Call::Pause, Call::Lost]));
}

// 137.
pub(crate) fn resume_writing_may_write<L: Link>(stage: &mut Stage<L>) {
    let (near, other, far) = (Log::new(), Log::new(), Log::new());
    let other_far = stage.join_to_probe(Probe::new(&other));
    let elsewhere = other.handle();
    let probe = Probe::new(&near).on_resume(move |transport| {
        transport.write(b"resumed");
        elsewhere.write(b"resumed");
        Ok(())
    });
    stage.join(probe, Probe::new(&far).not_reading());
    near.handle().write(&vec![0; MUCH]);
    stage.rest();
    far.handle().resume_reading();
    stage.run_until_received(&far, MUCH + 7);
    stage.run_until_received(&other_far, 7);
    assert_eq!(far.received()[MUCH..], *b"resumed");
}

// 138: differs.
pub(crate) fn write_cap_refuses_the_write_and_ends_the_connection<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near), Probe::new(&far).not_reading());
    near.handle().set_write_buffer_cap(Some(MUCH));
    // One write may go beyond the cap: it finds nothing waiting.
    assert_eq!(near.handle().write(&vec![0; 3 * MUCH]), WriteStatus::AboveHighWater);
    stage.rest();
    let waiting = near.handle().write_buffer_size();
    assert!(waiting > MUCH);
    assert_eq!(near.handle().write(b"one too many"), WriteStatus::Closed);
    assert_eq!(near.handle().write_buffer_size(), 0);
    stage.run_until_lost(&near);
    assert!(near.cause().unwrap().is_write_cap);
    assert!(stage.reports.take().is_empty(), "the peer's fault, not the application's");
}

// DESIGN: back-pressure by default.
pub(crate) fn hold_is_granted_only_for_output_of_own_input<L: Link>(stage: &mut Stage<L>) {
    // Output that input produced: held.
    let (near, far) = (Log::new(), Log::new());
    let answers = Probe::new(&near).on_data(|transport, _| {
        transport.write(&vec![0; MUCH]);
        Ok(())
    });
    stage.join(answers, Probe::new(&far).not_reading());
    far.handle().write(b"go");
    stage.run_until("pause_writing", || near.count(Call::Pause) == 1);
    assert!(!near.handle().is_reading());
    near.handle().resume_reading();
    assert!(!near.handle().is_reading(), "resume_reading does not end a hold");
    far.handle().write(b"held back");
    stage.rest();
    assert_eq!(near.received(), b"go");
    // It ends by itself, before `resume_writing`.
    far.handle().resume_reading();
    stage.run_until_received(&near, 11);
    stage.run_until("the hold's end", || near.handle().is_reading());

    // Output of the protocol's own: not held.
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near), Probe::new(&far).not_reading());
    near.handle().write(&vec![0; MUCH]);
    stage.run_until("pause_writing", || near.count(Call::Pause) == 1);
    assert!(near.handle().is_reading());
    far.handle().write(b"still read");
    stage.run_until_received(&near, 10);
}

// DESIGN: three independent reasons not to read.
pub(crate) fn hold_and_users_pause_are_independent<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    let reading_in_resume = Rc::new(Cell::new(None));
    let seen = Rc::clone(&reading_in_resume);
    let answers = Probe::new(&near)
        .on_data(|transport, _| {
            transport.write(&vec![0; MUCH]);
            Ok(())
        })
        .on_resume(move |transport| {
            seen.set(Some(transport.is_reading()));
            Ok(())
        });
    stage.join(answers, Probe::new(&far).not_reading());
    far.handle().write(b"go");
    stage.run_until("pause_writing", || near.count(Call::Pause) == 1);
    near.handle().pause_reading();
    far.handle().write(b"more");
    far.handle().resume_reading();
    stage.run_until("resume_writing", || near.count(Call::Resume) == 1);
    stage.rest();
    assert_eq!(reading_in_resume.get(), Some(false), "the end of the hold ends no pause");
    assert_eq!(near.received(), b"go");
    near.handle().resume_reading();
    stage.run_until_received(&near, 6);
}

/// Writes until the link takes nothing more, and something waits.
///
/// A kernel can take a little more some 40 ms later, when a delayed acknowledgement has come.
fn fill<L: Link>(stage: &Stage<L>, near: &Log) {
    // A kernel may take more when it next looks whether the peer has room, some 200 ms later; under
    // TLS, where less is offered at once, it is then that it does.
    let enough = if stage.can().plain { 20 } else { 120 };
    let mut refusals = 0;
    while refusals < enough {
        let before = near.handle().write_buffer_size();
        near.handle().write(&[0; CAPACITY]);
        stage.rest();
        let refused = near.handle().write_buffer_size() == before + CAPACITY;
        refusals = if refused { refusals + 1 } else { 0 };
    }
}
