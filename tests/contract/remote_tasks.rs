//! Futures that other threads have a loop run.

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

use wharf::{Error, EventLoop, Remote, RemoteTask};

use crate::loops::{memory_loop, settle, system_loop};
use crate::probes::{Log, PATIENCE, complete, reports, run_forever};

/// Runs `action` on a thread while the loop runs, and gives what it returns.
fn beside<T: Send + 'static>(
    event_loop: &EventLoop,
    action: impl FnOnce(Remote) -> T + Send + 'static,
) -> T {
    let remote = event_loop.remote();
    let thread = thread::spawn(move || {
        let output = action(remote.clone());
        let _ = remote.call_soon_threadsafe(EventLoop::stop);
        output
    });
    run_forever(event_loop);
    thread.join().unwrap()
}

/// A result that has to be there in time.
fn in_time<T: Send>(task: &RemoteTask<T>) -> Result<T, Error> {
    task.wait_timeout(PATIENCE).expect("it took too long")
}

#[test]
fn a_thread_gets_the_output_of_the_future_that_it_has_the_loop_run() {
    let event_loop = system_loop();
    let own = thread::current().id();
    let answer = beside(&event_loop, move |remote| {
        let task = remote.spawn(async move |event_loop| {
            // Neither of them could travel.
            let count = Rc::new(Cell::new(40));
            event_loop.sleep(Duration::from_millis(1)).await;
            assert_eq!(thread::current().id(), own);
            count.set(count.get() + 2);
            count.get()
        });
        let answer = task.wait();
        assert!(task.is_done() && task.wait().is_err_and(|error| error.is_invalid()));
        assert!(task.take_result().is_none() && !task.cancel());
        answer
    });
    assert_eq!(answer.unwrap(), 42);
    // A closure that returns a future will do as well.
    let task = event_loop.remote().spawn(|own: EventLoop| async move { own.is_running() });
    assert!(complete(&event_loop, task).unwrap());
}

#[test]
fn a_remote_task_can_be_awaited_on_another_loop() {
    let (remote, remotes) = mpsc::channel();
    let server = thread::spawn(move || {
        let event_loop = system_loop();
        remote.send(event_loop.remote()).unwrap();
        run_forever(&event_loop);
    });
    let remote = remotes.recv_timeout(PATIENCE).unwrap();
    let event_loop = system_loop();
    complete(&event_loop, async {
        for number in 0..1000 {
            assert_eq!(remote.spawn(async move |_| number).await.unwrap(), number);
        }
    });
    remote.call_soon_threadsafe(EventLoop::stop).unwrap();
    server.join().unwrap();
}

#[test]
fn a_remote_task_can_be_awaited_on_its_own_loop_but_not_waited_for_on_its_thread() {
    let event_loop = memory_loop();
    let task = event_loop.remote().spawn(async |_| 5);
    assert!(task.wait().unwrap_err().is_invalid());
    assert!(task.wait_timeout(PATIENCE).unwrap().unwrap_err().is_invalid());
    assert!(!task.is_done());
    assert_eq!(complete(&event_loop, task).unwrap(), 5);
    let task = event_loop.remote().spawn(async |_| 6);
    settle(&event_loop).unwrap();
    // Done: nobody has to wait.
    assert_eq!(task.wait().unwrap(), 6);
}

#[test]
fn waiting_for_a_while_leaves_the_task_as_it_is() {
    let event_loop = system_loop();
    let remote = event_loop.remote();
    let task = thread::spawn(move || {
        let task = remote.spawn(async |_| 7);
        assert!(task.wait_timeout(Duration::ZERO).is_none(), "the loop does not run");
        assert!(task.wait_timeout(Duration::from_millis(1)).is_none());
        task
    });
    let task = task.join().unwrap();
    settle(&event_loop).unwrap();
    assert_eq!(in_time(&task).unwrap(), 7);
}

/// A future that is never done, and notes when it was dropped.
fn never(log: mpsc::Sender<&'static str>) -> impl AsyncFnOnce(EventLoop) + Send {
    struct Note(mpsc::Sender<&'static str>);
    impl Drop for Note {
        fn drop(&mut self) {
            let _ = self.0.send("dropped");
        }
    }
    async move |_| {
        let note = Note(log);
        let _ = note.0.send("begun");
        pending::<()>().await;
    }
}

#[test]
fn cancelling_or_dropping_a_remote_task_drops_its_future_on_the_loop() {
    for cancels in [true, false] {
        let event_loop = system_loop();
        beside(&event_loop, move |remote| {
            let (log, logged) = mpsc::channel();
            let task = remote.spawn(never(log));
            assert_eq!(logged.recv_timeout(PATIENCE), Ok("begun"));
            if cancels {
                assert!(task.cancel());
                assert!(in_time(&task).unwrap_err().is_cancelled());
                assert_eq!(logged.try_recv(), Ok("dropped"), "before whoever waits is told");
            } else {
                drop(task);
                assert_eq!(logged.recv_timeout(PATIENCE), Ok("dropped"));
            }
        });
        settle(&event_loop).unwrap();
        assert_eq!(event_loop.statistics().tasks, 0);
    }
}

#[test]
fn a_remote_task_that_is_cancelled_before_the_loop_runs_never_begins() {
    let event_loop = memory_loop();
    let began = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&began);
    let task = event_loop.remote().spawn(async move |_| noted.store(true, Ordering::SeqCst));
    assert!(task.cancel() && task.cancel());
    assert!(complete(&event_loop, task).unwrap_err().is_cancelled());
    assert!(!began.load(Ordering::SeqCst));
}

#[test]
fn a_detached_remote_task_goes_on_and_what_it_fails_with_is_reported() {
    let event_loop = memory_loop();
    let reports = reports(&event_loop);
    let log = Arc::new(AtomicUsize::new(0));
    let remote = event_loop.remote();
    let noted = Arc::clone(&log);
    remote.spawn(async move |_| noted.fetch_add(1, Ordering::SeqCst)).detach();
    remote.spawn(async |_| panic!("on purpose")).detach();
    remote.spawn(async |_| Err::<(), Error>("no luck".into())).detach();
    settle(&event_loop).unwrap();
    assert_eq!(log.load(Ordering::SeqCst), 1);
    assert_eq!(
        reports.take(),
        ["a detached task panicked: on purpose", "a detached task failed: no luck"]
    );
    // It is done already: the same.
    let task = remote.spawn(async |_| Err::<(), Error>("late".into()));
    settle(&event_loop).unwrap();
    assert!(task.is_done());
    task.detach();
    settle(&event_loop).unwrap();
    assert_eq!(reports.take(), ["a detached task failed: late"]);
}

#[test]
fn a_panic_of_a_remote_task_or_of_its_drop_is_its_result() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("in its drop");
        }
    }
    let event_loop = memory_loop();
    let reports = reports(&event_loop);
    let remote = event_loop.remote();
    let task: RemoteTask<()> = remote.spawn(async |_| panic!("in the future"));
    let error = complete(&event_loop, task).unwrap_err();
    assert!(error.is_panic() && error.to_string() == "in the future", "{error}");
    let task: RemoteTask<()> = remote.spawn(|_| -> std::future::Ready<()> { panic!("before it") });
    assert!(complete(&event_loop, task).unwrap_err().is_panic());
    let task = remote.spawn(async |_| {
        let _panics = Panics;
        pending::<()>().await;
    });
    settle(&event_loop).unwrap();
    task.cancel();
    let error = complete(&event_loop, task).unwrap_err();
    assert!(error.is_panic() && error.to_string() == "in its drop", "{error}");
    assert_eq!(reports.len(), 0);
}

#[test]
fn outputs_that_nobody_wants_are_dropped_on_the_loops_thread() {
    struct Noted(mpsc::Sender<thread::ThreadId>);
    impl Drop for Noted {
        fn drop(&mut self) {
            let _ = self.0.send(thread::current().id());
        }
    }
    let event_loop = system_loop();
    let own = thread::current().id();
    beside(&event_loop, move |remote| {
        let (noted, ids) = mpsc::channel();
        let (first, second) = (Noted(noted.clone()), Noted(noted));
        remote.spawn(async move |_| first).detach();
        assert_eq!(ids.recv_timeout(PATIENCE), Ok(own));
        let task = remote.spawn(async move |_| second);
        while !task.is_done() {
            thread::yield_now();
        }
        task.detach();
        assert_eq!(ids.recv_timeout(PATIENCE), Ok(own));
    });
}

#[test]
fn a_closed_loop_tells_whoever_waits_for_a_task() {
    let event_loop = system_loop();
    let remote = event_loop.remote();
    let (log, logged) = mpsc::channel();
    // One that runs, one that has not begun, and one that comes too late.
    let running = remote.spawn(never(log));
    settle(&event_loop).unwrap();
    assert_eq!(logged.try_recv(), Ok("begun"));
    let queued = remote.spawn(async |_| ());
    let waiting = thread::spawn(move || (running.wait(), queued.wait()));
    event_loop.close().unwrap();
    let (running, queued) = waiting.join().unwrap();
    assert!(running.unwrap_err().is_closed() && queued.unwrap_err().is_closed());
    assert_eq!(logged.try_recv(), Ok("dropped"));
    let late = remote.spawn(async |_| ());
    assert!(late.wait().unwrap_err().is_closed());
    assert!(complete(&memory_loop(), late).unwrap_err().is_invalid(), "it was taken");
    let late = remote.spawn(async |_| ());
    assert!(complete(&memory_loop(), late).unwrap_err().is_closed());
}

#[test]
fn no_thread_waits_for_ever_for_a_loop_that_closes_meanwhile() {
    for _ in 0..5 {
        let event_loop = system_loop();
        let start = Arc::new(Barrier::new(5));
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let (remote, start) = (event_loop.remote(), Arc::clone(&start));
                thread::spawn(move || {
                    start.wait();
                    let mut done = 0;
                    loop {
                        let task = remote.spawn(async move |event_loop| {
                            event_loop.sleep(Duration::ZERO).await;
                            number
                        });
                        match in_time(&task) {
                            Ok(output) => done += usize::from(output == number),
                            Err(error) => {
                                assert!(error.is_closed(), "{error}");
                                return done;
                            }
                        }
                    }
                })
            })
            .collect();
        start.wait();
        for _ in 0..50 {
            settle(&event_loop).unwrap();
            thread::yield_now();
        }
        event_loop.close().unwrap();
        for thread in threads {
            thread.join().unwrap();
        }
    }
}

#[test]
fn thousands_of_remote_tasks_of_four_threads_each_end_once() {
    let event_loop = system_loop();
    let ended = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let (remote, ended) = (event_loop.remote(), Arc::clone(&ended));
            thread::spawn(move || {
                let tasks: Vec<_> = (0..500)
                    .map(|number| {
                        remote.spawn(async move |_| {
                            wharf::yield_now().await;
                            (thread, number)
                        })
                    })
                    .collect();
                for (number, task) in tasks.into_iter().enumerate() {
                    // Every third is given up at some point of its life.
                    if number % 3 == 0 {
                        drop(task);
                    } else {
                        assert_eq!(in_time(&task).unwrap(), (thread, number));
                    }
                }
                if ended.fetch_add(1, Ordering::SeqCst) == 3 {
                    remote.call_soon_threadsafe(EventLoop::stop).unwrap();
                }
            })
        })
        .collect();
    run_forever(&event_loop);
    for thread in threads {
        thread.join().unwrap();
    }
    settle(&event_loop).unwrap();
    assert_eq!((event_loop.statistics().tasks, event_loop.statistics().exceptions), (0, 0));
}

#[test]
fn a_remote_task_keeps_nothing_once_it_is_gone() {
    let event_loop = memory_loop();
    let log = Log::default();
    let held = Arc::new(());
    for _ in 0..100 {
        let inside = Arc::clone(&held);
        let task = event_loop.remote().spawn(async move |_| {
            let _inside = inside;
            pending::<()>().await;
        });
        settle(&event_loop).unwrap();
        drop(task);
        settle(&event_loop).unwrap();
        assert_eq!(Arc::strong_count(&held), 1);
    }
    assert_eq!(event_loop.statistics().tasks, 0);
    assert_eq!(log.len(), 0);
}
