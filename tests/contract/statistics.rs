//! What a loop counts.

use std::time::Duration;

use wharf::testing::{self, advance, step};
use wharf::{EventLoop, Transport};

use crate::loops::{memory_loop, settle, system_loop};
use crate::probes::{Log, Noting, reports, work_for};

#[test]
fn statistics_count_what_the_loop_did_and_holds() {
    let event_loop = memory_loop();
    let _reports = reports(&event_loop);
    let zero = event_loop.statistics();
    assert_eq!(zero, wharf::LoopStatistics::default());

    event_loop.call_soon(|| {});
    let timer = event_loop.call_later(Duration::from_secs(1), || {});
    let task = event_loop.create_task(std::future::pending::<()>());
    let statistics = event_loop.statistics();
    assert_eq!((statistics.ready, statistics.timers, statistics.tasks), (2, 1, 1));
    step(&event_loop).unwrap();
    let statistics = event_loop.statistics();
    assert_eq!((statistics.ticks, statistics.callbacks), (1, 2));
    assert_eq!((statistics.ready, statistics.timers, statistics.tasks), (0, 1, 1));

    timer.cancel();
    task.cancel();
    settle(&event_loop).unwrap();
    event_loop.call_soon(|| panic!("on purpose"));
    settle(&event_loop).unwrap();
    let statistics = event_loop.statistics();
    assert_eq!((statistics.ready, statistics.timers, statistics.tasks), (0, 0, 0));
    assert_eq!((statistics.exceptions, statistics.callbacks), (1, 4));
}

#[test]
fn statistics_count_connections_and_bytes() {
    let event_loop = memory_loop();
    let log = Log::default();
    let (first, second) = (Noting::new("first", &log), Noting::new("second", &log));
    let (first, second) = testing::pair(&event_loop, 1 << 20, first, second).unwrap();
    let statistics = event_loop.statistics();
    assert_eq!(
        (statistics.connections_open, statistics.connections_total, statistics.sources),
        (2, 2, 2)
    );
    first.handle().write(&[0; 1000]);
    second.handle().write(&[0; 24]);
    settle(&event_loop).unwrap();
    let statistics = event_loop.statistics();
    assert_eq!((statistics.bytes_sent, statistics.bytes_received), (1024, 1024));
    assert!(statistics.events >= 2);
    first.handle().close();
    settle(&event_loop).unwrap();
    let statistics = event_loop.statistics();
    assert_eq!(
        (statistics.connections_open, statistics.connections_total, statistics.sources),
        (0, 2, 0)
    );
}

#[test]
fn lag_is_how_late_a_timer_was() {
    let event_loop = memory_loop();
    event_loop.call_later(Duration::from_secs(1), || {});
    advance(&event_loop, Duration::from_secs(5)).unwrap();
    assert_eq!(event_loop.statistics().max_lag, Duration::ZERO, "it was on time");

    let event_loop = system_loop();
    event_loop.call_later(Duration::from_millis(1), || {});
    work_for(Duration::from_millis(6));
    step(&event_loop).unwrap();
    let statistics = event_loop.statistics();
    assert!(statistics.lag >= Duration::from_millis(5), "{statistics:?}");
    assert_eq!(statistics.max_lag, statistics.lag);
}

#[test]
fn spinning_changes_nothing_but_the_waiting() {
    let event_loop = EventLoop::builder().spin(100).build().unwrap();
    event_loop.run_until_complete(event_loop.sleep(Duration::from_millis(2))).unwrap();
    let remote = event_loop.remote();
    let thread = std::thread::spawn(move || remote.call_soon_threadsafe(EventLoop::stop).unwrap());
    crate::probes::run_forever(&event_loop);
    thread.join().unwrap();
}
