//! Other threads.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use wharf::{EventLoop, Remote};

use crate::serving::{Echo, LIMIT, Seen, address, run, run_on, until};

const THREADS: usize = 4;
const CALLS: usize = 100_000;

thread_local! {
    /// What each thread's calls have brought, on the loop's thread.
    static ARRIVED: RefCell<Vec<usize>> = RefCell::new(vec![0; THREADS]);
}

fn arrived() -> usize {
    ARRIVED.with_borrow(|arrived| arrived.iter().sum())
}

#[test]
fn calls_of_four_threads_all_arrive_each_threads_in_order() {
    run(async |event_loop| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let remote = event_loop.remote();
                thread::spawn(move || {
                    for call in 0..CALLS {
                        remote
                            .call_soon_threadsafe(move |_| {
                                ARRIVED.with_borrow_mut(|arrived| {
                                    assert_eq!(arrived[thread], call, "out of order");
                                    arrived[thread] += 1;
                                });
                            })
                            .expect("the loop is open");
                    }
                })
            })
            .collect();
        until(&event_loop, "all calls", || arrived() == THREADS * CALLS).await;
        for thread in threads {
            thread.join().expect("no panic");
        }
        assert_eq!(ARRIVED.with_borrow(Clone::clone), [CALLS; THREADS]);
        assert_eq!(event_loop.statistics().exceptions, 0);
        Ok(())
    });
}

/// Calls again and again, each time when the last call has run, until the loop takes no more.
/// Gives the number of calls that have run.
fn call_until_refused(remote: &Remote) -> usize {
    let mut run = 0;
    loop {
        let (answer, answered) = mpsc::channel();
        let asked = remote.call_soon_threadsafe(move |_| answer.send(()).expect("somebody waits"));
        if asked.is_err() {
            return run;
        }
        // A call that the closing loop drops is an answer too.
        run += usize::from(answered.recv_timeout(LIMIT) != Err(RecvTimeoutError::Disconnected));
    }
}

#[test]
fn a_thread_that_waits_for_each_call_always_wakes_the_loop_until_it_is_closed() {
    let event_loop = EventLoop::new().expect("a loop");
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let remote = event_loop.remote();
            thread::spawn(move || {
                let run = call_until_refused(&remote);
                assert!(remote.is_closed());
                run
            })
        })
        .collect();
    run_on(&event_loop, async |event_loop| {
        let callbacks = event_loop.statistics().callbacks;
        let enough = || event_loop.statistics().callbacks - callbacks > 20_000;
        until(&event_loop, "twenty thousand calls", enough).await;
        Ok(())
    });
    event_loop.close().expect("it does not run");
    let run: usize = threads.into_iter().map(|thread| thread.join().expect("no panic")).sum();
    assert!(run > 10_000, "{run}");
}

#[test]
fn threads_that_call_without_end_keep_the_loop_neither_from_its_timers_nor_from_its_sockets() {
    run(async |event_loop| {
        let seen = Seen::new();
        let server = event_loop.create_server(|| Echo, "127.0.0.1:0").await?;
        let client = event_loop.create_connection(seen.watcher(), address(&server)).await?;
        let stop = Arc::new(AtomicBool::new(false));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (remote, stop) = (event_loop.remote(), Arc::clone(&stop));
                thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        remote.call_soon_threadsafe(|_| ()).expect("the loop is open");
                    }
                })
            })
            .collect();
        let ticks = event_loop.statistics().ticks;
        for round in 1..=10 {
            event_loop.sleep(Duration::from_millis(10)).await;
            client.with(|_, transport| transport.write(b"x"))?;
            until(&event_loop, "the echo", || seen.received.borrow().len() == round).await;
        }
        stop.store(true, Ordering::Relaxed);
        for thread in threads {
            thread.join().expect("no panic");
        }
        assert!(event_loop.statistics().ticks - ticks >= 30);
        Ok(())
    });
}
