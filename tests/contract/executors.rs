//! Pools of one's own, work that is told when nobody waits, and limits.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{self, ThreadId};
use std::time::Duration;

use wharf::testing::settle;
use wharf::{CapacityLimiter, EventLoop, Executor, LoopFuture};

use crate::executor::{gated, narrow_loop};
use crate::loops::memory_loop;
use crate::probes::{PATIENCE, complete, reports, step_until};

/// Notes on which thread it is dropped.
struct Dropped(Arc<Mutex<Vec<ThreadId>>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.lock().unwrap().push(thread::current().id());
    }
}

fn threads() -> (Arc<Mutex<Vec<ThreadId>>>, impl Fn() -> Dropped) {
    let threads = Arc::new(Mutex::new(Vec::new()));
    let dropped = Arc::clone(&threads);
    (threads, move || Dropped(Arc::clone(&dropped)))
}

#[test]
fn jobs_run_on_the_pool_that_they_are_given_and_loops_share_it() {
    let executor = Executor::builder().max_threads(1).thread_name("tools").build().unwrap();
    let name = || thread::current().name().map(str::to_owned);
    let loops = [(), ()].map(|()| {
        let executor = executor.clone();
        thread::spawn(move || {
            let event_loop = EventLoop::new().unwrap();
            for _ in 0..100 {
                let named = complete(&event_loop, event_loop.run_in(&executor, name)).unwrap();
                assert_eq!(named.as_deref(), Some("tools-0"));
            }
        })
    });
    for event_loop in loops {
        event_loop.join().unwrap();
    }
    let event_loop = EventLoop::new().unwrap();
    let own = complete(&event_loop, event_loop.run_in_executor(name)).unwrap();
    assert_eq!(own.as_deref(), Some("wharf-executor-0"));
    assert_eq!(executor.statistics().threads, 1);
    assert!(executor.shutdown(PATIENCE));
    assert_eq!(executor.statistics().threads, 0);
}

#[test]
fn an_executor_refuses_work_when_its_queue_is_full_and_after_its_shutdown() {
    let executor = Executor::builder().max_threads(1).queue_limit(1).build().unwrap();
    let event_loop = EventLoop::new().unwrap();
    let (begun, end, job) = gated();
    let running = event_loop.run_in(&executor, job);
    begun.recv_timeout(PATIENCE).unwrap();
    let waiting = event_loop.run_in(&executor, || 2);
    let statistics = executor.statistics();
    assert_eq!((statistics.threads, statistics.running, statistics.waiting), (1, 1, 1));
    let refused = complete(&event_loop, event_loop.run_in(&executor, || 3)).unwrap_err();
    assert!(refused.is_queue_full(), "{refused}");
    end.send(()).unwrap();
    complete(&event_loop, running).unwrap();
    assert_eq!(complete(&event_loop, waiting).unwrap(), 2);
    assert!(executor.shutdown(PATIENCE));
    for event_loop in [event_loop, memory_loop()] {
        let refused = complete(&event_loop, event_loop.run_in(&executor, || 4)).unwrap_err();
        assert!(refused.is_closed(), "{refused}");
    }
}

#[test]
fn an_executors_options_that_make_no_sense_are_refused() {
    let zero = Executor::builder().keep_alive(Duration::ZERO).build().unwrap_err();
    assert!(zero.is_invalid(), "{zero}");
    let name = Executor::builder().thread_name("a\0b").build().unwrap_err();
    assert!(name.is_invalid(), "{name}");
    // None is at least one.
    let one = Executor::builder().max_threads(0).keep_alive(None).queue_limit(None).build();
    let event_loop = EventLoop::new().unwrap();
    assert_eq!(complete(&event_loop, event_loop.run_in(&one.unwrap(), || 1)).unwrap(), 1);
}

#[test]
fn jobs_that_another_thread_shuts_down_before_they_begin_end_cancelled_and_are_dropped_on_the_loops()
 {
    let executor = Executor::new(1);
    let event_loop = EventLoop::new().unwrap();
    let (begun, end, job) = gated();
    let running = event_loop.run_in(&executor, job);
    begun.recv_timeout(PATIENCE).unwrap();
    let (dropped, guard) = threads();
    let guard = guard();
    let never = event_loop.run_in(&executor, move || drop(guard));
    let shutting = executor.clone();
    assert!(!thread::spawn(move || shutting.shutdown(Duration::ZERO)).join().unwrap());
    assert!(complete(&event_loop, never).unwrap_err().is_cancelled());
    step_until(&event_loop, || !dropped.lock().unwrap().is_empty());
    assert_eq!(*dropped.lock().unwrap(), [thread::current().id()]);
    end.send(()).unwrap();
    complete(&event_loop, running).unwrap();
}

#[test]
fn a_shutdown_by_the_loops_own_thread_cancels_what_has_not_begun() {
    let executor = Executor::new(1);
    let event_loop = EventLoop::new().unwrap();
    let (begun, end, job) = gated();
    let running = event_loop.run_in(&executor, job);
    begun.recv_timeout(PATIENCE).unwrap();
    let never = event_loop.run_in(&executor, || ());
    assert!(!executor.shutdown(Duration::ZERO));
    assert!(complete(&event_loop, never).unwrap_err().is_cancelled());
    // The loop's own pool knows nothing of it.
    assert!(event_loop.shutdown_default_executor(Duration::ZERO));
    end.send(()).unwrap();
    complete(&event_loop, running).unwrap();
}

#[test]
fn shutting_the_loops_own_pool_down_leaves_jobs_of_others_alone() {
    let executor = Executor::new(1);
    let event_loop = narrow_loop();
    let (begun, end, job) = gated();
    let running = event_loop.run_in(&executor, job);
    begun.recv_timeout(PATIENCE).unwrap();
    let waiting = event_loop.run_in(&executor, || 5);
    complete(&event_loop, event_loop.run_in_executor(|| ())).unwrap();
    assert!(event_loop.shutdown_default_executor(PATIENCE));
    end.send(()).unwrap();
    complete(&event_loop, running).unwrap();
    assert_eq!(complete(&event_loop, waiting).unwrap(), 5);
}

#[test]
fn what_was_handed_to_an_executor_is_done_also_when_it_is_dropped() {
    let executor = Executor::new(1);
    let event_loop = EventLoop::new().unwrap();
    let (begun, end, job) = gated();
    let running = event_loop.run_in(&executor, job);
    begun.recv_timeout(PATIENCE).unwrap();
    let waiting = event_loop.run_in(&executor, || 7);
    drop(executor);
    end.send(()).unwrap();
    complete(&event_loop, running).unwrap();
    assert_eq!(complete(&event_loop, waiting).unwrap(), 7);
}

/// The name of the thread that a job runs on.
fn thread_name() -> Option<String> {
    thread::current().name().map(str::to_owned)
}

fn named_executor(name: &str) -> Executor {
    Executor::builder().max_threads(1).thread_name(name).build().unwrap()
}

#[test]
fn jobs_run_on_the_default_executor_unless_they_are_given_another() {
    let event_loop = EventLoop::new().unwrap();
    let (first, second) = (named_executor("first"), named_executor("second"));
    let named =
        |future: LoopFuture<Option<String>>| complete(&event_loop, future).unwrap().unwrap();
    event_loop.set_default_executor(&first);
    assert_eq!(named(event_loop.run_in_executor(thread_name)), "first-0");
    assert_eq!(named(event_loop.create_job(|_| thread_name()).start()), "first-0");
    let limiter = CapacityLimiter::new(&event_loop, 1);
    let job = event_loop.create_job(|_| thread_name()).limiter(&limiter);
    assert_eq!(named(job.start()), "first-0");
    let job = event_loop.create_job(|_| thread_name()).executor(&second);
    assert_eq!(named(job.start()), "second-0");
    assert_eq!(named(event_loop.run_in(&second, thread_name)), "second-0");
    event_loop.set_default_executor(&second);
    assert_eq!(named(event_loop.run_in_executor(thread_name)), "second-0");
    event_loop.set_default_executor(None);
    assert_eq!(named(event_loop.run_in_executor(thread_name)), "wharf-executor-0");
}

#[test]
fn a_job_stays_on_the_executor_that_was_the_default_when_it_was_handed_in() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.set_default_executor(&named_executor("first"));
    let (begun, end, job) = gated();
    let running = event_loop.run_in_executor(job);
    begun.recv_timeout(PATIENCE).unwrap();
    let waiting = event_loop.run_in_executor(thread_name);
    // The loop had the last clone of the first one.
    event_loop.set_default_executor(&named_executor("second"));
    let later = event_loop.run_in_executor(thread_name);
    assert_eq!(complete(&event_loop, later).unwrap().as_deref(), Some("second-0"));
    end.send(()).unwrap();
    complete(&event_loop, running).unwrap();
    assert_eq!(complete(&event_loop, waiting).unwrap().as_deref(), Some("first-0"));
}

#[test]
fn a_loop_that_ends_waits_for_its_jobs_on_the_default_executor_and_leaves_that_to_others() {
    let executor = Executor::new(2);
    let (others_begun, others_end, others_job) = gated();
    let other = EventLoop::new().unwrap();
    let others = other.run_in(&executor, others_job);
    others_begun.recv_timeout(PATIENCE).unwrap();

    let event_loop = EventLoop::new().unwrap();
    event_loop.set_default_executor(&executor);
    let (begun, end, job) = gated();
    let running = event_loop.run_in_executor(job);
    begun.recv_timeout(PATIENCE).unwrap();
    let never = event_loop.run_in_executor(|| ());
    assert!(!event_loop.shutdown_default_executor(Duration::ZERO), "one runs");
    assert!(complete(&event_loop, never).unwrap_err().is_cancelled());
    end.send(()).unwrap();
    assert!(
        event_loop.shutdown_default_executor(PATIENCE),
        "that of the other loop is not waited for"
    );
    complete(&event_loop, running).unwrap();
    // It is still the default.
    assert_eq!(complete(&event_loop, event_loop.run_in_executor(|| 5)).unwrap(), 5);
    assert_eq!(executor.statistics().threads, 2);

    let (ended, has_ended) = mpsc::channel();
    let (begun, has_begun) = mpsc::channel();
    event_loop.create_job(until_cancelled(begun, ended)).start().detach();
    has_begun.recv_timeout(PATIENCE).unwrap();
    event_loop.close_gracefully(PATIENCE).unwrap();
    assert!(has_ended.try_recv().unwrap(), "it was told, and waited for");
    others_end.send(()).unwrap();
    complete(&other, others).unwrap();
    assert_eq!(complete(&other, other.run_in(&executor, || 6)).unwrap(), 6);
}

#[test]
fn a_default_executor_refuses_jobs_as_any_does_and_in_memory_too() {
    for event_loop in [EventLoop::new().unwrap(), memory_loop()] {
        let executor = Executor::new(1);
        event_loop.set_default_executor(&executor);
        assert_eq!(complete(&event_loop, event_loop.run_in_executor(|| 1)).unwrap(), 1);
        executor.shutdown(PATIENCE);
        let refused = complete(&event_loop, event_loop.run_in_executor(|| 2)).unwrap_err();
        assert!(refused.is_closed(), "{refused}");
        let refused = complete(&event_loop, event_loop.create_job(|_| 2).start()).unwrap_err();
        assert!(refused.is_closed(), "{refused}");
        event_loop.set_default_executor(None);
        assert_eq!(complete(&event_loop, event_loop.run_in_executor(|| 3)).unwrap(), 3);
        event_loop.close().unwrap();
        event_loop.set_default_executor(&executor);
    }
}

#[test]
fn files_are_read_though_the_default_executor_takes_no_work() {
    let event_loop = EventLoop::new().unwrap();
    let executor = Executor::new(1);
    executor.shutdown(PATIENCE);
    event_loop.set_default_executor(&executor);
    let file = std::fs::File::open("Cargo.toml").unwrap();
    let read = event_loop
        .run(async |event_loop| {
            let mut reader = event_loop.open_read_pipe(file).await?;
            Ok(reader.read_to_end(1 << 20).await?)
        })
        .unwrap();
    assert!(read.starts_with(b"[workspace]"));
}

/// A job that says when it has begun, and what it was told: it ends when nobody waits for it.
fn until_cancelled(
    begun: mpsc::Sender<()>,
    ended: mpsc::Sender<bool>,
) -> impl FnOnce(wharf::CancelFlag) + Send {
    move |flag| {
        begun.send(()).unwrap();
        let limit = std::time::Instant::now() + PATIENCE;
        while !flag.is_cancelled() && std::time::Instant::now() < limit {
            thread::yield_now();
        }
        let _ = ended.send(flag.is_cancelled());
    }
}

#[test]
fn work_that_nobody_waits_for_any_more_is_told_also_when_the_loop_closes() {
    for closes in [false, true] {
        let event_loop = EventLoop::new().unwrap();
        let ((begun, has_begun), (ended, has_ended)) = (mpsc::channel(), mpsc::channel());
        let job = event_loop.create_job(until_cancelled(begun, ended)).start();
        has_begun.recv_timeout(PATIENCE).unwrap();
        if closes {
            event_loop.close().unwrap();
        } else {
            drop(job);
        }
        assert_eq!(has_ended.recv_timeout(PATIENCE), Ok(true));
    }
}

#[test]
fn work_that_is_waited_for_is_not_told_that_it_was_cancelled() {
    for event_loop in [EventLoop::new().unwrap(), memory_loop()] {
        let job = event_loop.create_job(|flag| flag.is_cancelled());
        assert!(!complete(&event_loop, job.into_future()).unwrap());
    }
}

#[test]
fn the_result_of_a_job_that_was_given_up_is_dropped_on_the_loops_thread() {
    let event_loop = EventLoop::new().unwrap();
    let (dropped, guard) = threads();
    let guard = guard();
    let (begun, end, job) = gated();
    let given_up = event_loop.create_job(move |_| {
        job();
        guard
    });
    let given_up = given_up.start();
    begun.recv_timeout(PATIENCE).unwrap();
    drop(given_up);
    end.send(()).unwrap();
    step_until(&event_loop, || !dropped.lock().unwrap().is_empty());
    assert_eq!(*dropped.lock().unwrap(), [thread::current().id()]);
}

#[test]
fn a_panic_in_the_drop_of_a_result_that_was_given_up_is_reported() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("in its drop");
        }
    }
    let event_loop = EventLoop::new().unwrap();
    let reports = reports(&event_loop);
    let (begun, end, job) = gated();
    let given_up = event_loop.create_job(move |_| {
        job();
        Panics
    });
    let given_up = given_up.start();
    begun.recv_timeout(PATIENCE).unwrap();
    drop(given_up);
    end.send(()).unwrap();
    step_until(&event_loop, || reports.len() == 1);
    assert_eq!(reports.entries(), ["dropping a result panicked: in its drop"]);
}

#[test]
fn a_jobs_token_is_in_use_until_it_has_ended_though_nobody_waits_for_it() {
    let event_loop = EventLoop::new().unwrap();
    let limiter = CapacityLimiter::new(&event_loop, 1);
    let (begun, end, job) = gated();
    let given_up = event_loop.create_job(move |_| job()).limiter(&limiter).start();
    begun.recv_timeout(PATIENCE).unwrap();
    let next = event_loop.create_job(|_| 8).limiter(&limiter).start();
    let never = event_loop.create_job(|_| unreachable!("it is dropped")).limiter(&limiter);
    let never: wharf::LoopFuture<()> = never.start();
    settle(&event_loop).unwrap();
    assert_eq!((limiter.borrowed_tokens(), limiter.waiting()), (1, 2));
    drop(given_up);
    drop(never);
    settle(&event_loop).unwrap();
    assert_eq!((limiter.borrowed_tokens(), limiter.waiting()), (1, 1));
    end.send(()).unwrap();
    assert_eq!(complete(&event_loop, next).unwrap(), 8);
    assert_eq!((limiter.borrowed_tokens(), limiter.available_tokens()), (0, 1));
}

#[test]
fn a_limiter_bounds_the_jobs_that_run_at_once_and_they_begin_in_order() {
    for event_loop in [EventLoop::new().unwrap(), memory_loop()] {
        let executor = Executor::new(8);
        let limiter = CapacityLimiter::new(&event_loop, 3);
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let jobs: Vec<_> = (0..200)
            .map(|number| {
                let (running, most) = (Arc::clone(&running), Arc::clone(&most));
                let job = event_loop.create_job(move |_| {
                    let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    thread::yield_now();
                    running.fetch_sub(1, Ordering::SeqCst);
                    number
                });
                job.executor(&executor).limiter(&limiter).start()
            })
            .collect();
        for (number, job) in jobs.into_iter().enumerate() {
            assert_eq!(complete(&event_loop, job).unwrap(), number);
        }
        assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
        assert_eq!((limiter.borrowed_tokens(), limiter.waiting()), (0, 0));
    }
}

#[test]
fn tokens_go_to_those_who_wait_in_their_order_and_nobody_goes_past_them() {
    let event_loop = memory_loop();
    let limiter = CapacityLimiter::new(&event_loop, 1);
    let first = limiter.try_acquire().expect("one is free");
    assert!(limiter.try_acquire().is_none());
    let order = Rc::new(RefCell::new(Vec::new()));
    let tasks: Vec<_> = (0..5)
        .map(|number| {
            let (limiter, order) = (limiter.clone(), Rc::clone(&order));
            event_loop.create_task(async move {
                let token = limiter.acquire().await.unwrap();
                order.borrow_mut().push(number);
                wharf::yield_now().await;
                drop(token);
                // It is at the end of the queue again.
                let _token = limiter.acquire().await.unwrap();
                order.borrow_mut().push(10 + number);
            })
        })
        .collect();
    settle(&event_loop).unwrap();
    assert_eq!(limiter.waiting(), 5);
    drop(first);
    assert!(limiter.try_acquire().is_none(), "it is the first one's");
    for task in tasks {
        complete(&event_loop, task).unwrap();
    }
    assert_eq!(*order.borrow(), [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]);
}

#[test]
fn nobody_goes_past_those_who_wait_while_several_tokens_are_handed_out() {
    /// Tries to take a token for itself.
    struct Takes;

    impl std::task::Wake for Takes {
        fn wake(self: Arc<Self>) {
            let token = LIMITER.with_borrow(|limiter| limiter.as_ref()?.try_acquire());
            TAKEN.with_borrow_mut(|taken| taken.push(token));
        }
    }

    // A waker is `Send`, and the limiter is not.
    thread_local! {
        static LIMITER: RefCell<Option<CapacityLimiter>> = const { RefCell::new(None) };
        static TAKEN: RefCell<Vec<Option<wharf::CapacityToken>>> = const { RefCell::new(Vec::new()) };
    }

    let event_loop = memory_loop();
    let limiter = CapacityLimiter::new(&event_loop, 0);
    LIMITER.set(Some(limiter.clone()));
    let (mut first, second) = (limiter.acquire(), limiter.acquire());
    let waker = std::task::Waker::from(Arc::new(Takes));
    let mut context = std::task::Context::from_waker(&waker);
    assert!(std::pin::Pin::new(&mut first).poll(&mut context).is_pending());
    limiter.set_total_tokens(2);
    assert!(TAKEN.with_borrow(|taken| matches!(taken[..], [None])));
    assert!(first.is_done() && second.is_done());
    drop((first, second));
    assert_eq!(limiter.available_tokens(), 2);
    LIMITER.set(None);
}

#[test]
fn a_waiter_that_is_dropped_with_or_without_its_token_hands_it_on() {
    let event_loop = memory_loop();
    let limiter = CapacityLimiter::new(&event_loop, 1);
    let held = limiter.try_acquire().expect("one is free");
    let (gives_up, second, third) = (limiter.acquire(), limiter.acquire(), limiter.acquire());
    drop(gives_up);
    assert_eq!(limiter.waiting(), 2);
    drop(held);
    assert!(second.is_done() && !third.is_done());
    // Its token was there, and nobody has taken it.
    drop(second);
    assert!(third.is_done());
    let token = complete(&event_loop, third).unwrap();
    assert_eq!(limiter.borrowed_tokens(), 1);
    drop(token);
    assert_eq!(limiter.borrowed_tokens(), 0);
}

#[test]
fn the_number_of_tokens_can_change_at_any_time() {
    let event_loop = memory_loop();
    let limiter = CapacityLimiter::new(&event_loop, 0);
    let waiting: Vec<_> = (0..5).map(|_| limiter.acquire()).collect();
    assert_eq!((limiter.total_tokens(), limiter.available_tokens(), limiter.waiting()), (0, 0, 5));
    limiter.set_total_tokens(2);
    assert_eq!(waiting.iter().filter(|token| token.is_done()).count(), 2);
    // Fewer than are in use: they stay in use, and nobody goes on before enough came back.
    limiter.set_total_tokens(1);
    assert_eq!((limiter.borrowed_tokens(), limiter.available_tokens()), (2, 0));
    let mut waiting = waiting.into_iter();
    drop(waiting.next());
    assert_eq!((limiter.borrowed_tokens(), limiter.waiting()), (1, 3));
    drop(waiting.next());
    assert_eq!((limiter.borrowed_tokens(), limiter.waiting()), (1, 2));
    limiter.set_total_tokens(usize::MAX);
    assert_eq!((limiter.borrowed_tokens(), limiter.waiting()), (3, 0));
    drop(waiting);
    assert_eq!(limiter.borrowed_tokens(), 0);
}

#[test]
fn a_limiter_whose_waiters_give_their_tokens_back_at_once_needs_no_stack() {
    let event_loop = memory_loop();
    let limiter = CapacityLimiter::new(&event_loop, 1);
    let held = limiter.try_acquire();
    for _ in 0..20_000 {
        limiter.acquire().add_done_callback(|_| {});
    }
    assert_eq!(limiter.waiting(), 20_000);
    drop(held);
    settle(&event_loop).unwrap();
    assert_eq!((limiter.borrowed_tokens(), limiter.waiting()), (0, 0));
}

#[test]
fn a_closed_loop_gives_no_tokens() {
    let event_loop = memory_loop();
    let limiter = CapacityLimiter::new(&event_loop, 1);
    event_loop.close().unwrap();
    let other = memory_loop();
    assert!(complete(&other, limiter.acquire()).unwrap_err().is_closed());
    let job = event_loop.create_job(|_| ()).limiter(&limiter);
    assert!(complete(&other, job.into_future()).unwrap_err().is_closed());
    assert_eq!(limiter.borrowed_tokens(), 0);
}

#[test]
fn a_loop_that_closes_while_its_jobs_wait_for_tokens_and_threads_runs_none_of_them() {
    let executor = Executor::new(1);
    let event_loop = EventLoop::new().unwrap();
    let limiter = CapacityLimiter::new(&event_loop, 2);
    let (begun, end, job) = gated();
    event_loop.create_job(move |_| job()).executor(&executor).limiter(&limiter).start().detach();
    begun.recv_timeout(PATIENCE).unwrap();
    let ran = Arc::new(AtomicBool::new(false));
    for _ in 0..4 {
        let ran = Arc::clone(&ran);
        let job = event_loop.create_job(move |_| ran.store(true, Ordering::SeqCst));
        job.executor(&executor).limiter(&limiter).start().detach();
    }
    settle(&event_loop).unwrap();
    drop(event_loop);
    end.send(()).unwrap();
    assert!(executor.shutdown(PATIENCE));
    assert!(!ran.load(Ordering::SeqCst));
}
