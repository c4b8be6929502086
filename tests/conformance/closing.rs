//! Section C: `close`, `abort` and the end of a connection.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use wharf::{Transport, WriteStatus};

use crate::probe::{Call, Log, Probe, depth};
use crate::stage::{Link, MUCH, Stage};

// 57.
pub(crate) fn close_and_abort_never_call_back_from_inside<L: Link>(stage: &mut Stage<L>) {
    for abort in [false, true] {
        let near = Log::new();
        let seen = near.clone();
        let far = stage.join_to_probe(Probe::new(&near).on_data(move |transport, _| {
            if abort {
                transport.abort();
            } else {
                transport.close();
            }
            assert!(!seen.is_lost(), "called from inside");
            Ok(())
        }));
        far.handle().write(b"go");
        stage.run_until_lost(&near);
        assert_eq!(near.cause(), None);

        let outside = Log::new();
        stage.join_to_probe(Probe::new(&outside));
        if abort {
            outside.handle().abort();
        } else {
            outside.handle().close();
        }
        assert!(!outside.is_lost(), "called from the handle's method");
        stage.run_until_lost(&outside);
    }
}

// 58.
pub(crate) fn connection_lost_is_told_none_after_close_abort_and_the_peers_end<L: Link>(
    stage: &mut Stage<L>,
) {
    for abort in [false, true] {
        let near = Log::new();
        let far = stage.join_to_probe(Probe::new(&near));
        if abort {
            near.handle().abort();
        } else {
            near.handle().close();
        }
        stage.run_until_lost(&near);
        stage.run_until_lost(&far);
        assert_eq!(near.cause(), None);
        // Under TLS an end that is not announced may be the work of somebody else.
        assert_eq!(far.cause().is_some(), abort && !stage.can().plain);
    }
    assert!(stage.reports.take().is_empty());
}

// 60.
pub(crate) fn protocol_is_dropped_once_and_the_peer_sees_the_end_after_connection_lost<L: Link>(
    stage: &mut Stage<L>,
) {
    let near = Log::new();
    let far = stage.join_to_probe(Probe::new(&near));
    near.handle().close();
    stage.run_until_lost(&near);
    stage.run_until_lost(&far);
    assert_eq!((near.drops(), far.drops()), (1, 1));
    assert!(near.handle().is_closing());
}

// 61.
pub(crate) fn close_is_idempotent<L: Link>(stage: &mut Stage<L>) {
    let near = Log::new();
    let far = stage.join_to_probe(Probe::new(&near));
    near.handle().write(b"once");
    for _ in 0..3 {
        near.handle().close();
    }
    stage.run_until_lost(&near);
    near.handle().close();
    stage.run_until_lost(&far);
    assert_eq!(near.calls(), [Call::Made, Call::Lost]);
    assert_eq!(far.received(), b"once");
}

// 62.
pub(crate) fn close_sends_everything_written_and_stops_reading_at_once<L: Link>(
    stage: &mut Stage<L>,
) {
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near), Probe::new(&far).not_reading());
    near.handle().write(&vec![7; MUCH]);
    stage.rest();
    assert!(near.handle().write_buffer_size() > 0);
    near.handle().close();
    assert!(!near.handle().is_reading());
    far.handle().write(b"not to be delivered");
    stage.rest();
    assert!(!near.is_lost(), "closed before everything was sent");
    far.handle().resume_reading();
    stage.run_until_received(&far, MUCH);
    stage.run_until_lost(&near);
    assert_eq!((near.cause(), near.received_len()), (None, 0));
    assert_eq!(far.received_len(), MUCH);
}

// 62.
pub(crate) fn two_ends_that_close_with_much_to_send_do_not_wait_for_each_other<L: Link>(
    stage: &mut Stage<L>,
) {
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near).not_reading(), Probe::new(&far).not_reading());
    for log in [&near, &far] {
        log.handle().write(&vec![7; 8 * MUCH]);
    }
    stage.rest();
    for log in [&near, &far] {
        assert!(log.handle().write_buffer_size() > 0);
        log.handle().close();
    }
    stage.run_until_lost(&near);
    stage.run_until_lost(&far);
    assert_eq!((near.received_len(), far.received_len()), (0, 0));
    // Whoever was first may have reset what the other had still to send, but nobody lingered.
    for log in [&near, &far] {
        assert_eq!(log.cause().and_then(|cause| cause.timeout), None);
    }
}

// 63.
pub(crate) fn abort_discards_what_is_not_sent<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near), Probe::new(&far).not_reading());
    near.handle().write(&vec![7; MUCH]);
    stage.rest();
    near.handle().abort();
    assert_eq!(near.handle().write_buffer_size(), 0);
    stage.run_until_lost(&near);
    assert_eq!(near.cause(), None);
    far.handle().resume_reading();
    stage.run_until_lost(&far);
    assert!(far.received_len() < MUCH);
}

// 63.
pub(crate) fn abort_is_idempotent<L: Link>(stage: &mut Stage<L>) {
    let near = Log::new();
    stage.join_to_probe(Probe::new(&near));
    near.handle().abort();
    near.handle().abort();
    stage.run_until_lost(&near);
    near.handle().abort();
    stage.rest();
    assert_eq!(near.calls(), [Call::Made, Call::Lost]);
}

// 64.
pub(crate) fn abort_after_close_discards_the_rest<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near), Probe::new(&far).not_reading());
    near.handle().write(&vec![7; MUCH]);
    near.handle().close();
    stage.rest();
    assert!(!near.is_lost());
    near.handle().abort();
    stage.run_until_lost(&near);
    assert_eq!(near.cause(), None);
    far.handle().resume_reading();
    stage.run_until_lost(&far);
    assert!(far.received_len() < MUCH);
}

// 65.
pub(crate) fn is_closing_is_true_from_close_abort_or_error_on<L: Link>(stage: &mut Stage<L>) {
    let (closed, aborted) = (Log::new(), Log::new());
    stage.join_to_probe(Probe::new(&closed));
    stage.join_to_probe(Probe::new(&aborted));
    assert!(!closed.handle().is_closing() && !aborted.handle().is_closing());
    closed.handle().close();
    aborted.handle().abort();
    assert!(closed.handle().is_closing() && aborted.handle().is_closing());

    let seen = Rc::new(Cell::new(None));
    let failed = Log::new();
    let in_lost = Rc::clone(&seen);
    let far = stage.join_to_probe(Probe::new(&failed).on_data(|_, _| Err("no".into())).on_lost(
        move |transport| {
            in_lost.set(Some((transport.is_closing(), transport.write(b"too late"))));
            Ok(())
        },
    ));
    far.handle().write(b"go");
    stage.run_until_lost(&failed);
    assert_eq!(seen.get(), Some((true, WriteStatus::Closed)));
    for log in [closed, aborted, failed] {
        stage.run_until_lost(&log);
        assert!(log.handle().is_closing());
    }
}

// 74.
pub(crate) fn info_stays_readable_after_the_end<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    let seen = Rc::new(RefCell::new(None));
    let in_lost = Rc::clone(&seen);
    let probe = Probe::new(&near).on_lost(move |transport| {
        *in_lost.borrow_mut() = Some(transport.info());
        Ok(())
    });
    stage.join(probe, Probe::new(&far));
    let info = near.handle().info();
    if stage.can().addresses {
        assert!(info.peer_address().is_some());
        assert_eq!(far.handle().info().local_address(), info.peer_address());
    }
    near.handle().close();
    stage.run_until_lost(&near);
    assert_eq!(seen.take(), Some(info), "connection_lost sees what was known before");
}

// 77: differs.
pub(crate) fn dropping_handles_and_connections_closes_nothing<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    let connection = stage.join(Probe::new(&near), Probe::new(&far));
    drop(connection.handle().clone());
    drop(connection);
    stage.rest();
    assert!(!near.is_lost() && !far.is_lost());
    far.handle().write(b"still there");
    stage.run_until_received(&near, 11);
}

// 77, W64.
pub(crate) fn dropping_the_loop_delivers_every_connection_lost<L: Link>(_: &mut Stage<L>) {
    let link = L::new();
    let logs = [Log::new(), Log::new(), Log::new(), Log::new()];
    let [near, far, stuck, reader] = &logs;
    link.join(Probe::new(near), Probe::new(far));
    // With output queued, and one that writes and closes when it is told.
    let last = Probe::new(stuck).on_lost(|transport| {
        assert_eq!(transport.write(b"too late"), WriteStatus::Closed);
        transport.close();
        Ok(())
    });
    link.join(last, Probe::new(reader).not_reading());
    stuck.handle().write(&vec![0; MUCH]);
    drop(link);
    for log in &logs {
        assert_eq!((log.cause(), log.drops()), (None, 1));
    }
    assert_eq!(depth(), 0);
}
