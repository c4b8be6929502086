//! The timer and the executor.

use std::pin::Pin;
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

use hyper::rt::{Executor as _, Sleep, Timer as _};
use wharf::hyper::{HyperExecutor, HyperTimer};
use wharf::{EventLoop, Failure};

use super::{poll_once, run, run_reporting, settle};

async fn poll(sleep: &mut Pin<Box<dyn Sleep>>) -> bool {
    poll_once(sleep).await.is_some()
}

#[test]
fn a_sleep_ends_by_the_loops_time_and_can_be_moved() {
    run(async |event_loop| {
        let began = event_loop.time();
        assert_eq!(HyperTimer.now(), began);
        let mut sleep = HyperTimer.sleep(Duration::from_secs(10));
        assert!(!poll(&mut sleep).await);
        event_loop.sleep(Duration::from_secs(5)).await;
        HyperTimer.reset(&mut sleep, began + Duration::from_secs(20));
        sleep.as_mut().await;
        assert_eq!(event_loop.time() - began, Duration::from_secs(20));
        assert!(poll(&mut sleep).await, "it stays over");
        // Anew, and before it is polled.
        HyperTimer.reset(&mut sleep, began + Duration::from_secs(30));
        HyperTimer.reset(&mut sleep, began + Duration::from_secs(25));
        sleep.await;
        assert_eq!(event_loop.time() - began, Duration::from_secs(25));
        HyperTimer.sleep_until(began).await;
        assert_eq!(event_loop.time() - began, Duration::from_secs(25), "a time that is past");
        Ok(())
    });
}

#[test]
fn a_sleep_that_is_dropped_takes_its_timer_back() {
    run(async |event_loop| {
        let before = event_loop.statistics().timers;
        let mut sleep = HyperTimer.sleep(Duration::MAX);
        assert!(!poll(&mut sleep).await);
        assert_eq!(event_loop.statistics().timers, before + 1);
        drop(sleep);
        assert_eq!(event_loop.statistics().timers, before);
        Ok(())
    });
}

/// hyper may drop and move it anywhere, as it is `Send`.
#[test]
fn a_sleep_may_be_dropped_and_moved_on_another_thread() {
    let event_loop = EventLoop::new().unwrap();
    let outcome = event_loop.run(async |event_loop| {
        let before = event_loop.statistics().timers;
        let mut sleep = HyperTimer.sleep(Duration::from_secs(3600));
        let mut moved = HyperTimer.sleep(Duration::from_secs(3600));
        assert!(!poll(&mut sleep).await && !poll(&mut moved).await);
        assert_eq!(event_loop.statistics().timers, before + 2);
        let elsewhere = thread::spawn(move || {
            drop(sleep);
            HyperTimer.reset(&mut moved, Instant::now());
            moved
        });
        let moved = elsewhere.join().expect("no panic");
        while event_loop.statistics().timers > before {
            wharf::yield_now().await;
        }
        moved.await;
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn a_sleep_wakes_who_polled_last() {
    run(async |event_loop| {
        let mut sleep = HyperTimer.sleep(Duration::from_secs(1));
        let mut nobody = Context::from_waker(Waker::noop());
        assert!(sleep.as_mut().poll(&mut nobody).is_pending());
        let began = event_loop.time();
        sleep.await;
        assert_eq!((event_loop.time() - began).as_secs(), 1);
        Ok(())
    });
}

#[test]
fn a_sleep_outlives_its_loop() {
    let network = wharf::testing::MemoryNetwork::new();
    let event_loop = network.event_loop();
    let outcome = event_loop.run(async |_| {
        let mut sleep = HyperTimer.sleep(Duration::from_secs(1));
        assert!(!poll(&mut sleep).await);
        Ok(sleep)
    });
    let mut sleep = outcome.unwrap();
    drop(event_loop);
    HyperTimer.reset(&mut sleep, Instant::now());
    drop(sleep);
    // The system's time, where no loop runs.
    assert!(HyperTimer.now() <= Instant::now());
}

#[test]
#[should_panic(expected = "no event loop is running on this thread")]
fn a_sleep_needs_a_loop() {
    let mut sleep = HyperTimer.sleep(Duration::ZERO);
    let _ = sleep.as_mut().poll(&mut Context::from_waker(Waker::noop()));
}

#[test]
fn what_is_executed_runs_as_a_task_and_its_failure_is_reported() {
    let reports = run_reporting(async |_| {
        let not_send = std::rc::Rc::new(1);
        HyperExecutor.execute(async move { drop(not_send) });
        HyperExecutor.execute(async { Err::<(), Failure>("no luck".into()) });
        HyperExecutor.execute(async { panic!("out of luck") });
        settle().await;
        Ok(())
    });
    assert_eq!(reports.len(), 2, "{reports:?}");
    assert!(reports[0].ends_with("no luck"), "{reports:?}");
    assert!(reports[1].contains("out of luck"), "{reports:?}");
}
