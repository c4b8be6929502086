//! Learning of a child's exit.

use std::io::Write;

use rustix::process::{Pid, WaitOptions, waitpid};
use wharf::{ChildFd, EventLoop, ProcessTransport};

use crate::children::{Event, Log, code, is_running, killed_by};
use crate::serving::{run, until};

// 178.
#[test]
fn the_exit_status_is_none_until_the_loop_has_learned_of_it() {
    let event_loop = EventLoop::new().expect("a loop");
    let log = Log::new();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let command = event_loop.subprocess_shell(log.factory(), "read line; exit 1").stdin(reader);
    let process = event_loop.run_until_complete(command.start()).expect("a run").expect("a child");
    let handle = process.handle().clone();
    drop(writer);
    while is_running(handle.pid()) {
        std::thread::yield_now();
    }
    assert_eq!(handle.exit_status(), None, "it has exited, and nobody was told");
    let status = event_loop.run_until_complete(process.wait()).expect("a run").expect("a status");
    assert_eq!(status, code(1));
    assert_eq!(handle.exit_status(), Some(code(1)));
}

// 178.
#[test]
fn a_signal_that_ended_the_child_is_in_its_status() {
    run(async |event_loop| {
        for signal in [15, 9] {
            let log = Log::new();
            let process = event_loop.subprocess_exec(log.factory(), "sleep").arg("100").await?;
            process.handle().send_signal(signal)?;
            assert_eq!(process.wait().await?, killed_by(signal));
            until(&event_loop, "the end", || log.is_lost()).await;
            assert!(log.has(&Event::Exited(killed_by(signal))));
            assert_eq!(process.handle().exit_status(), Some(killed_by(signal)), "it stays");
        }
        Ok(())
    });
}

// 186.
#[test]
fn any_number_can_wait_and_stop_waiting() {
    run(async |event_loop| {
        let log = Log::new();
        let process = event_loop.subprocess_shell(log.factory(), "read line; exit 5").await?;
        let (first, second, third) = (process.wait(), process.wait(), process.wait());
        drop(second);
        assert!(third.cancel());
        process.with(|_, process| process.write(b"\n"))?;
        assert_eq!(first.await?, code(5));
        assert_eq!(process.wait().await?, code(5), "also afterwards");
        assert!(third.await.is_err_and(|error| error.is_cancelled()));
        Ok(())
    });
}

// 186, 176.
#[test]
fn a_grandchild_with_the_pipes_delays_neither_the_exit_nor_who_waits_for_it() {
    run(async |event_loop| {
        let (reader, mut writer) = std::io::pipe()?;
        let log = Log::new();
        let line = "exec 3<&0; (read line <&3; echo $line) & exit 4";
        let process = event_loop.subprocess_shell(log.factory(), line).stdin(reader).await?;
        assert_eq!(process.wait().await?, code(4));
        assert!(log.has(&Event::Exited(code(4))));
        assert!(!log.is_lost(), "its output has not ended");
        assert!(process.handle().pipe_transport(ChildFd::STDOUT).is_some());
        writer.write_all(b"from a grandchild\n")?;
        until(&event_loop, "the end", || log.is_lost()).await;
        assert_eq!(log.stdout(), b"from a grandchild\n");
        Ok(())
    });
}

// 186.
#[test]
fn a_child_that_somebody_else_has_waited_for_counts_as_exited_with_255() {
    run(async |event_loop| {
        let log = Log::new();
        // It ends with its input, so not before it is waited for here.
        let (reader, writer) = std::io::pipe()?;
        let process =
            event_loop.subprocess_shell(log.factory(), "read line; exit 3").stdin(reader).await?;
        let pid = Pid::from_raw(process.handle().pid().try_into()?);
        drop(writer);
        waitpid(pid, WaitOptions::empty())?;
        assert_eq!(process.wait().await?, code(255));
        until(&event_loop, "the end", || log.is_lost()).await;
        Ok(())
    });
}

// XS.
#[test]
fn a_wait_that_can_never_end_fails_when_the_loop_closes() {
    let event_loop = EventLoop::new().expect("a loop");
    let log = Log::new();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let started =
        event_loop.subprocess_exec(log.factory(), "cat").stdin(reader).kill_on_drop(false).start();
    let process = event_loop.run_until_complete(started).expect("a run").expect("a child");
    let waiting = process.wait();
    event_loop.close().expect("closed");
    let outcome = waiting.take_result().expect("a result");
    assert!(outcome.is_err_and(|error| error.is_closed()));
    assert!(process.wait().take_result().is_some_and(|outcome| outcome.is_err()));
    // It ends with its input.
    drop(writer);
}
