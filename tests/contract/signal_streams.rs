//! Signals for code that is async, and servers that a signal ends.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use std::os::unix::process::ExitStatusExt;

use rustix::process::Signal;
use wharf::testing::settle;
use wharf::{EventLoop, Protocol, Server, Transport};

use crate::loops::memory_loop;
use crate::probes::{complete, is_child, reports, run_in_child, step_until};
use crate::signals::{die_of, is_in_own_process, raise, text};

const USR1: i32 = Signal::USR1.as_raw();
const USR2: i32 = Signal::USR2.as_raw();
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_stream_gives_each_signal_that_came_once_until_it_is_taken() {
    if !is_in_own_process(
        "signal_streams::a_stream_gives_each_signal_that_came_once_until_it_is_taken",
    ) {
        return;
    }
    let event_loop = EventLoop::new().unwrap();
    let mut signals = event_loop.signals([USR1, USR2, USR1]).unwrap();
    assert_eq!(signals.try_next(), None);
    // Told twice, before anybody asks.
    let seen = Rc::new(Cell::new(0));
    let counted = Rc::clone(&seen);
    event_loop.add_signal_handler(USR1, move || counted.set(counted.get() + 1)).unwrap();
    for expected in 1..=2 {
        raise(Signal::USR1);
        step_until(&event_loop, || seen.get() == expected);
    }
    assert_eq!((signals.try_next(), signals.try_next()), (Some(USR1), None));
    // Awaited, also by a future that is dropped before.
    complete(&event_loop, async {
        drop(signals.next());
        raise(Signal::USR2);
        assert_eq!(signals.next().await, USR2);
        raise(Signal::USR1);
        assert_eq!(signals.next().await, USR1);
    });
    assert_eq!(event_loop.statistics().exceptions, 0);
}

#[test]
fn streams_and_a_handler_of_one_loop_and_of_others_are_all_told() {
    if !is_in_own_process(
        "signal_streams::streams_and_a_handler_of_one_loop_and_of_others_are_all_told",
    ) {
        return;
    }
    let loops = [EventLoop::new().unwrap(), EventLoop::new().unwrap()];
    let mut streams = [&loops[0], &loops[0], &loops[1]].map(|own| own.signals([USR1]).unwrap());
    let called = Rc::new(Cell::new(0));
    let counted = Rc::clone(&called);
    loops[0].add_signal_handler(USR1, move || counted.set(counted.get() + 1)).unwrap();
    raise(Signal::USR1);
    step_until(&loops[0], || called.get() == 1);
    let [first, second, third] = &mut streams;
    assert_eq!((first.try_next(), second.try_next()), (Some(USR1), Some(USR1)));
    let mut given = None;
    step_until(&loops[1], || {
        given = third.try_next();
        given.is_some()
    });
    // What is taken back leaves the others.
    let [first, mut second, _third] = streams;
    drop(first);
    assert!(loops[0].remove_signal_handler(USR1));
    assert!(!loops[0].remove_signal_handler(USR1), "a stream is no handler");
    raise(Signal::USR1);
    assert_eq!(complete(&loops[0], second.next()), USR1);
    assert_eq!(called.get(), 1);
    assert_eq!(loops[0].statistics().sources, 1);
    drop(second);
    assert_eq!(loops[0].statistics().sources, 0);
}

#[test]
fn a_signal_whose_last_stream_is_dropped_does_what_it_does_by_default() {
    let name = "signal_streams::a_signal_whose_last_stream_is_dropped_does_what_it_does_by_default";
    if !is_child() {
        let output = run_in_child(name);
        assert_eq!(output.status.signal(), Some(USR1), "{}", text(&output));
        assert!(text(&output).contains("taken back"), "{}", text(&output));
        return;
    }
    let event_loop = EventLoop::new().unwrap();
    let mut signals = event_loop.signals([USR1]).unwrap();
    raise(Signal::USR1);
    assert_eq!(complete(&event_loop, signals.next()), USR1);
    drop(signals);
    eprintln!("taken back");
    die_of(Signal::USR1);
}

#[test]
fn a_stream_of_what_cannot_be_caught_handles_none_of_its_signals() {
    let event_loop = EventLoop::new().unwrap();
    for signal in [0, -1, 65, Signal::KILL.as_raw(), Signal::SEGV.as_raw()] {
        let error = event_loop.signals([USR1, signal]).map(drop).unwrap_err();
        assert!(error.is_invalid(), "{signal}: {error}");
        assert_eq!(event_loop.statistics().sources, 0);
    }
    assert!(memory_loop().signals([USR1]).map(drop).unwrap_err().is_unsupported());
    let mut none = event_loop.signals([]).unwrap();
    assert_eq!(none.try_next(), None);
    event_loop.close().unwrap();
    assert!(event_loop.signals([USR1]).map(drop).unwrap_err().is_closed());
}

#[test]
fn a_stream_may_outlive_its_loop() {
    if !is_in_own_process("signal_streams::a_stream_may_outlive_its_loop") {
        return;
    }
    let event_loop = EventLoop::new().unwrap();
    let mut signals = event_loop.signals([USR1]).unwrap();
    event_loop.close().unwrap();
    assert_eq!(signals.try_next(), None);
    drop(signals);
}

/// A protocol that keeps its connection when it is asked to shut down.
#[derive(Clone, Default)]
struct Stays(Rc<RefCell<Vec<&'static str>>>);

impl Protocol for Stays {
    fn data_received(&mut self, _: &dyn Transport, _: &[u8]) -> wharf::Result {
        Ok(())
    }

    fn shutting_down(&mut self, _: &dyn Transport) -> wharf::Result {
        self.0.borrow_mut().push("asked");
        Ok(())
    }

    fn connection_lost(&mut self, _: &dyn Transport, _: Option<&wharf::Error>) -> wharf::Result {
        self.0.borrow_mut().push("lost");
        Ok(())
    }
}

/// A server with one client, which neither side closes.
async fn served(event_loop: &EventLoop, log: &Stays) -> wharf::Result<Server> {
    let made = log.clone();
    let server = event_loop.create_server(move || made.clone(), "127.0.0.1:0").await?;
    let client = Stays::default();
    event_loop.create_connection(|| client, server.local_address()?).await?;
    while server.connections() == 0 {
        wharf::sleep(Duration::from_millis(1)).await;
    }
    Ok(server)
}

#[test]
fn a_server_serves_until_a_signal_and_a_second_one_aborts_what_is_left() {
    if !is_in_own_process(
        "signal_streams::a_server_serves_until_a_signal_and_a_second_one_aborts_what_is_left",
    ) {
        return;
    }
    let event_loop = EventLoop::new().unwrap();
    let reports = reports(&event_loop);
    let log = Stays::default();
    let handled = Rc::new(Cell::new(0));
    complete(&event_loop, async {
        let server = served(&event_loop, &log).await.unwrap();
        let counted = Rc::clone(&handled);
        event_loop.add_signal_handler(USR1, move || counted.set(counted.get() + 1)).unwrap();
        let mut serving = server.serve_until([USR1, USR2], HOUR);
        assert!(server.serve_forever().await.unwrap_err().is_invalid(), "it is served");
        raise(Signal::USR1);
        while log.0.borrow().is_empty() {
            assert!(!serving.is_done());
            wharf::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(*log.0.borrow(), ["asked"]);
        assert!(server.is_closed() && !serving.is_done());
        raise(Signal::USR2);
        assert_eq!((&mut serving).await.unwrap(), 1);
        assert_eq!(*log.0.borrow(), ["asked", "lost"]);
    });
    assert_eq!(handled.get(), 1, "its own handler is told, too");
    assert_eq!(reports.len(), 0);
}

#[test]
fn a_server_that_drains_in_time_aborts_nobody() {
    if !is_in_own_process("signal_streams::a_server_that_drains_in_time_aborts_nobody") {
        return;
    }
    let event_loop = EventLoop::new().unwrap();
    complete(&event_loop, async {
        let server =
            event_loop.create_server(|| crate::serving::Echo, "127.0.0.1:0").await.unwrap();
        let address = server.local_address().unwrap();
        event_loop.create_connection(Stays::default, address).await.unwrap();
        let serving = server.serve_until([USR1], HOUR);
        raise(Signal::USR1);
        assert_eq!(serving.await.unwrap(), 0);
        // Its grace is over at once.
        let server = served(&event_loop, &Stays::default()).await.unwrap();
        let serving = server.serve_until([USR1], Duration::ZERO);
        raise(Signal::USR1);
        assert_eq!(serving.await.unwrap(), 1);
    });
}

#[test]
fn serving_until_a_signal_ends_with_the_server_and_is_given_up_as_serving_for_ever() {
    if !is_in_own_process(
        "signal_streams::serving_until_a_signal_ends_with_the_server_and_is_given_up_as_serving_for_ever",
    ) {
        return;
    }
    let event_loop = EventLoop::new().unwrap();
    complete(&event_loop, async {
        let log = Stays::default();
        let server = served(&event_loop, &log).await.unwrap();
        let failed = server.serve_until([USR1, 0], HOUR).await.unwrap_err();
        assert!(failed.is_invalid() && server.is_serving());
        let serving = server.serve_until([USR1], HOUR);
        server.close();
        assert_eq!(serving.await.unwrap(), 0);
        assert_eq!(server.connections(), 1);
        assert!(server.serve_until([USR1], HOUR).await.unwrap_err().is_closed());

        let server = served(&event_loop, &log).await.unwrap();
        drop(server.serve_until([USR1], HOUR));
        wharf::yield_now().await;
        assert!(server.is_closed());
        assert_eq!(server.connections(), 1);
    });
    settle(&event_loop).unwrap();
    assert!(!event_loop.remove_signal_handler(USR1));
    complete(&memory_loop(), async {
        let event_loop = EventLoop::current().unwrap();
        let server = event_loop.create_server(Stays::default, "10.0.0.1:7").await.unwrap();
        assert!(server.serve_until([USR1], HOUR).await.unwrap_err().is_unsupported());
    });
}
