//! The way in from other threads.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::thread::ThreadId;

use wharf::testing::{settle, step};
use wharf::{
    CallbackHandle, CancelFlag, CapacityLimiter, CapacityToken, EventLoop, Executor, JobBuilder,
    LoopFuture, Promise, Remote, RemoteHandle, RemoteReceiver, RemoteSend, RemoteSendError,
    RemoteSender, RemoteTask, SignalStream, Task, TimerHandle,
};

use crate::loops::memory_loop;
use crate::probes::{PATIENCE, complete, run_forever, step_until};

// 15.
#[test]
fn other_threads_wake_a_sleeping_loop() {
    let event_loop = EventLoop::new().unwrap();
    let remote = event_loop.remote();
    let (answer, answers) = mpsc::channel();
    let thread = thread::spawn(move || {
        // Each answer was sent by a loop that has nothing else to do, and sleeps soon after.
        for number in 0..100 {
            let answer = answer.clone();
            remote
                .call_soon_threadsafe(move |event_loop| {
                    assert!(event_loop.is_running());
                    answer.send(number).unwrap();
                })
                .unwrap();
            assert_eq!(answers.recv_timeout(PATIENCE), Ok(number));
        }
        remote.call_soon_threadsafe(EventLoop::stop).unwrap();
    });
    run_forever(&event_loop);
    thread.join().unwrap();
    assert_eq!(event_loop.statistics().exceptions, 0);
}

// 15.
#[test]
fn calls_of_one_thread_keep_their_order() {
    let event_loop = EventLoop::new().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let (remote, seen) = (event_loop.remote(), Arc::clone(&seen));
            thread::spawn(move || {
                for number in 0..1000 {
                    let seen = Arc::clone(&seen);
                    remote
                        .call_soon_threadsafe(move |_| seen.lock().unwrap().push((thread, number)))
                        .unwrap();
                }
            })
        })
        .collect();
    step_until(&event_loop, || seen.lock().unwrap().len() == 4000);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let seen = seen.lock().unwrap();
    for thread in 0..4 {
        let numbers = seen.iter().filter(|(by, _)| *by == thread).map(|(_, number)| *number);
        assert!(numbers.eq(0..1000));
    }
}

// 15.
#[test]
fn the_loops_own_thread_may_call_threadsafe_too() {
    let event_loop = memory_loop();
    let count = Arc::new(AtomicUsize::new(0));
    for expected in 0..3 {
        let count = Arc::clone(&count);
        let call = move |_: &EventLoop| {
            assert_eq!(count.fetch_add(1, Ordering::SeqCst), expected);
        };
        event_loop.remote().call_soon_threadsafe(call).unwrap();
    }
    assert_eq!(count.load(Ordering::SeqCst), 0, "never at once");
    settle(&event_loop).unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 3);
    assert_eq!(event_loop.statistics().exceptions, 0);
}

fn count(calls: &AtomicUsize) {
    calls.fetch_add(1, Ordering::SeqCst);
}

/// How many system calls that write this thread has made.
#[cfg(target_os = "linux")]
pub(crate) fn writes_of_this_thread() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("syscw: ")).unwrap();
    line.parse().unwrap()
}

// 15.
#[cfg(target_os = "linux")]
#[test]
fn many_calls_from_another_thread_cost_one_wake_up() {
    let event_loop = EventLoop::new().unwrap();
    let remote = event_loop.remote();
    let called = Arc::new(AtomicUsize::new(0));
    let calls = Arc::clone(&called);
    let thread = thread::spawn(move || {
        let before = writes_of_this_thread();
        for _ in 0..10_000 {
            let calls = Arc::clone(&calls);
            let call = move |_: &EventLoop| count(&calls);
            remote.call_soon_threadsafe(call).unwrap();
        }
        writes_of_this_thread() - before
    });
    // Nobody polls in the meantime.
    assert_eq!(thread.join().unwrap(), 1);
    let before = event_loop.statistics().ticks;
    settle(&event_loop).unwrap();
    assert_eq!(called.load(Ordering::Relaxed), 10_000);
    // A tick takes 4096 at most.
    assert!(event_loop.statistics().ticks - before <= 4);
}

#[cfg(target_os = "linux")]
#[test]
fn wakes_on_the_loops_own_thread_make_no_system_call() {
    let event_loop = EventLoop::new().unwrap();
    let passes = 10_000;
    let player = |event_loop: EventLoop| async move {
        let mut wakes = 0;
        while wakes < passes {
            // A wake of its own, and one through a future.
            let mut yielded = false;
            std::future::poll_fn(|context| {
                if yielded {
                    return Poll::Ready(());
                }
                yielded = true;
                context.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
            let (promise, future) = event_loop.create_future();
            event_loop.call_soon(move || promise.set_result(()).unwrap());
            future.await.unwrap();
            wakes += 2;
        }
    };
    // Both of a task and of the future that is run.
    let task = event_loop.create_task(player(event_loop.clone()));
    let before = writes_of_this_thread();
    complete(&event_loop, player(event_loop.clone()));
    complete(&event_loop, task).unwrap();
    assert_eq!(writes_of_this_thread() - before, 0);
    let ticks = event_loop.statistics().ticks;
    assert!(ticks < passes, "{ticks} polls for {passes} wakes of each");
}

// 16.
#[test]
fn a_call_that_another_thread_cancels_in_time_is_never_made() {
    let event_loop = memory_loop();
    let called = Arc::new(AtomicBool::new(false));
    let handle = {
        let called = Arc::clone(&called);
        let call = move |_: &EventLoop| called.store(true, Ordering::SeqCst);
        event_loop.remote().call_soon_threadsafe(call).unwrap()
    };
    assert!(!handle.is_cancelled());
    let other = handle.clone();
    assert!(thread::spawn(move || other.cancel()).join().unwrap());
    assert!(handle.is_cancelled());
    assert!(!handle.cancel(), "it was cancelled before");
    settle(&event_loop).unwrap();
    assert!(!called.load(Ordering::SeqCst));
    assert_eq!(Arc::strong_count(&called), 1, "it was dropped");
}

// 17.
#[test]
fn cancelling_a_call_that_has_begun_says_that_it_was_too_late_and_does_not_wait() {
    let event_loop = EventLoop::new().unwrap();
    let remote = event_loop.remote();
    let (begun, has_begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let thread = thread::spawn(move || {
        let handle = remote
            .call_soon_threadsafe(move |event_loop| {
                begun.send(()).unwrap();
                may_go_on.recv_timeout(PATIENCE).unwrap();
                event_loop.stop();
            })
            .unwrap();
        has_begun.recv_timeout(PATIENCE).unwrap();
        // The callback is running, and goes on only after this.
        assert!(!handle.cancel());
        assert!(!handle.is_cancelled());
        go_on.send(()).unwrap();
    });
    run_forever(&event_loop);
    thread.join().unwrap();
    assert_eq!(event_loop.statistics().exceptions, 0);
}

// 25.
#[test]
fn a_closed_loop_refuses_calls_and_drops_them_on_the_callers_thread() {
    struct Dropped(Arc<Mutex<Option<ThreadId>>>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            *self.0.lock().unwrap() = Some(thread::current().id());
        }
    }
    let event_loop = EventLoop::new().unwrap();
    let remote = event_loop.remote();
    assert!(!remote.is_closed());
    drop(event_loop);
    assert!(remote.is_closed());
    let place = Arc::new(Mutex::new(None));
    let dropped = Dropped(Arc::clone(&place));
    let thread = thread::spawn(move || {
        let error = remote.call_soon_threadsafe(move |_| drop(dropped)).unwrap_err();
        assert!(error.is_closed());
        thread::current().id()
    });
    let id = thread.join().unwrap();
    assert_eq!(*place.lock().unwrap(), Some(id));
}

#[test]
fn a_task_that_another_thread_wakes_goes_on_on_the_loops_thread() {
    let event_loop = EventLoop::new().unwrap();
    let shared: Arc<(AtomicUsize, Mutex<Option<Waker>>)> = Arc::default();
    let own_thread = thread::current().id();
    let task = event_loop.create_task({
        let shared = Arc::clone(&shared);
        async move {
            std::future::poll_fn(move |context| {
                assert_eq!(thread::current().id(), own_thread);
                *shared.1.lock().unwrap() = Some(context.waker().clone());
                match shared.0.load(Ordering::SeqCst) {
                    1000 => Poll::Ready(()),
                    _ => Poll::Pending,
                }
            })
            .await;
        }
    });
    let thread = thread::spawn(move || {
        for _ in 0..1000 {
            shared.0.fetch_add(1, Ordering::SeqCst);
            let waker = shared.1.lock().unwrap().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
        // The last wake may have come before the waker of the last poll.
        let waker = shared.1.lock().unwrap().take();
        waker.inspect(Waker::wake_by_ref);
    });
    complete(&event_loop, task).unwrap();
    thread.join().unwrap();
}

// 15.
#[test]
fn the_last_wake_is_never_lost() {
    let event_loop = EventLoop::new().unwrap();
    for _ in 0..200 {
        let remote = event_loop.remote();
        let thread = thread::spawn(move || {
            remote.call_soon_threadsafe(|_| {}).unwrap();
            remote.call_soon_threadsafe(EventLoop::stop).unwrap();
        });
        run_forever(&event_loop);
        thread.join().unwrap();
    }
}

#[test]
fn a_waker_of_a_finished_task_does_nothing_on_any_thread() {
    let event_loop = memory_loop();
    let mut kept = None;
    event_loop
        .run_until_complete(std::future::poll_fn(|context| {
            kept = Some(context.waker().clone());
            Poll::Ready(())
        }))
        .unwrap();
    let slot: Arc<Mutex<Option<Waker>>> = Arc::default();
    let task = event_loop.create_task({
        let slot = Arc::clone(&slot);
        std::future::poll_fn(move |context| {
            *slot.lock().unwrap() = Some(context.waker().clone());
            Poll::Ready(())
        })
    });
    event_loop.run_until_complete(task).unwrap().unwrap();
    let of_task = slot.lock().unwrap().take().unwrap();
    let of_main = kept.unwrap();
    of_task.wake_by_ref();
    of_main.wake_by_ref();
    drop(event_loop);
    of_task.wake_by_ref();
    thread::spawn(move || {
        of_task.wake();
        of_main.wake();
    })
    .join()
    .unwrap();
}

/// Compiles only for types that are not `Send`: for others both implementations fit.
trait NotSend<Marker> {
    fn holds() {}
}
impl<T: ?Sized> NotSend<()> for T {}
struct IsSend;
impl<T: ?Sized + Send> NotSend<IsSend> for T {}

// 30.
#[test]
fn only_remotes_can_leave_the_loops_thread() {
    fn any_thread<T: Send + Sync + Clone>() {}
    any_thread::<Remote>();
    any_thread::<RemoteHandle>();
    any_thread::<Executor>();
    any_thread::<CancelFlag>();
    // What is sent need not be shared.
    any_thread::<RemoteSender<Cell<u8>>>();
    fn one_at_a_time<T: Send + Sync>() {}
    one_at_a_time::<RemoteTask<Cell<u8>>>();
    fn moved<T: Send>() {}
    moved::<RemoteSend<Cell<u8>>>();
    moved::<RemoteSendError<Cell<u8>>>();
    <RemoteReceiver<u8> as NotSend<_>>::holds();
    <CapacityLimiter as NotSend<_>>::holds();
    <CapacityToken as NotSend<_>>::holds();
    <JobBuilder<u8> as NotSend<_>>::holds();
    <SignalStream as NotSend<_>>::holds();
    <EventLoop as NotSend<_>>::holds();
    <CallbackHandle as NotSend<_>>::holds();
    <TimerHandle as NotSend<_>>::holds();
    <LoopFuture<()> as NotSend<_>>::holds();
    <Promise<()> as NotSend<_>>::holds();
    <Task<()> as NotSend<_>>::holds();
    <wharf::TransportHandle as NotSend<_>>::holds();
    <wharf::Server as NotSend<_>>::holds();
}

#[test]
fn a_stepped_loop_takes_calls_made_between_the_steps() {
    let event_loop = EventLoop::new().unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    for expected in 1..=3 {
        let count_too = Arc::clone(&calls);
        let remote = event_loop.remote();
        thread::spawn(move || {
            let call = move |_: &EventLoop| count(&count_too);
            remote.call_soon_threadsafe(call).unwrap();
        })
        .join()
        .unwrap();
        step(&event_loop).unwrap();
        assert_eq!(calls.load(Ordering::SeqCst), expected);
    }
}
