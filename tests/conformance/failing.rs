//! Section C: callbacks that fail or panic, and what is reported.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use wharf::{Buffered, BufferedProtocol, Error, EventLoop, Result, Timeout, Transport, WaterMarks};

use crate::probe::{Call, Log, Probe};
use crate::stage::{Link, MUCH, Stage, Ways};

/// With these much is left of [`MUCH`] when writing is resumed.
const HALF: WaterMarks = WaterMarks { low: MUCH / 2, high: MUCH / 2 };

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
    stage.end_side(&far);
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
        panics: bool,
        buffer: [u8; 16],
        told: Rc<RefCell<Vec<(String, bool)>>>,
    }

    impl BufferedProtocol for Fails {
        fn get_buffer(&mut self, _: &dyn Transport, _: usize) -> Result<&mut [u8]> {
            match (self.in_get_buffer, self.panics) {
                (true, true) => panic!("no buffer"),
                (true, false) => Err("no buffer".into()),
                _ => Ok(&mut self.buffer),
            }
        }

        fn buffer_updated(&mut self, _: &dyn Transport, _: usize) -> Result {
            assert!(!self.panics, "not updated");
            Err("not updated".into())
        }

        fn connection_lost(&mut self, _: &dyn Transport, error: Option<&wharf::Error>) -> Result {
            let error = error.expect("an error");
            self.told.borrow_mut().push((format!("{error:#}"), error.is_panic()));
            Ok(())
        }
    }

    for (in_get_buffer, name, expected) in
        [(true, "get_buffer", "no buffer"), (false, "buffer_updated", "not updated")]
    {
        for panics in [false, true] {
            let told = Rc::default();
            let near = Fails { in_get_buffer, panics, buffer: [0; 16], told: Rc::clone(&told) };
            let far = stage.join_to_probe(Buffered(near));
            far.handle().write(b"go");
            stage.run_until_lost(&far);
            assert_eq!(*told.borrow(), [(expected.to_owned(), panics)]);
            assert_one_report(stage, name, expected);
        }
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
    near.handle().set_write_buffer_limits(HALF).unwrap();
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
    /// What has to pass between the ends until the callback is called.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum After {
        Nothing,
        Input,
        End,
        Output,
        Waiting,
        Close,
    }
    let arms: [(&str, After, Arm); 7] = [
        ("connection_made", After::Nothing, |probe| probe.on_made(|_| panic!("boom"))),
        ("data_received", After::Input, |probe| probe.on_data(|_, _| panic!("boom"))),
        ("eof_received", After::End, |probe| probe.on_eof(|_| panic!("boom"))),
        ("pause_writing", After::Output, |probe| probe.on_pause(|_| panic!("boom"))),
        ("resume_writing", After::Output, |probe| probe.on_resume(|_| panic!("boom"))),
        ("timed_out", After::Waiting, |probe| probe.on_timed_out(|_| panic!("boom"))),
        ("connection_lost", After::Close, |probe| probe.on_lost(|_| panic!("boom"))),
    ];
    let ways = stage.can().ways;
    for buffered in [false, true] {
        for (name, after, arm) in arms {
            let is_possible = match after {
                After::Input | After::End => ways.include(Ways::back()),
                After::Output => ways.include(Ways::forward()),
                _ => true,
            };
            if !is_possible {
                continue;
            }
            let (near, far) = (Log::new(), Log::new());
            let probe = arm(Probe::new(&near));
            let peer = Probe::new(&far).not_reading().half_open();
            if buffered {
                stage.join(Buffered(probe), peer);
            } else {
                stage.join(probe, peer);
            }
            match after {
                After::Nothing => {}
                After::Input => drop(far.handle().write(b"go")),
                After::End => stage.end_side(&far),
                After::Output => {
                    near.handle().set_write_buffer_limits(HALF).unwrap();
                    near.handle().write(&vec![0; MUCH]);
                    stage.rest();
                    far.handle().resume_reading();
                }
                After::Waiting => {
                    let handle = near.handle();
                    handle.set_timeout(Timeout::Idle, Some(Duration::from_millis(1)));
                    stage.pass(Duration::from_millis(5));
                }
                After::Close => near.handle().close(),
            }
            stage.run_until_lost(&near);
            if after == After::Close {
                assert_eq!(near.cause(), None);
            } else {
                let cause = near.cause().expect(name);
                assert!(cause.is_panic && cause.text.contains("boom"), "{name}: {cause:?}");
            }
            assert_eq!((near.count(Call::Made), near.count(Call::Lost)), (1, 1), "{name}");
            let name = if buffered && name == "data_received" { "buffer_updated" } else { name };
            assert_one_report(stage, name, "boom");
            far.handle().abort();
            stage.run_until_lost(&far);
            assert_eq!(near.drops(), 1, "{name}");
            assert_serves(stage, name);
            assert_nothing_is_left(stage, name);
        }
    }
}

/// A new connection on the same loop is served: what one end says comes to the other.
#[track_caller]
fn assert_serves<L: Link>(stage: &Stage<L>, after: &str) {
    let (near, far) = (Log::new(), Log::new());
    stage.join(Probe::new(&near).echoing(), Probe::new(&far).half_open());
    let ways = stage.can().ways;
    if ways == Ways::both() {
        far.handle().write(b"ping");
        stage.run_until_received(&far, 4);
        assert_eq!((near.received(), far.received()), (b"ping".to_vec(), b"ping".to_vec()));
    } else {
        let is_forward = ways.include(Ways::forward());
        let (from, to) = if is_forward { (&near, &far) } else { (&far, &near) };
        from.handle().write(b"ping");
        stage.run_until_received(to, 4);
        assert_eq!(to.received(), b"ping", "after a panic in {after}");
    }
    near.handle().abort();
    far.handle().abort();
    stage.run_until_lost(&near);
    stage.run_until_lost(&far);
    assert!(stage.reports.take().is_empty(), "after a panic in {after}");
}

#[track_caller]
fn assert_nothing_is_left<L: Link>(stage: &Stage<L>, after: &str) {
    let is_clean = |event_loop: &EventLoop| {
        let statistics = event_loop.statistics();
        let left = (
            statistics.connections_open,
            statistics.sources,
            statistics.timers,
            statistics.lingering,
        );
        left == (0, 0, 0, 0) && statistics.tasks == 0
    };
    stage.run_until(&format!("nothing to be left after a panic in {after}"), || {
        stage.loops().iter().all(is_clean)
    });
}

// 71.
pub(crate) fn what_a_callback_returns_is_reported_unless_the_peer_broke_the_protocol<L: Link>(
    stage: &mut Stage<L>,
) {
    let near = Log::new();
    let far = stage.join_to_probe(
        Probe::new(&near).on_data(|_, _| Err(Error::protocol_violation("junk").into())),
    );
    far.handle().write(b"go");
    stage.run_until_lost(&near);
    assert_eq!(near.cause().unwrap().text, "junk");
    assert!(stage.reports.take().is_empty());

    // It may be of a file: only the application knows.
    let near = Log::new();
    let far = stage.join_to_probe(
        Probe::new(&near)
            .on_data(|_, _| Err(io::Error::from(io::ErrorKind::ConnectionReset).into())),
    );
    far.handle().write(b"go");
    stage.run_until_lost(&near);
    assert_eq!(near.cause().unwrap().io_kind, Some(io::ErrorKind::ConnectionReset));
    assert_one_report(stage, "data_received", "reset");

    let near = Log::new();
    let far = stage.join_to_probe(Probe::new(&near).on_data(|_, _| Err("of the app".into())));
    far.handle().write(b"go");
    stage.run_until_lost(&near);
    assert_one_report(stage, "data_received", "of the app");
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

#[track_caller]
fn assert_one_report<L: Link>(stage: &Stage<L>, callback: &str, text: &str) {
    let reports = stage.reports.take();
    assert!(
        matches!(&reports[..], [only] if only.contains(callback) && only.contains(text)),
        "{callback}, {text}: {reports:?}"
    );
}
