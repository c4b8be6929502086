//! `interval`.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use wharf::testing::{advance, step};
use wharf::{MissedTickBehavior, interval, interval_at, move_on_after, sleep, timeout};

use crate::loops::{memory_loop, settle};

use super::{nothing_is_left, run, seconds};

#[test]
fn an_interval_ticks_now_and_then_once_a_period() {
    run(async |event_loop| {
        let began = event_loop.time();
        let mut ticks = interval(seconds(10));
        assert_eq!(ticks.period(), seconds(10));
        for tick in 0..5 {
            assert_eq!(ticks.when(), began + seconds(10 * tick));
            assert_eq!(ticks.tick().await, began + seconds(10 * tick));
            assert_eq!(event_loop.time(), began + seconds(10 * tick));
            // Work in between moves nothing.
            sleep(seconds(tick)).await;
        }
        let start = event_loop.time() + seconds(7);
        let mut ticks = interval_at(start, seconds(1));
        assert_eq!(ticks.tick().await, start);
        assert_eq!(event_loop.time(), start);
        Ok(())
    });
}

#[test]
fn missed_ticks_are_made_up_for_delayed_or_skipped() {
    run(async |event_loop| {
        for (behavior, expected) in [
            (MissedTickBehavior::Burst, [10, 20, 30, 40]),
            (MissedTickBehavior::Delay, [10, 35, 45, 55]),
            (MissedTickBehavior::Skip, [10, 30, 40, 50]),
        ] {
            let began = event_loop.time();
            let mut ticks = event_loop.interval_at(began + seconds(10), seconds(10));
            ticks.set_missed_tick_behavior(behavior);
            assert_eq!(ticks.missed_tick_behavior(), behavior);
            sleep(seconds(25)).await;
            for due in expected {
                assert_eq!(ticks.tick().await - began, seconds(due), "{behavior:?}");
                assert!(event_loop.time() - began >= seconds(due), "{behavior:?} was early");
            }
        }
        Ok(())
    });
}

#[test]
fn a_tick_that_is_dropped_while_it_waits_is_not_lost() {
    run(async |event_loop| {
        let began = event_loop.time();
        let mut ticks = interval_at(began + seconds(10), seconds(10));
        for _ in 0..7 {
            assert!(move_on_after(seconds(1), ticks.tick()).await.is_none());
        }
        assert_eq!(ticks.tick().await, began + seconds(10));
        // Given up just when it was due: it still comes.
        assert!(timeout(seconds(9), ticks.tick()).await.is_err());
        sleep(seconds(5)).await;
        assert_eq!(ticks.tick().await, began + seconds(20));
        assert_eq!(ticks.tick().await, began + seconds(30));
        Ok(())
    });
}

#[test]
fn an_interval_always_leaves_room_for_others() {
    let event_loop = memory_loop();
    let task = event_loop.create_task({
        let event_loop = event_loop.clone();
        async move {
            let mut ticks = event_loop.interval(Duration::ZERO);
            loop {
                ticks.tick().await;
            }
        }
    });
    for _ in 0..3 {
        step(&event_loop).unwrap();
    }
    assert!(!task.is_done());
    task.cancel();
    // Missed ticks, too: one in each of the loop's ticks.
    let mut ticks = event_loop.interval_at(event_loop.time() - seconds(0), seconds(1));
    advance(&event_loop, seconds(5)).unwrap();
    for _ in 0..6 {
        let pending = poll_fn(|context| Poll::Ready(ticks.poll_tick(context).is_pending()));
        assert!(event_loop.run_until_complete(pending).unwrap());
        settle(&event_loop).unwrap();
        event_loop.run_until_complete(ticks.tick()).unwrap();
    }
    drop(ticks);
    nothing_is_left(&event_loop);
}

#[test]
fn an_interval_can_be_reset() {
    run(async |event_loop| {
        let began = event_loop.time();
        let mut ticks = interval(seconds(10));
        ticks.tick().await;
        assert!(move_on_after(seconds(4), ticks.tick()).await.is_none());
        ticks.reset();
        assert_eq!(ticks.tick().await - began, seconds(14));
        ticks.reset_at(began + seconds(20));
        assert_eq!(ticks.tick().await - began, seconds(20));
        assert_eq!(ticks.tick().await - began, seconds(30));
        Ok(())
    });
}

#[test]
fn whoever_polls_an_interval_is_woken_also_when_it_is_reset_afterwards() {
    run(async |event_loop| {
        let began = event_loop.time();
        for (reset, due) in [(15, 15), (5, 5), (0, 0)] {
            let mut ticks = event_loop.interval_at(began + seconds(1000), seconds(10));
            let began = event_loop.time();
            let mut is_reset = false;
            let ticked = poll_fn(|context| {
                let polled = ticks.poll_tick(context);
                if !std::mem::replace(&mut is_reset, true) {
                    assert!(polled.is_pending());
                    // As for keep-alives, when something was received.
                    ticks.reset_at(began + seconds(reset));
                }
                polled
            });
            let ticked = timeout(seconds(100), ticked).await?;
            assert_eq!(ticked - began, seconds(due));
            assert_eq!(event_loop.time(), ticked);
            assert_eq!(ticks.when() - began, seconds(due + 10));
        }
        Ok(())
    });
}

#[test]
fn an_interval_that_is_dropped_takes_its_timer_back() {
    let event_loop = memory_loop();
    let mut ticks = event_loop.interval_at(event_loop.time() + seconds(1), seconds(1));
    assert_eq!(event_loop.statistics().timers, 0, "nobody waits");
    event_loop
        .run_until_complete(poll_fn(|context| {
            assert!(ticks.poll_tick(context).is_pending());
            Poll::Ready(())
        }))
        .unwrap();
    assert_eq!(event_loop.statistics().timers, 1);
    drop(ticks);
    nothing_is_left(&event_loop);
}
