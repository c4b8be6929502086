use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;

/// Longer than any of these tests takes, on any machine.
const LONG: Duration = Duration::from_secs(30);

#[test]
fn work_begins_in_the_order_of_submission() {
    let pool = ThreadPool::new(1);
    let (sender, receiver) = channel();
    for number in 0..100 {
        let sender = sender.clone();
        submit(&pool, move || sender.send(number).unwrap());
    }
    drop(sender);
    assert_eq!(receiver.iter().collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
}

#[test]
fn threads_are_started_on_demand_up_to_the_maximum() {
    let pool = ThreadPool::new(3);
    assert_eq!(metrics(&pool), (0, 0, 0));
    let (begun_sender, begun) = channel();
    let mut gates = Vec::new();
    for number in 0..10 {
        let (gate, entry) = channel::<()>();
        gates.push(gate);
        let begun_sender = begun_sender.clone();
        submit(&pool, move || {
            begun_sender.send(number).unwrap();
            let _ = entry.recv();
        });
    }
    let mut first: Vec<_> = begun.iter().take(3).collect();
    first.sort_unstable();
    assert_eq!(first, [0, 1, 2]);
    assert_eq!(metrics(&pool), (3, 3, 7));
    // Each that ends lets exactly one more begin.
    gates[1] = channel().0;
    assert_eq!(begun.recv().unwrap(), 3);
    assert_eq!(metrics(&pool), (3, 3, 6));
    assert!(begun.try_recv().is_err());
    gates.clear();
    assert!(pool.join(LONG));
    assert_eq!(metrics(&pool), (3, 0, 0));
}

#[test]
fn an_idle_thread_is_used_before_a_new_one_is_started() {
    let pool = ThreadPool::new(8);
    for _ in 0..20 {
        submit(&pool, || {});
        assert!(pool.join(LONG));
    }
    assert_eq!(metrics(&pool), (1, 0, 0));
    assert_eq!(pool.shared.lock().started, 1);
}

#[test]
fn a_maximum_of_no_thread_counts_as_one() {
    let pool = ThreadPool::new(0);
    let (sender, receiver) = channel();
    submit(&pool, move || sender.send(thread::current().name().map(str::to_owned)).unwrap());
    assert_eq!(receiver.recv().unwrap().as_deref(), Some("wharf-executor-0"));
}

#[test]
fn a_panic_does_not_end_the_thread() {
    struct PanicWhenDropped;
    impl Drop for PanicWhenDropped {
        fn drop(&mut self) {
            resume_unwind(Box::new("a panic while a panic's value is dropped"));
        }
    }

    let pool = ThreadPool::new(1);
    submit(&pool, || resume_unwind(Box::new("a panic")));
    submit(&pool, || resume_unwind(Box::new(PanicWhenDropped)));
    let (sender, receiver) = channel();
    submit(&pool, move || sender.send(()).unwrap());
    receiver.recv_timeout(LONG).unwrap();
    assert!(pool.join(LONG));
    assert_eq!(metrics(&pool), (1, 0, 0));
    assert_eq!(pool.shared.lock().started, 1);
}

#[test]
fn a_thread_ends_after_the_keep_alive_and_another_is_started_when_needed() {
    let options = ThreadPoolOptions {
        keep_alive: Some(Duration::from_millis(1)),
        ..ThreadPoolOptions::default()
    };
    let pool = ThreadPool::with_options(options);
    let (sender, receiver) = channel();
    for number in 0..3 {
        let sender = sender.clone();
        submit(&pool, move || sender.send(number).unwrap());
        assert_eq!(receiver.recv_timeout(LONG), Ok(number));
        assert!(pool.shared.wait_until(deadline(LONG), |state| state.threads == 0));
    }
    assert_eq!(pool.shared.lock().started, 3);
}

#[test]
fn the_keep_alive_begins_when_the_work_ends() {
    let keep_alive = Duration::from_millis(20);
    let pool = ThreadPool::with_options(ThreadPoolOptions {
        keep_alive: Some(keep_alive),
        ..ThreadPoolOptions::default()
    });
    let (gate, entry) = channel::<()>();
    let (sender, receiver) = channel();
    submit(&pool, move || {
        entry.recv_timeout(keep_alive * 2).unwrap_err();
        sender.send(Instant::now()).unwrap();
    });
    let ended = receiver.recv_timeout(LONG).unwrap();
    assert!(pool.shared.wait_until(deadline(LONG), |state| state.threads == 0));
    assert!(ended.elapsed() >= keep_alive);
    drop(gate);
}

#[test]
fn shutdown_ends_idle_threads() {
    let pool = ThreadPool::with_options(ThreadPoolOptions {
        keep_alive: Some(Duration::MAX),
        ..ThreadPoolOptions::default()
    });
    submit(&pool, || {});
    assert!(pool.join(LONG));
    assert_eq!(metrics(&pool), (1, 0, 0));
    pool.shutdown();
    assert!(pool.join(LONG));
    assert_eq!(metrics(&pool), (0, 0, 0));
}

#[test]
fn the_queue_limit_counts_only_work_that_no_thread_takes_at_once() {
    let options =
        ThreadPoolOptions { max_threads: 2, queue_limit: Some(1), ..ThreadPoolOptions::default() };
    let pool = ThreadPool::with_options(options);
    let (gates, jobs): (Vec<_>, Vec<_>) = (0..3).map(|_| submit_blocked(&pool)).unzip();
    let rejected = pool.submit(Box::new(|| {})).unwrap_err();
    assert!(matches!(rejected.reason, RejectReason::QueueFull { limit: 1 }), "{rejected:?}");
    // A cancelled job makes room.
    assert!(jobs[2].cancel().is_some());
    pool.submit(rejected.work).unwrap();
    pool.submit(Box::new(|| {})).unwrap_err();
    drop(gates);
    assert!(pool.join(LONG));
    submit(&pool, || {});
}

#[test]
fn a_queue_limit_of_nothing_takes_what_can_begin_at_once() {
    let options =
        ThreadPoolOptions { max_threads: 2, queue_limit: Some(0), ..ThreadPoolOptions::default() };
    let pool = ThreadPool::with_options(options);
    for _ in 0..10 {
        let (first_gate, _) = submit_blocked(&pool);
        let (second_gate, _) = submit_blocked(&pool);
        pool.submit(Box::new(|| {})).unwrap_err();
        drop((first_gate, second_gate));
        assert!(pool.join(LONG));
    }
}

#[test]
fn cancelled_work_leaves_the_queue_and_is_never_begun() {
    let pool = ThreadPool::new(1);
    let (gate, running) = submit_running(&pool);
    let begun = Arc::new(AtomicBool::new(false));
    let cancelled = {
        let begun = Arc::clone(&begun);
        submit(&pool, move || begun.store(true, Ordering::SeqCst))
    };
    let (sender, receiver) = channel();
    submit(&pool, move || sender.send(()).unwrap());
    assert_eq!(metrics(&pool), (1, 1, 2));

    assert!(running.cancel().is_none());
    assert!(cancelled.cancel().is_some());
    assert_eq!(metrics(&pool), (1, 1, 1));
    assert!(cancelled.cancel().is_none());
    drop(gate);
    receiver.recv_timeout(LONG).unwrap();
    assert!(!begun.load(Ordering::SeqCst));
}

#[test]
fn shutdown_gives_back_what_had_not_begun_and_refuses_more() {
    let pool = ThreadPool::new(1);
    let (gate, _) = submit_running(&pool);
    let (sender, receiver) = channel();
    for number in 0..5 {
        let sender = sender.clone();
        submit(&pool, move || sender.send(number).unwrap());
    }

    let not_begun = pool.shutdown();
    assert_eq!(metrics(&pool), (1, 1, 0));
    let rejected = pool.submit(Box::new(|| {})).unwrap_err();
    assert!(matches!(rejected.reason, RejectReason::ShutDown), "{rejected:?}");
    drop(gate);
    assert!(pool.join(LONG));
    assert_eq!(metrics(&pool), (0, 0, 0));
    assert!(receiver.try_recv().is_err());

    // They are what was queued, in order.
    assert_eq!(not_begun.len(), 5);
    not_begun.into_iter().for_each(|work| work());
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert!(pool.shutdown().is_empty());
}

#[test]
fn join_gives_up_after_the_timeout() {
    let pool = ThreadPool::new(1);
    assert!(pool.join(Duration::ZERO));
    let (gate, _) = submit_running(&pool);
    pool.shutdown();
    let before = Instant::now();
    assert!(!pool.join(Duration::from_millis(20)));
    assert!(before.elapsed() >= Duration::from_millis(20));
    assert!(!pool.join(Duration::ZERO));
    drop(gate);
    assert!(pool.join(Duration::MAX));
}

#[test]
fn join_before_shutdown_waits_for_the_queue() {
    let pool = ThreadPool::new(2);
    let done = Arc::new(AtomicUsize::new(0));
    for _ in 0..100 {
        let done = Arc::clone(&done);
        submit(&pool, move || {
            done.fetch_add(1, Ordering::SeqCst);
        });
    }
    assert!(pool.join(LONG));
    assert_eq!(done.load(Ordering::SeqCst), 100);
}

#[test]
fn a_refused_thread_is_an_error_only_if_there_is_no_other() {
    let threads_allowed = Arc::new(AtomicUsize::new(0));
    let pool = {
        let threads_allowed = Arc::clone(&threads_allowed);
        ThreadPool::with_spawn(
            ThreadPoolOptions { max_threads: 4, ..ThreadPoolOptions::default() },
            Box::new(move |name, main| {
                threads_allowed
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
                    .map_err(|_| io::Error::from(io::ErrorKind::WouldBlock))?;
                thread::Builder::new().name(name).spawn(main).map(drop)
            }),
        )
    };
    let rejected = pool.submit(Box::new(|| {})).unwrap_err();
    let RejectReason::NoThread(error) = &rejected.reason else { panic!("{rejected:?}") };
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    assert_eq!(metrics(&pool), (0, 0, 0));

    threads_allowed.store(1, Ordering::SeqCst);
    let (gate, _) = submit_blocked(&pool);
    let (sender, receiver) = channel();
    submit(&pool, move || sender.send(()).unwrap());
    assert_eq!(metrics(&pool).0, 1);
    drop(gate);
    receiver.recv_timeout(LONG).unwrap();
}

#[test]
fn no_thread_outlives_the_pool_and_its_work() {
    struct Counted(Arc<AtomicUsize>, Sender<()>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
            let _ = self.1.send(());
        }
    }

    let alive = Arc::new(AtomicUsize::new(0));
    let (ended_sender, ended) = channel();
    let pool = {
        let alive = Arc::clone(&alive);
        ThreadPool::with_spawn(
            ThreadPoolOptions {
                max_threads: 4,
                keep_alive: Some(Duration::MAX),
                ..Default::default()
            },
            Box::new(move |name, main| {
                alive.fetch_add(1, Ordering::SeqCst);
                let counted = Counted(Arc::clone(&alive), ended_sender.clone());
                let main = move || {
                    let _counted = counted;
                    main();
                };
                thread::Builder::new().name(name).spawn(main).map(drop)
            }),
        )
    };
    let mut gates: Vec<_> = (0..4).map(|_| submit_blocked(&pool).0).collect();
    assert_eq!(alive.load(Ordering::SeqCst), 4);
    let shared = Arc::downgrade(&pool.shared);
    // Idle, running and never begun at once.
    gates.truncate(2);
    for _ in 0..50 {
        submit(&pool, || {});
    }
    drop(pool);
    drop(gates);
    for _ in 0..4 {
        ended.recv_timeout(LONG).unwrap();
    }
    assert_eq!(alive.load(Ordering::SeqCst), 0);
    assert!(shared.upgrade().is_none());
}

#[test]
fn all_work_is_run_or_given_back_exactly_once() {
    const SUBMITTERS: usize = 4;
    const EACH: usize = 1000;
    let options = ThreadPoolOptions {
        max_threads: 3,
        keep_alive: Some(Duration::ZERO),
        queue_limit: Some(50),
        ..Default::default()
    };
    let pool = ThreadPool::with_options(options);
    let run = Arc::new(AtomicUsize::new(0));
    let given_back = AtomicUsize::new(0);
    thread::scope(|scope| {
        for submitter in 0..SUBMITTERS {
            let (pool, run, given_back) = (&pool, &run, &given_back);
            scope.spawn(move || {
                for number in 0..EACH {
                    let run = Arc::clone(run);
                    let work = move || {
                        run.fetch_add(1, Ordering::SeqCst);
                    };
                    let back = match pool.submit(Box::new(work)) {
                        Err(rejected) => Some(rejected.work),
                        Ok(job) if (submitter + number) % 3 == 0 => job.cancel(),
                        Ok(_) => None,
                    };
                    given_back.fetch_add(usize::from(back.is_some()), Ordering::SeqCst);
                }
            });
        }
    });
    assert!(pool.join(LONG));
    assert!(pool.shared.wait_until(deadline(LONG), |state| state.threads == 0));
    assert!(run.load(Ordering::SeqCst) > 0);
    assert_eq!(run.load(Ordering::SeqCst) + given_back.load(Ordering::SeqCst), SUBMITTERS * EACH);
}

#[test]
fn reasons_are_readable() {
    assert_eq!(RejectReason::ShutDown.to_string(), "the executor has been shut down");
    assert_eq!(
        RejectReason::QueueFull { limit: 7 }.to_string(),
        "all threads of the executor are busy and its queue is full (7)"
    );
    let reason = RejectReason::NoThread(io::Error::from(io::ErrorKind::OutOfMemory));
    assert_eq!(reason.to_string(), "the executor cannot start a thread");
    assert_eq!(error::Error::source(&reason).unwrap().to_string(), "out of memory");
}

fn submit(pool: &ThreadPool, work: impl FnOnce() + Send + 'static) -> Job {
    pool.submit(Box::new(work)).unwrap()
}

/// Submits work that runs until the gate is dropped.
fn submit_blocked(pool: &ThreadPool) -> (Sender<()>, Job) {
    let (gate, entry): (Sender<()>, Receiver<()>) = channel();
    let job = submit(pool, move || {
        let _ = entry.recv();
    });
    (gate, job)
}

/// Submits work that has begun, and runs until the gate is dropped.
fn submit_running(pool: &ThreadPool) -> (Sender<()>, Job) {
    let (gate, entry): (Sender<()>, Receiver<()>) = channel();
    let (begun_sender, begun) = channel();
    let job = submit(pool, move || {
        begun_sender.send(()).unwrap();
        let _ = entry.recv();
    });
    begun.recv_timeout(LONG).unwrap();
    (gate, job)
}

/// Threads, running, waiting.
fn metrics(pool: &ThreadPool) -> (usize, usize, usize) {
    let ExecutorStatistics { threads, running, waiting } = pool.statistics();
    (threads, running, waiting)
}
