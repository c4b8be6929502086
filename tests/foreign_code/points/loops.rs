//! What is given to a loop: callbacks, timers, tasks, futures, wakers, handlers, watchers, jobs.

use std::cell::Cell;
use std::future::poll_fn;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use wharf::CapacityLimiter;

use crate::bomb::{Bomb, DropError, OnDrop, TextError, WakeBomb, WakerDrop};
use crate::stage::{Point, Stage, blow_up, elsewhere, reported};

fn holds(guard: OnDrop) -> impl FnOnce() + 'static {
    move || {
        let _guard = guard;
    }
}

/// Turns the loop until the point is reached.
fn reach(stage: &Stage, begin: impl FnOnce()) {
    let before = stage.bomb.count();
    begin();
    stage.until_reached(before);
}

const CALLBACKS: &[Point] = &[
    reported("call_soon", |stage| {
        let bomb = stage.bomb.clone();
        reach(stage, || drop(stage.event_loop.call_soon(move || bomb.tick())));
    }),
    reported("the drop of a callback", |stage| {
        reach(stage, || drop(stage.event_loop.call_soon(holds(stage.bomb.on_drop()))));
    }),
    reported("the drop of a cancelled callback", |stage| {
        reach(stage, || stage.event_loop.call_soon(holds(stage.bomb.on_drop())).cancel());
    }),
    reported("the drop of a callback that another cancels", |stage| {
        let handle = stage.event_loop.call_later(Duration::MAX, holds(stage.bomb.on_drop()));
        reach(stage, || drop(stage.event_loop.call_soon(move || handle.cancel())));
    }),
    reported("call_later", |stage| {
        let bomb = stage.bomb.clone();
        reach(stage, || {
            drop(stage.event_loop.call_later(Duration::ZERO, move || bomb.tick()));
        });
    }),
    reported("the drop of a cancelled timer", |stage| {
        let timer = stage.event_loop.call_later(Duration::MAX, holds(stage.bomb.on_drop()));
        reach(stage, || timer.cancel());
    }),
    reported("call_soon_threadsafe", |stage| {
        let (bomb, remote) = (stage.bomb.clone(), stage.event_loop.remote());
        reach(stage, || {
            let thread =
                std::thread::spawn(move || remote.call_soon_threadsafe(move |_| bomb.tick()));
            thread.join().expect("a thread").expect("an open loop");
        });
    }),
    reported("the drop of a call of another thread", |stage| {
        let (guard, remote) = (stage.bomb.on_drop(), stage.event_loop.remote());
        reach(stage, || {
            let handle = remote.call_soon_threadsafe(move |_| drop(guard)).expect("an open loop");
            handle.cancel();
        });
    }),
];

const FUTURES: &[Point] = &[
    reported("a done callback", |stage| {
        let bomb = stage.bomb.clone();
        reach(stage, || {
            let (promise, future) = stage.event_loop.create_future::<()>();
            future.add_done_callback(move |_| bomb.tick());
            let _ = promise.set_result(());
        });
    }),
    reported("the drop of a done callback that is taken back", |stage| {
        reach(stage, || {
            let (_promise, future) = stage.event_loop.create_future::<()>();
            let guard = stage.bomb.on_drop();
            future.add_done_callback(move |_| drop(guard)).cancel();
        });
    }),
    reported("a cancel action", |stage| {
        let bomb = stage.bomb.clone();
        reach(stage, || {
            let (promise, future) = stage.event_loop.create_future::<()>();
            promise.on_cancel(move || bomb.tick());
            // Inside a callback.
            stage.event_loop.call_soon(move || drop(future));
            stage.until("the cancel", || promise.is_cancelled());
        });
    }),
    reported("the drop of a cancel action", |stage| {
        reach(stage, || {
            let (promise, _future) = stage.event_loop.create_future::<()>();
            let guard = stage.bomb.on_drop();
            promise.on_cancel(move || drop(guard));
            drop(promise);
        });
    }),
    reported("the drop of a value nobody takes", |stage| {
        reach(stage, || {
            let (promise, future) = stage.event_loop.create_future();
            let _ = promise.set_result(stage.bomb.on_drop());
            drop(future);
        });
    }),
    reported("the drop of an error nobody takes", |stage| {
        reach(stage, || {
            let (promise, future) = stage.event_loop.create_future::<()>();
            let failure: wharf::Failure = DropError(stage.bomb.on_drop()).into();
            let _ = promise.set_error(failure);
            drop(future);
        });
    }),
    elsewhere("the text of an error nobody takes", |stage| {
        stage.event_loop.reset_exception_handler();
        reach(stage, || {
            let (promise, future) = stage.event_loop.create_future::<()>();
            let failure: wharf::Failure = TextError(stage.bomb.clone()).into();
            let _ = promise.set_error(failure);
            drop(future);
        });
    }),
    reported("a waker that is woken", |stage| {
        reach(stage, || {
            let (promise, mut future) = stage.event_loop.create_future::<()>();
            poll(&mut future, Waker::from(Arc::new(WakeBomb(stage.bomb.clone()))));
            let _ = promise.set_result(());
            assert!(future.take_result().is_some());
        });
    }),
    reported("the drop of a waker", |stage| {
        reach(stage, || {
            let (_promise, mut future) = stage.event_loop.create_future::<()>();
            poll(&mut future, Waker::from(Arc::new(WakerDrop(stage.bomb.on_drop()))));
            poll(&mut future, Waker::noop().clone());
        });
    }),
    reported("the waker of a sleep", |stage| {
        let mut sleep = stage.event_loop.sleep(Duration::ZERO);
        reach(stage, || {
            poll(&mut sleep, Waker::from(Arc::new(WakeBomb(stage.bomb.clone()))));
        });
    }),
    reported("the drop of a sleep's waker", |stage| {
        reach(stage, || {
            let mut sleep = stage.event_loop.sleep(Duration::MAX);
            poll(&mut sleep, Waker::from(Arc::new(WakerDrop(stage.bomb.on_drop()))));
            drop(sleep);
        });
    }),
];

fn poll(future: &mut (impl Future + Unpin), waker: Waker) {
    assert!(Pin::new(future).poll(&mut Context::from_waker(&waker)).is_pending());
}

const TASKS: &[Point] = &[
    reported("a task", |stage| {
        let bomb = stage.bomb.clone();
        reach(stage, || stage.event_loop.create_task(async move { bomb.tick() }).detach());
    }),
    reported("the drop of a task", |stage| {
        let guard = stage.bomb.on_drop();
        reach(stage, || {
            let task = stage.event_loop.create_task(async move {
                let _guard = guard;
                std::future::pending::<()>().await;
            });
            stage.until("its first step", || stage.event_loop.statistics().tasks == 1);
            drop(task);
        });
        stage.until("the task's end", || stage.event_loop.statistics().tasks == 0);
    }),
    reported("the drop of what a task gives", |stage| {
        let guard = stage.bomb.on_drop();
        reach(stage, || stage.event_loop.create_task(async move { guard }).detach());
    }),
    elsewhere("the future that is run", |stage| {
        let bomb = stage.bomb.clone();
        let run = || stage.event_loop.run_until_complete(async { bomb.tick() });
        let _ = catch_unwind(AssertUnwindSafe(run));
    }),
    elsewhere("the drop of a panic's payload", |stage| {
        let bomb = stage.bomb.clone();
        let done = Rc::new(Cell::new(false));
        let noted = Rc::clone(&done);
        let before = stage.bomb.count();
        stage.event_loop.call_soon(move || {
            noted.set(true);
            std::panic::resume_unwind(Box::new(bomb.on_drop()));
        });
        stage.until("the callback", || done.get());
        stage.until_reached(before);
    }),
    elsewhere("a job", |stage| {
        let bomb = stage.bomb.clone();
        let was_armed = !bomb.has_gone_off();
        let done = stage.complete(stage.event_loop.run_in_executor(move || bomb.tick()));
        assert_eq!(done.is_err(), was_armed && stage.bomb.has_gone_off());
    }),
    reported("the drop of what a job gives", |stage| {
        let guard = stage.bomb.on_drop();
        reach(stage, || stage.event_loop.run_in_executor(move || guard).detach());
    }),
    reported("the drop of a cancelled job", |stage| {
        // All threads are busy, so that it does not begin.
        let (blocker, blocked) = std::sync::mpsc::channel::<()>();
        let blocked = Arc::new(std::sync::Mutex::new(blocked));
        let mut busy = Vec::new();
        for _ in 0..64 {
            let blocked = Arc::clone(&blocked);
            busy.push(stage.event_loop.run_in_executor(move || {
                let blocked = blocked.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                let _ = blocked.recv();
            }));
        }
        let guard = stage.bomb.on_drop();
        let job = stage.event_loop.run_in_executor(move || drop(guard));
        reach(stage, || drop(job));
        drop(blocker);
        for job in busy {
            stage.complete(job).expect("a job");
        }
    }),
    elsewhere("the drop of a job's panic", |stage| {
        let bomb = stage.bomb.clone();
        let job = stage.event_loop.run_in_executor(move || {
            // Not printed.
            std::panic::resume_unwind(Box::new(bomb.on_drop()));
        });
        let error = stage.complete(job).map(|()| unreachable!("it panics")).unwrap_err();
        assert!(error.is_panic());
    }),
    reported("the drop of a job's result that nobody waits for", |stage| {
        let guard = stage.bomb.on_drop();
        let (begun, has_begun) = std::sync::mpsc::channel();
        let job = stage.event_loop.create_job(move |cancelled| {
            begun.send(()).expect("somebody waits for it");
            while !cancelled.is_cancelled() {
                std::thread::yield_now();
            }
            guard
        });
        let job = job.start();
        has_begun.recv().expect("it begins");
        reach(stage, || drop(job));
    }),
    reported("the waker of somebody who waits for a token", |stage| {
        let limiter = CapacityLimiter::new(&stage.event_loop, 1);
        let token = limiter.try_acquire();
        let mut waiting = limiter.acquire();
        let waker = Waker::from(Arc::new(WakeBomb(stage.bomb.clone())));
        assert!(Pin::new(&mut waiting).poll(&mut Context::from_waker(&waker)).is_pending());
        reach(stage, || drop(token));
        assert!(waiting.is_done());
    }),
];

/// What comes from other threads, and goes back to them.
const REMOTE: &[Point] = &[
    elsewhere("a future of another thread", |stage| {
        let bomb = stage.bomb.clone();
        let was_armed = !bomb.has_gone_off();
        let task = stage.event_loop.remote().spawn(async move |_| bomb.tick());
        let done = stage.complete(task);
        assert_eq!(done.is_err(), was_armed && stage.bomb.has_gone_off());
    }),
    elsewhere("the drop of a future of another thread", |stage| {
        let guard = stage.bomb.on_drop();
        let task = stage.event_loop.remote().spawn(async move |_| {
            let _guard = guard;
            std::future::pending::<()>().await;
        });
        wharf::testing::settle(&stage.event_loop).expect("the loop runs");
        task.cancel();
        assert!(stage.complete(task).is_err());
    }),
    reported("the drop of a detached output of another thread", |stage| {
        let guard = stage.bomb.on_drop();
        reach(stage, || stage.event_loop.remote().spawn(async move |_| guard).detach());
    }),
    reported("the waker of somebody who awaits a future of another thread", |stage| {
        let mut task = stage.event_loop.remote().spawn(async |_| ());
        let waker = Waker::from(Arc::new(WakeBomb(stage.bomb.clone())));
        reach(stage, || {
            assert!(Pin::new(&mut task).poll(&mut Context::from_waker(&waker)).is_pending());
        });
        assert!(task.is_done());
    }),
    reported("a callback for messages", |stage| {
        let bomb = stage.bomb.clone();
        let (sender, receiver) = stage.event_loop.create_channel(4);
        let receiving = receiver.on_message(move |()| bomb.tick());
        reach(stage, || sender.try_send(()).expect("room"));
        drop(sender);
        stage.complete(receiving).expect("it goes on to its end");
    }),
    reported("the drop of a message that was not received", |stage| {
        let (sender, receiver) = stage.event_loop.create_channel(4);
        for _ in 0..3 {
            assert!(sender.try_send(stage.bomb.on_drop()).is_ok());
        }
        reach(stage, || drop(receiver));
    }),
    reported("the waker of a receiver", |stage| {
        let (sender, mut receiver) = stage.event_loop.create_channel(4);
        let waker = Waker::from(Arc::new(WakeBomb(stage.bomb.clone())));
        assert!(receiver.poll_recv(&mut Context::from_waker(&waker)).is_pending());
        reach(stage, || sender.try_send(()).expect("room"));
    }),
    reported("the waker of a sender", |stage| {
        let (sender, mut receiver) = stage.event_loop.create_channel(1);
        sender.try_send(()).expect("room");
        let waker = Waker::from(Arc::new(WakeBomb(stage.bomb.clone())));
        let mut waiting = sender.send(());
        assert!(Pin::new(&mut waiting).poll(&mut Context::from_waker(&waker)).is_pending());
        reach(stage, || assert!(receiver.try_recv().is_some()));
    }),
    reported("the waker of a stream of signals", |stage| {
        let mut signals = stage.event_loop.signals([SIGNAL]).expect("a stream");
        let waker = Waker::from(Arc::new(WakeBomb(stage.bomb.clone())));
        assert!(signals.poll_next(&mut Context::from_waker(&waker)).is_pending());
        reach(stage, raise);
    }),
    reported("the drop of the waker of a stream of signals", |stage| {
        let mut signals = stage.event_loop.signals([SIGNAL]).expect("a stream");
        let waker = Waker::from(Arc::new(WakerDrop(stage.bomb.on_drop())));
        assert!(signals.poll_next(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        reach(stage, || drop(signals));
    }),
];

const HANDLERS: &[Point] = &[
    elsewhere("the exception handler", |stage| {
        let bomb = stage.bomb.clone();
        stage.event_loop.set_exception_handler(move |_, _| bomb.tick());
        reach(stage, || stage.event_loop.call_exception_handler("something", None));
    }),
    elsewhere("the drop of an exception handler", |stage| {
        let guard = stage.bomb.on_drop();
        stage.event_loop.set_exception_handler(move |_, _| {
            let _ = &guard;
        });
        reach(stage, || stage.event_loop.reset_exception_handler());
    }),
    reported("a signal handler", |stage| {
        let bomb = stage.bomb.clone();
        stage.event_loop.add_signal_handler(SIGNAL, move || bomb.tick()).expect("a handler");
        reach(stage, raise);
        stage.event_loop.remove_signal_handler(SIGNAL);
    }),
    reported("the drop of a signal handler", |stage| {
        let guard = stage.bomb.on_drop();
        stage
            .event_loop
            .add_signal_handler(SIGNAL, move || {
                let _ = &guard;
            })
            .expect("a handler");
        reach(stage, || assert!(stage.event_loop.remove_signal_handler(SIGNAL)));
    }),
    reported("the drop of a signal handler that is replaced", |stage| {
        let guard = stage.bomb.on_drop();
        stage
            .event_loop
            .add_signal_handler(SIGNAL, move || {
                let _ = &guard;
            })
            .expect("a handler");
        reach(stage, || stage.event_loop.add_signal_handler(SIGNAL, || {}).expect("a handler"));
        stage.event_loop.remove_signal_handler(SIGNAL);
    }),
    reported("a writer", |stage| {
        let (watched, _peer) = pair();
        let bomb = stage.bomb.clone();
        reach(stage, || {
            let callback = move || bomb.tick();
            stage.event_loop.add_writer(Rc::clone(&watched), callback).expect("to watch");
        });
        stage.event_loop.remove_writer(&watched);
    }),
    reported("the drop of a reader", |stage| {
        let (watched, _peer) = pair();
        let guard = stage.bomb.on_drop();
        stage
            .event_loop
            .add_reader(Rc::clone(&watched), move || {
                let _ = &guard;
            })
            .expect("to watch");
        reach(stage, || assert!(stage.event_loop.remove_reader(&watched)));
    }),
    reported("a watched descriptor that is asked for its number", |stage| {
        let (watched, _peer) = pair();
        let fd = Watched { fd: Rc::clone(&watched), bomb: stage.bomb.clone(), asked: Cell::new(0) };
        reach(stage, || stage.event_loop.add_writer(fd, || {}).expect("to watch"));
        stage.event_loop.remove_writer(&watched);
    }),
    reported("the drop of a watched descriptor", |stage| {
        let (watched, _peer) = pair();
        let fd = Guarded(Rc::clone(&watched), stage.bomb.on_drop());
        stage.event_loop.add_writer(fd, || {}).expect("to watch");
        reach(stage, || assert!(stage.event_loop.remove_writer(&watched)));
    }),
    reported("the waker of a wait for a descriptor", |stage| {
        let (watched, _peer) = pair();
        let waker = Waker::from(Arc::new(WakeBomb(stage.bomb.clone())));
        let mut wait = Box::pin(stage.event_loop.wait_writable(&*watched));
        reach(stage, || {
            assert!(wait.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        });
    }),
];

const SIGNAL: i32 = 12;

fn raise() {
    let own = rustix::process::getpid();
    rustix::process::kill_process(own, rustix::process::Signal::USR2).expect("a signal");
}

fn pair() -> (Rc<UnixStream>, UnixStream) {
    let (watched, peer) = UnixStream::pair().expect("a pair");
    (Rc::new(watched), peer)
}

/// Reaches the point when it is asked for its descriptor by the loop, after it was registered.
struct Watched {
    fd: Rc<UnixStream>,
    bomb: Bomb,
    asked: Cell<u32>,
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.asked.set(self.asked.get() + 1);
        if self.asked.get() > 2 {
            self.bomb.tick();
        }
        self.fd.as_fd()
    }
}

struct Guarded(Rc<UnixStream>, #[expect(dead_code, reason = "it is there to be dropped")] OnDrop);

impl AsFd for Guarded {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[test]
fn callbacks_and_timers_may_panic_and_so_may_their_drop() {
    blow_up(CALLBACKS);
}

#[test]
fn futures_their_wakers_and_actions_may_panic() {
    blow_up(FUTURES);
}

#[test]
fn tasks_and_jobs_may_panic_and_so_may_what_they_give() {
    blow_up(TASKS);
}

#[test]
fn what_other_threads_send_and_await_may_panic() {
    blow_up(REMOTE);
}

#[test]
fn handlers_and_watchers_may_panic() {
    blow_up(HANDLERS);
}

/// Two values that panic when they are dropped, in one callback that panics itself, would end the
/// process if the second was dropped while the first unwinds.
#[test]
fn a_second_panic_while_the_first_unwinds_ends_nothing() {
    crate::keep_quiet();
    let _alone = crate::stage::alone();
    let stage = Stage::new(1);
    let (promise, future) = stage.event_loop.create_future::<()>();
    let bombs = [Bomb::new(1), Bomb::new(1)];
    let action = bombs[0].clone();
    promise.on_cancel(move || action.tick());
    let guard = bombs[1].on_drop();
    let done = future.add_done_callback(|_| {});
    done.cancel();
    let timer = stage.event_loop.call_later(Duration::MAX, holds(guard));
    struct Cancels(Option<wharf::TimerHandle>);
    impl Drop for Cancels {
        fn drop(&mut self) {
            if let Some(timer) = self.0.take() {
                timer.cancel();
            }
        }
    }
    stage.event_loop.call_soon(move || {
        let _cancels = Cancels(Some(timer));
        let _future = future;
        panic_any(crate::bomb::ON_PURPOSE);
    });
    stage.until("both", || bombs.iter().all(Bomb::has_gone_off));
    assert!(promise.is_cancelled());
    assert_eq!(stage.reports().len(), 3, "{:?}", stage.reports());
    let ready = stage.complete(poll_fn(|_| Poll::Ready(7)));
    assert_eq!(ready, 7);
}
