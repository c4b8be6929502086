//! Tests that need a process of their own, and what processes have.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// What takes a moment only has so long on a machine with much else to do.
const PATIENCE: Duration = Duration::from_secs(20);

const ROLE: &str = "WHARF_SYSTEM_TEST_ROLE";

/// How a process of a test says that it has passed.
pub const PASSED: i32 = 42;

/// Long enough for the slowest of these tests, which starts ten thousand children, on a machine with
/// much else to do.
const LIMIT: Duration = Duration::from_secs(300);

/// The part that this process has in a test, when the test started it.
pub fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// This test program again, to run just the test `name`, in the part `role`.
pub fn command(name: &str, role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(ROLE, role);
    command
}

/// Runs `body` in a process where nothing else runs: the test `name` starts itself again.
///
/// For what counts the process's descriptors, changes its limits, or measures its CPU time.
pub fn alone(name: &str, body: impl FnOnce()) {
    if role().is_some() {
        body();
        // Not to be taken for a process that found no such test.
        std::process::exit(PASSED);
    }
    let mut child = Guard(
        command(name, "alone")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("a process"),
    );
    let status = child.wait();
    assert_eq!(status.code(), Some(PASSED), "the process of {name} failed: {status}");
}

/// A child process, killed if it is still there when this is dropped.
pub struct Guard(pub Child);

impl Guard {
    /// Waits for its end, not for ever.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().expect("a child's status") {
                return status;
            }
            assert!(began.elapsed() < LIMIT, "a child process did not end");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn is_over(&mut self) -> bool {
        self.0.try_wait().expect("a child's status").is_some()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.is_over() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// Stops a process. The signal takes effect when the kernel says so, not when it is sent: until then the
/// process may still answer.
pub fn stop(process: Pid) {
    kill_process(process, Signal::STOP).expect("a process");
    let path = format!("/proc/{}/stat", process.as_raw_nonzero());
    wait_for("the process to stop", || {
        let status = std::fs::read_to_string(&path).expect("a process");
        // The state follows the name, which is in parentheses.
        status.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
    });
}

/// Waits until `condition` holds, and fails when it does not in time.
#[track_caller]
fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The descriptors that are open.
pub fn open_descriptors() -> usize {
    // One is the directory's own.
    std::fs::read_dir("/proc/self/fd").expect("a list of descriptors").count() - 1
}

/// Waits until so many descriptors are open: a job's thread closes its file when the job is done, which
/// the end of the loop does not wait for.
pub fn wait_for_open_descriptors(wanted: usize) {
    wait_for(&format!("{wanted} open descriptors"), || open_descriptors() == wanted);
}

/// The CPU time that the process has used.
pub fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

/// Allows as many descriptors as the system does, and gives their number.
pub fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    setrlimit(Resource::Nofile, raised).expect("its own limit");
    limit.maximum.unwrap_or(u64::MAX)
}

/// Allows `count` more descriptors than are open now.
pub fn limit_descriptors_to(count: usize) {
    let open: BTreeSet<u64> = std::fs::read_dir("/proc/self/fd")
        .expect("a list of descriptors")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    // The directory's own is closed again.
    let taken = |number: &u64| {
        open.contains(number) && std::fs::read_link(format!("/proc/self/fd/{number}")).is_ok()
    };
    // The limit is one of their numbers, of which the lowest free one is taken.
    let current = (0..).filter(|number| !taken(number)).nth(count);
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current, ..limit }).expect("its own limit");
}
