//! Threads that ask everything of a loop, in any order, while it closes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use wharf::testing::unfenced_panics;
use wharf::{CapacityLimiter, EventLoop, Executor, Remote, RemoteSender};

use crate::probes::{PATIENCE, reports};

const THREADS: u64 = 4;

/// A value that is counted as long as it lives.
struct Counted(Arc<AtomicIsize>);

impl Counted {
    fn new(alive: &Arc<AtomicIsize>) -> Self {
        alive.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(alive))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Numbers that are the same for the same seed (xorshift).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// What the threads have of the loop.
#[derive(Clone)]
struct Ways {
    remote: Remote,
    sender: RemoteSender<Counted>,
    executor: Executor,
    alive: Arc<AtomicIsize>,
}

/// Asks one thing after another, until the loop is closed.
fn ask(ways: &Ways, mut random: Random) {
    while !ways.remote.is_closed() {
        let value = Counted::new(&ways.alive);
        match random.below(5) {
            0 => drop(ways.sender.try_send(value)),
            1 => drop(ways.sender.send_blocking(value)),
            2 => {
                let mut send = ways.sender.send(value);
                let _ = Pin::new(&mut send).poll(&mut Context::from_waker(Waker::noop()));
            }
            way => {
                let (yields, executor) = (random.below(4), ways.executor.clone());
                let uses_a_thread = way == 3;
                let task = ways.remote.spawn(async move |event_loop| {
                    for _ in 0..yields {
                        wharf::yield_now().await;
                    }
                    if uses_a_thread {
                        return event_loop.run_in(&executor, move || value).await;
                    }
                    Ok(value)
                });
                match random.below(5) {
                    0 => drop(task),
                    1 => task.detach(),
                    2 => {
                        task.cancel();
                        drop(task.wait_timeout(PATIENCE).expect("it is told"));
                    }
                    3 => drop(task.wait_timeout(Duration::from_micros(50))),
                    _ => drop(task.wait_timeout(PATIENCE).expect("it ends")),
                }
            }
        }
    }
}

#[test]
fn threads_that_ask_everything_of_a_loop_that_closes_all_end_and_no_value_is_lost() {
    for seed in 0..20 {
        let event_loop = EventLoop::new().unwrap();
        let reports = reports(&event_loop);
        let alive = Arc::new(AtomicIsize::new(0));
        let (sender, receiver) = event_loop.create_channel(3);
        let executor = Executor::new(2);
        let ways = Ways {
            remote: event_loop.remote(),
            sender,
            executor: executor.clone(),
            alive: Arc::clone(&alive),
        };
        let threads: Vec<_> = (0..THREADS)
            .map(|number| {
                let ways = ways.clone();
                thread::spawn(move || ask(&ways, Random::new(seed * THREADS + number)))
            })
            .collect();
        drop(ways);
        receiver.on_message(drop).detach();
        let limiter = CapacityLimiter::new(&event_loop, 1);
        // It does something of its own besides, and closes at some point of it.
        let stopped = event_loop.run_until_complete(async {
            for _ in 0..20 + 10 * seed {
                let job = event_loop.create_job(|_| ()).executor(&executor).limiter(&limiter);
                job.await.unwrap();
            }
        });
        stopped.unwrap();
        event_loop.close().unwrap();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(executor.shutdown(PATIENCE));
        assert_eq!(alive.load(Ordering::SeqCst), 0, "seed {seed}");
        assert_eq!((limiter.borrowed_tokens(), limiter.waiting()), (0, 0));
        assert_eq!(reports.len(), 0, "{:?}", reports.entries());
    }
    assert_eq!(unfenced_panics(), 0);
}
