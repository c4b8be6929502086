//! `run_in_executor`.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use wharf::EventLoop;
use wharf::testing::settle;

use crate::loops::memory_loop;
use crate::probes::{Log, PATIENCE, complete, reports, step_until};

/// A loop with one thread for jobs.
pub(crate) fn narrow_loop() -> EventLoop {
    EventLoop::builder().executor_threads(1).build().unwrap()
}

/// A job that says when it has begun, and ends when it is told to or its channel is gone.
pub(crate) fn gated() -> (mpsc::Receiver<()>, mpsc::Sender<()>, impl FnOnce() + Send) {
    let (begun, has_begun) = mpsc::channel();
    let (end, may_end) = mpsc::channel();
    let job = move || {
        let _ = begun.send(());
        let _ = may_end.recv_timeout(PATIENCE);
    };
    (has_begun, end, job)
}

// 31.
#[test]
fn a_job_runs_on_another_thread_and_its_result_arrives_on_the_loops() {
    let event_loop = EventLoop::new().unwrap();
    let own = thread::current().id();
    let job = event_loop.run_in_executor(move || (thread::current().id() != own, 42));
    let log = Log::default();
    let told = log.clone();
    job.add_done_callback(move |result| {
        assert_eq!(thread::current().id(), own);
        told.add(format!("{:?}", result.as_ref().unwrap()));
    });
    assert_eq!(complete(&event_loop, job).unwrap(), (true, 42));
    assert_eq!(log.entries(), ["(true, 42)"]);
}

// 31.
#[test]
fn a_panic_of_a_job_is_its_result() {
    for event_loop in [narrow_loop(), memory_loop()] {
        let error = complete(&event_loop, event_loop.run_in_executor(|| panic!("in the job")));
        let error: wharf::Error = error.map(|(): ()| ()).unwrap_err();
        assert!(error.is_panic());
        assert_eq!(format!("{error:#}"), "in the job");
        // The thread goes on.
        assert_eq!(complete(&event_loop, event_loop.run_in_executor(|| 1)).unwrap(), 1);
    }
}

// 31.
#[test]
fn jobs_run_beside_one_another_up_to_the_limit_and_begin_in_order() {
    let event_loop = EventLoop::builder().executor_threads(3).build().unwrap();
    let together = Arc::new(Barrier::new(3));
    let jobs: Vec<_> = (0..3)
        .map(|_| {
            let together = Arc::clone(&together);
            event_loop.run_in_executor(move || together.wait().is_leader())
        })
        .collect();
    for job in jobs {
        complete(&event_loop, job).unwrap();
    }

    let event_loop = narrow_loop();
    let (order, running) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
    let jobs: Vec<_> = (0..20)
        .map(|number| {
            let (order, running) = (Arc::clone(&order), Arc::clone(&running));
            event_loop.run_in_executor(move || {
                assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0);
                order.lock().unwrap().push(number);
                running.fetch_sub(1, Ordering::SeqCst);
            })
        })
        .collect();
    for job in jobs {
        complete(&event_loop, job).unwrap();
    }
    assert!(order.lock().unwrap().iter().copied().eq(0..20));
}

// 31.
#[test]
fn a_job_that_is_cancelled_before_it_begins_never_runs() {
    let event_loop = narrow_loop();
    let (has_begun, end, job) = gated();
    let first = event_loop.run_in_executor(job);
    has_begun.recv_timeout(PATIENCE).unwrap();
    let held = Arc::new(AtomicBool::new(false));
    let ran = Arc::clone(&held);
    let second = event_loop.run_in_executor(move || ran.store(true, Ordering::SeqCst));
    assert_eq!(Arc::strong_count(&held), 2);
    assert!(second.cancel());
    assert!(second.is_cancelled());
    assert_eq!(Arc::strong_count(&held), 1, "it is dropped at once");
    end.send(()).unwrap();
    complete(&event_loop, first).unwrap();
    assert!(complete(&event_loop, second).unwrap_err().is_cancelled());
    assert!(!held.load(Ordering::SeqCst));
}

// 31.
#[test]
fn a_job_in_memory_that_is_cancelled_before_it_begins_never_runs() {
    let event_loop = memory_loop();
    let own = thread::current().id();
    let here = event_loop.run_in_executor(move || thread::current().id() == own);
    assert!(event_loop.run_until_complete(here).unwrap().unwrap());

    let ran = Arc::new(AtomicBool::new(false));
    let job = {
        let ran = Arc::clone(&ran);
        event_loop.run_in_executor(move || ran.store(true, Ordering::SeqCst))
    };
    assert!(!ran.load(Ordering::SeqCst), "not at once");
    drop(job);
    settle(&event_loop).unwrap();
    assert!(!ran.load(Ordering::SeqCst));
    assert_eq!(Arc::strong_count(&ran), 1);
}

// 31.
#[test]
fn the_result_of_a_job_that_was_cancelled_while_it_ran_is_thrown_away() {
    let event_loop = narrow_loop();
    let reports = reports(&event_loop);
    let (has_begun, end, job) = gated();
    let cancelled = event_loop.run_in_executor(move || {
        job();
        panic!("nobody is told");
    });
    has_begun.recv_timeout(PATIENCE).unwrap();
    let cancelled: wharf::LoopFuture<()> = cancelled;
    assert!(cancelled.cancel());
    end.send(()).unwrap();
    complete(&event_loop, event_loop.run_in_executor(|| ())).unwrap();
    assert!(complete(&event_loop, cancelled).unwrap_err().is_cancelled());
    assert_eq!(reports.len(), 0);
}

// 31.
#[test]
fn a_loop_that_closes_does_not_wait_for_its_jobs() {
    let event_loop = narrow_loop();
    let (has_begun, end, job) = gated();
    let running = event_loop.run_in_executor(job);
    let ran = Arc::new(AtomicBool::new(false));
    let waiting = {
        let ran = Arc::clone(&ran);
        event_loop.run_in_executor(move || ran.store(true, Ordering::SeqCst))
    };
    has_begun.recv_timeout(PATIENCE).unwrap();
    // The one that runs ends only when it is told to, below.
    event_loop.close().unwrap();
    assert!(running.take_result().unwrap().unwrap_err().is_cancelled());
    assert!(waiting.take_result().unwrap().unwrap_err().is_cancelled());
    assert_eq!(Arc::strong_count(&ran), 1, "what had not begun is dropped");
    assert!(!ran.load(Ordering::SeqCst));
    // The one that runs ends after the loop: its result is wanted by nobody.
    end.send(()).unwrap();
    drop((event_loop, running, waiting));
}

// 32.
#[test]
fn shutting_the_executor_down_waits_for_jobs_that_run() {
    let event_loop = narrow_loop();
    assert!(event_loop.shutdown_default_executor(Duration::ZERO), "there was none yet");
    let (has_begun, end, job) = gated();
    let running = event_loop.run_in_executor(job);
    has_begun.recv_timeout(PATIENCE).unwrap();
    end.send(()).unwrap();
    assert!(event_loop.shutdown_default_executor(PATIENCE));
    complete(&event_loop, running).unwrap();
}

// 32.
#[test]
fn shutting_the_executor_down_gives_up_after_the_timeout() {
    let event_loop = narrow_loop();
    let (has_begun, end, job) = gated();
    let running = event_loop.run_in_executor(job);
    has_begun.recv_timeout(PATIENCE).unwrap();
    assert!(!event_loop.shutdown_default_executor(Duration::from_millis(5)));
    assert!(!running.is_done());
    end.send(()).unwrap();
    complete(&event_loop, running).unwrap();
}

// 32.
#[test]
fn jobs_that_had_not_begun_at_the_shutdown_end_cancelled() {
    let event_loop = narrow_loop();
    let (has_begun, end, job) = gated();
    let running = event_loop.run_in_executor(job);
    has_begun.recv_timeout(PATIENCE).unwrap();
    let ran = Arc::new(AtomicUsize::new(0));
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let ran = Arc::clone(&ran);
            event_loop.run_in_executor(move || ran.fetch_add(1, Ordering::SeqCst))
        })
        .collect();
    assert!(!event_loop.shutdown_default_executor(Duration::ZERO));
    for job in waiting {
        assert!(complete(&event_loop, job).unwrap_err().is_cancelled());
    }
    end.send(()).unwrap();
    complete(&event_loop, running).unwrap();
    assert_eq!(ran.load(Ordering::SeqCst), 0);
}

// 32.
#[test]
fn a_job_after_the_shutdown_starts_the_executor_anew() {
    let event_loop = narrow_loop();
    complete(&event_loop, event_loop.run_in_executor(|| ())).unwrap();
    assert!(event_loop.shutdown_default_executor(PATIENCE));
    assert_eq!(complete(&event_loop, event_loop.run_in_executor(|| 7)).unwrap(), 7);
}

#[test]
fn a_detached_job_goes_on_and_its_panic_is_reported() {
    let event_loop = narrow_loop();
    let reports = reports(&event_loop);
    event_loop.run_in_executor(|| panic!("nobody waits")).detach();
    step_until(&event_loop, || reports.len() == 1);
    assert_eq!(reports.entries(), ["an error of a future was never retrieved: nobody waits"]);
}
