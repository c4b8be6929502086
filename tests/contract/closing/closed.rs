//! When a loop can be closed, and what a closed one is.

use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use wharf::EventLoop;
use wharf::testing::{self, step};

use super::Idle;
use crate::probes::{Log, Noting, holding, memory_loop, run_forever};

// 24.
#[test]
fn a_running_loop_cannot_be_closed() {
    let event_loop = memory_loop();
    event_loop
        .run(async |event_loop| {
            assert!(event_loop.close().unwrap_err().is_invalid());
            event_loop.sleep(Duration::from_secs(1)).await;
            Ok(())
        })
        .unwrap();
    assert!(!event_loop.is_closed());
}

// 24.
#[test]
fn closing_twice_changes_nothing() {
    let event_loop = memory_loop();
    event_loop.close().unwrap();
    assert!(event_loop.is_closed());
    event_loop.close().unwrap();
    drop(event_loop.clone());
    drop(event_loop);
}

// 24.
#[test]
fn a_protocols_callback_cannot_close_the_loop() {
    let event_loop = memory_loop();
    let log = Log::default();
    let (first, second) = (Noting::new("first", &log), Noting::new("second", &log));
    let (first, _) = testing::pair(&event_loop, 64, first, second).unwrap();
    let refused = first.with(|_, _| event_loop.close().unwrap_err()).unwrap();
    assert!(refused.is_invalid());
    event_loop.close().unwrap();
    assert_eq!(log.entries(), ["first made", "second made", "first lost", "second lost"]);
}

// 25.
#[test]
fn a_closed_loop_drops_callbacks_and_says_that_they_are_cancelled() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.close().unwrap();
    let log = Log::default();
    let soon = event_loop.call_soon(holding(log.adds_on_drop("soon")));
    let later = event_loop.call_later(Duration::from_secs(1), holding(log.adds_on_drop("later")));
    let at = event_loop.call_at(event_loop.time(), holding(log.adds_on_drop("at")));
    assert!(soon.cancelled() && later.cancelled() && at.cancelled());
    assert_eq!(log.entries(), ["soon", "later", "at"]);
    assert_eq!((event_loop.metrics().timers, event_loop.metrics().ready), (0, 0));
}

// 25.
#[test]
fn a_closed_loop_refuses_everything_with_is_closed() {
    let event_loop = EventLoop::new().unwrap();
    let (watched, _peer) = UnixStream::pair().unwrap();
    let watched = Rc::new(watched);
    event_loop.close().unwrap();
    let event_loop = &event_loop;

    assert!(event_loop.run_forever().unwrap_err().is_closed());
    assert!(event_loop.run_until_complete(async {}).unwrap_err().is_closed());
    assert!(step(event_loop).unwrap_err().is_closed());
    let error = event_loop.run(async |_| Ok(())).unwrap_err();
    assert!(error.downcast_ref::<wharf::Error>().unwrap().is_closed());

    assert!(event_loop.add_reader(Rc::clone(&watched), || {}).unwrap_err().is_closed());
    assert!(event_loop.add_writer(Rc::clone(&watched), || {}).unwrap_err().is_closed());
    assert!(!event_loop.remove_reader(&watched));
    assert!(!event_loop.remove_writer(&watched));
    assert!(event_loop.add_signal_handler(10, || {}).unwrap_err().is_closed());
    assert!(!event_loop.remove_signal_handler(10));
    assert_eq!(Rc::strong_count(&watched), 1);

    let task = event_loop.create_task(async {});
    assert!(task.take_result().unwrap().unwrap_err().is_closed());
    let job = event_loop.run_in_executor(|| ());
    assert!(job.take_result().unwrap().unwrap_err().is_closed());

    let log = Log::default();
    let server = event_loop.create_server(|| Idle, "127.0.0.1:0").start();
    assert!(server.take_result().unwrap().unwrap_err().is_closed());
    let connection = event_loop.create_connection(|| Idle, "127.0.0.1:9").start();
    assert!(connection.take_result().unwrap().unwrap_err().is_closed());
    let (first, second) = (Noting::new("first", &log), Noting::new("second", &log));
    assert!(testing::pair(event_loop, 64, first, second).unwrap_err().is_closed());
    assert_eq!(log.len(), 0);
    event_loop.stop();
}

// 26.
#[test]
fn a_closed_loop_holds_nothing_of_the_users() {
    let event_loop = memory_loop();
    let held = Rc::new(());
    let (own, clone) = (Rc::clone(&held), event_loop.clone());
    event_loop.set_exception_handler(move |_, _| drop((Rc::clone(&own), clone.clone())));
    let (own, clone) = (Rc::clone(&held), event_loop.clone());
    event_loop.call_later(Duration::from_secs(1), move || drop((own, clone)));
    let (own, clone) = (Rc::clone(&held), event_loop.clone());
    event_loop
        .create_task(async move {
            clone.sleep(Duration::from_secs(1)).await;
            drop(own);
        })
        .detach();
    let handle = {
        let held = Rc::clone(&held);
        event_loop.call_soon(holding(held))
    };
    event_loop.close().unwrap();
    assert_eq!(Rc::strong_count(&held), 1);
    drop(handle);
}

#[test]
fn a_loop_closes_whether_it_ran_or_not() {
    drop(EventLoop::new().unwrap());
    drop(memory_loop());
    let event_loop = EventLoop::new().unwrap();
    let stopper = event_loop.clone();
    event_loop.call_soon(move || stopper.stop());
    run_forever(&event_loop);
    event_loop.close().unwrap();
}
