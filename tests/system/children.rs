//! Child processes in numbers, at every point of their lives, and without resources.

use std::cell::Cell;
use std::os::unix::process::CommandExt;
use std::rc::Rc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use wharf::testing::step;
use wharf::{EventLoop, ProcessTransport, Stdio};

use crate::needs::missing;
use crate::observer::{Log, killed_by, state};
use crate::process::{
    Guard, PASSED, alone, command, limit_descriptors_to, open_descriptors, raise_descriptor_limit,
    role,
};
use crate::serving::{run, until};

/// `EMFILE`.
const TOO_MANY_OPEN_FILES: i32 = 24;

/// The children of this process, zombies included.
fn children() -> Vec<u32> {
    let this = std::process::id();
    let pids = std::fs::read_dir("/proc")
        .expect("the processes")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| parent(*pid) == Some(this)).collect()
}

fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// Turns the loop until no child is left.
fn run_until_childless(event_loop: &EventLoop) {
    let childless = async {
        until(event_loop, "no child left", || children().is_empty()).await;
        // What is over is let go of at the end of a turn.
        event_loop.sleep(Duration::from_millis(1)).await;
    };
    event_loop.run_until_complete(childless).expect("a run");
}

#[test]
fn ten_thousand_children_in_a_row_leave_nothing() {
    alone("children::ten_thousand_children_in_a_row_leave_nothing", || {
        let event_loop = EventLoop::new().expect("a loop");
        let (before, statistics) = (open_descriptors(), event_loop.statistics());
        let ended = Rc::new(Cell::new(0));
        let count = Rc::clone(&ended);
        let all = event_loop.run(async move |event_loop| {
            // Some beside others, so that no processor rests.
            let lanes = [(); 4].map(|()| {
                let (event_loop, count) = (event_loop.clone(), Rc::clone(&count));
                event_loop.clone().create_task(async move {
                    for number in 0..2500 {
                        let command = event_loop.subprocess_exec(Log::new().factory(), "/bin/true");
                        let process = command.await.expect("a child");
                        let status = process.wait().await.expect("a status");
                        assert!(status.success(), "{number}");
                        count.set(count.get() + 1);
                    }
                })
            });
            for lane in lanes {
                lane.await?;
            }
            Ok(())
        });
        all.expect("no error");
        run_until_childless(&event_loop);
        assert_eq!(ended.get(), 10_000);
        assert_eq!(open_descriptors(), before);
        assert_eq!(event_loop.statistics().sources, statistics.sources);
        assert_eq!(event_loop.statistics().connections_open, 0);
    });
}

#[test]
fn two_hundred_children_at_once_give_all_they_write_and_leave_nothing() {
    alone("children::two_hundred_children_at_once_give_all_they_write_and_leave_nothing", || {
        raise_descriptor_limit();
        let event_loop = EventLoop::new().expect("a loop");
        let before = open_descriptors();
        let all = event_loop.run(async |event_loop| {
            let (reader, writer) = std::io::pipe()?;
            let mut running = Vec::new();
            for number in 0..200 {
                // They write when all are there: the pipe ends.
                let line = format!("read line; seq 1 2000; exit {}", number % 100);
                let log = Log::new();
                let input = reader.try_clone()?;
                let process = event_loop.subprocess_shell(log.factory(), line).stdin(input).await?;
                running.push((number, log, process));
            }
            assert_eq!(children().len(), 200);
            drop((reader, writer));
            let expected: String = (1..=2000).map(|number| format!("{number}\n")).collect();
            for (number, log, process) in running {
                assert_eq!(process.wait().await?.code(), Some(number % 100));
                until(&event_loop, "its end", || log.is_lost()).await;
                assert!(log.stdout() == expected.as_bytes());
            }
            Ok(())
        });
        all.expect("no error");
        assert_eq!(children(), []);
        assert_eq!(open_descriptors(), before);
    });
}

#[test]
fn a_child_that_is_killed_at_any_point_is_told_of_and_waited_for() {
    alone("children::a_child_that_is_killed_at_any_point_is_told_of_and_waited_for", || {
        let event_loop = EventLoop::new().expect("a loop");
        let before = open_descriptors();
        for turns in 0..60 {
            let log = Log::reacting(|_, process| {
                process.write(&[b'x'; 1000]);
                Ok(())
            });
            let line = "while :; do echo line; echo error >&2; done";
            let started = event_loop.subprocess_shell(log.factory(), line).start();
            let process = event_loop.run_until_complete(started).expect("a run").expect("a child");
            for _ in 0..turns {
                step(&event_loop).expect("a turn");
            }
            // From outside: neither its transport nor the loop knows.
            let pid = rustix::process::Pid::from_raw(process.handle().pid() as i32);
            let signal = rustix::process::Signal::KILL;
            rustix::process::kill_process(pid.expect("a number"), signal).expect("it is there");
            let lost = async { until(&event_loop, "the end", || log.is_lost()).await };
            event_loop.run_until_complete(lost).expect("a run");
            assert_eq!(process.handle().exit_status(), Some(killed_by(9)));
            assert_eq!(state(process.handle().pid()), None, "no zombie");
        }
        assert_eq!(children(), []);
        assert_eq!(open_descriptors(), before);
    });
}

#[test]
fn giving_up_at_any_point_leaves_neither_a_child_nor_a_descriptor() {
    alone("children::giving_up_at_any_point_leaves_neither_a_child_nor_a_descriptor", || {
        let event_loop = EventLoop::new().expect("a loop");
        let before = (open_descriptors(), event_loop.statistics().sources);
        for turns in 0..30 {
            let running = event_loop.run_shell("cat; sleep 100").input(vec![0; 500_000]).start();
            let started = event_loop.subprocess_exec(Log::new().factory(), "cat").start();
            for _ in 0..turns {
                step(&event_loop).expect("a turn");
            }
            drop((running, started));
            run_until_childless(&event_loop);
            assert_eq!((open_descriptors(), event_loop.statistics().sources), before, "{turns}");
        }
    });
}

#[test]
fn closing_the_loop_at_any_point_leaves_neither_a_child_nor_a_descriptor() {
    alone(
        "children::closing_the_loop_at_any_point_leaves_neither_a_child_nor_a_descriptor",
        || {
            let before = open_descriptors();
            for turns in 0..30 {
                let event_loop = EventLoop::new().expect("a loop");
                let running = event_loop.run_shell("cat").input(vec![0; 500_000]).start();
                let log = Log::new();
                event_loop.subprocess_exec(log.factory(), "true").start().detach();
                event_loop.subprocess_exec(log.factory(), "cat").start().cancel();
                for _ in 0..turns {
                    step(&event_loop).expect("a turn");
                }
                drop(event_loop);
                drop(running);
                assert_eq!(children(), [], "{turns}");
                assert_eq!(open_descriptors(), before, "{turns}");
                assert!(log.events().is_empty() || log.is_lost());
            }
        },
    );
}

#[test]
fn without_descriptors_a_start_fails_clearly_and_leaves_nothing() {
    alone("children::without_descriptors_a_start_fails_clearly_and_leaves_nothing", || {
        run(async |event_loop| {
            raise_descriptor_limit();
            // Whatever is opened lazily is open then.
            event_loop.run_process("/bin/true").await?;
            let before = open_descriptors();
            let mut failures = 0;
            for count in 0.. {
                limit_descriptors_to(count);
                let log = Log::new();
                let outcome = event_loop.subprocess_exec(log.factory(), "/bin/true").await;
                raise_descriptor_limit();
                match outcome {
                    Ok(process) => {
                        assert!(process.wait().await?.success());
                        break;
                    }
                    Err(error) => {
                        failures += 1;
                        let code = error.io_error().and_then(std::io::Error::raw_os_error);
                        assert_eq!(code, Some(TOO_MANY_OPEN_FILES), "{count}: {error}");
                        assert_eq!(children(), [], "{count}: {error}");
                        assert!(log.events().is_empty());
                    }
                }
                event_loop.sleep(Duration::from_millis(1)).await;
                assert_eq!(open_descriptors(), before, "{count}");
            }
            // At least those of three pipes.
            assert!(failures >= 6, "{failures}");
            until(&event_loop, "the end", || open_descriptors() == before).await;

            // Here it is the child itself that cannot be watched.
            let command = event_loop.subprocess_exec(Log::new().factory(), "sleep").arg("100");
            let start = command
                .stdin(Stdio::inherit())
                .stdout(Stdio::inherit())
                .stderr(Stdio::inherit())
                .start();
            limit_descriptors_to(0);
            let outcome = start.await;
            raise_descriptor_limit();
            let error = outcome.expect_err("there is no descriptor for it");
            let code = error.io_error().and_then(std::io::Error::raw_os_error);
            assert_eq!(code, Some(TOO_MANY_OPEN_FILES), "{error}");
            assert_eq!(children(), []);
            assert_eq!(open_descriptors(), before);

            // A program that is run has both pipes closed before its exit needs a descriptor.
            for count in 0.. {
                limit_descriptors_to(count);
                let outcome = event_loop.run_process("/bin/echo").arg("ran").await;
                raise_descriptor_limit();
                assert_eq!((children(), open_descriptors()), (vec![], before), "{count}");
                match outcome {
                    Ok(output) => {
                        assert_eq!(output.stdout, b"ran\n");
                        break;
                    }
                    Err(error) => {
                        let code = error.io_error().and_then(std::io::Error::raw_os_error);
                        assert_eq!(code, Some(TOO_MANY_OPEN_FILES), "{count}: {error}");
                    }
                }
            }
            let kept = event_loop.run_shell("exec sleep 100").stdout(Stdio::inherit());
            let kept = kept.stderr(Stdio::inherit()).stdin(Stdio::inherit());
            limit_descriptors_to(0);
            let outcome = kept.start().await;
            raise_descriptor_limit();
            let error = outcome.expect_err("there is no descriptor for it");
            let code = error.io_error().and_then(std::io::Error::raw_os_error);
            assert_eq!(code, Some(TOO_MANY_OPEN_FILES), "{error}");
            assert_eq!((children(), open_descriptors()), (vec![], before));
            Ok(())
        });
    });
}

#[test]
fn without_processes_a_start_fails_clearly_and_leaves_nothing() {
    let name = "children::without_processes_a_start_fails_clearly_and_leaves_nothing";
    if role().is_none() {
        let mut command = command(name, "alone");
        if rustix::process::geteuid().is_root() {
            // The limit does not hold for root.
            command.uid(65534).gid(65534);
        }
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                return missing("a test program that anybody may run");
            }
            Err(error) => panic!("{error}"),
        };
        assert_eq!(Guard(child).wait().code(), Some(PASSED));
        return;
    }
    run(async |event_loop| {
        let before = open_descriptors();
        let limit = getrlimit(Resource::Nproc);
        setrlimit(Resource::Nproc, Rlimit { current: Some(1), ..limit })?;
        let log = Log::new();
        let failed = event_loop.subprocess_exec(log.factory(), "/bin/true").await;
        let error = failed.expect_err("there can be no other process");
        assert_eq!(error.io_kind(), Some(std::io::ErrorKind::WouldBlock), "{error}");
        assert!(format!("{error:#}").contains("/bin/true"), "{error}");
        setrlimit(Resource::Nproc, limit)?;
        assert_eq!(open_descriptors(), before);
        assert!(event_loop.run_process("/bin/true").await?.status.success());
        Ok(())
    });
    std::process::exit(PASSED);
}

#[test]
fn where_sigchld_is_ignored_statuses_are_lost_and_exits_are_not() {
    alone("children::where_sigchld_is_ignored_statuses_are_lost_and_exits_are_not", || {
        // A program can only start so, without unsafe code.
        if std::env::var_os("IGNORED").is_none() {
            let status = std::process::Command::new("env")
                .args(["--ignore-signal=CHLD", "IGNORED=1"])
                .args(std::env::args_os())
                .status()
                .expect("coreutils' env");
            assert_eq!(status.code(), Some(PASSED));
            return;
        }
        run(async |event_loop| {
            let output = event_loop.run_shell("echo out; exit 3").await?;
            assert_eq!((output.status.code(), &*output.stdout), (Some(255), &b"out\n"[..]));
            Ok(())
        });
    });
}
