//! Section C: the life cycle and the order of callbacks.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use wharf::{Buffered, BufferedProtocol, Eof, Protocol, Result, Transport, WriteStatus};

use crate::probe::{Call, Log, Probe, depth};
use crate::stage::{Link, MUCH, Stage};

// 52.
pub(crate) fn connection_made_comes_first_and_connection_lost_last_each_once<L: Link>(
    stage: &mut Stage<L>,
) {
    let near = Log::new();
    let far = stage.join_to_probe(Probe::new(&near));
    near.handle().write(b"ping");
    stage.run_until_received(&far, 4);
    near.handle().close();
    stage.run_until_lost(&far);
    stage.run_until_lost(&near);
    assert_eq!(near.calls(), [Call::Made, Call::Lost]);
    assert_eq!(far.order(), [Call::Made, Call::Data, Call::Eof, Call::Lost]);
}

// 51.
pub(crate) fn connection_made_was_called_when_the_connect_completes<L: Link>(stage: &mut Stage<L>) {
    let near = Log::new();
    let seen = near.clone();
    let far = Log::new();
    let connection = stage.join(Probe::new(&near), Probe::new(&far));
    assert_eq!(seen.calls(), [Call::Made]);
    assert_eq!(connection.with(|probe, _| probe.log().count(Call::Made)).unwrap(), 1);
}

// 53.
pub(crate) fn bytes_that_wait_already_come_after_connection_made<L: Link>(stage: &mut Stage<L>) {
    let near = Log::new();
    let far = stage.join_to_probe(Probe::new(&near).on_made(|transport| {
        transport.write(b"early");
        Ok(())
    }));
    stage.run_until_received(&far, 5);
    assert_eq!(far.order(), [Call::Made, Call::Data]);
}

// 55.
pub(crate) fn pause_reading_in_connection_made_is_honoured<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    let early = Probe::new(&near).on_made(|transport| {
        transport.write(b"early");
        Ok(())
    });
    stage.join(early, Probe::new(&far).not_reading());
    stage.rest();
    assert_eq!(far.calls(), [Call::Made]);
    far.handle().resume_reading();
    stage.run_until_received(&far, 5);
}

// 56.
pub(crate) fn close_in_connection_made_is_followed_by_connection_lost<L: Link>(
    stage: &mut Stage<L>,
) {
    let near = Log::new();
    let far = stage.join_to_probe(Probe::new(&near).on_made(|transport| {
        transport.write(b"bye");
        transport.close();
        Ok(())
    }));
    stage.run_until_lost(&near);
    stage.run_until_lost(&far);
    assert_eq!((near.calls(), near.cause()), (vec![Call::Made, Call::Lost], None));
    assert_eq!(far.received(), b"bye");
}

// 56.
pub(crate) fn abort_in_connection_made_is_followed_by_connection_lost<L: Link>(
    stage: &mut Stage<L>,
) {
    let near = Log::new();
    let far = stage.join_to_probe(Probe::new(&near).on_made(|transport| {
        transport.abort();
        Ok(())
    }));
    stage.run_until_lost(&near);
    stage.run_until_lost(&far);
    assert_eq!((near.calls(), near.cause()), (vec![Call::Made, Call::Lost], None));
}

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
        assert_eq!((near.cause(), far.cause()), (None, None));
    }
    assert!(stage.reports.take().is_empty());
}

// 58.
pub(crate) fn connection_lost_is_told_the_error_that_ended_the_connection<L: Link>(
    stage: &mut Stage<L>,
) {
    let near = Log::new();
    let far = stage.join_to_probe(Probe::new(&near).on_data(|_, _| Err("the first".into())));
    far.handle().write(b"go");
    stage.run_until_lost(&near);
    assert_eq!(near.cause().unwrap().text, "the first");

    // An error of an `io::Error` keeps its kind.
    let near = Log::new();
    let far = stage.join_to_probe(
        Probe::new(&near).on_data(|_, _| Err(io::Error::from(io::ErrorKind::InvalidData).into())),
    );
    far.handle().write(b"go");
    stage.run_until_lost(&near);
    assert_eq!(near.cause().unwrap().io_kind, Some(io::ErrorKind::InvalidData));
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

// 66, 67: differs.
pub(crate) fn failing_connection_made_aborts_the_connection<L: Link>(stage: &mut Stage<L>) {
    let near = Log::new();
    let far = stage.join_to_probe(Probe::new(&near).on_made(|transport| {
        transport.write(b"queued or not");
        Err("not made".into())
    }));
    stage.run_until_lost(&near);
    stage.run_until_lost(&far);
    assert_eq!(near.calls(), [Call::Made, Call::Lost]);
    assert_eq!(near.cause().unwrap().text, "not made");
    assert_one_report(stage, "connection_made", "not made");
}

// 68.
pub(crate) fn failing_data_received_aborts_the_connection<L: Link>(stage: &mut Stage<L>) {
    let near = Log::new();
    let far = stage.join_to_probe(Probe::new(&near).on_data(|_, _| Err("bad data".into())));
    far.handle().write(b"go");
    stage.run_until_lost(&near);
    stage.run_until_lost(&far);
    let cause = near.cause().unwrap();
    assert!(cause.is_application && !cause.is_panic);
    assert_eq!(cause.text, "bad data");
    assert_one_report(stage, "data_received", "bad data");
}

// 68.
pub(crate) fn failing_eof_received_aborts_the_connection<L: Link>(stage: &mut Stage<L>) {
    let near = Log::new();
    let far = stage.join_to_probe(Probe::new(&near).on_eof(|_| Err("bad end".into())));
    far.handle().write_eof();
    stage.run_until_lost(&near);
    assert_eq!(near.calls(), [Call::Made, Call::Eof, Call::Lost]);
    assert_eq!(near.cause().unwrap().text, "bad end");
    assert_one_report(stage, "eof_received", "bad end");
}

// 68.
pub(crate) fn failing_get_buffer_or_buffer_updated_aborts_the_connection<L: Link>(
    stage: &mut Stage<L>,
) {
    struct Fails {
        in_get_buffer: bool,
        buffer: [u8; 16],
        told: Rc<RefCell<Vec<String>>>,
    }

    impl BufferedProtocol for Fails {
        fn get_buffer(&mut self, _: &dyn Transport, _: usize) -> Result<&mut [u8]> {
            if self.in_get_buffer { Err("no buffer".into()) } else { Ok(&mut self.buffer) }
        }

        fn buffer_updated(&mut self, _: &dyn Transport, _: usize) -> Result {
            Err("not updated".into())
        }

        fn connection_lost(&mut self, _: &dyn Transport, error: Option<&wharf::Error>) -> Result {
            self.told.borrow_mut().push(error.expect("an error").to_string());
            Ok(())
        }
    }

    for (in_get_buffer, expected) in [(true, "no buffer"), (false, "not updated")] {
        let told = Rc::default();
        let near = Fails { in_get_buffer, buffer: [0; 16], told: Rc::clone(&told) };
        let far = stage.join_to_probe(Buffered(near));
        far.handle().write(b"go");
        stage.run_until_lost(&far);
        assert_eq!(*told.borrow(), [expected]);
        assert_eq!(stage.reports.take().len(), 1);
    }
}

// 69: differs.
pub(crate) fn failing_pause_writing_aborts_the_connection<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    let fails = Probe::new(&near).on_pause(|_| Err("cannot pause".into()));
    stage.join(fails, Probe::new(&far).not_reading());
    near.handle().write(&vec![0; MUCH]);
    stage.run_until_lost(&near);
    assert_eq!(near.calls(), [Call::Made, Call::Pause, Call::Lost]);
    assert_eq!(near.cause().unwrap().text, "cannot pause");
    assert_one_report(stage, "pause_writing", "cannot pause");
}

// 69: differs.
pub(crate) fn failing_resume_writing_aborts_the_connection<L: Link>(stage: &mut Stage<L>) {
    let (near, far) = (Log::new(), Log::new());
    let fails = Probe::new(&near).on_resume(|_| Err("cannot resume".into()));
    stage.join(fails, Probe::new(&far).not_reading());
    near.handle().write(&vec![0; MUCH]);
    stage.run_until("pause_writing", || near.count(Call::Pause) == 1);
    far.handle().resume_reading();
    stage.run_until_lost(&near);
    assert_eq!(near.calls(), [Call::Made, Call::Pause, Call::Resume, Call::Lost]);
    assert_one_report(stage, "resume_writing", "cannot resume");
}

// 70.
pub(crate) fn failing_connection_lost_is_reported_and_changes_nothing<L: Link>(
    stage: &mut Stage<L>,
) {
    for panics in [false, true] {
        let near = Log::new();
        let far = stage.join_to_probe(Probe::new(&near).on_lost(move |_| {
            assert!(!panics, "lost badly");
            Err("lost badly".into())
        }));
        near.handle().close();
        stage.run_until_lost(&far);
        stage.run_until_lost(&near);
        assert_eq!((near.cause(), near.drops()), (None, 1));
        assert_one_report(stage, "connection_lost", "lost badly");
    }
}

// 68.
pub(crate) fn panics_are_caught_in_every_callback<L: Link>(stage: &mut Stage<L>) {
    type Arm = fn(Probe) -> Probe;
    let arms: [(&str, Arm); 5] = [
        ("connection_made", |probe| probe.on_made(|_| panic!("boom"))),
        ("data_received", |probe| probe.on_data(|_, _| panic!("boom"))),
        ("eof_received", |probe| probe.on_eof(|_| panic!("boom"))),
        ("pause_writing", |probe| probe.on_pause(|_| panic!("boom"))),
        ("resume_writing", |probe| probe.on_resume(|_| panic!("boom"))),
    ];
    for (name, arm) in arms {
        let (near, far) = (Log::new(), Log::new());
        stage.join(arm(Probe::new(&near)), Probe::new(&far).not_reading().half_open());
        match name {
            "data_received" => drop(far.handle().write(b"go")),
            "eof_received" => far.handle().write_eof(),
            "pause_writing" | "resume_writing" => {
                near.handle().write(&vec![0; MUCH]);
                stage.rest();
                far.handle().resume_reading();
            }
            _ => {}
        }
        stage.run_until_lost(&near);
        let cause = near.cause().expect(name);
        assert!(cause.is_panic && cause.text.contains("boom"), "{name}: {cause:?}");
        assert_one_report(stage, name, "boom");
    }
}

// 71.
pub(crate) fn network_errors_are_not_reported_and_application_errors_are<L: Link>(
    stage: &mut Stage<L>,
) {
    let near = Log::new();
    let far = stage.join_to_probe(
        Probe::new(&near)
            .on_data(|_, _| Err(io::Error::from(io::ErrorKind::ConnectionReset).into())),
    );
    far.handle().write(b"go");
    stage.run_until_lost(&near);
    assert_eq!(near.cause().unwrap().io_kind, Some(io::ErrorKind::ConnectionReset));
    assert!(stage.reports.take().is_empty());

    let near = Log::new();
    let far = stage.join_to_probe(Probe::new(&near).on_data(|_, _| Err("of the app".into())));
    far.handle().write(b"go");
    stage.run_until_lost(&near);
    assert_one_report(stage, "data_received", "of the app");
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

// 78.
pub(crate) fn failure_of_one_connection_leaves_the_others_alone<L: Link>(stage: &mut Stage<L>) {
    let (good, bad) = (Log::new(), Log::new());
    let good_far = stage.join_to_probe(Probe::new(&good).echoing());
    let bad_far = stage.join_to_probe(Probe::new(&bad).on_data(|_, _| panic!("mine alone")));
    good_far.handle().write(b"one");
    bad_far.handle().write(b"go");
    stage.run_until_lost(&bad);
    stage.run_until_received(&good_far, 3);
    good_far.handle().write(b"two");
    stage.run_until_received(&good_far, 6);
    assert!(!good.is_lost());
    stage.reports.take();
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

#[track_caller]
fn assert_one_report<L: Link>(stage: &Stage<L>, callback: &str, text: &str) {
    let reports = stage.reports.take();
    assert!(
        matches!(&reports[..], [only] if only.contains(callback) && only.contains(text)),
        "{callback}, {text}: {reports:?}"
    );
}

/// Answers nothing and keeps its side open.
#[derive(Default)]
pub(crate) struct Silent;

impl Protocol for Silent {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn eof_received(&mut self, _: &dyn Transport) -> Result<Eof> {
        Ok(Eof::KeepOpen)
    }
}
