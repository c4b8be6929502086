//! Who wants a child to run.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use wharf::{EventLoop, ProcessTransport};

use crate::children::{Event, Log, code, is_running, killed_by, state};
use crate::serving::{run, until};

// W67.
#[test]
fn dropping_the_last_process_kills_the_child() {
    run(async |event_loop| {
        let log = Log::new();
        let process = event_loop.subprocess_exec(log.factory(), "sleep").arg("100").await?;
        let (other, handle) = (process.clone(), process.handle().clone());
        drop(process);
        event_loop.sleep(Duration::from_millis(5)).await;
        assert!(!handle.is_closing(), "there is another");
        drop(other);
        assert!(handle.is_closing());
        until(&event_loop, "the end", || log.is_lost()).await;
        assert_eq!(handle.exit_status(), Some(killed_by(9)));
        assert_eq!(state(handle.pid()), None, "no zombie");
        Ok(())
    });
}

// XS.
#[test]
fn a_child_that_is_detached_belongs_to_the_loop() {
    let event_loop = EventLoop::new().expect("a loop");
    let mut handles = Vec::new();
    let log = Log::new();
    let started = event_loop.subprocess_exec(log.factory(), "cat").start();
    let process = event_loop.run_until_complete(started).expect("a run").expect("a child");
    handles.push(process.handle().clone());
    process.detach();

    let made = Rc::new(RefCell::new(Vec::new()));
    let collect = |made: &Rc<RefCell<Vec<_>>>| {
        let made = Rc::clone(made);
        Log::reacting(move |event, process| {
            if *event == Event::Made {
                made.borrow_mut().push(process.handle());
            }
            Ok(())
        })
    };
    let detached = collect(&made);
    event_loop.subprocess_exec(detached.factory(), "cat").start().detach();
    let told = collect(&made);
    let started = event_loop.subprocess_exec(told.factory(), "cat").start();
    started.add_done_callback(|outcome| assert!(outcome.is_ok()));
    drop(started);
    let both = async { until(&event_loop, "both", || made.borrow().len() == 2).await };
    event_loop.run_until_complete(both).expect("a run");
    handles.extend(made.take());

    event_loop.run_until_complete(event_loop.sleep(Duration::from_millis(5))).expect("a run");
    for handle in &handles {
        assert!(is_running(handle.pid()) && !handle.is_closing());
    }
    event_loop.close().expect("closed");
    for handle in &handles {
        assert_eq!(handle.exit_status(), Some(killed_by(9)));
        assert_eq!(state(handle.pid()), None, "no zombie");
    }
    for log in [log, detached, told] {
        assert!(log.is_lost());
    }
}

// XS.
#[test]
fn a_loop_that_closes_kills_its_children_and_tells_their_protocols() {
    let event_loop = EventLoop::new().expect("a loop");
    let logs: Vec<Log> = (0..5).map(|_| Log::new()).collect();
    let mut processes = Vec::new();
    for log in &logs {
        let started = event_loop.subprocess_exec(log.factory(), "cat").start();
        processes.push(event_loop.run_until_complete(started).expect("a run").expect("a child"));
    }
    drop(event_loop);
    for (log, process) in logs.iter().zip(&processes) {
        let events = log.events();
        assert!(events.contains(&Event::Exited(killed_by(9))), "{events:?}");
        assert_eq!(events.last(), Some(&Event::Lost(None)));
        assert_eq!(log.drops(), 1);
        assert_eq!(state(process.handle().pid()), None, "no zombie");
    }
}

// XS.
#[test]
fn without_kill_on_drop_a_child_outlives_process_and_loop_and_is_still_waited_for() {
    let event_loop = EventLoop::new().expect("a loop");
    let log = Log::new();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let started =
        event_loop.subprocess_exec(log.factory(), "cat").stdin(reader).kill_on_drop(false).start();
    let process = event_loop.run_until_complete(started).expect("a run").expect("a child");
    let handle = process.handle().clone();
    drop(process);
    event_loop.run_until_complete(event_loop.sleep(Duration::from_millis(5))).expect("a run");
    assert!(is_running(handle.pid()) && !handle.is_closing());
    drop(event_loop);
    assert!(is_running(handle.pid()), "it runs on");
    assert_eq!(handle.exit_status(), None);
    assert_eq!(log.events().last(), Some(&Event::Lost(None)));
    assert!(!log.has_exited());
    drop(writer);
    // A thread waits for it.
    let deadline = Instant::now() + Duration::from_secs(10);
    while state(handle.pid()).is_some() {
        assert!(Instant::now() < deadline, "process {} was not waited for", handle.pid());
        std::thread::yield_now();
    }
}

// XS.
#[test]
fn dropping_a_process_that_has_exited_closes_its_pipes() {
    run(async |event_loop| {
        let (reader, _writer) = std::io::pipe()?;
        let log = Log::new();
        // What it leaves behind keeps its output open.
        let line = "exec 3<&0; (read line <&3) & exit 0";
        let process = event_loop.subprocess_shell(log.factory(), line).stdin(reader).await?;
        process.wait().await?;
        assert!(!log.is_lost());
        drop(process);
        until(&event_loop, "the end", || log.is_lost()).await;
        assert!(log.has(&Event::Exited(code(0))));
        Ok(())
    });
}
