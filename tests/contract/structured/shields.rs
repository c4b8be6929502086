//! `shield`.

use std::future::pending;

use wharf::testing::advance;
use wharf::{Failure, shield, sleep, timeout};

use super::{nothing_is_left, run, seconds};
use crate::loops::{memory_loop, settle};
use crate::probes::{Log, reports};

// 293.
#[test]
fn shielded_work_goes_on_when_its_waiter_is_dropped() {
    run(async |event_loop| {
        let log = Log::default();
        let (work, guard) = (log.clone(), log.adds_on_drop("its end"));
        let work = async move {
            let _guard = guard;
            sleep(seconds(3)).await;
            work.add("done");
            9
        };
        assert!(timeout(seconds(1), shield(seconds(5), work)).await.is_err());
        assert_eq!(log.len(), 0);
        sleep(seconds(2)).await;
        wharf::yield_now().await;
        assert_eq!(log.entries(), ["done", "its end"]);
        assert_eq!(event_loop.statistics().timers, 0, "no bound is left");
        // Who waits gets what it gives.
        let shielded = shield(seconds(0), async { 7 });
        assert!(!shielded.is_done());
        assert_eq!(shielded.await?, 7);
        Ok(())
    });
}

// 293.
#[test]
fn the_bound_of_a_shield_counts_from_when_nobody_waits() {
    let event_loop = memory_loop();
    let (log, reports) = (Log::default(), reports(&event_loop));
    let guard = log.adds_on_drop("given up");
    let shielded = event_loop.shield(seconds(5), async move {
        let _guard = guard;
        pending::<()>().await;
    });
    advance(&event_loop, seconds(100)).unwrap();
    assert_eq!(log.len(), 0, "somebody may still wait");
    drop(shielded);
    advance(&event_loop, seconds(4)).unwrap();
    assert_eq!(log.len(), 0);
    advance(&event_loop, seconds(1)).unwrap();
    assert_eq!(log.entries(), ["given up"]);
    let told = "a shielded future was given up: what was awaited took too long";
    assert_eq!(reports.entries(), [told]);
    nothing_is_left(&event_loop);
}

// 293.
#[test]
fn a_later_error_of_shielded_work_is_reported_once() {
    let event_loop = memory_loop();
    let reports = reports(&event_loop);
    let sleeper = event_loop.clone();
    let fails = async move {
        sleeper.sleep(seconds(1)).await;
        Err::<(), Failure>("too late".into())
    };
    drop(event_loop.shield(seconds(5), fails));
    let sleeper = event_loop.clone();
    drop(event_loop.shield(seconds(5), async move {
        sleeper.sleep(seconds(2)).await;
        panic!("on purpose");
    }));
    advance(&event_loop, seconds(10)).unwrap();
    assert_eq!(
        reports.entries(),
        ["a shielded future failed: too late", "a shielded future panicked: on purpose",]
    );
    nothing_is_left(&event_loop);
    // It was done, and nobody had looked.
    let shielded = event_loop.shield(seconds(5), async { Err::<(), Failure>("unseen".into()) });
    settle(&event_loop).unwrap();
    drop(shielded);
    assert_eq!(reports.take().last().unwrap(), "a shielded future failed: unseen");

    // Who waits gets the error, and nobody else does.
    let shielded = event_loop.shield(seconds(5), async { panic!("told") });
    let error = event_loop.run_until_complete(shielded).unwrap().unwrap_err();
    assert!(error.is_panic());
    assert_eq!(reports.len(), 0);
}

// 293.
#[test]
fn the_end_of_the_loop_ends_shielded_work_and_its_waiter() {
    let (event_loop, other) = (memory_loop(), memory_loop());
    let log = Log::default();
    let guard = log.adds_on_drop("dropped");
    let shielded = event_loop.shield(seconds(5), async move {
        let _guard = guard;
        pending::<()>().await;
    });
    settle(&event_loop).unwrap();
    event_loop.close().unwrap();
    assert_eq!(log.entries(), ["dropped"]);
    assert!(other.run_until_complete(shielded).unwrap().unwrap_err().is_cancelled());
    let refused = event_loop.shield(seconds(5), async {});
    assert!(other.run_until_complete(refused).unwrap().is_err());
}

#[test]
fn a_shield_that_is_dropped_when_it_is_done_leaves_nothing() {
    let event_loop = memory_loop();
    let log = Log::default();
    let output = log.adds_on_drop("output dropped");
    let shielded = event_loop.shield(seconds(5), async move { output });
    settle(&event_loop).unwrap();
    assert!(shielded.is_done());
    assert_eq!(log.len(), 0);
    drop(shielded);
    assert_eq!(log.entries(), ["output dropped"]);
    nothing_is_left(&event_loop);
}
