//! A coordinator and its workers, each a process.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// What is to be run; another build of it, if `WHARF_EXECUTOR_PROGRAM` says so.
pub(crate) fn program() -> PathBuf {
    std::env::var_os("WHARF_EXECUTOR_PROGRAM")
        .map_or_else(|| env!("CARGO_BIN_EXE_wharf-executor").into(), PathBuf::from)
}

/// A number from the environment.
pub(crate) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect(name))
}

/// A process that is killed when this is dropped.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    /// SIGKILL, and its end.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// A field of `/proc/PID/status`, in KiB.
    pub(crate) fn memory(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) struct Cluster {
    directory: TempDir,
    pub(crate) coordinator: Process,
    pub(crate) address: String,
    workers: Vec<Process>,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (coordinator, address) = serve(&directory.path().join("data"), "127.0.0.1:0");
        Self { directory, coordinator, address, workers: Vec::new() }
    }

    /// A path in a directory of the test's own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn workers(&mut self, count: usize) {
        for _ in 0..count {
            let worker = self.command(&["work", "--slots", "4"]);
            self.workers.push(worker);
        }
    }

    /// Kills a worker and starts another.
    pub(crate) fn replace_worker(&mut self, index: usize) {
        let index = index % self.workers.len();
        self.workers[index].kill();
        self.workers[index] = self.command(&["work", "--slots", "4"]);
    }

    /// Kills the coordinator, and starts one on the same data and the same port. Returns how long that took.
    pub(crate) fn restart(&mut self) -> Duration {
        self.coordinator.kill();
        let began = Instant::now();
        (self.coordinator, _) = serve(&self.path("data"), &self.address);
        began.elapsed()
    }

    /// Runs `submit --file`, kills it after a while, and returns the tasks that it said are submitted.
    pub(crate) fn submit_and_kill(&self, file: &Path, after: Duration) -> Vec<String> {
        let mut client = self.command(&["submit", "--file", file.to_str().unwrap()]);
        std::thread::sleep(after);
        client.kill();
        let mut told = String::new();
        client.0.stdout.take().unwrap().read_to_string(&mut told).unwrap();
        // The last line may be cut off.
        let whole = told.rfind('\n').map_or(0, |end| end + 1);
        told[..whole].lines().map(String::from).collect()
    }

    fn command(&self, arguments: &[&str]) -> Process {
        let mut command = Command::new(program());
        command.args(arguments).args(["--connect", &self.address]);
        Process(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
    }
}

fn serve(data: &Path, listen: &str) -> (Process, String) {
    let mut command = Command::new(program());
    command.arg("serve").arg("--data").arg(data).args(["--listen", listen, "--return-within", "1"]);
    let mut process = Process(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    let output = process.0.stdout.as_mut().unwrap();
    BufReader::new(output).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on ").expect("it listens").to_owned();
    (process, address)
}
