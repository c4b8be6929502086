//! Signals to children, and closing them.

use wharf::{ChildFd, EventLoop, ProcessTransport};

use crate::children::{Event, Log, code, is_running, killed_by};
use crate::serving::{run, until};

// 179.
#[test]
fn close_closes_the_pipes_and_kills_a_running_child() {
    run(async |event_loop| {
        let log = Log::new();
        let process = event_loop.subprocess_exec(log.factory(), "sleep").arg("100").await?;
        assert!(!process.handle().is_closing());
        process.handle().close();
        process.handle().close();
        assert!(process.handle().is_closing());
        assert_eq!(process.wait().await?, killed_by(9));
        until(&event_loop, "the end", || log.is_lost()).await;
        assert_eq!(log.events().last(), Some(&Event::Lost(None)));
        assert!(process.handle().is_closing());
        process.handle().close();
        Ok(())
    });
}

// 179.
#[test]
fn close_does_not_kill_a_child_that_has_exited_told_or_not() {
    run(async |event_loop| {
        let log = Log::reacting(|event, process| {
            if *event == Event::Made {
                while is_running(process.pid()) {
                    std::thread::yield_now();
                }
                process.close();
                assert_eq!(process.exit_status(), None);
            }
            Ok(())
        });
        let process = event_loop.subprocess_shell(log.factory(), "echo lost; exit 6").await?;
        assert_eq!(process.wait().await?, code(6));
        until(&event_loop, "the end", || log.is_lost()).await;
        assert!(log.stdout().is_empty(), "closed before it was delivered");
        Ok(())
    });
}

// W68.
#[test]
fn close_works_while_the_loop_does_not_run_and_after_it_is_closed() {
    let event_loop = EventLoop::new().expect("a loop");
    let log = Log::new();
    let started = event_loop.subprocess_exec(log.factory(), "sleep").arg("100").start();
    let process = event_loop.run_until_complete(started).expect("a run").expect("a child");
    process.handle().close();
    let status = event_loop.run_until_complete(process.wait()).expect("a run").expect("a status");
    assert_eq!(status, killed_by(9));
    event_loop.close().expect("closed");
    process.handle().close();
    assert!(process.handle().pipe_transport(ChildFd::STDIN).is_none());
}

// 180.
#[test]
fn signals_to_a_process_that_has_ended_are_refused() {
    run(async |event_loop| {
        let log = Log::new();
        let process = event_loop.subprocess_exec(log.factory(), "true").await?;
        process.wait().await?;
        let handle = process.handle();
        for refused in [handle.kill(), handle.terminate(), handle.send_signal(1)] {
            assert!(refused.is_err_and(|error| error.is_closed()));
        }
        assert!(handle.send_signal(0).is_err_and(|error| error.is_invalid()));
        assert!(handle.send_signal(1000).is_err_and(|error| error.is_invalid()));
        Ok(())
    });
}

// 180.
#[test]
fn a_signal_to_a_child_that_has_just_exited_is_no_error() {
    run(async |event_loop| {
        let log = Log::reacting(|event, process| {
            if *event == Event::Made {
                while is_running(process.pid()) {
                    std::thread::yield_now();
                }
                process.kill()?;
                process.terminate()?;
            }
            Ok(())
        });
        let process = event_loop.subprocess_exec(log.factory(), "true").await?;
        assert_eq!(process.wait().await?, code(0));
        Ok(())
    });
}

// XS.
#[test]
fn a_process_group_is_signalled_and_closed_as_one() {
    run(async |event_loop| {
        for by_closing in [false, true] {
            let log = Log::new();
            let line = "sleep 100 & echo $!; wait";
            let process = event_loop.subprocess_shell(log.factory(), line).process_group(0).await?;
            until(&event_loop, "a line", || log.stdout().ends_with(b"\n")).await;
            let grandchild: u32 = String::from_utf8(log.stdout())?.trim().parse()?;
            assert!(is_running(grandchild));
            if by_closing {
                process.handle().close();
            } else {
                process.handle().send_signal_to_group(15)?;
            }
            until(&event_loop, "the grandchild's end", || !is_running(grandchild)).await;
            until(&event_loop, "the end", || log.is_lost()).await;
        }
        let log = Log::new();
        let process = event_loop.subprocess_exec(log.factory(), "cat").await?;
        let refused = process.handle().send_signal_to_group(15);
        assert!(refused.is_err_and(|error| error.is_invalid()), "it is in the group of this test");
        Ok(())
    });
}
