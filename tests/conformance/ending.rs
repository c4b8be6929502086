//! The end of a connection as its peer sees it: what was written before `close` arrives, and what was
//! dropped does not look complete.

use std::time::Duration;

use wharf::{Buffered, Timeout, Transport, WriteStatus};

use crate::probe::{Call, Log, Probe};
use crate::reading::pattern;
use crate::stage::{CAPACITY, Link, MUCH, Stage};

/// More than every link holds by itself, twice.
const REPLY: usize = 2 * MUCH;

// 62.
pub(crate) fn a_peer_that_talks_while_we_close_gets_everything<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    let talks = Probe::new(&near).on_data(|transport, _| {
        transport.write(b"and another thing");
        Ok(())
    });
    let replies = Probe::new(&far).on_data(|transport, _| {
        transport.write(&pattern(REPLY));
        transport.close();
        Ok(())
    });
    stage.join(talks, replies);
    near.handle().write(b"a question");
    stage.run_until_lost(&far);
    stage.run_until_lost(&near);
    assert!(near.received() == pattern(REPLY), "{} of {REPLY} bytes", near.received_len());
    stage.assert_talker_ended_well(&near);
    assert_eq!(far.cause(), None);
    stage.run_until("nothing to linger", || stage.lingering() == 0);
}

// 62.
pub(crate) fn a_slow_reader_at_close_gets_everything<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    // A few bytes, and then a pause until nothing happens any more.
    let reads = Probe::new(&far).buffer_of(CAPACITY).on_made(pause).on_data(|transport, _| {
        transport.write(b".");
        pause(transport)
    });
    stage.join(Probe::new(&near), Buffered(reads));
    near.handle().write(&pattern(REPLY));
    near.handle().close();
    let mut looks = 0;
    while !far.is_lost() {
        far.handle().resume_reading();
        let before = far.received_len();
        stage.run_until("more", || far.received_len() > before || far.is_lost());
        looks += 1;
    }
    assert!(looks >= REPLY / CAPACITY, "{looks}");
    assert!(far.received() == pattern(REPLY), "{} of {REPLY} bytes", far.received_len());
    stage.run_until_lost(&near);
    assert_eq!(near.cause(), None);
}

fn pause(transport: &dyn Transport) -> wharf::Result {
    transport.pause_reading();
    Ok(())
}

/// How far closing has come when the peer resets the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Something is queued.
    Flushing,
    /// The write side was ended, and reading goes on.
    Ended,
    /// `close` was called, and nothing more.
    Asked,
    /// The protocol was told, and the peer has read nothing.
    Lingering,
}

// 65, 82.
pub(crate) fn a_reset_at_every_step_of_closing_ends_it_once<L: Link>(stage: &mut Stage<L>) {
    if !stage.can().reset {
        return;
    }
    for step in [Step::Flushing, Step::Ended, Step::Asked, Step::Lingering] {
        let (near, far) = (Log::new(), Log::new());
        stage.join(Probe::new(&near), Probe::new(&far).not_reading());
        // Unread input makes what follows a reset.
        near.handle().write(&vec![7; if step == Step::Flushing { MUCH } else { 100 }]);
        stage.rest();
        match step {
            Step::Flushing | Step::Asked => near.handle().close(),
            Step::Ended => near.handle().write_eof(),
            Step::Lingering => {
                near.handle().close();
                stage.run_until_lost(&near);
                assert_eq!(stage.lingering(), 1);
            }
        }
        if step == Step::Flushing {
            stage.rest();
            assert!(!near.is_lost(), "everything was sent");
        }
        far.handle().abort();
        stage.run_until_lost(&far);
        stage.run_until_lost(&near);
        stage.run_until("nothing to linger", || stage.lingering() == 0);
        assert_eq!(near.count(Call::Lost), 1, "{step:?}");
        assert_eq!(
            near.cause().is_some(),
            step == Step::Flushing || step == Step::Ended,
            "{step:?}"
        );
    }
}

// 108: a failed write takes nothing from what was received before it.
pub(crate) fn a_failed_write_while_input_waits_leaves_it_to_be_read<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near).not_reading(), Probe::new(&far));
    far.handle().write(b"said before");
    stage.rest();
    far.handle().abort();
    stage.run_until_lost(&far);
    for _ in 0..100 {
        if near.handle().write(&[7; 100]) == WriteStatus::Closed {
            break;
        }
        stage.rest();
    }
    assert_eq!(near.handle().write(b"more"), WriteStatus::Closed);
    assert!(near.handle().is_closing(), "since writes say so");
    assert!(!near.is_lost(), "input waits: {:?}", near.cause());
    near.handle().resume_reading();
    stage.run_until_lost(&near);
    assert_eq!(near.received(), b"said before");
    assert!(near.cause().is_some());
    assert_eq!(near.count(Call::Resume), 0);
}

// 108, 121.
pub(crate) fn a_failed_write_is_followed_by_no_resume_writing<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near), Probe::new(&far).not_reading());
    near.handle().write(&vec![7; MUCH]);
    stage.run_until("pause_writing", || near.count(Call::Pause) == 1);
    stage.rest();
    far.handle().abort();
    stage.run_until_lost(&near);
    assert!(near.cause().is_some());
    assert_eq!(near.count(Call::Resume), 0, "{:?}", near.calls());
}

/// Why what was written is dropped.
#[derive(Clone, Copy, Debug)]
enum Cut {
    Abort,
    AbortInCallback,
    AbortAfterClose,
    Callback,
    WriteCap,
    Linger,
    Closing,
}

// 63, 64: what was cut off does not look complete.
pub(crate) fn dropped_output_never_looks_complete<L: Link>(_: &mut Stage<L>) {
    use Cut::*;
    for cut in [Abort, AbortInCallback, AbortAfterClose, Callback, WriteCap, Linger, Closing] {
        let link = L::new();
        let stage = Stage::of(link);
        let (near, far) = (Log::new(), Log::new());
        let fails = Probe::new(&near).on_pause(move |transport| match cut {
            Callback => Err("no more".into()),
            AbortInCallback => {
                transport.abort();
                Ok(())
            }
            _ => Ok(()),
        });
        stage.join(fails, Probe::new(&far).not_reading());
        let handle = near.handle();
        match cut {
            WriteCap => handle.set_write_buffer_cap(Some(1000)),
            Linger => handle.set_timeout(Timeout::Linger, Some(Duration::from_millis(30))),
            Closing => handle.set_timeout(Timeout::Closing, Some(Duration::from_millis(30))),
            _ => {}
        }
        handle.write(&vec![7; REPLY]);
        stage.rest();
        match cut {
            Abort => handle.abort(),
            AbortAfterClose => {
                handle.close();
                stage.rest();
                handle.abort();
            }
            WriteCap => drop(handle.write(b"one too many")),
            Linger | Closing => {
                handle.close();
                stage.pass(Duration::from_millis(40));
            }
            AbortInCallback | Callback => {}
        }
        stage.run_until_lost(&near);
        far.handle().resume_reading();
        stage.run_until_lost(&far);
        assert!(far.received_len() < REPLY, "{cut:?}");
        if stage.can().cut {
            assert!(far.cause().is_some(), "{cut:?} looks complete");
        }
    }
}

// 63: with nothing dropped, nothing is reset.
pub(crate) fn abort_with_nothing_to_drop_is_an_end_like_others<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near), Probe::new(&far));
    near.handle().write(b"all of it");
    stage.run_until_received(&far, 9);
    near.handle().abort();
    stage.run_until_lost(&near);
    stage.run_until_lost(&far);
    assert_eq!(far.cause().is_some(), !stage.can().plain, "{:?}", far.cause());
}
