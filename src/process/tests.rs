//! What both ways to learn of an exit have to hold: a descriptor, and a thread.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use super::{Process, ProcessProtocol, ProcessTransport};
use crate::event_loop::EventLoop;
use crate::signal::{SIGKILL, SIGTERM};

/// No test waits longer.
const PATIENCE: Duration = Duration::from_secs(10);

struct Idle;

impl ProcessProtocol for Idle {}

/// A loop that learns of exits by descriptors where it can, and one that does by threads.
fn both_loops() -> [EventLoop; 2] {
    let loops = [(); 2].map(|()| EventLoop::new().unwrap());
    loops[1].core().processes.wait_with_threads();
    loops
}

fn start(event_loop: &EventLoop, line: &str, kill_on_drop: bool) -> Process<Idle> {
    let command = event_loop.subprocess_shell(|| Idle, line).kill_on_drop(kill_on_drop);
    event_loop.run_until_complete(command.start()).unwrap().unwrap()
}

/// Whether there is such a process, be it a zombie.
fn is_there(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn output_and_status_arrive_either_way() {
    for event_loop in both_loops() {
        let output = event_loop
            .run(async |event_loop| {
                let command = event_loop.run_shell("cat; echo two >&2; exit 3").input("one");
                Ok(command.timeout(PATIENCE).await?)
            })
            .unwrap();
        assert_eq!((&*output.stdout, &*output.stderr), (&b"one"[..], &b"two\n"[..]));
        assert_eq!(output.status.code(), Some(3));
    }
}

#[test]
fn a_program_that_is_run_and_closes_its_output_first_is_waited_for_either_way() {
    for event_loop in both_loops() {
        let line = "exec >&- 2>&-; sleep 0.02; exit 9";
        let running = event_loop.run_shell(line).timeout(PATIENCE).start();
        let output = event_loop.run_until_complete(running).unwrap().unwrap();
        assert_eq!(output.status.code(), Some(9));
        let killed =
            event_loop.run_shell("exec >&- 2>&-; sleep 100").timeout(Duration::from_nanos(1));
        let error = event_loop.run_until_complete(killed.start()).unwrap().unwrap_err();
        assert!(error.is_timeout());
    }
}

#[test]
fn a_loop_that_sleeps_is_woken_by_an_exit_either_way() {
    for event_loop in both_loops() {
        let process = start(&event_loop, "exec >&- 2>&- <&-; sleep 0.02; exit 9", true);
        let status = event_loop.run_until_complete(process.wait()).unwrap().unwrap();
        assert_eq!(status.code(), Some(9));
        assert!(!is_there(process.handle().pid()));
        assert!(process.handle().kill().is_err_and(|error| error.is_closed()));
    }
}

#[test]
fn signals_arrive_either_way() {
    for event_loop in both_loops() {
        for signal in [SIGTERM, SIGKILL] {
            let process = start(&event_loop, "exec sleep 100", true);
            process.handle().send_signal(signal).unwrap();
            let status = event_loop.run_until_complete(process.wait()).unwrap().unwrap();
            assert_eq!(status.signal(), Some(signal));
        }
    }
}

#[test]
fn a_loop_that_closes_waits_for_those_it_kills_either_way() {
    for event_loop in both_loops() {
        let processes = [(); 10].map(|()| start(&event_loop, "exec sleep 100", true));
        drop(event_loop);
        for process in processes {
            assert_eq!(process.handle().exit_status().and_then(|status| status.signal()), Some(9));
            assert!(!is_there(process.handle().pid()));
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn those_that_a_closed_loop_leaves_are_waited_for_by_a_thread_either_way() {
    for event_loop in both_loops() {
        let (reader, writer) = std::io::pipe().unwrap();
        let command =
            event_loop.subprocess_exec(|| Idle, "cat").stdin(reader).kill_on_drop(false).start();
        let process = event_loop.run_until_complete(command).unwrap().unwrap();
        let pid = process.handle().pid();
        drop((process, event_loop));
        assert!(is_there(pid), "it runs on");
        drop(writer);
        let began = Instant::now();
        while is_there(pid) {
            assert!(began.elapsed() < PATIENCE, "nobody has waited for it");
            std::thread::yield_now();
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn an_exit_that_a_closing_loop_has_not_heard_of_yet_leaves_no_zombie_either_way() {
    for event_loop in both_loops() {
        let (reader, writer) = std::io::pipe().unwrap();
        let command =
            event_loop.subprocess_exec(|| Idle, "cat").stdin(reader).kill_on_drop(false).start();
        let process = event_loop.run_until_complete(command).unwrap().unwrap();
        let pid = process.handle().pid();
        let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        drop(writer);
        let began = Instant::now();
        while !state().contains(") Z ") {
            assert!(began.elapsed() < PATIENCE, "it did not exit: {}", state());
            std::thread::yield_now();
        }
        drop(event_loop);
        let began = Instant::now();
        while is_there(pid) {
            assert!(began.elapsed() < PATIENCE, "nobody has waited for it");
            std::thread::yield_now();
        }
    }
}

#[test]
fn one_that_somebody_else_has_waited_for_counts_as_255_either_way() {
    for event_loop in both_loops() {
        let process = start(&event_loop, "read line; exit 1", true);
        let pid = rustix::process::Pid::from_raw(process.handle().pid() as i32);
        process.handle().write_eof();
        event_loop.run_until_complete(event_loop.sleep(Duration::ZERO)).unwrap();
        // Whoever comes first has the status; the loop does not run meanwhile.
        let waited = rustix::process::waitpid(pid, rustix::process::WaitOptions::empty());
        let status = event_loop.run_until_complete(process.wait()).unwrap().unwrap();
        assert_eq!(status.code(), Some(if waited.is_ok() { 255 } else { 1 }));
    }
}

/// A leader that leaves `sleep` in its group, whose output nobody waits for; the id of the `sleep`.
fn start_group(
    event_loop: &EventLoop,
    kill_on_drop: bool,
    with_pipes: bool,
) -> (Process<Idle>, u32) {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = format!("wharf-group-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let redirected = if with_pipes { "" } else { "<&- >&- 2>&-" };
    let line = format!("sleep 100 {redirected} & echo $! > \"$0\"; exit 4");
    let command = event_loop.subprocess_shell(|| Idle, line).arg(&path).process_group(0);
    let process = event_loop.run_until_complete(command.kill_on_drop(kill_on_drop).start());
    let process = process.unwrap().unwrap();
    let status = event_loop.run_until_complete(process.wait()).unwrap().unwrap();
    assert_eq!(status.code(), Some(4));
    let left = std::fs::read_to_string(&path).unwrap().trim().parse().unwrap();
    std::fs::remove_file(path).unwrap();
    (process, left)
}

fn runs(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

fn wait_until(event_loop: &EventLoop, what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        event_loop.run_until_complete(event_loop.sleep(Duration::from_millis(1))).unwrap();
    }
}

#[test]
fn closing_kills_what_an_exited_leader_has_left_in_its_group_either_way() {
    for event_loop in both_loops() {
        // Whether something keeps the pipes open or not, and so before `connection_lost` and after.
        for with_pipes in [true, false] {
            let (process, left) = start_group(&event_loop, true, with_pipes);
            let leader = process.handle().pid();
            if !with_pipes {
                let is_lost = || event_loop.process(process.handle().id()).is_none();
                wait_until(&event_loop, "connection_lost", is_lost);
            }
            assert!(runs(left) && is_there(leader), "its id is kept");
            process.handle().close();
            wait_until(&event_loop, "the end of what was left", || !runs(left));
            assert!(!is_there(leader), "it was waited for");
            wait_until(&event_loop, "the slot", || event_loop.statistics().sources == 0);
        }
    }
}

#[test]
fn dropping_the_last_process_and_closing_the_loop_kill_an_exited_leaders_group_either_way() {
    for event_loop in both_loops() {
        let (process, left) = start_group(&event_loop, true, false);
        let leader = process.handle().pid();
        drop(process);
        wait_until(&event_loop, "the end of what was left", || !runs(left));
        assert!(!is_there(leader));

        let (process, left) = start_group(&event_loop, true, false);
        let (leader, other_loop) = (process.handle().pid(), EventLoop::new().unwrap());
        drop(event_loop);
        wait_until(&other_loop, "the end of what was left", || !runs(left));
        assert!(!is_there(leader));
        drop(process);
    }
}

#[test]
fn a_group_that_nobody_has_is_left_alone_and_its_leader_waited_for_either_way() {
    for event_loop in both_loops() {
        for detaches in [true, false] {
            let (process, left) = start_group(&event_loop, detaches, false);
            let leader = process.handle().pid();
            if detaches {
                process.detach();
            }
            wait_until(&event_loop, "the leader's end", || !is_there(leader));
            wait_until(&event_loop, "the slot", || event_loop.statistics().sources == 0);
            assert!(runs(left), "nobody wanted it killed");
            let left = rustix::process::Pid::from_raw(left as i32).unwrap();
            rustix::process::kill_process(left, rustix::process::Signal::KILL).unwrap();
        }
    }
}

#[test]
fn a_group_whose_leader_has_exited_can_be_signalled_either_way() {
    for event_loop in both_loops() {
        let (process, left) = start_group(&event_loop, true, false);
        process.handle().send_signal_to_group(SIGTERM).unwrap();
        wait_until(&event_loop, "the end of what was left", || !runs(left));
        assert!(process.handle().send_signal(SIGTERM).is_err_and(|error| error.is_closed()));
    }
}
